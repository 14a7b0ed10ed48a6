"""What pymodbus and python-snap7, as installed, do to whoever trusts them: each fact that the drivers defend against.

A test that fails here after an upgrade is no bug of ours: the library has changed, and the defence named in
docs/library-facts.md may be looked at again. The defences themselves are tested beside the drivers.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from snap7 import AsyncClient, Server
from snap7.error import S7ConnectionError
from snap7.type import Area, SrvArea

from gateway.plc.driver import MAX_WRITE_BYTES, REQUEST_TIMEOUT_S
from gateway.plc.link import BACKOFF_S
from gateway.plc.s7 import READ_OVERHEAD, WRITE_OVERHEAD
from tests.integration.plc_stand import until
from tests.integration.wire import Script, Wire, modbus_server, s7_answer, s7_server

VALUES = b"\x01\x02\x03\x04\x05\x06\x07\x08"
WORDS = [0x0102, 0x0304, 0x0506, 0x0708]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The libraries log packet dumps; that they do is held beside the drivers."""
    loggers = [logging.getLogger(name) for name in ("pymodbus.logging", "snap7")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


# -- pymodbus' client ---------------------------------------------------------------------------------------------------


def frame(request: bytes, body: bytes, *, tid: int | None = None) -> bytes:
    tid = int.from_bytes(request[:2], "big") if tid is None else tid
    return struct.pack(">HHHB", tid, 0, len(body) + 1, request[6]) + body


@asynccontextmanager
async def modbus(script: Script, **options: Any) -> AsyncIterator[tuple[AsyncModbusTcpClient, Wire]]:
    async with modbus_server(script) as wire:
        client = AsyncModbusTcpClient("127.0.0.1", port=wire.port, **({"retries": 0, "reconnect_delay": 0} | options))
        assert await client.connect()
        try:
            yield client, wire
        finally:
            client.close()


@pytest.mark.parametrize(
    ("lie", "taken_for"),
    [
        pytest.param(lambda r: frame(r, b"\x03\x08" + VALUES, tid=0), WORDS, id="transaction 0"),
        pytest.param(lambda r: frame(r, b"\x04\x08" + VALUES), WORDS, id="another function code"),
        pytest.param(lambda r: frame(r, b"\x03\x04" + VALUES[:4]), WORDS[:2], id="short read"),
    ],
)
async def test_pymodbus_takes_an_answer_that_does_not_fit_for_success(lie: Script, taken_for: list[int]) -> None:
    async with modbus(lie) as (client, _):
        answer = await client.read_holding_registers(4, count=4, device_id=1)
        assert not answer.isError()
        assert answer.registers == taken_for


async def test_pymodbus_takes_a_wrong_echo_of_a_write_for_success() -> None:
    async with modbus(lambda r: frame(r, struct.pack(">BHH", 16, 999, 1))) as (client, _):
        answer = await client.write_registers(4, [1, 2], device_id=1)
        assert not answer.isError()


async def test_pymodbus_sends_a_write_without_an_answer_four_times_and_may_wait_minutes_to_reconnect() -> None:
    async with modbus_server(lambda r: b"") as wire:
        client = AsyncModbusTcpClient("127.0.0.1", port=wire.port, timeout=0.2)
        assert await client.connect()
        with pytest.raises(ModbusIOException, match="No response"):
            await client.write_registers(4, [1, 2], device_id=1)
        client.close()
        assert len(wire.sent) == 4
        assert {r[7:] for r in wire.sent} == {struct.pack(">BHHBHH", 16, 4, 2, 4, 1, 2)}
    defaults = {name: p.default for name, p in inspect.signature(AsyncModbusTcpClient.__init__).parameters.items()}
    assert (defaults["timeout"], defaults["retries"], defaults["reconnect_delay_max"]) == (3, 3, 300)
    assert REQUEST_TIMEOUT_S <= 0.15
    assert max(BACKOFF_S) <= 0.25, "our link's own pause before it connects again"


async def test_pymodbus_does_not_pass_a_reset_on_to_the_request_under_way() -> None:
    """It is found only by the time-out, which is what this test waits for."""
    async with modbus(lambda r: None, timeout=0.2) as (client, wire):
        with pytest.raises(ModbusIOException, match="No response received after 0 retries"):
            await client.read_holding_registers(4, count=4, device_id=1)
        assert len(wire.sent) == 1


async def test_pymodbus_passes_a_cancellation_on_since_3_16_1() -> None:
    async with modbus(lambda r: b"", timeout=30) as (client, wire):
        reading = asyncio.create_task(client.read_holding_registers(4, count=4, device_id=1))
        await until(lambda: wire.sent, "asked")
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


def test_pymodbus_knows_an_order_of_words_but_none_of_bytes() -> None:
    parameters = inspect.signature(AsyncModbusTcpClient.convert_from_registers).parameters
    assert [name for name in parameters if "order" in name] == ["word_order"]


# -- pymodbus' server ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def modbus_port() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    device = SimDevice(1, [SimData(0, count=16, values=7, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer([device], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.transport.sockets[0].getsockname()[1])  # type: ignore[attr-defined]
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await server.shutdown()  # type: ignore[no-untyped-call]


def read_one(tid: int, unit: int = 1) -> bytes:
    return struct.pack(">HHHBBHH", tid, 0, 6, unit, 3, 0, 1)


async def test_pymodbus_server_drops_the_second_of_two_requests_in_one_segment() -> None:
    async with modbus_port() as (reader, writer):
        writer.write(read_one(1) + read_one(2))
        assert (await reader.readexactly(11))[:2] == b"\0\1"
        writer.write(read_one(3))
        assert (await reader.readexactly(11))[:2] == b"\0\3", "the next answer is the third's"


async def test_pymodbus_server_answers_exception_4_for_a_unit_that_is_not_there() -> None:
    async with modbus_port() as (reader, writer):
        writer.write(read_one(1, unit=9))
        assert (await reader.readexactly(9))[7:] == b"\x83\x04"


# -- python-snap7's client ------------------------------------------------------------------------------------------------

READ, WRITE = 4, 5


def right(request: bytes) -> bytes:
    """Answer as a good PLC does."""
    if request[10] == WRITE:
        return s7_answer(request, b"\x05\x01", b"\xff")
    count = int.from_bytes(request[16:18], "big")
    return s7_answer(request, b"\x04\x01", struct.pack(">BBH", 0xFF, 4, count * 8) + (VALUES * 80)[:count])


@asynccontextmanager
async def s7() -> AsyncIterator[tuple[AsyncClient, Wire]]:
    async with s7_server(right) as wire:
        client = AsyncClient()
        await client.connect("127.0.0.1", 0, 1, tcp_port=wire.port)
        try:
            yield client, wire
        finally:
            await client.disconnect()


ITEMS = [{"area": Area.DB, "db_number": 1, "start": 2 * i, "size": 2, "data": bytearray(2)} for i in range(3)]


@pytest.mark.parametrize(
    ("call", "requests"),
    [
        pytest.param(lambda c: c.db_write_bool(1, 0, 3, True), [READ, WRITE], id="db_write_bool reads the byte first"),
        pytest.param(lambda c: c.write_tag("DB1.DBX0.3:BOOL", True), [READ, WRITE], id="write_tag(BOOL) as well"),
        pytest.param(lambda c: c.read_multi_vars(ITEMS), [READ] * 3, id="read_multi_vars: one request an item"),
        pytest.param(lambda c: c.write_multi_vars(ITEMS), [WRITE] * 3, id="write_multi_vars: one request an item"),
        pytest.param(lambda c: c.db_write(1, 0, bytearray(480)), [WRITE] * 2, id="a write above the PDU is split"),
        pytest.param(lambda c: c.db_read(1, 0, 480), [READ] * 2, id="a read above the PDU is split"),
        pytest.param(lambda c: c.db_write(1, 0, bytearray(480 - WRITE_OVERHEAD)), [WRITE], id="the most that one write holds"),
        pytest.param(lambda c: c.db_read(1, 0, 480 - READ_OVERHEAD), [READ], id="the most that one read gets"),
    ],
)
async def test_what_snap7_makes_of_one_call(call: Callable[[AsyncClient], Any], requests: list[int]) -> None:
    async with s7() as (client, wire):
        assert client.pdu_length == 480
        await call(client)
        assert [request[10] for request in wire.sent] == requests
    assert MAX_WRITE_BYTES <= 64, "far below what would be split, whatever PDU the PLC grants"


async def test_snap7_waits_five_seconds_whatever_it_is_told() -> None:
    async with s7() as (client, _):
        assert client.connection is not None and client.connection.timeout == 5.0
    assert "timeout" not in inspect.signature(AsyncClient.connect).parameters


async def test_a_cancelled_call_of_snap7_leaves_a_stream_out_of_step_that_says_it_is_connected() -> None:
    async with s7() as (client, wire):
        wire.most = 10
        reading = asyncio.create_task(client.db_read(1, 0, 8))
        await until(lambda: wire.sent, "asked")
        await asyncio.sleep(0.05)  # the ten bytes are there
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        wire.most = None
        assert client.get_connected()
        with pytest.raises(S7ConnectionError, match="TPKT"):
            await client.db_read(1, 0, 8)
        assert client.get_connected(), "even now"
        assert len(wire.writers) == 1, "and it does not connect again by itself"


# -- python-snap7's server ------------------------------------------------------------------------------------------------


def job(function: int, items: list[bytes], data: bytes) -> bytes:
    parameters = bytes([function, len(items)]) + b"".join(items)
    return struct.pack(">BBHHHH", 0x32, 1, 0, 0x0203, len(parameters), len(data)) + parameters + data


def item(start: int, count: int, element: int = 0x02, bit: int = 0) -> bytes:
    return struct.pack(">BBBBHHB", 0x12, 0x0A, 0x10, element, count, 1, 0x84) + (8 * start + bit).to_bytes(3, "big")


BIT_3_ON = job(WRITE, [item(0, 1, 0x01, 3)], b"\0\x03\0\x01\x01")
TWO_BYTES = job(WRITE, [item(0, 1), item(2, 1)], b"\0\x04\0\x08\x01\0" + b"\0\x04\0\x08\x02")
OVER_THE_END = job(WRITE, [item(6, 4)], b"\0\x04\0\x20\x01\x02\x03\x04")


@pytest.mark.parametrize(
    ("request_bytes", "left"),
    [
        pytest.param(BIT_3_ON, "01f0f0f0f0f0f0f0", id="a bit write overwrites its byte"),
        pytest.param(TWO_BYTES, "01f0f0f0f0f0f0f0", id="of a multi-write only the first item is applied"),
        pytest.param(OVER_THE_END, "f0f0f0f0f0f00102", id="a write over the end is applied in part"),
    ],
)
def test_what_snap7s_server_makes_of_a_write(request_bytes: bytes, left: str) -> None:
    server, block = Server(log=False), bytearray(b"\xf0" * 8)
    server.register_area(SrvArea.DB, 1, block)
    server._process_request(request_bytes, ("127.0.0.1", 1))
    assert block.hex() == left


def test_snap7s_server_tells_no_cpu_state_and_binds_every_address() -> None:
    server = Server(log=False)
    assert server._get_szl_data(0x0424, 0) is None
    assert server.host == "0.0.0.0"
