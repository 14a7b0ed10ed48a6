"""Addresses as people write them: ``DB100.DBX4.3`` on S7; ``HR:100.3``, ``400101`` and ``40101`` on Modbus. Pure.

What lies there, and whether it may, is the map's affair.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.tags import Area

_S7 = re.compile(r"(?:P#)?(?:DB(\d+)\.)?DB([XBWD])(\d+)(?:\.(\d+))?", re.IGNORECASE)
_COLON = re.compile(r"(HR|IR|CO|DI):(\d+)(?:\.(\d+))?", re.IGNORECASE)
_CLASSIC = re.compile(r"([0134])(\d{4,5})(?:\.(\d+))?")
_CLASSIC_AREAS: Mapping[str, Area] = {"0": "CO", "1": "DI", "3": "IR", "4": "HR"}
_AREAS: Mapping[str, Area] = {"HR": "HR", "IR": "IR", "CO": "CO", "DI": "DI"}
MOST_REGISTER = 65535
BIT_AREAS: tuple[Area, ...] = ("CO", "DI")


@dataclass(frozen=True, slots=True, kw_only=True)
class S7Place:
    """``DB100.DBX4.3``: db (None where it is not said), byte, bit (None for B, W, D); ``width`` bytes said, 0 for X."""

    db: int | None
    byte: int
    bit: int | None
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusPlace:
    """``HR:100.3``: area, register or bit number (0-based), bit of the register where one is said."""

    area: Area
    number: int
    bit: int | None


def parse_s7(text: str) -> S7Place:
    """Return the place; ValueError says how it is written."""
    match = _S7.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no S7 address; write DB100.DBX4.3, DBW6, DBD8 or DBB5")
    db, letter, byte, bit = match[1], match[2].upper(), int(match[3]), match[4]
    if bit is not None and (letter != "X" or int(bit) > 7):
        raise ValueError(f"{text}: a bit is written DBX{byte}.0 to DBX{byte}.7")
    if letter == "X" and bit is None:
        raise ValueError(f"{text}: which bit? write DBX{byte}.0")
    width = {"X": 0, "B": 1, "W": 2, "D": 4}[letter]
    return S7Place(db=int(db) if db else None, byte=byte, bit=int(bit) if bit else None, width=width)


def parse_modbus(text: str) -> ModbusPlace:
    """Return the place, 0-based; ValueError says how it is written."""
    plain = text.strip()
    if match := _COLON.fullmatch(plain):
        area, number = _AREAS[match[1].upper()], int(match[2])
    elif match := _CLASSIC.fullmatch(plain):
        area, number = _CLASSIC_AREAS[match[1]], int(match[2]) - 1
        if number < 0:
            raise ValueError(f"{text}: such addresses count from 1: {match[1]}{'1'.zfill(len(match[2]))} is the first")
    else:
        raise ValueError(f"{text!r} is no Modbus address; write HR:100 (0-based) or 400101 (1-based), IR:, CO: or DI:")
    if number > MOST_REGISTER:
        raise ValueError(f"{text}: the last address is {MOST_REGISTER} (0-based)")
    bit = int(match[3]) if match[3] else None
    if bit is not None and (area in BIT_AREAS or bit > 15):
        raise ValueError(f"{text}: {area} {'has no bits within' if area in BIT_AREAS else 'has bits 0 to 15'}")
    return ModbusPlace(area=area, number=number, bit=bit)


def classic_of(number: int) -> str | None:
    """Return what a number that is no 0-based register must be: ``400101`` unquoted is the classic address."""
    return str(number) if number > MOST_REGISTER and _CLASSIC.fullmatch(str(number)) else None


def looks_classic(area: Area, number: int) -> bool:
    """Return whether a number might be meant as 5-digit classic address of the area: ``40101`` for HR, unquoted."""
    return len(str(number)) == 5 and _CLASSIC_AREAS.get(str(number)[0]) == area
