"""What the PLC shows of itself and of its newest part: the interface's constants, heartbeat, trigger ring, head, TraceBlock.

Stands apart from the program because it only writes: payload first, PartId last. It knows cells and numbers; it does not know
what becomes of a part.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulators.plant import Trace
from simulators.plc_memory import BlockMemory, Cell

SENTINEL_REAL = 123.456
SENTINEL_DWORD = 0x12345678
HEARTBEAT_MS = 100
_TEXTS = ("serial", "lot", "product", "carrier")


class Head:
    """The cells that every scan or every part writes."""

    def __init__(self, up: BlockMemory, extra: Sequence[BlockMemory]) -> None:
        """Take the handshake's plc->gw block, and those that may hold a TraceBlock beside it."""
        self._up = up
        self._triggers = up.ring("ring.trigger")
        self._part_id = up.role("part.id")
        self._encoder = up.role("part.encoder")
        self._heartbeat = up.role("plc.heartbeat")
        self._beats = 0
        self._beat_ms = 0.0
        traced = {role: memory.role(role) for memory in (up, *extra) for role in memory.tags if role.startswith("trace.")}
        self._trace_part: Cell | None = traced.get("trace.part")
        self._trace = {name: traced[f"trace.{name}"] for name in _TEXTS if f"trace.{name}" in traced}

    def load(self, part_id: int, checksum: int) -> None:
        """Show layout and byte order after the memory was cleared, so that no client ever reads a block without them."""
        self._part_id.set(part_id)
        self._up.role("interface.checksum").set(checksum)
        self._up.role("sentinel.real").set(SENTINEL_REAL)
        self._up.role("sentinel.dword").set(SENTINEL_DWORD)

    def start(self, now_ms: float) -> None:
        """Let the heartbeat go on from now; its count is retained, so that a restart never looks like a frozen one."""
        self._beat_ms = now_ms

    def beat(self, now_ms: float) -> None:
        """Count PlcHeartbeat up for every 100 ms gone by."""
        steps = int((now_ms - self._beat_ms) // HEARTBEAT_MS)
        if steps > 0:
            self._beat_ms += steps * HEARTBEAT_MS
            self._beats = (self._beats + steps) & 0xFFFF
        self._heartbeat.set(self._beats)

    def show(self, part_id: int, encoder: int, trace: Trace | None) -> None:
        """Show a new part: its texts, then the ring's slot, then the head; PartId last in each.

        While the texts change ``trace.part`` is 0, so that nobody takes a part's texts for another's.
        """
        if self._trace_part is not None:
            self._trace_part.set(0)
            for name, cell in self._trace.items():
                cell.set(getattr(trace, name) if trace is not None else "")
            self._trace_part.set(part_id if trace is not None else 0)
        slot = self._triggers[part_id % len(self._triggers)]
        slot["Encoder"].set(encoder)
        slot["PartId"].set(part_id)
        self._encoder.set(encoder)
        self._part_id.set(part_id)
