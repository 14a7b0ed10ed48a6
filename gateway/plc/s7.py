"""Siemens S7 over python-snap7's AsyncClient: one request a span, and none of its traps.

The client waits 5 s for an answer, goes on using a stream that a cancelled call has put out of step, splits what exceeds the
PDU, and closes politely; here a request has its own time limit, any trouble makes the connection unusable, a span that would be
split is refused, and closing cuts the socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

from snap7 import AsyncClient
from snap7.error import S7ConnectionError, S7Error, S7TimeoutError

from gateway.core.errors import DeviceProtocolError, DeviceRefused, DeviceUnavailable
from gateway.core.tags import S7Address, Span
from gateway.plc.driver import (
    CONNECT_TIMEOUT_S,
    MAX_READ_BYTES,
    MAX_WRITE_BYTES,
    REQUEST_TIMEOUT_S,
    forget_at_close,
    raise_if_cancelled,
)

T = TypeVar("T")

READ_OVERHEAD = 18
"""Bytes of an S7 read answer that are not data."""
WRITE_OVERHEAD = 35
"""Bytes of an S7 write request that are not data, as the library reckons."""

_REFUSALS = ("operation failed", "No data in response")
"""How the library words an answer that is well formed and says no; it has no class of its own for it."""

logging.getLogger("snap7").setLevel(logging.CRITICAL)  # what it would log is raised, and logged once by the link's state


class S7Driver:
    """Reads and writes data blocks of one CPU."""

    def __init__(
        self, name: str, host: str, port: int, *, rack: int, slot: int, request_timeout_s: float = REQUEST_TIMEOUT_S
    ) -> None:
        """Take the address; nothing is opened before :meth:`connect`."""
        self._name = name
        self._host, self._port, self._rack, self._slot = host, port, rack, slot
        self._timeout_s = request_timeout_s
        self._client: AsyncClient | None = None

    async def connect(self) -> None:
        """Connect, negotiate the PDU; DeviceUnavailable names host, port and what to look at."""
        await self.close()
        client = AsyncClient()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.connect(self._host, self._rack, self._slot, tcp_port=self._port)
        except (S7Error, OSError, TimeoutError) as error:
            _cut(client)
            why = str(error) or f"no answer within {CONNECT_TIMEOUT_S:g} s"
            where = f"{self._host}:{self._port} rack {self._rack} slot {self._slot}"
            raise DeviceUnavailable(self._name, "connect", f"{where}: {why}; is the PLC on and the address right?") from None
        except BaseException:
            _cut(client)
            raise
        forget_at_close(_transport(client))
        self._client = client

    async def read(self, span: Span) -> bytes:
        """Read the span with one request."""
        if span.length > MAX_READ_BYTES:
            raise ValueError(f"{span.block.name}: {span.length} bytes do not fit into one request of {MAX_READ_BYTES}")
        client, address = await self._ready("read", span.length + READ_OVERHEAD), self._address(span)
        return bytes(
            await self._call("read", client, client.db_read(address.db, address.byte + span.offset, span.length), span)
        )

    async def write(self, span: Span, data: bytes) -> None:
        """Write the span with one request; returns after the PLC acknowledged."""
        if len(data) != span.length or len(data) > MAX_WRITE_BYTES:
            raise ValueError(f"{span.block.name}: {len(data)} bytes for a span of {span.length} (at most {MAX_WRITE_BYTES})")
        client, address = await self._ready("write", span.length + WRITE_OVERHEAD), self._address(span)
        await self._call("write", client, client.db_write(address.db, address.byte + span.offset, bytearray(data)), span)

    async def close(self) -> None:
        """Cut the connection; a request under way fails at once."""
        if self._client is not None:
            self._drop(self._client)

    @property
    def pdu_bytes(self) -> int:
        """Return the PDU that the PLC has agreed to (bytes); 0 while not connected."""
        return int(self._client.pdu_length) if self._client is not None else 0

    async def _ready(self, op: str, pdu_bytes: int) -> AsyncClient:
        """Return the client if it is connected and its PDU carries so much; the library would split it otherwise."""
        if self._client is None:
            raise DeviceUnavailable(self._name, op, "not connected")
        if pdu_bytes > self._client.pdu_length:
            offered = self._client.pdu_length
            self._drop(self._client)
            why = f"the PLC offers a PDU of {offered} bytes, {pdu_bytes} are needed; drop or move process tags"
            raise DeviceRefused(self._name, op, why)
        return self._client

    @staticmethod
    def _address(span: Span) -> S7Address:
        if not isinstance(span.block.base, S7Address):
            raise TypeError(f"{span.block.name} has no S7 address")
        return span.block.base

    async def _call(self, op: str, client: AsyncClient, request: Awaitable[T], span: Span) -> T:
        """Make one request; whatever goes wrong leaves the driver disconnected, for the stream may be out of step."""
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await request
            raise_if_cancelled()
            return answer
        except (TimeoutError, S7TimeoutError):
            self._drop(client)
            raise DeviceUnavailable(self._name, op, f"no answer within {self._timeout_s * 1e3:.0f} ms") from None
        except (S7ConnectionError, OSError) as error:
            self._drop(client)
            raise DeviceUnavailable(self._name, op, str(error)) from None
        except S7Error as error:
            self._drop(client)
            if error.error_code or any(text in str(error) for text in _REFUSALS):
                hint = "is PUT/GET permitted, the block non-optimised and as long as the map says?"
                raise DeviceRefused(self._name, op, f"DB{self._address(span).db}: {error}; {hint}") from None
            raise DeviceProtocolError(self._name, op, str(error)) from None
        except BaseException:
            self._drop(client)
            raise

    def _drop(self, client: AsyncClient) -> None:
        if self._client is client:
            self._client = None
        _cut(client)


def _cut(client: AsyncClient) -> None:
    """Abort the socket: a polite disconnect waits for a peer that may be gone."""
    transport = _transport(client)
    if transport is not None:
        transport.abort()
    if client.connection is not None:
        client.connection.connected = False
    client.connected = False


def _transport(client: AsyncClient) -> asyncio.WriteTransport | None:
    """Return the connection's transport, which the library keeps to itself; None before it is connected."""
    writer: asyncio.StreamWriter | None = getattr(client.connection, "_writer", None)
    return writer.transport if writer is not None else None
