"""Offsets by the S7 rules for non-optimised blocks, against layouts worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.tags import ELEMENTARY, Field
from gateway.plc.layout import Cursor, Shape, element_type, layout_udt, parse_type, udt_size

TOKEN = layout_udt([("PartId", "UDInt"), ("Verdict", "Word"), ("Check", "Word")])
TYPES = {"Token": TOKEN}


def places(*lines: tuple[str, str, int | None]) -> list[tuple[int, int, int]]:
    cursor = Cursor()
    return [cursor.place(name, parse_type(kind, TYPES), at) for name, kind, at in lines]


def test_bools_pack_bytes_lie_anywhere_and_the_rest_begins_even() -> None:
    assert places(
        ("a", "Bool", None),
        ("b", "Bool", None),
        ("c", "Byte", None),
        ("d", "Bool", None),
        ("e", "Int", None),
        ("f", "SInt", None),
        ("g", "Real", None),
        ("h", "USInt", None),
        ("i", "LReal", None),
    ) == [(0, 0, 0), (0, 1, 0), (1, 0, 1), (2, 0, 0), (4, 0, 2), (6, 0, 1), (8, 0, 4), (12, 0, 1), (14, 0, 8)]


def test_a_ninth_bool_begins_the_next_byte() -> None:
    assert places(*((f"b{i}", "Bool", None) for i in range(10)))[7:] == [(0, 7, 0), (1, 0, 0), (1, 1, 0)]


def test_arrays_begin_even_and_end_even() -> None:
    assert places(("x", "Byte", None), ("a", "Array[0..2] of Byte", None), ("y", "Byte", None)) == [
        (0, 0, 1),
        (2, 0, 3),
        (6, 0, 1),
    ]
    assert places(("x", "Bool", None), ("a", "Array[0..8] of Bool", None), ("y", "Bool", None)) == [
        (0, 0, 0),
        (2, 0, 2),
        (4, 0, 0),
    ]
    assert places(("a", "Array[0..7] of Token", None), ("y", "Byte", None)) == [(0, 0, 64), (64, 0, 1)]


def test_at_moves_the_cursor_and_gaps_stay() -> None:
    assert places(("a", "Int", 10), ("b", "Int", None), ("c", "Int", 2)) == [(10, 0, 2), (12, 0, 2), (2, 0, 2)]
    assert places(("a", "Bool", 4), ("b", "Bool", 4), ("c", "Bool", 5)) == [(4, 0, 0), (4, 1, 0), (5, 0, 0)]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([("a", "Int", 0), ("b", "Byte", 1)], "overlaps a at byte 1"),
        ([("a", "Real", 4), ("b", "LReal", 0)], "overlaps a at byte 4"),
        ([("a", "Bool", 0), ("b", "Byte", 0)], "overlaps a at byte 0"),
        ([("a", "Int", 3)], "at: 3 is odd; Int begins on an even byte"),
        ([("a", "Token", 5)], "at: 5 is odd"),
        ([("a", "Array[0..1] of Byte", 1)], "at: 1 is odd"),
    ],
)
def test_what_cannot_lie_there(lines: list[tuple[str, str, int | None]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        places(*lines)


def test_types_taken_apart() -> None:
    assert parse_type("Real", {}) == Shape(base="Real", count=0, fields=(), stride=4)
    assert parse_type(" array [ 0 .. 7 ] of Token ", TYPES) == Shape(base="Token", count=8, fields=TOKEN, stride=8)
    assert parse_type("Array[0..0] of Bool", {}).count == 1
    assert (element_type("Array[0..7] of Token"), element_type(" Real ")) == ("Token", "Real")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Reall", "unknown type 'Reall', did you mean 'Real'?"),
        ("Tokn", "did you mean 'Token'?"),
        ("real", "did you mean 'Real'?"),
        ("xyzzy", "unknown type 'xyzzy'; known are Bool, Byte"),
        ("String", "did you mean 'String[20]'?"),
        ("String[0]", "the length of a String is 1 to 254"),
        ("WString[16383]", "the length of a WString is 1 to 16382"),
        ("Date_And_Time", "did you mean 'DT'?"),
        ("Array[1..8,1..2] of Int", "with one pair of bounds"),
        ("Array[0..4096] of Int", "to 4096 elements at most"),
        ("Array[0..-1] of Int", "they must rise"),
        ("Array[40000..40001] of Int", "they must rise"),
        ("Array[0..3] of Reall", "did you mean 'Real'?"),
        ("", "unknown type ''"),
    ],
)
def test_unknown_types_say_what_is_near(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("[", r"\[").replace("?", r"\?")):
        parse_type(text, TYPES)


def test_udts_align_like_blocks_and_have_an_even_length() -> None:
    udt = layout_udt([("a", "Byte"), ("b", "Word"), ("c", "SInt")])
    assert udt == (
        Field(name="a", datatype="Byte", offset=0),
        Field(name="b", datatype="Word", offset=2),
        Field(name="c", datatype="SInt", offset=4),
    )
    assert udt_size(udt) == 6


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([], "at least one member"),
        ([("a", "Int"), ("a", "Int")], "a: the name of two members"),
        (
            [("HeadTemp", "Int"), ("HEADTEMP", "Int")],
            "HEADTEMP: the name of two members, HeadTemp is the same on a PLC; rename",
        ),
        ([("a", "Token")], "a: unknown type 'Token'"),
    ],
)
def test_udts_that_cannot_be(members: list[tuple[str, str]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        layout_udt(members)


TEXTS = ["String[5]", "WString[3]", "Array[-2..1] of String[3]", "Array[1..3] of Char", "Array[5..6] of DTL"]
kinds = st.sampled_from([*ELEMENTARY, *TEXTS, "Token", "Array[0..4] of Bool", "Array[0..2] of SInt", "Array[0..1] of Token"])


@given(st.lists(kinds, min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_no_two_tags_share_a_bit_and_each_is_aligned(types: list[str]) -> None:
    cursor, taken = Cursor(), set()
    for i, kind in enumerate(types):
        shape = parse_type(kind, TYPES)
        offset, bit, size = cursor.place(f"t{i}", shape, None)
        bits = set(range(offset * 8 + bit, offset * 8 + bit + (size * 8 or 1)))
        assert not bits & taken
        taken |= bits
        if shape.stride > 1 or shape.count:
            assert offset % 2 == 0
    assert cursor.size % 2 == 0
    assert max(taken) < cursor.size * 8 <= max(taken) + 17
