"""The PLC's reject station behind the gate: what became of each part, the proof that a reject fell, and the line stop.

Stands apart from the gate because the gate only says what was ordered. It knows encoder counts, the outcome ring and the bin
sensor's edges; it does not know tokens, nor who the owner is. A stop is latched, its first reason stands: only the reset input
ends it, if its cause is gone, and no restart does. What counts in a row are parts in Automatic; a challenge part or an audit
sample is no sign of a process gone wrong, so it neither raises nor ends a row of rejects.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulators.plant import Mode, StopReason
from simulators.plc_memory import BlockMemory
from simulators.plc_tracking import Decision, TrackedPart, counts_between

PASSED = 1
REJECTED = 2
NOT_CONFIRMED = 3
CHALLENGE = 4
AUDIT = 5
BYPASSED = 6
STOP_REQUEST = 0x0200
"""Bit 9 of the gateway's Status2."""


class RejectStation:
    """Outcomes of the parts that have been at the gate, and the reason for which the line stands."""

    def __init__(
        self,
        up: BlockMemory,
        down: BlockMemory,
        *,
        camera_to_gate: int,
        confirm_within: int,
        most_without_token: int,
        most_rejects: int,
    ) -> None:
        """Take the outcome ring, the gateway's Status2 and the limits; see :class:`simulators.plc.PlcLogic`."""
        self._outcomes = up.ring("ring.outcome")
        self._status2 = down.role("status2")
        self._camera_to_gate = camera_to_gate
        self._confirm_within = confirm_within
        self._most_without_token = most_without_token
        self._most_rejects = most_rejects
        self._falling: list[TrackedPart] = []
        self._without_token = 0
        self._rejects = 0
        self._asked = False
        self._reset = False
        self.stop = ""
        """Why the line is stopped, in words; empty while it may run."""
        self.reason = StopReason.NONE

    def clear(self) -> None:
        """Forget every part, as at a first scan; a stop stays."""
        self.lose()
        self._without_token = self._rejects = 0

    def lose(self) -> None:
        """Forget the parts that have not fallen yet: the counts that would confirm them are lost; they get no outcome."""
        self._falling.clear()

    def reset(self, pressed: bool, causes: Sequence[StopReason]) -> None:
        """End a stop on the rising edge of the reset input; a button held down resets nothing that comes later.

        ``causes``: what is there at this moment; a stop whose cause is there stays.
        """
        if pressed and not self._reset and self.reason not in causes:
            self.stop, self.reason = "", StopReason.NONE
            self._without_token = self._rejects = 0
        self._reset = pressed

    def watch(self, causes: Sequence[StopReason]) -> None:
        """Stop for what is there at this moment."""
        for reason in causes:
            self._stop(reason, _WORDS[reason])

    def heed_request(self, *, permitted: bool) -> None:
        """Stop on the rising edge of the gateway's StopRequest, if the PLC permits it to ask."""
        asked = permitted and bool(self._status2.integer() & STOP_REQUEST)
        if asked and not self._asked:
            self._stop(StopReason.GATEWAY, "the gateway asked for it")
        self._asked = asked

    def leave(self, part: TrackedPart, *, took: Decision, sensor: bool, automatic: bool) -> None:
        """Take a part that was at the gate, which stood as ``took`` says.

        With a bin sensor, one that was turned away has no outcome yet. ``automatic``: it counts in the rows.
        """
        passed = took is Decision.OPEN
        if automatic:
            self._count(part, passed=passed)
        if passed:
            self._report(part, BYPASSED if part.let_by is Mode.BYPASS else PASSED)
        elif took is Decision.RECHECK:
            self._report(part, REJECTED)
        elif sensor:
            behind = (n for n, other in enumerate(self._falling) if counts_between(part.part_id, other.part_id) > 0)
            self._falling.insert(next(behind, len(self._falling)), part)
        else:
            self._report(part, _turned_away(part))

    def confirm(self, edges: Sequence[int], encoder: int) -> list[TrackedPart]:
        """Tell the parts turned away that have fallen (``edges``: encoder at the bin sensor); return those that did not.

        An edge is the proof for the one part that the gate turned away no more than ``confirm_within`` counts before, never
        for the next in a queue: a neighbour's fall proves nothing.
        """
        for edge in edges:
            for part in self._falling:
                if 0 <= counts_between(part.encoder, edge) - self._camera_to_gate <= self._confirm_within:
                    self._report(part, _turned_away(part))
                    self._falling.remove(part)
                    break
        late = self._camera_to_gate + self._confirm_within
        missing = [part for part in self._falling if counts_between(part.encoder, encoder) > late]
        for part in missing:
            self._falling.remove(part)
            self._report(part, NOT_CONFIRMED)
            self._stop(StopReason.NOT_CONFIRMED, f"reject of part {part.part_id} not confirmed")
        return missing

    def _count(self, part: TrackedPart, *, passed: bool) -> None:
        self._without_token = 0 if part.verdict else self._without_token + 1
        if self._most_without_token and self._without_token >= self._most_without_token:
            self._stop(StopReason.NO_TOKENS, f"{self._without_token} parts in a row without a token")
        if passed:
            self._rejects = 0
        elif not part.challenge and not part.audit:
            self._rejects += 1
        if self._most_rejects and self._rejects >= self._most_rejects:
            self._stop(StopReason.REJECTS, f"{self._rejects} rejects in a row")

    def _stop(self, reason: StopReason, words: str) -> None:
        if not self.stop:
            self.stop, self.reason = words, reason

    def _report(self, part: TrackedPart, outcome: int) -> None:
        slot = self._outcomes[part.part_id % len(self._outcomes)]
        slot["Outcome"].set(outcome)
        slot["PartId"].set(part.part_id)


def _turned_away(part: TrackedPart) -> int:
    """Return the outcome of a part that went where it was turned."""
    return CHALLENGE if part.challenge else AUDIT if part.audit else REJECTED


_WORDS = {
    StopReason.BIN_FULL: "the reject bin is full",
    StopReason.BIN_UNLOCKED: "the reject bin is unlocked",
    StopReason.AIR_LOST: "the air pressure is lost",
    StopReason.EJECTOR_NOT_HOME: "the ejector is not home",
    StopReason.ENCODER_FAULT: "the encoder is at fault",
    StopReason.BYPASS_LIMIT: "the limit of bypass is reached",
    StopReason.RING_TOO_SLOW: "the token ring is too slow for the part rate",
}
