"""A PLC's blocks, read and never written: whole, in requests that every PLC takes, with a new connection after a refusal.

Apart from the link because it must work where the link refuses to run: on another byte order, another layout, a block that is
too short. It must not know what a tag means.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from gateway.core.errors import DeviceError, DeviceUnavailable
from gateway.core.tags import Block, ModbusAddress, S7Address, Span
from gateway.plc.driver import PlcDriver
from gateway.plc.maps import LoadedMap

CHUNK = 200
"""Bytes of a request: less than the smallest PDU (240) carries, and an even number of registers."""


@dataclass(slots=True, kw_only=True)
class Image:
    """What could be read of a block: ``data`` is as long as it, ``missing`` says why for each byte that is not there."""

    data: bytearray
    missing: dict[int, str] = field(default_factory=dict)

    def take(self, offset: int, data: bytes) -> None:
        """Put in what was read at ``offset`` after all."""
        self.data[offset : offset + len(data)] = data
        for i in range(offset, offset + len(data)):
            self.missing.pop(i, None)

    def why_missing(self, offset: int, length: int) -> str:
        """Return why these bytes could not all be read, '' when they are there."""
        return next((self.missing[i] for i in range(offset, offset + length) if i in self.missing), "")


class Reader:
    """Reads through a driver; there is no way here to write."""

    def __init__(self, driver: PlcDriver) -> None:
        """Take a driver, connected or not."""
        self._driver = driver
        self._connected = False
        self.round_trips_ms: list[float] = []
        """Duration of each request that was answered."""

    async def connect(self) -> None:
        """Connect; DeviceUnavailable says why not."""
        await self._driver.connect()
        self._connected = True

    async def close(self) -> None:
        """Drop the connection."""
        self._connected = False
        await self._driver.close()

    async def read(self, span: Span) -> bytes:
        """Read with one request, after a new connection if the last request failed. Raises DeviceError."""
        if not self._connected:
            await self.connect()
        begun = time.perf_counter()
        try:
            data = await self._driver.read(span)
        except DeviceError:
            self._connected = False
            raise
        self.round_trips_ms.append((time.perf_counter() - begun) * 1e3)
        return data

    async def image(self, block: Block) -> Image:
        """Read a whole block; what is refused is read tag by tag, so that what is there is seen."""
        image = Image(data=bytearray(block.size))
        for start in range(0, block.size, CHUNK):
            length = min(CHUNK, block.size - start)
            try:
                image.data[start : start + length] = await self.read(Span(block=block, offset=start, length=length))
            except DeviceUnavailable:
                raise
            except DeviceError as error:
                image.missing.update(dict.fromkeys(range(start, start + length), str(error)))
        if image.missing:
            await self._piecewise(block, image)
        return image

    async def _piecewise(self, block: Block, image: Image) -> None:
        for tag in block.tags:
            start = tag.offset - tag.offset % 2
            length = tag.offset + max(1, tag.size) - start
            length += length % 2
            if not image.why_missing(start, length) or length > CHUNK:
                continue
            try:
                data = await self.read(Span(block=block, offset=start, length=length))
            except DeviceUnavailable:
                raise
            except DeviceError:
                await self._ends(block, image, start, length)
                continue
            image.take(start, data)

    async def _ends(self, block: Block, image: Image, start: int, length: int) -> None:
        """Read of a tag that was refused what is there at its two ends, word by word: an address that is off by a few."""
        words = range(start, start + length, 2)
        if len(words) < 2 or block.bits:
            return
        for way in (words, reversed(words)):
            for at in way:
                try:
                    image.take(at, await self.read(Span(block=block, offset=at, length=2)))
                except DeviceUnavailable:
                    raise
                except DeviceError:
                    break

    async def around(self, block: Block, margin: int) -> tuple[bytes, bytes]:
        """Return the ``margin`` bytes before and behind the block; fewer or none where the PLC has none."""
        before = behind = b""
        for length in range(margin, 0, -2):
            before = before or await self._beside(block, -length, length)
            behind = behind or await self._beside(block, block.size, length)
        return before, behind

    async def _beside(self, block: Block, offset: int, length: int) -> bytes:
        shifted = _shifted(block, offset, length)
        if shifted is None:
            return b""
        with contextlib.suppress(DeviceError):
            return await self.read(Span(block=shifted, offset=0, length=length))
        return b""


def _shifted(block: Block, offset: int, length: int) -> Block | None:
    """Return a block without tags, ``offset`` bytes from this one's start; None where there is no such address."""
    base = block.base
    if isinstance(base, S7Address):
        byte = base.byte + offset
        return replace(block, base=replace(base, byte=byte), tags=(), size=length) if byte >= 0 else None
    if not isinstance(base, ModbusAddress) or base.area not in ("HR", "IR"):
        return None
    register = base.register + offset // 2
    inside = 0 <= register and register + length // 2 <= 65536
    return replace(block, base=replace(base, register=register), tags=(), size=length) if inside else None


@contextlib.asynccontextmanager
async def reading(loaded: LoadedMap) -> AsyncIterator[Reader]:
    """Connect to the map's PLC for reading; DeviceUnavailable when it is not there."""
    reader = Reader(loaded.plc.build(loaded.map))
    try:
        await reader.connect()
        yield reader
    finally:
        await reader.close()
