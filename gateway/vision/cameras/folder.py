"""A folder of pictures in front of the lens: each trigger, or each period, takes the next one; after the last comes the first.

The folder's order decides what is seen. Which file it was, and hence what a folder's name says about it, stays here.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from gateway.core.errors import DeviceUnavailable
from gateway.core.frame import Frame
from gateway.vision.cameras.camera import Camera, CameraBase

MAX_TRIGGERS = 64
"""Triggers that may wait; more are lost, which the frame counter shows."""


class FolderConfig(CameraBase):
    """Pictures from files."""

    kind: Literal["folder"]
    path: Path
    """Folder of PNG, JPEG, BMP, PGM or PPM pictures, searched with its sub-folders, in the order of their paths."""
    trigger: Literal["software", "timer"] = "software"
    """software: a picture a part admitted; timer: one every ``period_ms``."""
    period_ms: float | None = Field(default=None, ge=1, le=3_600_000)
    """Time between two pictures; for ``trigger: timer`` only."""

    @model_validator(mode="after")
    def _timer_has_a_period(self) -> FolderConfig:
        if self.trigger == "timer" and self.period_ms is None:
            raise ValueError("period_ms: trigger: timer needs it; set the time between two pictures")
        if self.trigger == "software" and self.period_ms is not None:
            raise ValueError("period_ms: only for trigger: timer; remove it, or set trigger: timer")
        return self

    def build(self) -> Camera:
        """Return the camera, closed."""
        return FolderCamera(self)


class FolderCamera:
    """Camera over files. ``mono_ns`` and ``wait`` (for seconds) are the clock."""

    def __init__(
        self,
        config: FolderConfig,
        *,
        mono_ns: Callable[[], int] = time.monotonic_ns,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the configuration; nothing is opened."""
        self._config = config
        self._mono_ns = mono_ns
        self._wait = wait
        self._files: list[Path] = []
        self._shown = 0
        self._counter = 0
        self._next_ns = 0
        self._triggers: queue.Queue[tuple[int, int]] = queue.Queue(MAX_TRIGGERS)

    def open(self) -> None:
        """List the pictures. Raises DeviceUnavailable when there are none."""
        from gateway.vision.pictures import KINDS, SUFFIXES  # here, because it loads OpenCV

        folder = self._config.path
        try:
            if not folder.is_dir():
                raise DeviceUnavailable(self._config.name, "open", f"{folder} is no folder; set path to one with pictures")
            files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES)
        except OSError as error:
            raise DeviceUnavailable(self._config.name, "open", f"{folder}: {error.strerror}; check its permissions") from None
        if not files:
            raise DeviceUnavailable(self._config.name, "open", f"{folder} holds no picture; put {KINDS} files there")
        self._files = files
        self._triggers = queue.Queue(MAX_TRIGGERS)
        self._next_ns = self._mono_ns()

    def trigger(self) -> None:
        """Take the next picture now; with a timer there is nothing to trigger."""
        if self._config.trigger != "software" or not self._files:
            return
        counter, self._counter = self._counter, self._counter + 1
        with contextlib.suppress(queue.Full):
            self._triggers.put_nowait((counter, self._mono_ns()))

    def read(self, timeout: float) -> Frame | None:
        """Return the next picture; its exposure is the moment of the trigger or tick, not of its decoding."""
        from gateway.vision.pictures import read_picture

        if not self._files:
            raise DeviceUnavailable(self._config.name, "read", "the camera is not open")
        taken = self._timer(timeout) if self._config.period_ms is not None else self._software(timeout)
        if taken is None:
            return None
        counter, t_exposed_ns = taken
        file = self._files[self._shown % len(self._files)]
        self._shown += 1
        return Frame(
            camera=self._config.name,
            frame_counter=counter,
            image=read_picture(file, self._config.channels),
            t_exposed_ns=t_exposed_ns,
            encoder=None,
        )

    def close(self) -> None:
        """Forget the list of pictures; the counter and the place in the folder are kept."""
        self._files = []

    def _software(self, timeout: float) -> tuple[int, int] | None:
        try:
            return self._triggers.get(timeout=timeout)
        except queue.Empty:
            return None

    def _timer(self, timeout: float) -> tuple[int, int] | None:
        period_ns = int((self._config.period_ms or 0) * 1e6)
        now = self._mono_ns()
        if (early_ns := self._next_ns - now) > 0:
            self._wait(min(early_ns / 1e9, timeout))
            now = self._mono_ns()
            if now < self._next_ns:
                return None
        # Ticks that nobody read for are pictures that were not taken: the counter shows them, no burst makes up for them.
        missed = (now - self._next_ns) // period_ns
        counter, t_exposed_ns = self._counter + missed, self._next_ns + missed * period_ns
        self._counter, self._next_ns = counter + 1, t_exposed_ns + period_ns
        return counter, t_exposed_ns
