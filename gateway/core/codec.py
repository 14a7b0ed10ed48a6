"""Bytes ↔ values: big-endian images of blocks, with the word orders that Modbus devices use, and linear scaling.

On S7 the order is always ABCD. On Modbus a 32- or 64-bit value spans registers; CDAB reverses the registers of a value,
BADC the bytes in each register, DCBA both. Pure: no I/O, no protocol.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

from gateway.core.tags import ELEMENTARY, Block, Leaf, Scalar, Scale, Tag, WordOrder


def reorder(data: bytes, order: WordOrder) -> bytes:
    """Return the bytes of one value of 2, 4 or 8 bytes between big-endian and ``order``; its own inverse."""
    if order in ("CDAB", "DCBA"):
        data = b"".join(data[i : i + 2] for i in range(len(data) - 2, -2, -2))
    if order in ("BADC", "DCBA"):
        data = b"".join(data[i + 1 : i + 2] + data[i : i + 1] for i in range(0, len(data), 2))
    return data


class BlockCodec:
    """Decodes whole images of one block: one ``struct.unpack`` a read."""

    def __init__(self, block: Block, order: WordOrder) -> None:
        """Lay out the block once."""
        self._size = block.size
        self._bits: list[tuple[str, int, int]] = []
        self._scaled: list[tuple[str, Scale]] = []
        self._names: list[str] = []
        form, at = ">", 0
        leaves = sorted(((leaf, tag) for tag in block.tags for leaf in tag.leaves()), key=lambda p: (p[0].offset, p[0].bit))
        for leaf, tag in leaves:
            size, code = ELEMENTARY[leaf.datatype]
            if leaf.datatype == "Bool":
                self._bits.append((leaf.name, _byte_place(leaf.offset, order), leaf.bit))
                continue
            form += "x" * (leaf.offset - at) + code
            at = leaf.offset + size
            self._names.append(leaf.name)
            if tag.scale is not None:
                self._scaled.append((leaf.name, tag.scale))
        self._struct = struct.Struct(form + "x" * (block.size - at))
        self._table = _permutation(block, order)

    def decode(self, data: bytes) -> dict[str, Scalar]:
        """Return every elementary value of the image by its dotted name; ValueError when the length is wrong."""
        if len(data) != self._size:
            raise ValueError(f"{len(data)} bytes for a block of {self._size}")
        straight = data if self._table is None else bytes(map(data.__getitem__, self._table))
        values: dict[str, Scalar] = dict(zip(self._names, self._struct.unpack(straight), strict=True))
        for name, byte, bit in self._bits:
            values[name] = bool(data[byte] >> bit & 1)
        for name, scale in self._scaled:
            values[name] = to_engineering(float(values[name]), scale)
        return values


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
                encode_into(out, leaf, values[leaf.name], order, start=start, scale=tag.scale)
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
    size, code = ELEMENTARY[leaf.datatype]
    raw: Scalar = value if scale is None else to_raw(float(value), scale)
    if code not in "fd":
        if isinstance(raw, float) and not raw.is_integer() and scale is None:
            raise ValueError(f"{leaf.name}: {value} is no whole number, the type is {leaf.datatype}")
        raw = round(raw)
    try:
        data = struct.pack(">" + code, raw)
    except (struct.error, OverflowError):
        raise ValueError(f"{leaf.name}: {value} does not fit into {leaf.datatype}") from None
    if size == 1:
        out[_byte_place(leaf.offset, order) - start] = data[0]
    else:
        out[at : at + size] = reorder(data, order)


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


def _indices(at: int, size: int, order: WordOrder) -> list[int]:
    """Return where each byte of the big-endian value at ``at`` lies in an image of ``order``."""
    return [at + i for i in reorder(bytes(range(size)), order)]


def _permutation(block: Block, order: WordOrder) -> list[int] | None:
    if order == "ABCD":
        return None
    table = list(range(block.size))
    for tag in block.tags:
        for leaf in tag.leaves():
            size = ELEMENTARY[leaf.datatype][0]
            if size == 1:
                table[leaf.offset] = _byte_place(leaf.offset, order)
            elif size:
                table[leaf.offset : leaf.offset + size] = _indices(leaf.offset, size, order)
    return table
