"""What the gateway recorded, read from outside: the journal and the actions, as the score and the scoreboard need them.

Reads the files as any other program would (SQLite, JSON), with no code of the gateway: what the score trusts must not come
from what it judges.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from pathlib import Path
from typing import Any


def read_journal(path: Path, after: int = 0) -> list[dict[str, Any]]:
    """Return the records after number ``after``, in order, each as written plus ``seq``; empty when there is no journal."""
    rows = _query(path, "SELECT seq, body FROM records WHERE seq > ? ORDER BY seq", (after,))
    return [{**json.loads(body), "seq": seq} for seq, body in rows]


def read_actions(path: Path) -> list[dict[str, Any]]:
    """Return the gateway's intents from ops.db, oldest first: what it wanted to do, why, and what came of it."""
    rows = _query(
        path,
        "SELECT id, line, kind, payload, evidence, state, result, t_created_ns, t_ended_ns FROM intents ORDER BY n",
        (),
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
            "t_created_utc_ns": r[7],
            "t_ended_utc_ns": r[8],
        }
        for r in rows
    ]


def _query(path: Path, sql: str, args: tuple[int, ...]) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        return db.execute(sql, args).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []  # about to be made
        raise
    finally:
        db.close()


def latency_ms(record: dict[str, Any]) -> float | None:
    """Return max(trigger seen, frame available) → token acknowledged of a part's record in ms; None without frame or ack."""
    if not record.get("t_frame_mono_ns") or not record.get("t_acked_mono_ns"):
        return None
    begin = max(record["t_trigger_mono_ns"], record["t_frame_mono_ns"])
    return float(record["t_acked_mono_ns"] - begin) / 1e6


class JournalTail:
    """Follows one journal and keeps what the scoreboard shows."""

    def __init__(self, path: Path) -> None:
        """Start at the journal's first record."""
        self._path = path
        self._seq = 0
        self.not_inspected = 0
        self.judged = 0
        self.failed = 0
        self.recent: deque[bool] = deque(maxlen=200)
        """Whether each of the last inspected parts was a FAIL."""
        self.latencies: deque[float] = deque(maxlen=1000)
        self.values: dict[str, float] = {}
        """The newest process values."""

    def read(self) -> None:
        """Take what is new."""
        for record in read_journal(self._path, self._seq):
            self._seq = record["seq"]
            if record["kind"] == "process":
                self.values = record["values"]
            if record["kind"] != "part":
                continue
            self.judged += 1
            if record["disposition"] == "NOT_INSPECTED":
                self.not_inspected += 1
                continue
            self.failed += record["disposition"] == "FAIL"
            self.recent.append(record["disposition"] == "FAIL")
            latency = latency_ms(record)
            if latency is not None:
                self.latencies.append(latency)
