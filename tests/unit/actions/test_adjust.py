"""One adjustment: the step when every guard agrees, and the right reason when one does not."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.actions.adjust import AdjustRule, Block, Parameter, Situation, Step, decide

NOW = 1_700_000_000 * 10**9
S = 10**9
RULE = AdjustRule.model_validate({"tag": "PressForce", "step": -4, "baseline": {"parts": 2000, "defects": 40}})
PARAMETER = Parameter(name="PressForce", unit="kN", range=(80, 120))
FINE = Situation(
    now_ns=NOW,
    part_ns=NOW - S,
    imaging="",
    line="",
    value=100.0,
    value_ns=NOW - S,
    mode="AUTOMATIC",
    permit=True,
    foreign="",
    other="",
    attempts=0,
    pause_until_ns=0,
)


def test_one_signed_step_from_the_value_that_the_plc_shows() -> None:
    assert decide(RULE, PARAMETER, FINE) == Step(value=96.0, expected_old=100.0)
    up = RULE.model_copy(update={"step": 2.5})
    assert decide(up, PARAMETER, replace(FINE, value=97.0)) == Step(value=99.5, expected_old=97.0)


@pytest.mark.parametrize(
    ("change", "why", "words"),
    [
        ({"part_ns": NOW - 10 * S - 1}, "stale", "10 s old"),
        ({"part_ns": NOW + 11 * S}, "stale", "old"),
        ({"imaging": "the lens is dirty"}, "imaging", "measurement is suspect, not the process: the lens is dirty"),
        ({"line": "the link to the PLC is down"}, "line", "down"),
        ({"value": None}, "process", "not known"),
        ({"value": float("nan")}, "process", "not known"),
        ({"value_ns": NOW - 3 * S - 1}, "process", "3 s old"),
        ({"mode": "MANUAL"}, "mode", "MANUAL"),
        ({"mode": ""}, "mode", "unknown"),
        ({"permit": False}, "permit", "AdjustPermit is off"),
        ({"foreign": "PressForce went from 100 to 90 kN"}, "foreign", "somebody else"),
        ({"other": "MoldTemp"}, "other", "MoldTemp"),
        ({"attempts": 2}, "escalated", "a person must look"),
        ({"value": 83.9}, "range", "79.9 is not in 80 to 120 kN"),
        ({"pause_until_ns": NOW + 1}, "pause", "pausing"),
    ],
)
def test_each_guard_blocks_by_itself(change: dict[str, Any], why: str, words: str) -> None:
    found = decide(RULE, PARAMETER, replace(FINE, **change))
    assert isinstance(found, Block)
    assert found.why == why
    assert words in found.words


@pytest.mark.parametrize("change", [{"part_ns": NOW - 10 * S}, {"value_ns": NOW - 3 * S}, {"attempts": 1}, {"value": 84.0}])
def test_the_limits_themselves_are_allowed(change: dict[str, Any]) -> None:
    assert isinstance(decide(RULE, PARAMETER, replace(FINE, **change)), Step)


def test_without_a_range_nothing_is_moved() -> None:
    found = decide(RULE, Parameter(name="PressForce"), FINE)
    assert isinstance(found, Block)
    assert found.why == "range"


def test_a_suspect_measurement_is_told_before_anything_else_but_age() -> None:
    found = decide(RULE, PARAMETER, replace(FINE, imaging="dark", permit=False, mode="MANUAL", line="down", attempts=9))
    assert isinstance(found, Block)
    assert found.why == "imaging"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 0}, "moves nothing"),
        ({"step": float("inf")}, "finite"),
        ({"baseline": {"parts": 2000, "defects": 401}}, "more than a fifth"),
        ({"baseline": {"parts": 99, "defects": 0}}, "greater than or equal to 100"),
        ({"baseline": {"parts": 2000, "defects": -1}}, "greater than or equal to 0"),
        ({"attempts": 0}, "greater than or equal to 1"),
        ({"speed": 1}, "Extra inputs"),
        ({"tag": ""}, "at least 1 character"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AdjustRule.model_validate({**RULE.model_dump(), **change})


def test_two_readings_are_one_value_within_a_thousandth_of_the_range() -> None:
    assert PARAMETER.same(100.0, 100.039)
    assert not PARAMETER.same(100.0, 100.041)
    assert not Parameter(name="x").same(1.0, 1.0001)
