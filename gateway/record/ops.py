"""The operations database: what services did about the records, and how far it has read them.

Services is its only writer. The cursor of a line is committed together with what the records up to it caused, so that after
a kill every record has its effect exactly once. Intents are on the disk before anybody acts on them, and so is everything
else: a commit that is not synced would take those after it along when its pages are lost. It must not know what an intent
means.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from gateway.core.errors import GatewayError
from gateway.record import history, orders, parts
from gateway.record.database import Connect, connect, lock, open_durable, roll_back

IntentState = Literal["intent", "sent", "confirmed", "blocked", "refused", "unknown", "expired"]

#: From which states an intent may go to which; the end states have no way out.
TRANSITIONS: dict[str, frozenset[str]] = {
    "intent": frozenset({"sent", "blocked", "expired"}),
    "sent": frozenset({"confirmed", "blocked", "refused", "unknown"}),
}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors (line TEXT PRIMARY KEY, journal TEXT NOT NULL, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS states (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS intents (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, line TEXT NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL,
  evidence TEXT NOT NULL, state TEXT NOT NULL, result TEXT NOT NULL DEFAULT '',
  t_created_ns INTEGER NOT NULL, t_sent_ns INTEGER, t_ended_ns INTEGER);
CREATE INDEX IF NOT EXISTS intents_by_state ON intents (line, state);
CREATE TABLE IF NOT EXISTS serials (
  n INTEGER PRIMARY KEY, serial TEXT NOT NULL UNIQUE, line TEXT NOT NULL, epoch INTEGER NOT NULL, part_id INTEGER NOT NULL,
  t_utc_ns INTEGER NOT NULL, seen INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reinspections (
  n INTEGER PRIMARY KEY, serial TEXT NOT NULL, line TEXT NOT NULL, epoch INTEGER NOT NULL, part_id INTEGER NOT NULL,
  t_utc_ns INTEGER NOT NULL, first_line TEXT NOT NULL, first_epoch INTEGER NOT NULL, first_part_id INTEGER NOT NULL,
  count INTEGER NOT NULL, UNIQUE (line, epoch, part_id));
"""
MAX_SERIALS = 1_000_000
"""So many are remembered, about 150 MB; of an older one a second inspection is a first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One thing that is to be done, with everything needed to do it again under the same ``id``."""

    id: str
    line: str
    kind: str
    payload: dict[str, Any]
    evidence: str
    state: IntentState
    result: str
    t_created_ns: int
    """UTC, ns since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinspection:
    """A part whose serial number was inspected before, on any line of this gateway."""

    serial: str
    line: str
    epoch: int
    part_id: int
    t_utc_ns: int
    first_line: str
    first_epoch: int
    first_part_id: int
    count: int
    """Which inspection of this serial it is: 2 for the first one again."""


class OpsDatabase:
    """Services' own database; for one thread."""

    def __init__(self, path: str | Path, *, clock: Callable[[], int] = time.time_ns, connect: Connect = connect) -> None:
        """Open or create the database. ``clock`` returns UTC ns, ``connect`` opens the file.

        Raises GatewayError when the file cannot be used or another process writes it.
        """
        self.path = Path(path)
        self._clock = clock
        self._lock_fd = lock(self.path, "operations database")
        try:
            self._db = open_durable(self.path, _SCHEMA + orders.SCHEMA + parts.SCHEMA + history.SCHEMA, connect)
        except (sqlite3.Error, OSError) as e:
            os.close(self._lock_fd)
            raise GatewayError(f"operations database {self.path}: {e}; free the disk, or move a damaged file away") from e
        self.orders = orders.Orders(self._db, clock)
        """What people asked for; to be written inside a :meth:`transaction`, too."""
        self.parts = parts.Parts(self._db)
        """Where each part is recorded; likewise."""
        self.history = history.History(self._db)
        """Where each time is; likewise."""

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._db.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything done inside together, or nothing of it; it is on the disk before this returns.

        Raises sqlite3.OperationalError when the disk refuses; a kill after that may still leave all of it committed.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            roll_back(self._db)
            raise

    # --- how far --------------------------------------------------------------------------------------------------------

    def cursor(self, line: str) -> tuple[str, int]:
        """Return (identity of the journal, number of its last record whose effects are committed); ("", 0) at first."""
        row = self._db.execute("SELECT journal, seq FROM cursors WHERE line = ?", (line,)).fetchone()
        return (row[0], row[1]) if row else ("", 0)

    def set_cursor(self, line: str, journal: str, seq: int) -> None:
        """Record that everything up to ``seq`` of ``journal`` has had its effects; call inside a transaction with these."""
        self._db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (line, journal, seq))

    def state(self, key: str) -> Any:
        """Return the JSON value kept under ``key``, None if there is none."""
        row = self._db.execute("SELECT value FROM states WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_state(self, key: str, value: Any) -> None:
        """Keep a JSON value under ``key``; ValueError when it has NaN, TypeError when it is no JSON."""
        self._db.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (key, json.dumps(value, allow_nan=False)))

    # --- parts seen again ----------------------------------------------------------------------------------------------

    def add_serial(self, *, serial: str, line: str, epoch: int, part_id: int, t_utc_ns: int) -> Reinspection | None:
        """Note that a part with this serial (not empty) was inspected; return what links it to the first one, if any.

        The same part again (a journal that is read a second time) changes nothing.
        """
        part = (serial, line, epoch, part_id, t_utc_ns)
        new = self._db.execute(
            "INSERT OR IGNORE INTO serials (serial, line, epoch, part_id, t_utc_ns, seen) VALUES (?, ?, ?, ?, ?, 1)", part
        )
        if new.rowcount == 1:
            self._db.execute("DELETE FROM serials WHERE n <= ?", ((new.lastrowid or 0) - MAX_SERIALS,))
            return None
        # The table's own conflict decides whether this part is known already.
        again = self._db.execute(
            "INSERT OR IGNORE INTO reinspections"
            " (serial, line, epoch, part_id, t_utc_ns, first_line, first_epoch, first_part_id, count)"
            " SELECT ?1, ?2, ?3, ?4, ?5, line, epoch, part_id, seen + 1 FROM serials"
            " WHERE serial = ?1 AND NOT (line = ?2 AND epoch = ?3 AND part_id = ?4)",
            part,
        )
        if again.rowcount != 1:
            return None
        self._db.execute("UPDATE serials SET seen = seen + 1 WHERE serial = ?", (serial,))
        self._db.execute("DELETE FROM reinspections WHERE n <= ?", ((again.lastrowid or 0) - MAX_SERIALS,))
        return _reinspections(self._db, "n = ?", again.lastrowid)[0]

    def reinspections(self, serial: str) -> list[Reinspection]:
        """Return every later inspection of this serial, oldest first."""
        return _reinspections(self._db, "serial = ?", serial)

    # --- intents --------------------------------------------------------------------------------------------------------

    def add_intent(self, *, id: str, line: str, kind: str, payload: dict[str, Any], evidence: str) -> bool:
        """Write down that something is to be done; return False, changing nothing, when this id is known already."""
        done = self._db.execute(
            "INSERT OR IGNORE INTO intents (id, line, kind, payload, evidence, state, t_created_ns)"
            " VALUES (?, ?, ?, ?, ?, 'intent', ?)",
            (id, line, kind, json.dumps(payload, allow_nan=False), evidence, self._clock()),
        )
        return done.rowcount == 1

    def set_intent(self, id: str, state: IntentState, result: str = "") -> None:
        """Move an intent to its next state, with UTC time and result.

        Raises ValueError when the intent is unknown or may not go there; nothing is changed then.
        """
        row = self._db.execute("SELECT state FROM intents WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise ValueError(f"intent {id!r} is unknown")
        if state not in TRANSITIONS.get(row[0], frozenset()):
            raise ValueError(f"intent {id!r} is {row[0]} and cannot become {state}")
        column = "t_sent_ns" if state == "sent" else "t_ended_ns"
        self._db.execute(
            f"UPDATE intents SET state = ?, result = ?, {column} = ? WHERE id = ?",  # noqa: S608 - one of two literals
            (state, result, self._clock(), id),
        )

    def open_intents(self, line: str) -> list[Intent]:
        """Return the line's intents that are neither answered nor given up (``intent`` or ``sent``), oldest first."""
        rows = self._db.execute(
            "SELECT id, line, kind, payload, evidence, state, result, t_created_ns FROM intents"
            " WHERE line = ? AND state IN ('intent', 'sent') ORDER BY n",
            (line,),
        )
        return [
            Intent(
                id=r[0],
                line=r[1],
                kind=r[2],
                payload=json.loads(r[3]),
                evidence=r[4],
                state=r[5],
                result=r[6],
                t_created_ns=r[7],
            )
            for r in rows
        ]

    def actions(self, line: str | None = None) -> list[dict[str, Any]]:
        """Return every intent (of one line) as a plain dictionary with ISO times in UTC, oldest first."""
        return _actions(self._db, line)


def read_actions(path: str | Path, line: str | None = None) -> list[dict[str, Any]]:
    """Return :meth:`OpsDatabase.actions` of a database that another process writes; empty while there is none."""
    file = Path(path)
    if not file.exists():
        return []
    db = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        return _actions(db, line)
    except sqlite3.OperationalError as e:
        if "no such table" in str(e):
            return []
        raise GatewayError(f"operations database {file}: {e}") from e
    finally:
        db.close()


def _actions(db: sqlite3.Connection, line: str | None) -> list[dict[str, Any]]:
    rows = db.execute(
        "SELECT id, line, kind, payload, evidence, state, result, t_created_ns, t_sent_ns, t_ended_ns FROM intents"
        " WHERE ?1 IS NULL OR line = ?1 ORDER BY n",
        (line,),
    )
    return [
        {
            "id": r[0],
            "line": r[1],
            "kind": r[2],
            **json.loads(r[3]),
            "evidence": r[4],
            "state": r[5],
            "result": r[6],
            "created": _iso(r[7]),
            "sent": _iso(r[8]),
            "ended": _iso(r[9]),
        }
        for r in rows
    ]


def _reinspections(db: sqlite3.Connection, where: str, value: object) -> list[Reinspection]:
    names = [f.name for f in fields(Reinspection)]
    rows = db.execute(
        f"SELECT {', '.join(names)} FROM reinspections WHERE {where} ORDER BY n",  # noqa: S608 - one of two literals
        (value,),
    )
    return [Reinspection(**dict(zip(names, row, strict=True))) for row in rows]


def _iso(t_ns: int | None) -> str | None:
    return None if t_ns is None else datetime.fromtimestamp(t_ns / 1e9, UTC).isoformat(timespec="milliseconds")
