"""Addresses as people write them on S7 and Modbus, and what is said about those that are none."""

from __future__ import annotations

import pytest

from gateway.plc.address import ModbusPlace, S7Place, classic_of, looks_classic, parse_modbus, parse_s7


@pytest.mark.parametrize(
    ("text", "db", "byte", "bit", "width"),
    [
        ("DB100.DBX4.3", 100, 4, 3, 0),
        ("P#DB100.DBX4.0", 100, 4, 0, 0),
        ("DBW6", None, 6, None, 2),
        ("dbd8", None, 8, None, 4),
        (" DB1.DBB5 ", 1, 5, None, 1),
    ],
)
def test_s7(text: str, db: int | None, byte: int, bit: int | None, width: int) -> None:
    assert parse_s7(text) == S7Place(db=db, byte=byte, bit=bit, width=width)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("DB100.4.3", "is no S7 address; write DB100.DBX4.3"),
        ("DB100.DBL4", "is no S7 address"),
        ("DBX4", "which bit\\? write DBX4.0"),
        ("DBX4.8", "a bit is written DBX4.0 to DBX4.7"),
        ("DBW4.1", "a bit is written DBX4.0 to DBX4.7"),
        ("HR:100", "is no S7 address"),
    ],
)
def test_what_is_no_s7_address(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_s7(text)


@pytest.mark.parametrize(
    ("text", "area", "number", "bit"),
    [
        ("HR:100", "HR", 100, None),
        ("HR:100.3", "HR", 100, 3),
        ("ir:0", "IR", 0, None),
        ("CO:17", "CO", 17, None),
        ("DI:65535", "DI", 65535, None),
        ("400101", "HR", 100, None),
        ("40101", "HR", 100, None),
        ("40101.15", "HR", 100, 15),
        ("300001", "IR", 0, None),
        ("30001", "IR", 0, None),
        ("100010", "DI", 9, None),
        ("10010", "DI", 9, None),
        ("000001", "CO", 0, None),
        ("00001", "CO", 0, None),
        ("465536", "HR", 65535, None),
    ],
)
def test_modbus(text: str, area: str, number: int, bit: int | None) -> None:
    assert parse_modbus(text) == ModbusPlace(area=area, number=number, bit=bit)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("HR100", "is no Modbus address; write HR:100"),
        ("200001", "is no Modbus address"),
        ("4001", "is no Modbus address"),
        ("400000", "count from 1: 400001 is the first"),
        ("40000", "count from 1: 40001 is the first"),
        ("465537", "the last address is 65535"),
        ("HR:65536", "the last address is 65535"),
        ("HR:1.16", "HR has bits 0 to 15"),
        ("CO:1.1", "CO has no bits within"),
        ("DB1.DBW0", "is no Modbus address"),
    ],
)
def test_what_is_no_modbus_address(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_modbus(text)


def test_numbers_that_are_classic_addresses_or_might_be() -> None:
    assert (classic_of(400101), classic_of(65535), classic_of(40101), classic_of(200001)) == ("400101", None, None, None)
    assert looks_classic("HR", 40101)
    assert looks_classic("IR", 30001)
    assert not looks_classic("HR", 30001)
    assert not looks_classic("HR", 4010)
    assert not looks_classic("CO", 10001)
