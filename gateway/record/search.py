"""Looks for judged parts in a journal, newest first, within a time limit; for any thread but the event loop's.

SQLite does the looking, so that other threads go on meanwhile, on a connection of its own that is read-only and closed at the
end: the writer is never kept waiting. What a query cannot reach within its time it leaves out, and says so.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.core.errors import GatewayError
from gateway.core.events import PartJudged, from_json

STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock, well under a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartQuery:
    """Which parts are wanted: all conditions that are given hold."""

    seqs: tuple[int, ...] | None = None
    """Only records with these numbers."""
    dispositions: tuple[str, ...] | None = None
    spans: tuple[tuple[int, int], ...] | None = None
    """UTC ns, from (inclusive) to (exclusive): recorded within one of these."""
    equal: tuple[tuple[str, str | int], ...] = ()
    """Fields of the record (see :class:`PartJudged`) with their values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found; ``complete`` says that there is nothing beyond it."""

    parts: tuple[PartJudged, ...]
    complete: bool


def find_parts(
    path: Path,
    query: PartQuery,
    *,
    skip: int = 0,
    limit: int,
    limit_s: float = 2.0,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Return at most ``limit`` parts after the first ``skip`` ones, newest first; ``clock`` returns monotonic seconds.

    Raises GatewayError when the journal cannot be read; one that is not there yet has no parts.
    """
    if not path.exists():
        return Found(parts=(), complete=True)
    where, values = _conditions(query)
    # One more than asked for tells whether there are more.
    sql = f"SELECT body FROM records WHERE {where} ORDER BY seq DESC LIMIT ? OFFSET ?"  # noqa: S608 - fixed names only
    until = clock() + limit_s
    parts: list[PartJudged] = []
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=1)
    except sqlite3.Error as e:
        raise GatewayError(f"journal {path}: {e}") from e
    try:
        db.set_progress_handler(lambda: clock() > until, STEPS)
        for n, (body,) in enumerate(db.execute(sql, (*values, limit + 1, skip))):
            if n == limit:
                return Found(parts=tuple(parts), complete=False)
            try:
                record = from_json(body)
            except ValueError:
                continue  # a newer program wrote it
            if isinstance(record, PartJudged):
                parts.append(record)
        return Found(parts=tuple(parts), complete=True)
    except sqlite3.OperationalError as e:
        if "interrupted" in str(e):
            return Found(parts=tuple(parts), complete=False)
        if "no such table" in str(e):
            return Found(parts=(), complete=True)  # the writer is about to make it
        raise GatewayError(f"journal {path}: {e}") from e
    except sqlite3.DatabaseError as e:
        raise GatewayError(f"journal {path}: {e}; move a damaged file away to start a new one") from e
    finally:
        db.close()


def _conditions(query: PartQuery) -> tuple[str, list[str | int]]:
    terms, values = ["kind = 'part'"], list[str | int]()
    for column, wanted in (("seq", query.seqs), ("json_extract(body, '$.disposition')", query.dispositions)):
        if wanted is not None:
            terms.append(f"{column} IN ({', '.join('?' * len(wanted))})")
            values += wanted
    if query.spans is not None:
        terms.append("(" + (" OR ".join("(t_utc_ns >= ? AND t_utc_ns < ?)" for _ in query.spans) or "0") + ")")
        values += [t for span in query.spans for t in span]
    known = PartJudged.__dataclass_fields__
    for name, value in query.equal:
        if name not in known:
            raise KeyError(name)
        terms.append(f"json_extract(body, '$.{name}') = ?")
        values.append(value)
    return " AND ".join(terms), values
