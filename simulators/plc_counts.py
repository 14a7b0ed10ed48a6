"""Whether the belt's counts can be believed, and for how long nothing passes after they could not.

Stands apart because a part is followed by counts alone: when they are lost, whatever the register holds is wrong, and the parts
on the belt are unknown until they must have left it. It knows encoder values, times and the program's geometry; it does not
know verdicts, nor how the gate stands. Counts are lost

- while the input says so;
- when they move on or back from one scan to the next by more than the gate window for each scan's time gone by (a window
  exceeds the counts of one scan, so no belt is as fast): a counter that was reset, set or disturbed;
- when a part lies before the photo-eye by more than the gate window: an edge latched before a reset, or a belt that ran back so
  far that its parts cross the photo-eye anew.

What moves the counts by less than that shifts a part by less than its window. What it does not see is many small slips.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from simulators.plant import PlcInputs
from simulators.plc_tracking import counts_between


class BeltCounts:
    """The encoder's value at the last scan, and from where on the belt must clear."""

    def __init__(self, *, camera_to_gate: int, gate_window: int, scan_ms: float) -> None:
        """Take the geometry in encoder counts and the nominal time from scan to scan."""
        self._camera_to_gate = camera_to_gate
        self._gate_window = gate_window
        self._scan_ms = scan_ms
        self._encoder = 0
        self._now_ms = 0.0
        self._started_at = 0
        self.rejecting = True
        """Nothing passes yet."""

    def start(self, inputs: PlcInputs) -> None:
        """Begin anew at a first scan: what lies between photo-eye and gate is unknown."""
        self._encoder, self._now_ms = inputs.encoder, inputs.now_ms
        self._distrust(inputs.encoder)

    def lost(self, inputs: PlcInputs, parts: Iterable[int]) -> bool:
        """Look at this scan's counts, once; True if they are lost, and then nothing passes until the belt has cleared.

        ``parts``: encoder at the photo-eye of the parts under way; those of this scan's edges are looked at with them.
        """
        elapsed = inputs.now_ms - self._now_ms
        scans = math.ceil(elapsed / self._scan_ms) if 0 < self._scan_ms < elapsed else 1
        moved = abs(counts_between(self._encoder, inputs.encoder))
        self._encoder, self._now_ms = inputs.encoder, inputs.now_ms
        lost = (
            inputs.encoder_fault
            or moved // scans > self._gate_window
            or any(counts_between(at, inputs.encoder) < -self._gate_window for at in (*inputs.latches, *parts))
        )
        if lost:
            self._distrust(inputs.encoder)
        return lost

    def clear(self, encoder: int) -> None:
        """Let parts pass again once the belt has moved by the distance from the photo-eye to the gate."""
        if self.rejecting and counts_between(self._started_at, encoder) >= self._camera_to_gate:
            self.rejecting = False

    def _distrust(self, encoder: int) -> None:
        self._started_at, self.rejecting = encoder, True
