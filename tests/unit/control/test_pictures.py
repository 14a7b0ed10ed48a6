"""Pictures that cannot be relied upon: by their frame counter, and how many of them have a camera opened anew."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gateway.control.pictures import BAD_IN_A_ROW, KEPT, REOPEN_PAUSE_NS, PictureWatch
from gateway.core.frame import FrameStamp


@dataclass(slots=True)
class Stand:
    now_ns: int = 0
    asked: list[str] = field(default_factory=list)
    generation: int = 0
    watch: PictureWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = PictureWatch(self.ask, mono_ns=lambda: self.now_ns)

    def ask(self, camera: str, why: str) -> None:
        assert why == "the picture is blank"
        self.asked.append(camera)

    def frame(self, counter: int, camera: str = "top") -> FrameStamp:
        self.generation += 2
        stamp = FrameStamp(
            camera=camera,
            frame_counter=counter,
            t_exposed_ns=0,
            t_available_ns=self.generation,
            encoder=0,
            slot=0,
            generation=self.generation,
            height=8,
            width=8,
            channels=1,
        )
        self.watch.came(stamp)
        return stamp

    def bad(self, counter: int, camera: str = "top") -> None:
        self.watch.saw(self.frame(counter, camera), "the picture is blank")


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_counters_that_go_up_are_believed_whatever_they_leave_out(stand: Stand) -> None:
    assert [stand.watch.doubt(stand.frame(n)) for n in (5, 6, 9, 1000)] == [""] * 4
    assert stand.watch.doubt(stand.frame(1, "side")) == "", "each camera counts for itself"


@pytest.mark.parametrize("second", [7, 6, 0])
def test_a_counter_that_stands_still_or_goes_back_is_doubted_once(stand: Stand, second: int) -> None:
    first = stand.frame(7)
    doubted = stand.frame(second)
    assert "camera top stands still or went back" in stand.watch.doubt(doubted)
    assert stand.watch.doubt(first) == ""
    assert stand.watch.doubt(stand.frame(second + 1)) == "", "a camera that counts anew is believed from then on"


def test_a_camera_that_was_lost_counts_anew(stand: Stand) -> None:
    stand.frame(70)
    stand.watch.gone("top")
    assert stand.watch.doubt(stand.frame(0)) == ""
    stand.watch.gone("never heard of")


def test_doubts_are_bounded_and_none_is_forgotten(stand: Stand) -> None:
    good = stand.frame(1)
    other = stand.frame(1, "side")
    doubted = [stand.frame(1) for _ in range(KEPT + 5)]
    assert len(stand.watch._doubtful) == KEPT
    assert all(stand.watch.doubt(s) for s in doubted)
    assert stand.watch.doubt(good), "as old as what was forgotten"
    assert not stand.watch.doubt(other)
    assert not stand.watch.doubt(stand.frame(2))


def test_the_third_bad_picture_in_a_row_has_the_camera_opened_anew(stand: Stand) -> None:
    for n in range(BAD_IN_A_ROW - 1):
        stand.bad(n)
    stand.watch.saw(stand.frame(10), "")
    for n in range(BAD_IN_A_ROW - 1):
        stand.bad(20 + n)
        stand.bad(20 + n, "side")
    assert stand.asked == []
    stand.bad(30)
    assert stand.asked == ["top"]
    assert stand.watch.reopened == 1


def test_at_most_once_in_5_s_and_again_if_it_did_not_help(stand: Stand) -> None:
    for n in range(20):
        stand.bad(n)
    assert stand.asked == ["top"]
    stand.now_ns = REOPEN_PAUSE_NS - 1
    stand.bad(30)
    assert stand.asked == ["top"]
    stand.now_ns = REOPEN_PAUSE_NS
    stand.bad(31)
    assert stand.asked == ["top", "top"]
    assert stand.watch.reopened == 2


def test_one_picture_of_several_parts_counts_once(stand: Stand) -> None:
    frame = stand.frame(1)
    for _ in range(BAD_IN_A_ROW + 1):
        stand.watch.saw(frame, "the camera is frozen")
    assert stand.asked == []
