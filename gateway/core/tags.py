"""Tags: what lies where in a PLC, as data. No I/O and no bytes here; bytes are the codec's affair.

A map has one block a direction for the handshake, so that no byte has two writers, and any number of further plc->gw blocks
with measured values. Offsets are bytes from the start of the block on both protocols (a Modbus register is two bytes; a
Modbus bit area counts bits, eight a byte, the first in bit 0), computed by the S7 rules for non-optimised blocks.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

Direction = Literal["plc->gw", "gw->plc"]
WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Area = Literal["HR", "IR", "CO", "DI"]
"""Modbus: holding registers, input registers, coils, discrete inputs."""
Handshake = Literal["ring", "ack"]
Scalar = bool | int | float | str
"""Time is whole ms, LTime whole ns; texts, dates and times of day are str (see ``texts``)."""

#: Elementary type → (size in bytes, struct format of its big-endian form). Bool is a bit and has size 0 here; formats in ``s``
#: are texts. String[n] and WString[n] have sizes of their own: :func:`size_of`.
ELEMENTARY: Mapping[str, tuple[int, str]] = {
    "Bool": (0, "?"),
    "Byte": (1, "B"),
    "USInt": (1, "B"),
    "SInt": (1, "b"),
    "Word": (2, "H"),
    "UInt": (2, "H"),
    "Int": (2, "h"),
    "DWord": (4, "I"),
    "UDInt": (4, "I"),
    "DInt": (4, "i"),
    "Real": (4, "f"),
    "LWord": (8, "Q"),
    "ULInt": (8, "Q"),
    "LInt": (8, "q"),
    "LReal": (8, "d"),
    "Char": (1, "1s"),
    "WChar": (2, "2s"),
    "Time": (4, "i"),
    "LTime": (8, "q"),
    "Date": (2, "2s"),
    "TOD": (4, "4s"),
    "DT": (8, "8s"),
    "DTL": (12, "12s"),
}


@functools.cache
def size_of(datatype: str) -> int:
    """Return the bytes of one value of an elementary type, ``String[n]`` or ``WString[n]``; 0 for Bool; KeyError otherwise."""
    if datatype.endswith("]"):
        name, _, n = datatype[:-1].partition("[")
        return {"String": 2 + int(n), "WString": 4 + 2 * int(n)}[name]
    return ELEMENTARY[datatype][0]


@functools.cache
def units_of(datatype: str) -> tuple[int, ...]:
    """Return the sizes of the numbers that a value is made of, one behind the other: what a word order turns round."""
    size = size_of(datatype)
    if datatype.startswith("String[") or datatype == "DT":
        return (1,) * size
    if datatype.startswith("WString["):
        return (2,) * (size // 2)
    return (2, 1, 1, 1, 1, 1, 1, 4) if datatype == "DTL" else (size,)


class Quality(Enum):
    """How far a value may be trusted; mapped to an OPC UA StatusCode in one place (gateway.opcua)."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagValue:
    """A value with its quality and source time (UTC, ns since 1970)."""

    value: Scalar | None
    quality: Quality
    t_source_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class S7Address:
    """A place in a data block: ``DB100.DBX4.3`` is db 100, byte 4, bit 3."""

    db: int
    byte: int
    bit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusAddress:
    """A place in a Modbus area: register 0-based, in CO and DI the bit's number; bit 0–15 of a register for Bools."""

    area: Area
    register: int
    bit: int = 0


Address = S7Address | ModbusAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Linear scaling: ``raw`` counts (low, high) stand for ``eng`` units (low, high)."""

    raw: tuple[float, float]
    eng: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A member of a UDT, at a byte offset from the UDT's start; an array or a UDT itself as a tag may be."""

    name: str
    datatype: str
    offset: int
    bit: int = 0
    count: int = 0
    low: int = 0
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One tag as written in the map. ``count`` is 0 for a scalar, n for an array; ``fields`` is set for a UDT."""

    name: str
    datatype: str
    """Elementary type, ``String[n]``, ``WString[n]``, or the UDT's name."""
    offset: int
    """Bytes from the start of the block."""
    bit: int = 0
    count: int = 0
    low: int = 0
    """Index of an array's first element."""
    fields: tuple[Field, ...] = ()
    size: int
    """Bytes in all, 0 for a lone Bool."""
    role: str = ""
    unit: str = ""
    range: tuple[float, float] | None = None
    step: float | None = None
    rate_per_min: float | None = None
    scale: Scale | None = None
    order: WordOrder | None = None
    """How this tag's registers lie, where it is not as the map says."""
    description: str = ""

    def leaves(self) -> Iterator[Leaf]:
        """Yield every elementary value in this tag, in the order of the bytes."""
        yield from _leaves(self, self.name, self.offset)


def _leaves(item: Tag | Field, name: str, offset: int) -> Iterator[Leaf]:
    stride = stride_of(item.datatype, item.fields)
    for i in range(max(1, item.count)):
        label = f"{name}[{item.low + i}]" if item.count else name
        if item.datatype == "Bool":
            place = 8 * offset + item.bit + i
            yield Leaf(name=label, datatype="Bool", offset=place // 8, bit=place % 8)
        elif not item.fields:
            yield Leaf(name=label, datatype=item.datatype, offset=offset + i * stride)
        for f in item.fields:
            yield from _leaves(f, f"{label}.{f.name}", offset + i * stride + f.offset)


def stride_of(datatype: str, fields: tuple[Field, ...]) -> int:
    """Return the bytes from one element of an array to the next; 0 for Bool. All but one-byte types begin even."""
    if not fields:
        size = size_of(datatype)
        return size if size < 2 else size + size % 2
    last = fields[-1]
    size = last.offset + extent_of(last.datatype, last.fields, last.count)
    return size + size % 2


def extent_of(datatype: str, fields: tuple[Field, ...], count: int) -> int:
    """Return the bytes that a value or an array occupies, its bits rounded up; an array of Bools ends on an even byte."""
    if datatype == "Bool":
        return (count + 15) // 16 * 2 if count else 1
    stride = stride_of(datatype, fields)
    return stride * (count or 1) if fields or count else size_of(datatype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One elementary value: dotted name (``Tokens[3].PartId``), type, byte offset in the block and bit."""

    name: str
    datatype: str
    offset: int
    bit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One contiguous range with one writer: ``base`` is its first byte; ``size`` is its length in bytes (even)."""

    name: str
    base: Address
    direction: Direction
    tags: tuple[Tag, ...]
    size: int
    bits: int = 0
    """In a Modbus bit area (CO, DI) the bits that the block really has; 0 elsewhere."""
    description: str = ""

    def tag(self, name: str) -> Tag:
        """Return the tag of that name; KeyError if absent."""
        for tag in self.tags:
            if tag.name == name:
                return tag
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A run of bytes in a block, moved by one request: what drivers read and write. Even offset and length."""

    block: Block
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TagMap:
    """The whole map of one PLC: the handshake's blocks ``up`` (plc->gw) and ``down`` (gw->plc), and ``extra`` values."""

    name: str
    order: WordOrder
    up: Block
    down: Block
    extra: tuple[Block, ...] = ()
    """Further plc->gw blocks, read more slowly."""
    handshake: Handshake = "ring"
    file: str = ""
    roles: Mapping[str, Tag] = field(default_factory=dict)
    """Tags by role, those of ``extra`` (``trace.*``) among them; ``param`` is no key here, see :meth:`params`."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Return all blocks, up and down first."""
        return (self.up, self.down, *self.extra)

    def params(self) -> tuple[Tag, ...]:
        """Return the adjustable parameters in map order; the index in this tuple is the request's TagIndex."""
        return tuple(t for t in self.up.tags if t.role == "param")

    def process_tags(self) -> tuple[Tag, ...]:
        """Return the plc->gw tags that are no part of handshake and trace (params among them), the up block's first."""
        return tuple(t for b in (self.up, *self.extra) for t in b.tags if t.role in ("", "param", "process"))


def interface_checksum(*blocks: Block) -> int:
    """Return the CRC-32 over the sorted (block, offset, type, name, dir) lines of every elementary value."""
    lines = [
        f"{block.name}|{leaf.offset}.{leaf.bit}|{leaf.datatype}|{leaf.name}|{block.direction}"
        for block in blocks
        for tag in block.tags
        for leaf in tag.leaves()
    ]
    return zlib.crc32("\n".join(sorted(lines)).encode())
