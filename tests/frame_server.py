"""A camera to connect to: a TCP server on a port of its own that sends what a test tells it, true frames or rubbish.

Written from the layout in the documents, byte by byte, not with the client's own struct: sharing that would hide a mistake.
"""

from __future__ import annotations

import socket
from types import TracebackType

from gateway.core.frame import Pixels

PATIENCE_S = 20.0


def frame_bytes(counter: int, image: Pixels, *, t_exposed_ns: int = 1, encoder: int | None = None) -> bytes:
    height, width, channels = image.shape
    header = b"VGF1"
    header += counter.to_bytes(4, "big") + t_exposed_ns.to_bytes(8, "big", signed=True)
    header += (encoder or 0).to_bytes(4, "big") + bytes([encoder is not None, channels])
    header += height.to_bytes(2, "big") + width.to_bytes(2, "big")
    assert len(header) == 26
    return header + image.tobytes()


class FrameServer:
    """One client at a time; ``with FrameServer() as server``."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(PATIENCE_S)
        self.port: int = self._listener.getsockname()[1]
        self._client: socket.socket | None = None

    def __enter__(self) -> FrameServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.hang_up()
        self._listener.close()

    def accept(self) -> None:
        """Wait for the next client."""
        self.hang_up()
        self._client, _ = self._listener.accept()
        self._client.settimeout(PATIENCE_S)

    def send(self, data: bytes) -> None:
        assert self._client is not None
        self._client.sendall(data)

    def hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def client_left(self) -> bool:
        """Wait until the client has closed the connection."""
        assert self._client is not None
        try:
            return self._client.recv(1) == b""
        except ConnectionError:
            return True
