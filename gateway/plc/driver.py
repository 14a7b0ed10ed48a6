"""What a PLC driver is: it moves spans of bytes, one request a call, and nothing else.

No retry, no reconnect, no meaning: the link retries, the codec gives meaning. After a failed or cancelled call the
connection cannot be trusted any more; every further call raises DeviceUnavailable until close and connect.
"""

from __future__ import annotations

from typing import Protocol

from gateway.core.tags import Span

REQUEST_TIMEOUT_S = 0.15
CONNECT_TIMEOUT_S = 1.0
MAX_WRITE_BYTES = 64
"""Larger S7 writes are split and are not consistent; no section of the handshake needs more."""


class PlcDriver(Protocol):
    """One attempt each; raises only DeviceUnavailable, DeviceRefused and DeviceProtocolError, and lets cancellation through."""

    async def connect(self) -> None:
        """Connect once."""

    async def read(self, span: Span) -> bytes:
        """Return ``span.length`` bytes, read with one request."""

    async def write(self, span: Span, data: bytes) -> None:
        """Write ``data`` (as long as the span) with one request; returns after the device acknowledged."""

    async def close(self) -> None:
        """Drop the connection at once; never raises, safe twice."""
