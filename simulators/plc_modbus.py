"""The simulated PLC's Modbus TCP port: ranges of registers and bits on pymodbus' server.

The registers are the PLC's bytes themselves, two a register, high byte first; pymodbus keeps a copy of its own that is
refreshed before every read and never trusted. A request is served in one go on the event loop, so that it falls whole
between two scans.

Known limits of pymodbus' server, which keep a gateway to one outstanding request: of requests that arrive together in one
segment only the first is answered, and a request that arrives before the one ahead was answered replaces it. An unknown unit
is answered with exception 11. Of a bit request pymodbus tells the first bit alone, so that a range of bits ends where its last
sixteen do.

It knows bytes and register numbers, not what they mean.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.core.tags import Area, Block, ModbusAddress, TagMap

_READ_HOLDING = (3, 22, 23)
_READ_INPUT = (4,)
_READ_BITS: Mapping[int, Area] = {1: "CO", 2: "DI"}
_WRITE_HOLDING = (6, 16, 22, 23)


class _Range:
    """One block as registers, or as bits."""

    def __init__(self, block: Block, data: bytearray) -> None:
        if not isinstance(block.base, ModbusAddress):
            raise ValueError(f"block {block.name} has an S7 address: a Modbus PLC needs a register range")
        self.area: Area = block.base.area
        self.first = block.base.register
        self.count = block.bits or block.size // 2
        self.data = data

    def holds(self, register: int, count: int) -> bool:
        """Return whether all of these registers lie in this range."""
        return self.first <= register and register + count <= self.first + self.count

    def definition(self) -> SimData:
        """Return the range as pymodbus wants it declared."""
        return SimData(self.first, count=self.count, values=0, datatype=DataType.REGISTERS)

    def read(self, register: int, count: int) -> tuple[int, ...]:
        """Return ``count`` registers from ``register`` on."""
        return struct.unpack_from(f">{count}H", self.data, 2 * (register - self.first))

    def write(self, register: int, values: list[int]) -> None:
        """Write registers from ``register`` on."""
        at = 2 * (register - self.first)
        self.data[at : at + 2 * len(values)] = b"".join(value.to_bytes(2, "big") for value in values)

    def sixteen(self, bit: int) -> int:
        """Return the sixteen bits from number ``bit`` on, the first in bit 0; those outside of the range are 0."""
        return (int.from_bytes(self.data, "little") << self.first >> bit) & 0xFFFF


async def _no_such_unit(*_request: object) -> ExcCodes:
    """Answer for every unit but the PLC's, as a gateway does whose target is absent (pymodbus would log a stack trace)."""
    return ExcCodes.GATEWAY_NO_RESPONSE


class ModbusServer:
    """Serves the PLC's blocks to Modbus TCP clients; gw->plc blocks can be read and written, all others can be read only."""

    def __init__(
        self,
        tag_map: TagMap,
        up: bytearray,
        down: bytearray,
        *,
        extra: Iterable[tuple[Block, bytearray]] = (),
        unit: int = 1,
    ) -> None:
        """Share the bytes of all blocks at the map's registers and bits; ``extra`` may hold those of further lines.

        ValueError if the map's addresses are not Modbus ones.
        """
        blocks = ((tag_map.up, up), (tag_map.down, down), *extra)
        self._ranges = tuple(_Range(block, data) for block, data in blocks)
        self._written = tuple(r for r, (block, _) in zip(self._ranges, blocks, strict=True) if block.direction == "gw->plc")
        if any(r.area != "HR" for r in self._written):
            raise ValueError(f"block {tag_map.down.name} lies in input registers, which no client can write")
        self._unit = unit
        self._server: ModbusTcpServer | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen on that address alone and return the port, a free one for 0; RuntimeError if it cannot be had."""
        has_bits = any(r.area in _READ_BITS.values() for r in self._ranges)
        bits = [SimData(0, values=[False] * (65536 if has_bits else 16), datatype=DataType.BITS)]
        holding = [r.definition() for r in self._ranges if r.area == "HR"]
        inputs = [r.definition() for r in self._ranges if r.area == "IR"] or [SimData(0, datatype=DataType.INVALID)]
        device = SimDevice(self._unit, (bits, bits, holding, inputs), action=self._serve, use_bit_addressing=True)
        every = [SimData(0, count=65536, values=0, datatype=DataType.REGISTERS)]
        others = SimDevice(0, (bits, bits, every, every), action=_no_such_unit)
        self._server = ModbusTcpServer([device, others], address=(host, port))
        await self._server.serve_forever(background=True)
        return int(self._server.transport.sockets[0].getsockname()[1])  # type: ignore[attr-defined]

    async def stop(self) -> None:
        """Close the port and every connection; may be started again."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    async def _serve(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Serve one request of pymodbus: refuse it, apply it to the PLC's bytes, or refresh pymodbus' copy before a read."""
        if values is not None:
            if function not in _WRITE_HOLDING:
                return ExcCodes.ILLEGAL_FUNCTION
            down = next((r for r in self._written if r.holds(address, count)), None)
            if down is None:
                return ExcCodes.ILLEGAL_ADDRESS
            down.write(address, [int(value) for value in values])
            return None
        if function in _READ_BITS and any(r.area == _READ_BITS[function] for r in self._ranges):
            return self._serve_bits(_READ_BITS[function], address, count, registers)
        if function not in _READ_HOLDING + _READ_INPUT + _WRITE_HOLDING:
            return ExcCodes.ILLEGAL_FUNCTION
        area = "IR" if function in _READ_INPUT else "HR"
        at, end = address, address + count
        while at < end:
            # A request may span ranges that lie side by side.
            found = [r for r in self._ranges if r.area == area and r.holds(at, 1)]
            if not found:
                return ExcCodes.ILLEGAL_ADDRESS
            here = min(end, found[0].first + found[0].count) - at
            registers[at - start : at - start + here] = found[0].read(at, here)
            at += here
        return None

    def _serve_bits(self, area: Area, address: int, count: int, registers: list[int]) -> ExcCodes | None:
        """Refresh ``count`` words of sixteen bits from the one with bit number ``address`` on."""
        found = [r for r in self._ranges if r.area == area and r.holds(address, 1)]
        if not found or 16 * (address // 16 + count - 1) >= found[0].first + found[0].count:
            return ExcCodes.ILLEGAL_ADDRESS
        for word in range(address // 16, address // 16 + count):
            registers[word] = found[0].sixteen(16 * word)
        return None
