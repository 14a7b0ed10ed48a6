"""Every data type as clients that share no code with ours write it: our codec must read their bytes, and write the same ones.

nodes7 (JavaScript) and pyS7 on S7, mbpoll (libmodbus) on Modbus. Where a type is known to none of them its bytes are worked out
by hand in tests/unit/core/test_texts.py.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.core.codec import BlockCodec, encode_section
from gateway.core.tags import Block, ModbusAddress, S7Address, Scalar, Tag, TagMap, WordOrder, size_of
from simulators.plc_modbus import ModbusServer
from simulators.plc_s7 import S7Server

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent
SIZE = 148

#: Place in DB101, how nodes7 names and gives it, our type and value.
NODES7: list[tuple[int, str, Any, str, Scalar]] = [
    (0, "BYTE0", 200, "Byte", 200),
    (1, "CHAR1", "A", "Char", "A"),
    (2, "INT2", -12345, "Int", -12345),
    (4, "WORD4", 0xA55A, "Word", 0xA55A),
    (6, "DINT6", -123456789, "DInt", -123456789),
    (10, "DWORD10", 0x12345678, "DWord", 0x12345678),
    (14, "REAL14", 1.5, "Real", 1.5),
    (18, "LREAL18", -2.25, "LReal", -2.25),
    (26, "STRING26.10", "AB12", "String[10]", "AB12"),
    (38, "DTLZ38", "2026-11-24T17:59:05.123Z", "DTL", "2026-11-24T17:59:05.123000000"),
    (50, "DTZ50", "2026-11-24T17:59:05.123Z", "DT", "2026-11-24T17:59:05.123"),
    (58, "X58.3", True, "Bool", True),
]
#: Place, how pyS7 names it, type, value.
PYS7: list[tuple[int, str, str, Scalar]] = [
    (0, "USI0", "USInt", 200),
    (1, "SI1", "SInt", -100),
    (2, "S2.10", "String[10]", "AB12"),
    (14, "WS14.6", "WString[6]", "Ωmega"),
    (30, "LR30", "LReal", -2.25),
    (38, "R38", "Real", 1.5),
    (42, "DI42", "DInt", -123456789),
    (46, "X46.3", "Bool", True),
]


def block_of(places: list[tuple[int, str, Scalar]]) -> tuple[Block, dict[str, Scalar]]:
    tags = tuple(
        Tag(name=f"{kind}@{at}", datatype=kind, offset=at, bit=3 if kind == "Bool" else 0, size=size_of(kind))
        for at, kind, _ in places
    )
    block = Block(name="B", base=S7Address(db=101, byte=0), direction="gw->plc", tags=tags, size=SIZE)
    return block, {tag.name: value for tag, (_, _, value) in zip(tags, places, strict=True)}


def held_to(data: bytes, places: list[tuple[int, str, Scalar]], order: WordOrder = "ABCD") -> None:
    """Our codec reads the peer's bytes, and writes the same ones."""
    block, values = block_of(places)
    assert BlockCodec(block, order).decode(data) == values
    ours = encode_section(block.tags, values, order)
    assert ours == data[: len(ours)]


async def test_nodes7_and_our_codec_agree_on_every_type_that_it_knows() -> None:
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules" / "nodes7").is_dir():
        pytest.skip("nodes7 is not installed: run npm install in tests/peers")
    down = bytearray(SIZE)
    server = S7Server(100, bytearray(2), 101, down)
    port = await server.start()
    wanted = {f"DB101,{name}": value for _, name, value, _, _ in NODES7}
    client = await asyncio.create_subprocess_exec(
        node,
        str(HERE / "s7_values.mjs"),
        str(port),
        json.dumps(wanted),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(client.communicate(), 60)
    await server.stop()
    assert client.returncode == 0, err.decode()
    answer = json.loads(out.splitlines()[-1])
    assert (answer["refused"], answer["bad"]) == (False, False)
    assert answer["read"] == wanted
    assert down[32:38] == b" " * 6
    down[32:38] = bytes(6)  # what stands behind a string's present length is nobody's: blanks there, zeros here
    held_to(bytes(down), [(at, kind, value) for at, _, _, kind, value in NODES7])


async def test_pys7_and_our_codec_agree_on_every_type_that_it_knows() -> None:
    pys7 = pytest.importorskip("pyS7", reason="pyS7 is not installed: pip install pyS7")
    down = bytearray(SIZE)
    block, values = block_of([(at, kind, value) for at, _, kind, value in PYS7])
    down[: len(ours)] = (ours := encode_section(block.tags, values, "ABCD"))
    server = S7Server(100, bytearray(2), 101, down)
    port = await server.start()
    names = [f"DB101,{name}" for _, name, _, _ in PYS7]

    def converse() -> tuple[list[Any], list[bool]]:
        client = pys7.S7Client("127.0.0.1", 0, 1, port=port, timeout=10)
        client.connect()
        try:
            read = client.read(names)
            return read, [w.success for w in client.write_detailed(names, [value for _, _, _, value in PYS7])]
        finally:
            client.disconnect()

    read, written = await asyncio.to_thread(converse)
    await server.stop()
    assert read == [value for _, _, _, value in PYS7], "what our codec wrote"
    assert all(written)
    held_to(bytes(down), [(at, kind, value) for at, _, kind, value in PYS7])


@pytest.mark.parametrize(
    ("options", "order", "kind", "text", "value"),
    [
        (["-t", "4:float"], "CDAB", "Real", "1.5", 1.5),
        (["-t", "4:float", "-B"], "ABCD", "Real", "1.5", 1.5),
        (["-t", "4:int"], "CDAB", "DInt", "-123456789", -123456789),
        (["-t", "4:int", "-B"], "ABCD", "DInt", "-123456789", -123456789),
        (["-t", "4"], "ABCD", "UInt", "42330", 0xA55A),
    ],
)
async def test_mbpoll_and_our_codec_agree_on_the_order_of_words(
    options: list[str], order: WordOrder, kind: str, text: str, value: Scalar
) -> None:
    mbpoll = shutil.which("mbpoll")
    if mbpoll is None:
        pytest.skip("mbpoll is not installed: apt-get install mbpoll")
    down = bytearray(SIZE)
    up = Block(name="U", base=ModbusAddress(area="HR", register=0), direction="plc->gw", tags=(), size=2)
    block = Block(name="D", base=ModbusAddress(area="HR", register=300), direction="gw->plc", tags=(), size=SIZE)
    server = ModbusServer(TagMap(name="bench", order=order, up=up, down=block), bytearray(2), down)
    port = await server.start()
    fixed = ["-m", "tcp", "-p", str(port), "-a", "1", "-0", "-1", "-q", *options, "-r", "300", "127.0.0.1", "--", text]
    process = await asyncio.create_subprocess_exec(
        mbpoll, *fixed, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    await server.stop()
    assert process.returncode == 0, out.decode()
    held_to(bytes(down), [(0, kind, value)], order)


async def test_mbpoll_reads_inputs_and_bits_where_the_map_says() -> None:
    mbpoll = shutil.which("mbpoll")
    if mbpoll is None:
        pytest.skip("mbpoll is not installed: apt-get install mbpoll")

    def block(name: str, area: Any, number: int, size: int, bits: int = 0) -> Block:
        base = ModbusAddress(area=area, register=number)
        return Block(name=name, base=base, direction="plc->gw", tags=(), size=size, bits=bits)

    tag_map = TagMap(name="bench", order="ABCD", up=block("U", "HR", 0, 2), down=block("D", "HR", 10, 2))
    extra = [
        (block("I", "IR", 5, 4), bytearray(b"\x00\x07\xa5\x5a")),
        (block("C", "CO", 3, 2, 11), bytearray([0b0000_0101, 0b100])),
        (block("S", "DI", 20, 2, 4), bytearray([0b1001, 0])),
    ]
    server = ModbusServer(tag_map, bytearray(2), bytearray(2), extra=extra)
    port = await server.start()
    said = ""
    for kind, first, count in (("3:hex", 5, 2), ("0", 3, 11), ("1", 20, 4)):
        arguments = ["-m", "tcp", "-p", str(port), "-a", "1", "-0", "-1", "-q", "-t", kind, "-r", str(first), "-c", str(count)]
        process = await asyncio.create_subprocess_exec(mbpoll, *arguments, "127.0.0.1", stdout=asyncio.subprocess.PIPE)
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        said += out.decode()
    await server.stop()
    values = [line.split("\t")[1].strip() for line in said.splitlines() if line.startswith("[")]
    assert values == ["0x0007", "0xA55A", *"10100000001", *"1001"]
