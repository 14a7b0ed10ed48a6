"""Pictures: pure, never twice the same, each defect visible, and imaging faults that do what they say."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from simulators.imaging import HEALTHY, Imaging, degrade, expose
from simulators.render import LABELS, render, write_pictures


def rng(i: int = 0) -> np.random.Generator:
    return np.random.default_rng([i, 99])


@pytest.mark.parametrize("label", LABELS)
def test_a_picture_is_a_pure_function_of_its_generator(label: str) -> None:
    picture = render(rng(), label)
    assert (picture.shape, picture.dtype) == ((200, 200, 1), np.uint8)
    assert np.array_equal(picture, render(rng(), label))
    assert not np.array_equal(picture, render(rng(1), label))


def test_every_size_is_served() -> None:
    for size in (64, 97, 224):
        assert render(rng(), "stain", size=size).shape == (size, size, 1)


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match="labels are good, scratch"):
        render(rng(), "rust")


@pytest.mark.parametrize("label", [name for name in LABELS if name != "good"])
def test_a_defect_changes_the_part_beyond_its_noise(label: str) -> None:
    """Drawn with the same generator, the surface is the same: what differs at once is the defect."""
    visible = 0
    for i in range(20):
        quiet = Imaging(noise=0)
        spoilt = render(rng(i), label, quiet).astype(int)
        plain = np.array([render(rng(i), "good", quiet).astype(int)])[0]
        difference = cv2.GaussianBlur(np.abs(spoilt - plain).astype(np.float32), (0, 0), 1.0)
        visible += float(difference.max()) > 4 * HEALTHY.noise
    assert visible >= 19


def test_a_missing_hole_is_missing() -> None:
    def dark(label: str, i: int) -> int:
        return int((render(rng(i), label)[:, :, 0] < 60).sum())

    for i in range(20):
        assert 0.7 < dark("missing_hole", i) / dark("good", i) < 0.9, "four of five holes"


def test_light_blur_noise_and_shift_do_what_they_say() -> None:
    scene = cv2.GaussianBlur(rng().uniform(60, 180, (120, 120)).astype(np.float32), (0, 0), 1.0).astype(np.float32)
    quiet = Imaging(noise=0)
    base = expose(scene, quiet, rng()).astype(float)
    assert expose(scene, Imaging(noise=0, light=0.8), rng()).mean() == pytest.approx(0.8 * base.mean(), rel=0.01)
    assert expose(scene, Imaging(noise=0, blur=1.5), rng()).std() < 0.8 * base.std()
    assert (expose(scene, Imaging(noise=3), rng()) - base).std() == pytest.approx(3, rel=0.1)
    shifted = expose(scene, Imaging(noise=0, shift=4), rng())
    assert np.abs(shifted[:, 10:].astype(float) - base[:, 6:-4]).max() <= 1
    assert base.mean() == pytest.approx(float(scene.mean()), abs=0.2)


def test_dust_stays_where_it_is_and_more_dust_keeps_the_old() -> None:
    scene = np.full((150, 150), 150, dtype=np.float32)
    few, again, many = (expose(scene, Imaging(noise=0, dust=d), rng(d)).astype(int) for d in (5, 5, 9))
    assert np.array_equal(few, again)
    assert (few < 145).sum() > 20
    assert (many <= few).all()
    assert many.sum() < few.sum()


def test_a_stored_picture_is_unaltered_by_a_healthy_station_and_only_by_that() -> None:
    picture = rng().integers(0, 255, (40, 50, 3), dtype=np.uint8)
    assert degrade(picture, HEALTHY, rng()) is picture
    darker = degrade(picture, Imaging(light=0.5), rng())
    assert darker.shape == picture.shape
    assert np.abs(darker.astype(int) - picture // 2).max() <= 1, "no noise is added to the picture's own"


def test_training_pictures(tmp_path: Path) -> None:
    assert write_pictures(tmp_path, per_class=3, seed=1, size=96) == 18
    assert {p.name for p in tmp_path.iterdir()} == set(LABELS)
    pictures = {p: cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in tmp_path.rglob("*.png")}
    assert len(pictures) == 18
    assert all(p.shape == (96, 96) for p in pictures.values())
    assert len({p.tobytes() for p in pictures.values()}) == 18
    write_pictures(tmp_path / "again", per_class=3, seed=1, size=96)
    for path, picture in pictures.items():
        again = cv2.imread(str(tmp_path / "again" / path.relative_to(tmp_path)), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(again, picture)
