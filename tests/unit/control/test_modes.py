"""What the PLC's mode means for a part: who decides about it, what is reported, and what is held."""

from __future__ import annotations

import pytest

from gateway.control.modes import Modes, why_not_in
from gateway.core.events import LineState, PartJudged, PartOutcome
from gateway.core.handshake import Mode
from gateway.core.verdict import not_inspected
from tests.unit.control.line_stand import Stand

AUTOMATIC, MANUAL, MONITOR, BYPASS = (mode << 9 for mode in Mode)


@pytest.fixture
def stand() -> Stand:
    made = Stand()
    made.connect()
    return made


def judged(disposition: str = "PASS") -> PartJudged:
    return PartJudged(line="press", t_utc_ns=1, part_id=11, epoch=9, disposition=disposition)


def left(outcome: str) -> PartOutcome:
    return PartOutcome(line="press", t_utc_ns=2, part_id=11, epoch=9, outcome=outcome)


def after(stand: Stand, modes: Modes, disposition: str, outcome: str, control: int, then: int | None = None) -> PartOutcome:
    """Judge a part under ``control`` and let it leave, ``then`` if the key has been turned meanwhile."""
    stand.control = control
    record = modes.judged(judged(disposition), stand.image())
    assert record.mode == Mode(control >> 9).name
    stand.control = control if then is None else then
    return modes.leaves(left(outcome), stand.image())


def test_only_automatic_and_monitor_only_judge() -> None:
    assert [bool(why_not_in(mode)) for mode in Mode] == [False, True, False, True]
    assert why_not_in(Mode.BYPASS).startswith("bypassed")


@pytest.mark.parametrize(
    ("disposition", "outcome", "disagrees"),
    [
        ("PASS", "PASSED", ""),
        ("FAIL", "PASSED", "FAIL"),
        ("NOT_INSPECTED", "PASSED", ""),
        ("PASS", "REJECTED", "PASS"),
        ("PASS", "REJECT_NOT_CONFIRMED", "PASS"),
        ("FAIL", "REJECTED", ""),
        ("NOT_INSPECTED", "REJECTED", ""),
        ("PASS", "CHALLENGE_RECOVERED", ""),
        ("PASS", "AUDIT_DIVERTED", ""),
        ("FAIL", "BYPASSED", ""),
        ("FAIL", "UNKNOWN", ""),
    ],
)
def test_a_disagreement_is_an_outcome_that_contradicts_the_disposition(
    stand: Stand, disposition: str, outcome: str, disagrees: str
) -> None:
    modes = Modes()
    assert after(stand, modes, disposition, outcome, MONITOR).disagrees_with == disagrees
    assert modes.disagreements(0) == bool(disagrees)
    assert after(stand, Modes(), disposition, outcome, AUTOMATIC).disagrees_with == "", "here the gateway decides"


def test_a_key_that_was_turned_in_between_makes_no_disagreement(stand: Stand) -> None:
    modes = Modes()
    assert after(stand, modes, "PASS", "REJECTED", MONITOR, AUTOMATIC).disagrees_with == ""
    assert after(stand, modes, "PASS", "REJECTED", AUTOMATIC, MONITOR).disagrees_with == ""


def test_for_a_gateway_that_only_watches_another_owner_is_the_existing_inspection(stand: Stand) -> None:
    assert after(stand, Modes(monitor_only=True), "PASS", "REJECTED", AUTOMATIC).disagrees_with == "PASS"
    assert after(stand, Modes(monitor_only=True), "PASS", "REJECTED", MANUAL).disagrees_with == ""
    stand.link.epoch = 0
    assert after(stand, Modes(monitor_only=True), "PASS", "REJECTED", AUTOMATIC).disagrees_with == "", "nobody decided"
    assert after(stand, Modes(monitor_only=True), "PASS", "REJECTED", MONITOR).disagrees_with == "PASS"


@pytest.mark.parametrize(
    ("outcome", "control", "hold"),
    [
        ("BYPASSED", BYPASS, True),
        ("BYPASSED", AUTOMATIC, True),
        ("UNKNOWN", BYPASS, True),
        ("PASSED", BYPASS, True),
        ("REJECTED", BYPASS, False),
        ("CHALLENGE_RECOVERED", BYPASS, False),
        ("PASSED", AUTOMATIC, False),
        ("UNKNOWN", AUTOMATIC, False),
    ],
)
def test_what_bypass_let_pass_or_may_have_is_to_be_held(stand: Stand, outcome: str, control: int, hold: bool) -> None:
    assert after(stand, Modes(), "NOT_INSPECTED", outcome, control).hold is hold


def test_a_part_that_nobody_judged_here_is_held_if_it_was_bypassed(stand: Stand) -> None:
    assert Modes().leaves(left("BYPASSED"), stand.image()).hold
    assert not Modes().leaves(left("PASSED"), stand.image()).hold
    assert Modes().judged(judged(), None) == judged()


def test_a_pass_whose_token_was_not_given_is_no_pass(stand: Stand) -> None:
    modes = Modes()
    stand.control = MONITOR
    modes.judged(judged(), stand.image())
    modes.settled(judged("NOT_INSPECTED"))
    assert modes.leaves(left("REJECTED"), stand.image()).disagrees_with == ""
    modes.settled(judged())  # it has left


def test_the_number_of_disagreements_is_told_at_most_once_a_second(stand: Stand) -> None:
    modes, said = Modes(), []
    for ms in (0, 10, 500, 999, 1000, 1001, 3000):
        after(stand, modes, "PASS", "REJECTED", MONITOR)
        said.append(modes.disagreements(ms * 1_000_000))
    assert said == [1, 1, 1, 1, 5, 5, 7]


# -- in the line -----------------------------------------------------------------------------------------------------


async def test_in_monitor_only_tokens_are_given_and_disagreements_recorded_and_counted(stand: Stand) -> None:
    stand.control = MONITOR
    part = await stand.inspected_part(0.1)
    stand.write()
    stand.outcomes[part % 8] = (part, 1)
    stand.read()
    stand.tick()
    assert [(r.token, r.mode) for r in stand.of(PartJudged)] == [("acked", "MONITOR_ONLY")]
    assert [(o.outcome, o.disagrees_with) for o in stand.of(PartOutcome)] == [("PASSED", "FAIL")]
    assert stand.of(LineState)[-1].disagreements == 1
    await stand.leave()


async def test_a_bypassed_part_is_recorded_as_such_and_held(stand: Stand) -> None:
    stand.control = BYPASS
    part = stand.part()
    stand.frame()
    stand.write()
    stand.outcomes[part % 8] = (part, 6)
    stand.read()
    (record,) = stand.of(PartJudged)
    assert (record.disposition, record.mode) == ("NOT_INSPECTED", "BYPASS")
    assert record.reasons == ("bypassed: the PLC's key switch lets parts pass uninspected",)
    assert [(o.outcome, o.hold) for o in stand.of(PartOutcome)] == [("BYPASSED", True)]


async def test_a_gateway_that_only_watches_gives_nothing_and_keeps_what_it_judged(stand: Stand) -> None:
    stand = Stand(monitor_only=True)
    stand.connect()
    good, bad = await stand.inspected_part(0.9), await stand.inspected_part(0.1)
    assert stand.write() == {}
    assert stand.link.changed == 0
    assert stand.judged() == {good: ("PASS", "withheld"), bad: ("FAIL", "withheld")}
    stand.outcomes[good % 8] = (good, 2)
    stand.read()
    assert [(o.part_id, o.disagrees_with) for o in stand.of(PartOutcome)] == [(good, "PASS")]
    stand.tick()
    assert (stand.of(LineState)[-1].monitor_only, stand.of(LineState)[-1].disagreements) == (True, 1)
    await stand.leave()


async def test_a_gateway_that_only_watches_gives_no_token_by_any_way() -> None:
    stand = Stand(monitor_only=True)
    stand.connect()
    assert not stand.writer.give(not_inspected(7, "no frame came"))
    assert not any(map(any, stand.writer.ring.words()))
