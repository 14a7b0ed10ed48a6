"""The simulated PLC's S7 port: data blocks over ISO-on-TCP.

python-snap7's server answers what a client asks of a CPU besides data (setup, system status lists, clock, block list). Its
reads and writes are replaced, and so is its transport:

- a bit write overwrites the whole byte; a multi-item write applies only its first item; a write beyond the block is applied
  in part and then reported as failed; the CPU state cannot be read by the C library; any client may stop the CPU. Each is
  what a real PLC does not do, and would hide or invent faults of a gateway.
- it runs a thread a client and binds every address. Here everything runs on one event loop, so that a request is served
  whole between two scans, with no lock, and the scan can never be torn by one.

It knows bytes and data block numbers, not what they mean.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from snap7.s7protocol import S7Function, S7PDUType
from snap7.server import Server

from gateway.core.tags import Block, S7Address

Segment = tuple[int, bytearray]
"""Bytes of a data block, from a byte on."""

MAX_TPKT = 8192
DB_AREA = 0x84
BIT = 0x01

#: Bytes of one element by the transport size of an item's address.
_ELEMENT = {0x02: 1, 0x03: 1, 0x04: 2, 0x05: 2, 0x06: 4, 0x07: 4, 0x08: 4}
#: Transport sizes of data whose length is counted in bits; in all others it is counted in bytes.
_LENGTH_IN_BITS = (0x03, 0x04, 0x05)

OK = 0xFF
ACCESS_DENIED = 0x03
OUT_OF_RANGE = 0x05
UNSUPPORTED_TYPE = 0x06
INCONSISTENT_TYPE = 0x07
NO_SUCH_OBJECT = 0x0A

_NOT_AVAILABLE = 0x8104
_WRONG_SIZE = 0x8500
_SERVED = (S7Function.SETUP_COMMUNICATION, S7Function.READ_AREA, S7Function.WRITE_AREA)
_CPU_STATE = 0x0424


class _MalformedRequestError(Exception):
    """The request contradicts itself; nothing of it was applied."""


class _Item:
    """One addressed run of bytes, or one bit, as a client names it; ``start`` counts from the segment that holds it."""

    __slots__ = ("bit", "code", "data", "size", "start")

    def __init__(self, spec: bytes, blocks: Mapping[int, Sequence[Segment]]) -> None:
        """Parse a 12-byte address; ``code`` tells whether it lies wholly inside an existing block."""
        head, length, syntax, element, count, db, area, address = struct.unpack(">BBBBHHB3s", spec)
        if (head, length, syntax) != (0x12, 0x0A, 0x10):
            raise _MalformedRequestError
        bit_address = int.from_bytes(address, "big")
        self.start = bit_address >> 3
        self.bit = bit_address & 7 if element == BIT else -1
        self.size = 1 if element == BIT else count * _ELEMENT.get(element, 0)
        self.data = bytearray()
        for first, data in blocks.get(db, ()):
            if first <= self.start and self.start + self.size <= first + len(data):
                self.start, self.data = self.start - first, data
                break
        if area != DB_AREA or db not in blocks:
            self.code = NO_SUCH_OBJECT
        elif self.size == 0 or (element == BIT and count != 1):
            self.code = UNSUPPORTED_TYPE
        elif self.start + self.size > len(self.data) or (element != BIT and bit_address & 7):
            self.code = OUT_OF_RANGE
        else:
            self.code = OK

    def read(self) -> bytes:
        """Return the item of a read answer: code, transport size, length, data."""
        if self.code != OK:
            return struct.pack(">BBH", self.code, 0, 0)
        if self.bit >= 0:
            return struct.pack(">BBHB", OK, 0x03, 1, self.data[self.start] >> self.bit & 1)
        return struct.pack(">BBH", OK, 0x04, self.size * 8) + self.data[self.start : self.start + self.size]

    def write(self, transport: int, value: bytes) -> None:
        """Apply ``value`` whole, or leave the block as it is and set ``code``."""
        if self.code == OK and (len(value) != self.size or (self.bit >= 0) != (transport == 0x03)):
            self.code = INCONSISTENT_TYPE
        if self.code != OK:
            return
        if self.bit >= 0:
            mask = 1 << self.bit
            self.data[self.start] = self.data[self.start] & ~mask | (mask if value[0] & 1 else 0)
        else:
            self.data[self.start : self.start + self.size] = value


class _CpuServer(Server):
    """python-snap7's server as a pure function from request to answer, with its defects corrected."""

    def __init__(
        self, blocks: Mapping[int, Sequence[Segment]], written: Sequence[bytearray], cpu_running: Callable[[], bool]
    ) -> None:
        super().__init__(log=False)
        self._blocks = blocks
        self._written = written
        self._cpu_running = cpu_running

    def answer(self, request: bytes, peer: tuple[str, int]) -> bytes | None:
        """Return the answer to one request, or None if the connection cannot be trusted any more."""
        return self._process_request(request, peer)

    def refusal(self, request: bytes, code: int) -> bytes:
        """Return the answer that refuses a whole request."""
        return self._build_error_response({"sequence": int.from_bytes(request[4:6], "big")}, code)

    def _process_request(self, request_data: bytes, client_address: tuple[str, int]) -> bytes | None:
        if len(request_data) < 10 or request_data[0] != 0x32:
            return None
        if request_data[1] == S7PDUType.USERDATA:
            return super()._process_request(request_data, client_address)
        parameters = int.from_bytes(request_data[6:8], "big")
        data = int.from_bytes(request_data[8:10], "big")
        if request_data[1] != S7PDUType.REQUEST or parameters < 1 or len(request_data) != 10 + parameters + data:
            return None
        function = request_data[10]
        if function not in _SERVED:
            return self.refusal(request_data, _NOT_AVAILABLE)
        if function == S7Function.SETUP_COMMUNICATION:
            return super()._process_request(request_data, client_address)
        try:
            items = self._items(request_data[11 : 10 + parameters])
            if function == S7Function.READ_AREA:
                body = _even(items)
            else:
                body = self._write(items, request_data[10 + parameters :])
        except _MalformedRequestError:
            return self.refusal(request_data, _WRONG_SIZE)
        head = struct.pack(">BBH2sHHH", 0x32, S7PDUType.ACK_DATA, 0, request_data[4:6], 2, len(body), 0)
        return head + bytes([function, len(items)]) + body

    def _items(self, listed: bytes) -> list[_Item]:
        if not listed or listed[0] == 0 or len(listed) != 1 + 12 * listed[0]:
            raise _MalformedRequestError
        return [_Item(listed[i : i + 12], self._blocks) for i in range(1, len(listed), 12)]

    def _write(self, items: list[_Item], data: bytes) -> bytes:
        """Read every value first, then apply each item whole or not at all; return one code an item."""
        values: list[tuple[int, bytes]] = []
        at = 0
        for _ in items:
            if at + 4 > len(data):
                raise _MalformedRequestError
            _reserved, transport, length = struct.unpack_from(">BBH", data, at)
            size = (length + 7) // 8 if transport in _LENGTH_IN_BITS else length
            value = data[at + 4 : at + 4 + size]
            if len(value) != size:
                raise _MalformedRequestError
            values.append((transport, value))
            at += 4 + size + size % 2
        for item, (transport, value) in zip(items, values, strict=True):
            if not any(item.data is data for data in self._written) and item.code == OK:
                item.code = ACCESS_DENIED
            item.write(transport, value)
        return bytes(item.code for item in items)

    def _get_szl_data(self, szl_id: int, szl_index: int) -> bytes | None:
        if szl_id != _CPU_STATE:
            return super()._get_szl_data(szl_id, szl_index)
        state = 0x08 if self._cpu_running() else 0x04
        return struct.pack(">HH", 20, 1) + bytes([0x51, 0x44, 0xFF, state]) + bytes(16)


def _even(items: list[_Item]) -> bytes:
    """Join the items of a read answer, each but the last filled up to an even length."""
    body = bytearray()
    for item in items:
        body += bytes(len(body) % 2) + item.read()
    return bytes(body)


class _Connection(asyncio.Protocol):
    """One client: TPKT frames, the COTP connection, whole requests to the CPU and answers back."""

    def __init__(self, cpu: _CpuServer, connections: set[_Connection]) -> None:
        self._cpu = cpu
        self._connections = connections
        self._received = bytearray()
        self._request = bytearray()
        self._connected = False
        self._pdu_size = 240
        self._peer = ("", 0)
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's classes, so that this cannot be checked at run time.
        self.transport = cast(asyncio.Transport, transport)
        self._peer = transport.get_extra_info("peername")[:2]
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= 4 and not self.transport.is_closing():
            length = int.from_bytes(self._received[2:4], "big")
            if self._received[0] != 3 or not 7 <= length <= MAX_TPKT:
                self.transport.abort()
            elif len(self._received) < length:
                return
            else:
                frame = bytes(self._received[4:length])
                del self._received[:length]
                self._take(frame)

    def _take(self, frame: bytes) -> None:
        """Handle one COTP unit: connection request, data, or anything else, which ends the connection."""
        if frame[1] == 0xE0 and not self._connected and len(frame) >= 7:
            self._connected = True
            confirm = bytes([0xD0]) + frame[4:6] + b"\x00\x01\x00" + frame[7 : 1 + frame[0]]
            self._send(bytes([len(confirm)]) + confirm)
        elif frame[1] == 0xF0 and self._connected:
            self._request += frame[3:]
            if len(self._request) > MAX_TPKT:
                self.transport.abort()
            elif frame[2] & 0x80:
                request = bytes(self._request)
                self._request.clear()
                self._answer(request)
        else:
            self.transport.abort()

    def _answer(self, request: bytes) -> None:
        answer = self._cpu.answer(request, self._peer)
        if answer is None:
            self.transport.abort()
            return
        if request[10:11] == bytes([S7Function.SETUP_COMMUNICATION]):
            self._pdu_size = int.from_bytes(answer[-2:], "big")
        elif len(answer) > self._pdu_size:
            answer = self._cpu.refusal(request, _WRONG_SIZE)
        self._send(b"\x02\xf0\x80" + answer)

    def _send(self, unit: bytes) -> None:
        self.transport.write(struct.pack(">BBH", 3, 0, 4 + len(unit)) + unit)


class S7Server:
    """Serves the PLC's blocks to S7 clients; gw->plc blocks can be read and written, all others can be read only."""

    def __init__(
        self,
        db_up: int,
        up: bytearray,
        db_down: int,
        down: bytearray,
        *,
        extra: Iterable[tuple[Block, bytearray]] = (),
        cpu_running: Callable[[], bool] = lambda: True,
    ) -> None:
        """Share the bytes of all blocks under their data block numbers; ``cpu_running`` tells RUN from STOP.

        ``extra`` may hold the blocks of further lines on the same PLC.
        """
        if db_up == db_down:
            raise ValueError(f"DB{db_up} cannot be both blocks: each direction has a block of its own")
        blocks: dict[int, list[Segment]] = {db_up: [(0, up)], db_down: [(0, down)]}
        written = [down]
        for block, data in extra:
            if not isinstance(block.base, S7Address):
                raise ValueError(f"block {block.name} has a Modbus address: an S7 PLC needs a data block")
            blocks.setdefault(block.base.db, []).append((block.base.byte, data))
            if block.direction == "gw->plc":
                written.append(data)
        self._cpu = _CpuServer(blocks, written, cpu_running)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen on that address alone and return the port, a free one for 0; OSError if it cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self._cpu, self._connections), host, port)
        bound: tuple[Any, ...] = self._server.sockets[0].getsockname()
        return int(bound[1])

    async def stop(self) -> None:
        """Close the port and abort every connection; may be started again."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.transport.abort()
            await self._server.wait_closed()
            self._server = None
