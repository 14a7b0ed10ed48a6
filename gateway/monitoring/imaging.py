"""Can the pictures be trusted? Level, contrast and sharpness of the last parts against those of the training pictures.

It stands before every adjustment: a dirty lens looks like a bad process, and the remedy for it is a cloth, not the press. No
answer counts as no: without a baseline, without enough fresh pictures, the health is UNKNOWN. It must not know what is done
about it.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from pydantic import BaseModel, ConfigDict, model_validator

from gateway.core.events import PartJudged

WINDOW = 25
MAX_AGE_NS = 10 * 10**9
MAX_MISSED = 12
"""Parts of the last 25 that may be NOT_INSPECTED: beyond, nearly half of the evidence is missing."""

_WORDS = {
    ("level", -1): ("darker", "check the lamp, the exposure time and the aperture"),
    ("level", 1): ("brighter", "check the exposure time, the aperture and light from outside"),
    ("contrast", -1): ("flatter", "clean the lens and the window, look for haze and stray light"),
    ("contrast", 1): ("harsher", "look for glare, a shifted lamp or another material"),
    ("sharpness", -1): ("less sharp", "clean the lens, check focus, vibration and exposure time"),
    ("sharpness", 1): ("grainier or sharper", "check the camera's gain, the focus and the exposure time"),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Limits(_Strict):
    """A quantity's usual value and the limits outside which the pictures are suspect."""

    median: float
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Limits:
        if not self.low <= self.median <= self.high:
            raise ValueError("low, median and high must be in ascending order")
        return self


class ImagingBaseline(_Strict):
    """How pictures look when the imaging is right, in the units of :class:`gateway.core.inspection.ImageStats`."""

    level: Limits
    contrast: Limits
    sharpness: Limits


class Imaging(Enum):
    """The three answers; only NORMAL lets anything be done to the process."""

    NORMAL = "normal"
    OFF_SPEC = "off spec"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingHealth:
    """The answer with its reason and remedy in words; empty when all is well."""

    status: Imaging
    words: str


class ImagingCheck:
    """The imaging of one line, from its last 25 inspected parts."""

    def __init__(
        self,
        baseline: ImagingBaseline | None,
        model_id: str = "",
        recipes: Mapping[str, ImagingBaseline | None] | None = None,
    ) -> None:
        """Take the baseline and the model package that it belongs to (empty: whichever judges).

        ``recipes`` holds the baselines of the packages that may come to judge, by model id.
        """
        self._baseline = baseline
        self._model_id = model_id
        self._recipes = recipes or {}
        self._stats: deque[dict[str, float]] = deque(maxlen=WINDOW)
        self._inspected: deque[bool] = deque(maxlen=WINDOW)
        self._newest_ns = 0
        self._judged_by = ""

    def part(self, record: PartJudged) -> None:
        """Take a judged part; without an inspection it is a missing picture."""
        inspected = record.disposition in ("PASS", "FAIL") and record.stats is not None
        self._inspected.append(inspected)
        if not inspected or record.stats is None:
            return
        if record.model_id != self._judged_by:
            self._judged_by = record.model_id
            self._stats.clear()  # measured on the input of another model
            if record.model_id in self._recipes:
                self._baseline, self._model_id = self._recipes[record.model_id], record.model_id
        self._stats.append(record.stats)
        self._newest_ns = record.t_utc_ns

    def health(self, now_ns: int) -> ImagingHealth:
        """Return the health at ``now_ns`` (UTC)."""
        if unknown := self._unknown(now_ns):
            return ImagingHealth(status=Imaging.UNKNOWN, words=unknown)
        assert self._baseline is not None  # noqa: S101 - unknown without one
        faults = []
        for name in ("level", "contrast", "sharpness"):
            limits: Limits = getattr(self._baseline, name)
            median = statistics.median(stats[name] for stats in self._stats)
            if not limits.low <= median <= limits.high:
                word, remedy = _WORDS[name, -1 if median < limits.low else 1]
                range_ = f"{limits.low:.3g} to {limits.high:.3g}"
                faults.append(f"the pictures are {word} than usual ({name} {median:.3g}, usual is {range_}): {remedy}")
        return ImagingHealth(status=Imaging.OFF_SPEC if faults else Imaging.NORMAL, words="; ".join(faults))

    def _unknown(self, now_ns: int) -> str:
        if self._baseline is None:
            return "the model package has no imaging baseline; train it again with this version"
        if self._model_id and self._judged_by and self._judged_by != self._model_id:
            return f"the imaging baseline belongs to {self._model_id}, but {self._judged_by} judges; restart the gateway"
        if len(self._stats) < WINDOW:
            return f"only {len(self._stats)} of the {WINDOW} pictures needed have been seen"
        age_ns = now_ns - self._newest_ns
        if abs(age_ns) > MAX_AGE_NS:
            return f"the last inspected part is {age_ns / 1e9:.0f} s old"
        missed = self._inspected.count(False)
        if missed > MAX_MISSED:
            return f"{missed} of the last {WINDOW} parts were not inspected"
        if any(name not in stats for stats in self._stats for name in ("level", "contrast", "sharpness")):
            return "the engine does not measure the pictures"
        return ""
