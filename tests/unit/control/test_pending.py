"""Tokens on their way: a PASS is written within its deadline or not at all, and every record is finished exactly once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.control.pending import MAX_DRAFTS, SETTLE_NS, Pending, voided
from gateway.core.events import PartJudged, TokenFate
from gateway.core.handshake import VerdictRing
from gateway.core.verdict import Disposition

PASS, FAIL, NOT_INSPECTED = Disposition.PASS, Disposition.FAIL, Disposition.NOT_INSPECTED
MS = 1_000_000
DUE = 150 * MS
EPOCH = 7


def record(part_id: int, disposition: Disposition) -> PartJudged:
    reasons = () if disposition is PASS else ("as judged",)
    return PartJudged(
        line="press", t_utc_ns=1, part_id=part_id, epoch=EPOCH, disposition=disposition.name, reasons=reasons, label="good"
    )


@dataclass(slots=True)
class Line:
    """The ring, what waits beside it, and what is finished."""

    ring: VerdictRing = field(default_factory=VerdictRing)
    done: list[PartJudged] = field(default_factory=list)
    pending: Pending = field(init=False)

    def __post_init__(self) -> None:
        self.pending = Pending(self.ring, self.done.append)

    def judged(self, part_id: int, disposition: Disposition = PASS, due_ns: int = DUE, now_ns: int = 0) -> PartJudged:
        assert self.ring.put(part_id, disposition, EPOCH)
        made = record(part_id, disposition)
        self.pending.add(made, due_ns, now_ns)
        return made

    def written(self, now_ns: int = 0, trouble: str = "") -> list[int]:
        """Return the parts whose tokens the next write of the ring carries."""
        return sorted(part for part, verdict, _ in self.pending.compose(now_ns, lambda record: trouble) if verdict)

    @property
    def fates(self) -> list[tuple[int, str, str, tuple[str, ...]]]:
        return [(r.part_id, r.disposition, r.token, r.reasons) for r in self.done]


@pytest.fixture
def line() -> Line:
    return Line()


def test_a_record_is_finished_by_its_acknowledgement_alone(line: Line) -> None:
    made = line.judged(9)
    assert line.written() == [9]
    assert (len(line.pending), line.done) == (1, [])
    finished = line.pending.acked(frozenset({9, 10}), 100 * MS)
    assert finished == line.done == [replace(made, token=TokenFate.ACKED, t_acked_mono_ns=100 * MS)]
    assert len(line.pending) == 0
    assert line.pending.acked(frozenset({9}), 101 * MS) == []
    assert line.written() == [9]  # its token stays, so that the PLC can still read it


def test_an_acknowledgement_completes_only_the_parts_it_names(line: Line) -> None:
    for part in (9, 10, 11):
        line.judged(part)
    line.written()
    assert [r.part_id for r in line.pending.acked(frozenset({11, 9}), 1)] == [9, 11]
    assert len(line.pending) == 1


@pytest.mark.parametrize(("t_ns", "fate"), [(DUE, TokenFate.ACKED), (DUE + 1, TokenFate.LATE)])
def test_an_acknowledgement_is_in_time_at_the_deadline(line: Line, t_ns: int, fate: TokenFate) -> None:
    line.judged(9)
    line.written()
    [finished] = line.pending.acked(frozenset({9}), t_ns)
    assert (finished.token, finished.disposition) == (fate, "PASS")


@pytest.mark.parametrize("how", ["composed", "expired"])
def test_a_pass_may_be_written_at_its_deadline_and_not_a_nanosecond_later(line: Line, how: str) -> None:
    line.judged(9)
    if how == "expired":
        line.pending.expire(DUE)
        line.pending.expire(DUE + 1)
    else:
        other = Line()
        other.judged(9)
        assert other.written(DUE) == [9]
    assert line.written(DUE + 1) == []
    assert line.fates == [(9, "NOT_INSPECTED", "void", ("its token could not be written before the deadline",))]


def test_expiry_at_the_deadline_leaves_the_pass_to_the_write(line: Line) -> None:
    line.judged(9)
    line.pending.expire(DUE)
    assert line.written(DUE) == [9]


def test_a_pass_that_was_sent_is_not_repeated_after_its_deadline_and_its_fate_is_unknown(line: Line) -> None:
    line.judged(9)
    assert line.written(DUE) == [9]
    assert line.written(DUE + 1) == []
    assert line.fates == [(9, "PASS", "unknown", ())]


@pytest.mark.parametrize("disposition", [FAIL, NOT_INSPECTED])
def test_a_reject_is_written_whatever_the_hour_and_the_trouble(line: Line, disposition: Disposition) -> None:
    line.judged(9, disposition)
    assert line.written(DUE + 1, "the journal does not take records") == [9]
    assert line.done == []


def test_trouble_holds_back_a_pass_that_was_not_sent_and_leaves_one_that_was(line: Line) -> None:
    line.judged(9)
    assert line.written() == [9]
    line.judged(10)
    assert line.written(1, "the journal does not take records") == [9]
    assert line.fates == [(10, "NOT_INSPECTED", "void", ("the journal does not take records",))]


def test_a_part_whose_slot_was_taken_is_finished(line: Line) -> None:
    line.judged(9)
    line.judged(10, FAIL)
    line.written()
    line.judged(11)
    for part in (17, 18, 19):
        line.judged(part)
    assert line.written() == [17, 18, 19]
    assert line.fates == [
        (9, "PASS", "unknown", ()),
        (10, "FAIL", "unknown", ("as judged",)),
        (11, "NOT_INSPECTED", "void", ("a later part took its slot of the ring",)),
    ]


def test_a_part_whose_slot_was_taken_does_not_drag_the_later_one_out(line: Line) -> None:
    line.judged(9)
    line.judged(17)
    line.pending.expire(DUE + 1)
    assert line.written() == []
    assert {r.part_id: r.token for r in line.done} == {9: "void", 17: "void"}


@pytest.mark.parametrize(("sent", "disposition"), [(False, PASS), (True, PASS), (False, FAIL)])
def test_a_doubt_takes_back_only_a_pass_that_is_not_out(line: Line, sent: bool, disposition: Disposition) -> None:
    line.judged(9, disposition)
    line.judged(10)
    if sent:
        line.written()
    line.pending.doubt(9, "two triggers within the binding window")
    line.pending.doubt(99, "no such part")
    taken_back = not sent and disposition is PASS
    assert line.fates == ([(9, "NOT_INSPECTED", "void", ("two triggers within the binding window",))] if taken_back else [])
    assert line.written() == ([10] if taken_back else [9, 10])


@pytest.mark.parametrize(("due_ns", "now_ns", "until_ns"), [(DUE, 0, DUE + SETTLE_NS), (DUE, 2 * DUE, 2 * DUE + SETTLE_NS)])
def test_a_token_waits_a_second_for_a_lost_link(line: Line, due_ns: int, now_ns: int, until_ns: int) -> None:
    """From its deadline, or from when it was given if that was later."""
    assert SETTLE_NS == 1_000 * MS
    line.judged(9, FAIL, due_ns, now_ns)
    line.pending.expire(until_ns)
    assert line.done == []
    line.pending.expire(until_ns + 1)
    assert line.fates == [(9, "FAIL", "void", ("as judged",))]
    assert line.written() == []


def test_a_pass_that_was_sent_waits_a_second_too(line: Line) -> None:
    line.judged(9)
    line.written()
    line.pending.expire(DUE + 1)
    assert line.done == []
    line.pending.expire(DUE + SETTLE_NS + 1)
    assert line.fates == [(9, "PASS", "unknown", ())]


def test_abandoning_finishes_everything_and_empties_the_ring(line: Line) -> None:
    line.judged(9)
    line.judged(10, FAIL)
    line.written()
    line.pending.acked(frozenset({9}), 1)
    line.judged(11)
    line.pending.abandon("another owner")
    assert line.fates[1:] == [(10, "FAIL", "unknown", ("as judged",)), (11, "NOT_INSPECTED", "void", ("another owner",))]
    assert line.ring.words() == [(0, 0, 0)] * 8  # also what was acknowledged: it is of an epoch that is void
    assert len(line.pending) == 0


def test_while_the_link_is_down_the_oldest_are_given_up(line: Line) -> None:
    for part in range(1, MAX_DRAFTS + 1):
        line.judged(part)
    assert (MAX_DRAFTS, len(line.pending), line.done) == (64, 64, [])
    line.judged(MAX_DRAFTS + 1)
    assert line.fates == [(1, "NOT_INSPECTED", "void", ("too many parts wait for the link",))]
    assert len(line.pending) == MAX_DRAFTS


def test_a_voided_pass_is_none_and_keeps_what_was_judged() -> None:
    made = replace(record(9, PASS), token="late")
    assert voided(made, "why") == replace(made, token="void", disposition="NOT_INSPECTED", reasons=("why",))
    rejected = replace(record(9, FAIL), token="acked")
    assert voided(rejected, "why") == replace(rejected, token="void")


class Machine(RuleBasedStateMachine):
    """Whatever comes in what order: one record a part, and a PASS only if its token was on the wire within its deadline."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line()
        self.now = 0
        self.next_id = 1
        self.due: dict[int, int] = {}
        self.on_wire: dict[int, int] = {}
        """Part → when its token was first written."""
        self.passing: set[int] = set()

    @rule(skip=st.integers(0, 3), disposition=st.sampled_from([PASS, PASS, FAIL, NOT_INSPECTED]), wait_ms=st.integers(0, 200))
    def judge(self, skip: int, disposition: Disposition, wait_ms: int) -> None:
        self.next_id += 1 + skip
        self.due[self.next_id] = self.now + wait_ms * MS
        self.line.judged(self.next_id, disposition, self.due[self.next_id], self.now)
        if disposition is PASS:
            self.passing.add(self.next_id)

    @rule(trouble=st.sampled_from(["", "", "the journal"]))
    def write(self, trouble: str) -> None:
        for part in self.line.written(self.now, trouble):
            first = self.on_wire.setdefault(part, self.now)
            assert first <= self.due[part] or part not in self.passing, "a PASS was first written after its deadline"

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        if self.on_wire:
            self.line.pending.acked(frozenset({data.draw(st.sampled_from(sorted(self.on_wire)[-10:]))}), self.now)

    @rule(data=st.data())
    def doubt(self, data: st.DataObject) -> None:
        if self.due:
            self.line.pending.doubt(data.draw(st.sampled_from(sorted(self.due)[-10:])), "a second trigger")

    @rule(ms=st.sampled_from([1, 50, 150, 1200]))
    def time(self, ms: int) -> None:
        self.now += ms * MS
        self.line.pending.expire(self.now)

    @rule()
    def restart(self) -> None:
        self.line.pending.abandon("the PLC was restarted")

    @invariant()
    def one_record_a_part(self) -> None:
        done = [r.part_id for r in self.line.done]
        assert len(done) == len(set(done))
        assert len(done) + len(self.line.pending) == len(self.due)

    @invariant()
    def a_pass_was_on_the_wire_in_time(self) -> None:
        for r in self.line.done:
            if r.disposition == "PASS":
                assert r.part_id in self.on_wire
                assert r.token != "void"
            elif r.token == "void":
                assert r.part_id not in self.on_wire

    def teardown(self) -> None:
        self.line.pending.abandon("the end")
        assert sorted(r.part_id for r in self.line.done) == sorted(self.due)


def test_one_record_a_part_whatever_comes_in_what_order() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
        ),
    )
