"""Is the share of defects rising? A mixture Shiryaev-Roberts e-detector over the parts of one stream, one part at a time.

It stands here, and not in a chart, because its promise holds for every history: at most one false alarm in ``arl0`` parts as
long as the defect probability stays at or below the tolerated one. It must not know what is done about an alarm, nor what
time it is.

Sources: Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection" (NEJSDS 2024);
Pollak, "Optimal detection of a change in distribution" (Ann. Statist. 1985); Clopper, Pearson (Biometrika 1934).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaincinv, xlogy

WEIGHTS = {1.5: 0.1, 2.0: 0.25, 3.0: 0.3, 5.0: 0.15, 10.0: 0.15, 20.0: 0.05}
"""ρ, by how many times the defect probability may have risen, with its weight in the mean: small rises take longest."""
CONFIDENCE = 0.9
WINDOW_PARTS = 5000
WINDOW_DEFECTS = 200
ONSET_DROP = 3.0


def upper_limit(defects: int, parts: int, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided upper Clopper-Pearson limit of a defect probability after ``defects`` in ``parts``.

    A plain estimate in its place would cut the true run length between false alarms. ValueError for impossible counts.
    """
    if not 0 <= defects <= parts or parts == 0 or not 0 < confidence < 1:
        raise ValueError(f"{defects} defects in {parts} parts at {confidence} is no count")
    return 1.0 if defects == parts else float(betaincinv(defects + 1, parts - defects, confidence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A part in the stream."""

    index: int
    """Its place in the stream since the detector was armed, from 0."""
    part_id: int
    t_utc_ns: int
    defect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """When the rise began, as an interval: a single point would claim more than the data say."""

    earliest: Mark
    """The last part before the interval (or the first part known): the rise began after it, at the earliest."""
    latest: Mark
    """The part by which it had begun."""
    parts: int
    """Parts since the most likely onset."""
    defects: int
    """Defects among them."""
    main_defect: str
    """The most frequent defect among them."""
    main_count: int


class TrendDetector:
    """Takes parts, tells whether there is an alarm: R ← (1 + R)·L for each ρ, and their weighted mean is held against ``arl0``.

    L = ρ on a defect, else (1 - ρ·p0)/(1 - p0), so that the expectation of L is at most 1 for any probability ≤ p0.
    In alarm every R is scaled back so that the mean stands at ``arl0``. So nothing overflows, and an alarm that nobody could
    answer ends soon after the process has recovered; the way to the first alarm is not touched by it.
    """

    def __init__(self, *, p0: float, arl0: float) -> None:
        """``p0`` is the tolerated defect probability (0-1), ``arl0`` the parts per tolerated false alarm.

        ValueError when no ratio ρ with ρ·p0 < 1 is left, or ``arl0`` is not above 1.
        """
        ratios = [ratio for ratio in WEIGHTS if ratio * p0 < 1]
        if not p0 > 0 or not ratios or not arl0 > 1:
            raise ValueError(f"a trend needs 0 < p0 < {1 / min(WEIGHTS):.2f} and arl0 > 1, not {p0} and {arl0}")
        self.p0 = p0
        self.arl0 = arl0
        self._factors = [(ratio, (1 - ratio * p0) / (1 - p0)) for ratio in ratios]
        self._weights = [WEIGHTS[ratio] / sum(WEIGHTS[r] for r in ratios) for ratio in ratios]
        self._r = [0.0] * len(ratios)
        self._total = 0
        self._base = 0
        self._before: Mark | None = None
        self._defects: deque[Mark] = deque()

    @property
    def statistic(self) -> float:
        """Return the weighted mean of all R, at most ``arl0``."""
        return sum(w * r for w, r in zip(self._weights, self._r, strict=True))

    def update(self, *, part_id: int, t_utc_ns: int, defect: str | None) -> bool:
        """Take one judged part (``defect`` is None for a good one) and return whether there is an alarm now."""
        bad = defect is not None
        self._r = [(1.0 + r) * (ratio if bad else good) for r, (ratio, good) in zip(self._r, self._factors, strict=True)]
        statistic = self.statistic
        alarm = statistic >= self.arl0
        if alarm:
            self._r = [r * self.arl0 / statistic for r in self._r]
        mark = Mark(index=self._total, part_id=part_id, t_utc_ns=t_utc_ns, defect=defect or "")
        if self._before is None:
            self._before = mark
        if bad:
            self._defects.append(mark)
        self._total += 1
        while self._defects and (len(self._defects) > WINDOW_DEFECTS or self._defects[0].index < self._total - WINDOW_PARTS):
            self._before = self._defects.popleft()
            self._base = self._before.index + 1
        return alarm

    def arm(self, *, keep_history: bool = False) -> None:
        """Begin anew without evidence. ``keep_history`` keeps the parts from which :meth:`onset` tells the beginning."""
        self._r = [0.0] * len(self._r)
        if not keep_history:
            self._total, self._base, self._before = 0, 0, None
            self._defects.clear()

    def onset(self) -> Onset | None:
        """Return when the rise began: {τ : ℓmax - ℓ(τ) ≤ 3} of the likelihood of a step to any higher rate at part τ.

        None when there is no defect in the window.
        """
        if not self._defects or self._before is None:
            return None
        at = np.array([mark.index for mark in self._defects])
        tau = np.arange(max(self._base, self._total - WINDOW_PARTS), self._total)
        first = np.searchsorted(at, tau)
        bad = len(at) - first
        parts = self._total - tau
        rate = np.maximum(bad / parts, self.p0)
        likelihood = xlogy(bad, rate / self.p0) + xlogy(parts - bad, (1 - rate) / (1 - self.p0))
        best = int(likelihood.argmax())
        within = np.flatnonzero(likelihood >= likelihood[best] - ONSET_DROP)
        low, high = int(first[within[0]]), min(int(first[within[-1]]), len(at) - 1)
        since = list(self._defects)[int(first[best]) :]
        counts: dict[str, int] = {}
        for mark in since:
            counts[mark.defect] = counts.get(mark.defect, 0) + 1
        main = max(counts, key=lambda name: counts[name])
        return Onset(
            earliest=self._defects[low - 1] if low else self._before,
            latest=self._defects[high],
            parts=int(parts[best]),
            defects=len(since),
            main_defect=main,
            main_count=counts[main],
        )

    def state(self) -> dict[str, Any]:
        """Return everything needed to go on after a restart, as JSON values."""
        return {
            "p0": self.p0,
            "arl0": self.arl0,
            "r": self._r,
            "total": self._total,
            "base": self._base,
            "before": _flat(self._before) if self._before else None,
            "defects": [_flat(mark) for mark in self._defects],
        }

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Go on from :meth:`state`; a state of other settings is not used, since its numbers mean something else."""
        if state is None or (state["p0"], state["arl0"], len(state["r"])) != (self.p0, self.arl0, len(self._r)):
            return
        self._r = [float(r) for r in state["r"]]
        self._total, self._base = state["total"], state["base"]
        self._before = _mark(state["before"]) if state["before"] else None
        self._defects = deque(_mark(flat) for flat in state["defects"])


def _flat(mark: Mark) -> list[int | str]:
    return [mark.index, mark.part_id, mark.t_utc_ns, mark.defect]


def _mark(flat: list[Any]) -> Mark:
    return Mark(index=flat[0], part_id=flat[1], t_utc_ns=flat[2], defect=flat[3])
