"""Tags: what lies where in a PLC, as data. No I/O and no bytes here; bytes are the codec's affair.

A map has one block a direction, so that no byte has two writers. Offsets are bytes from the start of the block on both
protocols (a Modbus register is two bytes), computed by the S7 rules for non-optimised blocks: Bools pack as bits, one-byte
types lie on any byte, everything else, UDTs and arrays begin on an even byte.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

Direction = Literal["plc->gw", "gw->plc"]
WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Scalar = bool | int | float

#: Elementary type → (size in bytes, struct format of its big-endian form). Bool is a bit and has size 0 here.
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
}


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
    """A place in a Modbus area: register 0-based, bit 0–15 for Bools (bit 0 = least significant)."""

    area: Literal["HR", "IR"]
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
    """A member of a UDT, at a byte offset from the UDT's start."""

    name: str
    datatype: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One tag as written in the map. ``count`` is 0 for a scalar, n for ``Array[0..n-1]``; ``fields`` is set for a UDT."""

    name: str
    datatype: str
    """Elementary type, or the UDT's name."""
    offset: int
    """Bytes from the start of the block."""
    bit: int = 0
    count: int = 0
    fields: tuple[Field, ...] = ()
    size: int
    """Bytes in all, 0 for a lone Bool."""
    role: str = ""
    unit: str = ""
    range: tuple[float, float] | None = None
    step: float | None = None
    rate_per_min: float | None = None
    scale: Scale | None = None

    def leaves(self) -> Iterator[Leaf]:
        """Yield every elementary value in this tag, in the order of the bytes."""
        if self.datatype == "Bool":
            for i in range(max(1, self.count)):
                name = f"{self.name}[{i}]" if self.count else self.name
                yield Leaf(name=name, datatype="Bool", offset=self.offset + (self.bit + i) // 8, bit=(self.bit + i) % 8)
            return
        stride = self.size // max(1, self.count)
        for i in range(max(1, self.count)):
            name = f"{self.name}[{i}]" if self.count else self.name
            start = self.offset + i * stride
            if not self.fields:
                yield Leaf(name=name, datatype=self.datatype, offset=start)
            for f in self.fields:
                yield Leaf(name=f"{name}.{f.name}", datatype=f.datatype, offset=start + f.offset)


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
    """The whole map of one PLC: one block a direction (``up`` plc->gw, ``down`` gw->plc)."""

    name: str
    order: WordOrder
    up: Block
    down: Block
    file: str = ""
    roles: Mapping[str, Tag] = field(default_factory=dict)
    """Tags by role; ``param`` is no key here, see :meth:`params`."""

    @property
    def blocks(self) -> tuple[Block, Block]:
        """Return both blocks, up first."""
        return (self.up, self.down)

    def params(self) -> tuple[Tag, ...]:
        """Return the adjustable parameters in map order; the index in this tuple is the request's TagIndex."""
        return tuple(t for t in self.up.tags if t.role == "param")

    def process_tags(self) -> tuple[Tag, ...]:
        """Return the tags of the up block that are no part of the handshake (params among them)."""
        return tuple(t for t in self.up.tags if t.role in ("", "param", "process"))


def interface_checksum(up: Block, down: Block) -> int:
    """Return the CRC-32 over the sorted (block, offset, type, name, dir) lines of every elementary value."""
    lines = [
        f"{block.name}|{leaf.offset}.{leaf.bit}|{leaf.datatype}|{leaf.name}|{block.direction}"
        for block in (up, down)
        for tag in block.tags
        for leaf in tag.leaves()
    ]
    return zlib.crc32("\n".join(sorted(lines)).encode())
