"""Who asked one station for what over OPC UA, and how it ended: written down before anything is sent.

What was refused here at once is gathered and counted, for refusals cost a client nothing and a disk much. It must not know what
an order means.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable

import structlog

from gateway.opcua.desk import Done, LastCommand, Order, What, Why
from gateway.record.ops import OpsDatabase

KINDS = 20
EVERY_S = 5.0
"""So many kinds of refusals are written down each time; more of them are only counted: nobody may fill the disk."""
CUT_OFF = "the gateway's services were restarted before the answer came; it may have been carried out"

_log = structlog.get_logger("desk")


class Audit:
    """One station's orders in the operations database."""

    def __init__(self, station: str, ops: OpsDatabase, mono_s: Callable[[], float]) -> None:
        """Take where they are kept; ``mono_s`` returns monotonic seconds."""
        self._station = station
        self._ops = ops
        self._mono_s = mono_s
        self._restored = False
        self._endings: list[tuple[int, str, str]] = []
        """What the disk has not taken yet."""
        self._refusals: dict[tuple[str, str, str, str, str], int] = {}
        self._more = 0
        self._written_s = -math.inf

    def restore(self) -> None:
        """End what the last process left open; when the disk refuses, the next :meth:`flush` does it."""
        try:
            with self._ops.transaction():
                self._ops.orders.end_open(self._station, "silent", CUT_OFF)
        except sqlite3.OperationalError as error:
            _log.error("orders cannot be written down", station=self._station, error=str(error))
            return
        self._restored = True

    def last_command(self) -> LastCommand | None:
        """Return the numbered order that was taken last."""
        row = self._ops.orders.last_numbered(self._station)
        if row is None:
            return None
        order = Order(
            station=row.station,
            user=row.user,
            what=What(row.what),
            name=row.name,
            value=row.value,
            comment=row.comment,
            number=row.number,
        )
        done = Done(ok=row.ending == "done", text=row.result or CUT_OFF, why=_why(row.ending))
        return LastCommand(number=row.number, order=order, done=done)

    def begin(self, order: Order, refused: Done | None) -> int:
        """Write an order down, and how it ended if it was refused at once; return its number.

        Raises sqlite3.OperationalError when the disk refuses: then it must not be carried out.
        """
        if not self._restored:
            self.restore()  # or it would end this order, too
        with self._ops.transaction():
            n = self._ops.orders.add(
                station=order.station,
                user=order.user,
                what=order.what,
                name=order.name,
                value=order.value,
                comment=order.comment,
                number=order.number,
            )
            if refused is not None:
                self._ops.orders.end(n, refused.why, refused.text)
        return n

    def end(self, n: int, done: Done) -> None:
        """Write down how an order ended; what the disk refuses is tried again."""
        self._endings.append((n, "done" if done.ok else done.why, done.text))
        self.flush()

    def refuse(self, user: str, what: str, name: str, comment: str, result: str) -> None:
        """Take note of what was refused at once; :meth:`flush` writes it down."""
        key = (user, what, name, comment, result)
        if key in self._refusals or len(self._refusals) < KINDS:
            self._refusals[key] = self._refusals.get(key, 0) + 1
        else:
            self._more += 1

    def flush(self) -> None:
        """Write down what still has to be; to be called now and then. What the disk refuses stays for the next time."""
        if not self._restored:
            self.restore()
        now = self._mono_s()
        refusals = bool(self._refusals) and now - self._written_s >= EVERY_S
        if not (refusals or self._endings):
            return
        try:
            with self._ops.transaction():
                for n, ending, result in self._endings:
                    self._ops.orders.end(n, ending, result)
                if refusals:
                    self._write_refusals()
        except sqlite3.OperationalError as error:
            _log.error("orders cannot be written down", station=self._station, error=str(error))
            return
        self._endings.clear()
        if refusals:
            self._refusals.clear()
            self._more, self._written_s = 0, now

    def _write_refusals(self) -> None:
        orders = self._ops.orders
        for (user, what, name, comment, result), count in self._refusals.items():
            told = result if count == 1 else f"{result}, {count} times"
            orders.refuse(station=self._station, user=user, what=what, name=name, comment=comment, result=told)
        if self._more:
            told = f"{self._more} more that were refused"
            orders.refuse(station=self._station, user="", what="write", name="and others", result=told)


def _why(ending: str) -> Why:
    match ending:
        case "range" | "soon" | "unsent":
            return ending
        case "silent" | "":
            return "silent"
        case _:
            return "refused"
