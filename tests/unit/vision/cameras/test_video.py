"""The video camera, on files that the test writes and on a device that the test plays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.core.errors import DeviceProtocolError, DeviceUnavailable
from gateway.vision.cameras import CameraConfig, VideoConfig
from gateway.vision.cameras.video import VideoCamera

LEVELS = (20, 60, 100, 140, 180)


class Clock:
    """Time moves only when somebody waits, or is told."""

    def __init__(self) -> None:
        self.now_ns = 0

    def mono_ns(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in LEVELS:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


def camera(source: int | str, clock: Clock, channels: int = 1) -> VideoCamera:
    config = VideoConfig.model_validate({"kind": "video", "name": "top", "source": source, "channels": channels})
    return VideoCamera(config, mono_ns=clock.mono_ns, wait=clock.wait)


def test_a_file_is_played_at_its_own_rate(film: Path) -> None:
    clock = Clock()
    top = camera(str(film), clock)
    top.open()
    assert top.read(0) is not None, "the first frame is there at once"
    assert top.read(0.03) is None
    assert clock.now_ns == 30_000_000
    second = top.read(1)
    assert second is not None
    assert second.t_exposed_ns == clock.now_ns == 100_000_000
    clock.now_ns += 1_000_000_000  # a reader that fell behind gets no burst
    assert top.read(0) is not None
    assert top.read(0) is not None
    assert top.read(0) is None
    top.close()


def test_a_file_is_played_once(film: Path) -> None:
    top = camera(str(film), Clock())
    top.open()
    seen = []
    for i in range(len(LEVELS)):
        frame = top.read(1)
        assert frame is not None and frame.frame_counter == i
        seen.append(int(frame.image.mean()))
    assert np.abs(np.array(seen) - LEVELS).max() < 6
    for attempt in (lambda: top.read(1), top.open, top.open):
        with pytest.raises(DeviceUnavailable, match=r"film\.avi has ended after 5 frames; start"):
            attempt()
        top.close()


class Device:
    """Stands for cv2.VideoCapture on a device."""

    def __init__(self, image: np.ndarray | None) -> None:
        self.image = image
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, _: int) -> float:
        return 30.0

    def grab(self) -> bool:
        return self.image is not None

    def retrieve(self) -> tuple[bool, Any]:
        return True, self.image

    def release(self) -> None:
        self.released = True


def opened(monkeypatch: pytest.MonkeyPatch, device: Device, channels: int) -> VideoCamera:
    monkeypatch.setattr(cv2, "VideoCapture", lambda source: device if source == 3 else pytest.fail("another source"))
    top = camera(3, Clock(), channels)
    top.open()
    return top


@pytest.mark.parametrize("channels", [1, 3])
def test_a_device_goes_on_at_its_own_pace(monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (4, 6, 1), dtype=np.uint8)
    device = Device(np.repeat(grey, 3, 2))
    top = opened(monkeypatch, device, channels)
    for i in range(40):
        frame = top.read(0)
        assert frame is not None and frame.frame_counter == i
        assert np.array_equal(frame.image, np.repeat(grey, channels, 2))
    device.image = None
    for _ in range(2):
        with pytest.raises(DeviceUnavailable, match="no picture; check its cable"):
            top.read(0)
    top.close()
    assert device.released
    device.image = np.zeros((4, 6, 3), np.uint8)
    top.open()
    again = top.read(0)
    assert again is not None and again.frame_counter == 40, "a device, unlike a file, comes back"


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 2), (4, 6, 4)])
def test_channels_that_are_not_configured_are_no_evidence(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]) -> None:
    top = opened(monkeypatch, Device(np.zeros(shape, np.uint8)), 3)
    with pytest.raises(DeviceProtocolError, match=r"not uint8\[H, W, 3\]; set channels"):
        top.read(0)


def test_more_than_8_bits_are_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    top = opened(monkeypatch, Device(np.zeros((4, 6), np.uint16)), 1)
    with pytest.raises(DeviceProtocolError, match="uint16"):
        top.read(0)


def test_a_grey_device_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = opened(monkeypatch, Device(np.full((4, 6), 9, np.uint8)), 1).read(0)
    assert frame is not None and frame.image.shape == (4, 6, 1)


def test_what_opencv_raises_becomes_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(np.zeros((4, 6, 3), np.uint8))
    top = opened(monkeypatch, device, 1)

    def broken() -> bool:
        raise cv2.error("driver fell over")

    monkeypatch.setattr(device, "grab", broken)
    with pytest.raises(DeviceUnavailable, match="top: read"):
        top.read(0)


def test_what_is_no_video_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "a.avi"
    text.write_text("no video")
    os.mkfifo(tmp_path / "pipe")
    for source, why in (
        (str(text), "cannot be opened as a video"),
        (str(tmp_path / "pipe"), "neither a file nor a video device"),
        (str(tmp_path), "neither a file nor a video device"),
        (str(tmp_path / "none"), "No such file or directory; set source"),
    ):
        with pytest.raises(DeviceUnavailable, match=why):
            camera(source, Clock()).open()
    capfd.readouterr()  # what OpenCV says about it


@pytest.mark.parametrize(("text", "source"), [(0, 0), ("0", 0), ("/dev/video0", "/dev/video0"), ("a.avi", "a.avi")])
def test_a_source_is_a_number_or_a_path(text: int | str, source: int | str) -> None:
    adapter: TypeAdapter[VideoConfig] = TypeAdapter(CameraConfig)
    config = adapter.validate_python({"kind": "video", "name": "top", "source": text})
    assert config.source == source
    assert adapter.validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("source", ["", -1, 1.5, None])
def test_other_sources_are_refused(source: object) -> None:
    with pytest.raises(ValidationError, match="source"):
        VideoConfig.model_validate({"kind": "video", "name": "top", "source": source})
