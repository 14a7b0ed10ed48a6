"""A simulated PLC on a real port, its program scanned every few milliseconds on the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.plc.maps import LoadedMap, load_map
from simulators.plant import AckInputs, Mode, PlcEvent, PlcInputs, Settings, Trace
from simulators.plc import PlcLogic
from simulators.plc_modbus import ModbusServer
from simulators.plc_s7 import S7Server

REPO = Path(__file__).resolve().parents[2]
PROTOCOLS = ("s7", "modbus")


@dataclass(slots=True)
class Stand:
    """The PLC: ``pass_part`` sends a part past the photo-eye, ``events`` is what its program did."""

    loaded: LoadedMap
    logic: PlcLogic
    server: S7Server | ModbusServer
    port: int
    encoder: int = 1000
    permit: bool = True
    latches: list[int] = field(default_factory=list)
    events: list[PlcEvent] = field(default_factory=list)
    scanning: bool = True
    wishes: AckInputs = field(default_factory=AckInputs)
    mode: int = Mode.AUTOMATIC
    external_reject: bool = False
    """The existing inspection rejects the parts that pass."""
    trace: Trace | None = None
    """What a reader at the photo-eye says of the parts that pass."""

    def pass_part(self) -> int:
        """Let the belt move one part spacing and a part pass; return the encoder at the photo-eye."""
        self.encoder += 1000
        self.latches.append(self.encoder)
        return self.encoder

    async def roll(self, counts: int) -> None:
        """Let the belt move on, slowly enough for the gate."""
        for _ in range(counts // 100):
            self.encoder += 100
            await asyncio.sleep(0.005)

    def seen(self, kind: str) -> list[PlcEvent]:
        """Return the program's events of one kind."""
        return [e for e in self.events if e.kind == kind]

    def driver(self, **options: object) -> object:
        """Return a fresh driver for this PLC."""
        return replace(self.loaded, plc=self.loaded.plc.model_copy(update={"port": self.port, **options})).plc.build(
            self.loaded.map
        )


@contextlib.asynccontextmanager
async def plc_stand(
    protocol: str, scan_ms: float = 5, map_file: Path | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Stand]:
    """Run a simulated PLC of this protocol on a free port of this address."""
    loaded = load_map(map_file or REPO / "plc_maps" / f"demo_{protocol}.yaml")
    leaping = Settings(scan_ms=0.05)  # the belt leaps from part to part: counts are never taken for lost
    logic = PlcLogic(loaded, camera_to_gate=20_000, gate_window=300, settings=leaping)
    extra = zip(loaded.map.extra, logic.extra, strict=True)
    server: S7Server | ModbusServer
    if protocol == "s7":
        up, down = loaded.map.up.base, loaded.map.down.base
        server = S7Server(up.db, logic.up, down.db, logic.down, extra=extra, cpu_running=lambda: logic.running)
    else:
        server = ModbusServer(loaded.map, logic.up, logic.down, extra=extra)
    stand = Stand(loaded=loaded, logic=logic, server=server, port=await server.start(host, 0))

    async def scan_forever() -> None:
        now = 0.0
        while True:
            if stand.scanning:
                latches, stand.latches = tuple(stand.latches), []
                inputs = PlcInputs(
                    now_ms=now,
                    encoder=stand.encoder,
                    latches=latches,
                    permit=stand.permit,
                    mode=stand.mode,
                    external_reject=stand.external_reject,
                    ack=stand.wishes,
                    trace=stand.trace,
                )
                stand.events.extend(logic.scan(inputs).events)
            now += scan_ms
            await asyncio.sleep(scan_ms / 1e3)

    task = asyncio.create_task(scan_forever())
    try:
        yield stand
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.stop()


async def until(condition: Callable[[], object], why: str, timeout_s: float = 5.0) -> None:
    """Wait for a condition, bounded."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {timeout_s} s: {why}"
        await asyncio.sleep(0.002)
