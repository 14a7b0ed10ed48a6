"""Where in its journal a judged part is recorded: the one question that reading the journal from its end cannot answer soon.

Kept in the operations database by services, in the transaction that moves the cursor, so that the journal's writer does nothing
more for it. An entry is a hint: whoever follows it looks whether the record is that of the part. It must not know a record.
"""

from __future__ import annotations

import sqlite3

SCHEMA = """
CREATE TABLE IF NOT EXISTS parts (
  n INTEGER PRIMARY KEY, line TEXT NOT NULL, part_id INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
  UNIQUE (line, part_id, epoch));
"""
MAX_PARTS = 1_000_000
"""So many are remembered of all lines, about 60 MB; older ones are found by reading, if at all."""
SAME_ID = 100
"""PartIds come again with a new owner's epoch: so many of one id are returned."""


class Parts:
    """The index, on the operations database's connection and thread."""

    def __init__(self, db: sqlite3.Connection, *, most: int = MAX_PARTS) -> None:
        """Take the connection and how many parts are remembered."""
        self._db = db
        self._most = most

    def add(self, *, line: str, epoch: int, part_id: int, seq: int) -> None:
        """Remember a part's record; inside the caller's transaction. The same part again counts as the newest."""
        new = self._db.execute(
            "INSERT OR REPLACE INTO parts (line, part_id, epoch, seq) VALUES (?, ?, ?, ?)", (line, part_id, epoch, seq)
        )
        self._db.execute("DELETE FROM parts WHERE n <= ?", ((new.lastrowid or 0) - self._most,))

    def find(self, line: str, part_id: int, epoch: int | None = None) -> list[int]:
        """Return the journal numbers of the parts with this id (of one epoch, or of all), newest first."""
        rows = self._db.execute(
            "SELECT seq FROM parts WHERE line = ?1 AND part_id = ?2 AND (?3 IS NULL OR epoch = ?3) ORDER BY n DESC LIMIT ?4",
            (line, part_id, epoch, SAME_ID),
        )
        return [int(seq) for (seq,) in rows]
