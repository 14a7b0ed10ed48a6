"""What a PLC driver is: it moves spans of bytes, one request a call, and nothing else.

No retry, no reconnect, no meaning: the link retries, the codec gives meaning. After a failed or cancelled call the
connection cannot be trusted any more; every further call raises DeviceUnavailable until close and connect.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.core.tags import Span

REQUEST_TIMEOUT_S = 0.15
CONNECT_TIMEOUT_S = 0.3
"""A lost SYN is repeated by the kernel after 1 s only: it is better to begin anew."""
MAX_READ_BYTES = 250
"""What one request can carry on every protocol (Modbus: 125 registers)."""
MAX_WRITE_BYTES = 64
"""Larger S7 writes are split and are not consistent; no section of the handshake needs more."""


class PlcDriver(Protocol):
    """One attempt each; raises only DeviceUnavailable, DeviceRefused and DeviceProtocolError, and lets cancellation through.

    A span that no request can carry, or data of another length than its span, is the caller's mistake: ValueError.
    """

    async def connect(self) -> None:
        """Connect once."""

    async def read(self, span: Span) -> bytes:
        """Return ``span.length`` bytes, read with one request."""

    async def write(self, span: Span, data: bytes) -> None:
        """Write ``data`` (as long as the span) with one request; returns after the device acknowledged."""

    async def close(self) -> None:
        """Drop the connection at once, which fails a request under way; never raises, safe twice."""


def raise_if_cancelled() -> None:
    """Raise CancelledError when this task was cancelled and a library swallowed it.

    ``asyncio.wait_for`` before Python 3.12, which both protocol libraries use, returns the result instead when it arrives in
    the same loop iteration as the cancellation.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
