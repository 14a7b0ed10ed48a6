"""Modbus TCP over pymodbus: FC3 and FC16, one request a span, every field of the answer validated.

The library re-sends, reconnects, accepts transaction 0 and any function code, and lets a reset connection run into the
time-out; here it may do none of that. The image of a block is its registers one behind the other, each big-endian.
"""

from __future__ import annotations

import asyncio
import logging
import struct

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, WriteMultipleRegistersRequest

from gateway.core.errors import DeviceProtocolError, DeviceRefused, DeviceUnavailable
from gateway.core.tags import ModbusAddress, Span
from gateway.plc.driver import CONNECT_TIMEOUT_S, MAX_WRITE_BYTES, REQUEST_TIMEOUT_S

MAX_READ_REGISTERS = 125
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
    """Reads and writes holding registers of one unit."""

    def __init__(self, name: str, host: str, port: int, *, unit: int, request_timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        """Take the address; nothing is opened before :meth:`connect`."""
        self._name = name
        self._host, self._port, self._unit = host, port, unit
        self._timeout_s = request_timeout_s
        self._client: AsyncModbusTcpClient | None = None

    async def connect(self) -> None:
        """Connect once; DeviceUnavailable names host, port and what to look at."""
        await self.close()
        client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=lambda up: None if up else _fail_pending(client),
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
        self._client = client

    async def read(self, span: Span) -> bytes:
        """Read the span with one FC3."""
        start, count = _registers(span)
        if count > MAX_READ_REGISTERS:
            raise ValueError(f"{span.block.name}: {count} registers do not fit into one request of {MAX_READ_REGISTERS}")
        answer = await self._call("read", ReadHoldingRegistersRequest(address=start, count=count, dev_id=self._unit))
        if len(answer.registers) != count:
            await self.close()
            raise DeviceProtocolError(self._name, "read", f"{len(answer.registers)} registers came for {count}")
        return struct.pack(f">{count}H", *answer.registers)

    async def write(self, span: Span, data: bytes) -> None:
        """Write the span with one FC16; returns after the device acknowledged exactly it."""
        start, count = _registers(span)
        if len(data) != span.length or len(data) > MAX_WRITE_BYTES:
            raise ValueError(f"{span.block.name}: {len(data)} bytes for a span of {span.length} (at most {MAX_WRITE_BYTES})")
        registers = list(struct.unpack(f">{count}H", data))
        request = WriteMultipleRegistersRequest(address=start, registers=registers, count=count, dev_id=self._unit)
        answer = await self._call("write", request)
        if (answer.address, answer.count) != (start, count):
            await self.close()
            echoed = f"the answer is for {answer.count} registers at {answer.address}"
            raise DeviceProtocolError(self._name, "write", f"{echoed}, {count} at {start} were sent")

    async def close(self) -> None:
        """Cut the connection."""
        client, self._client = self._client, None
        if client is not None:
            _cut(client)

    async def _call(self, op: str, request: ModbusPDU) -> ModbusPDU:
        """Make one request; whatever goes wrong leaves the driver disconnected, for the stream may be out of step."""
        if self._client is None:
            raise DeviceUnavailable(self._name, op, "not connected")
        try:
            async with asyncio.timeout(self._timeout_s):
                answer: ModbusPDU = await self._client.execute(False, request)
        except (ConnectionException, OSError) as error:
            await self.close()
            raise DeviceUnavailable(self._name, op, f"the connection was lost: {error}") from None
        except (TimeoutError, ModbusException) as error:
            await self.close()
            late = isinstance(error, TimeoutError) or "No response" in str(error)
            why = f"no answer within {self._timeout_s * 1e3:.0f} ms" if late else str(error)
            raise (DeviceUnavailable if late else DeviceProtocolError)(self._name, op, why) from None
        except BaseException:
            await self.close()
            raise
        wrong = _mismatch(request, answer)
        if wrong:
            await self.close()
            raise DeviceProtocolError(self._name, op, wrong)
        if isinstance(answer, ExceptionResponse):
            await self.close()
            code = answer.exception_code
            raise DeviceRefused(self._name, op, f"exception {code}: {_EXCEPTIONS.get(code, 'unknown')}")
        return answer


def _mismatch(request: ModbusPDU, answer: ModbusPDU) -> str:
    """Return how the answer does not belong to the request, or ''."""
    if answer.transaction_id != request.transaction_id:
        return f"the answer carries transaction {answer.transaction_id}, sent was {request.transaction_id}"
    if answer.dev_id != request.dev_id:
        return f"the answer is from unit {answer.dev_id}, asked was {request.dev_id}"
    if answer.function_code & 0x7F != request.function_code:
        return f"the answer is to function {answer.function_code & 0x7F}, sent was {request.function_code}"
    return ""


def _registers(span: Span) -> tuple[int, int]:
    base = span.block.base
    if not isinstance(base, ModbusAddress):
        raise TypeError(f"{span.block.name} has no Modbus address")
    if span.offset % 2 or span.length % 2:
        raise ValueError(f"{span.block.name}: a span begins and ends on a register, not at {span.offset}+{span.length}")
    return base.register + span.offset // 2, span.length // 2


def _fail_pending(client: AsyncModbusTcpClient) -> None:
    """Fail the request under way at once when the connection is lost; the library would let it wait for its time-out."""
    future = client.ctx.response_future
    if not future.done():
        future.set_exception(ConnectionException("the peer closed it"))
        # Nobody waits for it when no request was under way.
        future.add_done_callback(lambda f: f.exception())


def _cut(client: AsyncModbusTcpClient) -> None:
    transport = client.ctx.transport
    if transport is not None and hasattr(transport, "abort"):
        transport.abort()
    client.close()
