"""How far a frame lies from a part and from another frame, and the frames of the last moments.

Apart from the tracker because it is plain geometry on the encoder circle or the time line. Knows no part's state and gives no
verdict.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal

from gateway.core.frame import FrameStamp
from gateway.core.part import Trigger, View, encoder_delta

By = Literal["encoder", "time"]
NEVER = 1 << 62
"""Farther than any window: a frame without an encoder latch has no place on the belt."""
KEEP_FRAMES = 64


def exposure_distance(by: By, trigger: Trigger, view: View, stamp: FrameStamp) -> int:
    """Return how far the exposure lies from where this view of the part should be: counts, or ns when binding by time."""
    if by == "time":
        return abs(stamp.t_exposed_ns - trigger.t_mono_ns - view.offset)
    return NEVER if stamp.encoder is None else abs(encoder_delta(stamp.encoder, trigger.encoder + view.offset))


def frame_distance(by: By, a: FrameStamp, b: FrameStamp) -> int:
    """Return how far two exposures lie apart: counts, or ns when binding by time."""
    if by == "time":
        return abs(a.t_exposed_ns - b.t_exposed_ns)
    return NEVER if a.encoder is None or b.encoder is None else abs(encoder_delta(a.encoder, b.encoder))


class Arrivals:
    """The frames that came lately, by camera, each with whether it was within some part's window."""

    def __init__(self, cameras: Iterable[str], keep_ns: int) -> None:
        """Keep frames for ``keep_ns`` after they became available, at most KEEP_FRAMES a camera."""
        self._keep_ns = keep_ns
        self._frames: dict[str, deque[tuple[FrameStamp, bool]]] = {c: deque() for c in cameras}
        self.orphans = 0
        """Frames that went without ever being within a part's window."""

    def add(self, stamp: FrameStamp, *, used: bool) -> None:
        """Take a frame; the oldest of a full camera goes."""
        frames = self._frames[stamp.camera]
        frames.append((stamp, used))
        if len(frames) > KEEP_FRAMES:
            self._drop_first(frames)

    def remove(self, stamp: FrameStamp) -> None:
        """Take back an unused frame that is about to be placed anew."""
        self._frames[stamp.camera].remove((stamp, False))

    def of(self, camera: str) -> list[tuple[FrameStamp, bool]]:
        """Return the camera's frames, oldest first; KeyError for a camera that the line does not have."""
        return list(self._frames[camera])

    def cameras(self) -> tuple[str, ...]:
        """Return the cameras."""
        return tuple(self._frames)

    def forget_old(self, now_ns: int) -> None:
        """Drop what is too old to show a part that has only now been triggered."""
        for frames in self._frames.values():
            while frames and now_ns - frames[0][0].t_available_ns > self._keep_ns:
                self._drop_first(frames)

    def clear(self) -> None:
        """Drop everything."""
        for frames in self._frames.values():
            while frames:
                self._drop_first(frames)

    def _drop_first(self, frames: deque[tuple[FrameStamp, bool]]) -> None:
        _, used = frames.popleft()
        self.orphans += not used
