"""A PLC on the bench: its two blocks on a real port, its heart and its ownership alive, everything else done by the checks.

Not the simulated PLC's program: that one does what is right by itself, while a check must also be able to do what is wrong. It
knows the handshake from the PLC's side and nothing of the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from gateway.core.tags import S7Address
from gateway.plc.maps import LoadedMap
from simulators.plc_memory import BlockMemory
from simulators.plc_modbus import ModbusServer
from simulators.plc_owner import Ownership
from simulators.plc_s7 import S7Server
from simulators.plc_tracking import VERDICTS, expected_check

SENTINEL_REAL = 123.456
SENTINEL_DWORD = 0x12345678
SCAN_S = 0.005
HEARTBEAT_MS = 100
WRITE_S = 0.3
"""No write is on its way for longer than this: the gateway gives one up after 150 ms."""
SPACING = 1000
"""Encoder counts from part to part."""
NO_OWNER = 0

TRIGGER_ENABLE = 1 << 0
TRIGGER = 1 << 1
CLEAR_EXPOSURE_COMPLETE = 1 << 2
BUFFER_RESULTS = 1 << 3
RESULTS_ACK = 1 << 4
EXECUTE_COMMAND = 1 << 5
CLEAR_ERROR = 1 << 6
SET_OFFLINE = 1 << 7
MODE_MANUAL = 1 << 9

TRIGGER_READY = 1 << 0
TRIGGER_ACK = 1 << 1
EXPOSURE_COMPLETE = 1 << 2
ACQUISITION_ERROR = 1 << 3
ONLINE = 1 << 7
BUSY = 1 << 8
INSPECTION_COMPLETED = 1 << 9
BUFFER_OVERRUN = 1 << 10
RESULTS_VALID = 1 << 11
COMMAND_EXECUTING = 1 << 12
COMMAND_COMPLETED = 1 << 13
COMMAND_FAILED = 1 << 14
VERDICT_BITS = {0b001: "PASS", 0b010: "FAIL", 0b100: "NOT_INSPECTED"}
TEST_RUN_READY = 1 << 8
ALARM_ACTIVE = 1 << 11


class NonconformantError(Exception):
    """The gateway did not do what the contract says; the message says what was expected and what was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long the gateway may take, in seconds."""

    ready: float = 20.0
    """From a start of the PLC to TriggerReady; the pauses between attempts included."""
    part: float = 2.0
    """From the photo-eye to the part's token."""
    signal: float = 1.0
    """From a bit to its answer."""
    command: float = 30.0
    """A recipe change or a test run."""
    spacing: float = 0.2
    """From part to part; no less than the line's highest rate allows."""


class Bench:
    """The PLC's memory, and hands on it."""

    def __init__(self, loaded: LoadedMap, limits: Limits, *, recipe: int = 0) -> None:
        """Lay out both blocks; nothing is served yet. ``recipe``: the number of one that the gateway has."""
        self.loaded = loaded
        self.recipe = recipe
        self.limits = limits
        self.up = BlockMemory(loaded.map.up, loaded.map.order)
        self.down = BlockMemory(loaded.map.down, loaded.map.order)
        self._extra = [(block, BlockMemory(block, loaded.map.order).data) for block in loaded.map.extra]
        """Blocks of measured values: there, and 0."""
        self.owner = Ownership(self.up, self.down)
        self.beats = True
        """PlcHeartbeat moves; a PLC in STOP keeps its memory and beats no more."""
        self.grants = True
        """Claims are heard."""
        self._triggers = self.up.ring("ring.trigger")
        self._tokens = self.down.ring("ring.token")
        self._encoder = 1000
        self._next_part_s = 0.0
        self.restart()

    # -- the PLC's life ---------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def served(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve both blocks on that address and scan; gives the port. OSError or RuntimeError when it cannot be had."""
        up, down = self.loaded.map.up.base, self.loaded.map.down.base
        server: S7Server | ModbusServer
        if isinstance(up, S7Address) and isinstance(down, S7Address):
            server = S7Server(up.db, self.up.data, down.db, self.down.data, extra=self._extra)
        else:
            unit = getattr(self.loaded.plc, "unit", 1)
            server = ModbusServer(self.loaded.map, self.up.data, self.down.data, extra=self._extra, unit=unit)
        bound = await server.start(host, port)
        try:
            async with self.scanned():
                yield bound
        finally:
            await server.stop()

    @contextlib.asynccontextmanager
    async def scanned(self) -> AsyncIterator[None]:
        """Let the PLC's heart beat and hear claims, as long as the context lasts."""
        scanning = asyncio.create_task(self._scan())
        try:
            yield
        finally:
            scanning.cancel()
            await asyncio.gather(scanning, return_exceptions=True)

    async def _scan(self) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            now_ms = (loop.time() - begun) * 1e3
            if self.beats:
                self.up.role("plc.heartbeat").set(int(now_ms // HEARTBEAT_MS) & 0xFFFF)
            if self.grants:
                self.owner.scan(now_ms)
            await asyncio.sleep(SCAN_S)

    def restart(self, *, part_id: int = 0, checksum: int | None = None) -> None:
        """Start anew: everything forgotten, the constants in place, PartId as given."""
        self.up.clear()
        self.down.clear()
        self.owner.reset()
        self.part_id = part_id
        self.up.role("part.id").set(part_id)
        self.up.role("interface.checksum").set(self.loaded.checksum if checksum is None else checksum)
        self.up.role("sentinel.real").set(SENTINEL_REAL)
        self.up.role("sentinel.dword").set(SENTINEL_DWORD)
        self.up.role("control").set(TRIGGER_ENABLE)

    async def fresh(self) -> None:
        """Restart with everything permitted, and wait until the gateway owns the line and is ready."""
        self.beats = self.grants = True
        self.restart()
        await self.ready()

    async def ready(self) -> None:
        """Wait until the gateway owns the line and shows TriggerReady beside the epoch: an older write may come late."""
        await self.until(
            lambda: self.owner.alive and self.said("owner.epoch") == self.owner.epoch and self.status1 & TRIGGER_READY,
            "TriggerReady beside the granted epoch",
            self.limits.ready,
        )

    # -- what the PLC says ------------------------------------------------------------------------------------------------

    def set(self, bits: int, on: bool = True) -> None:
        """Set or drop bits of the control word."""
        control = self.up.role("control")
        control.set(control.integer() | bits if on else control.integer() & ~bits)

    def assign(self, *, shown: bool = True) -> int:
        """Let a part pass the photo-eye: payload first, PartId last; return its PartId. ``shown``: its ring slot is written."""
        self.part_id = 1 if self.part_id >= 0xFFFFFFFF else self.part_id + 1
        self._encoder = (self._encoder + SPACING) & 0xFFFFFFFF
        if shown:
            slot = self._triggers[self.part_id % len(self._triggers)]
            slot["Encoder"].set(self._encoder)
            slot["PartId"].set(self.part_id)
        self.up.role("part.encoder").set(self._encoder)
        self.up.role("part.id").set(self.part_id)
        return self.part_id

    async def part(self) -> int:
        """Let a part pass no sooner after the last one than the line's rate allows; return its PartId."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._next_part_s - loop.time()))
        self._next_part_s = loop.time() + self.limits.spacing
        return self.assign()

    async def trigger(self) -> int:
        """Go through one trigger of the classic exchange as a PLC does; return the PartId."""
        await self.until(lambda: self.status1 & TRIGGER_READY, "TriggerReady before a trigger", self.limits.signal)
        before = self.said("acquisition.id")
        part = await self.part()
        self.set(TRIGGER)
        await self.until(lambda: self.status1 & TRIGGER_ACK, "TriggerAck", self.limits.signal)
        expect(self.said("acquisition.id") != before, "TriggerAck came before a new AcquisitionId", self)
        self.set(TRIGGER, on=False)
        await self.until(lambda: not self.status1 & TRIGGER_ACK, "TriggerAck drops with Trigger", self.limits.signal)
        return part

    async def wanted(self) -> int:
        """Let a part pass that is to be inspected, in whichever way the map's handshake asks for it; return its PartId."""
        return await (self.trigger() if self.loaded.map.handshake == "ack" else self.part())

    # -- what the gateway says --------------------------------------------------------------------------------------------

    def said(self, role: str) -> int:
        """Return an integer of the gateway's block."""
        return self.down.role(role).integer()

    @property
    def status1(self) -> int:
        """Return the first status word."""
        return self.said("status1")

    @property
    def status2(self) -> int:
        """Return the second status word."""
        return self.said("status2")

    async def settled(self, role: str) -> int:
        """Return the value once a write that was on its way when the PLC changed has arrived."""
        await asyncio.sleep(WRITE_S)
        return self.said(role)

    def offline_reason(self) -> int:
        """Return bits 4–6 of the first status word."""
        return self.status1 >> 4 & 0b111

    def token(self, part_id: int) -> str:
        """Return the verdict of the valid token for exactly this part under the granted epoch, "" without one."""
        slot = self._tokens[part_id % len(self._tokens)]
        word = slot["Verdict"].integer()
        epoch = self.owner.epoch
        valid = (
            epoch and slot["PartId"].integer() == part_id and slot["Check"].integer() == expected_check(part_id, word, epoch)
        )
        return VERDICTS.get(word, "") if valid else ""

    def ring(self) -> list[tuple[int, int, int]]:
        """Return the token ring as it lies there: (PartId, Verdict, Check) × 8."""
        return [(s["PartId"].integer(), s["Verdict"].integer(), s["Check"].integer()) for s in self._tokens]

    # -- patience ---------------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """Wait for a condition; NonconformantError when it does not come in time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not condition():
            if loop.time() > end:
                raise NonconformantError(f"{what}: not within {seconds:g} s ({self.seen()})")
            await asyncio.sleep(SCAN_S)

    async def while_(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """Watch that a condition holds all the time; NonconformantError at the first moment at which it does not."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            if not condition():
                raise NonconformantError(f"{what}: it was not so for {seconds:g} s ({self.seen()})")
            await asyncio.sleep(SCAN_S)

    async def judged(self, part_id: int) -> str:
        """Wait for the part's token and return its verdict."""
        await self.until(lambda: self.token(part_id), f"a token for part {part_id}", self.limits.part)
        return self.token(part_id)

    def seen(self) -> str:
        """Return the state of the exchange in words, for messages."""
        return (
            f"Status1 16#{self.status1:04X}, Status2 16#{self.status2:04X}, ErrorCode {self.said('error.code')}, "
            f"OwnerEpochEcho 16#{self.owner.epoch:08X}, ResultPartId {self.said('result.part.id')}"
        )


def expect(condition: object, message: str, bench: Bench) -> None:
    """Raise NonconformantError with what was seen unless the condition holds."""
    if not condition:
        raise NonconformantError(f"{message} ({bench.seen()})")
