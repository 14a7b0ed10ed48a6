"""A driver that cannot write, for a gateway that only watches (``gateway run --monitor-only``).

Stands between link and driver, so that the promise to write nothing does not hang on every place that could.
"""

from __future__ import annotations

from gateway.core.tags import Span
from gateway.plc.driver import PlcDriver


class ReadOnly:
    """The same PLC, for reading; a write is a bug of the caller and ends the process."""

    def __init__(self, driver: PlcDriver) -> None:
        """Read through ``driver``."""
        self._driver = driver

    async def connect(self) -> None:
        """Connect once."""
        await self._driver.connect()

    async def read(self, span: Span) -> bytes:
        """Return ``span.length`` bytes, read with one request."""
        return await self._driver.read(span)

    async def write(self, span: Span, data: bytes) -> None:
        """Raise RuntimeError; nothing is sent."""
        raise RuntimeError(
            f"{span.block.name}: {len(data)} bytes at {span.offset} were to be written by a gateway that only watches"
        )

    async def close(self) -> None:
        """Drop the connection."""
        await self._driver.close()
