"""Verdicts. The one place that can make a PASS, and only from a fault-free inspection."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from gateway.core.inspection import Inspection


class Disposition(Enum):
    """The three endings of a part, with the words that stand for them in the PLC's token."""

    PASS = 0xA55A
    FAIL = 0x5AA5
    NOT_INSPECTED = 0x3CC3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The disposition of one part with its reasons; ``defect`` names the class of a FAIL."""

    part_id: int
    disposition: Disposition
    defect: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRule:
    """How labels become dispositions: ``passes`` are the labels that may pass, each from its own least score.

    A label that is not listed rejects. ``thresholds`` holds the least probability (0–1) at which a passing label passes.
    """

    passes: frozenset[str]
    thresholds: Mapping[str, float]
    labels: tuple[str, ...]
    """Every label of the model, in the order of its outputs."""


def not_inspected(part_id: int, reason: str) -> Verdict:
    """Return the verdict of a part without evidence."""
    if not reason:
        raise ValueError("NOT_INSPECTED needs a reason")
    return Verdict(part_id=part_id, disposition=Disposition.NOT_INSPECTED, reasons=(reason,))


def judge(inspection: Inspection, rule: JudgeRule) -> Verdict:
    """Judge one inspection; no evidence is never a PASS.

    A fault, an unknown label or scores that are no probabilities give NOT_INSPECTED. A passing label below its threshold is a
    FAIL named after the most probable rejecting label.
    """
    part_id = inspection.part_id
    if inspection.fault:
        return not_inspected(part_id, inspection.fault)
    scores = inspection.scores
    if set(scores) != set(rule.labels) or inspection.label not in scores:
        return not_inspected(part_id, "the model's answer does not match its labels")
    if not all(math.isfinite(s) and -1e-3 <= s <= 1.001 for s in scores.values()) or abs(sum(scores.values()) - 1) > 0.01:
        return not_inspected(part_id, "the model's scores are not probabilities")
    if scores[inspection.label] < max(scores.values()):
        return not_inspected(part_id, "the model's label is not its best score")
    if inspection.label in rule.passes:
        least = rule.thresholds.get(inspection.label, 0.0)
        if scores[inspection.label] >= least:
            return Verdict(part_id=part_id, disposition=Disposition.PASS)
        rejecting = {k: v for k, v in scores.items() if k not in rule.passes}
        defect = max(rejecting, key=lambda k: rejecting[k]) if rejecting else "unsure"
        reason = f"{inspection.label} at {scores[inspection.label]:.3f} is below its threshold {least:.3f}"
        return Verdict(part_id=part_id, disposition=Disposition.FAIL, defect=defect, reasons=(reason,))
    reason = f"{inspection.label} at {scores[inspection.label]:.3f}"
    return Verdict(part_id=part_id, disposition=Disposition.FAIL, defect=inspection.label, reasons=(reason,))
