"""The capture process of one camera: frames into the ring, a stamp of each to control, triggers by software back.

A process of its own because a camera driver may hang or crash; for the same reason the driver runs in a thread that nobody
waits for at the end. All reconnecting is here, also that for which control asks because the pictures are bad. It must not
know parts, the model or the PLC.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.core.errors import DeviceError, GatewayError
from gateway.core.frame import Frame, FrameStamp
from gateway.frames import FrameRing
from gateway.process import log_to_stderr, read_config, stop_requested
from gateway.vision.announce import Announcer
from gateway.vision.cameras import Camera, CameraConfig

READ_TIMEOUT_S = 0.2
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
SETTLED_S = 2.0
"""A camera that gave a frame, or stayed open this long, is back."""
STATUS_S = 0.5
SILENT_S = 2.0
"""A driver that does not return from a call for so long is as good as gone."""
HUNG_S = 20.0
"""And after this long the process ends, to be started afresh (three times a minute, which the supervisor allows)."""
STOP_PATIENCE_S = 2.0
MAX_COMPLAINTS = 100

log = structlog.get_logger()


class CaptureConfig(BaseModel):
    """The first line of stdin."""

    model_config = ConfigDict(extra="forbid")

    camera: CameraConfig
    ring: Path
    control_socket: Path
    """Where frames are announced (datagrams)."""
    own_socket: Path
    """Where ``trigger`` and ``reopen`` are received (datagrams); this process makes it."""


class Source:
    """The camera's loop, in a thread of its own: open, read until something breaks, close, pause, again."""

    def __init__(
        self, camera: Camera, ring: FrameRing, announcer: Announcer, *, wait: Callable[[float], object] | None = None
    ) -> None:
        """Take what it joins; ``wait`` (seconds) stands for the pauses between two attempts."""
        self._camera = camera
        self._ring = ring
        self._announcer = announcer
        self._stop = threading.Event()
        self._again = threading.Event()
        self._wait = wait or self._stop.wait
        self._pause_s = FIRST_PAUSE_S
        self._lost: bool | None = None
        self._complaints: set[str] = set()
        self.alive_at = time.monotonic()
        """When the driver last returned from a call (monotonic, s)."""

    def stop(self) -> None:
        """Ask :meth:`run` to end after the present call into the driver."""
        self._stop.set()

    def reopen(self) -> None:
        """Ask :meth:`run` to close the camera after the present call into the driver and to open it again."""
        self._again.set()

    def run(self) -> None:
        """Run until stopped. Any error that is not a device's or a picture's is a bug, and ends the process."""
        while not self._stop.is_set():
            try:
                self._again.clear()
                self._camera.open()
                self._take()
            except DeviceError as error:
                self._announcer.status(False)
                if self._lost is not True:
                    self._lost = True
                    log.warning("camera lost", error=str(error))
            finally:
                self._camera.close()
            self.alive_at = time.monotonic()
            self._wait(self._pause_s)
            self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)

    def _take(self) -> None:
        opened_at = time.monotonic()
        while not self._stop.is_set():
            self.alive_at = time.monotonic()
            if self._again.is_set():
                self._announcer.status(False)
                self._lost = True
                log.warning("camera is closed and opened again: control cannot rely on its pictures")
                return
            frame: Frame | None = None
            try:
                frame = self._camera.read(READ_TIMEOUT_S)
                if frame is not None:
                    self._put(frame)
            except DeviceError:
                raise
            except GatewayError as error:
                # This picture is lost, the camera is not: it must stay up, or a line that waits for it would never trigger it.
                self._complain(str(error))
            # Only now: a device that opens but cannot be read does not come up and go down for ever.
            self._announcer.status(True)
            if frame is not None or time.monotonic() - opened_at > SETTLED_S:
                self._settle()

    def _put(self, frame: Frame) -> None:
        slot, generation = self._ring.write(frame.image)
        height, width, channels = frame.image.shape
        stamp = FrameStamp(
            camera=frame.camera,
            frame_counter=frame.frame_counter,
            t_exposed_ns=frame.t_exposed_ns,
            t_available_ns=time.monotonic_ns(),
            encoder=frame.encoder,
            slot=slot,
            generation=generation,
            height=height,
            width=width,
            channels=channels,
        )
        self._announcer.stamp(stamp)

    def _settle(self) -> None:
        self._pause_s = FIRST_PAUSE_S
        if self._lost is not False:
            log.info("camera is there", again=self._lost is True)
            self._lost = False

    def _complain(self, error: str) -> None:
        """Log each different complaint once: a folder shows the same damaged file again and again."""
        if error not in self._complaints and len(self._complaints) < MAX_COMPLAINTS:
            self._complaints.add(error)
            log.warning("a picture is lost", error=error)


async def run(config: CaptureConfig) -> int:
    """Run one camera until stdin ends; return the exit status."""
    stop = stop_requested()
    camera = config.camera.build()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    with (
        contextlib.closing(FrameRing.create(config.ring)) as ring,
        contextlib.closing(Announcer(config.camera.name, config.control_socket)) as announcer,
        contextlib.closing(_socket(config.own_socket)) as triggers,
    ):
        source = Source(camera, ring, announcer)

        def work() -> None:
            try:
                source.run()
            finally:
                loop.call_soon_threadsafe(ended.set)

        # In a copy of this context, so that its log lines carry the same names.
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="camera", daemon=True)
        loop.add_reader(triggers.fileno(), _take_words, triggers, {b"trigger": camera.trigger, b"reopen": source.reopen})
        print('{"event":"ready"}', flush=True)
        thread.start()
        try:
            return await _watch(stop, ended, source, announcer)
        finally:
            loop.remove_reader(triggers.fileno())
            source.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_PATIENCE_S):
                    await ended.wait()
            thread.join(STOP_PATIENCE_S if ended.is_set() else 0)  # it may still be saying why it fell
            if thread.is_alive():
                announcer.status(False)
                _leave(0 if stop.is_set() else 1)


async def _watch(stop: asyncio.Event, ended: asyncio.Event, source: Source, announcer: Announcer) -> int:
    """Repeat the camera's state until the end; return 0 when that was asked for."""
    waiting = [asyncio.create_task(event.wait()) for event in (stop, ended)]
    try:
        while True:
            await asyncio.wait(waiting, timeout=STATUS_S, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                return 0
            if ended.is_set():
                return 1  # the thread fell; it has said why
            silent_s = time.monotonic() - source.alive_at
            if silent_s > SILENT_S:
                announcer.status(False)
            announcer.repeat()
            if silent_s > HUNG_S:
                log.error("the camera's driver hangs: the process ends, to be started afresh", silent_s=round(silent_s))
                return 1
    finally:
        for task in waiting:
            task.cancel()


def _leave(code: int) -> None:
    """End at once: a thread that hangs in a driver would keep an orderly exit waiting for ever."""
    log.warning("the camera's driver does not return; it is left behind")
    sys.stderr.flush()
    os._exit(code)


def _socket(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(False)
    try:
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        os.chmod(path, 0o600)
    except OSError as error:
        sock.close()
        raise GatewayError(f"{path}: {error}; choose a shorter path in a folder that can be written") from None
    return sock


def _take_words(sock: socket.socket, words: Mapping[bytes, Callable[[], None]]) -> None:
    """Do what control says; what is no word of ours is ignored."""
    for _ in range(64):
        try:
            data = sock.recv(64)
        except BlockingIOError:
            return
        if (act := words.get(data)) is not None:
            act()


def main() -> int:
    """Run the process; 2 for a mistake in the configuration, 1 for anything that a restart may mend."""
    text = read_config()
    log_to_stderr(process="capture")
    try:
        config = CaptureConfig.model_validate_json(text)
    except ValidationError as error:
        log.error("configuration", error=str(error))
        return 2
    structlog.contextvars.bind_contextvars(camera=config.camera.name)
    try:
        return asyncio.run(run(config))
    except GatewayError as error:
        log.error("cannot run", error=str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
