"""The simulated camera's port: frames pushed over TCP, a header and raw pixels and nothing else.

It is given pixels and the latches that a camera has (its own counter, exposure time, encoder). What the part is, its number
and its label cannot cross here, because they never come here.
"""

from __future__ import annotations

import asyncio
import struct
from typing import cast

from simulators.imaging import Pixels

#: magic, frame counter, exposure time (CLOCK_MONOTONIC, ns), encoder, has encoder, channels, height, width.
HEADER = struct.Struct(">4sIqIBBHH")
MAGIC = b"VGF1"
#: Frames that may wait for a slow client; further ones are lost, as in a camera without a buffer.
BACKLOG = 4


def frame_bytes(counter: int, t_exposed_ns: int, encoder: int, picture: Pixels) -> bytes:
    """Return one frame as it goes over the wire; ``picture`` is u8[H, W, C]."""
    height, width, channels = picture.shape
    return HEADER.pack(MAGIC, counter, t_exposed_ns, encoder, 1, channels, height, width) + picture.tobytes()


class CameraServer:
    """Serves one client, the newest; without one, and to a slow one, frames are lost."""

    def __init__(self) -> None:
        """Start without a port."""
        self._server: asyncio.Server | None = None
        self._client: _Client | None = None
        self.lost = 0
        """Frames that reached no client."""

    @property
    def connected(self) -> bool:
        """Return whether a client is connected."""
        return self._client is not None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen on that address alone and return the port, a free one for 0; OSError if it cannot be had."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Client(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and drop the client."""
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """Drop the client as a pulled cable does; it may connect again."""
        if self._client is not None:
            self._client.transport.abort()
            self._client = None

    def send(self, frame: bytes) -> None:
        """Send one frame, or lose it."""
        client = self._client
        if client is None or client.transport.is_closing():
            self.lost += 1
        elif client.transport.get_write_buffer_size() > (BACKLOG - 1) * len(frame):
            self.lost += 1
        else:
            client.transport.write(frame)

    def connected_by(self, client: _Client) -> None:
        """Let a new client take the place of the old one."""
        self.cut()
        self._client = client

    def left_by(self, client: _Client) -> None:
        """Forget a client that is gone."""
        if self._client is client:
            self._client = None


class _Client(asyncio.Protocol):
    """One connection; whatever the client sends is ignored."""

    def __init__(self, camera: CameraServer) -> None:
        self._camera = camera
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's classes, so that this cannot be checked at run time.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=1 << 26)
        self._camera.connected_by(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._camera.left_by(self)
