"""One line's records on their way into the index of times, which is committed with the cursor, and what services notes itself.

It must not know a tag.
"""

from __future__ import annotations

from dataclasses import asdict

from gateway.core.events import LineState, PartJudged, Record
from gateway.opcua.counters import Counters
from gateway.opcua.result import capture_time_ns
from gateway.record.history import Block, grown
from gateway.record.ops import OpsDatabase

BLOCK = 300
"""Records: reading one takes 30 ms at most, and they are those of ten seconds at ten parts a second."""


class HistoryMarks:
    """The block that grows, and what waits for the next commit: :meth:`save` inside it, :meth:`saved` after it."""

    def __init__(self, line: str, ops: OpsDatabase, *, state_seq: int, size: int = BLOCK) -> None:
        """Go on where ``ops`` says that the last process stopped; ``state_seq`` is the number of the line's last state."""
        self._line = line
        self._ops = ops
        self._size = size
        kept = ops.state(key(line)) or {}
        self._journal: str = kept.get("journal", "")
        self._growing = Block(**kept["block"]) if kept else None
        self._state_seq: int = kept.get("state_seq", state_seq)
        self._full: list[tuple[str, Block]] = []
        self._imaging: list[tuple[int, tuple[int, bool] | None]] = []

    def take(self, record: Record, journal: str, counters: Counters) -> None:
        """Take a numbered record; ``counters`` has not counted it yet."""
        block = self._growing
        if block is None or journal != self._journal:
            if journal != self._journal and self._journal:
                self._state_seq = 0  # it is not in this journal
            block = self._empty(record, record.seq - 1, counters)
        elif block.last - block.after >= self._size:
            self._full.append((self._journal, block))
            block = self._empty(record, block.last, counters)
        self._journal = journal
        times = (record.t_utc_ns, capture_time_ns(record)) if isinstance(record, PartJudged) else (record.t_utc_ns,)
        self._growing = grown(block, record.seq, times)
        if isinstance(record, LineState):
            self._state_seq = record.seq

    def _empty(self, record: Record, after: int, counters: Counters) -> Block:
        t, counts = record.t_utc_ns, asdict(counters)
        return Block(after=after, last=after, low_ns=t, high_ns=t, state_seq=self._state_seq, counts=counts)

    def imaging(self, index: int | None, certain: bool, now_ns: int) -> None:
        """Take note of the imaging's health; None for not known."""
        self._imaging.append((now_ns, None if index is None else (index, certain)))

    def reset(self, base: Counters, now_ns: int, journal: str, seq: int) -> None:
        """Write down that the counters begin at ``base`` after this record; inside the transaction that does so."""
        value = asdict(base)
        self._ops.history.note(self._line, "reset", journal=journal, seq=seq, t_utc_ns=now_ns, value=value)

    def save(self) -> None:
        """Write all of it down; to be called again when the commit fails. Raises what the database raises."""
        for journal, block in self._full:
            self._ops.history.add_block(self._line, journal, block)
        for t, value in self._imaging:
            self._ops.history.note(self._line, "imaging", journal="", seq=0, t_utc_ns=t, value=value)
        if self._growing is not None:
            kept = {"journal": self._journal, "block": asdict(self._growing), "state_seq": self._state_seq}
            self._ops.set_state(key(self._line), kept)

    def saved(self) -> None:
        """Forget what is on the disk now."""
        self._full.clear()
        self._imaging.clear()


def key(line: str) -> str:
    """Return under which key of the operations database the block that grows is kept."""
    return f"history.{line}"
