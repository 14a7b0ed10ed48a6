"""The judge: a PASS needs a fault-free inspection whose label may pass; everything else does not pass."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.inspection import Inspection, faulted
from gateway.core.verdict import Disposition, JudgeRule, judge, not_inspected

RULE = JudgeRule(passes=frozenset({"good"}), thresholds={"good": 0.8}, labels=("dent", "good"))


def seen(good: float, dent: float | None = None, label: str | None = None, fault: str = "") -> Inspection:
    dent = 1 - good if dent is None else dent
    best = "good" if good >= dent else "dent"
    return Inspection(part_id=7, label=label or best, scores={"dent": dent, "good": good}, fault=fault)


def test_good_above_its_threshold_passes() -> None:
    assert judge(seen(0.9), RULE).disposition is Disposition.PASS


def test_good_below_its_threshold_fails_as_the_likeliest_defect() -> None:
    verdict = judge(seen(0.7), RULE)
    assert (verdict.disposition, verdict.defect) == (Disposition.FAIL, "dent")


def test_a_defect_fails_by_name() -> None:
    verdict = judge(seen(0.1), RULE)
    assert (verdict.disposition, verdict.defect) == (Disposition.FAIL, "dent")


@pytest.mark.parametrize(
    "inspection",
    [
        seen(0.99, fault="camera lost"),
        seen(math.nan, 0.0, "good"),
        seen(math.inf, 0.0, "good"),
        seen(1.5, -0.5, "good"),
        seen(0.9, 0.9, "good"),
        seen(0.2, 0.8, "good"),
        Inspection(part_id=7, label="good", scores={"good": 1.0}),
        Inspection(part_id=7, label="good", scores={}),
        Inspection(part_id=7, label="other", scores={"good": 1.0, "dent": 0.0}),
        Inspection(part_id=7, label="", scores={"good": 0.0, "dent": 0.0}),
        faulted(7, "late"),
    ],
)
def test_no_evidence_is_not_inspected(inspection: Inspection) -> None:
    assert judge(inspection, RULE).disposition is Disposition.NOT_INSPECTED


@given(st.floats(allow_nan=True), st.floats(allow_nan=True), st.sampled_from(["good", "dent", ""]), st.text(max_size=3))
def test_only_one_shape_of_inspection_passes(good: float, dent: float, label: str, fault: str) -> None:
    verdict = judge(Inspection(part_id=7, label=label, scores={"dent": dent, "good": good}, fault=fault), RULE)
    if verdict.disposition is Disposition.PASS:
        assert fault == ""
        assert label == "good"
        assert 0.8 <= good <= 1.001
        assert good >= dent


def test_reasons_are_required() -> None:
    with pytest.raises(ValueError):
        not_inspected(1, "")
    with pytest.raises(ValueError):
        faulted(1, "")
