"""The simulated PLC's Modbus TCP port: two register ranges on pymodbus' server.

The registers are the PLC's bytes themselves, two a register, high byte first; pymodbus keeps a copy of its own that is
refreshed before every read and never trusted. A request is served in one go on the event loop, so that it falls whole
between two scans.

Known limits of pymodbus' server, which keep a gateway to one outstanding request: of requests that arrive together in one
segment only the first is answered, and a request that arrives before the one ahead was answered replaces it. An unknown unit
is answered with exception 11.

It knows bytes and register numbers, not what they mean.
"""

from __future__ import annotations

import struct
from typing import Literal

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.core.tags import Block, ModbusAddress, TagMap

_READ_HOLDING = (3, 22, 23)
_READ_INPUT = (4,)
_WRITE_HOLDING = (6, 16, 22, 23)


class _Range:
    """One block as registers."""

    def __init__(self, block: Block, data: bytearray) -> None:
        if not isinstance(block.base, ModbusAddress):
            raise ValueError(f"block {block.name} has an S7 address: a Modbus PLC needs a register range")
        self.area: Literal["HR", "IR"] = block.base.area
        self.first = block.base.register
        self.count = block.size // 2
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


async def _no_such_unit(*_request: object) -> ExcCodes:
    """Answer for every unit but the PLC's, as a gateway does whose target is absent (pymodbus would log a stack trace)."""
    return ExcCodes.GATEWAY_NO_RESPONSE


class ModbusServer:
    """Serves the PLC's two blocks to Modbus TCP clients; ``up`` can be read only, ``down`` can be read and written."""

    def __init__(self, tag_map: TagMap, up: bytearray, down: bytearray, *, unit: int = 1) -> None:
        """Share the bytes of both blocks at the map's registers; ValueError if the map's addresses are not Modbus ones."""
        self._ranges = (_Range(tag_map.up, up), _Range(tag_map.down, down))
        self._down = self._ranges[1]
        if self._down.area != "HR":
            raise ValueError(f"block {tag_map.down.name} lies in input registers, which no client can write")
        self._unit = unit
        self._server: ModbusTcpServer | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen on that address alone and return the port, a free one for 0; RuntimeError if it cannot be had."""
        unused = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        holding = [r.definition() for r in self._ranges if r.area == "HR"]
        inputs = [r.definition() for r in self._ranges if r.area == "IR"] or [SimData(0, datatype=DataType.INVALID)]
        device = SimDevice(self._unit, (unused, unused, holding, inputs), action=self._serve)
        every = [SimData(0, count=65536, values=0, datatype=DataType.REGISTERS)]
        others = SimDevice(0, (unused, unused, every, every), action=_no_such_unit)
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
            if not self._down.holds(address, count):
                return ExcCodes.ILLEGAL_ADDRESS
            self._down.write(address, [int(value) for value in values])
            return None
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
