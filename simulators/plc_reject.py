"""The PLC's reject station behind the gate: what became of each part, the proof that a reject fell, and the line stop.

Stands apart from the gate because the gate only says what was ordered. It knows encoder counts, the outcome ring and the bin
sensor's edges; it does not know tokens, nor who the owner is. A stop is latched: only the reset input ends it, no restart does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from simulators.plc_memory import BlockMemory
from simulators.plc_tracking import TrackedPart, counts_between

PASSED = 1
REJECTED = 2
NOT_CONFIRMED = 3
STOP_REQUEST = 0x0200
"""Bit 9 of the gateway's Status2."""


class RejectStation:
    """Outcomes of the parts that have been at the gate, and the reason for which the line stands."""

    def __init__(
        self, up: BlockMemory, down: BlockMemory, *, camera_to_gate: int, confirm_within: int, most_without_token: int
    ) -> None:
        """Take the outcome ring, the gateway's Status2 and the limits; see :class:`simulators.plc.PlcLogic`."""
        self._outcomes = up.ring("ring.outcome")
        self._status2 = down.role("status2")
        self._camera_to_gate = camera_to_gate
        self._confirm_within = confirm_within
        self._most_without_token = most_without_token
        self._falling: deque[TrackedPart] = deque()
        self._without_token = 0
        self._asked = False
        self._reset = False
        self.stop = ""
        """Why the line is stopped; empty while it may run."""

    def clear(self) -> None:
        """Forget every part, as at a first scan; a stop stays."""
        self._falling.clear()
        self._without_token = 0

    def reset(self, pressed: bool) -> None:
        """End a stop on the rising edge of the reset input; a button held down resets nothing that comes later."""
        if pressed and not self._reset:
            self.stop = ""
            self._without_token = 0
        self._reset = pressed

    def heed_request(self, *, permitted: bool) -> None:
        """Stop on the rising edge of the gateway's StopRequest, if the PLC permits it to ask."""
        asked = permitted and bool(self._status2.integer() & STOP_REQUEST)
        if asked and not self._asked:
            self._stop("the gateway asked for it")
        self._asked = asked

    def leave(self, part: TrackedPart, *, passed: bool, sensor: bool) -> None:
        """Take a part that was at the gate; with a bin sensor, one that was turned away has no outcome yet."""
        self._without_token = 0 if part.verdict else self._without_token + 1
        if self._most_without_token and self._without_token >= self._most_without_token:
            self._stop(f"{self._without_token} parts in a row without a token")
        if passed or not sensor:
            self._report(part, PASSED if passed else REJECTED)
        else:
            self._falling.append(part)

    def confirm(self, edges: Sequence[int], encoder: int) -> list[TrackedPart]:
        """Tell the parts turned away that have fallen (``edges``: encoder at the bin sensor); return those that did not.

        An edge is the proof for the one part that the gate turned away no more than ``confirm_within`` counts before, never
        for the next in a queue: a neighbour's fall proves nothing.
        """
        for edge in edges:
            for part in self._falling:
                if 0 <= counts_between(part.encoder, edge) - self._camera_to_gate <= self._confirm_within:
                    self._report(part, REJECTED)
                    self._falling.remove(part)
                    break
        missing = []
        while self._falling and counts_between(self._falling[0].encoder, encoder) - self._camera_to_gate > self._confirm_within:
            part = self._falling.popleft()
            self._report(part, NOT_CONFIRMED)
            self._stop(f"reject of part {part.part_id} not confirmed")
            missing.append(part)
        return missing

    def _stop(self, reason: str) -> None:
        self.stop = self.stop or reason

    def _report(self, part: TrackedPart, outcome: int) -> None:
        slot = self._outcomes[part.part_id % len(self._outcomes)]
        slot["Outcome"].set(outcome)
        slot["PartId"].set(part.part_id)
