"""The course of a rule: every way in which a request can end, what counts as evidence, and how recovery is told."""

import json
from typing import Any

import pytest

from gateway.actions.adjust import AdjustRule, Block, Parameter, Situation, Step
from gateway.actions.course import REPEAT_NS, STANDING_PARTS, Course, Ending
from gateway.core.commands import Answer

NOW = 1_700_000_000 * 10**9
S = 10**9
PARAMETER = Parameter(name="PressForce", unit="kN", range=(80, 120))


def course(**rule: Any) -> Course:
    fields = {"tag": "PressForce", "step": 4, "baseline": {"parts": 2000, "defects": 20}, "settle_parts": 3, **rule}
    return Course(AdjustRule.model_validate(fields), PARAMETER, p0=0.0135)


def situation(**change: Any) -> Situation:
    facts: dict[str, Any] = {
        "now_ns": NOW,
        "part_ns": NOW,
        "imaging": "",
        "line": "",
        "value": 100.0,
        "value_ns": NOW,
        "mode": "AUTOMATIC",
        "permit": True,
        "foreign": "",
        "other": "",
        "attempts": 0,
        "pause_until_ns": 0,
    }
    return Situation(**{**facts, **change})


def asked(**rule: Any) -> Course:
    """Return a course whose request was written to control once."""
    c = course(**rule)
    c.ask("id", Step(value=104.0, expected_old=100.0))
    c.sent(NOW)
    c.written()
    return c


def answer(result: str, old: float | None = 100.0, new: float | None = None, id: str = "id") -> Answer:
    return Answer(id=id, result=result, old=old, new=new)


def settle(c: Course, parts: int = 3) -> None:
    for _ in range(parts):
        assert c.in_flight(NOW + S)
    assert not c.in_flight(NOW + S)


# -- the request ------------------------------------------------------------------------------------------------------------


def test_a_confirmed_step_is_an_attempt_and_its_parts_in_flight_are_no_evidence() -> None:
    c = asked()
    assert c.in_flight(NOW - S), "asked: nothing counts"
    ending = c.answered(answer("confirmed", new=104.0), NOW)
    assert ending == Ending(id="id", state="confirmed", result="confirmed", moved=True, holds=104.0, also=100.0)
    assert (c.attempts, c.phase, c.request, c.trying) == (1, "settling", None, True)
    for _ in range(10):
        assert c.in_flight(NOW), "judged before the confirmation"
    settle(c)
    assert c.phase == "watching"


@pytest.mark.parametrize(
    ("result", "new", "state", "moved", "holds", "also"),
    [
        ("blocked: AdjustPermit is off", None, "blocked", False, 100.0, None),
        ("refused: NO_PERMIT", 100.0, "refused", False, 100.0, 104.0),
        ("refused: CLAMPED", 102.0, "refused", True, 102.0, 100.0),
        ("refused: accepted, but the PLC holds 103; no way back in 2 requests", 103.0, "refused", True, 103.0, 100.0),
        ("refused: accepted, but the PLC holds 103; went back to 100", 100.0, "refused", False, 100.0, 104.0),
    ],
)
def test_what_was_not_carried_out_ends_and_pauses(
    result: str, new: float | None, state: str, moved: bool, holds: float, also: float | None
) -> None:
    c = asked()
    ending = c.answered(answer(result, new=new), NOW)
    assert ending is not None
    assert (ending.state, ending.result, ending.moved, ending.holds) == (state, result, moved, holds)
    assert ending.also == also, "what records from before the answer may still show"
    assert c.attempts == int(moved)
    if not moved:
        assert c.phase == "watching"
        assert c.pause_until_ns == NOW + 60 * S


def test_answers_to_others_or_to_what_was_not_sent_are_ignored() -> None:
    c = asked()
    assert c.answered(answer("confirmed", new=104.0, id="other"), NOW) is None
    unsent = course()
    unsent.ask("id", Step(value=104.0, expected_old=100.0))
    assert unsent.answered(answer("confirmed", new=104.0), NOW) is None
    assert course().answered(answer("confirmed"), NOW) is None


def test_an_unknown_answer_is_read_back_until_the_value_shows() -> None:
    c = asked()
    assert c.answered(answer("unknown: the PLC did not echo"), NOW) is None
    assert c.phase == "reading back"
    assert c.shown(104.0, NOW) is None, "shown before the question"
    assert c.shown(None, NOW + S) is None
    assert c.shown(100.0, NOW + S) is None, "it may still come"
    ending = c.shown(104.0, NOW + 3 * S)
    assert ending is not None
    assert (ending.state, ending.moved, ending.holds) == ("confirmed", True, 104.0)
    assert "did not echo" in ending.result


def test_a_value_that_stays_ends_unknown_and_moved_nothing() -> None:
    c = asked()
    c.answered(answer("unknown: lost"), NOW)
    assert c.shown(100.0, NOW + S) is None
    assert c.shown(100.0, NOW + 6 * S - 1) is None
    ending = c.shown(100.0, NOW + 6 * S)
    assert ending is not None
    assert (ending.state, ending.moved, ending.holds, ending.also) == ("unknown", False, 100.0, 104.0)
    assert c.attempts == 0


def test_no_value_to_read_back_counts_as_moved() -> None:
    c = asked()
    c.answered(answer("unknown: lost"), NOW)
    assert c.tick(NOW + 59 * S) is None
    ending = c.tick(NOW + 60 * S)
    assert ending is not None
    assert (ending.state, ending.moved, ending.holds, ending.also) == ("unknown", True, 100.0, 104.0)
    assert c.phase == "settling"


def test_control_that_was_never_reached_is_a_block_and_silence_after_writing_is_read_back() -> None:
    c = course()
    c.ask("id", Step(value=104.0, expected_old=100.0))
    c.sent(NOW)
    ending = c.silent(NOW)
    assert ending is not None
    assert (ending.state, ending.result, ending.moved) == ("blocked", "blocked: control does not answer", False)
    written = asked()
    assert written.silent(NOW) is None
    assert written.phase == "reading back"
    late = written.answered(answer("confirmed", new=104.0), NOW + S)
    assert late is not None
    assert late.state == "confirmed", "the record of it came after all"


def test_after_a_restart_what_was_sent_is_read_back_however_fresh_and_ended_by_the_value_or_by_controls_record() -> None:
    for ends in (
        lambda c: c.shown(104.0, NOW + S),
        lambda c: c.answered(answer("confirmed", new=104.0), NOW + S),
    ):
        c = course()
        c.restore(json.loads(json.dumps(asked().state())))
        c.resume(NOW)
        assert c.phase == "reading back"
        ending = ends(c)
        assert ending is not None
        assert (ending.state, ending.moved, ending.holds) == ("confirmed", True, 104.0)
    c = asked()
    c.resume(NOW)
    ending = c.answered(answer("blocked: the PLC's AdjustPermit is off"), NOW + S)
    assert ending is not None
    assert (ending.state, ending.moved) == ("blocked", False), "there was one copy, and this is its answer"
    idle = course()
    idle.resume(NOW)
    assert idle.phase == "watching"


def test_a_request_that_was_not_sent_is_given_up_without_a_trace_on_the_process() -> None:
    c = course()
    c.ask("id", Step(value=104.0, expected_old=100.0))
    ending = c.drop("services restarted")
    assert ending == Ending(
        id="id", state="expired", result="not sent: services restarted", moved=False, holds=100.0, also=None
    )
    assert (c.phase, c.pause_until_ns, c.attempts) == ("watching", 0, 0)
    assert asked().drop("too late") is None


def test_a_clock_that_is_set_back_silences_nothing_for_long() -> None:
    back = NOW - 3600 * S
    c = asked()
    c.answered(answer("confirmed", new=104.0), NOW)
    for _ in range(3):
        assert c.in_flight(back)
    assert not c.in_flight(back)
    reading = asked()
    reading.answered(answer("unknown: lost"), NOW)
    assert reading.tick(back) is not None
    refused = asked()
    refused.answered(answer("refused: NO_PERMIT", new=100.0), NOW)
    facts = {"now_ns": back, "part_ns": back, "value_ns": back, "pause_until_ns": refused.pause_until_ns}
    assert isinstance(refused.answer_alarm(situation(**facts))[0], Step)


# -- alarms -----------------------------------------------------------------------------------------------------------------


def test_an_obstacle_is_noteworthy_once_in_five_minutes() -> None:
    c = course()
    found, noteworthy = c.answer_alarm(situation(permit=False))
    assert isinstance(found, Block)
    assert noteworthy
    assert not c.answer_alarm(situation(permit=False, now_ns=NOW + S, part_ns=NOW + S, value_ns=NOW + S))[1]
    assert c.answer_alarm(situation(mode="MANUAL"))[1], "another obstacle"
    assert not c.answer_alarm(situation(permit=False, mode="MANUAL"))[1]
    later = NOW + REPEAT_NS
    assert c.answer_alarm(situation(permit=False, now_ns=later, part_ns=later, value_ns=later))[1]
    assert not c.answer_alarm(situation(pause_until_ns=NOW + S))[1], "the refusal is on record already"
    assert c.answer_alarm(situation()) == (Step(value=104.0, expected_old=100.0), True)


def test_a_standing_alarm_is_kept_for_a_while_then_needs_new_evidence() -> None:
    c = course()
    block = Block(why="permit", words="")
    events = [c.counted(alarm=i % 10 == 0, defect=i % 10 == 0, block=block if i % 10 == 0 else None) for i in range(250)]
    assert [i for i, e in enumerate(events) if e == "rearm"] == [STANDING_PARTS - 1, 2 * STANDING_PARTS - 1]


@pytest.mark.parametrize("why", ["stale", "escalated"])
def test_an_alarm_that_cannot_be_acted_upon_is_not_kept(why: Any) -> None:
    assert course().counted(alarm=True, defect=True, block=Block(why=why, words="")) == "rearm"


# -- recovery ---------------------------------------------------------------------------------------------------------------


def stepped(**rule: Any) -> Course:
    c = asked(**rule)
    c.answered(answer("confirmed", new=104.0), NOW)
    settle(c)
    return c


def test_a_window_with_no_more_defects_than_usual_is_recovery() -> None:
    c = stepped()
    events = [c.counted(alarm=False, defect=i % 60 == 0, block=None) for i in range(300)]
    assert events.index("recovered") == 299
    assert (c.attempts, c.trying) == (0, False)
    assert c.counted(alarm=False, defect=False, block=None) == ""


def test_a_window_with_too_many_defects_is_none_though_no_alarm_came() -> None:
    c = stepped()
    events = {c.counted(alarm=False, defect=i % 25 == 0, block=None) for i in range(300)}
    assert events == {""}, "12 defects where 4 are usual"
    assert c.attempts == 1
    assert "recovered" in {c.counted(alarm=False, defect=False, block=None) for i in range(300)}, "the next window"


def test_an_alarm_begins_the_proof_anew() -> None:
    c = stepped(verify_parts=50)
    for _ in range(49):
        assert c.counted(alarm=False, defect=False, block=None) == ""
    assert c.counted(alarm=True, defect=True, block=Block(why="escalated", words="")) == "rearm"
    for _ in range(49):
        assert c.counted(alarm=False, defect=False, block=None) == ""
    assert c.counted(alarm=False, defect=False, block=None) == "recovered"


def test_after_the_last_attempt_it_escalates_until_recovery() -> None:
    c = stepped(attempts=1, verify_parts=50)
    assert c.trying, "the last step is still being proven"
    found, noteworthy = c.answer_alarm(situation(attempts=c.attempts))
    assert isinstance(found, Block)
    assert (found.why, noteworthy, c.trying) == ("escalated", True, False)
    c.counted(alarm=True, defect=True, block=found)
    for _ in range(50):
        c.counted(alarm=False, defect=False, block=None)
    assert c.attempts == 0
    assert isinstance(c.answer_alarm(situation(attempts=c.attempts))[0], Step)


def test_its_state_goes_through_json_in_every_phase() -> None:
    reading = asked()
    reading.answered(answer("unknown: lost"), NOW)
    settling = asked()
    settling.answered(answer("confirmed", new=104.0), NOW)
    blocked = course()
    blocked.answer_alarm(situation(permit=False))
    for c in (course(), asked(), reading, settling, stepped(), blocked):
        other = course()
        other.restore(json.loads(json.dumps(c.state())))
        assert other.state() == c.state()
        assert (other.phase, other.attempts, other.request) == (c.phase, c.attempts, c.request)
    fresh = course()
    fresh.restore(None)
    assert fresh.state() == course().state()
