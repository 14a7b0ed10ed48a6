"""The PLC's blocks as bytes, and typed cells in them.

Stands here because the simulated PLC must lay out its own memory: were it to share the gateway's codec, a mistake in byte
order would be made twice and cancel itself. It knows the map's layout and no protocol: S7 serves these bytes as they stand,
Modbus serves each two of them, high byte first, as one register (a bit area: each byte as eight bits, the lowest first). What
a cell means is the program's affair.
"""

from __future__ import annotations

import math
import struct
from datetime import date, datetime, timedelta

from gateway.core.tags import Block, Scalar, Scale, Tag, WordOrder

_FORMATS = {
    "Byte": "B",
    "USInt": "B",
    "SInt": "b",
    "Word": "H",
    "UInt": "H",
    "Int": "h",
    "DWord": "I",
    "UDInt": "I",
    "DInt": "i",
    "Real": "f",
    "LWord": "Q",
    "ULInt": "Q",
    "LInt": "q",
    "LReal": "d",
    "Time": "i",
    "LTime": "q",
}
_DTL = (2, 1, 1, 1, 1, 1, 1, 4)


def arrange(raw: bytes, order: WordOrder) -> bytes:
    """Return the big-endian bytes ``raw`` of one value in the given order of words and bytes; its own inverse.

    CDAB reverses the words of a value, BADC the bytes in each word, DCBA both: such a device sends the bytes of every
    register swapped, those of a 16-bit value too. One byte alone has no order; see :class:`Cell` for where it lies.
    """
    if len(raw) < 2 or order == "ABCD":
        return raw
    words = [raw[i : i + 2] for i in range(0, len(raw), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return b"".join(words)


class Cell:
    """One elementary value in a block, read and written in place."""

    __slots__ = ("_bit", "_data", "_offset", "_order", "_packing")

    def __init__(self, data: bytearray, datatype: str, offset: int, bit: int, order: WordOrder) -> None:
        """Bind the place to the bytes ``data`` of its block; KeyError for a type that the PLC does not know."""
        self._data = data
        one_byte = datatype == "Bool" or _FORMATS[datatype] in "Bb"
        #: A device that swaps the bytes of its registers swaps single bytes and bits with them.
        self._offset = offset ^ 1 if one_byte and order in ("BADC", "DCBA") else offset
        self._bit = bit if datatype == "Bool" else -1
        self._packing = struct.Struct(">" + ("B" if datatype == "Bool" else _FORMATS[datatype]))
        self._order: WordOrder = "ABCD" if one_byte else order

    @property
    def is_real(self) -> bool:
        """Return whether the cell holds a floating-point number."""
        return self._packing.format[-1] in "fd"

    def limits(self) -> tuple[int, int]:
        """Return the least and the greatest value that an integer or Bool cell can hold."""
        if self._bit >= 0:
            return (0, 1)
        bits = 8 * self._packing.size
        return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if self._packing.format[-1].islower() else (0, (1 << bits) - 1)

    def get(self) -> Scalar:
        """Return the value."""
        if self._bit >= 0:
            return bool(self._data[self._offset] >> self._bit & 1)
        value: int | float
        if self._order == "ABCD":
            (value,) = self._packing.unpack_from(self._data, self._offset)
        else:
            raw = bytes(self._data[self._offset : self._offset + self._packing.size])
            (value,) = self._packing.unpack(arrange(raw, self._order))
        return value

    def integer(self) -> int:
        """Return the value of an integer cell."""
        return int(self.get())

    def set(self, value: Scalar) -> None:
        """Write the value; struct.error if it does not fit the type."""
        if self._bit >= 0:
            mask = 1 << self._bit
            self._data[self._offset] = self._data[self._offset] & ~mask | (mask if value else 0)
        elif self._order == "ABCD":
            self._packing.pack_into(self._data, self._offset, value)
        else:
            end = self._offset + self._packing.size
            self._data[self._offset : end] = arrange(self._packing.pack(value), self._order)


class TextCell(Cell):
    """A character, a string, a date or a time of day in a block, as text."""

    __slots__ = ("_type", "_units")

    def __init__(self, data: bytearray, datatype: str, offset: int, order: WordOrder) -> None:
        """Bind the place; KeyError for a type that the PLC does not know."""
        self._data, self._offset, self._order = data, offset, order
        self._type, _, length = datatype.rstrip("]").partition("[")
        n = int(length or 0)
        fixed = {"Char": (1,), "WChar": (2,), "Date": (2,), "TOD": (4,), "DT": (1,) * 8, "DTL": _DTL}
        self._units: tuple[int, ...] = (
            fixed[datatype] if not n else (1,) * (2 + n) if self._type == "String" else (2,) * (2 + n)
        )

    def get(self) -> str:
        """Return the text; '' for a string whose length is impossible. Dates and times are not read by any program here."""
        raw = b"".join(bytes(self._data[i] for i in places) for places in self._places())
        if self._type == "String":
            return raw[2 : 2 + raw[1]].decode("latin-1") if raw[1] <= len(raw) - 2 else ""
        if self._type == "WString":
            length = 256 * raw[2] + raw[3]
            return raw[4 : 4 + 2 * length].decode("utf-16-be") if 2 * length <= len(raw) - 4 else ""
        if self._type in ("Char", "WChar"):
            return raw.decode("latin-1" if self._type == "Char" else "utf-16-be")
        raise TypeError(f"a {self._type} is written by the PLC only")

    def set(self, value: Scalar) -> None:
        """Write the text, cut to what the type holds; dates and times as ISO text."""
        raw, at = self._raw(str(value)), 0
        for places in self._places():
            for i in places:
                self._data[i] = raw[at]
                at += 1

    def _places(self) -> list[list[int]]:
        """Return where the bytes of each unit lie, the highest first."""
        places, at = [], self._offset
        swapped = self._order in ("BADC", "DCBA")
        for size in self._units:
            if size == 1:
                places.append([at ^ 1 if swapped else at])
            else:
                places.append([at + i for i in arrange(bytes(range(size)), self._order)])
            at += size
        return places

    def _raw(self, value: str) -> bytes:
        room = len(self._units) - 2
        if self._type == "String":
            text = value.encode("latin-1", "replace")[:room]
            return bytes((room, len(text))) + text + bytes(room - len(text))
        if self._type == "WString":
            text = value.encode("utf-16-be")[: 2 * room]
            return struct.pack(">HH", room, len(text) // 2) + text + bytes(2 * room - len(text))
        if self._type in ("Char", "WChar"):
            return value[:1].encode("latin-1" if self._type == "Char" else "utf-16-be")
        if self._type == "Date":
            return struct.pack(">H", (date.fromisoformat(value) - date(1990, 1, 1)).days)
        if self._type == "TOD":
            return struct.pack(
                ">I", (datetime.fromisoformat(f"1990-01-01T{value}") - datetime(1990, 1, 1)) // timedelta(milliseconds=1)
            )
        when = datetime.fromisoformat(value)
        weekday = when.isoweekday() % 7 + 1
        if self._type == "DTL":
            parts = (when.year, when.month, when.day, weekday, when.hour, when.minute, when.second, when.microsecond * 1000)
            return struct.pack(">HBBBBBBI", *parts)
        digits = f"{when.year % 100:02}{when.month:02}{when.day:02}{when.hour:02}{when.minute:02}{when.second:02}"
        return bytes.fromhex(f"{digits}{when.microsecond // 1000:03}{weekday}")


def cell_of(data: bytearray, datatype: str, offset: int, bit: int, order: WordOrder) -> Cell:
    """Return the cell of a type."""
    if datatype == "Bool" or datatype in _FORMATS:
        return Cell(data, datatype, offset, bit, order)
    return TextCell(data, datatype, offset, order)


class BlockMemory:
    """One block: its bytes, and its cells by dotted name (``Tokens[3].PartId``)."""

    def __init__(self, block: Block, order: WordOrder) -> None:
        """Start with zeros; ``data`` is never replaced or resized, so that a protocol server may share it."""
        self.data = bytearray(block.size)
        self.tags: dict[str, Tag] = {tag.role: tag for tag in block.tags if tag.role not in ("", "param", "process")}
        self._cells = {
            leaf.name: cell_of(self.data, leaf.datatype, leaf.offset, leaf.bit, "ABCD" if block.bits else tag.order or order)
            for tag in block.tags
            for leaf in tag.leaves()
        }

    def cell(self, name: str) -> Cell:
        """Return the cell of that dotted name; KeyError if the map has none."""
        return self._cells[name]

    def role(self, role: str) -> Cell:
        """Return the cell of the scalar tag that plays ``role``; KeyError if the map has none."""
        return self._cells[self.tags[role].name]

    def ring(self, role: str) -> list[dict[str, Cell]]:
        """Return the slots of the ring that plays ``role``, each as cells by field name."""
        tag = self.tags[role]
        return [{f.name: self._cells[f"{tag.name}[{i}].{f.name}"] for f in tag.fields} for i in range(tag.count)]

    def clear(self) -> None:
        """Set every byte to 0."""
        self.data[:] = bytes(len(self.data))


class Analog:
    """A process value or set-point in engineering units, stored as the raw value of its tag."""

    __slots__ = ("_cell", "_scale")

    def __init__(self, cell: Cell, scale: Scale | None) -> None:
        """Bind a cell and its linear scaling, if any."""
        self._cell = cell
        self._scale = scale

    def set(self, value: float) -> None:
        """Store ``value`` (engineering units); an integer tag takes the nearest raw value that its type can hold."""
        if self._scale is not None:
            (raw_low, raw_high), (low, high) = self._scale.raw, self._scale.eng
            value = raw_low + (value - low) * (raw_high - raw_low) / (high - low)
        if self._cell.is_real:
            self._cell.set(value)
            return
        least, greatest = self._cell.limits()
        self._cell.set(min(max(round(value), least), greatest) if math.isfinite(value) else 0)
