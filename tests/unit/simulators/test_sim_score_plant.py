"""The scorer on parts about which the plant decided: counted on their own, and only if key and PLC agree."""

from __future__ import annotations

import pytest

from simulators.demo_score import failures
from tests.unit.simulators.test_sim_score import Run, differing

PLANT = (
    "bypassed",
    "bypassed_defective",
    "monitored",
    "monitored_defective",
    "diverted",
    "rechecked",
    "challenges",
    "challenges_missed",
    "challenges_passed",
)


def told(score: dict[str, object], **expected: int) -> None:
    assert {k: score[k] for k in PLANT} == dict.fromkeys(PLANT, 0) | expected


def test_a_quiet_run_has_none_of_it() -> None:
    run = Run()
    run.part()
    run.part("dent", "FAIL")
    told(run.score())


@pytest.mark.parametrize(
    ("mode", "detail", "figure"), [("bypass", "bypass", "bypassed"), ("monitor_only", "monitor only", "monitored")]
)
def test_what_the_key_lets_through_is_no_escape(mode: str, detail: str, figure: str) -> None:
    run = Run()
    run.part(mode=mode, detail=detail, passed=True)
    run.part("dent", "FAIL", mode=mode, detail=detail, passed=True)
    run.part("dent", "NOT_INSPECTED", mode=mode, detail=detail, passed=True)
    score = run.score()
    differing(score)
    told(score, **{figure: 3, f"{figure}_defective": 2})
    assert score["passed"] == 3


@pytest.mark.parametrize(
    ("mode", "detail"),
    [("", "bypass"), ("bypass", ""), ("bypass", "monitor only"), ("monitor_only", "bypass"), ("manual", "manual")],
)
def test_what_key_and_plc_do_not_agree_on_is_an_escape(mode: str, detail: str) -> None:
    run = Run()
    run.part("dent", "FAIL", mode=mode, detail=detail, passed=True)
    score = run.score()
    differing(score, escapes=1, escapes_by_fault=1, passed_without_token=1)
    told(score)


def test_a_part_of_bypass_that_passed_on_its_token_later_is_judged_like_any_other() -> None:
    run = Run()
    run.part("dent", "PASS", mode="bypass")
    score = run.score()
    differing(score, escapes=1)
    told(score)


@pytest.mark.parametrize("verdict", ["PASS", "NOT_INSPECTED"])
@pytest.mark.parametrize("said", [{"marks": "challenge"}, {"marks": "audit external_reject"}, {"mode": "manual"}])
def test_what_the_plant_turns_away_is_neither_lost_nor_falsely_rejected(said: dict[str, str], verdict: str) -> None:
    run = Run()
    run.part("good", verdict, passed=False, **said)
    score = run.score()
    differing(score)
    challenge = said.get("marks") == "challenge"
    told(score, diverted=1, challenges=int(challenge), challenges_missed=int(challenge and verdict == "PASS"))


def test_a_challenge_part_that_gets_through_is_never_excused() -> None:
    run = Run()
    run.part("dent", "PASS", marks="challenge")
    score = run.score()
    told(score, challenges=1, challenges_missed=1, challenges_passed=1)
    found = failures({"lines": {"Press": score | {"control_restarts": 0}}}, disturbed=True)
    assert found == ["Press: challenges_passed is 1, it must be 0"]


def test_a_part_at_the_recheck_exit_is_one_that_was_not_inspected() -> None:
    run = Run()
    run.part("good", "NOT_INSPECTED", recheck=True)
    score = run.score()
    differing(score, not_inspected=1, good_lost=1)
    told(score, rechecked=1)


@pytest.mark.parametrize(
    ("outcome", "passed", "wrong"),
    [
        ("BYPASSED", True, 0),
        ("BYPASSED", False, 1),
        ("CHALLENGE_RECOVERED", False, 0),
        ("CHALLENGE_RECOVERED", True, 1),
        ("AUDIT_DIVERTED", False, 0),
        ("AUDIT_DIVERTED", True, 1),
    ],
)
def test_outcomes_on_record_are_compared_with_the_gate(outcome: str, passed: bool, wrong: int) -> None:
    run = Run()
    run.part(passed=passed)
    run.records.append({"kind": "outcome", "part_id": run.part_id, "epoch": run.epoch, "outcome": outcome})
    assert run.score()["wrong_outcomes"] == wrong
