"""A PLC in this process's memory: the same contract as a real driver, for tests of everything above."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

from gateway.core.errors import DeviceRefused, DeviceUnavailable
from gateway.core.tags import Span
from gateway.plc.driver import MAX_READ_BYTES, MAX_WRITE_BYTES


class Memory:
    """The blocks of one simulated PLC by direction; set ``down`` to make it unreachable."""

    plcs: dict[str, Memory] = {}

    def __init__(
        self, name: str, up: bytearray, down: bytearray, extra: Mapping[str, bytearray] = MappingProxyType({})
    ) -> None:
        """Serve ``up`` (plc->gw) and ``down`` (gw->plc) under ``name``, and further plc->gw blocks by their names."""
        self.blocks = {"plc->gw": up, "gw->plc": down}
        self.extra = dict(extra)
        self.reachable = True
        Memory.plcs[name] = self


class MemoryDriver:
    """Reads and writes a :class:`Memory` of the same name."""

    def __init__(self, name: str, further: frozenset[str] = frozenset()) -> None:
        """Take the name, and those of the map's ``further`` blocks; nothing is looked up before :meth:`connect`."""
        self._name = name
        self._further = further
        self._memory: Memory | None = None

    async def connect(self) -> None:
        """Find the memory."""
        await asyncio.sleep(0)
        memory = Memory.plcs.get(self._name)
        if memory is None or not memory.reachable:
            raise DeviceUnavailable(self._name, "connect", "there is no such PLC in this process's memory")
        self._memory = memory

    async def read(self, span: Span) -> bytes:
        """Read."""
        if span.length > MAX_READ_BYTES:
            raise ValueError(f"{span.block.name}: {span.length} bytes do not fit into one request of {MAX_READ_BYTES}")
        block = await self._block(span, "read")
        return bytes(block[span.offset : span.offset + span.length])

    async def write(self, span: Span, data: bytes) -> None:
        """Write; only the gw->plc block may be written."""
        if len(data) != span.length or len(data) > MAX_WRITE_BYTES:
            raise ValueError(f"{len(data)} bytes for a span of {span.length} (at most {MAX_WRITE_BYTES})")
        block = await self._block(span, "write")
        if span.block.direction != "gw->plc":
            self._memory = None
            raise DeviceRefused(self._name, "write", f"{span.block.name} belongs to the PLC")
        block[span.offset : span.offset + span.length] = data

    async def _block(self, span: Span, op: str) -> bytearray:
        memory = self._memory
        if memory is None:
            raise DeviceUnavailable(self._name, op, "not connected")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._memory = None
            raise
        if not memory.reachable or self._memory is not memory:
            self._memory = None
            raise DeviceUnavailable(self._name, op, "the PLC does not answer, or the connection was closed")
        further = span.block.name in self._further or span.block.name in memory.extra
        block = memory.extra.get(span.block.name, bytearray()) if further else memory.blocks[span.block.direction]
        if span.offset + span.length > len(block):
            self._memory = None
            raise DeviceRefused(self._name, op, f"{span.block.name} has only {len(block)} bytes")
        return block

    async def close(self) -> None:
        """Forget the memory."""
        self._memory = None
