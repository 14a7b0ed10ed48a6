"""How far a frame lies from a part, and which frames are still remembered."""

from __future__ import annotations

import pytest

from gateway.core.binding import KEEP_FRAMES, NEVER, Arrivals, exposure_distance, frame_distance
from gateway.core.frame import FrameStamp
from gateway.core.part import Trigger, View

TURN = 1 << 32


def stamp(encoder: int | None = 0, t: int = 0, camera: str = "a", counter: int = 1) -> FrameStamp:
    return FrameStamp(
        camera=camera,
        frame_counter=counter,
        t_exposed_ns=t,
        t_available_ns=t,
        encoder=encoder,
        slot=0,
        generation=2,
        height=8,
        width=8,
        channels=1,
    )


@pytest.mark.parametrize(
    ("encoder", "trigger", "offset", "distance"),
    [(1500, 1000, 500, 0), (1510, 1000, 500, 10), (1490, 1000, 500, 10), (20, TURN - 480, 490, 10), (TURN - 5, 0, 0, 5)],
)
def test_by_encoder_the_distance_is_on_the_encoder_circle(encoder: int, trigger: int, offset: int, distance: int) -> None:
    at = Trigger(part_id=1, encoder=trigger, t_mono_ns=99)
    assert exposure_distance("encoder", at, View(camera="a", offset=offset), stamp(encoder)) == distance


@pytest.mark.parametrize(("t", "distance"), [(1500, 0), (1530, 30), (1480, 20)])
def test_by_time_the_distance_is_on_the_clock_and_the_encoder_says_nothing(t: int, distance: int) -> None:
    at = Trigger(part_id=1, encoder=77, t_mono_ns=1000)
    view = View(camera="a", offset=500)
    assert exposure_distance("time", at, view, stamp(None, t=t)) == distance
    assert frame_distance("time", stamp(None, t=t), stamp(5, t=1500)) == distance
    assert frame_distance("time", stamp(5, t=1500), stamp(None, t=t)) == distance


def test_a_frame_without_an_encoder_latch_is_near_nothing() -> None:
    assert exposure_distance("encoder", Trigger(part_id=1, encoder=0, t_mono_ns=0), View(camera="a"), stamp(None)) == NEVER
    assert frame_distance("encoder", stamp(None), stamp(0)) == NEVER
    assert frame_distance("encoder", stamp(0), stamp(None)) == NEVER
    assert frame_distance("encoder", stamp(10), stamp(TURN - 10)) == 20
    assert NEVER > TURN * 1000  # a window is in counts, or in ns: an hour has 3.6e12


def counters(arrivals: Arrivals, camera: str = "a") -> list[int]:
    return [a.stamp.frame_counter for a in arrivals.of(camera)]


def test_a_full_camera_forgets_its_oldest_frame() -> None:
    assert KEEP_FRAMES == 64  # a second at 60 pictures/s, the longest that one is waited for
    arrivals = Arrivals(["a", "b"], keep_ns=1000)
    for counter in range(KEEP_FRAMES + 1):
        arrivals.add(stamp(counter=counter))
    assert counters(arrivals) == list(range(1, KEEP_FRAMES + 1))
    assert counters(arrivals, "b") == []


def test_frames_are_forgotten_when_they_are_older_than_any_part_that_may_still_be_triggered() -> None:
    arrivals = Arrivals(["a", "b"], keep_ns=1000)
    arrivals.add(stamp(t=0))
    arrivals.add(stamp(t=0, camera="b"))
    arrivals.add(stamp(t=500, counter=2))
    arrivals.forget_old(1000)
    assert (counters(arrivals), counters(arrivals, "b")) == ([1, 2], [1])
    arrivals.forget_old(1001)
    assert (counters(arrivals), counters(arrivals, "b")) == ([2], [])


def test_clearing_forgets_the_frames_of_every_camera_but_no_camera() -> None:
    arrivals = Arrivals(["a", "b"], keep_ns=1000)
    arrivals.add(stamp())
    arrivals.add(stamp(camera="b"))
    arrivals.clear()
    assert arrivals.of("a") == arrivals.of("b") == ()


def test_a_new_frame_is_evidence_for_no_part_yet() -> None:
    arrivals = Arrivals(["a"], keep_ns=1000)
    first, second = arrivals.add(stamp()), arrivals.add(stamp())
    first.used = True
    assert [a.used for a in arrivals.of("a")] == [True, False]
    assert arrivals.of("a") == (first, second)


def test_a_camera_that_the_line_does_not_have_is_a_bug() -> None:
    with pytest.raises(KeyError):
        Arrivals(["a"], keep_ns=1000).add(stamp(camera="b"))
