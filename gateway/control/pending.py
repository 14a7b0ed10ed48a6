"""Judged parts whose token is on its way: a record is complete only when its token's fate is known.

The rules of the ring over time stand here: a PASS is written within its part's deadline or not at all, and what was never
written is no PASS in the record either. It must not know the link.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.core.events import PartJudged, TokenFate
from gateway.core.handshake import VerdictRing
from gateway.core.verdict import Disposition

SETTLE_NS = 1_000_000_000
"""How long after its deadline a token may wait for a lost link before its record is closed."""
MAX_DRAFTS = 64
"""More than the ring can hold are waiting only because it is not written; the oldest of them is given up."""


@dataclass(slots=True)
class _Draft:
    record: PartJudged
    due_ns: int
    until_ns: int
    sent: bool = False


def voided(record: PartJudged, reason: str) -> PartJudged:
    """Return the record of a part whose token never left: without a token nothing passes, so it is no PASS."""
    if record.disposition != Disposition.PASS.name:
        return replace(record, token=TokenFate.VOID)
    reasons = (reason, *record.reasons)
    return replace(record, token=TokenFate.VOID, disposition=Disposition.NOT_INSPECTED.name, reasons=reasons)


class Pending:
    """The drafts by part, beside the ring that holds their tokens; ``done`` takes each finished record once."""

    def __init__(self, ring: VerdictRing, done: Callable[[PartJudged], None]) -> None:
        """Start empty."""
        self._ring = ring
        self._done = done
        self._drafts: dict[int, _Draft] = {}

    def __len__(self) -> int:
        """Return how many parts wait."""
        return len(self._drafts)

    def add(self, record: PartJudged, due_ns: int, now_ns: int) -> None:
        """Take the record of a part whose token has just been put into the ring."""
        self._drafts[record.part_id] = _Draft(record=record, due_ns=due_ns, until_ns=max(due_ns, now_ns) + SETTLE_NS)
        while len(self._drafts) > MAX_DRAFTS:
            self._finish(next(iter(self._drafts)), "too many parts wait for the link")

    def compose(self, now_ns: int, why_not: Callable[[PartJudged], str]) -> Sequence[tuple[int, int, int]]:
        """Return the ring to write now; what may not be written any more is taken out of it first.

        ``why_not`` says why this PASS may not be issued at the moment, or ''; one that was written before stays, for the PLC
        may have it.
        """
        for part_id, draft in list(self._drafts.items()):
            passing = draft.record.disposition == Disposition.PASS.name
            if not self._ring.holds(part_id):
                self._finish(part_id, "a later part took its slot of the ring")
            elif passing and now_ns > draft.due_ns:
                self._finish(part_id, "its token could not be written before the deadline")
            elif passing and not draft.sent and (trouble := why_not(draft.record)):
                self._finish(part_id, trouble)
            else:
                draft.sent = True
        return self._ring.words()

    def acked(self, part_ids: frozenset[int], t_mono_ns: int) -> list[PartJudged]:
        """Take note that the PLC has the tokens of these parts; return the records that this completed."""
        finished = []
        for part_id in [p for p in self._drafts if p in part_ids]:
            draft = self._drafts.pop(part_id)
            fate = TokenFate.LATE if t_mono_ns > draft.due_ns else TokenFate.ACKED
            finished.append(replace(draft.record, token=fate, t_acked_mono_ns=t_mono_ns))
            self._done(finished[-1])
        return finished

    def doubt(self, part_id: int, reason: str) -> None:
        """Take back a PASS that has not been sent yet; one that is out stands."""
        draft = self._drafts.get(part_id)
        if draft is not None and not draft.sent and draft.record.disposition == Disposition.PASS.name:
            self._finish(part_id, reason)

    def expire(self, now_ns: int) -> None:
        """Close the records of tokens that wait for a link that does not come back."""
        for part_id, draft in list(self._drafts.items()):
            passing = draft.record.disposition == Disposition.PASS.name
            if now_ns > draft.until_ns or (passing and not draft.sent and now_ns > draft.due_ns):
                self._finish(part_id, "its token could not be written before the deadline")

    def abandon(self, reason: str) -> None:
        """Close every record and empty the ring: the epoch is void, or the process ends."""
        for part_id in list(self._drafts):
            self._finish(part_id, reason)
        self._ring.clear()

    def _finish(self, part_id: int, reason: str) -> None:
        self._ring.drop(part_id)
        draft = self._drafts.pop(part_id)
        self._done(replace(draft.record, token=TokenFate.UNKNOWN) if draft.sent else voided(draft.record, reason))
