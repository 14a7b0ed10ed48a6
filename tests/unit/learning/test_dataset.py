"""What counts as a picture, what is refused, and which pictures belong together."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from gateway.core.errors import ConfigError
from gateway.learning.dataset import check_classes, data_hash, group_ids, read_samples
from gateway.vision.class_folder import list_dataset


def _picture(path: Path, level: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((12, 10), level, np.uint8))
    return path


def _classes(folder: Path, **counts: int) -> Path:
    level = 0
    for label, count in counts.items():
        for i in range(count):
            level += 1
            _picture(folder / label / f"{label}_{i}.png", level)
    return folder


def _digests(folder: Path) -> list[str]:
    return read_samples(list_dataset(folder), 1, lambda _i, _image: None)


def test_masks_and_other_files_are_left_out_and_said(tmp_path: Path) -> None:
    _picture(tmp_path / "b" / "1.jpg")
    _picture(tmp_path / "b" / "1.png")
    _picture(tmp_path / "b" / "2.png")
    _picture(tmp_path / "a" / "1.BMP".lower())
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "a" / ".DS_Store").write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text("x")
    found = list_dataset(tmp_path)
    assert [(s.label, s.path.name) for s in found.samples] == [("a", "1.bmp"), ("b", "1.jpg"), ("b", "2.png")]
    assert found.masks == 1
    assert found.others == (".txt",)
    assert found.labels == ("a", "b")
    assert found.counts == {"a": 1, "b": 2}


def test_no_folder_empty_folder_and_pictures_in_no_class(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none: there is no such folder"):
        list_dataset(tmp_path / "none")
    with pytest.raises(ConfigError, match="is empty; make a sub-folder a class"):
        list_dataset(tmp_path)
    _picture(tmp_path / "1.png")
    with pytest.raises(ConfigError, match="its pictures lie in no class"):
        list_dataset(tmp_path)
    with pytest.raises(ConfigError, match="is no folder"):
        list_dataset(tmp_path / "1.png")


def test_every_mistake_at_once(tmp_path: Path) -> None:
    _classes(tmp_path, good=1)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "scan.tif").write_bytes(b"II")
    (tmp_path / "bad" / "more").mkdir()
    with pytest.raises(ConfigError) as caught:
        list_dataset(tmp_path)
    text = str(caught.value)
    assert "scan.tif: is in a format that is not read; save it as PNG" in text
    assert "more: a class folder holds pictures only" in text


def test_class_without_pictures(tmp_path: Path) -> None:
    _classes(tmp_path, good=1)
    (tmp_path / "bad").mkdir()
    with pytest.raises(ConfigError, match="bad: holds no picture"):
        list_dataset(tmp_path)


@pytest.mark.parametrize("name", ["a\\b", "x" * 65, "a\x01b"])
def test_names_that_no_label_can_have(tmp_path: Path, name: str) -> None:
    _picture(tmp_path / name / "1.png")
    with pytest.raises(ConfigError, match="is no name for a class"):
        list_dataset(tmp_path)


@pytest.mark.parametrize(
    ("counts", "passing", "says"),
    [
        ({"good": 5}, ["good"], r"holds one class only \(good\)"),
        ({"good": 5, "bad": 5}, [], r"--pass is missing: .* out of: bad, good"),
        ({"good": 5, "bad": 5}, ["gut", "good"], r"--pass gut: no such class in .*; it has: bad, good"),
        ({"good": 5, "bad": 5}, ["good", "bad"], r"--pass names every class"),
        ({"good": 5, "bad": 4, "odd": 1}, ["good"], r"bad: 4 picture.* too few, a class needs at least 5\n.*odd: 1 "),
    ],
)
def test_what_cannot_be_trained_on(tmp_path: Path, counts: dict[str, int], passing: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_classes(list_dataset(_classes(tmp_path, **counts)), passing)


def test_every_bad_picture_is_listed(tmp_path: Path) -> None:
    _classes(tmp_path, good=2, bad=2)
    whole = _picture(tmp_path / "good" / "whole.jpg").read_bytes()
    (tmp_path / "good" / "cut.jpg").write_bytes(whole[:-10])
    (tmp_path / "bad" / "text.png").write_text("no picture")
    header = struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 100_000, 100_000, 8, 0, 0, 0, 0, 0)
    (tmp_path / "bad" / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I4sI", 0, b"IEND", 0))
    (tmp_path / "bad" / "empty.bmp").write_bytes(b"")
    with pytest.raises(ConfigError) as caught:
        _digests(tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    for name, said in (("cut.jpg", "truncated"), ("text.png", "no picture"), ("huge.png", "too many"), ("empty.bmp", "empty")):
        (line,) = (each for each in lines if name in each)
        assert said in line
        assert line.count(name) == 1


def test_one_picture_in_two_classes_is_a_contradiction(tmp_path: Path) -> None:
    _classes(tmp_path, good=2, bad=2)
    (tmp_path / "good" / "same.png").write_bytes((tmp_path / "bad" / "bad_0.png").read_bytes())
    with pytest.raises(ConfigError, match=r"same.png: is the same picture as .*bad_0.png of another class"):
        _digests(tmp_path)


def test_hash_is_over_content_and_label_only(tmp_path: Path) -> None:
    _classes(tmp_path / "1", good=2, bad=2)
    _classes(tmp_path / "2", good=2, bad=2)
    (tmp_path / "2" / "good" / "good_0.png").rename(tmp_path / "2" / "good" / "z.png")
    first, second = (data_hash(list_dataset(tmp_path / n), _digests(tmp_path / n)) for n in "12")
    assert first == second
    (tmp_path / "2" / "good" / "z.png").rename(tmp_path / "2" / "bad" / "z.png")
    assert data_hash(list_dataset(tmp_path / "2"), _digests(tmp_path / "2")) != first


def test_groups_by_name_and_by_content(tmp_path: Path) -> None:
    for name, level in (("exp1_num_7", 1), ("exp2_num_7", 2), ("exp1_num_8", 3), ("copy", 3), ("other", 4)):
        _picture(tmp_path / "good" / f"{name}.png", level)
    dataset = list_dataset(tmp_path)
    names = [s.path.stem for s in dataset.samples]
    found = dict(zip(names, group_ids(dataset, _digests(tmp_path), "_num_([0-9]+)"), strict=True))
    assert found["exp1_num_7"] == found["exp2_num_7"]
    assert found["exp1_num_8"] == found["copy"]
    assert len(set(found.values())) == 3


def test_group_pattern_that_cannot_be_meant(tmp_path: Path) -> None:
    dataset, digests = list_dataset(_classes(tmp_path, good=2)), _digests(tmp_path)
    with pytest.raises(ConfigError, match="is no regular expression"):
        group_ids(dataset, digests, "(")
    with pytest.raises(ConfigError, match="finds nothing in any file name, for example good_0.png"):
        group_ids(dataset, digests, "_num_([0-9]+)")
