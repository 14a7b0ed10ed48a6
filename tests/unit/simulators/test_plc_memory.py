"""Cells: every type and order by hand-written bytes."""

from __future__ import annotations

import pytest

from simulators.plc_memory import Cell, arrange


@pytest.mark.parametrize(
    ("datatype", "order", "value", "raw"),
    [
        ("SInt", "ABCD", -2, "fe"),
        ("Word", "ABCD", 0x1234, "1234"),
        ("Int", "CDAB", -2, "fffe"),
        ("UInt", "BADC", 0x1234, "3412"),
        ("UInt", "CDAB", 0x1234, "1234"),
        ("UDInt", "ABCD", 0x01020304, "01020304"),
        ("UDInt", "CDAB", 0x01020304, "03040102"),
        ("UDInt", "BADC", 0x01020304, "02010403"),
        ("UDInt", "DCBA", 0x01020304, "04030201"),
        ("DInt", "CDAB", -2, "fffeffff"),
        ("Real", "ABCD", -0.5, "bf000000"),
        ("Real", "CDAB", -0.5, "0000bf00"),
        ("LReal", "ABCD", 1.0, "3ff0000000000000"),
        ("LReal", "CDAB", 1.0, "0000000000003ff0"),
        ("ULInt", "DCBA", 0x0102030405060708, "0807060504030201"),
        ("LInt", "BADC", 0x0102030405060708, "0201040306050807"),
    ],
)
def test_bytes_of_each_type(datatype: str, order, value, raw: str) -> None:
    data = bytearray(b"\xee" * 12)
    cell = Cell(data, datatype, 2, 0, order)
    cell.set(value)
    assert data.hex() == "eeee" + raw + "ee" * (10 - len(raw) // 2)
    assert cell.get() == value


def test_a_bool_changes_its_bit_alone() -> None:
    data = bytearray(b"\x5a")
    cell = Cell(data, "Bool", 0, 2, "CDAB")
    assert cell.get() is False
    cell.set(True)
    assert data == b"\x5e"
    cell.set(False)
    assert data == b"\x5a"


@pytest.mark.parametrize(("order", "place"), [("ABCD", 0), ("CDAB", 0), ("BADC", 1), ("DCBA", 1)])
def test_bytes_and_bits_move_with_the_bytes_of_their_register(order, place: int) -> None:
    data = bytearray(4)
    Cell(data, "USInt", 2, 0, order).set(7)
    Cell(data, "Bool", 0, 6, order).set(True)
    assert data[place + 2] == 7
    assert data[place] == 1 << 6
    assert sum(data) == 7 + (1 << 6)


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
def test_every_order_is_its_own_inverse(order) -> None:
    raw = bytes(range(8))
    assert arrange(arrange(raw, order), order) == raw
