"""The tracker as a hypothesis state machine: whatever comes in what order, each admitted part gets exactly one disposition.

An oracle written from handshake.md, and from nothing of the tracker, judges every picture that is sent to the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.core.errors import PartIdJump
from gateway.core.frame import FrameStamp
from gateway.core.inspection import Inspection
from gateway.core.lifecycle import Closed, Effect, Inspect, Judge, Reject
from gateway.core.part import Part, next_part_id
from gateway.core.tracker import Tracker, TrackerConfig

MS = 1_000_000
TURN = 1 << 32
WINDOW = 100
SHORT = {"deadline_ns": 150 * MS, "frame_wait_ns": 500 * MS, "outcome_wait_ns": 3_000 * MS}
ONE = TrackerConfig(cameras=(("a", 500),), window=WINDOW, **SHORT)
TWO_VIEWS = TrackerConfig(cameras=(("a", 500), ("b", 700)), window=WINDOW, **SHORT)
TWO_UP = TrackerConfig(cameras=(("a", 500),), positions=2, window=WINDOW, **SHORT)
KEEP_NS = 650 * MS


def apart(a: int, b: int) -> int:
    """Return the distance on the encoder circle."""
    return min((a - b) % TURN, (b - a) % TURN)


@dataclass(slots=True)
class Known:
    """What the outside knows of one admission."""

    part_id: int
    encoder: int | None
    """None when its trigger was overwritten before it could be read."""
    disposition: str = ""
    closed: bool = False
    asked: list[Part] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """Drives one tracker; subclasses differ by configuration alone."""

    config = ONE

    def __init__(self) -> None:
        super().__init__()
        self.tracker = Tracker(self.config)
        self.now = 1_000 * MS
        self.head = TURN - 6  # so that ids soon begin again at 1
        self.encoder = TURN - 4000  # and so does the encoder
        self.ring: list[tuple[int, int]] = [(0, 0)] * 8
        self.unread: list[Known] = []
        self.open: dict[int, Known] = {}
        self.all: list[Known] = []
        self.frames: list[FrameStamp] = []
        self.bound: set[tuple[str, int]] = set()
        self.asked: list[tuple[Known, Part]] = []
        self.failed = False
        assert self.tracker.baseline(self.head, self.now) == []

    # -- the oracle -----------------------------------------------------------------------------------------------------

    def take(self, effects: list[Effect]) -> None:
        self.failed = True
        self.judge(effects)
        self.failed = False

    def judge(self, effects: list[Effect]) -> None:
        for e in effects:
            match e:
                case Inspect():
                    self.picture_is_certain(e)
                case Judge() | Reject():
                    known = self.open[e.part.part_id]
                    assert not known.disposition, "a second disposition"
                    if isinstance(e, Judge):
                        assert e.part in known.asked, "judged without pictures of its own"
                        assert e.inspection.part_id == known.part_id
                    known.disposition = type(e).__name__
                case Closed():
                    known = self.open.pop(e.part_id)
                    assert known.disposition, "closed without a disposition"
                    known.closed = True

    def picture_is_certain(self, e: Inspect) -> None:
        known = self.open[e.part.part_id]
        assert not known.disposition, "inspected after its disposition"
        assert known.encoder is not None, "inspected without a place on the belt"
        assert [s.camera for s in e.stamps] == [c for c, _ in self.config.cameras]
        offsets = dict(self.config.cameras)
        for s in e.stamps:
            assert s.encoder is not None
            fits = [
                f
                for f in self.frames
                if f.camera == s.camera and f.encoder is not None
                if apart(f.encoder, known.encoder + offsets[s.camera]) <= WINDOW
            ]
            assert fits == [s], "two frames for one part"
            parts = [
                k
                for k in self.open.values()
                if k.encoder is not None and apart(s.encoder, k.encoder + offsets[s.camera]) <= WINDOW
            ]
            assert len(parts) == self.config.positions, "one frame for other than one group"
            assert len({k.encoder for k in parts}) == 1
            place = [k.part_id for k in sorted(parts, key=lambda k: self.all.index(k))].index(known.part_id)
            assert e.part.views[0].position == place
        known.asked.append(e.part)
        self.asked.append((known, e.part))

    # -- what can happen ------------------------------------------------------------------------------------------------

    @rule(
        n=st.sampled_from([1, 1, 2, 2, 3, 10]),
        gap=st.sampled_from([150, 1000, 20, 260, 0]),
        bounce=st.booleans(),
        read=st.booleans(),
    )
    def parts_pass(self, n: int, gap: int, bounce: bool, read: bool) -> None:
        for _ in range(n):
            self.encoder = (self.encoder + gap) % TURN
            for _ in range(self.config.positions):
                self.one_passes()
        if bounce and n == 1:
            self.one_passes()
        if read:
            self.poll()

    def one_passes(self) -> None:
        self.head = next_part_id(self.head)
        self.ring[self.head % 8] = (self.head, self.encoder)
        self.unread.append(Known(part_id=self.head, encoder=self.encoder))

    @rule()
    def poll(self) -> None:
        self.admit()
        self.take(self.tracker.poll(self.head, list(self.ring), self.now))

    def admit(self, *, placed: bool = True) -> None:
        for known in self.unread:
            if not placed or self.ring[known.part_id % 8][0] != known.part_id:
                known.encoder = None
            self.open[known.part_id] = known
            self.all.append(known)
        self.unread.clear()

    @rule(
        back=st.sampled_from([0, 0, 1, 2, 5]),
        jitter=st.sampled_from([0, 60, -60, 100, -100, 101, -101, 260]),
        which=st.integers(0, 1),
        latched=st.sampled_from([True, True, True, False]),
    )
    def frame(self, back: int, jitter: int, which: int, latched: bool) -> None:
        camera, offset = self.config.cameras[which % len(self.config.cameras)]
        places = [k.encoder for k in (*self.all, *self.unread) if k.encoder is not None][-6:]
        place = places[-1 - back % len(places)] if places else self.encoder
        self.show(camera, (place + offset + jitter) % TURN if latched else None)

    def show(self, camera: str, encoder: int | None) -> None:
        self.frames = [f for f in self.frames if self.now - f.t_available_ns <= KEEP_NS]
        stamp = FrameStamp(
            camera=camera,
            frame_counter=len(self.frames),
            t_exposed_ns=self.now,
            t_available_ns=self.now,
            encoder=encoder,
            slot=0,
            generation=2,
            height=8,
            width=8,
            channels=1,
        )
        self.frames.append(stamp)
        self.take(self.tracker.frame(stamp, self.now))

    @rule(data=st.data(), fault=st.booleans(), other=st.booleans())
    def answer(self, data: st.DataObject, fault: bool, other: bool) -> None:
        if not self.asked:
            return
        known, part = data.draw(st.sampled_from(self.asked[-12:]))
        before = known.disposition
        part_id = part.part_id + 1 if other else part.part_id
        inspection = Inspection(part_id=part_id, label="good", fault="engine failed" if fault else "")
        effects = self.tracker.inspected(part, inspection, self.now)
        self.take(effects)
        if before or known.closed or other:
            assert effects == [], "an answer that came too late, or for another part, changed something"

    @rule(ms=st.sampled_from([1, 10, 40, 140, 160, 300, 700]))
    def time(self, ms: int) -> None:
        self.now += ms * MS
        self.frames = [f for f in self.frames if self.now - f.t_available_ns <= KEEP_NS]
        self.take(self.tracker.tick(self.now))

    @rule(data=st.data(), code=st.integers(0, 7))
    def outcome(self, data: st.DataObject, code: int) -> None:
        known = [k.part_id for k in self.all[-12:]] or [77]
        self.take(self.tracker.outcomes([(data.draw(st.sampled_from(known)), code), (0, 1)]))

    @rule(data=st.data(), what=st.sampled_from(["fault", "link", "jump", "restart", "restart again"]))
    def trouble(self, data: st.DataObject, what: str) -> None:
        if what == "fault" and self.open:
            self.take(self.tracker.fault(data.draw(st.sampled_from(sorted(self.open))), "no journal"))
        elif what == "link":
            self.admit(placed=False)
            self.take(self.tracker.baseline(self.head, self.now))
        elif what == "jump":
            with pytest.raises(PartIdJump):
                self.tracker.poll((self.head + data.draw(st.integers(1026, TURN - 2000))) % TURN, self.ring, self.now)
        elif what.startswith("restart"):
            self.the_plc_restarts(again=what == "restart again")

    def the_plc_restarts(self, *, again: bool) -> None:
        """Ids, and perhaps the encoder, begin once more where they began."""
        self.take(self.tracker.void("the PLC was restarted"))
        self.frames.clear()
        self.unread.clear()
        self.ring = [(0, 0)] * 8
        if again:
            self.head, self.encoder = TURN - 6, TURN - 4000
        self.take(self.tracker.baseline(self.head, self.now))

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert self.tracker.open_parts == sum(1 for k in self.open.values() if not k.disposition)
        assert self.tracker.admitted == len(self.all)

    def teardown(self) -> None:
        if self.failed:
            return  # what was found first is what matters
        self.take(self.tracker.void("the end"))
        assert not self.open
        assert all(k.disposition and k.closed for k in self.all)


class TwoViews(Machine):
    config = TWO_VIEWS


class TwoUp(Machine):
    config = TWO_UP


@pytest.mark.parametrize("machine", [Machine, TwoViews, TwoUp])
def test_exactly_one_disposition_a_part_and_no_uncertain_picture(machine: type[Machine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
        ),
    )
