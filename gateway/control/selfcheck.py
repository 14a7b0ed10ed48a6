"""The self-check that feeds the heartbeat: every stage of the way from picture to token has lately been seen to work.

A heartbeat that a timer feeds says that a timer runs. This one is counted up only while the parts are served, which the looks
taken here prove, while each stage says that it works, and after a fresh read of the PLC, which is the link's own affair. Pure:
it must not know what the stages do, and it is given the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.core.errors import SelfCheckFailed

BOUND_NS = 150_000_000
"""How old a proof may be. With the heartbeat's 100 ms the PLC's 300 ms have not yet passed."""
HUNG_LOOKS = 2_000
"""A stage that fails in so many looks (20 s of them) does not mend itself."""
UNSERVED = "parts are not served"


class SelfCheck:
    """``stages``: by the words for its failure, what tells whether a stage works at a time in ns (monotonic)."""

    def __init__(self, stages: Mapping[str, Callable[[int], bool]]) -> None:
        """Start without any proof: all of it has failed until the first look."""
        self._stages = stages
        self._proven: dict[str, int | None] = dict.fromkeys((UNSERVED, *stages))
        self._failed_looks = 0
        self.trouble = ""
        """What had failed at the last look, in words that stay the same as long as it does; '' when all was well."""

    def look(self, now_ns: int) -> None:
        """Ask every stage; that somebody asks is the proof that parts are served.

        Raises SelfCheckFailed when a stage has failed for too long: the process must end, and be started afresh.
        """
        self._proven[UNSERVED] = now_ns
        for words, works in self._stages.items():
            if works(now_ns):
                self._proven[words] = now_ns
        self.trouble = self.failed(now_ns)
        # Looks, not time: a process that was stopped for long finds everything old, and needs a moment.
        self._failed_looks = self._failed_looks + 1 if self.trouble else 0
        if self._failed_looks > HUNG_LOOKS:
            raise SelfCheckFailed(self.trouble)

    def failed(self, now_ns: int) -> str:
        """Return what has no fresh proof now, in words, or ''."""
        return ", ".join(words for words, at in self._proven.items() if at is None or now_ns - at > BOUND_NS)
