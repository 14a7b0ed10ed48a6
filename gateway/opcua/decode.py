"""Decodes what strangers send without believing their counts and lengths.

The library allocates what a few bytes announce, and reads backwards when a length is negative. It must not know what is
decoded.
"""

from __future__ import annotations

import struct
from typing import Any

from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua import ua_binary


class _NoNulls:
    """Arrays of Null: the only elements that take no bytes, so that 20 bytes could ask for two billion of them."""

    @staticmethod
    def unpack_array(data: Any, length: int) -> list[None]:
        if length > 0:
            raise NotEnoughData("an array of nulls")
        return []

    @staticmethod
    def pack_array(array: Any) -> bytes:
        return struct.pack("<i", -1 if array is None else len(array))


ua_binary.Primitives1.Null = _NoNulls  # type: ignore[attr-defined]
# No request that is answered here has a matrix in it; the library would allocate a million elements for each.
ua_binary.MAX_RESHAPE_ELEMENTS = 16


class Bounded(Buffer):
    """A buffer that does not go backwards: a negative length would let an array be read from the same bytes for ever."""

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes; NotEnoughData when there are fewer, or when ``size`` is negative."""
        if size < 0:
            raise NotEnoughData(f"a length of {size}")
        return super().read(size)

    def copy(self, size: int = -1) -> Bounded:
        """Return a buffer on the same bytes."""
        plain = super().copy(size)
        return Bounded(plain._data, plain._cur_pos, plain._size)  # noqa: SLF001 - a copy of the same class
