"""The simulated PLC's Modbus port, by frames written out byte by byte and by pymodbus' client."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from pymodbus.client import AsyncModbusTcpClient

from gateway.core.tags import Block, ModbusAddress, S7Address, TagMap
from simulators.plc_modbus import ModbusServer


def two_ranges(up: ModbusAddress | S7Address, down: ModbusAddress | S7Address) -> TagMap:
    return TagMap(
        name="bench",
        order="CDAB",
        up=Block(name="Up", base=up, direction="plc->gw", tags=(), size=168),
        down=Block(name="Down", base=down, direction="gw->plc", tags=(), size=148),
    )


HOLDING = two_ranges(ModbusAddress(area="HR", register=100), ModbusAddress(area="HR", register=184))  # adjacent
INPUT = two_ranges(ModbusAddress(area="IR", register=20), ModbusAddress(area="HR", register=20))  # same numbers


@dataclass
class Served:
    up: bytearray
    down: bytearray
    port: int
    server: ModbusServer


async def serve(tag_map: TagMap) -> Served:
    up, down = bytearray(range(168)), bytearray(148)
    server = ModbusServer(tag_map, up, down, unit=3)
    return Served(up=up, down=down, port=await server.start(), server=server)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    state = await serve(HOLDING)
    yield state
    await state.server.stop()


async def exchange(port: int, pdu: bytes, unit: int = 3) -> bytes:
    """Send one request and return the PDU of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(struct.pack(">HHHB", 0x0A0B, 0, 1 + len(pdu), unit) + pdu)
    head = await asyncio.wait_for(reader.readexactly(7), 2)
    transaction, protocol, length, answered = struct.unpack(">HHHB", head)
    assert (transaction, protocol, answered) == (0x0A0B, 0, unit)
    body = await asyncio.wait_for(reader.readexactly(length - 1), 2)
    writer.close()
    await writer.wait_closed()
    return body


@pytest.mark.parametrize(
    ("request_hex", "answer_hex"),
    [
        pytest.param("0300640002", "030400010203", id="up, from the start"),
        pytest.param("0300b70001", "0302a6a7", id="up, the last register"),
        pytest.param("0300b70002", "0304a6a70000", id="across both ranges"),
        pytest.param("0300630001", "8302", id="before the first"),
        pytest.param("0301010001", "0302" + "0000", id="down, the last register"),
        pytest.param("0301010002", "8302", id="over the end"),
        pytest.param("0400640001", "8402", id="no input registers there"),
        pytest.param("0100640001", "8102", id="coils"),
        pytest.param("0200640001", "8202", id="discrete inputs"),
    ],
)
async def test_reads(served: Served, request_hex: str, answer_hex: str) -> None:
    assert (await exchange(served.port, bytes.fromhex(request_hex))).hex() == answer_hex


@pytest.mark.parametrize(
    ("request_hex", "answer_hex", "offset", "written_hex"),
    [
        pytest.param("0600b81234", "0600b81234", 0, "1234", id="one register"),
        pytest.param("1000ba000306010203040506", "1000ba0003", 4, "010203040506", id="three registers"),
        pytest.param("1600b9000000ab", "1600b9000000ab", 2, "00ab", id="mask"),
        pytest.param("170064000100b9000102beef", "17020001", 2, "beef", id="write and read"),
    ],
)
async def test_writes(served: Served, request_hex: str, answer_hex: str, offset: int, written_hex: str) -> None:
    assert (await exchange(served.port, bytes.fromhex(request_hex))).hex() == answer_hex
    expected = bytearray(148)
    expected[offset : offset + len(written_hex) // 2] = bytes.fromhex(written_hex)
    assert served.down == expected


@pytest.mark.parametrize(
    ("request_hex", "answer_hex"),
    [
        pytest.param("0600641234", "8602", id="the PLC's own range"),
        pytest.param("1000b700020401020304", "9002", id="half in the PLC's own range"),
        pytest.param("10010100020401020304", "9002", id="over the end"),
        pytest.param("1600640000ffff", "9602", id="mask in the PLC's own range"),
        pytest.param("0500b8ff00", "8502", id="coil"),
        pytest.param("0f00b8000801ff", "8f02", id="coils"),
    ],
)
async def test_a_write_that_may_not_be_is_refused_whole(served: Served, request_hex: str, answer_hex: str) -> None:
    assert (await exchange(served.port, bytes.fromhex(request_hex))).hex() == answer_hex
    assert served.down == bytes(148)
    assert served.up == bytes(range(168))


@pytest.mark.parametrize("unit", [0, 1, 255])
async def test_an_unknown_unit_is_an_exception(served: Served, unit: int) -> None:
    assert (await exchange(served.port, bytes.fromhex("0600b81234"), unit)).hex() == "860b"
    assert served.down == bytes(148)


async def test_input_registers_are_a_range_of_their_own() -> None:
    served = await serve(INPUT)
    assert (await exchange(served.port, bytes.fromhex("0400140001"))).hex() == "04020001"
    assert (await exchange(served.port, bytes.fromhex("060014beef"))).hex() == "060014beef"
    assert (await exchange(served.port, bytes.fromhex("0300140001"))).hex() == "0302beef"
    assert (await exchange(served.port, bytes.fromhex("0400140001"))).hex() == "04020001"
    await served.server.stop()


async def test_what_the_program_writes_is_read_at_once(served: Served) -> None:
    client = AsyncModbusTcpClient("127.0.0.1", port=served.port, retries=0, timeout=2)
    await client.connect()
    for value in (0x0102, 0xFFFE):
        served.up[0:2] = value.to_bytes(2, "big")
        served.down[0:2] = value.to_bytes(2, "big")
        for register in (100, 184):
            assert (await client.read_holding_registers(register, count=1, device_id=3)).registers == [value]
    assert (await client.read_holding_registers(100, count=84, device_id=3)).registers[1:3] == [0x0203, 0x0405]
    client.close()


async def test_stop_ends_every_connection_and_frees_the_port(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(bytes.fromhex("000100000006030300640001"))
    assert (await asyncio.wait_for(reader.readexactly(11), 2))[-2:] == b"\x00\x01"
    await served.server.stop()
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()
    await writer.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", served.port)
    assert await served.server.start(port=served.port) == served.port


async def test_a_port_in_use_is_an_error(served: Served) -> None:
    other = ModbusServer(HOLDING, bytearray(168), bytearray(148))
    with pytest.raises(RuntimeError, match="listen"):
        await other.start(port=served.port)


def test_addresses_that_cannot_serve_are_refused() -> None:
    with pytest.raises(ValueError, match="S7 address"):
        ModbusServer(two_ranges(S7Address(db=1, byte=0), HOLDING.down.base), bytearray(168), bytearray(148))
    with pytest.raises(ValueError, match="input registers"):
        ModbusServer(two_ranges(HOLDING.up.base, ModbusAddress(area="IR", register=0)), bytearray(168), bytearray(148))
