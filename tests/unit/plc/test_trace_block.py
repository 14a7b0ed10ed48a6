"""The trace block's bytes: in every order of registers, and when they are no text."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.codec import encode_section
from gateway.core.tags import Block, S7Address, Tag, TagMap, WordOrder
from gateway.plc.trace import TraceBlock


def tag_map(order: WordOrder = "ABCD") -> TagMap:
    tags = (
        Tag(name="Temperature", datatype="Real", offset=0, size=4),
        Tag(name="Serial", datatype="String[12]", offset=6, size=14, role="trace.serial"),
        Tag(name="Carrier", datatype="String[5]", offset=20, size=7, role="trace.carrier"),
        Tag(name="TracePart", datatype="UDInt", offset=28, size=4, role="trace.part"),
    )
    block = Block(name="T", base=S7Address(db=102, byte=0), direction="plc->gw", tags=tags, size=32)
    empty = Block(name="U", base=S7Address(db=100, byte=0), direction="plc->gw", tags=(), size=2)
    return TagMap(name="p", order=order, up=empty, down=empty, extra=(block,), roles={t.role: t for t in tags if t.role})


def bytes_of(plc: TagMap, serial: str, carrier: str, part: int) -> bytearray:
    [block] = plc.extra
    values = {"Temperature": 1.5, "Serial": serial, "Carrier": carrier, "TracePart": part}
    return bytearray(encode_section(block.tags, values, plc.order))


def read(plc: TagMap, data: bytes) -> tuple[int, dict[str, str | None]]:
    trace = TraceBlock(plc)
    at = trace.span.offset
    seen = trace.image(bytes(data[at : at + trace.span.length]), asked_ns=1, now_ns=2)
    assert (seen.t_asked_mono_ns, seen.t_mono_ns) == (1, 2)
    return seen.part_id, dict(seen.texts)


@pytest.mark.parametrize("order", get_args(WordOrder))
def test_part_and_texts_in_every_order_of_registers(order: WordOrder) -> None:
    plc = tag_map(order)
    data = bytes_of(plc, "SN-0815 é", "Türe", 4_000_000_001)
    assert read(plc, data) == (4_000_000_001, {"serial": "SN-0815 é", "carrier": "Türe"})


def test_the_texts_are_read_with_one_request_and_the_measured_values_beside_them_are_not() -> None:
    span = TraceBlock(tag_map()).span
    assert (span.block.name, span.offset, span.length) == ("T", 6, 26)


def test_blanks_and_zeros_around_a_text_are_filling() -> None:
    plc = tag_map()
    assert read(plc, bytes_of(plc, "  A1 \0\0", "", 1))[1] == {"serial": "A1", "carrier": ""}


@pytest.mark.parametrize(
    ("at", "value"),
    [(7, 13), (7, 255), (8, 7), (8, 0x9F), (9, 0)],
    ids=["too long", "much too long", "a bell", "a control character", "a zero within"],
)
def test_bytes_that_are_no_text_say_so_and_leave_the_others_alone(at: int, value: int) -> None:
    plc = tag_map()
    data = bytes_of(plc, "ABC", "C", 9)
    data[at] = value
    assert read(plc, data) == (9, {"serial": None, "carrier": "C"})


@given(st.binary(min_size=32, max_size=32))
def test_no_bytes_at_all_are_an_error(data: bytes) -> None:
    _, texts = read(tag_map(), data)
    assert all(t is None or t.isprintable() for t in texts.values())


def test_a_map_without_a_trace_part_has_no_block() -> None:
    plc = tag_map()
    assert TraceBlock.of(TagMap(name="p", order="ABCD", up=plc.up, down=plc.down)) is None
    assert TraceBlock.of(plc) is not None
