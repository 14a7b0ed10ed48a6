"""Modbus TCP over pymodbus: FC1 to FC4 and FC16, one request a span, every byte of the answer's frame validated.

The library re-sends, reconnects, accepts transaction 0, any function code and any echo, skips what it does not expect and lets
a reset connection run into the time-out; here it may do none of that. The image of a block is its registers one behind the
other, each big-endian; that of a bit area its bits, eight a byte, the first in bit 0.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Mapping

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
)

from gateway.core.errors import DeviceProtocolError, DeviceRefused, DeviceUnavailable
from gateway.core.tags import Area, ModbusAddress, Span
from gateway.plc.driver import (
    CONNECT_TIMEOUT_S,
    MAX_READ_BYTES,
    MAX_WRITE_BYTES,
    REQUEST_TIMEOUT_S,
    forget_at_close,
    raise_if_cancelled,
)

READ_BITS, READ_REGISTERS, WRITE = (1, 2), (3, 4), 16
_READS: Mapping[Area, type[ModbusPDU]] = {
    "CO": ReadCoilsRequest,
    "DI": ReadDiscreteInputsRequest,
    "HR": ReadHoldingRegistersRequest,
    "IR": ReadInputRegistersRequest,
}
_HEAD = 7
"""Bytes of the MBAP header: transaction, protocol, length, unit."""
_EXCEPTIONS = {
    1: "illegal function: the device does not offer it",
    2: "illegal data address: the block is not where the map says",
    3: "illegal data value",
    4: "server device failure",
    6: "server device busy",
    10: "gateway path unavailable",
    11: "the unit does not answer: is the unit number right?",
}
# What the library would log, with packet dumps, is raised here and logged once by the link's state.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class ModbusDriver:
    """Reads all areas and writes the holding registers of one unit."""

    def __init__(self, name: str, host: str, port: int, *, unit: int, request_timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        """Take the address; nothing is opened before :meth:`connect`."""
        self._name = name
        self._host, self._port, self._unit = host, port, unit
        self._timeout_s = request_timeout_s
        self._client: AsyncModbusTcpClient | None = None

    async def connect(self) -> None:
        """Connect once; DeviceUnavailable names host, port and what to look at."""
        await self.close()
        watch = _Watch()
        client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            timeout=CONNECT_TIMEOUT_S,
            retries=0,
            reconnect_delay=0,
            trace_connect=lambda up: None if up else _fail(client, ConnectionException("the peer closed it")),
            trace_packet=lambda sending, data: watch(client, sending, data),
        )
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connected = await client.connect()
        except (OSError, TimeoutError, ModbusException):
            connected = False
        except BaseException:
            _cut(client)
            raise
        if not connected:
            _cut(client)
            where = f"{self._host}:{self._port}"
            raise DeviceUnavailable(self._name, "connect", f"{where} does not answer; is the PLC on and the address right?")
        forget_at_close(client.ctx.transport)
        self._client = client

    async def read(self, span: Span) -> bytes:
        """Read the span with one request."""
        base = _base(span)
        start, count = _bits(span) if span.block.bits else _registers(span)
        if span.length > MAX_READ_BYTES:
            raise ValueError(f"{span.block.name}: {span.length} bytes do not fit into one request of {MAX_READ_BYTES}")
        answer = await self._call("read", _READS[base.area](address=start, count=count, dev_id=self._unit), span)
        if span.block.bits:
            packed = sum(1 << i for i, bit in enumerate(answer.bits[:count]) if bit)
            return packed.to_bytes(span.length, "little")
        return struct.pack(f">{count}H", *answer.registers)

    async def write(self, span: Span, data: bytes) -> None:
        """Write the span with one FC16; returns after the device acknowledged exactly it."""
        base, (start, count) = _base(span), _registers(span)
        if base.area != "HR":
            raise ValueError(f"{span.block.name}: only holding registers are written")
        if len(data) != span.length or len(data) > MAX_WRITE_BYTES:
            raise ValueError(f"{span.block.name}: {len(data)} bytes for a span of {span.length} (at most {MAX_WRITE_BYTES})")
        registers = list(struct.unpack(f">{count}H", data))
        request = WriteMultipleRegistersRequest(address=start, registers=registers, count=count, dev_id=self._unit)
        await self._call("write", request, span)

    async def close(self) -> None:
        """Cut the connection; a request under way fails at once."""
        if self._client is not None:
            self._drop(self._client)

    async def _call(self, op: str, request: ModbusPDU, span: Span) -> ModbusPDU:
        """Make one request; whatever goes wrong leaves the driver disconnected, for the stream may be out of step."""
        client = self._client
        if client is None:
            raise DeviceUnavailable(self._name, op, "not connected")
        try:
            async with asyncio.timeout(self._timeout_s):
                answer: ModbusPDU = await client.execute(False, request)
            raise_if_cancelled()
        except TimeoutError:
            self._drop(client)
            raise DeviceUnavailable(self._name, op, f"no answer within {self._timeout_s * 1e3:.0f} ms") from None
        except (ConnectionException, OSError) as error:
            self._drop(client)
            raise DeviceUnavailable(self._name, op, f"the connection was lost: {error}") from None
        except ModbusException as error:
            self._drop(client)
            raise DeviceProtocolError(self._name, op, error.string) from None
        except BaseException:
            self._drop(client)
            raise
        if isinstance(answer, ExceptionResponse):
            self._drop(client)
            code = answer.exception_code
            where = f"{span.block.name} ({_base(span).area}:{request.address}, {request.count})"
            raise DeviceRefused(self._name, op, f"{where}: exception {code}: {_EXCEPTIONS.get(code, 'unknown')}")
        return answer

    def _drop(self, client: AsyncModbusTcpClient) -> None:
        if self._client is client:
            self._client = None
        _cut(client)


class _Watch:
    """Sees the bytes both ways and fails the request whose answer does not fit it, before the library can excuse it."""

    def __init__(self) -> None:
        self._sent = b""

    def __call__(self, client: AsyncModbusTcpClient, sending: bool, data: bytes) -> bytes:
        """Return the bytes as they may go on."""
        if sending:
            self._sent = data
            return data
        wrong = misfit(self._sent, data)
        if wrong:
            _fail(client, ModbusIOException(wrong))
            return b""
        return data


def misfit(sent: bytes, received: bytes) -> str:
    """Return how the frame received so far does not answer the frame sent, or '' as long as it may."""
    if received[:2] != sent[:2][: len(received)]:
        return (
            f"the answer carries transaction {int.from_bytes(received[:2], 'big')}, sent was {int.from_bytes(sent[:2], 'big')}"
        )
    if len(received) <= _HEAD:
        return ""
    function, asked = received[_HEAD], sent[_HEAD]
    if received[2:4] != b"\0\0":
        return "the answer is of another protocol than Modbus"
    if received[6] != sent[6]:
        return f"the answer is from unit {received[6]}, asked was {sent[6]}"
    if function & 0x7F != asked:
        return f"the answer is to function {function & 0x7F}, sent was {asked}"
    count = int.from_bytes(sent[_HEAD + 3 : _HEAD + 5], "big")
    data = 2 * count if asked in READ_REGISTERS else (count + 7) // 8
    body = 2 if function & 0x80 else 5 if asked == WRITE else 2 + data
    length = int.from_bytes(received[4:6], "big")
    if length != 1 + body or len(received) > _HEAD + body:
        return f"the answer has {max(length - 1, len(received) - _HEAD)} bytes behind its header, {body} are right"
    reads = (*READ_BITS, *READ_REGISTERS)
    if function in reads and len(received) > _HEAD + 1 and received[_HEAD + 1] != data:
        what = "registers" if function in READ_REGISTERS else "bits"
        return f"the answer holds {received[_HEAD + 1]} bytes of {what}, asked were {data}"
    if function == WRITE and len(received) == _HEAD + body and received[_HEAD:] != sent[_HEAD : _HEAD + 5]:
        address, echoed = struct.unpack(">HH", received[_HEAD + 1 : _HEAD + 5])
        return f"the answer is for {echoed} registers at {address}, which were not the ones sent"
    return ""


def _base(span: Span) -> ModbusAddress:
    if not isinstance(span.block.base, ModbusAddress):
        raise TypeError(f"{span.block.name} has no Modbus address")
    return span.block.base


def _bits(span: Span) -> tuple[int, int]:
    """Return the first bit and how many, none beyond those that the block has."""
    first = 8 * span.offset
    return _base(span).register + first, min(8 * span.length, span.block.bits - first)


def _registers(span: Span) -> tuple[int, int]:
    base = _base(span)
    if span.offset % 2 or span.length % 2:
        raise ValueError(f"{span.block.name}: a span begins and ends on a register, not at {span.offset}+{span.length}")
    return base.register + span.offset // 2, span.length // 2


def _fail(client: AsyncModbusTcpClient, error: ModbusException) -> None:
    """Fail the request under way at once; the library would let it wait for its time-out."""
    future = client.ctx.response_future
    if not future.done():
        future.set_exception(error)
        # Nobody waits for it when no request was under way.
        future.add_done_callback(lambda f: f.exception())


def _cut(client: AsyncModbusTcpClient) -> None:
    _fail(client, ConnectionException("it was closed"))
    transport = client.ctx.transport
    if transport is not None and hasattr(transport, "abort"):
        transport.abort()
    client.close()
