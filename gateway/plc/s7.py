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
from snap7.error import S7ConnectionError, S7Error, S7ProtocolError, S7TimeoutError

from gateway.core.errors import DeviceProtocolError, DeviceRefused, DeviceUnavailable
from gateway.core.tags import S7Address, Span
from gateway.plc.driver import CONNECT_TIMEOUT_S, MAX_WRITE_BYTES, REQUEST_TIMEOUT_S

T = TypeVar("T")

READ_OVERHEAD = 18
"""Bytes of an S7 read answer that are not data."""

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
        self._client = client

    async def read(self, span: Span) -> bytes:
        """Read the span with one request."""
        client, address = self._ready("read"), self._address(span)
        if span.length > client.pdu_length - READ_OVERHEAD:
            raise ValueError(f"{span.block.name}: {span.length} bytes do not fit into one PDU of {client.pdu_length}")
        data = await self._call("read", client.db_read(address.db, address.byte + span.offset, span.length), span)
        if len(data) != span.length:
            await self.close()
            raise DeviceProtocolError(self._name, "read", f"{len(data)} bytes came for {span.length}")
        return bytes(data)

    async def write(self, span: Span, data: bytes) -> None:
        """Write the span with one request; returns after the PLC acknowledged."""
        client, address = self._ready("write"), self._address(span)
        if len(data) != span.length or len(data) > MAX_WRITE_BYTES:
            raise ValueError(f"{span.block.name}: {len(data)} bytes for a span of {span.length} (at most {MAX_WRITE_BYTES})")
        await self._call("write", client.db_write(address.db, address.byte + span.offset, bytearray(data)), span)

    async def close(self) -> None:
        """Cut the connection."""
        client, self._client = self._client, None
        if client is not None:
            _cut(client)

    def _ready(self, op: str) -> AsyncClient:
        if self._client is None:
            raise DeviceUnavailable(self._name, op, "not connected")
        return self._client

    @staticmethod
    def _address(span: Span) -> S7Address:
        if not isinstance(span.block.base, S7Address):
            raise TypeError(f"{span.block.name} has no S7 address")
        return span.block.base

    async def _call(self, op: str, request: Awaitable[T], span: Span) -> T:
        """Make one request; whatever goes wrong leaves the driver disconnected, for the stream may be out of step."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await request
        except (TimeoutError, S7TimeoutError):
            await self.close()
            raise DeviceUnavailable(self._name, op, f"no answer within {self._timeout_s * 1e3:.0f} ms") from None
        except (S7ConnectionError, OSError) as error:
            await self.close()
            raise DeviceUnavailable(self._name, op, str(error)) from None
        except S7ProtocolError as error:
            await self.close()
            if any(text in str(error) for text in _REFUSALS):
                hint = "is PUT/GET permitted, the block non-optimised and as long as the map says?"
                raise DeviceRefused(self._name, op, f"DB{self._address(span).db}: {error}; {hint}") from None
            raise DeviceProtocolError(self._name, op, str(error)) from None
        except S7Error as error:
            await self.close()
            raise DeviceRefused(self._name, op, str(error)) from None
        except BaseException:
            await self.close()
            raise


def _cut(client: AsyncClient) -> None:
    """Abort the socket: a polite disconnect waits for a peer that may be gone."""
    connection = client.connection
    writer = getattr(connection, "_writer", None)
    if writer is not None:
        writer.transport.abort()
    if connection is not None:
        connection.connected = False
    client.connected = False
