"""The camera's loop: what is said and when it is tried again, with a camera and an announcer of the test's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from gateway.core.errors import DeviceProtocolError, DeviceUnavailable, PictureError
from gateway.core.frame import Frame, FrameStamp
from gateway.frames import FrameRing
from gateway.vision import capture
from gateway.vision.capture import FIRST_PAUSE_S, LONGEST_PAUSE_S, Source

FAIL = DeviceUnavailable("top", "open", "nobody there")
GARBAGE = DeviceProtocolError("top", "read", "garbage")
DAMAGED = PictureError("a.png: damaged")


def frame(counter: int, size: int = 4) -> Frame:
    image = np.full((size, size, 1), counter, np.uint8)
    return Frame(camera="top", frame_counter=counter, image=image, t_exposed_ns=5, encoder=counter * 10)


class Announcer:
    def __init__(self) -> None:
        self.said: list[bool | FrameStamp] = []
        self.up = False

    def status(self, up: bool) -> None:
        if up is not self.up:
            self.said.append(up)
        self.up = up

    def stamp(self, stamp: FrameStamp) -> None:
        self.said.append(stamp)

    def repeat(self) -> None:
        self.said.append(self.up)


Event = Exception | Frame | Literal["reopen"] | None


class Camera:
    """Plays a script: an error or None for each opening, then what each read gives; at its end it stops the loop."""

    def __init__(self, *script: Event) -> None:
        self.script = list(script)
        self.calls: list[str] = []
        self.source: Source | None = None

    def step(self) -> Frame | None:
        if not self.script:
            assert self.source is not None
            self.source.stop()
            return None
        if isinstance(event := self.script.pop(0), Exception):
            raise event
        if event == "reopen":  # control asks while the driver is at work
            assert self.source is not None
            self.source.reopen()
            return None
        return event

    def open(self) -> None:
        self.calls.append("open")
        assert self.step() is None

    def read(self, timeout: float) -> Frame | None:
        assert 0 < timeout < 1
        return self.step()

    def trigger(self) -> None:
        self.calls.append("trigger")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[FrameRing]:
    ring = FrameRing.create(tmp_path / "ring", slots=4, slot_bytes=4096)
    yield ring
    ring.close()


@pytest.fixture(autouse=True)
def _logging_unset() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def played(ring: FrameRing, *script: Event) -> tuple[list[Any], list[float], list[Any], Camera]:
    """Return what was said, the pauses, the log and the camera."""
    camera, announcer, pauses = Camera(*script), Announcer(), list[float]()
    source = Source(camera, ring, announcer, wait=pauses.append)  # type: ignore[arg-type]
    camera.source = source
    with capture_logs() as logs:
        source.run()
    return announcer.said, pauses, logs, camera


def test_frames_go_into_the_ring_and_their_stamps_to_control(ring: FrameRing) -> None:
    before = time.monotonic_ns()
    said, _, logs, camera = played(ring, None, frame(1), None, frame(2))
    stamps = [s for s in said if isinstance(s, FrameStamp)]
    assert said.count(True) == 1 and False not in said
    assert [(s.camera, s.frame_counter, s.t_exposed_ns, s.encoder) for s in stamps] == [("top", 1, 5, 10), ("top", 2, 5, 20)]
    for stamp in stamps:
        copy = ring.copy(stamp.slot, stamp.generation, (stamp.height, stamp.width, stamp.channels))
        assert copy is not None and (copy == stamp.frame_counter).all()
        assert before <= stamp.t_available_ns <= time.monotonic_ns()
    assert camera.calls == ["open", "close"]
    assert [log["event"] for log in logs] == ["camera is there"]


def test_pauses_grow_to_a_bound_and_the_loss_is_said_once(ring: FrameRing) -> None:
    said, pauses, logs, camera = played(ring, *[FAIL] * 8)
    assert pauses[:6] == [FIRST_PAUSE_S * 2**i for i in range(5)] + [LONGEST_PAUSE_S]
    assert max(pauses) == LONGEST_PAUSE_S
    assert [(log["event"], log["log_level"]) for log in logs] == [("camera lost", "warning")]
    assert "nobody there" in logs[0]["error"]
    assert camera.calls == ["open", "close"] * 9
    assert said == []


def test_a_frame_resets_the_pauses_and_the_return_is_said_once(ring: FrameRing) -> None:
    said, pauses, logs, _ = played(ring, FAIL, FAIL, FAIL, None, frame(1), frame(2), GARBAGE, None, frame(3))
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.1]
    assert [log["event"] for log in logs] == ["camera lost", "camera is there", "camera lost", "camera is there"]
    assert [s if isinstance(s, bool) else s.frame_counter for s in said] == [1, True, 2, False, 3, True]


def test_a_camera_that_opens_and_then_talks_rubbish_never_counts_as_up(ring: FrameRing) -> None:
    said, pauses, logs, _ = played(ring, *[None, GARBAGE] * 7)
    assert said == []
    assert pauses[5] == LONGEST_PAUSE_S
    assert [log["event"] for log in logs] == ["camera lost"]


def test_a_camera_that_waits_for_its_trigger_is_up(ring: FrameRing) -> None:
    said, _, _, _ = played(ring, None, None, None)
    assert said == [True]


def test_a_camera_is_closed_and_opened_again_when_control_asks(ring: FrameRing) -> None:
    said, pauses, logs, camera = played(ring, None, frame(1), "reopen", None, frame(2))
    assert [s if isinstance(s, bool) else s.frame_counter for s in said] == [1, True, False, 2, True]
    assert camera.calls == ["open", "close", "open", "close"]
    assert pauses[0] == FIRST_PAUSE_S
    assert [log["event"] for log in logs] == [
        "camera is there",
        "camera is closed and opened again: control cannot rely on its pictures",
        "camera is there",
    ]


def test_what_was_asked_while_it_was_closed_is_done_by_opening_it(ring: FrameRing) -> None:
    _, _, _, camera = played(ring, None, "reopen", FAIL, None, frame(1), frame(2))
    assert camera.calls == ["open", "close"] * 3


def test_a_lost_picture_is_named_once_and_the_camera_stays_up(ring: FrameRing) -> None:
    other = PictureError("b.png: damaged")
    said, pauses, logs, camera = played(ring, None, DAMAGED, frame(1), DAMAGED, other, frame(3, size=100), frame(4))
    assert [s if isinstance(s, bool) else s.frame_counter for s in said] == [True, 1, 4]
    assert camera.calls == ["open", "close"]
    complaints = [log["error"] for log in logs if log["event"] == "a picture is lost"]
    assert complaints[:2] == [str(DAMAGED), str(other)]
    assert len(complaints) == 3 and "100×100×1" in complaints[2]


def test_a_bug_in_a_camera_comes_out_and_the_camera_is_closed(ring: FrameRing) -> None:
    with pytest.raises(ZeroDivisionError):
        played(ring, None, ZeroDivisionError())


async def test_a_driver_that_does_not_return_is_down_and_then_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "STATUS_S", 0.001)
    announcer = Announcer()
    announcer.up = True
    source = SimpleNamespace(alive_at=time.monotonic() - capture.SILENT_S - 1)
    watching = asyncio.create_task(capture._watch(asyncio.Event(), asyncio.Event(), source, announcer))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        await until(lambda: len(announcer.said) >= 3)
        assert announcer.said[0] is False and True not in announcer.said
        assert not watching.done()
        source.alive_at = time.monotonic() - capture.HUNG_S - 1
        assert await watching == 1


async def test_the_state_is_repeated_until_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "STATUS_S", 0.001)
    announcer, stop = Announcer(), asyncio.Event()
    announcer.up = True
    source = SimpleNamespace(alive_at=time.monotonic() + 1e6)
    watching = asyncio.create_task(capture._watch(stop, asyncio.Event(), source, announcer))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        await until(lambda: len(announcer.said) >= 3)
        stop.set()
        assert await watching == 0
    assert set(announcer.said) == {True}


async def test_a_fallen_thread_ends_the_process() -> None:
    ended = asyncio.Event()
    ended.set()
    source = SimpleNamespace(alive_at=time.monotonic())
    async with asyncio.timeout(10):
        assert await capture._watch(asyncio.Event(), ended, source, Announcer()) == 1  # type: ignore[arg-type]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)
