"""How far a frame lies from a part and from another frame, and the frames of the last moments.

Apart from the tracker because it is plain geometry on the encoder circle or the time line. Knows no part's state and gives no
verdict.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
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
    if stamp.encoder is None or trigger.encoder is None:
        return NEVER
    return abs(encoder_delta(stamp.encoder, trigger.encoder + view.offset))


def frame_distance(by: By, a: FrameStamp, b: FrameStamp) -> int:
    """Return how far two exposures lie apart: counts, or ns when binding by time."""
    if by == "time":
        return abs(a.t_exposed_ns - b.t_exposed_ns)
    return NEVER if a.encoder is None or b.encoder is None else abs(encoder_delta(a.encoder, b.encoder))


@dataclass(slots=True, eq=False)
class Arrival:
    """A frame that came lately."""

    stamp: FrameStamp
    used: bool = False
    """Whether it lay within the window of as many parts as a picture shows: it is evidence for no other part any more."""


class Arrivals:
    """The frames that came lately, by camera."""

    def __init__(self, cameras: Iterable[str], keep_ns: int) -> None:
        """Keep frames for ``keep_ns`` after they became available, at most KEEP_FRAMES a camera."""
        self._keep_ns = keep_ns
        self._frames: dict[str, deque[Arrival]] = {c: deque(maxlen=KEEP_FRAMES) for c in cameras}

    def add(self, stamp: FrameStamp) -> Arrival:
        """Take a frame; the oldest of a full camera goes. KeyError for a camera that the line does not have."""
        arrival = Arrival(stamp)
        self._frames[stamp.camera].append(arrival)
        return arrival

    def of(self, camera: str) -> tuple[Arrival, ...]:
        """Return the camera's frames, oldest first."""
        return tuple(self._frames[camera])

    def forget_old(self, now_ns: int) -> None:
        """Drop what is too old to show a part that has only now been triggered."""
        for frames in self._frames.values():
            while frames and now_ns - frames[0].stamp.t_available_ns > self._keep_ns:
                frames.popleft()

    def clear(self) -> None:
        """Drop everything."""
        for frames in self._frames.values():
            frames.clear()
