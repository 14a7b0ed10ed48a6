"""Where a value stands: found in every order and at every neighbour in which a PLC may have put it, and nowhere else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.codec import reorder
from gateway.core.tags import ELEMENTARY, Scale, WordOrder
from gateway.doctor.search import NUMERIC, ORDERS, expected, orders_from, readings, shifts_of

MARGIN = 4


@pytest.mark.parametrize(
    ("text", "fits", "misses"),
    [
        ("229.01", [229.0051, 229.01, 229.0149], [229.0, 229.02]),
        ("229,01", [229.01], [229.02]),
        ("229", [229.0], [229.01, 228.99]),
        ("-5", [-5], [5]),
        ("1e3", [1000.0], [1001.0]),
        ("16#12345678", [0x12345678], [0x12345679]),
        ("0xff", [255], [256]),
        ("0.10", [0.1, 0.104], [0.11]),
    ],
)
def test_a_value_fits_when_a_display_would_show_it_so(text: str, fits: list[float], misses: list[float]) -> None:
    wanted = expected(text)
    assert [v for v in fits if not wanted.fits(v)] == []
    assert [v for v in misses if wanted.fits(v)] == []
    assert not wanted.fits(float("nan"))
    assert not wanted.fits(float("inf"))


@pytest.mark.parametrize("text", ["abc", "", "16#", "16#G1", "nan", "inf", "1.2.3"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no number"):
        expected(text)


def put(value: float, datatype: str, order: WordOrder, shift: int) -> bytes:
    """Return 20 bytes, the value in ``order`` at MARGIN + shift, all others different from it."""
    size, code = ELEMENTARY[datatype]
    data = bytearray(b"\xee" * (2 * MARGIN + 12))
    data[MARGIN + shift : MARGIN + shift + size] = (
        reorder(struct.pack(">" + code, value), order) if size > 1 else bytes([int(value)])
    )
    return bytes(data)


@given(
    st.sampled_from(["DInt", "UDInt", "Real", "LInt", "LReal", "DWord"]),
    st.sampled_from(ORDERS),
    st.sampled_from(ORDERS),
    st.sampled_from(["s7", "modbus"]),
    st.data(),
)
def test_it_is_found_wherever_it_is(
    datatype: str, mine: WordOrder, theirs: WordOrder, driver: str, data: st.DataObject
) -> None:
    shift = data.draw(st.sampled_from(shifts_of(driver)))
    image = put(229.0, datatype, theirs, shift) if datatype.endswith("Real") else put(0x01020304, datatype, theirs, shift)
    wanted = expected("229" if datatype.endswith("Real") else "16#01020304")
    ways = readings(image, MARGIN, datatype, None, orders_from(mine), shifts_of(driver))
    assert (theirs, shift) in {(c.order, c.shift) for c in ways if wanted.fits(c.value)}


def test_the_maps_own_way_comes_first_and_each_run_of_bytes_once() -> None:
    ways = list(readings(bytes(range(16)), 4, "UInt", None, orders_from("CDAB"), shifts_of("modbus")))
    assert (ways[0].order, ways[0].shift) == ("CDAB", 0)
    assert len(ways) == 2 * 5, "a word of its own has two orders, not four"


def test_nothing_is_read_beyond_the_bytes() -> None:
    ways = list(readings(bytes(6), 2, "Real", None, ORDERS, shifts_of("modbus")))
    assert {c.shift for c in ways} == {0, -2}


def test_scaled_values_are_searched_as_a_person_knows_them() -> None:
    scale = Scale(raw=(0, 27648), eng=(0, 120))
    image = put(13824, "Int", "BADC", 2)
    [found] = [c for c in readings(image, MARGIN, "Int", scale, ORDERS, shifts_of("modbus")) if expected("60.0").fits(c.value)]
    assert (found.order, found.shift, found.value) == ("BADC", 2, 60.0)


def test_every_type_that_is_searched_is_a_number() -> None:
    assert {t for t in ELEMENTARY if ELEMENTARY[t][1] in "BbHhIiQqfd"} - NUMERIC == {"Time", "LTime"}
