"""What capture says to control: stamps as they come, the camera's state at each change and again every second.

Datagrams that nobody waits for: control may be away or busy, and a picture that it does not hear of is a part not inspected,
never a camera that stands still. It must not know the ring or the camera.
"""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import structlog

from gateway.core.frame import FrameStamp
from gateway.frames.stamps import stamp_to_json, status_to_json

_log = structlog.get_logger("announce")


class Announcer:
    """Speaks for one camera; its methods may be called from any thread, never block and never raise."""

    def __init__(self, camera: str, control_socket: Path) -> None:
        """Take control's datagram socket, which need not exist."""
        self._camera = camera
        self._path = str(control_socket)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._turn = threading.Lock()  # so that a repeated state never overtakes its change
        self._up = False
        self._away = False
        self.dropped = 0
        """Datagrams that control did not take."""

    def stamp(self, stamp: FrameStamp) -> None:
        """Say that a frame lies in the ring."""
        with self._turn:
            self._send(stamp_to_json(stamp))

    def status(self, up: bool) -> None:
        """Say whether the camera is there, if that is news."""
        with self._turn:
            if up is not self._up:
                self._up = up
                self._send(status_to_json(self._camera, up))

    def repeat(self) -> None:
        """Say again whether the camera is there: control may have been restarted."""
        with self._turn:
            self._send(status_to_json(self._camera, self._up))

    def close(self) -> None:
        """Say that the camera is gone."""
        with self._turn:
            self._send(status_to_json(self._camera, False))
            self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, self._path)
        except OSError as error:
            self.dropped += 1
            if not self._away:
                self._away = True
                _log.info("control takes no frames: is it running?", why=str(error))
            return
        if self._away:
            self._away = False
            _log.info("control takes frames again", dropped=self.dropped)
