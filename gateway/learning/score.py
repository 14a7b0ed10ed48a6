"""What a model's answers are worth: accuracy, recall, confusion, and what they would have done at the reject station.

Judged by the line's own rule (``core.verdict.judge``), so that a figure here means what it will mean there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.core.inspection import Inspection
from gateway.core.verdict import Disposition, JudgeRule, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Figures over pictures whose class is known."""

    accuracy: float
    recall: dict[str, float]
    """Share of each class's pictures that were given their class."""
    confusion: dict[str, dict[str, int]]
    """True class → given label → pictures."""
    escapes: int
    """Pictures of rejecting classes that would have passed."""
    false_rejects: int
    """Pictures of passing classes that would have been rejected."""

    @property
    def pictures(self) -> int:
        """How many were judged."""
        return sum(sum(row.values()) for row in self.confusion.values())

    def counts(self) -> dict[str, dict[str, int]]:
        """Return pictures, correct and wrong for each true class."""
        found = {}
        for label, row in self.confusion.items():
            total = sum(row.values())
            found[label] = {"pictures": total, "correct": row[label], "wrong": total - row[label]}
        return found

    def lines(self) -> list[str]:
        """Return the report for a person."""
        width = max(len(k) for k in self.recall)
        share = f"accuracy {100 * self.accuracy:.2f} % of {self.pictures}"
        rows = [f"{share}, escapes {self.escapes}, false rejects {self.false_rejects}"]
        for label, count in self.counts().items():
            missed = ", ".join(f"{n} as {k}" for k, n in self.confusion[label].items() if n and k != label)
            found = f"{count['correct']:>5} of {count['pictures']:>5}  {100 * self.recall[label]:6.2f} %"
            rows.append(f"  {label:<{width}}  {found}  {missed}".rstrip())
        return rows


def score(truth: Sequence[str], answers: Sequence[Mapping[str, float]], rule: JudgeRule) -> Score:
    """Score answers (probability by label) against the true labels; a picture that gets no verdict counts as not passed."""
    present = sorted(set(truth))
    confusion = {k: dict.fromkeys(rule.labels, 0) for k in present}
    escapes = false_rejects = 0
    for true, answer in zip(truth, answers, strict=True):
        given = max(answer, key=lambda k: answer[k])
        confusion[true][given] += 1
        passed = judge(Inspection(part_id=1, label=given, scores=answer), rule).disposition is Disposition.PASS
        escapes += passed and true not in rule.passes
        false_rejects += not passed and true in rule.passes
    correct = sum(confusion[k][k] for k in present)
    return Score(
        accuracy=correct / len(truth),
        recall={k: confusion[k][k] / sum(confusion[k].values()) for k in present},
        confusion=confusion,
        escapes=escapes,
        false_rejects=false_rejects,
    )


def as_answers(rows: Sequence[Sequence[float]], labels: Sequence[str]) -> list[dict[str, float]]:
    """Return rows of probabilities as answers by label."""
    return [dict(zip(labels, map(float, row), strict=True)) for row in rows]
