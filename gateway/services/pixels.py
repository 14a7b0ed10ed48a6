"""Pictures out of the frame rings: whole ones into the picture store, and small ones for the screens of operators.

They are taken while the frame still stands. A ring that is absent, or has moved on, costs pictures and nothing else. It must
not know what the pictures show.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import cv2
import structlog

from gateway.core.errors import GatewayError
from gateway.core.events import PartJudged
from gateway.core.frame import Pixels
from gateway.frames import FrameRing
from gateway.record.images import PictureStore

THUMB_PX = 320
"""The longer side of a small picture."""
THUMB_BYTES = 64 * 1024
THUMB_QUALITIES = (80, 50, 20)
"""JPEG; the next one is tried when the picture has more than :data:`THUMB_BYTES`."""

_log = structlog.get_logger("pictures")


class Pictures:
    """Copies frames of one line's rings."""

    def __init__(self, paths: Mapping[str, Path], store: PictureStore) -> None:
        """Take the ring of each camera."""
        self._rings = _Rings(paths)
        self._store = store

    def keep(self, record: PartJudged) -> None:
        """Give the picture of ``record`` to the store if it wants it; one that is gone is counted there."""
        if self._store.wants(record):
            self._store.put(record, self._rings.copy(record))

    def close(self) -> None:
        """Detach from the rings."""
        self._rings.close()


class Thumbs:
    """Makes small pictures of one line's frames; everything here blocks, and may be called in any thread."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        """Take the ring of each camera."""
        self._rings = _Rings(paths)
        self._turn = threading.Lock()

    def make(self, record: PartJudged) -> bytes | None:
        """Return the picture of ``record`` as a JPEG of at most 64 KB, 320 pixels long; None when its frame is gone."""
        with self._turn:
            image = self._rings.copy(record)
        return None if image is None else small_jpeg(image)

    def close(self) -> None:
        """Detach from the rings."""
        with self._turn:
            self._rings.close()


def small_jpeg(image: Pixels) -> bytes | None:
    """Return ``image`` (u8[H, W, C]) as a small JPEG, its proportions kept; None when it cannot be made small enough."""
    try:
        return _small(image)
    except cv2.error as error:
        _log.warning("a small picture could not be made", error=str(error.err))
        return None


def _small(image: Pixels) -> bytes | None:
    height, width = image.shape[:2]
    share = min(1.0, THUMB_PX / max(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    for quality in THUMB_QUALITIES:
        ok, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if ok and encoded.nbytes <= THUMB_BYTES:
            return encoded.tobytes()
    return None


class _Rings:
    """The rings of one line, attached when first needed; for one thread at a time."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._rings: dict[str, tuple[FrameRing, int]] = {}
        self._missing: set[str] = set()

    def close(self) -> None:
        for ring, _ in self._rings.values():
            ring.close()
        self._rings.clear()

    def copy(self, record: PartJudged) -> Pixels | None:
        """Return a copy of the record's frame, None when it is gone."""
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
