"""From a map's tag lines to offsets: the S7 rules for non-optimised blocks, on both protocols.

Bools pack as bits; one-byte types lie on any byte; everything else, UDTs and arrays begin on an even byte.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.core.tags import ELEMENTARY, Field

_ARRAY = re.compile(r"Array\s*\[\s*(-?\d+)\s*\.\.\s*(-?\d+)\s*\]\s*of\s+(\S+)", re.IGNORECASE)
_LATER = ("String", "WString", "DTL", "Date", "Time", "Char", "WChar", "Time_Of_Day")
MAX_ARRAY = 4096

Udt = tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A tag's type taken apart: ``count`` 0 for a scalar; ``fields`` for a UDT; ``stride`` bytes an element (0 = Bool)."""

    base: str
    count: int
    fields: Udt
    stride: int


def parse_type(text: str, types: Mapping[str, Udt]) -> Shape:
    """Return the shape of a type such as ``Real``, ``Array[0..7] of Token``; ValueError says what is wrong and the remedy."""
    count, base = 0, text.strip()
    if match := _ARRAY.fullmatch(base):
        low, high, base = int(match[1]), int(match[2]), match[3]
        if low != 0 or not 0 <= high < MAX_ARRAY:
            raise ValueError(f"array bounds {low}..{high}: they must run from 0 to at most {MAX_ARRAY - 1}")
        count = high + 1
    if base in types:
        return Shape(base=base, count=count, fields=types[base], stride=udt_size(types[base]))
    if base in ELEMENTARY:
        return Shape(base=base, count=count, fields=(), stride=ELEMENTARY[base][0])
    if base.split("[")[0] in _LATER:
        raise ValueError(f"type {base!r} is not supported in this version; use numbers and Bool")
    near = difflib.get_close_matches(base, [*ELEMENTARY, *types], 1, 0.5)
    hint = f", did you mean {near[0]!r}?" if near else f"; known are {', '.join(ELEMENTARY)}"
    raise ValueError(f"unknown type {base!r}{hint}")


def element_type(text: str) -> str:
    """Return the type of one element: ``Token`` for ``Token`` and for ``Array[0..7] of Token``."""
    match = _ARRAY.fullmatch(text.strip())
    return match[3] if match else text.strip()


def layout_udt(members: Sequence[tuple[str, str]]) -> Udt:
    """Return the fields of a UDT of (name, elementary type); ValueError names the member."""
    fields: list[Field] = []
    at = 0
    if not members:
        raise ValueError("a UDT needs at least one member")
    for name, datatype in members:
        if name in [f.name for f in fields]:
            raise ValueError(f"{name}: the name of two members")
        if datatype not in ELEMENTARY or datatype == "Bool":
            parse_type(datatype, {})
            raise ValueError(f"{name}: a UDT holds elementary types of a byte or more, not {datatype!r}")
        size = ELEMENTARY[datatype][0]
        at += at % 2 if size > 1 else 0
        fields.append(Field(name=name, datatype=datatype, offset=at))
        at += size
    return tuple(fields)


def udt_size(udt: Udt) -> int:
    """Return the UDT's length in bytes, even."""
    last = udt[-1]
    size = last.offset + ELEMENTARY[last.datatype][0]
    return size + size % 2


@dataclass(slots=True)
class Cursor:
    """Where the next tag of a block goes."""

    byte: int = 0
    bit: int = 0
    taken: dict[int, str] = field(default_factory=dict)
    """Bits (byte × 8 + bit) in use, by tag name."""

    def place(self, name: str, shape: Shape, at: int | None) -> tuple[int, int, int]:
        """Return (offset, bit, size) of the next tag and move on; ValueError when ``at`` is impossible or overlaps."""
        if shape.base == "Bool":
            return self._place_bits(name, shape.count, at)
        size = shape.stride * max(1, shape.count)
        offset = self.byte + (1 if self.bit else 0)
        aligned = shape.stride > 1 or shape.count or shape.fields
        offset += offset % 2 if aligned else 0
        if at is not None:
            if aligned and at % 2:
                raise ValueError(f"at: {at} is odd; {shape.base} begins on an even byte")
            offset = at
        self._take(name, range(offset * 8, (offset + size) * 8))
        self.byte, self.bit = offset + size, 0
        return offset, 0, size

    def _place_bits(self, name: str, count: int, at: int | None) -> tuple[int, int, int]:
        if count:
            offset = self.byte + (1 if self.bit else 0) if at is None else at
            offset += offset % 2 if at is None else 0
            size = (count + 15) // 16 * 2
            self._take(name, range(offset * 8, (offset + size) * 8))
            self.byte, self.bit = offset + size, 0
            return offset, 0, size
        if at is not None:
            self.byte, self.bit = at, 0 if at != self.byte else self.bit
        byte, bit = self.byte, self.bit
        self._take(name, range(byte * 8 + bit, byte * 8 + bit + 1))
        self.byte, self.bit = (byte + 1, 0) if bit == 7 else (byte, bit + 1)
        return byte, bit, 0

    def _take(self, name: str, bits: range) -> None:
        rival = next((self.taken[b] for b in bits if b in self.taken), None)
        if rival is not None:
            raise ValueError(
                f"overlaps {rival} at byte {next(b for b in bits if b in self.taken) // 8}; give each its own bytes"
            )
        self.taken.update(dict.fromkeys(bits, name))

    @property
    def size(self) -> int:
        """Return the block's length in bytes so far, even."""
        end = max(self.taken, default=-1) // 8 + 1
        return end + end % 2
