"""The tracker: exactly one disposition a part, a frame bound only when that is unambiguous."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import PartIdJump
from gateway.core.handshake import Outcome
from gateway.core.inspection import Inspection
from gateway.core.lifecycle import TABLE, Closed, Doubt, Event, Inspect, Judge, Reject, State
from gateway.core.part import next_part_id, part_id_distance
from gateway.core.tracker import Effect, Tracker
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


def test_first_read_is_a_baseline_and_never_an_edge() -> None:
    tracker = started(head=10)
    assert tracker.poll(10, ring_with((10, 1000)), 0) == []
    assert tracker.open_parts == 0


def test_poll_before_a_baseline_is_a_bug() -> None:
    with pytest.raises(RuntimeError):
        Tracker(CONFIG).poll(1, ring_with((1, 0)), 0)


@pytest.mark.parametrize("frame_first", [False, True])
def test_one_part_one_frame(frame_first: bool) -> None:
    tracker = started()
    effects = []
    if frame_first:
        effects += tracker.frame(stamp(1550, t_ms=2), 2 * MS)
    effects += tracker.poll(11, ring_with((11, 1000)), 3 * MS)
    if not frame_first:
        effects += tracker.frame(stamp(1550, t_ms=2), 4 * MS)
    [inspect] = effects
    assert isinstance(inspect, Inspect)
    assert inspect.part.part_id == 11
    assert inspect.stamps[0].encoder == 1550
    assert inspect.part.due_mono_ns == 153 * MS
    [judge] = tracker.inspected(inspect.part, answer(inspect.part), 10 * MS)
    assert isinstance(judge, Judge)
    assert tracker.inspected(inspect.part, answer(inspect.part), 11 * MS) == []
    assert tracker.outcomes([(11, 1)]) == [Closed(part_id=11, outcome=Outcome.PASSED)]


@pytest.mark.parametrize("delta", [101, -101, 1000])
def test_a_frame_outside_the_window_is_not_bound(delta: int) -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    assert tracker.frame(stamp(1500 + delta), 0) == []
    [reject] = tracker.tick(651 * MS)
    assert isinstance(reject, Reject)
    assert reject.send
    assert "no frame" in reject.verdict.reasons[0]


def test_binding_across_the_encoder_wrap() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, (1 << 32) - 200)), 0)
    [inspect] = tracker.frame(stamp(300), 0)
    assert isinstance(inspect, Inspect)


def test_part_id_wraps_to_one() -> None:
    top = (1 << 32) - 1
    tracker = started(head=top)
    tracker.poll(1, ring_with((1, 1000)), 0)
    assert tracker.open_parts == 1
    assert next_part_id(top) == 1


def test_two_frames_in_the_window_are_no_evidence() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    tracker.frame(stamp(1500, 1), 0)
    [reject] = tracker.frame(stamp(1560, 2), 0)
    assert isinstance(reject, Reject)
    assert reject.part.part_id == 11


def test_two_frames_before_their_trigger_are_no_evidence() -> None:
    tracker = started()
    tracker.frame(stamp(1500, 1), 0)
    tracker.frame(stamp(1560, 2), 0)
    [reject] = tracker.poll(11, ring_with((11, 1000)), 0)
    assert isinstance(reject, Reject)


def test_two_parts_within_the_window_are_no_evidence() -> None:
    tracker = started()
    effects = tracker.poll(12, ring_with((11, 1000), (12, 1050)), 0)
    assert [e.part.part_id for e in effects if isinstance(e, Reject)] == [11, 12]
    assert not any(isinstance(e, Inspect) for e in tracker.frame(stamp(1500), 0))


def test_a_second_trigger_after_the_first_was_bound_rejects_both() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    part = inspecting(tracker.frame(stamp(1500), 0))
    effects = tracker.poll(12, ring_with((11, 1000), (12, 1050)), 0)
    assert set(rejected(effects)) == {11, 12}
    assert tracker.inspected(part, answer(part), 1) == []


def test_an_overwritten_trigger_is_a_counted_gap() -> None:
    tracker = started(head=10)
    ring = ring_with(*((i, 1000 * i) for i in range(13, 21)))
    effects = tracker.poll(20, ring, 0)
    lost = [(e.part.part_id, e.part.trigger.encoder) for e in effects if isinstance(e, Reject)]
    assert lost == [(11, None), (12, None)], "the places in their slots are other parts'"
    assert tracker.missed_triggers == 2
    assert tracker.open_parts == 8


@pytest.mark.parametrize(
    ("before", "after"), [(5000, 3), (5000, 0), ((1 << 32) - 2, 0), (10, 2000), (0, (1 << 32) - 1), (0, 2000)]
)
def test_a_jump_of_the_counter_is_a_restart(before: int, after: int) -> None:
    tracker = started(head=before)
    with pytest.raises(PartIdJump, match=f"from {before} to {after}"):
        tracker.poll(after, ring_with((after, 0)), 0)
    with pytest.raises(PartIdJump):
        tracker.baseline(after, 0)


def test_the_first_part_of_a_plc_that_never_counted() -> None:
    tracker = started(head=0)
    assert tracker.poll(2, ring_with((1, 1000), (2, 3000)), 0) == []
    assert tracker.open_parts == tracker.admitted == 2


def test_parts_that_passed_while_the_link_was_down_are_recorded_without_a_token() -> None:
    tracker = started(head=10)
    effects = tracker.baseline(13, 0)
    rejects = [e for e in effects if isinstance(e, Reject)]
    assert [r.part.part_id for r in rejects] == [11, 12, 13]
    assert not any(r.send for r in rejects)
    assert tracker.open_parts == 0


def test_late_inspection_is_not_inspected() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    part = inspecting(tracker.frame(stamp(1500), 0))
    [reject] = tracker.inspected(part, answer(part), 151 * MS)
    assert isinstance(reject, Reject)
    assert reject.late


def test_void_sends_no_token_and_forgets_the_baseline() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    reject, closed = tracker.void("another owner")
    assert isinstance(reject, Reject)
    assert not reject.send
    assert closed == Closed(part_id=11, outcome=None)
    with pytest.raises(RuntimeError):
        tracker.poll(12, ring_with((12, 2000)), 0)


def test_all_views_are_required() -> None:
    tracker = started(TWO_VIEWS)
    tracker.poll(11, ring_with((11, 1000)), 0)
    assert tracker.frame(stamp(1000, camera="a"), 0) == []
    [inspect] = tracker.frame(stamp(1050, camera="b"), 0)
    assert isinstance(inspect, Inspect)
    assert [s.camera for s in inspect.stamps] == ["a", "b"]
    tracker.poll(12, ring_with((12, 3000)), 0)
    tracker.frame(stamp(3000, camera="a"), 0)
    [reject] = tracker.tick(700 * MS)[1:]
    assert isinstance(reject, Reject)


def test_a_multi_up_picture_serves_its_whole_group_or_nobody() -> None:
    tracker = started(TWO_UP)
    tracker.poll(12, ring_with((11, 1000), (12, 1000)), 0)
    effects = tracker.frame(stamp(1000), 0)
    assert [(e.part.part_id, e.part.views[0].position) for e in effects if isinstance(e, Inspect)] == [(11, 0), (12, 1)]
    tracker.poll(13, ring_with((13, 2000)), 0)
    assert tracker.frame(stamp(2000), 0) == []
    assert all(isinstance(e, Reject) for e in tracker.tick(700 * MS))


def test_a_frame_without_encoder_is_never_bound_by_encoder() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    assert tracker.frame(stamp(None), 0) == []


def test_binding_by_exposure_time() -> None:
    tracker = started(TIMED)
    tracker.poll(11, ring_with((11, 1000)), 100 * MS, since_ns=95 * MS)
    assert tracker.frame(stamp(0, t_ms=150), 150 * MS) == []
    assert inspecting(tracker.frame(stamp(0, t_ms=125), 151 * MS)).part_id == 11


@pytest.mark.parametrize("since_ns", [None, 89 * MS])
def test_a_trigger_read_too_late_cannot_be_bound_by_time(since_ns: int | None) -> None:
    """Its true time is unknown by more than the window: the next part's picture would fit it."""
    tracker = started(TIMED)
    assert rejected(tracker.poll(11, ring_with((11, 1000)), 100 * MS, since_ns=since_ns)) == [11]
    assert not any(isinstance(e, Inspect) for e in tracker.frame(stamp(0, t_ms=120), 121 * MS))


def test_a_stalled_link_never_lends_the_next_part_s_picture_to_the_last_part() -> None:
    """Part 11 passes at 0 ms and 12 at 100; the read that shows 11 comes at 99, the one that shows 12 stalls until 250."""
    tracker = started(TIMED)
    tracker.frame(stamp(0, t_ms=20), 21 * MS)
    effects = tracker.poll(11, ring_with((11, 1000)), 99 * MS, since_ns=-5 * MS)
    effects += tracker.frame(stamp(0, t_ms=120), 125 * MS)
    effects += tracker.poll(12, ring_with((11, 1000), (12, 2000)), 250 * MS, since_ns=99 * MS)
    assert not any(isinstance(e, Inspect) for e in effects)


def test_the_answer_for_an_earlier_admission_is_no_evidence_for_a_later_one() -> None:
    """A restarted PLC gives the same ids again while the engine still looks at the old part 11."""
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    old = inspecting(tracker.frame(stamp(1500), 0))
    tracker.void("the PLC was restarted")
    tracker.baseline(10, MS)
    tracker.poll(11, ring_with((11, 1000)), 2 * MS)
    new = inspecting(tracker.frame(stamp(1500, 2), 2 * MS))
    assert tracker.inspected(old, answer(old), 3 * MS) == []
    assert tracker.inspected(new, Inspection(part_id=12, label="good"), 3 * MS) == []
    assert isinstance(tracker.inspected(new, answer(new), 3 * MS)[0], Judge)


def test_a_frame_from_before_the_baseline_shows_no_part_after_it() -> None:
    tracker = started()
    tracker.void("the PLC was restarted")
    tracker.frame(stamp(1500), 0)
    tracker.baseline(10, MS)
    assert tracker.poll(11, ring_with((11, 1000)), 2 * MS) == []


def test_an_old_frame_is_not_bound_when_the_belt_comes_by_again() -> None:
    """The belt jogs back: the encoder values of a picture whose trigger was never seen come a second time."""
    tracker = started()
    tracker.frame(stamp(1500, t_ms=0), 0)
    assert tracker.poll(11, ring_with((11, 1000)), 700 * MS) == []


def test_a_frame_announced_from_the_future_does_not_stretch_the_deadline() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    assert inspecting(tracker.frame(stamp(1500, t_ms=10_000), 5 * MS)).due_mono_ns == 155 * MS


def test_a_third_trigger_at_one_place_of_a_two_up_picture_rejects_all() -> None:
    tracker = started(TWO_UP)
    tracker.poll(12, ring_with((11, 1000), (12, 1000)), 0)
    tracker.frame(stamp(1000), 0)
    effects = tracker.poll(13, ring_with((11, 1000), (12, 1000), (13, 1000)), 0)
    assert sorted(rejected(effects)) == [11, 12, 13]


def test_a_two_up_picture_before_its_triggers_waits_for_both() -> None:
    tracker = started(TWO_UP)
    tracker.frame(stamp(1000), 0)
    assert tracker.poll(11, ring_with((11, 1000)), 0) == []
    effects = tracker.poll(12, ring_with((11, 1000), (12, 1000)), MS)
    assert [(e.part.part_id, e.part.views[0].position) for e in effects if isinstance(e, Inspect)] == [(11, 0), (12, 1)]


@pytest.mark.parametrize("trigger_first", [False, True])
def test_two_frames_at_the_two_ends_of_the_window_are_no_evidence(trigger_first: bool) -> None:
    """They are no rivals of each other, being farther apart than the window, yet both fit the part."""
    tracker = started()
    effects: list[Effect] = []
    if trigger_first:
        effects += tracker.poll(11, ring_with((11, 1000)), 0)
    effects += tracker.frame(stamp(1420, 1), 0)
    effects += tracker.frame(stamp(1580, 2), 0)
    if not trigger_first:
        effects += tracker.poll(11, ring_with((11, 1000)), 0)
    assert rejected(effects) == [11]


def test_a_frame_beside_one_that_nothing_explains_is_no_evidence() -> None:
    """The camera exposed twice, or latched wrongly: which of the two shows the part is not known."""
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    tracker.frame(stamp(1650, 1), 0)
    assert rejected(tracker.frame(stamp(1595, 2), 0)) == [11]


@pytest.mark.parametrize("encoder", [1540, 1560])
def test_a_frame_that_fits_two_parts_is_evidence_for_neither(encoder: int) -> None:
    tracker = started()
    tracker.poll(12, ring_with((11, 1000), (12, 1101)), 0)
    assert rejected(tracker.frame(stamp(encoder), 0)) == [11, 12]


@pytest.mark.parametrize("second", ["trigger", "frame"])
def test_what_comes_after_the_verdict_throws_doubt_on_it_and_is_no_second_verdict(second: str) -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    part = inspecting(tracker.frame(stamp(1500), 0))
    tracker.inspected(part, answer(part), 1)
    if second == "trigger":
        effects = tracker.poll(12, ring_with((11, 1000), (12, 1050)), 2)
    else:
        effects = tracker.frame(stamp(1560, 2), 2)
    assert 11 in [e.part_id for e in effects if isinstance(e, Doubt)]
    assert rejected(effects) == ([12] if second == "trigger" else [])


def test_the_frame_of_a_judged_part_is_not_lent_to_another() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    tracker.fault(11, "no journal")
    assert tracker.frame(stamp(1560), 0) == []
    assert rejected(tracker.poll(12, ring_with((11, 1000), (12, 1120)), 0)) == [12]


def test_a_part_whose_trigger_was_overwritten_has_no_place_that_a_frame_could_fit() -> None:
    """What stands in its slot is a later part's encoder value."""
    tracker = started(head=10)
    effects = tracker.poll(19, ring_with(*((i, 1000 * i) for i in range(12, 20))), 0)
    assert rejected(effects) == [11]
    assert inspecting(tracker.frame(stamp(19_500), 0)).part_id == 19


def test_views_are_given_to_the_engine_in_their_order_whatever_order_they_come_in() -> None:
    tracker = started(TWO_VIEWS)
    tracker.frame(stamp(1050, camera="b", t_ms=3), 3 * MS)
    tracker.poll(11, ring_with((11, 1000)), 4 * MS)
    [inspect] = tracker.frame(stamp(1000, camera="a", t_ms=5), 6 * MS)
    assert isinstance(inspect, Inspect)
    assert [s.camera for s in inspect.stamps] == ["a", "b"]
    assert inspect.part.due_mono_ns == 155 * MS


def test_a_second_picture_of_one_view_is_no_evidence() -> None:
    tracker = started(TWO_VIEWS)
    tracker.poll(11, ring_with((11, 1000)), 0)
    tracker.frame(stamp(1000, 1, camera="a"), 0)
    assert rejected(tracker.frame(stamp(1004, 2, camera="a"), 0)) == [11]
    assert tracker.frame(stamp(1050, camera="b"), 0) == []


def test_an_outcome_before_the_verdict_ends_the_part_without_a_token() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    part = inspecting(tracker.frame(stamp(1500), 0))
    reject, closed = tracker.outcomes([(11, 6)])
    assert isinstance(reject, Reject)
    assert not reject.send
    assert closed == Closed(part_id=11, outcome=Outcome.BYPASSED)
    assert tracker.inspected(part, answer(part), 1) == []


def test_a_judged_part_whose_outcome_never_comes_is_closed_as_lost() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    tracker.fault(11, "no camera")
    assert tracker.tick(119_000 * MS) == []
    assert tracker.tick(121_000 * MS) == [Closed(part_id=11, outcome=None)]
    assert tracker.outcomes([(11, 1)]) == []


def test_parts_beyond_the_most_that_can_be_open_push_out_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.core.tracker.MAX_OPEN", 16)
    tracker = started(head=0)
    closed: list[Effect] = []
    for head in range(1, 18):
        closed += tracker.poll(head, ring_with((head, 1000 * head)), 0)
    assert rejected(closed) == [1]
    assert tracker.open_parts == 16


def test_a_frame_of_a_camera_that_the_line_does_not_have_is_a_bug() -> None:
    with pytest.raises(KeyError, match="cam2"):
        started().frame(stamp(1500, camera="cam2"), 0)


def test_the_table_has_one_way_to_a_disposition() -> None:
    judging = {k for k, (_, action) in TABLE.items() if action.name == "JUDGE"}
    assert judging == {(State.INSPECTING, Event.INSPECTED)}
    assert all(state is not State.CLOSED for state, _ in TABLE)


@given(st.integers(0, (1 << 32) - 1))
def test_next_part_id_is_never_zero(part_id: int) -> None:
    assert 1 <= next_part_id(part_id) < 1 << 32


@given(st.integers(0, (1 << 32) - 1), st.integers(0, 3000))
def test_the_distance_counts_the_steps(part_id: int, steps: int) -> None:
    later = part_id
    for _ in range(steps):
        later = next_part_id(later)
    if steps:
        assert part_id_distance(part_id, later) == steps
