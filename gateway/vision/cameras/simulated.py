"""A camera in another process, over TCP: a header and the raw pixels of each frame, nothing else crosses.

The simulator is never trusted: whatever does not fit the header's layout or the configured channels ends the connection. It
must not know what the frames show, and no part id, label or path can reach it.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Literal

import numpy as np
from pydantic import Field

from gateway.core.errors import DeviceProtocolError, DeviceUnavailable
from gateway.core.frame import Frame, Pixels
from gateway.vision.cameras.camera import Camera, CameraBase

MAGIC = b"VGF1"
HEADER = struct.Struct(">4sIqIBBHH")
"""Magic, frame counter, exposure (CLOCK_MONOTONIC, ns), encoder, whether the encoder counts, channels, height, width."""
MAX_PIXELS = 64_000_000
CONNECT_TIMEOUT_S = 1.0
STALL_S = 1.0
"""Silence within a frame after which the connection is dead."""


class SimulatedConfig(CameraBase):
    """Pictures from a simulated camera."""

    kind: Literal["simulated"]
    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)

    def build(self) -> Camera:
        """Return the camera, closed."""
        return SimulatedCamera(self)


class SimulatedCamera:
    """Camera over a socket."""

    def __init__(self, config: SimulatedConfig) -> None:
        """Take the configuration; nothing is opened."""
        self._config = config
        self._socket: socket.socket | None = None
        self._header = bytearray(HEADER.size)
        self._got = 0
        """Bytes of the present frame, header included, that have come."""
        self._image: Pixels | None = None
        self._came_at = 0.0

    def open(self) -> None:
        """Connect once. Raises DeviceUnavailable when nobody answers."""
        self.close()
        try:
            self._socket = socket.create_connection((self._config.host, self._config.port), CONNECT_TIMEOUT_S)
            # Asking a free port of one's own machine again and again can end in a connection to oneself, which holds the port.
            if self._socket.getsockname() == self._socket.getpeername():
                raise ConnectionRefusedError("nobody listens there")
            # Between frames silence is normal, so only the kernel can tell that the other side is gone for good.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
                self._socket.setsockopt(socket.IPPROTO_TCP, option, value)
        except OSError as error:
            self.close()
            raise self._unavailable("open", str(error)) from None

    def trigger(self) -> None:
        """Do nothing: the simulated line triggers its camera itself."""

    def read(self, timeout: float) -> Frame | None:
        """Return the next frame; one that is only half here when the time is over goes on with the next call."""
        if self._socket is None:
            raise self._unavailable("read", "the camera is not open")
        until = time.monotonic() + max(timeout, 1e-3)
        while self._got < HEADER.size:
            if not self._receive(memoryview(self._header)[self._got :], until):
                return None
        if self._image is None:
            self._image = self._new_image()
        flat = self._image.reshape(-1).data
        while (have := self._got - HEADER.size) < len(flat):
            if not self._receive(flat[have:], until):
                return None
        _, counter, t_exposed_ns, encoder, has_encoder, *_ = HEADER.unpack(self._header)
        image, self._image, self._got = self._image, None, 0
        return Frame(
            camera=self._config.name,
            frame_counter=counter,
            image=image,
            t_exposed_ns=t_exposed_ns,
            encoder=encoder if has_encoder else None,
        )

    def close(self) -> None:
        """Drop the connection and what was received of a frame."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._got = 0
        self._image = None

    def _receive(self, into: memoryview, until: float) -> bool:
        """Receive some bytes; False when the time is over."""
        assert self._socket is not None  # noqa: S101 - read() has checked it
        if (left := until - time.monotonic()) <= 0:
            return False
        self._socket.settimeout(left)
        try:
            count = self._socket.recv_into(into)
        except TimeoutError:
            if self._got and time.monotonic() - self._came_at > STALL_S:
                raise self._unavailable("read", f"a frame stopped coming after {self._got} bytes") from None
            return False
        except OSError as error:
            raise self._unavailable("read", str(error)) from None
        if not count:
            raise self._unavailable("read", "the other side closed the connection")
        self._came_at = time.monotonic()
        self._got += count
        return True

    def _new_image(self) -> Pixels:
        """Return room for the frame that the header announces."""
        magic, _, t_exposed_ns, _, has_encoder, channels, height, width = HEADER.unpack(self._header)
        if magic != MAGIC or has_encoder > 1 or t_exposed_ns < 0:
            raise self._wrong(f"{bytes(self._header).hex()} is no frame header; is port {self._config.port} a camera's?")
        if channels != self._config.channels:
            raise self._wrong(
                f"the camera sends {channels} channel(s), {self._config.channels} are configured; set channels accordingly"
            )
        if not 0 < height * width <= MAX_PIXELS:
            raise self._wrong(f"a frame of {width}×{height} pixels; the limit is {MAX_PIXELS // 1_000_000} million")
        return np.empty((height, width, channels), np.uint8)

    def _wrong(self, message: str) -> DeviceProtocolError:
        return DeviceProtocolError(self._config.name, "read", message)

    def _unavailable(self, op: str, message: str) -> DeviceUnavailable:
        where = f"{self._config.host}:{self._config.port}"
        return DeviceUnavailable(self._config.name, op, f"{where}: {message}; is the simulator running?")
