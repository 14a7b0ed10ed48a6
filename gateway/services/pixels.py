"""Pictures out of the frame rings into the picture store: of the parts that the store wants, while the frame still stands.

A ring that is absent, or has moved on, costs pictures and nothing else. It must not know what the pictures show.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog

from gateway.core.errors import GatewayError
from gateway.core.events import PartJudged
from gateway.core.frame import Pixels
from gateway.frames import FrameRing
from gateway.record.images import PictureStore

_log = structlog.get_logger("pictures")


class Pictures:
    """Copies frames of one line's rings."""

    def __init__(self, paths: Mapping[str, Path], store: PictureStore) -> None:
        """Take the ring of each camera; rings are attached when first needed."""
        self._paths = paths
        self._store = store
        self._rings: dict[str, tuple[FrameRing, int]] = {}
        self._missing: set[str] = set()

    def keep(self, record: PartJudged) -> None:
        """Give the picture of ``record`` to the store if it wants it; one that is gone is counted there."""
        if self._store.wants(record):
            self._store.put(record, self._copy(record))

    def close(self) -> None:
        """Detach from the rings."""
        for ring, _ in self._rings.values():
            ring.close()
        self._rings.clear()

    def _copy(self, record: PartJudged) -> Pixels | None:
        try:
            ring = self._ring(record.camera)
            image = ring.copy(record.frame_slot, record.frame_generation, record.frame_shape) if ring is not None else None
        except GatewayError as error:
            if record.camera not in self._missing:
                _log.warning("no pictures of this camera", camera=record.camera, error=str(error))
            self._missing.add(record.camera)
            return None
        self._missing.discard(record.camera)
        return image

    def _ring(self, camera: str) -> FrameRing | None:
        """Return the camera's ring; one that was replaced by another file is attached anew. None for an unknown camera."""
        path = self._paths.get(camera)
        if path is None:
            return None
        try:
            inode = path.stat().st_ino
        except FileNotFoundError:
            inode = 0
        if camera in self._rings:
            ring, known = self._rings[camera]
            if inode == known:
                return ring
            ring.close()
            del self._rings[camera]
        self._rings[camera] = (FrameRing.attach(path), inode)
        return self._rings[camera][0]
