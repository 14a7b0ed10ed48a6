"""The tracker at its edges: the last count of a window, the last nanosecond of a deadline, and all that an effect carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.core.errors import PartIdJump
from gateway.core.handshake import Outcome
from gateway.core.lifecycle import Closed, Doubt, Inspect, Judge, Reject
from gateway.core.part import Part, Trigger, View
from gateway.core.tracker import MAX_OPEN, Effect, Tracker, TrackerConfig
from gateway.core.verdict import Disposition, Verdict
from tests.unit.core.tracker_stand import (
    CONFIG,
    MS,
    TIMED,
    TWO_UP,
    TWO_VIEWS,
    answer,
    inspecting,
    rejected,
    ring_with,
    stamp,
    started,
)

MINUTES_2 = 120_000 * MS


def waiting(t_ns: int = 0) -> Tracker:
    """Return a tracker with part 11, whose frame belongs at 1500."""
    tracker = started()
    assert tracker.poll(11, ring_with((11, 1000)), t_ns) == []
    return tracker


def bound() -> tuple[Tracker, Part]:
    """Return a tracker with part 11 being inspected, due at 150 ms."""
    tracker = waiting()
    return tracker, inspecting(tracker.frame(stamp(1500), 0))


def reasons(effects: list[Effect]) -> list[str]:
    return [e.verdict.reasons[0] for e in effects if isinstance(e, Reject)]


# -- places ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoder", "fits"), [(1399, False), (1400, True), (1500, True), (1600, True), (1601, False)])
@pytest.mark.parametrize("frame_first", [False, True])
def test_the_window_s_last_count_is_inside(encoder: int, fits: bool, frame_first: bool) -> None:
    tracker = started()
    effects = tracker.frame(stamp(encoder), 0) if frame_first else []
    effects += tracker.poll(11, ring_with((11, 1000)), 0)
    effects += [] if frame_first else tracker.frame(stamp(encoder), 0)
    assert any(isinstance(e, Inspect) for e in effects) is fits


@pytest.mark.parametrize(
    ("second", "gone"), [(1101, []), (1100, [11, 12]), (1000, [11, 12]), (900, [11, 12]), (899, [12])], ids=str
)
def test_two_triggers_are_too_close_up_to_the_window_s_last_count(second: int, gone: list[int]) -> None:
    """Farther back than the window it is no second trigger at one place, but no place at all."""
    tracker = waiting()
    assert rejected(tracker.poll(12, ring_with((11, 1000), (12, second)), 0)) == gone


@pytest.mark.parametrize(("first", "alone"), [(1600 + 1, False), (1600 + 2, True)])
def test_two_frames_are_rivals_up_to_the_window_s_last_count(first: int, alone: bool) -> None:
    """The first one shows nothing that was triggered, the second fits part 11."""
    tracker = waiting()
    assert tracker.frame(stamp(first, 1), 0) == []
    effects = tracker.frame(stamp(1501, 2), 0)
    assert rejected(effects) == ([] if alone else [11])


def test_frames_of_two_cameras_are_no_rivals() -> None:
    tracker = started(replace(TWO_VIEWS, cameras=(("a", 0), ("b", 0))))
    tracker.poll(11, ring_with((11, 1000)), 0)
    tracker.frame(stamp(1000, camera="b"), 0)
    assert inspecting(tracker.frame(stamp(1000, camera="a"), 0)).part_id == 11


def test_frames_of_both_cameras_may_come_before_the_trigger() -> None:
    tracker = started(TWO_VIEWS)
    b, a = stamp(1050, camera="b"), stamp(1000, camera="a")
    assert tracker.frame(b, 0) == tracker.frame(a, 0) == []
    [inspect] = tracker.poll(11, ring_with((11, 1000)), 0)
    assert isinstance(inspect, Inspect)
    assert inspect.stamps == (a, b)


@pytest.mark.parametrize(("frame_ms", "fits"), [(99, False), (100, True), (140, True), (141, False)])
def test_by_time_the_window_lies_around_the_trigger_as_it_was_seen(frame_ms: int, fits: bool) -> None:
    tracker = started(TIMED)
    assert tracker.poll(11, ring_with((11, 1000)), 100 * MS, since_ns=90 * MS) == []
    effects = tracker.frame(stamp(None, t_ms=frame_ms), 150 * MS)
    assert any(isinstance(e, Inspect) for e in effects) is fits


def test_by_time_two_triggers_in_one_read_wait_for_their_frame_and_get_none() -> None:
    """The encoder says nothing there, so only the frame shows that they cannot be told apart."""
    tracker = started(TIMED)
    assert tracker.poll(12, ring_with((11, 1000), (12, 1000)), 100 * MS, since_ns=95 * MS) == []
    assert rejected(tracker.frame(stamp(0, t_ms=120), 121 * MS)) == [11, 12]


def test_by_time_a_part_without_a_time_leaves_the_frame_to_its_neighbour() -> None:
    tracker = started(TIMED)
    assert rejected(tracker.poll(11, ring_with((11, 1000)), 100 * MS)) == [11]
    tracker.poll(12, ring_with((12, 2000)), 105 * MS, since_ns=100 * MS)
    assert inspecting(tracker.frame(stamp(0, t_ms=125), 126 * MS)).part_id == 12


def test_a_slot_read_while_the_plc_writes_it_gives_its_part_no_place() -> None:
    """It shows the new id beside the encoder of the part eight before, whose picture is not lent to the new part."""
    tracker = started(head=0)
    for head in range(1, 9):
        tracker.poll(head, ring_with((head, 1000 * head)), 0)
    effects = tracker.poll(9, ring_with((9, 1000)), 0)
    assert (rejected(effects), reasons(effects)) == ([9], ["its encoder lies behind that of the part before it"])
    assert [e.part.trigger.encoder for e in effects if isinstance(e, Reject)] == [None]
    assert inspecting(tracker.frame(stamp(1500), 0)).part_id == 1
    assert inspecting(tracker.poll(10, ring_with((10, 9500)), 0) + tracker.frame(stamp(10_000), 0)).part_id == 10


def test_an_encoder_that_was_set_anew_is_believed_after_two_rings_of_parts() -> None:
    tracker = started(head=0)
    tracker.poll(1, ring_with((1, 900_000)), 0)
    for head in range(2, 2 + 16):
        assert rejected(tracker.poll(head, ring_with((head, 1000 * head)), 0)) == [head]
    assert tracker.poll(18, ring_with((18, 18_000)), 0) == []
    assert rejected(tracker.poll(19, ring_with((19, 2000)), 0)) == [19]
    assert tracker.poll(20, ring_with((20, 20_000)), 0) == []


def test_an_encoder_that_counts_down_is_followed_after_two_rings_of_parts() -> None:
    tracker = started(head=0)
    tracker.poll(1, ring_with((1, 900_000)), 0)
    for head in range(2, 2 + 16):
        assert rejected(tracker.poll(head, ring_with((head, 900_000 - 1000 * head)), 0)) == [head]
    for head in range(18, 60):
        assert tracker.poll(head, ring_with((head, 900_000 - 1000 * head)), 0) == []
        assert inspecting(tracker.frame(stamp(900_000 - 1000 * head + 500), 0)).part_id == head
    for head in range(60, 76):
        assert rejected(tracker.poll(head, ring_with((head, 900_000 + 1000 * head)), 0)) == [head], "wired the right way again"
    assert tracker.poll(76, ring_with((76, 976_000)), 0) == []
    assert tracker.poll(77, ring_with((77, 977_000)), 0) == []


def test_one_place_that_does_not_fall_is_no_encoder_that_counts_down() -> None:
    tracker = started(head=0)
    tracker.poll(1, ring_with((1, 900_000)), 0)
    places = [900_000 - 1000 * head for head in range(2, 19)]
    places[9] = places[8]
    for head, place in enumerate(places, start=2):
        tracker.poll(head, ring_with((head, place)), 0)
    assert tracker.poll(19, ring_with((19, places[-1] + 1000)), 0) == []
    assert rejected(tracker.poll(20, ring_with((20, places[-1] - 1000)), 0)) == [20]


def test_parts_behind_are_counted_anew_once_one_came_in_its_order() -> None:
    tracker = started(head=0)
    tracker.poll(1, ring_with((1, 900_000)), 0)
    for head in range(2, 30):
        in_order = head == 15
        effects = tracker.poll(head, ring_with((head, 900_200 if in_order else 1000 * head)), 0)
        assert rejected(effects) == ([] if in_order else [head])


@pytest.mark.parametrize(("encoder", "gone"), [(None, []), (1000, []), (1100, []), (1101, [11])])
def test_the_baseline_s_place_is_the_first_that_a_part_can_lie_behind(encoder: int | None, gone: list[int]) -> None:
    tracker = Tracker(CONFIG)
    assert tracker.baseline(10, 0, encoder=encoder) == []
    assert rejected(tracker.poll(11, ring_with((11, 1000)), 0)) == gone


def test_a_restarted_plc_may_begin_its_encoder_anew() -> None:
    tracker = waiting()
    tracker.void("the PLC was restarted")
    tracker.baseline(0, 0)
    assert tracker.poll(1, ring_with((1, 0)), 0) == []


@pytest.mark.parametrize(("gap", "restart"), [(1, False), (1024, False), (1025, True)])
def test_the_largest_gap_that_is_no_restart(gap: int, restart: bool) -> None:
    for reconnect in (False, True):
        tracker = started(head=10)
        if restart:
            with pytest.raises(PartIdJump):
                tracker.baseline(10 + gap, 0) if reconnect else tracker.poll(10 + gap, ring_with(), 0)
            assert tracker.admitted == 0
        else:
            effects = tracker.baseline(10 + gap, 0) if reconnect else tracker.poll(10 + gap, ring_with(), 0)
            assert rejected(effects) == list(range(11, 11 + gap))
            assert tracker.admitted == gap


def test_what_was_exposed_before_a_reconnect_still_shows_the_part_triggered_after_it() -> None:
    tracker = started(head=10)
    tracker.frame(stamp(1500), 0)
    assert tracker.baseline(10, MS) == []
    assert inspecting(tracker.poll(11, ring_with((11, 1000)), 2 * MS)).part_id == 11


# -- pictures of several parts, frames of parts that are gone --------------------------------------------------------------


def test_a_two_up_picture_before_both_its_triggers_shows_both() -> None:
    tracker = started(TWO_UP)
    tracker.frame(stamp(1000), 0)
    effects = tracker.poll(12, ring_with((11, 1000), (12, 1000)), 0)
    assert [(e.part.part_id, e.part.views[0].position) for e in effects if isinstance(e, Inspect)] == [(11, 0), (12, 1)]
    assert rejected(effects) == []


def test_two_groups_within_the_window_reject_each_other() -> None:
    tracker = started(TWO_UP)
    tracker.poll(12, ring_with((11, 1000), (12, 1000)), 0)
    effects = tracker.poll(14, ring_with((13, 1008), (14, 1008)), 0)
    assert rejected(effects) == [11, 12, 13, 14]


def test_the_next_group_begins_again_at_position_0() -> None:
    tracker = started(TWO_UP)
    tracker.poll(12, ring_with((11, 1000), (12, 1000)), 0)
    tracker.poll(14, ring_with((13, 2000), (14, 2000)), 0)
    effects = tracker.frame(stamp(2000), 0)
    assert [(e.part.part_id, e.part.views[0].position) for e in effects if isinstance(e, Inspect)] == [(13, 0), (14, 1)]


@pytest.mark.parametrize("gone", [11, 12])
def test_two_of_three_parts_at_one_place_of_a_two_up_picture_are_no_group(gone: int) -> None:
    """The third was a bounce, or one of them was: which two the picture shows is not certain, whichever has left."""
    tracker = started(TWO_UP)
    tracker.poll(13, ring_with((11, 1000), (12, 1000), (13, 1000)), 0)
    tracker.outcomes([(gone, 2)])
    effects = tracker.frame(stamp(1000), 0)
    assert not any(isinstance(e, Inspect) for e in effects)


def test_a_part_whose_encoder_value_is_another_s_has_no_position_in_its_picture() -> None:
    """The slot of the overwritten part 10 holds 18's encoder value: it is no third part at that place."""
    tracker = started(TWO_UP, head=9)
    ring = ring_with(*((i, 1000 * (i // 2)) for i in range(11, 19)))
    assert rejected(tracker.poll(18, ring, 0)) == [10]
    tracker.poll(19, ring_with((19, 9000)), 0)
    assert [e.part.part_id for e in tracker.frame(stamp(9000), 0) if isinstance(e, Inspect)] == [18, 19]


@pytest.mark.parametrize("frames", [(("a", 992), ("a", 1008), ("b", 1042)), (("a", 991), ("a", 993), ("b", 1058))])
def test_the_frames_of_a_rejected_part_that_is_gone_are_not_lent_to_the_next_one(frames: tuple[tuple[str, int], ...]) -> None:
    """Part 12 lies where one of them, of either camera, would fit it."""
    tracker = started(TWO_VIEWS)
    for counter, (camera, encoder) in enumerate(frames):
        tracker.frame(stamp(encoder, counter, camera=camera), 0)
    effects = tracker.poll(11, ring_with((11, 1000)), 0)
    assert rejected(effects) == [11]
    assert not any(isinstance(e, Doubt) for e in effects)
    tracker.outcomes([(11, 2)])
    assert rejected(tracker.poll(12, ring_with((12, 1016)), 0)) == [12]


def test_a_frame_is_remembered_as_long_as_a_part_may_wait_for_it() -> None:
    for late_ns in (0, 1):
        tracker = started()
        tracker.frame(stamp(1500, t_ms=1), MS)
        effects = tracker.poll(11, ring_with((11, 1000)), 651 * MS + late_ns)
        assert any(isinstance(e, Inspect) for e in effects) is (late_ns == 0)


def test_a_frame_that_is_forgotten_is_no_rival_any_more() -> None:
    tracker = started()
    tracker.frame(stamp(1650, 1, t_ms=1), MS)
    tracker.poll(11, ring_with((11, 1000)), 300 * MS)
    assert inspecting(tracker.frame(stamp(1560, 2, t_ms=652), 652 * MS)).part_id == 11


def test_a_second_picture_is_no_evidence_even_when_the_first_is_forgotten() -> None:
    tracker = started(TWO_VIEWS)
    tracker.frame(stamp(1000, 1, camera="a"), 0)
    tracker.poll(11, ring_with((11, 1000)), 600 * MS)
    assert rejected(tracker.frame(stamp(1000, 2, t_ms=700, camera="a"), 700 * MS)) == [11]


# -- times ----------------------------------------------------------------------------------------------------------------


def test_an_answer_is_in_time_at_the_deadline_and_not_a_nanosecond_later() -> None:
    tracker, part = bound()
    assert part.due_mono_ns == 150 * MS
    assert isinstance(tracker.inspected(part, answer(part), 150 * MS)[0], Judge)
    tracker, part = bound()
    assert reasons(tracker.inspected(part, answer(part), 150 * MS + 1)) == ["the inspection ended after the deadline"]


def test_a_part_waits_for_its_inspection_up_to_the_deadline() -> None:
    tracker, _ = bound()
    assert tracker.tick(150 * MS) == []
    [reject] = tracker.tick(150 * MS + 1)
    assert isinstance(reject, Reject)
    assert (reject.late, reject.send) == (True, True)
    assert reasons([reject]) == ["the inspection is not back at the deadline"]


def test_a_part_waits_for_its_frame_as_long_as_one_may_come_and_be_inspected() -> None:
    tracker = waiting(7 * MS)
    assert tracker.tick(657 * MS) == []
    [reject] = tracker.tick(657 * MS + 1)
    assert isinstance(reject, Reject)
    assert (reject.late, reject.send) == (False, True)  # that no picture came says nothing of the engine
    assert reasons([reject]) == ["no frame came"]


def test_an_outcome_is_waited_for_two_minutes_from_the_trigger() -> None:
    tracker = waiting(7 * MS)
    tracker.fault(11, "no camera")
    assert tracker.tick(7 * MS + MINUTES_2) == []
    assert tracker.tick(7 * MS + MINUTES_2 + 1) == [Closed(part_id=11, outcome=None)]


def test_the_deadline_counts_from_the_last_of_trigger_and_frames() -> None:
    tracker = started(TWO_VIEWS)
    tracker.frame(stamp(1050, t_ms=9, camera="b"), 10 * MS)
    tracker.poll(11, ring_with((11, 1000)), 12 * MS)
    assert inspecting(tracker.frame(stamp(1000, t_ms=5, camera="a"), 13 * MS)).due_mono_ns == 162 * MS
    tracker.poll(12, ring_with((12, 2000)), 20 * MS)
    tracker.frame(stamp(2050, 2, t_ms=30, camera="b"), 31 * MS)
    assert inspecting(tracker.frame(stamp(2000, 2, t_ms=25, camera="a"), 33 * MS)).due_mono_ns == 180 * MS


@pytest.mark.parametrize(("since_ms", "placed"), [(90, True), (89, False)])
def test_by_time_the_read_and_the_plc_s_scan_may_take_a_window_in_all(since_ms: int, placed: bool) -> None:
    tracker = started(TIMED)
    effects = tracker.poll(11, ring_with((11, 1000)), 100 * MS, since_ns=since_ms * MS)
    assert rejected(effects) == ([] if placed else [11])


def test_by_time_a_line_whose_plc_shows_triggers_at_once_needs_no_lag() -> None:
    tracker = started(TrackerConfig(cameras=(("cam1", 0),), by="time", window=10, deadline_ns=100, frame_wait_ns=100))
    assert tracker.poll(11, ring_with((11, 0)), 10, since_ns=0) == []


def test_by_time_a_plc_without_an_encoder_has_every_part_inspected() -> None:
    tracker = started(TIMED)
    for part, t_ms in ((11, 100), (12, 300), (13, 500)):
        assert tracker.poll(part, ring_with((part, 0)), t_ms * MS, since_ns=(t_ms - 5) * MS) == []
        assert inspecting(tracker.frame(stamp(None, part, t_ms=t_ms + 20), (t_ms + 30) * MS)).part_id == part


def test_by_time_an_encoder_that_runs_back_costs_nothing() -> None:
    tracker = started(TIMED)
    for part, encoder in ((11, 1 << 30), (12, 0)):
        t_ms = part * 100
        assert tracker.poll(part, ring_with((part, encoder)), t_ms * MS, since_ns=(t_ms - 5) * MS) == []


# -- what the effects carry -----------------------------------------------------------------------------------------------


def test_the_engine_is_given_the_part_with_its_trigger_views_and_deadline() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 3 * MS)
    frame = stamp(1510, 4, t_ms=5)
    part = Part(
        part_id=11,
        trigger=Trigger(part_id=11, encoder=1000, t_mono_ns=3 * MS),
        views=(View(camera="cam1", offset=500, position=0),),
        due_mono_ns=155 * MS,
    )
    assert tracker.frame(frame, 6 * MS) == [Inspect(part=part, stamps=(frame,))]
    given = answer(part)
    assert tracker.inspected(part, given, 7 * MS) == []  # equal is not enough: it must be the very part
    [judge] = tracker.inspected(next(e.part for e in tracker._parts.values()), given, 7 * MS)
    assert judge == Judge(part=part, stamps=(frame,), inspection=given)


def test_a_reject_carries_the_part_the_frames_that_came_and_the_reason() -> None:
    tracker = started(TWO_VIEWS)
    tracker.poll(11, ring_with((11, 1000)), 0)
    frame = stamp(1050, camera="b")
    tracker.frame(frame, 0)
    [reject] = tracker.fault(11, "no journal")
    assert isinstance(reject, Reject)
    assert reject.part.part_id == 11
    assert reject.stamps == (frame,)
    assert reject.verdict == Verdict(part_id=11, disposition=Disposition.NOT_INSPECTED, reasons=("no journal",))
    assert (reject.send, reject.late) == (True, False)


def test_a_part_dropped_without_a_token_keeps_its_frames_and_its_reason() -> None:
    tracker = started(TWO_VIEWS)
    tracker.poll(11, ring_with((11, 1000)), 0)
    frame = stamp(1050, camera="b")
    tracker.frame(frame, 0)
    reject, closed = tracker.void("another owner")
    assert isinstance(reject, Reject)
    assert reject.stamps == (frame,)
    assert reject.verdict == Verdict(part_id=11, disposition=Disposition.NOT_INSPECTED, reasons=("another owner",))
    assert (reject.send, reject.late) == (False, False)
    assert closed == Closed(part_id=11, outcome=None)


def test_a_doubt_names_its_part_and_its_reason() -> None:
    tracker, part = bound()
    tracker.inspected(part, answer(part), 1)
    assert tracker.fault(11, "no journal") == [Doubt(part_id=11, reason="no journal")]
    assert tracker.fault(11, "no journal") == [Doubt(part_id=11, reason="no journal")]


def overwritten() -> list[Effect]:
    return started(head=10).poll(19, ring_with(*((i, 1000 * i) for i in range(12, 20))), 0)


def two_frames() -> list[Effect]:
    tracker, _ = bound()
    return tracker.frame(stamp(1560, 2), 0)


def two_frames_first() -> list[Effect]:
    tracker = started()
    tracker.frame(stamp(1420, 1), 0)
    tracker.frame(stamp(1580, 2), 0)
    return tracker.poll(11, ring_with((11, 1000)), 0)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (lambda: started(head=10).baseline(11, 0), "passed the photo-eye while the link was down"),
        (overwritten, "its trigger was overwritten before it was read"),
        (
            lambda: started(TIMED).poll(11, ring_with((11, 0)), 100 * MS),
            "the link was too slow to tell when it passed the photo-eye",
        ),
        (lambda: waiting().outcomes([(11, 2)]), "reached the reject station without a verdict"),
        (lambda: waiting().poll(12, ring_with((12, 1001)), 0), "two triggers within the binding window"),
        (two_frames, "more than one part or frame within the binding window"),
        (two_frames_first, "more than one part or frame within the binding window"),
    ],
)
def test_every_part_that_was_not_inspected_says_why(what: Callable[[], list[Effect]], reason: str) -> None:
    assert set(reasons(what())) == {reason}


def test_the_oldest_part_of_a_full_line_says_why_it_went(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.core.tracker.MAX_OPEN", 2)
    tracker = started(head=0)
    tracker.poll(2, ring_with((1, 1000), (2, 2000)), 0)
    effects = tracker.poll(3, ring_with((3, 3000)), 0)
    assert reasons(effects) == ["too many parts in flight"]
    assert rejected(effects) == [1]


def test_a_full_line_makes_room_also_for_a_part_that_passed_while_the_link_was_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.core.tracker.MAX_OPEN", 2)
    tracker = started(head=0)
    tracker.poll(2, ring_with((1, 1000), (2, 2000)), 0)
    effects = tracker.baseline(3, 0)
    assert rejected(effects) == [1, 3]
    assert tracker.open_parts == 1
    assert [e.part.trigger.encoder for e in effects if isinstance(e, Reject)] == [1000, None]


def test_a_line_holds_as_many_parts_as_pass_in_two_minutes_at_a_high_rate() -> None:
    assert MAX_OPEN == 4096  # 34 parts/s


# -- counts, and what is unknown ------------------------------------------------------------------------------------------


def test_the_counts_begin_at_nothing_and_count_every_admission_once() -> None:
    tracker = Tracker(CONFIG)
    assert (tracker.admitted, tracker.missed_triggers, tracker.open_parts) == (0, 0, 0)
    tracker.baseline(10, 0)
    tracker.poll(12, ring_with((11, 1000), (12, 2000)), 0)
    tracker.baseline(14, 0)
    assert (tracker.admitted, tracker.missed_triggers, tracker.open_parts) == (4, 0, 2)
    tracker.poll(23, ring_with(*((i, 1000 * i) for i in range(16, 24))), 0)
    assert (tracker.admitted, tracker.missed_triggers, tracker.open_parts) == (13, 1, 10)


def test_open_are_the_parts_that_wait_or_are_inspected_and_were_triggered_by_then() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 1)
    part = inspecting(tracker.frame(stamp(1500), 1))
    tracker.poll(12, ring_with((12, 2000)), 5)
    tracker.poll(13, ring_with((13, 3000)), 9)
    assert [tracker.open_before(t) for t in (0, 1, 4, 5, 8, 9)] == [0, 1, 1, 2, 2, 3]
    assert tracker.open_parts == 3
    tracker.inspected(part, answer(part), 10)
    tracker.fault(12, "no camera")
    assert tracker.open_before(9) == tracker.open_parts == 1


def test_what_concerns_no_part_of_the_line_changes_nothing() -> None:
    tracker, part = bound()
    stranger = replace(part, part_id=99)
    assert tracker.fault(99, "no camera") == []
    assert tracker.outcomes([(99, 1), (0, 1)]) == []
    assert tracker.inspected(stranger, answer(stranger), 0) == []
    assert tracker.open_parts == 1


@pytest.mark.parametrize("code", range(9))
def test_only_the_six_outcomes_close_a_part(code: int) -> None:
    tracker, part = bound()
    tracker.inspected(part, answer(part), 0)
    expected = [Closed(part_id=11, outcome=Outcome(code))] if 1 <= code <= 6 else []
    assert tracker.outcomes([(11, code), (11, code)]) == expected


def test_polling_before_a_baseline_says_so() -> None:
    with pytest.raises(RuntimeError, match="^poll before baseline$"):
        Tracker(CONFIG).poll(1, ring_with(), 0)
