"""Figures over judged pictures, with the line's own rule."""

from __future__ import annotations

import pytest

from gateway.core.verdict import JudgeRule
from gateway.learning.score import as_answers, score

RULE = JudgeRule(passes=frozenset({"good"}), thresholds={"good": 0.8}, labels=("bad", "good", "odd"))


def test_score() -> None:
    truth = ["good", "good", "good", "bad", "bad"]
    rows = [[0.1, 0.9, 0.0], [0.3, 0.7, 0.0], [0.6, 0.3, 0.1], [0.9, 0.1, 0.0], [0.05, 0.9, 0.05]]
    found = score(truth, as_answers(rows, RULE.labels), RULE)
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.recall == {"bad": 0.5, "good": pytest.approx(2 / 3)}
    assert found.confusion == {"bad": {"bad": 1, "good": 1, "odd": 0}, "good": {"bad": 1, "good": 2, "odd": 0}}
    assert found.escapes == 1
    assert found.false_rejects == 2  # one below its threshold, one taken for bad
    assert found.counts()["good"] == {"pictures": 3, "correct": 2, "wrong": 1}
    assert found.pictures == 5
    assert found.lines()[0] == "accuracy 60.00 % of 5, escapes 1, false rejects 2"
    assert "1 as bad" in found.lines()[2]


def test_an_answer_that_is_no_answer_never_passes() -> None:
    found = score(["bad", "good"], as_answers([[0.0, 0.9, 0.9], [float("nan"), 0.9, 0.1]], RULE.labels), RULE)
    assert (found.escapes, found.false_rejects) == (0, 1)
