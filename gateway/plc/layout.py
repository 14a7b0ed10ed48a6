"""From a map's tag lines to offsets: the S7 rules for non-optimised blocks, on both protocols.

Bools pack as bits; one-byte types lie on any byte; everything else, UDTs and arrays begin on an even byte, and arrays and
UDTs end on one. In a Modbus bit area there are bits alone, one behind the other.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.core.tags import ELEMENTARY, Field, extent_of, stride_of

_ARRAY = re.compile(r"Array\s*\[\s*(-?\d+)\s*\.\.\s*(-?\d+)\s*\]\s*of\s+(\S+)", re.IGNORECASE)
_STRING = re.compile(r"(String|WString)\[(\d+)\]")
MAX_ARRAY = 4096
MAX_CHARACTERS = {"String": 254, "WString": 16382}
_OTHER_NAMES = {
    "Time_Of_Day": "TOD",
    "Date_And_Time": "DT",
    "String": "String[20]",
    "WString": "WString[20]",
    "Float": "Real",
    "Double": "LReal",
    "Boolean": "Bool",
    "Integer": "Int",
}
"""What people write, in small letters compared, and what it is called here."""

Udt = tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A type taken apart: ``count`` 0 for a scalar, ``low`` an array's first index; ``stride`` bytes an element (0 = Bool)."""

    base: str
    count: int
    fields: Udt
    stride: int
    low: int = 0

    @property
    def size(self) -> int:
        """Return the bytes in all; 0 for a lone Bool."""
        return 0 if self.base == "Bool" and not self.count else extent_of(self.base, self.fields, self.count)

    @property
    def begins_even(self) -> bool:
        """Return whether it may not begin on an odd byte."""
        return bool(self.count or self.fields) or self.stride > 1


def parse_type(text: str, types: Mapping[str, Udt]) -> Shape:
    """Return the shape of a type such as ``Real``, ``Array[1..8] of Token``; ValueError says what is wrong and the remedy."""
    count, low, base = 0, 0, text.strip()
    if match := _ARRAY.fullmatch(base):
        low, high, base = int(match[1]), int(match[2]), match[3]
        if not low <= high < low + MAX_ARRAY or not -32768 <= low <= high <= 32767:
            raise ValueError(f"array bounds {low}..{high}: they must rise, to {MAX_ARRAY} elements at most")
        count = high - low + 1
    elif base.lower().startswith("array"):
        raise ValueError(f"{base!r}: an array is written Array[0..7] of Real, with one pair of bounds")
    if base in types:
        return Shape(base=base, count=count, low=low, fields=types[base], stride=stride_of(base, types[base]))
    if string := _STRING.fullmatch(base):
        most = MAX_CHARACTERS[string[1]]
        if not 1 <= int(string[2]) <= most:
            raise ValueError(f"{base}: the length of a {string[1]} is 1 to {most}")
        base = f"{string[1]}[{int(string[2])}]"
    elif base not in ELEMENTARY:
        raise ValueError(_unknown(base, types))
    return Shape(base=base, count=count, low=low, fields=(), stride=stride_of(base, ()))


def _unknown(base: str, types: Mapping[str, Udt]) -> str:
    known = [*ELEMENTARY, "String[20]", "WString[20]", *types]
    small = {name.lower(): name for name in known} | {name.lower(): here for name, here in _OTHER_NAMES.items()}
    near = difflib.get_close_matches(base.lower(), small, 1, 0.6)
    hint = f", did you mean {small[near[0]]!r}?" if near else f"; known are {', '.join(known)}"
    return f"unknown type {base!r}{hint}"


def element_type(text: str) -> str:
    """Return the type of one element: ``Token`` for ``Token`` and for ``Array[0..7] of Token``."""
    match = _ARRAY.fullmatch(text.strip())
    return match[3] if match else text.strip()


def layout_udt(members: Sequence[tuple[str, str]], types: Mapping[str, Udt] | None = None) -> Udt:
    """Return the fields of a UDT of (name, type), which may use the UDTs ``types``; ValueError names the member."""
    if not members:
        raise ValueError("a UDT needs at least one member")
    fields: list[Field] = []
    cursor = Cursor()
    for name, datatype in members:
        if same := [f.name for f in fields if f.name.upper() == name.upper()]:
            also = f", {same[0]} is the same on a PLC" if same[0] != name else ""
            raise ValueError(f"{name}: the name of two members{also}; rename one")
        try:
            shape = parse_type(datatype, types or {})
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        at, bit, _ = cursor.place(name, shape, None)
        fields.append(
            Field(name=name, datatype=shape.base, offset=at, bit=bit, count=shape.count, low=shape.low, fields=shape.fields)
        )
    return tuple(fields)


def udt_size(udt: Udt) -> int:
    """Return the UDT's length in bytes, even."""
    return stride_of("", udt)


@dataclass(slots=True)
class Cursor:
    """Where the next tag of a block goes."""

    byte: int = 0
    bit: int = 0
    bits_only: bool = False
    """In a Modbus bit area: ``at`` counts bits, and arrays do not begin anew on an even byte."""
    area: str = ""
    """On Modbus the block's area and first register, so that what is said names both."""
    register: int = 0
    taken: dict[int, str] = field(default_factory=dict)
    """Bits (byte × 8 + bit) in use, by tag name."""

    def place(self, name: str, shape: Shape, at: int | None, at_bit: int | None = None) -> tuple[int, int, int]:
        """Return (offset, bit, size) of the next tag and move on; ValueError when ``at`` is impossible or overlaps.

        ``at_bit`` fixes the bit of a lone Bool within byte ``at``; a Bool at a byte goes on in it otherwise.
        """
        if self.bits_only:
            return self._place_coils(name, shape, at)
        if shape.base == "Bool" and not shape.count:
            return self._place_bit(name, at, at_bit)
        offset = self.byte + (1 if self.bit else 0)
        offset += offset % 2 if shape.begins_even else 0
        if at is not None:
            if shape.begins_even and at % 2:
                raise ValueError(f"at: {at} is odd; {shape.base} begins on an even byte")
            offset = at
        size = shape.size
        self._take(name, range(offset * 8, (offset + size) * 8))
        end = offset + size
        self.byte, self.bit = end + (end % 2 if shape.count or shape.fields else 0), 0
        return offset, 0, size

    def _place_bit(self, name: str, at: int | None, at_bit: int | None) -> tuple[int, int, int]:
        if at is not None:
            self.byte, self.bit = at, 0 if at != self.byte else self.bit
        byte, bit = self.byte, self.bit if at_bit is None else at_bit
        self._take(name, range(byte * 8 + bit, byte * 8 + bit + 1))
        self.byte, self.bit = (byte + 1, 0) if bit == 7 else (byte, bit + 1)
        return byte, bit, 0

    def _place_coils(self, name: str, shape: Shape, at: int | None) -> tuple[int, int, int]:
        if shape.base != "Bool":
            raise ValueError(f"coils and discrete inputs hold Bool alone, not {shape.base}")
        first, count = 8 * self.byte + self.bit if at is None else at, max(1, shape.count)
        self._take(name, range(first, first + count))
        self.byte, self.bit = divmod(first + count, 8)
        return first // 8, first % 8, 0 if not shape.count else (first % 8 + count + 7) // 8

    def _take(self, name: str, bits: range) -> None:
        clash = next((b for b in bits if b in self.taken), None)
        if clash is not None:
            unit, number = ("bit", clash) if self.bits_only else ("byte", clash // 8)
            register = f" ({self.area}:{self.register + (number if self.bits_only else number // 2)})" if self.area else ""
            raise ValueError(f"overlaps {self.taken[clash]} at {unit} {number}{register}; give each its own {unit}s")
        self.taken.update(dict.fromkeys(bits, name))

    @property
    def size(self) -> int:
        """Return the block's length in bytes so far, even."""
        end = max(self.taken, default=-1) // 8 + 1
        return end + end % 2

    @property
    def bits(self) -> int:
        """Return the number of bits so far."""
        return max(self.taken, default=-1) + 1
