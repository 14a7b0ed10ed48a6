"""The simulated camera's port: frames pushed over TCP, a header and raw pixels and nothing else.

It is given pixels and the latches that a camera has (its own counter, exposure time, encoder). What the part is, its number
and its label cannot cross here, because they never come here. Like a camera that multicasts, it shows the same frames to
several gateways, so that a hot standby sees what the first one sees.
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
MAX_CLIENTS = 4


def frame_bytes(counter: int, t_exposed_ns: int, encoder: int, picture: Pixels) -> bytes:
    """Return one frame as it goes over the wire; ``picture`` is u8[H, W, C]."""
    height, width, channels = picture.shape
    return HEADER.pack(MAGIC, counter, t_exposed_ns, encoder, 1, channels, height, width) + picture.tobytes()


class CameraServer:
    """Serves up to four clients, the newest ones; each loses the frames that it is too slow for, and no other's."""

    def __init__(self) -> None:
        """Start without a port."""
        self._server: asyncio.Server | None = None
        self._clients: list[_Client] = []
        self.lost = 0
        """Frames that reached no client."""

    @property
    def connected(self) -> bool:
        """Return whether a client is connected."""
        return bool(self._clients)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen on that address alone and return the port, a free one for 0; OSError if it cannot be had."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Client(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and drop every client."""
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """Drop every client as a pulled cable does; they may connect again."""
        for client in self._clients:
            client.transport.abort()
        self._clients.clear()

    def send(self, frame: bytes) -> None:
        """Send one frame to whoever can take it, or lose it."""
        took = [client.take(frame) for client in self._clients]
        self.lost += not any(took)

    def connected_by(self, client: _Client) -> None:
        """Take a new client, in place of the oldest when there are too many: half-open connections must not add up."""
        self._clients.append(client)
        if len(self._clients) > MAX_CLIENTS:
            self._clients.pop(0).transport.abort()

    def left_by(self, client: _Client) -> None:
        """Forget a client that is gone."""
        if client in self._clients:
            self._clients.remove(client)


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

    def take(self, frame: bytes) -> bool:
        """Send the frame unless too many wait already; return whether it is on its way."""
        if self.transport.is_closing() or self.transport.get_write_buffer_size() > (BACKLOG - 1) * len(frame):
            return False
        self.transport.write(frame)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._camera.left_by(self)
