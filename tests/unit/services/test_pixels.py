"""Small pictures: how large, how many bytes, and of which frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from gateway.core.events import PartJudged
from gateway.core.frame import Pixels
from gateway.frames import FrameRing
from gateway.services.pixels import THUMB_BYTES, Thumbs, small_jpeg


def noise(height: int, width: int, channels: int) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1200, 1600, 3), (240, 320)), ((1600, 1200, 1), (320, 240)), ((48, 64, 1), (48, 64)), ((1, 4096, 1), (1, 320))],
)
def test_a_picture_keeps_its_proportions_and_stays_small(shape: tuple[int, int, int], expected: tuple[int, int]) -> None:
    jpeg = small_jpeg(noise(*shape))
    assert jpeg is not None and jpeg[:2] == b"\xff\xd8" and len(jpeg) <= THUMB_BYTES
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    assert shown is not None and shown.shape[:2] == expected


def test_what_is_no_picture_costs_nothing_else() -> None:
    assert small_jpeg(np.zeros((4, 4, 600), np.uint8)) is None


def test_the_worst_picture_fits_with_a_lower_quality() -> None:
    jpeg = small_jpeg(noise(320, 320, 3))
    assert jpeg is not None and len(jpeg) <= THUMB_BYTES


def test_the_frame_of_the_part_is_shown_or_none(tmp_path: Path) -> None:
    ring = FrameRing.create(tmp_path / "ring", slots=2, slot_bytes=1 << 16)
    thumbs = Thumbs({"Cam1": tmp_path / "ring"})

    def record(slot: int, generation: int, camera: str = "Cam1") -> PartJudged:
        where = {"camera": camera, "frame_slot": slot, "frame_generation": generation, "frame_shape": (48, 64, 1)}
        return PartJudged(line="a", t_utc_ns=1, part_id=1, epoch=1, disposition="PASS", **where)

    first = ring.write(np.full((48, 64, 1), 200, np.uint8))
    jpeg = thumbs.make(record(*first))
    assert jpeg is not None
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown is not None and abs(float(shown.mean()) - 200) < 2
    ring.write(np.full((48, 64, 1), 1, np.uint8))
    ring.write(np.full((48, 64, 1), 2, np.uint8))
    assert thumbs.make(record(*first)) is None, "another frame lies there now"
    assert thumbs.make(record(*first, camera="Cam2")) is None
    thumbs.close()
    ring.close()
    (tmp_path / "ring").unlink()
    assert thumbs.make(record(*first)) is None, "no ring"
