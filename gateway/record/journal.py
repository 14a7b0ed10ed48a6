"""The journal: every record of one line, numbered without gaps and durable before it is acknowledged.

SQLite (:mod:`gateway.record.database`), written by one thread of its own, so that an fsync never stands on the event loop.
What queues up while one commit runs goes into the next (group commit). Control is the only writer; everybody else opens a
:class:`JournalReader`. It must not know what a record means.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.core.errors import GatewayError
from gateway.core.events import Record, from_json, to_json
from gateway.record.database import Connect, connect, lock, open_durable, roll_back

RESERVE_BYTES = 4 << 20
BATCH = 512
RETRY_S = 1.0
QUEUE = 8192
"""Records that may wait for a slow disk, a few MB; no part passes long before that many do."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, t_utc_ns INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    seq: int
    queued_ns: int
    t_utc_ns: int
    kind: str
    body: str


class Journal:
    """The one writer of a journal. Every method may be called from the event loop, none of them waits for the disk.

    Raises :class:`GatewayError` at construction when the file cannot be opened or another process writes it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        on_commit: Callable[[int], None] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        reserve_bytes: int = RESERVE_BYTES,
        connect: Connect = connect,
    ) -> None:
        """Open or create the journal at ``path`` and continue its numbering.

        ``on_commit(seq)`` is called from the writer's thread when everything up to ``seq`` is durable; ``clock`` returns
        monotonic ns; ``connect`` opens the file.
        """
        self.path = Path(path)
        self.on_commit = on_commit
        self._clock = clock
        self._reserve_bytes = reserve_bytes
        self._reserve = self.path.with_name(self.path.name + ".reserve")
        self._change = threading.Condition()
        self._queue: deque[_Entry] = deque()
        self._failed = ""
        self._closing = False
        self._lock_fd = lock(self.path, "journal")
        # Opened here, used by the writer's thread alone from then on.
        try:
            self._db = open_durable(self.path, _SCHEMA, connect)
            self._seq = self._prepare(self._db)
        except (sqlite3.Error, OSError) as e:
            os.close(self._lock_fd)
            raise GatewayError(
                f"journal {self.path}: {e}; free the disk or, if the file is damaged, move it away to start a new one"
            ) from e
        self._thread = threading.Thread(target=self._write, name=f"journal {self.path.name}", daemon=True)
        self._thread.start()

    def append(self, record: Record) -> int:
        """Queue ``record`` under the next number and return that number; never waits.

        Raises GatewayError while ``QUEUE`` records wait for the disk, and after :meth:`close`; ValueError when the record has
        no JSON form (NaN). The number is then not used up.
        """
        with self._change:
            if self._closing or not self._thread.is_alive():
                raise GatewayError(f"journal {self.path} takes no record: {self._failed or 'it is closed'}")
            # Not as soon as it has failed: the reserve has room for many records, and the disk may be freed any moment.
            if len(self._queue) >= QUEUE:
                why = self._failed or "the disk is too slow"
                raise GatewayError(f"journal {self.path} takes no record: {QUEUE} wait already: {why}")
            seq = self._seq + 1
            body = to_json(replace(record, seq=seq))
            self._queue.append(_Entry(seq=seq, queued_ns=self._clock(), t_utc_ns=record.t_utc_ns, kind=record.kind, body=body))
            self._seq = seq
            self._change.notify()
            return seq

    def pending(self) -> tuple[int, float]:
        """Return how many records are not yet durable and the age of the oldest in s (0.0 when there is none)."""
        with self._change:
            if not self._queue:
                return 0, 0.0
            return len(self._queue), (self._clock() - self._queue[0].queued_ns) / 1e9

    @property
    def failed(self) -> str:
        """Return what is wrong with the disk; empty when all is well. Clears by itself when the disk recovers.

        No part may pass while it says something: at best the reserve is being written, at worst the records wait in memory.
        """
        return self._failed

    @property
    def alive(self) -> bool:
        """Return whether the writer's thread runs; one that has ended does not come back in this process."""
        return self._thread.is_alive()

    @property
    def last_seq(self) -> int:
        """Return the number of the last record queued (not necessarily durable)."""
        return self._seq

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what is queued and stop the thread. What a failed disk still refuses is given up; :attr:`failed` says so."""
        with self._change:
            if self._closing:
                return
            self._closing = True
            self._change.notify()
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            os.close(self._lock_fd)

    # --- the start -----------------------------------------------------------------------------------------------------

    def _prepare(self, db: sqlite3.Connection) -> int:
        try:
            db.execute("INSERT OR IGNORE INTO meta VALUES ('id', ?)", (secrets.token_hex(8),))
            (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()
        except sqlite3.Error:
            db.close()
            raise
        if not self._restore_reserve():
            self._failed = f"the disk of {self.path.parent} is full; free some space"
        return int(last)

    def _restore_reserve(self) -> bool:
        try:
            if not self._reserve.exists() or self._reserve.stat().st_size < self._reserve_bytes:
                with open(self._reserve, "wb") as f:
                    os.posix_fallocate(f.fileno(), 0, self._reserve_bytes)
        except OSError:
            self._give_reserve_back()
            return False
        return True

    def _give_reserve_back(self) -> bool:
        """Free the reserve; False when there is none, or the disk refuses even that (it is read-only, or fails)."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    # --- the writer's thread -------------------------------------------------------------------------------------------

    def _write(self) -> None:
        db = self._db
        try:
            while True:
                with self._change:
                    while not self._queue and not self._closing:
                        # While failed, wake up now and then to see whether the disk has room again.
                        if not self._change.wait(RETRY_S if self._failed else None):
                            break
                    batch = [self._queue[i] for i in range(min(BATCH, len(self._queue)))]
                    closing = self._closing
                if batch and not self._commit(db, batch):
                    if closing:
                        return
                    with self._change:
                        self._change.wait_for(lambda: self._closing, RETRY_S)
                    continue
                if self._failed and self._restore_reserve():
                    self._failed = ""
                if closing and not self._queue:
                    return
        finally:
            if not self._closing:
                self._failed = "its writer thread has ended; restart the process"
            db.close()

    def _commit(self, db: sqlite3.Connection, batch: list[_Entry]) -> bool:
        """Make ``batch`` durable; when the disk refuses, give the reserve back and try once more."""
        for last_try in (False, True):
            try:
                db.execute("BEGIN IMMEDIATE")
                rows = [(e.seq, e.t_utc_ns, e.kind, e.body) for e in batch]
                db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", rows)
                db.execute("COMMIT")
            except sqlite3.Error as e:
                roll_back(db)
                self._failed = f"{e}; free space on the disk of {self.path.parent}, or replace a failing one"
                if last_try or not self._give_reserve_back():
                    return False
            else:
                break
        with self._change:
            for _ in batch:
                self._queue.popleft()
        if self.on_commit is not None:
            self.on_commit(batch[-1].seq)
        return True


class JournalReader:
    """A read-only view of a journal: only durable records are visible. For one thread; never keeps a transaction open."""

    def __init__(self, path: str | Path) -> None:
        """Take the journal's path; the file may come later."""
        self.path = Path(path)
        self._db: sqlite3.Connection | None = None
        self._inode = 0

    def since(self, seq: int, limit: int = 1000) -> list[Record]:
        """Return at most ``limit`` records after ``seq``, in order; empty while there is no journal.

        Raises GatewayError when the file is no journal or is damaged.
        """
        return [from_json(body) for _, body in self.rows(seq, limit)]

    def rows(self, seq: int, limit: int) -> list[tuple[int, str]]:
        """Return the same as (number, JSON), for who must go on past a record that it does not know."""
        return self._query("SELECT seq, body FROM records WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))

    def last_seq(self) -> int:
        """Return the number of the last durable record, 0 when there is none."""
        rows = self._query("SELECT coalesce(max(seq), 0) FROM records", ())
        return int(rows[0][0]) if rows else 0

    def identity(self) -> str:
        """Return the journal's own id, which tells a new file at the same path from the old one; empty while absent."""
        rows = self._query("SELECT value FROM meta WHERE key = 'id'", ())
        return str(rows[0][0]) if rows else ""

    def close(self) -> None:
        """Close the file; it is opened again by the next question."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _query(self, sql: str, args: tuple[int, ...]) -> list[tuple[Any, ...]]:
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError:
            self.close()
            return []
        if inode != self._inode:
            self.close()
        try:
            if self._db is None:
                self._db = sqlite3.connect(
                    f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=1
                )
                self._inode = inode
            return self._db.execute(sql, args).fetchall()
        except sqlite3.OperationalError as e:
            self.close()
            if "no such table" in str(e) or "unable to open" in str(e) or "locked" in str(e):
                return []  # the writer is about to create it
            raise GatewayError(f"journal {self.path}: {e}; move a damaged file away to start a new one") from e
        except sqlite3.DatabaseError as e:
            self.close()
            raise GatewayError(f"journal {self.path}: {e}; move a damaged file away to start a new one") from e
