"""What the tests of the tracker share: one line's configuration, frames and rings, and what effects say."""

from __future__ import annotations

from gateway.core.frame import FrameStamp
from gateway.core.inspection import Inspection
from gateway.core.lifecycle import Inspect, Reject
from gateway.core.part import Part
from gateway.core.tracker import Effect, Tracker, TrackerConfig

MS = 1_000_000
GOOD = {"label": "good"}
CONFIG = TrackerConfig(cameras=(("cam1", 500),), window=100, deadline_ns=150 * MS, frame_wait_ns=500 * MS)


def stamp(encoder: int | None, counter: int = 1, t_ms: float = 0, camera: str = "cam1") -> FrameStamp:
    return FrameStamp(
        camera=camera,
        frame_counter=counter,
        t_exposed_ns=int(t_ms * MS),
        t_available_ns=int(t_ms * MS),
        encoder=None if encoder is None else encoder % (1 << 32),
        slot=0,
        generation=2,
        height=8,
        width=8,
        channels=1,
    )


def ring_with(*entries: tuple[int, int]) -> list[tuple[int, int]]:
    ring = [(0, 0)] * 8
    for part_id, encoder in entries:
        ring[part_id % 8] = (part_id, encoder)
    return ring


def inspecting(effects: list[Effect]) -> Part:
    """Return the one part that is to be inspected."""
    [part] = [e.part for e in effects if isinstance(e, Inspect)]
    return part


def answer(part: Part, label: str = "good") -> Inspection:
    return Inspection(part_id=part.part_id, label=label)


def rejected(effects: list[Effect]) -> list[int]:
    return [e.part.part_id for e in effects if isinstance(e, Reject)]


def started(config: TrackerConfig = CONFIG, head: int = 10) -> Tracker:
    tracker = Tracker(config)
    assert tracker.baseline(head, 0) == []
    return tracker


TIMED = TrackerConfig(
    cameras=(("cam1", 20 * MS),),
    by="time",
    window=20 * MS,
    deadline_ns=150 * MS,
    frame_wait_ns=500 * MS,
    trigger_lag_ns=10 * MS,
)
TWO_UP = TrackerConfig(cameras=(("cam1", 0),), positions=2, window=10, deadline_ns=150 * MS, frame_wait_ns=500 * MS)
TWO_VIEWS = TrackerConfig(cameras=(("a", 0), ("b", 50)), window=10, deadline_ns=150 * MS, frame_wait_ns=500 * MS)
