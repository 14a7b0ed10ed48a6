"""The real capture process, between a camera and a control of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gateway.core.frame import FrameStamp, Pixels
from gateway.frames import FrameRing
from gateway.frames.stamps import stamp_from_json, status_from_json
from tests.frame_server import PATIENCE_S, FrameServer, frame_bytes


def noise(seed: int, shape: tuple[int, int, int] = (40, 50, 1)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class Control:
    """The datagram socket of a control process, and what came on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE_S)
        path.unlink(missing_ok=True)
        self.socket.bind(str(path))

    def next(self) -> FrameStamp | bool:
        data = self.socket.recv(4096)
        status = status_from_json(data)
        if status is None:
            return stamp_from_json(data)
        assert status[0] == "top"
        return status[1]

    def wait_for(self, wanted: Callable[[FrameStamp | bool], bool]) -> tuple[FrameStamp | bool, list[FrameStamp | bool]]:
        """Return the first message that is wanted, and those before it."""
        passed: list[FrameStamp | bool] = []
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            message = self.next()
            if wanted(message):
                return message, passed
            passed.append(message)
        raise AssertionError(f"only {passed[-5:]} came")

    def stamp(self) -> FrameStamp:
        message, _ = self.wait_for(lambda m: isinstance(m, FrameStamp))
        assert isinstance(message, FrameStamp)
        return message

    def state(self, up: bool) -> None:
        self.wait_for(lambda m: m is up)

    def nothing_but_states(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert isinstance(self.next(), bool)

    def close(self) -> None:
        self.socket.close()
        self.path.unlink(missing_ok=True)


class Rig:
    """A folder for sockets and ring, and the processes that a test starts in it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="vg-t-"))  # short: a socket's path has 108 bytes
        self.ring = self.folder / "ring"
        self.stack = contextlib.ExitStack()
        self.control = Control(self.folder / "control")

    def start(self, camera: dict[str, Any], *, code: str = "", expect_ready: bool = True) -> subprocess.Popen[bytes]:
        how = ["-c", code] if code else ["-m", "gateway.vision.capture"]
        errors = (self.folder / "stderr").open("ab")
        process = subprocess.Popen([sys.executable, *how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        errors.close()
        self.stack.callback(self.end, process)
        config = {
            "camera": {"name": "top", **camera},
            "ring": str(self.ring),
            "control_socket": str(self.control.path),
            "own_socket": str(self.folder / "own"),
        }
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(config).encode() + b"\n")
        process.stdin.flush()
        said = process.stdout.readline()
        assert said == (b'{"event":"ready"}\n' if expect_ready else b""), self.log()
        return process

    def trigger(self, data: bytes = b"trigger") -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(data, str(self.folder / "own"))

    def log(self) -> str:
        return (self.folder / "stderr").read_text()

    def end(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        if process.poll() is None:
            process.kill()
        process.wait(timeout=PATIENCE_S)
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()

    def close(self) -> None:
        self.stack.close()
        self.control.close()
        shutil.rmtree(self.folder)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


@pytest.fixture
def server() -> Iterator[FrameServer]:
    with FrameServer() as server:
        yield server


@pytest.fixture
def ring_of(rig: Rig) -> Iterator[Callable[[], FrameRing]]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(FrameRing.attach(rig.ring)))


RingOf = Callable[[], FrameRing]


def simulated(server: FrameServer, **more: Any) -> dict[str, Any]:
    return {"kind": "simulated", "port": server.port, **more}


def shown(ring: FrameRing, stamp: FrameStamp) -> Pixels | None:
    return ring.copy(stamp.slot, stamp.generation, (stamp.height, stamp.width, stamp.channels))


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_arrive_whole_with_all_that_is_known_of_them(
    rig: Rig, server: FrameServer, ring_of: RingOf, channels: int
) -> None:
    rig.start(simulated(server, channels=channels))
    server.accept()
    rig.control.state(True)
    ring = ring_of()
    for i in range(1, 40):  # more than the ring has slots
        image = noise(i, (40 + i, 50, channels))
        exposed = time.monotonic_ns()
        server.send(frame_bytes(i * 3, image, t_exposed_ns=exposed, encoder=None if i % 2 else i))
        stamp = rig.control.stamp()
        assert (stamp.camera, stamp.frame_counter, stamp.t_exposed_ns) == ("top", i * 3, exposed)
        assert stamp.encoder == (None if i % 2 else i)
        assert exposed < stamp.t_available_ns <= time.monotonic_ns()
        got = shown(ring, stamp)
        assert got is not None and np.array_equal(got, image)


def test_rubbish_on_the_stream_ends_the_connection_and_the_next_one_serves(
    rig: Rig, server: FrameServer, ring_of: RingOf
) -> None:
    rig.start(simulated(server))
    server.accept()
    rig.control.state(True)
    server.send(b"\0" * 100)
    rig.control.state(False)
    assert server.client_left()
    server.accept()
    rig.control.state(True)
    server.send(frame_bytes(5, noise(5)))
    stamp = rig.control.stamp()
    got = shown(ring_of(), stamp)
    assert stamp.frame_counter == 5
    assert got is not None and np.array_equal(got, noise(5))
    assert rig.log().count("camera lost") == 1
    assert "is no frame header" in rig.log()


def test_a_camera_that_goes_and_comes_back_is_down_in_between(rig: Rig) -> None:
    with FrameServer() as first:
        rig.start(simulated(first))
        first.accept()
        first.send(frame_bytes(1, noise(1)) + frame_bytes(2, noise(2))[:100])  # dies in the middle of a frame
        assert rig.control.stamp().frame_counter == 1
    rig.control.state(False)
    rig.control.nothing_but_states(1.2)
    with FrameServer(first.port) as second:
        second.accept()
        rig.control.state(True)
        second.send(frame_bytes(0, noise(3)))
        assert rig.control.stamp().frame_counter == 0
        until = time.monotonic() + PATIENCE_S
        while rig.log().count("camera is there") < 2:  # said after the frame was passed on
            assert time.monotonic() < until, rig.log()
            time.sleep(0.01)
        assert rig.log().count("camera lost") == 1


def test_a_camera_that_is_absent_at_the_start_is_down_until_it_comes(rig: Rig) -> None:
    with FrameServer() as nobody:
        port = nobody.port
    process = rig.start({"kind": "simulated", "port": port})
    for _ in range(3):
        assert rig.control.next() is False
    assert process.poll() is None
    with FrameServer(port) as server:
        server.accept()
        rig.control.state(True)
    assert f"127.0.0.1:{port}" in rig.log()


def test_other_channels_than_configured_are_no_evidence(rig: Rig, server: FrameServer) -> None:
    rig.start(simulated(server, channels=1))
    for _ in range(2):
        server.accept()
        server.send(frame_bytes(1, noise(1, (40, 50, 3))))
        assert server.client_left()
    rig.control.nothing_but_states(0.3)
    assert "sends 3 channel(s), 1 are configured" in rig.log()


def test_a_reader_from_before_a_kill_sees_what_comes_after_it(rig: Rig, server: FrameServer, ring_of: RingOf) -> None:
    first = rig.start(simulated(server))
    server.accept()
    for i in range(3):
        server.send(frame_bytes(i, noise(i)))
    before = [rig.control.stamp() for _ in range(3)]
    ring = ring_of()
    first.send_signal(signal.SIGKILL)
    first.wait(timeout=PATIENCE_S)
    rig.start(simulated(server))
    server.accept()
    server.send(frame_bytes(9, noise(9)))
    after = rig.control.stamp()
    got, old = shown(ring, after), shown(ring, before[-1])
    assert got is not None and np.array_equal(got, noise(9))
    assert old is not None and np.array_equal(old, noise(2)), "no slot was given twice"
    assert after.generation > before[-1].generation


def taken(ring: FrameRing, since: int, count: int) -> None:
    """Wait until the ring has taken ``count`` frames more than at ``since``."""
    until = time.monotonic() + PATIENCE_S
    while newest(ring) < since + count:
        assert time.monotonic() < until, f"{newest(ring) - since} of {count} frames were taken"
        time.sleep(0.01)


def newest(ring: FrameRing) -> int:
    return max(ring._words) // 2


def test_control_away_blocks_nothing_and_learns_all_when_it_comes(rig: Rig, server: FrameServer, ring_of: RingOf) -> None:
    rig.control.close()
    rig.start(simulated(server))
    server.accept()
    ring = ring_of()
    before = newest(ring)
    for i in range(60):
        server.send(frame_bytes(i, noise(i)))
    taken(ring, before, 60)
    rig.control = Control(rig.folder / "control")
    rig.control.state(True)
    server.send(frame_bytes(60, noise(60)))
    assert rig.control.stamp().frame_counter == 60
    rig.control.close()
    rig.control = Control(rig.folder / "control")  # a restarted control is told again
    rig.control.state(True)
    assert "control takes no frames" in rig.log() and "control takes frames again" in rig.log()


def test_a_control_that_does_not_listen_blocks_nothing(rig: Rig, server: FrameServer, ring_of: RingOf) -> None:
    rig.start(simulated(server))
    server.accept()
    rig.control.state(True)
    ring = ring_of()
    before = newest(ring)
    for i in range(2000):  # far more than a socket holds
        server.send(frame_bytes(i, noise(i % 7, (4, 4, 1))))
    taken(ring, before, 2000)
    old = rig.control.stamp()
    assert old.frame_counter == 0
    assert shown(ring, old) is None, "overwritten long ago, and known to be"
    rig.control.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            rig.control.next()
    rig.control.socket.settimeout(PATIENCE_S)
    server.send(frame_bytes(2000, noise(1)))
    # The stamp of the last one before may come after the socket was emptied.
    fresh, _ = rig.control.wait_for(lambda m: isinstance(m, FrameStamp) and m.frame_counter == 2000)
    assert isinstance(fresh, FrameStamp)
    got = shown(ring, fresh)
    assert got is not None and np.array_equal(got, noise(1))


def test_a_picture_larger_than_a_slot_is_lost_alone(rig: Rig, server: FrameServer) -> None:
    rig.start(simulated(server))
    server.accept()
    server.send(frame_bytes(1, noise(1)) + frame_bytes(2, np.zeros((6000, 6000, 1), np.uint8)) + frame_bytes(3, noise(3)))
    assert rig.control.stamp().frame_counter == 1
    message, passed = rig.control.wait_for(lambda m: not isinstance(m, bool))
    assert isinstance(message, FrameStamp) and message.frame_counter == 3
    assert False not in passed
    assert "6000×6000×1" in json.loads(rig.log().splitlines()[-1])["error"]


def test_control_can_have_the_camera_opened_anew(rig: Rig, server: FrameServer) -> None:
    rig.start(simulated(server))
    server.accept()
    server.send(frame_bytes(1, noise(1)))
    assert rig.control.stamp().frame_counter == 1
    rig.trigger(b"nonsense")
    rig.trigger(b"reopen")
    assert server.client_left()
    rig.control.state(False)
    server.accept()
    rig.control.state(True)
    server.send(frame_bytes(2, noise(2)))
    assert rig.control.stamp().frame_counter == 2
    assert "control cannot rely on its pictures" in rig.log()


def png(path: Path, level: int) -> None:
    _, data = cv2.imencode(".png", np.full((6, 8), level, np.uint8))
    path.write_bytes(data.tobytes())


def huge_png(path: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + IEND)


IEND = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))


def test_the_folder_camera_waits_for_triggers_and_survives_a_huge_picture(rig: Rig, tmp_path: Path, ring_of: RingOf) -> None:
    png(tmp_path / "a.png", 1)
    huge_png(tmp_path / "b.png")
    png(tmp_path / "c.png", 3)
    rig.start({"kind": "folder", "path": str(tmp_path)})
    rig.control.state(True)
    rig.trigger(b"trigge")
    rig.trigger(b"")
    rig.control.nothing_but_states(0.6)
    ring = ring_of()
    before = time.monotonic_ns()
    for _ in range(3):
        rig.trigger()
    first, third = rig.control.stamp(), rig.control.stamp()
    assert (first.frame_counter, third.frame_counter) == (0, 2)
    levels = [shown(ring, stamp) for stamp in (first, third)]
    assert [int(level[0, 0, 0]) for level in levels if level is not None] == [1, 3]
    assert before < first.t_exposed_ns < third.t_exposed_ns < time.monotonic_ns()
    assert first.encoder is None
    rig.control.nothing_but_states(0.6)
    assert "b.png: 60000×60000 pixels are too many" in json.loads(rig.log().splitlines()[-1])["error"]


def test_a_timer_needs_no_trigger(rig: Rig, tmp_path: Path) -> None:
    png(tmp_path / "a.png", 1)
    rig.start({"kind": "folder", "path": str(tmp_path), "trigger": "timer", "period_ms": 20})
    stamps = [rig.control.stamp() for _ in range(5)]
    assert [s.frame_counter for s in stamps] == sorted({s.frame_counter for s in stamps})


def test_a_video_is_played_once_and_then_the_camera_is_down(rig: Rig, tmp_path: Path) -> None:
    film = str(tmp_path / "film.avi")
    writer = cv2.VideoWriter(film, cv2.VideoWriter.fourcc(*"MJPG"), 50, (64, 48))
    for level in (10, 200, 90):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    process = rig.start({"kind": "video", "source": film})
    assert [rig.control.stamp().frame_counter for _ in range(3)] == [0, 1, 2]
    rig.control.state(False)
    for _ in range(4):
        assert rig.control.next() is False
    assert process.poll() is None
    assert rig.log().count("has ended after 3 frames") == 1


@pytest.mark.parametrize("how", ["end of stdin", "SIGTERM"])
def test_it_ends_when_it_is_told_and_says_that_the_camera_is_gone(rig: Rig, server: FrameServer, how: str) -> None:
    process = rig.start(simulated(server))
    server.accept()
    rig.control.state(True)
    process.send_signal(signal.SIGINT)  # Ctrl-C is the supervisor's business
    rig.control.state(True)
    assert process.stdin is not None
    if how == "SIGTERM":
        process.terminate()
    else:
        process.stdin.close()
    rig.control.state(False)
    assert process.wait(timeout=PATIENCE_S) == 0
    assert server.client_left()
    assert "Traceback" not in rig.log()


HANGING = """
import sys, time
from gateway.vision import capture
from gateway.vision.cameras.folder import FolderCamera

FolderCamera.read = lambda self, timeout: time.sleep(1000)
sys.exit(capture.main())
"""


def test_a_driver_that_hangs_holds_up_neither_the_state_nor_the_end(rig: Rig, tmp_path: Path) -> None:
    png(tmp_path / "a.png", 1)
    process = rig.start({"kind": "folder", "path": str(tmp_path)}, code=HANGING)
    assert rig.control.next() is False
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=PATIENCE_S) == 0
    assert "does not return" in rig.log()


BROKEN = HANGING.replace("time.sleep(1000)", "1 / 0")


def test_a_bug_ends_the_process_loudly(rig: Rig, tmp_path: Path) -> None:
    png(tmp_path / "a.png", 1)
    process = rig.start({"kind": "folder", "path": str(tmp_path)}, code=BROKEN)
    assert process.wait(timeout=PATIENCE_S) == 1
    assert "ZeroDivisionError" in rig.log()


def test_what_cannot_run_says_why_and_ends(rig: Rig, tmp_path: Path) -> None:
    camera = {"kind": "folder", "path": str(tmp_path)}
    assert rig.start({"kind": "folder"}, expect_ready=False).wait(timeout=PATIENCE_S) == 2
    assert "path" in rig.log()
    rig.start(camera)
    assert rig.start(camera, expect_ready=False).wait(timeout=PATIENCE_S) == 1
    assert "another process writes this frame ring" in rig.log()
    assert "Traceback" not in rig.log()


def test_its_files_are_its_owners_alone(rig: Rig, tmp_path: Path) -> None:
    rig.start({"kind": "folder", "path": str(tmp_path)})
    assert [os.stat(rig.folder / name).st_mode & 0o777 for name in ("own", "ring")] == [0o600, 0o600]
