"""The plant of a storm: belt, photo-eye, camera, the PLC with its port, and the gate, in virtual time.

It keeps the truth; what a gateway is told of it are stamps of frames and the bytes of two blocks. Parts are physical parts of
the world; the oracle judges by what this file writes into the ledger.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from gateway.core.frame import FrameStamp
from gateway.core.tags import S7Address
from gateway.plc.maps import LoadedMap
from simulators.plant import PlcInputs
from simulators.plc import PlcLogic
from simulators.plc_log import PlcLog
from simulators.plc_memory import Cell
from simulators.plc_modbus import ModbusServer
from simulators.plc_s7 import S7Server
from simulators.process import Truth
from simulators.scenario import Belt
from simulators.storm.loop import Host
from simulators.world import Happened, Moment, World

CAMERA = "cam"
TRIGGER_READY = 0x0001
STATUS_S = 0.5
STATION_NOISE = 40
"""Counts by which the camera's latch may be off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a seed decides about the line itself."""

    parts_per_s: float
    scan_ms: float
    poll_ms: float
    gate_spacings: float
    defective: float

    @staticmethod
    def draw(rng: random.Random) -> Shape:
        """Draw one whose gate can be set between two parts within the PLC's scan, and whose ring keeps up."""
        parts_per_s = rng.choice((25.0, 40.0, 60.0, 80.0))
        return Shape(
            parts_per_s=parts_per_s,
            scan_ms=rng.choice([ms for ms in (4.0, 6.0, 10.0) if ms * parts_per_s <= 400]),
            poll_ms=rng.choice((4.0, 8.0, 12.0)),
            gate_spacings=rng.choice((8, 14, 30)),
            defective=rng.choice((0.05, 0.2, 0.5)),
        )

    @property
    def belt(self) -> Belt:
        """Return the belt."""
        return Belt(gate_spacings=self.gate_spacings)


@dataclass(slots=True)
class Memory:
    """The ledger of one episode: events as they come, and the hash of all of them."""

    events: list[dict[str, Any]] = field(default_factory=list)
    trace: Any = field(default_factory=sha256)

    def write(self, kind: str, t_ms: float, **values: object) -> None:
        """Keep one event."""
        event = {"kind": kind, "t_ms": round(t_ms, 3), **values}
        self.events.append(event)
        self.trace.update(json.dumps(event, separators=(",", ":")).encode())


class Seat:
    """Where a gateway plugs in: its host, and what it takes from the camera."""

    def __init__(self, host: Host, on_frame: Callable[[FrameStamp], None], on_camera: Callable[[str, bool], None]) -> None:
        """Take the two callbacks."""
        self.host = host
        self.on_frame = on_frame
        self.on_camera = on_camera


@dataclass(slots=True)
class Camera:
    """What is wrong with the camera at present."""

    down: bool = False
    loses: float = 0.0
    """Probability that a frame is lost."""
    doubles: float = 0.0
    late: float = 0.0
    """Probability that a frame comes up to 400 ms late, and so behind others."""


@dataclass(slots=True)
class Memories:
    """How the PLC's communication exchanges bytes with its program: whole, or torn at a word."""

    tears: float = 0.0
    """Probability that an exchange is torn; the next one is whole and brings the rest."""


class Plant:
    """One line. :meth:`run` moves it; the faults reach in through its attributes."""

    def __init__(self, loaded: LoadedMap, shape: Shape, *, parts: int, streams: Callable[[str], random.Random]) -> None:
        """``streams`` gives a generator for a purpose, so that one fault more does not change all others."""
        self.loaded = loaded
        self.shape = shape
        self.ledger = Memory()
        self.log = PlcLog(self.ledger)
        self.camera = Camera()
        self.memories = Memories()
        self.bounce: dict[int, int] = {}
        """Counts after the edge at which the photo-eye fires again, by physical part."""
        self.blind: set[int] = set()
        """Physical parts whose edge is lost."""
        self.seats: list[Seat] = []
        self.truth: dict[int, Truth] = {}
        self.shows: dict[int, int] = {}
        """Physical part by frame counter: the picture itself, for the stand-in of the engine alone."""
        self.on_edge: Callable[[int], None] = lambda n: None
        self.idle = asyncio.Event()
        self.fed = asyncio.Event()
        self._random = streams("plant")
        self._truths = streams("truth")
        self._parts = parts
        belt = shape.belt
        counts_per_scan = shape.parts_per_s * belt.spacing * shape.scan_ms / 1e3
        start = streams("ids").choice((0, 7, 1_000_000, 0xFFFFFFFF - parts // 2))
        self.logic = PlcLogic(
            loaded, camera_to_gate=belt.eye_to_gate, gate_window=belt.gate_window(counts_per_scan), last_part_id=start
        )
        # What clients reach are copies, exchanged with the program at every scan, as a communication processor does.
        self._served_up = bytearray(self.logic.up)
        self._served_down = bytearray(len(self.logic.down))
        self._world = World(belt, self, parts_per_s=shape.parts_per_s, start_ms=0.0, seed=streams("belt").randrange(1 << 31))
        self._belt = belt
        self._status1 = Cell(self.logic.down, "Word", loaded.map.roles["status1"].offset, 0, loaded.map.order)
        self._latches: list[Moment] = []
        self._gate_open = False
        self._scans = 0
        self._frames = 0
        self._torn_in = self._torn_out = False

    def make(self, n: int) -> Truth:
        """Make physical part ``n``."""
        defective = self._truths.random() < self.shape.defective
        self.truth[n] = truth = Truth(label="dent" if defective else "good", defective=defective)
        return truth

    async def serve(self) -> None:
        """Open the PLC's port."""
        await self._server().start("memory", self.loaded.plc.port)  # type: ignore[union-attr]

    def _server(self) -> S7Server | ModbusServer:
        up, down = self.loaded.map.up.base, self.loaded.map.down.base
        if isinstance(up, S7Address) and isinstance(down, S7Address):
            return S7Server(up.db, self._served_up, down.db, self._served_down, cpu_running=lambda: self.logic.running)
        unit = self.loaded.plc.unit  # type: ignore[union-attr]
        return ModbusServer(self.loaded.map, self._served_up, self._served_down, unit=unit)

    # -- the PLC's life -----------------------------------------------------------------------------------------------------

    def restart(self, *, last_part_id: int | None = None, checksum: int | None = None, keeps_down: bool = False) -> None:
        """Let the PLC start anew, its memory cleared (but for a retentive gw->plc block), while the belt coasts."""
        self._gate_open = False
        self._latches.clear()
        self.logic.restart(last_part_id=last_part_id, checksum=checksum, keeps_down=keeps_down)
        self._clear_served()

    def stop(self) -> None:
        """Put the CPU in STOP: its memory stays readable."""
        self._gate_open = False
        self._latches.clear()
        self.logic.stop()

    def go(self) -> None:
        """Put the CPU in RUN."""
        if not self.logic.running:
            self.logic.run()
            self._clear_served()

    def _clear_served(self) -> None:
        self._served_down[:] = self.logic.down
        self._served_up[:] = self.logic.up

    # -- time ---------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Move the belt and scan the PLC's program until cancelled."""
        loop = asyncio.get_running_loop()
        status_at = 0.0
        while True:
            now_ms = loop.time() * 1e3
            due = self._catch_up(now_ms)
            if now_ms >= status_at:
                status_at = now_ms + STATUS_S * 1e3
                for seat in self.seats:
                    seat.host.call_later(0, seat.on_camera, CAMERA, not self.camera.down)
            await asyncio.sleep((due - now_ms) / 1e3 + 1e-7)

    def stop_belt(self) -> None:
        """Let the belt stand; whatever is on it stays where it is."""
        self._world.stop()

    def move_belt(self) -> None:
        """Let the belt go on."""
        self._world.go_on()

    def _catch_up(self, now: float) -> float:
        while True:
            scan_at = self._scans * self.shape.scan_ms
            due = min(scan_at, self._world.next_exposure_ms())
            if due > now:
                return due
            self._take(self._world.advance(due, gate_open=self._gate_open))
            if due >= scan_at:
                self._scans += 1
                self._scan(due)

    def _scan(self, due: float) -> None:
        if not self.logic.running:
            return
        self._take_in()
        latches, self._latches = self._latches, []
        inputs = PlcInputs(now_ms=due, encoder=self._world.encoder(due), latches=tuple(m.encoder for m in latches))
        outputs = self.logic.scan(inputs)
        self._give_out()
        self._gate_open = outputs.gate_open
        if outputs.events:
            self.log.take(outputs.events, latches, due, None)
        if not self._world.fed_at_all and self._may_feed(due):
            self._world.feed(self._parts)
            self.fed.set()

    def _may_feed(self, due: float) -> bool:
        cleared = self._world.travel(due) >= self._belt.eye_to_gate
        return cleared and self.log.owner_alive and bool(self._status1.integer() & TRIGGER_READY)

    def _take_in(self) -> None:
        """Copy what clients wrote to the program; torn, a part of the words comes a scan later."""
        down = self.logic.down
        self._torn_in = not self._torn_in and self._tears()
        if self._torn_in and down != self._served_down:
            at = 2 * self._random.randrange(len(down) // 2)
            if self._random.random() < 0.5:
                down[:at] = self._served_down[:at]
            else:
                down[at:] = self._served_down[at:]
        else:
            down[:] = self._served_down

    def _give_out(self) -> None:
        """Copy what the program wrote to where clients read; torn, a part of the words comes a scan later."""
        up = self.logic.up
        self._torn_out = not self._torn_out and self._tears()
        if self._torn_out:
            at = 2 * self._random.randrange(len(up) // 2)
            if self._random.random() < 0.5:
                self._served_up[:at] = up[:at]
            else:
                self._served_up[at:] = up[at:]
        else:
            self._served_up[:] = up

    def _tears(self) -> bool:
        return self.memories.tears > 0 and self._random.random() < self.memories.tears

    # -- what the world did ---------------------------------------------------------------------------------------------------

    def _take(self, happened: Happened) -> None:
        for edge in happened.edges:
            self._pass_eye(edge)
        for exposure in happened.exposures:
            self._expose(exposure)
        for arrival in happened.arrivals:
            self.ledger.write("gate", arrival.t_ms, n=arrival.part.n, passed=happened.passed)
            if self._world.idle:
                self.idle.set()

    def _pass_eye(self, edge: Moment) -> None:
        n, truth = edge.part.n, edge.part.truth
        self.ledger.write("part", edge.t_ms, n=n, truth=truth.label, defective=truth.defective, encoder=edge.encoder)
        if self.logic.running and n not in self.blind:
            self._latches.append(edge)
            if n in self.bounce:
                again = Moment(part=edge.part, t_ms=edge.t_ms, encoder=(edge.encoder + self.bounce[n]) & 0xFFFFFFFF)
                self._latches.append(again)
        self.on_edge(n)

    def _expose(self, exposure: Moment) -> None:
        n = exposure.part.n
        self._frames += 1
        counter = self._frames
        self.shows[counter] = n
        self.ledger.write("frame", exposure.t_ms, frame_counter=counter, n=n)
        camera, rng = self.camera, self._random
        if camera.down or (camera.loses and rng.random() < camera.loses):
            return
        transfer_s = rng.uniform(0.004, 0.012)
        if camera.late and rng.random() < camera.late:
            transfer_s += rng.uniform(0.02, 0.4)
        encoder = (exposure.encoder + rng.randint(-STATION_NOISE, STATION_NOISE)) & 0xFFFFFFFF
        copies = 2 if camera.doubles and rng.random() < camera.doubles else 1
        for seat in self.seats:
            for copy in range(copies):
                self._announce(seat, counter, exposure.t_ms, encoder, transfer_s * (1 + copy))

    def _announce(self, seat: Seat, counter: int, t_ms: float, encoder: int, transfer_s: float) -> None:
        stamp = FrameStamp(
            camera=CAMERA,
            frame_counter=counter,
            t_exposed_ns=round(t_ms * 1e6),
            t_available_ns=round(t_ms * 1e6 + transfer_s * 1e9),
            encoder=encoder,
            slot=counter % 32,
            generation=2 * counter,
            height=8,
            width=8,
            channels=1,
        )
        delay_s = t_ms / 1e3 + transfer_s - asyncio.get_running_loop().time()
        seat.host.call_later(max(0.0, delay_s), seat.on_frame, stamp)

    def last_part_id(self, back: int) -> int:
        """Return a PartId ``back`` before the one given last, as a counter that was saved a moment ago holds it."""
        return max(0, self.logic.part_id - back)

    @property
    def made(self) -> int:
        """Return how many physical parts were made."""
        return self._world.made

    def at_ms(self) -> float:
        """Return the virtual time in ms."""
        found = asyncio.get_running_loop().time() * 1e3
        assert math.isfinite(found)  # noqa: S101 - the loop's clock
        return found
