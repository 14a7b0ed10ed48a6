"""What every camera promises, and what the simulated one promises about its socket."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.core.errors import DeviceError, DeviceProtocolError, DeviceUnavailable
from gateway.core.frame import Frame, Pixels
from gateway.vision.cameras import Camera, CameraConfig
from tests.frame_server import FrameServer, frame_bytes

ADAPTER: TypeAdapter[Any] = TypeAdapter(CameraConfig)
LEVELS = (30, 90, 150, 210)
PATIENCE_S = 10.0


def picture(level: int, channels: int) -> Pixels:
    return np.full((48, 64, channels), level, np.uint8)


class Stand:
    """One kind of camera with four grey levels before it."""

    quiet = True
    """Gives nothing unless told; what gives by itself may skip when the machine is busy."""

    def __init__(self, channels: int, where: Path) -> None:
        self.channels = channels
        self.where = where
        self.present: dict[str, Any] = {}
        self.absent: dict[str, Any] = {}

    def config(self, present: bool = True) -> Any:
        own = self.present if present else self.absent
        return ADAPTER.validate_python({"name": "top", "channels": self.channels, **own})

    def build(self, present: bool = True) -> Camera:
        camera: Camera = self.config(present).build()
        return camera

    def opened(self, camera: Camera) -> None:
        camera.open()

    def give(self, camera: Camera, i: int) -> None:
        """See to it that frame ``i`` comes."""

    def end(self) -> None:
        """Let go of everything."""


class FolderStand(Stand):
    def __init__(self, channels: int, where: Path) -> None:
        super().__init__(channels, where)
        for i, level in enumerate(LEVELS):
            _, data = cv2.imencode(".png", picture(level, 1))
            (where / f"{i}.png").write_bytes(data.tobytes())
        self.present = {"kind": "folder", "path": where}
        self.absent = {"kind": "folder", "path": where / "absent"}

    def give(self, camera: Camera, i: int) -> None:
        camera.trigger()


class TimerStand(FolderStand):
    quiet = False

    def __init__(self, channels: int, where: Path) -> None:
        super().__init__(channels, where)
        for own in (self.present, self.absent):
            own |= {"trigger": "timer", "period_ms": 20}


class VideoStand(Stand):
    quiet = False

    def __init__(self, channels: int, where: Path) -> None:
        super().__init__(channels, where)
        film = where / "film.avi"
        writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 100, (64, 48))
        for level in LEVELS:
            writer.write(picture(level, 3))
        writer.release()
        self.present = {"kind": "video", "source": str(film)}
        self.absent = {"kind": "video", "source": str(where / "absent.avi")}


class SimulatedStand(Stand):
    def __init__(self, channels: int, where: Path) -> None:
        super().__init__(channels, where)
        self.server = FrameServer()
        self.present = {"kind": "simulated", "port": self.server.port}
        with FrameServer() as gone:
            self.absent = {"kind": "simulated", "port": gone.port}

    def opened(self, camera: Camera) -> None:
        camera.open()
        self.server.accept()

    def give(self, camera: Camera, i: int) -> None:
        image = picture(LEVELS[i % len(LEVELS)], self.channels)
        self.server.send(frame_bytes(i, image, t_exposed_ns=time.monotonic_ns(), encoder=1000 + i))

    def end(self) -> None:
        self.server.__exit__(None, None, None)


STANDS = (FolderStand, TimerStand, VideoStand, SimulatedStand)


@pytest.fixture(params=[(kind, channels) for kind in STANDS for channels in (1, 3)], ids=lambda p: f"{p[0].__name__}-{p[1]}")
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    kind, channels = request.param
    stand: Stand = kind(channels, tmp_path)
    yield stand
    stand.end()


def next_frame(camera: Camera) -> Frame:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if (frame := camera.read(0.2)) is not None:
            return frame
    raise AssertionError("no frame came")


def test_frames_come_in_order_with_the_configured_channels(stand: Stand) -> None:
    camera = stand.build()
    before = time.monotonic_ns()
    stand.opened(camera)
    last = before
    for i, level in enumerate(LEVELS):
        stand.give(camera, i)
        frame = next_frame(camera)
        assert frame.camera == "top"
        assert frame.frame_counter == i or (isinstance(stand, TimerStand) and frame.frame_counter > i)
        assert frame.image.dtype == np.uint8
        assert frame.image.shape == (48, 64, stand.channels)
        assert np.abs(frame.image.astype(int) - level).max() <= 6
        assert last <= frame.t_exposed_ns <= time.monotonic_ns()
        assert frame.encoder == (1000 + i if isinstance(stand, SimulatedStand) else None)
        last = frame.t_exposed_ns
    camera.close()


def test_a_frame_given_away_is_never_touched_again(stand: Stand) -> None:
    camera = stand.build()
    stand.opened(camera)
    stand.give(camera, 0)
    first = next_frame(camera).image
    kept = first.copy()
    stand.give(camera, 1)
    second = next_frame(camera).image
    assert np.array_equal(first, kept)
    assert not np.shares_memory(first, second)
    camera.close()


def test_when_nothing_comes_read_returns_none_and_goes_on(stand: Stand) -> None:
    camera = stand.build()
    stand.opened(camera)
    if stand.quiet:
        assert camera.read(0) is None
        assert camera.read(0.02) is None
    stand.give(camera, 0)
    next_frame(camera)
    if stand.quiet:
        assert camera.read(0.02) is None
    camera.close()


def test_a_camera_can_be_closed_at_any_time_and_opened_again(stand: Stand) -> None:
    camera = stand.build()
    camera.close()
    stand.opened(camera)
    stand.give(camera, 0)
    first = next_frame(camera)
    camera.close()
    camera.close()
    with pytest.raises(DeviceUnavailable, match="top: read"):
        camera.read(0.01)
    stand.opened(camera)
    stand.give(camera, 1)
    assert next_frame(camera).frame_counter > first.frame_counter
    camera.close()


def test_a_trigger_is_harmless_at_any_time(stand: Stand) -> None:
    camera = stand.build()
    for _ in range(100):
        camera.trigger()
    stand.opened(camera)
    for _ in range(100):
        camera.trigger()
    stand.give(camera, 0)
    assert next_frame(camera).frame_counter == 0
    camera.close()
    camera.trigger()


def test_a_device_that_is_absent_says_so_and_may_come_later(stand: Stand) -> None:
    camera = stand.build(present=False)
    for _ in range(2):
        with pytest.raises(DeviceUnavailable, match="^top: open: .*(absent|127.0.0.1:).*(set|running)"):
            camera.open()
    camera.close()


def test_the_configuration_survives_the_way_to_its_process(stand: Stand) -> None:
    config = stand.config()
    assert ADAPTER.validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match="extra_forbidden"):
        ADAPTER.validate_python(config.model_dump() | {"speed": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"name": "1st"},
        {"name": "a/b"},
        {"name": ""},
        {"channels": 2},
        {"channels": 4},
        {"offset": float("nan")},
        {"positions": [[0, 0, 0, 5]]},
        {"positions": [[-1, 0, 5, 5]]},
        {"positions": [[0, 0, 5]]},
    ],
)
def test_common_fields_are_checked(stand: Stand, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        ADAPTER.validate_python(stand.config().model_dump() | change)


def test_an_unknown_kind_names_those_there_are() -> None:
    with pytest.raises(ValidationError, match="'folder', 'video', 'simulated'"):
        ADAPTER.validate_python({"kind": "telescope", "name": "top"})


@pytest.mark.parametrize("module", ["gateway.vision.cameras", "gateway.vision.capture"])
def test_importing_cameras_loads_no_driver(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('cv2', 'openvino') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


# --- the simulated camera's socket ---------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[FrameServer]:
    with FrameServer() as server:
        yield server


def connected(server: FrameServer, channels: int = 1) -> Camera:
    camera: Camera = ADAPTER.validate_python(
        {"kind": "simulated", "name": "top", "port": server.port, "channels": channels}
    ).build()
    camera.open()
    server.accept()
    return camera


def read_until_error(camera: Camera) -> DeviceError:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            assert camera.read(0.2) is None
        except DeviceError as error:
            return error
    raise AssertionError("no error came")


def test_a_frame_in_pieces_is_put_together_over_several_reads(server: FrameServer) -> None:
    camera = connected(server)
    image = np.random.default_rng(1).integers(0, 256, (50, 70, 1), dtype=np.uint8)
    data = frame_bytes(2**32 - 1, image, t_exposed_ns=2**62, encoder=2**32 - 1)
    for piece in (data[:3], data[3:26], data[26:27], data[27:]):
        assert camera.read(0.01) is None
        server.send(piece)
    frame = next_frame(camera)
    assert np.array_equal(frame.image, image)
    assert (frame.frame_counter, frame.t_exposed_ns, frame.encoder) == (2**32 - 1, 2**62, 2**32 - 1)
    server.send(frame_bytes(0, image) + frame_bytes(1, image))
    assert [next_frame(camera).frame_counter for _ in range(2)] == [0, 1]
    assert next_frame_has_no_encoder(camera, server)
    camera.close()


def next_frame_has_no_encoder(camera: Camera, server: FrameServer) -> bool:
    server.send(frame_bytes(5, picture(1, 1), encoder=None))
    return next_frame(camera).encoder is None


def garbled(**at: bytes) -> bytes:
    """Return a frame with bytes of its header replaced; keys are ``at<offset>``."""
    data = bytearray(frame_bytes(1, picture(1, 1)))
    for key, value in at.items():
        start = int(key.removeprefix("at"))
        data[start : start + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no frame header; is port"),
        (garbled(at0=b"VGF2"), "no frame header"),
        (garbled(at8=b"\xff"), "no frame header"),
        (garbled(at20=b"\x02"), "no frame header"),
        (garbled(at22=b"\x00\x00"), "64×0 pixels"),
        (garbled(at24=b"\x00\x00"), "0×48 pixels"),
        (garbled(at22=b"\xff\xff\xff\xff"), "65535×65535 pixels; the limit"),
        (garbled(at21=b"\x03"), r"sends 3 channel\(s\), 1 are configured; set channels"),
        (garbled(at21=b"\x00"), r"sends 0 channel\(s\)"),
    ],
)
def test_what_is_no_frame_ends_the_connection(server: FrameServer, data: bytes, why: str) -> None:
    camera = connected(server)
    server.send(data)
    error = read_until_error(camera)
    assert isinstance(error, DeviceProtocolError)
    with pytest.raises(DeviceProtocolError, match=why):
        raise error
    camera.close()
    assert server.client_left()
    camera.open()  # and nothing of the rubbish is left
    server.accept()
    server.send(frame_bytes(7, picture(9, 1)))
    assert next_frame(camera).frame_counter == 7
    camera.close()


@pytest.mark.parametrize("sent", [0, 10, 26, 500])
def test_a_server_that_goes_away_is_noticed_at_once(server: FrameServer, sent: int) -> None:
    camera = connected(server)
    server.send(frame_bytes(1, picture(1, 1))[:sent])
    server.hang_up()
    with pytest.raises(DeviceUnavailable, match="closed the connection|reset"):
        raise read_until_error(camera)
    camera.close()


def test_a_frame_that_stops_half_way_is_given_up(server: FrameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.vision.cameras.simulated.STALL_S", 0.05)
    camera = connected(server)
    assert camera.read(0.1) is None
    assert camera.read(0.1) is None, "between frames silence means nothing"
    server.send(frame_bytes(1, picture(1, 1))[:100])
    with pytest.raises(DeviceUnavailable, match="stopped coming after 100 bytes"):
        raise read_until_error(camera)
    camera.close()


def test_a_port_is_never_connected_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for a free port of this machine again and again, the kernel may choose that port for the asker."""
    import socket

    oneself = socket.socket()
    oneself.bind(("127.0.0.1", 0))
    oneself.connect(oneself.getsockname())
    port = oneself.getsockname()[1]
    monkeypatch.setattr(socket, "create_connection", lambda *_: oneself)
    camera: Camera = ADAPTER.validate_python({"kind": "simulated", "name": "top", "port": port}).build()
    with pytest.raises(DeviceUnavailable, match="nobody listens"):
        camera.open()
    assert oneself.fileno() == -1
