"""Whether a camera's pictures can be relied upon, and when its capture process is to open it anew.

A camera may be there and yet repeat itself, show nothing, or deliver old buffers. Such pictures let no part pass; three of them
in a row are an answerable fault, and the answer is to open the camera again. It must not know pixels or parts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from gateway.core.frame import FrameStamp

BAD_IN_A_ROW = 3
REOPEN_PAUSE_NS = 5_000_000_000
KEPT = 64


class PictureWatch:
    """Counts bad pictures by camera. ``reopen`` is told which camera's capture process is to be asked, and why."""

    def __init__(self, reopen: Callable[[str, str], None], *, mono_ns: Callable[[], int]) -> None:
        """Start without a doubt about any camera."""
        self._reopen = reopen
        self._mono_ns = mono_ns
        self._counters: dict[str, int] = {}
        self._doubtful: deque[FrameStamp] = deque()
        self._doubted_to_ns: dict[str, int] = {}
        self._bad: dict[str, int] = {}
        self._last_bad: dict[str, FrameStamp] = {}
        self._asked_ns: dict[str, int] = {}
        self.reopened = 0
        """How often a camera was to be opened anew."""

    def came(self, stamp: FrameStamp) -> None:
        """Take a frame in the order of its arrival: the camera's own counter must go up with each."""
        last = self._counters.get(stamp.camera)
        self._counters[stamp.camera] = stamp.frame_counter
        if last is not None and stamp.frame_counter <= last:
            self._doubtful.append(stamp)
            if len(self._doubtful) > KEPT:
                # Of frames as old as the one forgotten here none is believed any more.
                oldest = self._doubtful.popleft()
                self._doubted_to_ns[oldest.camera] = oldest.t_available_ns

    def gone(self, camera: str) -> None:
        """Take note that the camera was lost: what it counts after that is another count."""
        self._counters.pop(camera, None)

    def doubt(self, stamp: FrameStamp) -> str:
        """Return why this frame is no evidence, by its counter, or ''."""
        if stamp not in self._doubtful and stamp.t_available_ns > self._doubted_to_ns.get(stamp.camera, -1):
            return ""
        return f"the frame counter of camera {stamp.camera} stands still or went back: the picture may be an old one"

    def saw(self, stamp: FrameStamp, fault: str) -> None:
        """Take what was seen of a picture: why it is bad, '' for a good one.

        The third bad one in a row has the camera opened anew, at most once in 5 s.
        """
        camera = stamp.camera
        if not fault:
            self._bad.pop(camera, None)
            return
        if self._last_bad.get(camera) == stamp:
            return  # it shows several parts, and has been counted
        self._last_bad[camera] = stamp
        self._bad[camera] = bad = self._bad.get(camera, 0) + 1
        now_ns, asked_ns = self._mono_ns(), self._asked_ns.get(camera)
        if bad < BAD_IN_A_ROW or (asked_ns is not None and now_ns - asked_ns < REOPEN_PAUSE_NS):
            return
        self._asked_ns[camera] = now_ns
        self.reopened += 1
        self._reopen(camera, fault)
