"""Bytes ↔ values: big-endian images of blocks, with the word orders that Modbus devices use, and linear scaling.

On S7 the order is always ABCD. On Modbus a 32- or 64-bit value spans registers; CDAB reverses the registers of a value,
BADC the bytes in each register, DCBA both; the characters of a string keep their registers. Pure: no I/O, no protocol.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.tags import ELEMENTARY, Block, Leaf, Scalar, Scale, Tag, WordOrder, size_of, units_of
from gateway.core.texts import decode_text, encode_text, is_text


def reorder(data: bytes, order: WordOrder) -> bytes:
    """Return the bytes of one value of 2, 4 or 8 bytes between big-endian and ``order``; its own inverse."""
    if order in ("CDAB", "DCBA"):
        data = b"".join(data[i : i + 2] for i in range(len(data) - 2, -2, -2))
    if order in ("BADC", "DCBA"):
        data = b"".join(data[i + 1 : i + 2] + data[i : i + 1] for i in range(0, len(data), 2))
    return data


class BlockCodec:
    """Decodes images of one block, whole or the same part of it each time: one ``struct.unpack`` a read."""

    def __init__(self, block: Block, order: WordOrder, *, start: int = 0, length: int | None = None) -> None:
        """Lay out once what lies wholly within ``length`` bytes from ``start`` (even) on; all of the block if not given."""
        self._length = block.size if length is None else length
        self._bits: list[tuple[str, int, int]] = []
        self._scaled: list[tuple[str, Scale]] = []
        self._texts: list[tuple[str, str]] = []
        self._names: list[str] = []
        table = list(range(self._length))
        form, at = ">", 0
        leaves = sorted(((leaf, tag) for tag in block.tags for leaf in tag.leaves()), key=lambda p: (p[0].offset, p[0].bit))
        for leaf, tag in leaves:
            place, size = leaf.offset - start, size_of(leaf.datatype)
            if place < 0 or place + max(1, size) > self._length:
                continue
            own = "ABCD" if block.bits else tag.order or order
            if leaf.datatype == "Bool":
                self._bits.append((leaf.name, _byte_place(place, own), leaf.bit))
                continue
            form += "x" * (place - at) + format_of(leaf.datatype)
            at = place + size
            table[place:at] = _indices(place, leaf.datatype, own)
            self._names.append(leaf.name)
            if is_text(leaf.datatype):
                self._texts.append((leaf.name, leaf.datatype))
            elif tag.scale is not None:
                self._scaled.append((leaf.name, tag.scale))
        self._struct = struct.Struct(form + "x" * (self._length - at))
        self._table = None if table == list(range(self._length)) else table

    def decode(self, data: bytes) -> dict[str, Scalar]:
        """Return every elementary value of the image by its dotted name; ValueError when the length is wrong."""
        if len(data) != self._length:
            raise ValueError(f"{len(data)} bytes for a block of {self._length}")
        straight = data if self._table is None else bytes(map(data.__getitem__, self._table))
        values: dict[str, Any] = dict(zip(self._names, self._struct.unpack(straight), strict=True))
        for name, byte, bit in self._bits:
            values[name] = bool(data[byte] >> bit & 1)
        for name, datatype in self._texts:
            values[name] = decode_text(datatype, values[name])
        for name, scale in self._scaled:
            values[name] = to_engineering(float(values[name]), scale)
        return values


def format_of(datatype: str) -> str:
    """Return the struct format of the type's big-endian form; texts are bytes."""
    return f"{size_of(datatype)}s" if is_text(datatype) else ELEMENTARY[datatype][1]


def encode_section(tags: Sequence[Tag], values: Mapping[str, Scalar], order: WordOrder) -> bytes:
    """Return the bytes from the first tag's start to the last one's end, an even number; leaves without a value are 0.

    ``values`` are engineering values by leaf name. ValueError names a tag whose value does not fit its type, or that begins
    on an odd byte: orders that swap the bytes of a register need the whole of it.
    """
    first = min(tags, key=lambda t: t.offset)
    start = first.offset
    if start % 2:
        raise ValueError(f"{first.name}: a section begins on an even byte, not {start}")
    length = max(t.offset + max(1, t.size) for t in tags) - start
    out = bytearray(length + length % 2)
    for tag in tags:
        for leaf in tag.leaves():
            if leaf.name in values:
                encode_into(out, leaf, values[leaf.name], tag.order or order, start=start, scale=tag.scale)
    return bytes(out)


def encode_into(
    out: bytearray, leaf: Leaf, value: Scalar, order: WordOrder, *, start: int = 0, scale: Scale | None = None
) -> None:
    """Write one value into ``out``, whose first byte is byte ``start`` of the block; ValueError names the tag."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{leaf.name}: {value} is no number that a PLC may be given")
    at = leaf.offset - start
    if leaf.datatype == "Bool":
        byte = _byte_place(leaf.offset, order) - start
        out[byte] = out[byte] & ~(1 << leaf.bit) | (bool(value) << leaf.bit)
        return
    data = _text_bytes(leaf, value) if is_text(leaf.datatype) else _number_bytes(leaf, value, scale)
    if order == "ABCD":
        out[at : at + len(data)] = data
        return
    for place, byte in zip(_indices(at, leaf.datatype, order), data, strict=True):
        out[place] = byte


def _text_bytes(leaf: Leaf, value: Scalar) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{leaf.name}: {value} is no text, the type is {leaf.datatype}")
    try:
        return encode_text(leaf.datatype, size_of(leaf.datatype), value)
    except ValueError as error:
        raise ValueError(f"{leaf.name}: {value!r} does not fit into {leaf.datatype}: {error}") from None


def _number_bytes(leaf: Leaf, value: Scalar, scale: Scale | None) -> bytes:
    if isinstance(value, str):
        raise ValueError(f"{leaf.name}: {value!r} is text, the type is {leaf.datatype}")
    code = ELEMENTARY[leaf.datatype][1]
    raw: float = value if scale is None else to_raw(float(value), scale)
    if code not in "fd":
        if isinstance(raw, float) and not raw.is_integer() and scale is None:
            raise ValueError(f"{leaf.name}: {value} is no whole number, the type is {leaf.datatype}")
        raw = round(raw)
    try:
        return struct.pack(">" + code, raw)
    except (struct.error, OverflowError):
        raise ValueError(f"{leaf.name}: {value} does not fit into {leaf.datatype}") from None


def to_engineering(raw: float, scale: Scale) -> float:
    """Return the engineering value of ``raw`` by linear interpolation through the scale's two points."""
    (r0, r1), (e0, e1) = scale.raw, scale.eng
    return e0 + (raw - r0) * (e1 - e0) / (r1 - r0)


def to_raw(eng: float, scale: Scale) -> float:
    """Return the raw counts that stand for the engineering value."""
    (r0, r1), (e0, e1) = scale.raw, scale.eng
    return r0 + (eng - e0) * (r1 - r0) / (e1 - e0)


def _byte_place(offset: int, order: WordOrder) -> int:
    """Where a lone byte lies in the image: orders that swap the bytes of a register swap Bools and one-byte types too."""
    return offset ^ 1 if order in ("BADC", "DCBA") else offset


def _indices(at: int, datatype: str, order: WordOrder) -> list[int]:
    """Return where each byte of the big-endian value at ``at`` lies in an image of ``order``."""
    places: list[int] = []
    for size in units_of(datatype):
        start = at + len(places)
        places += [_byte_place(start, order)] if size == 1 else [start + i for i in reorder(bytes(range(size)), order)]
    return places
