"""What a PLC driver is: it moves spans of bytes, one request a call, and nothing else.

No retry, no reconnect, no meaning: the link retries, the codec gives meaning. After a failed or cancelled call the
connection cannot be trusted any more; every further call raises DeviceUnavailable until close and connect.
"""

from __future__ import annotations

import asyncio
import socket
import struct
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


def forget_at_close(transport: asyncio.BaseTransport | None) -> None:
    """Let the kernel drop what the peer has not acknowledged when this connection ends, also by the death of the process.

    It would go on sending for many seconds otherwise: when a cable is plugged in again, a request that was given up long ago
    would reach the PLC behind newer ones.
    """
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is not None:  # a transport in memory has none
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
