"""What the crash benchmarks write, and what must be found afterwards: two chains of sessions, one a database.

Both know what was acknowledged, what was queued, and how a database must look that lost nothing of the former and nothing but
the end of the latter.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from gateway.core.events import LineState, PartOutcome, Record
from gateway.record.ops import IntentState, OpsDatabase

LINE = "L"
ENDINGS = (".db", "-wal", "-journal")
"""Of the files that make up a database."""


class LossError(Exception):
    """Something acknowledged is lost, doubled, torn or changed, or the database cannot be used any more."""


def copy(folder: Path, to: Path) -> None:
    """Copy the databases in ``folder`` as they are, so that a check leaves the work of recovering them to the next writer."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    for path in folder.iterdir():
        if path.name.endswith(ENDINGS):
            shutil.copyfile(path, to / path.name)


def journal_record(nonce: int, rng: random.Random) -> Record:
    """Return a record that is known by ``nonce``; some are longer than a page."""
    if rng.random() < 0.7:
        return PartOutcome(line=LINE, t_utc_ns=nonce, part_id=nonce, outcome="PASSED")
    detail = "x" * rng.choice((10, 300, 3000, 9000))
    return LineState(line=LINE, t_utc_ns=nonce, link="up", ready=True, offline_reason="NONE", detail=detail)


def read_journal(path: Path) -> list[int]:
    """Return the nonces of all records in order of their numbers. Raises LossError when they are not numbered 1, 2, 3 …"""
    rows = _read(path, "SELECT seq, t_utc_ns, body FROM records ORDER BY seq")
    if [row[0] for row in rows] != list(range(1, len(rows) + 1)):
        raise LossError("the numbering has gaps")
    for seq, nonce, text in rows:
        body = json.loads(text)
        if (body["seq"], body["t_utc_ns"]) != (seq, nonce):
            raise LossError(f"record {seq} is not what was written")
    return [row[1] for row in rows]


def step(ops: OpsDatabase, c: int) -> None:
    """Do everything that moving the cursor to ``c`` causes, inside a transaction: every fifth asks for something."""
    ops.set_cursor(LINE, "j", c)
    ops.set_state(f"counters.{LINE}", _counters(c))
    match c % 5:
        case 1:
            if not ops.add_intent(id=f"i{c}", line=LINE, kind="adjust", payload={"n": c}, evidence="because"):
                raise LossError(f"intent i{c} was there before it was asked for")
        case 2:
            ops.set_intent(f"i{c - 1}", "sent")
        case 3:
            ops.set_intent(f"i{c - 2}", _ended(c - 2))
        case _:
            pass


def check_ops(path: Path) -> int:
    """Return the cursor. Raises LossError unless everything else is exactly what moving it there caused."""
    cursors = _read(path, "SELECT seq FROM cursors")
    c = cursors[0][0] if cursors else 0
    states = dict(_read(path, "SELECT key, value FROM states"))
    if states != ({f"counters.{LINE}": json.dumps(_counters(c))} if c else {}):
        raise LossError(f"the counters do not belong to cursor {c}")
    intents = _read(path, "SELECT id, state FROM intents ORDER BY n")
    if intents != [(f"i{n}", "intent" if c == n else "sent" if c == n + 1 else _ended(n)) for n in range(1, c + 1, 5)]:
        raise LossError(f"the intents do not belong to cursor {c}")
    return c


def _ended(n: int) -> IntentState:
    return "unknown" if n % 3 == 0 else "confirmed"


def _counters(c: int) -> dict[str, Any]:
    return {"total": c, "pad": "y" * (c * 37 % 6000)}


def _read(path: Path, sql: str) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    db = sqlite3.connect(path, timeout=5)
    try:
        (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            raise LossError(f"{path.name} is damaged: {verdict}")
        return db.execute(sql).fetchall()
    except sqlite3.OperationalError as e:
        if "no such table" in str(e):
            return []
        raise LossError(f"{path.name}: {e}") from e
    except sqlite3.DatabaseError as e:
        raise LossError(f"{path.name} is damaged: {e}") from e
    finally:
        db.close()
