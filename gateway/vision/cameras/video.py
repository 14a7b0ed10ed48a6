"""A video file or a video device through OpenCV. A file is played once, at its own rate; a device goes on.

OpenCV gives BGR whatever the device delivers; with one channel configured its luminance is taken, which for a grey sensor
gives back exactly what the sensor saw. It must not know what is done with the frames.
"""

from __future__ import annotations

import math
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from gateway.core.errors import DeviceProtocolError, DeviceUnavailable
from gateway.core.frame import Frame, Pixels
from gateway.vision.cameras.camera import Camera, CameraBase

DEFAULT_RATE = 25.0
"""Frames a second of a file that does not say (Hz)."""


_NOTHING: Pixels = np.empty((0, 0, 0), np.uint8)


class VideoConfig(CameraBase):
    """Pictures from a video."""

    kind: Literal["video"]
    source: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] = Field(union_mode="left_to_right")
    """A video file, a device (/dev/video0), or the number of a device."""

    def build(self) -> Camera:
        """Return the camera, closed."""
        return VideoCamera(self)


class VideoCamera:
    """Camera over cv2.VideoCapture. ``mono_ns`` and ``wait`` (for seconds) are the clock."""

    def __init__(
        self,
        config: VideoConfig,
        *,
        mono_ns: Callable[[], int] = time.monotonic_ns,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the configuration; nothing is opened."""
        self._config = config
        self._mono_ns = mono_ns
        self._wait = wait
        self._capture: Any = None
        self._taken = 0
        self._period_ns = 0
        """Time between two frames of a file; 0 for a device, which has its own pace."""
        self._next_ns = 0
        self._ended = False

    def open(self) -> None:
        """Open file or device. Raises DeviceUnavailable when it is absent, no video, or a file that was played to its end."""
        import cv2

        if self._ended:
            raise self._end()
        self.close()
        source = self._config.source
        is_file = isinstance(source, str) and self._is_file(source)
        try:
            capture = cv2.VideoCapture(source)
        except cv2.error as error:
            raise DeviceUnavailable(self._config.name, "open", f"{source}: {error.err}") from None
        if not capture.isOpened():
            capture.release()
            raise DeviceUnavailable(self._config.name, "open", f"{source} cannot be opened as a video; does a player show it?")
        self._capture = capture
        rate = capture.get(cv2.CAP_PROP_FPS)
        self._period_ns = int(1e9 / (rate if math.isfinite(rate) and 0 < rate <= 1000 else DEFAULT_RATE)) if is_file else 0
        self._next_ns = self._mono_ns()

    def trigger(self) -> None:
        """Do nothing: a video is not triggered."""

    def read(self, timeout: float) -> Frame | None:
        """Return the next frame; a device may take longer than ``timeout``, as long as its driver waits for a picture."""
        import cv2

        if self._capture is None:
            raise DeviceUnavailable(self._config.name, "read", "the camera is not open")
        if self._period_ns and not self._is_due(timeout):
            return None
        try:
            taken = self._capture.grab()
            t_exposed_ns = self._mono_ns()
            ok, image = self._capture.retrieve() if taken else (False, _NOTHING)
            if ok and self._config.channels == 1 and image.shape[2:] == (3,):
                image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        except cv2.error as error:
            raise DeviceUnavailable(self._config.name, "read", error.err) from None
        if not ok:
            if self._period_ns:
                self._ended = True
                raise self._end()
            raise DeviceUnavailable(self._config.name, "read", "the device gives no picture; check its cable")
        counter, self._taken = self._taken, self._taken + 1
        return Frame(
            camera=self._config.name,
            frame_counter=counter,
            image=self._checked(image),
            t_exposed_ns=t_exposed_ns,
            encoder=None,
        )

    def close(self) -> None:
        """Release the video."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _is_file(self, source: str) -> bool:
        try:
            mode = Path(source).stat().st_mode
        except OSError as error:
            raise DeviceUnavailable(
                self._config.name, "open", f"{source}: {error.strerror}; set source to a video file or a device"
            ) from None
        if stat.S_ISREG(mode) or stat.S_ISCHR(mode):
            return stat.S_ISREG(mode)
        raise DeviceUnavailable(self._config.name, "open", f"{source} is neither a file nor a video device")

    def _is_due(self, timeout: float) -> bool:
        early_ns = self._next_ns - self._mono_ns()
        if early_ns > 0:
            self._wait(min(early_ns / 1e9, timeout))
            if self._mono_ns() < self._next_ns:
                return False
        # A reader that fell behind by more than a frame goes on from now: no burst.
        self._next_ns = max(self._next_ns, self._mono_ns() - self._period_ns) + self._period_ns
        return True

    def _checked(self, image: Pixels) -> Pixels:
        if image.ndim == 2:
            image = image[:, :, np.newaxis]
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != self._config.channels:
            got, want = f"{image.dtype}{list(image.shape)}", f"uint8[H, W, {self._config.channels}]"
            raise DeviceProtocolError(self._config.name, "read", f"the video gives {got}, not {want}; set channels")
        return image

    def _end(self) -> DeviceUnavailable:
        message = f"{self._config.source} has ended after {self._taken} frames; start the gateway again to play it again"
        return DeviceUnavailable(self._config.name, "read", message)
