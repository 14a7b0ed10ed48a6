"""What people asked for over OPC UA, who they were and how it ended: a table of the operations database.

An order is on the disk before anything is sent, and never sent again: one that a kill leaves open is ended as unknown. What was
refused at once stands in a table of its own, for anybody can have much refused: it pushes out no order. It must not know what
an order means.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, fields

_COLUMNS = """(
  n INTEGER PRIMARY KEY, station TEXT NOT NULL, user TEXT NOT NULL, what TEXT NOT NULL, name TEXT NOT NULL,
  value REAL NOT NULL, comment TEXT NOT NULL, number INTEGER NOT NULL, ending TEXT NOT NULL DEFAULT '',
  result TEXT NOT NULL DEFAULT '', t_asked_ns INTEGER NOT NULL, t_ended_ns INTEGER);
"""
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS orders {_COLUMNS}
CREATE TABLE IF NOT EXISTS refusals {_COLUMNS}
CREATE INDEX IF NOT EXISTS orders_by_number ON orders (station, n) WHERE number > 0;
CREATE INDEX IF NOT EXISTS orders_open ON orders (n) WHERE ending = '';
"""
MAX_ORDERS = 100_000
"""So many are kept, about 30 MB; the oldest make way, but never the one with a number that a station took last."""
MAX_REFUSALS = 20_000
MAX_TEXT = 1000


def storable(text: str) -> str:
    """Return a text as the database takes it: no half of a character, no NUL, :data:`MAX_TEXT` characters at most."""
    return text[:MAX_TEXT].encode("utf-8", "replace").decode().replace("\0", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """What somebody asked for, and how it ended; ``ending`` is '' while it is under way."""

    n: int
    """Its number among the orders, or among the refusals."""
    station: str
    user: str
    what: str
    name: str
    value: float
    comment: str
    number: int
    """The client's own number of it, 0 without one."""
    ending: str
    result: str
    t_asked_ns: int
    """UTC, ns since 1970; so is the next."""
    t_ended_ns: int | None


class Orders:
    """The table; what writes belongs inside a transaction of the database."""

    def __init__(self, db: sqlite3.Connection, clock: Callable[[], int]) -> None:
        """Take the database, whose schema has :data:`SCHEMA`; ``clock`` returns UTC ns."""
        self._db = db
        self._clock = clock

    def add(
        self, *, station: str, user: str, what: str, name: str = "", value: float = 0, comment: str = "", number: int = 0
    ) -> int:
        """Write down that ``user`` asks for something; return the order's number here."""
        texts = map(storable, (station, user, what, name, comment))
        new = self._db.execute(
            "INSERT INTO orders (station, user, what, name, comment, value, number, t_asked_ns)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*texts, value, number, self._clock()),
        )
        n = new.lastrowid or 0
        # By the last number a command that comes again is known, however long ago that was.
        self._db.execute(
            "DELETE FROM orders WHERE n <= ? AND (number <= 0 OR EXISTS"
            " (SELECT 1 FROM orders AS new WHERE new.station = orders.station AND new.number > 0 AND new.n > orders.n))",
            (n - MAX_ORDERS,),
        )
        return n

    def refuse(self, *, station: str, user: str, what: str, name: str, comment: str = "", result: str) -> None:
        """Write down that ``user`` asked for something and was refused at once."""
        now = self._clock()
        new = self._db.execute(
            "INSERT INTO refusals (station, user, what, name, comment, result, value, number, ending, t_asked_ns, t_ended_ns)"
            " VALUES (?, ?, ?, ?, ?, ?, 0, 0, 'refused', ?, ?)",
            (*map(storable, (station, user, what, name, comment, result)), now, now),
        )
        self._db.execute("DELETE FROM refusals WHERE n <= ?", ((new.lastrowid or 0) - MAX_REFUSALS,))

    def end(self, n: int, ending: str, result: str) -> None:
        """Write down how an order ended (in one word, and in words); one that has ended stays as it is."""
        self._db.execute(
            "UPDATE orders SET ending = ?, result = ?, t_ended_ns = ? WHERE n = ? AND ending = ''",
            (ending, storable(result), self._clock(), n),
        )

    def end_open(self, station: str, ending: str, result: str) -> None:
        """End every order of a station that is under way: whoever waited for it is gone."""
        self._db.execute(
            "UPDATE orders SET ending = ?, result = ?, t_ended_ns = ? WHERE ending = '' AND station = ?",
            (ending, result, self._clock(), station),
        )

    def last_numbered(self, station: str) -> OrderRow | None:
        """Return the order with a number of the client's that this station took last."""
        found = self._rows("orders", "station = ? AND number > 0 ORDER BY n DESC LIMIT 1", station)
        return found[0] if found else None

    def of(self, station: str) -> list[OrderRow]:
        """Return every order and refusal of a station that is still known, oldest first."""
        rows = [row for table in ("orders", "refusals") for row in self._rows(table, "station = ? ORDER BY n", station)]
        return sorted(rows, key=lambda row: row.t_asked_ns)

    def _rows(self, table: str, where: str, station: str) -> list[OrderRow]:
        names = [f.name for f in fields(OrderRow)]
        rows = self._db.execute(f"SELECT {', '.join(names)} FROM {table} WHERE {where}", (station,))  # noqa: S608 - literals
        return [OrderRow(**dict(zip(names, row, strict=True))) for row in rows]
