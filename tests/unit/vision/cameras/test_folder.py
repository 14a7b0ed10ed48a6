"""The folder camera: order, triggers and ticks on a clock of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from gateway.core.errors import DeviceUnavailable, PictureError
from gateway.vision.cameras.folder import MAX_TRIGGERS, FolderCamera, FolderConfig


class Clock:
    """Time moves only when somebody waits, or is told."""

    def __init__(self) -> None:
        self.now_ns = 1_000

    def mono_ns(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for level, name in enumerate(("b/2.png", "a.png", "b/1.PNG", "c/d/9.bmp"), start=1):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        _, data = cv2.imencode(name[-4:], np.full((4, 6), level, np.uint8))
        (tmp_path / name).write_bytes(data.tobytes())
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def camera(path: Path, clock: Clock, **more: Any) -> FolderCamera:
    config = FolderConfig(kind="folder", name="top", path=path, **more)
    return FolderCamera(config, mono_ns=clock.mono_ns, wait=clock.wait)


def test_the_pictures_come_in_the_order_of_their_paths_and_begin_again(folder: Path) -> None:
    clock = Clock()
    top = camera(folder, clock)
    top.open()
    seen = []
    for i in range(6):
        clock.now_ns = 5_000 + i
        top.trigger()
        clock.now_ns += 900  # decoding takes its time; the exposure was at the trigger
        frame = top.read(0)
        assert frame is not None
        assert (frame.frame_counter, frame.t_exposed_ns, frame.encoder) == (i, 5_000 + i, None)
        seen.append(int(frame.image[0, 0, 0]))
    assert seen == [2, 3, 1, 4, 2, 3]


def test_no_trigger_no_picture_and_each_trigger_one(folder: Path) -> None:
    top = camera(folder, Clock())
    top.trigger()
    top.open()
    assert top.read(0) is None, "a trigger from before the opening is forgotten"
    top.trigger()
    top.trigger()
    assert [top.read(0) is not None for _ in range(3)] == [True, True, False]


def test_triggers_beyond_what_can_wait_show_as_a_gap(folder: Path) -> None:
    top = camera(folder, Clock())
    top.open()
    for _ in range(MAX_TRIGGERS + 5):
        top.trigger()
    frames = [top.read(0) for _ in range(MAX_TRIGGERS)]
    assert top.read(0) is None
    top.trigger()
    counters = [frame.frame_counter for frame in (*frames, top.read(0)) if frame is not None]
    assert counters == [*range(MAX_TRIGGERS), MAX_TRIGGERS + 5]


def test_a_timer_ticks_whatever_reading_takes_and_skips_what_nobody_read(folder: Path) -> None:
    clock = Clock()
    top = camera(folder, clock, trigger="timer", period_ms=100)
    top.open()
    for _ in range(MAX_TRIGGERS + 1):
        top.trigger()  # means nothing to a timer
    got = []
    for pause_ms in (0, 30, 0, 350, 0):
        clock.now_ns += pause_ms * 1_000_000
        frame = top.read(1)
        assert frame is not None
        got.append((frame.frame_counter, (frame.t_exposed_ns - 1_000) // 1_000_000))
    assert got == [(0, 0), (1, 100), (2, 200), (5, 500), (6, 600)]


def test_a_timer_gives_none_when_it_is_not_yet_time(folder: Path) -> None:
    clock = Clock()
    top = camera(folder, clock, trigger="timer", period_ms=100)
    top.open()
    assert top.read(0) is not None
    assert top.read(0.04) is None
    assert clock.now_ns == 1_000 + 40_000_000
    assert top.read(0.1) is not None


def test_a_damaged_picture_costs_its_turn_only(folder: Path) -> None:
    (folder / "aa.png").write_bytes(b"damaged")
    top = camera(folder, Clock())
    top.open()
    for _ in range(3):
        top.trigger()
    first = top.read(0)
    with pytest.raises(PictureError, match=r"aa\.png"):
        top.read(0)
    third = top.read(0)
    assert first is not None and third is not None
    assert (first.frame_counter, third.frame_counter, int(third.image[0, 0, 0])) == (0, 2, 3)


def test_the_place_in_the_folder_and_the_counter_survive_closing(folder: Path) -> None:
    top = camera(folder, Clock())
    for i, level in enumerate((2, 3)):
        top.open()
        top.trigger()
        frame = top.read(0)
        assert frame is not None
        assert (frame.frame_counter, int(frame.image[0, 0, 0])) == (i, level)
        top.close()


def test_an_empty_folder_and_one_that_cannot_be_read_say_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(DeviceUnavailable, match="top: open: .*empty holds no picture; put PNG"):
        camera(folder / "empty", Clock()).open()
    with pytest.raises(DeviceUnavailable, match=r"notes\.txt is no folder; set path"):
        camera(folder / "notes.txt", Clock()).open()

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rglob", forbidden)  # root may read everything
    with pytest.raises(DeviceUnavailable, match="Permission denied; check"):
        camera(folder, Clock()).open()


def test_a_timer_needs_its_period_and_only_a_timer_has_one() -> None:
    with pytest.raises(ValidationError, match="trigger: timer needs it"):
        FolderConfig(kind="folder", name="top", path=Path("x"), trigger="timer")
    with pytest.raises(ValidationError, match="only for trigger: timer"):
        FolderConfig(kind="folder", name="top", path=Path("x"), period_ms=5)
