"""The simulated PLC's own texts and times against the gateway's codec: two implementations that share no line."""

from __future__ import annotations

import pytest

from gateway.core.codec import BlockCodec
from gateway.core.tags import Block, ModbusAddress, S7Address, Tag, WordOrder, size_of
from simulators.plc_memory import BlockMemory

ORDERS: list[WordOrder] = ["ABCD", "CDAB", "BADC", "DCBA"]
VALUES = {
    "Char": "A",
    "WChar": "Ω",
    "String[7]": "AB12",
    "WString[3]": "ΩA",
    "Date": "2026-11-24",
    "TOD": "17:59:05.250",
    "DT": "2026-11-24T17:59:05.123",
    "DTL": "2026-11-24T17:59:05.123456000",
}
TIMES = {"Time": -1500, "LTime": 86_400_000_000_000}


def block_of(*tags: Tag) -> Block:
    end = max(t.offset + t.size for t in tags)
    return Block(name="B", base=S7Address(db=1, byte=0), direction="plc->gw", tags=tags, size=end + end % 2)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("datatype", [*VALUES, *TIMES])
def test_what_the_plc_writes_the_gateway_reads(datatype: str, order: WordOrder) -> None:
    value = {**VALUES, **TIMES}[datatype]
    block = block_of(Tag(name="X", datatype=datatype, offset=2, size=size_of(datatype)))
    memory = BlockMemory(block, order)
    memory.cell("X").set(value)
    assert BlockCodec(block, order).decode(bytes(memory.data)) == {"X": value}
    assert memory.data[:2] == bytes(2)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("datatype", ["Char", "WChar", "String[7]", "WString[3]"])
def test_the_plc_reads_its_own_texts(datatype: str, order: WordOrder) -> None:
    block = block_of(Tag(name="X", datatype=datatype, offset=0, size=size_of(datatype)))
    cell = BlockMemory(block, order).cell("X")
    cell.set(VALUES[datatype])
    assert cell.get() == VALUES[datatype]


def test_a_text_that_is_too_long_is_cut_and_what_cannot_be_read_is_empty() -> None:
    block = block_of(Tag(name="X", datatype="String[3]", offset=0, size=5))
    memory = BlockMemory(block, "ABCD")
    memory.cell("X").set("ABCDE")
    assert (memory.cell("X").get(), bytes(memory.data[:5])) == ("ABC", b"\x03\x03ABC")
    memory.data[1] = 9
    assert memory.cell("X").get() == ""


def test_a_tag_s_own_order_and_bits_of_a_bit_area() -> None:
    block = block_of(
        Tag(name="A", datatype="DWord", offset=0, size=4), Tag(name="B", datatype="DWord", offset=4, size=4, order="DCBA")
    )
    memory = BlockMemory(block, "CDAB")
    for name in ("A", "B"):
        memory.cell(name).set(0x01020304)
    assert memory.data.hex() == "0304010204030201"
    bits = tuple(Tag(name=f"b{i}", datatype="Bool", offset=i // 8, bit=i % 8, size=0) for i in range(10))
    coils = Block(name="C", base=ModbusAddress(area="CO", register=0), direction="plc->gw", tags=bits, size=2, bits=10)
    memory = BlockMemory(coils, "DCBA")
    memory.cell("b0").set(True)
    memory.cell("b9").set(True)
    assert memory.data == bytes([0b1, 0b10])
