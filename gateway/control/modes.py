"""What the PLC's mode means for a part: who decides about it, and whether what became of it is to be reported.

Apart from the line because a verdict and an outcome must be compared that lie seconds apart. Where an existing inspection
decides, which is so in MonitorOnly, and for a gateway that only watches (``gateway run --monitor-only``), a part that
was rejected though judged PASS, or passed though judged FAIL, is a disagreement. A part that passed by Bypass is to be held.
Nothing here changes a verdict; it must not know the tracker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.core.events import PartJudged, PartOutcome
from gateway.core.handshake import Mode, Outcome, mode_of
from gateway.core.verdict import Disposition
from gateway.plc.listener import UpImage

JUDGING_MODES = (Mode.AUTOMATIC, Mode.MONITOR_ONLY)
REPORT_NS = 1_000_000_000
"""How often the number of disagreements may change on the line's state: each has its own record anyway."""
REJECTIONS = {Outcome.REJECTED.name, Outcome.REJECT_NOT_CONFIRMED.name}
#: The disposition that an outcome of the existing inspection contradicts.
CONTRADICTED = {Outcome.PASSED.name: Disposition.FAIL.name} | dict.fromkeys(REJECTIONS, Disposition.PASS.name)
MAY_HAVE_PASSED = {Outcome.BYPASSED.name, Outcome.PASSED.name, "UNKNOWN"}


def why_not_in(mode: Mode) -> str:
    """Return why no part is judged in this mode, or ''."""
    if mode is Mode.BYPASS:
        return "bypassed: the PLC's key switch lets parts pass uninspected"
    return "" if mode in JUDGING_MODES else f"the line is in mode {mode.name}"


@dataclass(frozen=True, slots=True)
class _Judged:
    mode: Mode
    disposition: str
    others_decide: bool


class Modes:
    """The judged parts that have not left the line yet, with the mode that they were judged in."""

    def __init__(self, *, monitor_only: bool = False) -> None:
        """``monitor_only``: this gateway gives no tokens whatever the mode."""
        self._monitor_only = monitor_only
        self._parts: dict[int, _Judged] = {}
        self._count = 0
        self._reported = 0
        self._reported_ns: int | None = None

    def judged(self, record: PartJudged, up: UpImage | None) -> PartJudged:
        """Return the record with the mode that the PLC is in, and remember it until the part leaves the line."""
        if up is None:
            return record
        mode = mode_of(up.control)
        self._parts[record.part_id] = _Judged(mode, record.disposition, self._others_decide(up))
        return replace(record, mode=mode.name)

    def settled(self, record: PartJudged) -> None:
        """Take what a part's record says at last: a PASS whose token could not be given is none."""
        if (judged := self._parts.get(record.part_id)) is not None:
            self._parts[record.part_id] = replace(judged, disposition=record.disposition)

    def leaves(self, record: PartOutcome, up: UpImage | None) -> PartOutcome:
        """Return the outcome's record with what is to be reported of it."""
        judged = self._parts.pop(record.part_id, None)
        if judged is None or up is None:
            return replace(record, hold=record.outcome == Outcome.BYPASSED.name)
        # The PLC lets a part pass by a mode only if it stood at the photo-eye and at the gate: so is it taken here.
        others = judged.others_decide and self._others_decide(up)
        disagrees = others and CONTRADICTED.get(record.outcome) == judged.disposition
        self._count += disagrees
        by_bypass = record.outcome == Outcome.BYPASSED.name
        hold = by_bypass or (judged.mode is Mode.BYPASS and record.outcome in MAY_HAVE_PASSED)
        return replace(record, disagrees_with=judged.disposition if disagrees else "", hold=hold)

    def disagreements(self, now_ns: int) -> int:
        """Return how many disagreements there have been since the start, at most :data:`REPORT_NS` old."""
        if self._reported != self._count and (self._reported_ns is None or now_ns - self._reported_ns >= REPORT_NS):
            self._reported, self._reported_ns = self._count, now_ns
        return self._reported

    def _others_decide(self, up: UpImage) -> bool:
        """Return whether an inspection other than this gateway's decides, and not nobody, so that everything is rejected."""
        mode = mode_of(up.control)
        return mode is Mode.MONITOR_ONLY or (self._monitor_only and mode is Mode.AUTOMATIC and up.owner != 0)
