"""The simulated PLC's S7 port, by requests written out byte by byte and by python-snap7's client."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from snap7.async_client import AsyncClient
from snap7.error import S7Error

from simulators.plc_s7 import S7Server

SETUP = bytes.fromhex("32010000000100080000f0000001000101e0")
BIT, BYTE, WORD, DINT, REAL = 0x01, 0x02, 0x04, 0x07, 0x08


@dataclass
class Served:
    up: bytearray
    down: bytearray
    port: int
    server: S7Server
    running: bool = True


class RawClient:
    """A client that says exactly what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *units: bytes) -> None:
        self.writer.write(b"".join(struct.pack(">BBH", 3, 0, 4 + len(unit)) + unit for unit in units))
        await self.writer.drain()

    async def receive(self) -> bytes:
        head = await asyncio.wait_for(self.reader.readexactly(4), 2)
        return await asyncio.wait_for(self.reader.readexactly(int.from_bytes(head[2:], "big") - 4), 2)

    async def request(self, pdu: bytes) -> bytes:
        """Send one PDU and return the answer's."""
        await self.send(b"\x02\xf0\x80" + pdu)
        answer = await self.receive()
        assert answer[:3] == b"\x02\xf0\x80"
        return answer[3:]

    async def at_end(self) -> bool:
        """Return whether the server ends the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(1), 2) == b""
        except ConnectionResetError:
            return True


def item(db: int, start: int, count: int, element: int = BYTE, bit: int = 0, area: int = 0x84) -> bytes:
    return struct.pack(">BBBBHHB", 0x12, 0x0A, 0x10, element, count, db, area) + (8 * start + bit).to_bytes(3, "big")


def job(function: int, items: list[bytes], data: bytes = b"") -> bytes:
    parameters = bytes([function, len(items)]) + b"".join(items)
    return struct.pack(">BBHHHH", 0x32, 1, 0, 0x0203, len(parameters), len(data)) + parameters + data


def value(transport: int, length: int, raw: bytes) -> bytes:
    return struct.pack(">BBH", 0, transport, length) + raw


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    up, down = bytearray(range(168)), bytearray(148)
    server = S7Server(100, up, 101, down, cpu_running=lambda: state.running)
    state = Served(up=up, down=down, port=0, server=server)
    state.port = await server.start()
    yield state
    await server.stop()


@pytest.fixture
async def raw(served: Served) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    client = RawClient(reader, writer)
    await client.send(bytes.fromhex("11e00000004200c0010ac1020100c2020101"))
    # Confirm: destination 0042 (the client's), source 0001, and the parameters again.
    assert (await client.receive()).hex() == "11d00042000100c0010ac1020100c2020101"
    # PDU length: 480 asked, 480 granted; one request outstanding.
    assert (await client.request(SETUP)).hex() == "32030000000100080000" + "0000" + "f0000001000101e0"
    yield client
    writer.transport.abort()


async def test_one_item_is_read(served: Served, raw: RawClient) -> None:
    answer = await raw.request(job(4, [item(100, 4, 3)]))
    assert answer.hex() == "32030000" + "0203" + "0002" + "0007" + "0000" + "0401" + "ff040018" + "040506"


async def test_items_are_read_each_with_its_own_code_and_filled_to_even_lengths(raw: RawClient) -> None:
    items = [item(100, 1, 1), item(100, 2, 1, BIT, bit=1), item(7, 0, 1), item(100, 167, 2), item(100, 8, 2, WORD)]
    answer = await raw.request(job(4, items))
    assert (
        answer[12:].hex()
        == "0405" + "ff04000801" + "00" + "ff03000101" + "00" + "0a000000" + "05000000" + "ff040020" + "08090a0b"
    )


async def test_a_bit_write_changes_that_bit_alone(served: Served, raw: RawClient) -> None:
    served.down[4] = 0b1010_0101
    assert (await raw.request(job(5, [item(101, 4, 1, BIT, bit=1)], value(3, 1, b"\x01"))))[-1] == 0xFF
    assert served.down[4] == 0b1010_0111
    assert (await raw.request(job(5, [item(101, 4, 1, BIT, bit=7)], value(3, 1, b"\x00"))))[-1] == 0xFF
    assert served.down[4] == 0b0010_0111


async def test_every_item_of_a_write_is_applied(served: Served, raw: RawClient) -> None:
    data = value(4, 8, b"\xaa\x00") + value(4, 32, b"\x01\x02\x03\x04") + value(3, 1, b"\x01")
    answer = await raw.request(job(5, [item(101, 0, 1), item(101, 144, 4), item(101, 9, 1, BIT, bit=6)], data))
    assert answer[12:].hex() == "0503ffffff"
    assert (served.down[0], served.down[144:148].hex(), served.down[9]) == (0xAA, "01020304", 0x40)
    assert sum(served.down) == 0xAA + 1 + 2 + 3 + 4 + 0x40


@pytest.mark.parametrize(
    ("address", "written", "code"),
    [
        pytest.param(item(101, 146, 4), value(4, 32, b"\x09" * 4), 0x05, id="over the end"),
        pytest.param(item(101, 148, 1), value(4, 8, b"\x09"), 0x05, id="behind the end"),
        pytest.param(item(101, 148, 1, BIT), value(3, 1, b"\x01"), 0x05, id="bit behind the end"),
        pytest.param(item(101, 0, 65535), value(4, 32, b"\x09" * 4), 0x05, id="far over the end"),
        pytest.param(item(101, 0, 2), value(4, 32, b"\x09" * 4), 0x07, id="more data than addressed"),
        pytest.param(item(101, 0, 4), value(4, 16, b"\x09" * 2), 0x07, id="less data than addressed"),
        pytest.param(item(101, 0, 1, BIT), value(4, 8, b"\x01"), 0x07, id="byte for a bit"),
        pytest.param(item(101, 0, 2, BIT), value(3, 2, b"\x03"), 0x06, id="two bits"),
        pytest.param(item(101, 0, 1, 0x1C), value(4, 8, b"\x09"), 0x06, id="counter type"),
        pytest.param(item(100, 0, 1), value(4, 8, b"\x09"), 0x03, id="the PLC's own block"),
        pytest.param(item(100, 0, 1, BIT), value(3, 1, b"\x01"), 0x03, id="a bit of the PLC's own block"),
        pytest.param(item(7, 0, 1), value(4, 8, b"\x09"), 0x0A, id="no such block"),
        pytest.param(item(101, 0, 1, area=0x83), value(4, 8, b"\x09"), 0x0A, id="flags, not a block"),
    ],
)
async def test_a_write_that_does_not_fit_is_refused_whole_and_hurts_no_neighbour(
    served: Served, raw: RawClient, address: bytes, written: bytes, code: int
) -> None:
    padding = bytes(len(written) % 2)
    answer = await raw.request(job(5, [address, item(101, 10, 1)], written + padding + value(4, 8, b"\x77")))
    assert answer[12:] == bytes([5, 2, code, 0xFF])
    assert served.down == bytes(10) + b"\x77" + bytes(137)
    assert served.up == bytes(range(168))


@pytest.mark.parametrize(
    "pdu",
    [
        pytest.param(job(5, [item(101, 0, 1), item(101, 2, 1)], value(4, 8, b"\x09\x00")), id="second value missing"),
        pytest.param(job(5, [item(101, 0, 4)], value(4, 64, b"\x09" * 4)), id="value shorter than its length"),
        pytest.param(job(5, [], b""), id="no item"),
        pytest.param(job(5, [b"\x12\x08\x82" + item(101, 0, 1)[3:]], value(4, 8, b"\x09")), id="symbolic address"),
        pytest.param(job(4, [item(100, 0, 1)])[:-12].replace(b"\x00\x0e\x00\x00", b"\x00\x02\x00\x00"), id="address missing"),
        pytest.param(job(4, [item(100, 0, 160)] * 3), id="answer longer than the PDU"),
    ],
)
async def test_a_request_that_contradicts_itself_is_refused_whole(served: Served, raw: RawClient, pdu: bytes) -> None:
    answer = await raw.request(pdu)
    assert answer.hex() == "32020000" + "0203" + "0000" + "0000" + "8500"
    assert served.down == bytes(148)


@pytest.mark.parametrize("function", [0x28, 0x29, 0x1A, 0x1D], ids=["run", "stop", "download", "upload"])
async def test_no_client_may_change_the_cpu(raw: RawClient, function: int) -> None:
    parameters = bytes([function]) + bytes(7)
    answer = await raw.request(struct.pack(">BBHHHH", 0x32, 1, 0, 1, len(parameters), 0) + parameters)
    assert answer[10:12] == b"\x81\x04"


@pytest.mark.parametrize(("running", "state"), [(True, 0x08), (False, 0x04)])
async def test_the_cpu_state_is_readable(served: Served, raw: RawClient, running: bool, state: int) -> None:
    served.running = running
    question = bytes.fromhex("32070000000500080008" + "0001120411440100" + "ff09000404240000")
    answer = await raw.request(question)
    # header 10, parameters 12, then code, transport, length; list id, index; record length 20, 1 record; the record
    assert answer[22:34].hex() == "ff09001c" + "04240000" + "00140001"
    assert answer[37] == state


async def test_a_request_may_come_in_pieces_and_several_in_one(served: Served, raw: RawClient) -> None:
    one = job(4, [item(100, 1, 1)])
    framed = struct.pack(">BBH", 3, 0, 7 + len(one)) + b"\x02\xf0\x80" + one
    for byte in framed:
        raw.writer.write(bytes([byte]))
        await raw.writer.drain()
        await asyncio.sleep(0)
    assert (await raw.receive())[-1] == 1
    raw.writer.write(framed * 3)
    assert [(await raw.receive())[-1] for _ in range(3)] == [1, 1, 1]
    await raw.send(b"\x02\xf0\x00" + one[:13], b"\x02\xf0\x80" + one[13:])
    assert (await raw.receive())[-1] == 1


@pytest.mark.parametrize(
    "bad",
    [
        b"\x16\x03\x01\x00\xa5",
        b"\x03\x00\x00\x04",
        b"\x03\x00\xff\xff",
        bytes.fromhex("0300000902f0803101"),
        bytes.fromhex("0300000b0680000100004200"),
    ],
    ids=["not TPKT", "empty", "huge", "not S7", "disconnect"],
)
async def test_what_is_no_s7_ends_the_connection_and_the_port_stays_open(served: Served, raw: RawClient, bad: bytes) -> None:
    raw.writer.write(bad)
    assert await raw.at_end()
    client = AsyncClient()
    await client.connect("127.0.0.1", 0, 1, served.port)
    assert await client.db_read(100, 0, 4) == bytes([0, 1, 2, 3])
    await client.disconnect()


async def test_data_before_the_iso_connection_is_refused(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    client = RawClient(reader, writer)
    await client.send(b"\x02\xf0\x80" + SETUP)
    assert await client.at_end()
    writer.transport.abort()


async def test_python_snap7s_client_reads_writes_and_is_refused(served: Served) -> None:
    client = AsyncClient()
    await client.connect("127.0.0.1", 0, 1, served.port)
    assert await client.db_read(100, 0, 168) == bytes(range(168))
    await client.db_write(101, 64, bytearray(b"\x5a" * 64))
    assert served.down[64:128] == b"\x5a" * 64
    with pytest.raises(S7Error, match="not allowed"):
        await client.db_write(100, 0, bytearray(b"\x00"))
    with pytest.raises(S7Error, match="0x05"):
        await client.db_write(101, 146, bytearray(4))
    assert served.up == bytes(range(168))
    await client.disconnect()


async def test_stop_ends_every_connection_and_frees_the_port(served: Served, raw: RawClient) -> None:
    await served.server.stop()
    assert await raw.at_end()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", served.port)
    assert await served.server.start(port=served.port) == served.port


async def test_a_port_in_use_is_an_error(served: Served) -> None:
    other = S7Server(1, bytearray(2), 2, bytearray(2))
    with pytest.raises(OSError, match="in use"):
        await other.start(port=served.port)


def test_both_directions_need_a_block_of_their_own() -> None:
    with pytest.raises(ValueError, match="DB5"):
        S7Server(5, bytearray(2), 5, bytearray(2))
