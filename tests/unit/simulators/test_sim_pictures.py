"""Stored pictures: which files count, the order of showing them, the truth from the folder's name, pixels as they are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from simulators.imaging import HEALTHY
from simulators.pictures import PictureFolder, Renderer, UnusablePicturesError, list_pictures
from simulators.process import Truth

PASSES = frozenset({"free"})


def store(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((30, 40), 50 + value, dtype=np.uint8)
    picture[0, 0] = value
    assert cv2.imwrite(str(path), picture)
    return path


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    for i in range(6):
        store(tmp_path / "free" / f"f{i}.png", i)
    for i in range(4):
        store(tmp_path / "crack" / f"c{i}.png", 10 + i)
    return tmp_path


def folder(path: Path, seed: int = 1, channels: int = 1, known: frozenset[str] = frozenset()) -> PictureFolder:
    return PictureFolder(path, passes=PASSES, seed=seed, channels=channels, known=known)


def shown(pictures: PictureFolder, count: int, start: int = 1) -> list[tuple[str, bool, int]]:
    got = []
    for n in range(start, start + count):
        truth = pictures.make(n)
        got.append((truth.label, truth.defective, int(pictures.shot(n, truth)(HEALTHY)[0, 0, 0])))
    return got


def test_the_folder_is_the_truth_and_pixels_are_unaltered(stored: Path) -> None:
    for label, defective, value in shown(folder(stored), 10):
        assert (label, defective) == (("free", False) if value < 10 else ("crack", True))


def test_each_once_before_any_repeats_and_every_pass_in_another_order(stored: Path) -> None:
    pictures = folder(stored)
    passes = [[v for _, _, v in shown(pictures, 10, 1 + 10 * i)] for i in range(4)]
    everything = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13]
    assert all(sorted(p) == everything for p in passes)
    assert len({tuple(p) for p in passes}) == 4
    assert everything not in passes, "shuffled"


def test_the_seed_repeats_the_order(stored: Path) -> None:
    assert shown(folder(stored), 20) == shown(folder(stored), 20)
    assert shown(folder(stored), 20) != shown(folder(stored, seed=2), 20)


def test_masks_are_left_out(tmp_path: Path) -> None:
    store(tmp_path / "crack" / "a.jpg")
    store(tmp_path / "crack" / "a.png")
    store(tmp_path / "crack" / "b.png")
    store(tmp_path / "free" / "a.png")
    store(tmp_path / "free" / "c.JPG")
    store(tmp_path / "free" / "c.png")
    (tmp_path / "free" / "notes.txt").write_text("no picture")
    found = [(label, path.name) for label, path in list_pictures(tmp_path)]
    assert found == [("crack", "a.jpg"), ("crack", "b.png"), ("free", "a.png"), ("free", "c.JPG")]


def test_channels(stored: Path) -> None:
    for channels in (1, 3):
        pictures = folder(stored, channels=channels)
        assert pictures.shot(1, pictures.make(1))(HEALTHY).shape == (30, 40, channels)
    grey = Renderer(seed=1, size=64, channels=3).shot(1, Truth(label="good", defective=False))(HEALTHY)
    assert grey.shape == (64, 64, 3)


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusablePicturesError, match="there is no such directory"):
        folder(tmp_path / "absent")
    with pytest.raises(UnusablePicturesError, match="holds no pictures"):
        folder(tmp_path)
    store(tmp_path / "crack" / "a.png")
    with pytest.raises(UnusablePicturesError, match="no class folder is named free.*it has crack"):
        folder(tmp_path)
    (tmp_path / "crack" / "b.png").write_text("text")
    with pytest.raises(UnusablePicturesError, match=r"b\.png: is no picture"):
        folder(tmp_path)


def test_a_picture_that_goes_away_during_the_run_is_named(stored: Path) -> None:
    pictures = folder(stored)
    truth = pictures.make(1)
    shot = pictures.shot(1, truth)
    for path in stored.rglob("*.png"):
        path.unlink()
    with pytest.raises(UnusablePicturesError, match="cannot be decoded"):
        shot(HEALTHY)


def test_a_class_that_the_model_does_not_know_is_refused(stored: Path) -> None:
    assert len(folder(stored, known=frozenset({"free", "crack", "dent"}))) == 10
    with pytest.raises(UnusablePicturesError, match=r"the model knows no class crack; it knows free.*take the folder away"):
        folder(stored, known=frozenset({"free"}))


def test_one_class_that_may_pass_is_enough(stored: Path) -> None:
    pictures = PictureFolder(stored, passes=frozenset({"free", "fine"}), seed=1, channels=1)
    assert len(pictures) == 10


def test_a_picture_wider_than_a_frames_header_can_say_is_refused(tmp_path: Path) -> None:
    (tmp_path / "free").mkdir()
    assert cv2.imwrite(str(tmp_path / "free" / "wide.png"), np.zeros((1, 65536), dtype=np.uint8))
    pictures = folder(tmp_path)
    shot = pictures.shot(1, pictures.make(1))
    with pytest.raises(UnusablePicturesError, match=r"wide\.png.*65535 px"):
        shot(HEALTHY)
