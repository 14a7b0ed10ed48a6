"""Whether the wall clock can be trusted: it tells a clock that was set from one that runs.

Nothing in control is decided by the wall clock. It stands in every record, though, and people and other machines compare it;
so records say when it had been set a short time ago. It must not read a clock: it is given both readings.
"""

from __future__ import annotations

STEP_NS = 500_000_000
"""A change of wall − monotonic time by more than this between two looks is a step. What a time service slews is far less."""
SETTLE_NS = 60_000_000_000


class WallTime:
    """Compares wall − monotonic time with what it was at the last look.

    After a step nobody here can say which of the two times was right. A time service, or a person, sets the clock and leaves
    it: so the new time is taken for right once it has run evenly for :data:`SETTLE_NS`, also if it is the old one again.
    """

    def __init__(self) -> None:
        """Trust the first reading: there is nothing to hold it against."""
        self._delta_ns: int | None = None
        self._stepped_mono_ns: int | None = None
        self.step = ""
        """How the clock was set, in words, while it is not trusted; '' while it is."""

    def look(self, mono_ns: int, utc_ns: int) -> None:
        """Take both clocks, read one right after the other."""
        delta_ns = utc_ns - mono_ns
        moved_ns = 0 if self._delta_ns is None else delta_ns - self._delta_ns
        self._delta_ns = delta_ns
        if abs(moved_ns) > STEP_NS:
            self._stepped_mono_ns = mono_ns
            self.step = f"the wall clock was set by {moved_ns / 1e9:+.3f} s"
        elif self._stepped_mono_ns is not None and mono_ns - self._stepped_mono_ns >= SETTLE_NS:
            self._stepped_mono_ns = None
            self.step = ""
