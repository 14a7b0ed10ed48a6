"""The tracker: exactly one disposition a part, a frame bound only when that is unambiguous."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.frame import FrameStamp
from gateway.core.handshake import Outcome
from gateway.core.inspection import Inspection
from gateway.core.part import next_part_id
from gateway.core.tracker import TABLE, Closed, Event, Inspect, Judge, Reject, State, Tracker, TrackerConfig

MS = 1_000_000
CONFIG = TrackerConfig(cameras=(("cam1", 500),), window=100, deadline_ns=150 * MS, frame_wait_ns=500 * MS)


def stamp(encoder: int, counter: int = 1, t_ms: int = 0, camera: str = "cam1") -> FrameStamp:
    return FrameStamp(
        camera=camera,
        frame_counter=counter,
        t_exposed_ns=t_ms * MS,
        t_available_ns=t_ms * MS,
        encoder=encoder % (1 << 32),
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


def started(config: TrackerConfig = CONFIG, head: int = 10) -> Tracker:
    tracker = Tracker(config)
    assert tracker.baseline(head, 0) == []
    return tracker


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
    [judge] = tracker.inspected(Inspection(part_id=11, label="good"), 10 * MS)
    assert isinstance(judge, Judge)
    assert tracker.inspected(Inspection(part_id=11, label="good"), 11 * MS) == []
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
    assert tracker.conflicts == 1


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
    tracker.frame(stamp(1500), 0)
    effects = tracker.poll(12, ring_with((11, 1000), (12, 1050)), 0)
    assert {e.part.part_id for e in effects if isinstance(e, Reject)} == {11, 12}
    assert tracker.inspected(Inspection(part_id=11, label="good"), 1) == []


def test_an_overwritten_trigger_is_a_counted_gap() -> None:
    tracker = started(head=10)
    ring = ring_with(*((i, 1000 * i) for i in range(13, 21)))
    effects = tracker.poll(20, ring, 0)
    assert [e.part.part_id for e in effects if isinstance(e, Reject)] == [11, 12]
    assert tracker.missed_triggers == 2
    assert tracker.open_parts == 8


def test_a_jump_of_the_counter_is_a_restart() -> None:
    tracker = started(head=5000)
    with pytest.raises(LookupError):
        tracker.poll(3, ring_with((3, 0)), 0)


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
    tracker.frame(stamp(1500), 0)
    [reject] = tracker.inspected(Inspection(part_id=11, label="good"), 151 * MS)
    assert isinstance(reject, Reject)


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
    config = TrackerConfig(cameras=(("a", 0), ("b", 50)), window=10, deadline_ns=150 * MS, frame_wait_ns=500 * MS)
    tracker = started(config)
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
    config = TrackerConfig(cameras=(("cam1", 0),), positions=2, window=10, deadline_ns=150 * MS, frame_wait_ns=500 * MS)
    tracker = started(config)
    tracker.poll(12, ring_with((11, 1000), (12, 1000)), 0)
    effects = tracker.frame(stamp(1000), 0)
    assert [(e.part.part_id, e.part.views[0].position) for e in effects if isinstance(e, Inspect)] == [(11, 0), (12, 1)]
    tracker.poll(13, ring_with((13, 2000)), 0)
    assert tracker.frame(stamp(2000), 0) == []
    assert all(isinstance(e, Reject) for e in tracker.tick(700 * MS))


def test_a_frame_without_encoder_is_never_bound_by_encoder() -> None:
    tracker = started()
    tracker.poll(11, ring_with((11, 1000)), 0)
    bare = FrameStamp(**{**{f: getattr(stamp(1500), f) for f in FrameStamp.__slots__}, "encoder": None})
    assert tracker.frame(bare, 0) == []


def test_binding_by_exposure_time() -> None:
    config = TrackerConfig(
        cameras=(("cam1", 20 * MS),), by="time", window=10 * MS, deadline_ns=150 * MS, frame_wait_ns=500 * MS
    )
    tracker = started(config)
    tracker.poll(11, ring_with((11, 1000)), 100 * MS)
    assert tracker.frame(stamp(0, t_ms=140), 140 * MS) == []
    [inspect] = tracker.frame(stamp(0, t_ms=125), 141 * MS)
    assert isinstance(inspect, Inspect)


def test_the_table_has_one_way_to_a_disposition() -> None:
    judging = {k for k, (_, action) in TABLE.items() if action.name == "JUDGE"}
    assert judging == {(State.INSPECTING, Event.INSPECTED)}
    assert all(state is not State.CLOSED for state, _ in TABLE)


class OneDisposition(RuleBasedStateMachine):
    """Anything in any order: each admitted part gets exactly one disposition, and never a judgement after a fault."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = started(head=10)
        self.now = 0
        self.head = 10
        self.encoder = 1000
        self.given: dict[int, str] = {}
        self.places: dict[int, int] = {}
        self.inspecting: dict[int, int] = {}
        self.counter = 0

    def take(self, effects: list[object]) -> None:
        for e in effects:
            if isinstance(e, Inspect):
                assert e.part.part_id not in self.given
                [s] = e.stamps
                assert s.encoder is not None
                assert abs(s.encoder - 500 - self.places[e.part.part_id]) <= 100
                self.inspecting[e.part.part_id] = e.part.due_mono_ns
            elif isinstance(e, Judge | Reject):
                assert e.part.part_id not in self.given, "two dispositions"
                self.given[e.part.part_id] = type(e).__name__
                if isinstance(e, Judge):
                    assert e.part.part_id in self.inspecting

    @rule(n=st.integers(1, 10), gap=st.integers(20, 2000))
    def trigger(self, n: int, gap: int) -> None:
        ring = ring_with(*self.places.items())
        for _ in range(n):
            self.head += 1
            self.encoder += gap
            self.places[self.head] = self.encoder
            ring[self.head % 8] = (self.head, self.encoder)
        self.take(self.tracker.poll(self.head, ring, self.now))

    @rule(back=st.integers(0, 4), jitter=st.integers(-150, 150))
    def frame(self, back: int, jitter: int) -> None:
        self.counter += 1
        place = self.places.get(self.head - back, self.encoder)
        self.take(self.tracker.frame(stamp(place + 500 + jitter, self.counter, self.now // MS), self.now))

    @rule(part=st.integers(11, 60), answer=st.booleans())
    def inspected(self, part: int, answer: bool) -> None:
        fault = "" if answer else "engine failed"
        if part in self.inspecting:
            self.take(self.tracker.inspected(Inspection(part_id=part, label="good", fault=fault), self.now))

    @rule(ms=st.integers(1, 400))
    def time(self, ms: int) -> None:
        self.now += ms * MS
        self.take(self.tracker.tick(self.now))

    @rule(part=st.integers(11, 60), code=st.integers(0, 7))
    def outcome(self, part: int, code: int) -> None:
        self.take(self.tracker.outcomes([(part, code)]))

    @rule()
    def relink(self) -> None:
        self.take(self.tracker.baseline(self.head, self.now))

    @rule()
    def void(self) -> None:
        self.take(self.tracker.void("owner changed"))
        self.take(self.tracker.baseline(self.head, self.now))

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert self.tracker.open_parts == sum(1 for p in self.places if p not in self.given)


TestOneDisposition = OneDisposition.TestCase
TestOneDisposition.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


@given(st.integers(0, (1 << 32) - 1))
def test_next_part_id_is_never_zero(part_id: int) -> None:
    assert 1 <= next_part_id(part_id) < 1 << 32
