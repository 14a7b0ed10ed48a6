"""Texts, dates and times against bytes packed by hand from the Siemens definitions, and what is no value."""

from __future__ import annotations

import datetime as dt
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.codec import BlockCodec, encode_section
from gateway.core.tags import Block, S7Address, Tag, WordOrder, size_of
from gateway.core.texts import decode_text, encode_text, is_text

DTL = struct.pack(">HBBBBBBI", 2026, 11, 24, 3, 17, 59, 5, 123456789)  # a Tuesday: Sunday is 1

#: Type, the value here, its bytes in the CPU.
BY_HAND = [
    ("Char", "A", b"A"),
    ("Char", "ü", b"\xfc"),
    ("WChar", "Ω", b"\x03\xa9"),
    ("String[6]", "AB12", b"\x06\x04AB12\0\0"),
    ("String[6]", "", b"\x06\x00" + bytes(6)),
    ("String[3]", "äöü", b"\x03\x03\xe4\xf6\xfc"),
    ("WString[3]", "ΩA", struct.pack(">HHHHH", 3, 2, 0x03A9, 0x41, 0)),
    ("Date", "1990-01-01", b"\0\0"),
    ("Date", "1994-12-31", struct.pack(">H", 1825)),
    ("Date", "2169-06-06", b"\xff\xff"),
    ("TOD", "00:00:00.000", bytes(4)),
    ("TOD", "23:59:59.999", struct.pack(">I", 86_399_999)),
    ("TOD", "12:34:56.250", struct.pack(">I", ((12 * 60 + 34) * 60 + 56) * 1000 + 250)),
    ("DT", "1990-01-01T00:00:00.000", bytes.fromhex("9001010000000002")),
    ("DT", "2026-11-24T17:59:05.123", bytes.fromhex("2611241759051233")),
    ("DT", "2089-12-31T23:59:59.999", bytes.fromhex("8912312359599997")),
    ("DTL", "2026-11-24T17:59:05.123456789", DTL),
    ("DTL", "1970-01-01T00:00:00.000000000", struct.pack(">HBBBBBBI", 1970, 1, 1, 5, 0, 0, 0, 0)),
]


@pytest.mark.parametrize(("datatype", "value", "data"), BY_HAND)
def test_bytes_by_hand(datatype: str, value: str, data: bytes) -> None:
    assert size_of(datatype) == len(data)
    assert decode_text(datatype, data) == value
    assert encode_text(datatype, len(data), value) == data
    assert is_text(datatype)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("String[4]", b"\x04\x05ABCD"),  # longer than it can be: not this string
        ("WString[1]", struct.pack(">HHH", 1, 2, 0x41)),
        ("TOD", struct.pack(">I", 86_400_000)),
        ("DTL", bytes(12)),
        ("DTL", struct.pack(">HBBBBBBI", 2026, 2, 30, 1, 0, 0, 0, 0)),
        ("DTL", struct.pack(">HBBBBBBI", 1969, 1, 1, 1, 0, 0, 0, 0)),
        ("DTL", struct.pack(">HBBBBBBI", 2026, 1, 1, 1, 0, 0, 0, 1_000_000_000)),
        ("DT", bytes(8)),
        ("DT", bytes.fromhex("26112a1759051233")),
    ],
)
def test_bytes_that_are_no_value(datatype: str, data: bytes) -> None:
    assert decode_text(datatype, data) == ""


def test_half_a_character_is_shown_as_such() -> None:
    assert decode_text("WChar", b"\xd8\x00") == "�"
    assert decode_text("WString[1]", struct.pack(">HHH", 1, 1, 0xD800)) == "�"


@pytest.mark.parametrize(
    ("datatype", "value", "why"),
    [
        ("String[3]", "ABCD", "4 characters, String\\[3\\] holds 3"),
        ("String[3]", "Ω", "'Ω' has no place in it"),
        ("WString[2]", "ABC", "3 characters, WString\\[2\\] holds 2"),
        ("WString[2]", "\ud800", "has no place in it"),
        ("Char", "AB", "it is one character"),
        ("WChar", "", "it is one character"),
        ("WChar", "𝄞", "it is one character"),
        ("Date", "24.11.2026", "it is written like 2026-12-31"),
        ("Date", "1989-12-31", "between 1990-01-01 and 2169-06-06"),
        ("Date", "2169-06-07", "between 1990-01-01 and 2169-06-06"),
        ("TOD", "25:00:00", "it is written like 13:59:59.250"),
        ("TOD", "12:00:00.0001", "it is written like|whole milliseconds"),
        ("TOD", "12:00:00.000100", "whole milliseconds"),
        ("TOD", "12:00:00+01:00", "local time of day"),
        ("DTL", "2026-11-24", "it is written like"),
        ("DTL", "2026-02-30T00:00:00", "it is written like"),
        ("DTL", "1969-12-31T23:59:59", "in the years 1970 to 2262"),
        ("DTL", "2263-01-01T00:00:00", "in the years 1970 to 2262"),
        ("DT", "2090-01-01T00:00:00", "in the years 1990 to 2089"),
        ("DT", "2026-01-01T00:00:00.0005", "whole milliseconds"),
    ],
)
def test_what_a_type_cannot_hold(datatype: str, value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        encode_text(datatype, size_of(datatype), value)


def block_of(datatype: str) -> Block:
    size = size_of(datatype)
    tag = Tag(name="X", datatype=datatype, offset=2, size=size)
    last = Tag(name="Last", datatype="Word", offset=2 + size + size % 2, size=2)
    return Block(name="B", base=S7Address(db=1, byte=0), direction="gw->plc", tags=(tag, last), size=last.offset + 2)


#: "AB12" in String[5], "Ω" in WString[2] and the DTL above, on Modbus in every order. Characters keep their registers.
IN_ORDERS: list[tuple[str, str, dict[WordOrder, str]]] = [
    (
        "String[5]",
        "AB12",
        {"ABCD": "05044142313200", "CDAB": "05044142313200", "BADC": "0405424132310000", "DCBA": "0405424132310000"},
    ),
    (
        "WString[2]",
        "Ω",
        {"ABCD": "0002000103a90000", "CDAB": "0002000103a90000", "BADC": "02000100a9030000", "DCBA": "02000100a9030000"},
    ),
    (
        "DTL",
        "2026-11-24T17:59:05.123456789",
        {
            "ABCD": "07ea0b1803113b05075bcd15",
            "CDAB": "07ea0b1803113b05cd15075b",
            "BADC": "ea07180b1103053b5b0715cd",
            "DCBA": "ea07180b1103053b15cd5b07",
        },
    ),
    ("DT", "2026-11-24T17:59:05.123", {"ABCD": "2611241759051233", "DCBA": "1126172405593312"}),
    ("Char", "A", {"ABCD": "41", "BADC": "0041"}),
    ("WChar", "Ω", {"ABCD": "03a9", "CDAB": "03a9", "DCBA": "a903"}),
]


@pytest.mark.parametrize(("datatype", "value", "orders"), IN_ORDERS)
def test_registers_by_hand(datatype: str, value: str, orders: dict[WordOrder, str]) -> None:
    block = block_of(datatype)
    for order, hand in orders.items():
        image = encode_section(block.tags, {"X": value}, order)
        image = bytes(2) + image if len(image) < block.size else image
        assert image[2:].hex().startswith(hand), order
        assert BlockCodec(block, order).decode(image)["X"] == value


TEXTS: dict[str, st.SearchStrategy[str]] = {
    "Char": st.characters(max_codepoint=0xFF),
    "WChar": st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]),
    "String[11]": st.text(st.characters(max_codepoint=0xFF), max_size=11),
    "WString[7]": st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=7),
    "Date": st.dates(dt.date(1990, 1, 1), dt.date(2169, 6, 6)).map(str),
    "TOD": st.integers(0, 86_399_999).map(
        lambda ms: f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"
    ),
    "DT": st.tuples(st.datetimes(), st.integers(1990, 2089)).map(
        lambda p: f"{p[0].replace(year=p[1], day=min(28, p[0].day)).isoformat(timespec='milliseconds')}"
    ),
    "DTL": st.tuples(st.datetimes(), st.integers(1970, 2262), st.integers(0, 999)).map(
        lambda p: f"{p[0].replace(year=p[1], day=min(28, p[0].day)).isoformat(timespec='microseconds')}{p[2]:03}"
    ),
}


@pytest.mark.parametrize("datatype", TEXTS)
@given(data=st.data(), order=st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]))
@settings(max_examples=40, deadline=None)
def test_every_text_survives_in_every_order(datatype: str, data: st.DataObject, order: WordOrder) -> None:
    block, value = block_of(datatype), data.draw(TEXTS[datatype])
    image = bytes(2) + encode_section(block.tags, {"X": value, "Last": 0xA55A}, order)
    assert BlockCodec(block, order).decode(image) == {"X": value, "Last": 0xA55A}


@pytest.mark.parametrize("datatype", TEXTS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_bytes_decode_to_a_text(datatype: str, data: st.DataObject) -> None:
    size = size_of(datatype)
    assert isinstance(decode_text(datatype, data.draw(st.binary(min_size=size, max_size=size))), str)
