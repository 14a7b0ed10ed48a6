"""One simulated line: the world, the PLC's program scanned on an absolute schedule, the camera and the faults, on one loop.

Time is the machine's monotonic clock. What is due at a scheduled moment is computed for that moment: when this process was
held up, the missed scans are made up for one by one with the inputs of their own time, so that a busy computer looks to a
gateway like a slow network and never like a PLC whose gate hung. It knows a protocol's server only by its start and stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.core.tags import TagMap
from simulators.camera import CameraServer
from simulators.dark_port import dark_port
from simulators.floor import Floor
from simulators.ledger import Ledger
from simulators.pictures import PictureFolder, Renderer
from simulators.plant import Mode, PlcInputs, PlcOutputs
from simulators.plc import PlcLogic
from simulators.plc_log import PlcLog
from simulators.plc_memory import Cell
from simulators.process import Process, Setting
from simulators.scenario import BadPictures, Fault, Instant, Jam, Lasting, Scenario
from simulators.scenario_floor import Contact
from simulators.station import Station
from simulators.world import Happened, Moment, World

TRIGGER_READY = 0x0001
#: Belt speed that LineSpeed shows for one part a second, in m/min: a spacing is 10 cm.
_M_PER_MIN = 6.0


class PlcServer(Protocol):
    """What the line needs of a protocol's server."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen and return the port."""
        ...

    async def stop(self) -> None:
        """Close the port and every connection."""
        ...


def now_ms() -> float:
    """Return CLOCK_MONOTONIC in ms."""
    return time.monotonic_ns() / 1e6


@dataclass(slots=True)
class Counts:
    """The line's score so far, for people who watch."""

    fed: int = 0
    passed: int = 0
    rejected: int = 0
    defective: int = 0
    escaped: int = 0
    scan_late_ms: float = 0.0
    """The longest that a scan came after its time."""


class SimulatedLine:
    """Runs from :meth:`start` to :meth:`stop`; ``ended`` is set when the last part has left the gate."""

    def __init__(
        self,
        tag_map: TagMap,
        server: PlcServer,
        logic: PlcLogic,
        scenario: Scenario,
        process: Process,
        pictures: Renderer | PictureFolder,
        ledger: Ledger,
        *,
        setting: Setting | None,
        parts: int,
        parts_per_s: float,
        scan_ms: float,
        seed: int,
    ) -> None:
        """Take everything ready-made, on a running loop; nothing moves before :meth:`start`. ``parts`` 0 = without end."""
        self._server = server
        self._logic = logic
        self._scenario = scenario
        self._process = process
        self._pictures = pictures
        self._ledger = ledger
        self._log = PlcLog(ledger)
        self._floor = Floor(scenario)
        self._setting = setting
        self._parts = parts
        self._parts_per_s = parts_per_s
        self._scan_ms = scan_ms
        self._seed = seed
        self._status1 = Cell(logic.down, "Word", tag_map.roles["status1"].offset, 0, tag_map.order)
        self._faults = sorted(scenario.faults, key=lambda f: f.at_part)
        self.counts = Counts()
        self.ended = asyncio.Event()
        self.camera = CameraServer()
        self.station = Station(
            pictures,
            self.camera,
            ledger,
            transfer_ms=scenario.belt.transfer_ms,
            first_counter=seed % 100_000,
            on_failure=self._fail,
        )
        self._host, self._port = "127.0.0.1", 0
        self._world: World
        self._start_ms = 0.0
        self._scans = 0
        self._gate_open = False
        self._recheck_open = False
        self._halted = False
        self._latches: list[Moment] = []
        self._fallen: list[int] = []
        self._reset_at_ms = math.inf
        self._reopening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, host: str, plc_port: int, camera_port: int) -> tuple[int, int]:
        """Open both ports and start the belt; return (PLC port, camera port). OSError or RuntimeError when one is in use."""
        self._host = host
        self._port = await self._server.start(host, plc_port)
        try:
            camera = await self.camera.start(host, camera_port)
        except OSError:
            await self._server.stop()
            raise
        self._start_ms = now_ms()
        maker = self._process if isinstance(self._pictures, Renderer) else self._pictures
        self._world = World(self._scenario.belt, maker, parts_per_s=self._parts_per_s, start_ms=self._start_ms, seed=self._seed)
        self._catch_up(self._start_ms)
        return self._port, camera

    async def run(self) -> None:
        """Run until cancelled; raises what went wrong, for instance a picture that cannot be read."""
        runner = asyncio.ensure_future(self._run_belt())
        try:
            await asyncio.wait({runner, self._failed}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (runner, self._failed):
                if ended.done():
                    ended.result()
        finally:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)

    def halt(self) -> None:
        """Let the press make no more parts; ``ended`` is set when the last one has left the gate."""
        self._halted = True
        self._world.halt()
        if self._world.idle:
            self.ended.set()

    async def stop(self) -> None:
        """Close both ports and end what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.camera.stop()
        await self._server.stop()
        self.station.stop()
        self._failed.cancel()

    def process_now(self) -> dict[str, float]:
        """Return the next part's defect probability, the tool's wear, the set-point and its best value."""
        n = self._world.made + 1
        values = {"p": round(self._process.defect_probability(n), 5), "wear": round(self._process.wear(n), 5)}
        if self._setting is not None and self._process.setpoint is not None:
            values |= {self._setting.name: self._process.setpoint, "optimum": round(self._process.optimum(n), 4)}
        return values

    # -- time -----------------------------------------------------------------------------------------------------------

    async def _run_belt(self) -> None:
        while True:
            pause = (self._catch_up(now_ms()) - now_ms()) / 1e3
            # The loop's timers count whole ms: rounding down would spin through the last one.
            await asyncio.sleep(max(pause, 0.001) if pause > 0 else 0)

    def _catch_up(self, now: float) -> float:
        """Do everything that is due by ``now``, each at its own time; return when the next thing is due."""
        while True:
            scan_at = self._start_ms + self._scans * self._scan_ms
            due = min(scan_at, self._world.next_exposure_ms())
            if due > now:
                return due
            self._take(self._world.advance(due, gate_open=self._gate_open, recheck_open=self._recheck_open))
            if due >= scan_at:
                self._scans += 1
                self._scan(due)

    def _scan(self, due: float) -> None:
        """Run one cycle of the PLC for the moment ``due``."""
        clock = now_ms()
        self.counts.scan_late_ms = max(self.counts.scan_late_ms, clock - due)
        latches, self._latches = self._latches, []
        fallen, self._fallen = self._fallen, []
        rejects = self._scenario.rejects
        outputs = self._logic.scan(
            PlcInputs(
                now_ms=due - self._start_ms,
                encoder=self._world.encoder(due),
                latches=tuple(m.encoder for m in latches),
                process={
                    "LineSpeed": self._parts_per_s * _M_PER_MIN,
                    "ToolWear": 100 * self._process.wear(self._world.made),
                },
                permit=self._scenario.process.permit,
                bin_edges=tuple(fallen) if rejects.bin_sensor else None,
                reset=due >= self._reset_at_ms,
                stop_permit=rejects.stop_permit,
                **self._floor.inputs(due, latches),
            )
        )
        self._gate_open, self._recheck_open = outputs.gate_open, outputs.recheck_open
        self._drive_belt(due, outputs)
        if self._setting is not None:
            self._process.setpoint = outputs.params[self._setting.name]
        self._log.take(outputs.events, latches, clock, self._process.setpoint)
        if not self._halted and not self._world.fed_at_all and self._may_feed(due):
            self._world.feed(self._parts or math.inf)

    def _drive_belt(self, due: float, outputs: PlcOutputs) -> None:
        """Stop the belt and call the operator, who presses reset, and presses it again while that does not help."""
        stop = outputs.stop_line
        if stop and self._floor.turn_back(outputs.stop_reason):
            self._ledger.write("key", due, mode=self._floor.mode.name.lower(), by="the operator")
        if stop and (not self._world.stands or due >= self._reset_at_ms):
            self._world.stop()
            self._reset_at_ms = due + self._scenario.rejects.reset_after_ms
        elif self._world.stands and not stop:
            self._world.go_on()
            self._reset_at_ms = math.inf

    def _may_feed(self, due: float) -> bool:
        """Return what the infeed's interlock says: the gateway is ready, and the belt has moved on since the PLC's start."""
        cleared = self._world.travel(due) >= self._scenario.belt.eye_to_gate
        return cleared and self._log.owner_alive and bool(self._status1.integer() & TRIGGER_READY)

    # -- what the world did -------------------------------------------------------------------------------------------------

    def _take(self, happened: Happened) -> None:
        for part in happened.made:
            self.station.prepare(part, self._scenario.imaging_at(part.n))
        for edge in happened.edges:
            self._pass_eye(edge)
        for exposure in happened.exposures:
            self.station.expose(exposure)
        for arrival in happened.arrivals:
            slipped = arrival.part.n in happened.slipped
            self._leave(arrival, passed=happened.passed or slipped, slipped=slipped, rechecked=happened.rechecked)
        # What falls past the bin's sensor while the PLC is in STOP is lost with the rest of its inputs.
        if self._logic.running:
            self._fallen.extend(fall.encoder for fall in happened.fallen)

    def _pass_eye(self, edge: Moment) -> None:
        n, truth = edge.part.n, edge.part.truth
        self.counts.fed += 1
        for key in self._floor.reached(n):
            self._ledger.write("key", edge.t_ms, mode=key.mode)
        about = {} if self._floor.mode is Mode.AUTOMATIC else {"mode": self._floor.mode.name.lower()}
        if marks := self._floor.marks(n, truth):
            about |= {"marks": " ".join(marks)}
        self._ledger.write("part", edge.t_ms, n=n, truth=truth.label, defective=truth.defective, encoder=edge.encoder, **about)
        while self._faults and self._faults[0].at_part <= n:
            self._strike(self._faults.pop(0), edge)
        # A photo-eye edge that a PLC in STOP does not see is lost with the rest of its inputs.
        if self._logic.running:
            self._latches.append(edge)

    def _leave(self, arrival: Moment, *, passed: bool, slipped: bool, rechecked: bool) -> None:
        truth = arrival.part.truth
        self.counts.passed += passed
        self.counts.rejected += not passed
        self.counts.defective += truth.defective
        self.counts.escaped += passed and truth.defective
        more = {"stuck": True} if slipped else {"exit": "recheck"} if rechecked else {}
        self._ledger.write("gate", arrival.t_ms, n=arrival.part.n, passed=passed, **more)
        if self._world.idle:
            self.ended.set()

    # -- faults -----------------------------------------------------------------------------------------------------------

    def _strike(self, fault: Fault, edge: Moment) -> None:
        what = {k: v for k, v in fault.model_dump().items() if k not in ("kind", "at_part")}
        self._ledger.write("fault", edge.t_ms, n=edge.part.n, fault=fault.kind, **what)
        match fault:
            case Instant(kind="plc_restart"):
                self._gate_open = self._recheck_open = False
                self._latches.clear()
                self._logic.restart()
            case Instant(kind="link_cut"):
                self._start_task(self._reopen(0))
            case Instant():
                self.camera.cut()
            case Lasting(kind="plc_stop"):
                self._gate_open = self._recheck_open = False
                self._latches.clear()
                self._logic.stop()
                asyncio.get_running_loop().call_later(fault.for_ms / 1e3, self._logic.run)
            case Lasting():
                self._start_task(self._reopen(fault.for_ms, dark=fault.kind == "link_dark"))
            case BadPictures():
                self.station.spoil(fault)
            case Contact():
                self._floor.fail(fault, edge.t_ms)
            case Jam():
                self._world.jam(fault.at_part, fault.for_parts)

    async def _reopen(self, for_ms: float, *, dark: bool = False) -> None:
        """Abort every connection of the PLC's port, and open it again after a while."""
        async with self._reopening:
            await self._server.stop()
            try:
                with dark_port(self._host, self._port) if dark else contextlib.nullcontext():
                    await asyncio.sleep(for_ms / 1e3)
                await self._server.start(self._host, self._port)
                self._ledger.write("link_back", now_ms())
            except (OSError, RuntimeError) as error:
                raise OSError(f"port {self._port} cannot be opened again after a link fault: {error}") from error

    def _start_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)
