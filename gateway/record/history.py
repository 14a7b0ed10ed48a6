"""Where in its journal a time is, and what services alone knows of the past: kept in the operations database.

The journal is ordered by number, and its times may step back when the clock is set. So it is divided into blocks, and of each
the earliest and latest time in it is kept: whatever is of a time is in one of the blocks around it, however the clock went.
With the counts before each block those at any time are counted from there, never from the beginning. It must not know a record.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

SCHEMA = """
CREATE TABLE IF NOT EXISTS history_blocks (
  line TEXT NOT NULL, journal TEXT NOT NULL, after INTEGER NOT NULL, last INTEGER NOT NULL, low_ns INTEGER NOT NULL,
  high_ns INTEGER NOT NULL, state_seq INTEGER NOT NULL, counts TEXT NOT NULL, PRIMARY KEY (line, journal, after)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS history_blocks_up ON history_blocks (line, journal, low_ns, high_ns);
CREATE INDEX IF NOT EXISTS history_blocks_down ON history_blocks (line, journal, high_ns, low_ns);
CREATE TABLE IF NOT EXISTS history_notes (
  n INTEGER PRIMARY KEY, line TEXT NOT NULL, what TEXT NOT NULL, journal TEXT NOT NULL, seq INTEGER NOT NULL,
  t_utc_ns INTEGER NOT NULL, value TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_notes_by_time ON history_notes (line, what, t_utc_ns);
"""
MAX_NOTES = 1_000_000
"""So many changes of a health are remembered of all lines; those of the counters always are."""

What = Literal["reset", "imaging"]
_COLUMNS = "after, last, low_ns, high_ns, state_seq, counts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Records of one journal: those after number ``after``, up to ``last``."""

    after: int
    last: int
    low_ns: int
    high_ns: int
    """The earliest and the latest time (UTC) in it."""
    state_seq: int
    """Number of the last record of the line's state before it, 0 for none."""
    counts: dict[str, int]
    """What had been counted before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that is in no journal: when the counters were reset and to what, or how the imaging is."""

    n: int
    seq: int
    """After which record of the journal."""
    t_utc_ns: int
    value: Any


class History:
    """Blocks and notes, on a connection to the operations database and its thread; written inside the caller's transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Take the connection."""
        self._db = db

    def add_block(self, line: str, journal: str, block: Block) -> None:
        """Keep a block that is full; the same one again changes nothing."""
        for note in self.resets(line, journal, block.after, block.last - 1):
            block = _with(block, note.t_utc_ns)
        values = (block.after, block.last, block.low_ns, block.high_ns, block.state_seq, json.dumps(block.counts))
        self._db.execute("INSERT OR REPLACE INTO history_blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (line, journal, *values))

    def note(self, line: str, what: What, *, journal: str, seq: int, t_utc_ns: int, value: Any) -> None:
        """Keep a note; ``journal`` and ``seq`` say after which record it came."""
        row = (line, what, journal, seq, t_utc_ns, json.dumps(value))
        new = self._db.execute(
            "INSERT INTO history_notes (line, what, journal, seq, t_utc_ns, value) VALUES (?, ?, ?, ?, ?, ?)", row
        )
        self._db.execute("DELETE FROM history_notes WHERE n <= ? AND what <> 'reset'", ((new.lastrowid or 0) - MAX_NOTES,))

    def blocks(
        self, line: str, journal: str, low_ns: int, high_ns: int, *, newest_first: bool, growing: Block | None
    ) -> Iterator[Block]:
        """Yield the blocks that may hold a time of this range, ordered by their beginning or, newest first, by their end.

        ``growing`` is the one that is not full yet.
        """
        order = "high_ns DESC" if newest_first else "low_ns"
        sql = (
            f"SELECT {_COLUMNS} FROM history_blocks"  # noqa: S608 - fixed names only
            f" WHERE line = ? AND journal = ? AND high_ns >= ? AND low_ns <= ? ORDER BY {order}"
        )
        if growing is not None:
            for note in self.resets(line, journal, growing.after, growing.last):
                growing = _with(growing, note.t_utc_ns)
            if growing.high_ns < low_ns or growing.low_ns > high_ns:
                growing = None
        for row in self._db.execute(sql, (line, journal, low_ns, high_ns)):
            block = Block(**dict(zip(_COLUMNS.split(", "), (*row[:5], json.loads(row[5])), strict=True)))
            if growing is not None and (growing.high_ns > block.high_ns if newest_first else growing.low_ns < block.low_ns):
                yield growing
                growing = None
            yield block
        if growing is not None:
            yield growing

    def resets(self, line: str, journal: str, after: int, last: int) -> list[Note]:
        """Return when the counters were reset after one of these records, in order."""
        return self._notes("line = ? AND what = 'reset' AND journal = ? AND seq BETWEEN ? AND ?", line, journal, after, last)

    def reset_before(self, line: str, journal: str, seq: int) -> Note | None:
        """Return how the counters were reset last before this record, whatever the journal was then; None if never."""
        earlier = self._notes(
            "line = ? AND what = 'reset' AND (journal <> ? OR seq < ?)", line, journal, seq, order="n DESC LIMIT 1"
        )
        return earlier[0] if earlier else None

    def imaging(self, line: str, low_ns: int, high_ns: int, *, newest_first: bool, most: int) -> list[Note]:
        """Return the first (newest first: last) ``most`` changes of the imaging's health in this range of times."""
        way = "DESC" if newest_first else "ASC"
        order = f"t_utc_ns {way}, n {way} LIMIT {most:d}"
        return self._notes("line = ? AND what = 'imaging' AND t_utc_ns BETWEEN ? AND ?", line, low_ns, high_ns, order=order)

    def _notes(self, where: str, *values: object, order: str = "n") -> list[Note]:
        sql = f"SELECT n, seq, t_utc_ns, value FROM history_notes WHERE {where} ORDER BY {order}"  # noqa: S608 - literals
        return [Note(n=n, seq=seq, t_utc_ns=t, value=json.loads(value)) for n, seq, t, value in self._db.execute(sql, values)]


def grown(block: Block, last: int, times_ns: Sequence[int]) -> Block:
    """Return the block with one more record, whose times are these."""
    return replace(block, last=last, low_ns=min(block.low_ns, *times_ns), high_ns=max(block.high_ns, *times_ns))


def _with(block: Block, t_ns: int) -> Block:
    return grown(block, block.last, (t_ns,))
