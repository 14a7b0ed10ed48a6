"""Where a value stands: all four word orders and the neighbours of a tag, since a wrong order and an off-by-one look the same.

Pure: bytes in, candidates out. It must not know a driver.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import get_args

from gateway.core.codec import reorder, to_engineering
from gateway.core.tags import ELEMENTARY, Scale, WordOrder

NUMERIC = frozenset(
    "Byte Word DWord LWord SInt USInt Int UInt DInt UDInt LInt ULInt Real LReal".split()  # noqa: SIM905 - read as a list of words
)
ORDERS: tuple[WordOrder, ...] = get_args(WordOrder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A value as a person reads it on a display: true within half a unit of its last digit."""

    value: float
    tolerance: float
    text: str

    def fits(self, value: float) -> bool:
        """Return whether this number would be shown like that."""
        return math.isfinite(value) and abs(value - self.value) <= self.tolerance * (1 + 1e-9)


def expected(text: str) -> Expected:
    """Return the value of ``229.01``, ``1e3`` or ``16#12345678``; ValueError when it is none."""
    if match := re.fullmatch(r"(?:16#|0[xX])([0-9A-Fa-f_]+)", text):
        return Expected(value=float(int(match[1].replace("_", ""), 16)), tolerance=0.0, text=text)
    try:
        number = Decimal(text.replace(",", "."))
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number; give it as a display shows it: 229.01, 42 or 16#12345678") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{text!r} is no number that a tag can hold")
    return Expected(value=float(number), tolerance=float(Decimal(10) ** exponent) / 2 if exponent < 0 else 0.0, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to read a tag: in this order, so many bytes further on than the map says."""

    order: WordOrder
    shift: int
    value: float


def readings(
    data: bytes, at: int, datatype: str, scale: Scale | None, orders: tuple[WordOrder, ...], shifts: tuple[int, ...]
) -> Iterator[Candidate]:
    """Yield every way to read a number of ``datatype`` at ``at`` and beside it, each run of bytes once.

    The first order and shift given come first: the map's own. Values are engineering values.
    """
    size, code = ELEMENTARY[datatype]
    seen: set[tuple[int, ...]] = set()
    for shift in shifts:
        for order in orders:
            start = at + shift
            places: tuple[int, ...]
            if size == 1:
                places = (start ^ 1 if order in ("BADC", "DCBA") else start,)
            else:
                places = tuple(start + i for i in reorder(bytes(range(size)), order))
            if min(places) < 0 or max(places) >= len(data) or places in seen:
                continue
            seen.add(places)
            raw = struct.unpack(">" + code, bytes(data[i] for i in places))[0]
            yield Candidate(order=order, shift=shift, value=to_engineering(raw, scale) if scale else float(raw))


def shifts_of(driver: str) -> tuple[int, ...]:
    """Return the distances at which to look (bytes): two registers on Modbus, two bytes on S7; the place itself first."""
    unit = 2 if driver == "modbus" else 1
    return (0, -unit, unit, -2 * unit, 2 * unit)


def orders_from(order: WordOrder) -> tuple[WordOrder, ...]:
    """Return the four orders, this one first."""
    return (order, *(o for o in ORDERS if o != order))
