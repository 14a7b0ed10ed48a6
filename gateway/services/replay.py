"""One tag's past, read from a journal: the records again, through the code that makes the tags.

What a result, an outcome or a process value shows is what it showed when it was recorded; counts are counted again from the
beginning of their block. In a thread of its own, on connections of its own, within a time. It must not know a node.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from gateway.core.errors import GatewayError
from gateway.core.events import LineState, Record, from_json
from gateway.opcua.flat import Param
from gateway.opcua.past import Chunk, PastValue, Source
from gateway.opcua.station import Counters, Station, Update
from gateway.opcua.update import bad
from gateway.record.history import Block, History, Note
from gateway.services.marks import key

NS_PER_US = 1000
LINKED = ("up", "readonly")
MAX_NS = (1 << 63) - 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A line's past: its name, parameters, journal and the operations database."""

    line: str
    params: tuple[Param, ...]
    journal: Path
    ops: Path


class TagPast:
    """One tag's past, for one question; see :class:`gateway.opcua.past.Source`."""

    def __init__(
        self,
        where: Where,
        tag: str,
        ops: sqlite3.Connection,
        journal: sqlite3.Connection | None,
        *,
        until_s: float,
        clock: Callable[[], float],
    ) -> None:
        """Take the two databases; without a journal there are no records. At ``until_s`` of ``clock`` it is to stop."""
        self._where, self._tag = where, tag
        self._journal = journal
        self._until_s, self._clock = until_s, clock
        self._history = History(ops)
        row = ops.execute("SELECT value FROM states WHERE key = ?", (key(where.line),)).fetchone()
        kept = json.loads(row[0]) if row else None
        self._growing = Block(**kept["block"]) if kept else None
        self._identity = _identity(journal)
        if kept is None or kept["journal"] != self._identity:
            self._growing = None  # another journal stands at the path, and nothing of it has been read yet

    def read(self, low_us: int, high_us: int, *, backward: bool, most: int) -> Chunk:
        """Return values of a stretch of time. Raises sqlite3.Error."""
        if self._tag.startswith("Health."):
            return Chunk(values=self._health(low_us, high_us, backward, most))
        low_ns, high_ns = _ns(low_us), _ns(high_us + 1) - 1
        blocks = self._history.blocks(
            self._where.line, self._identity, low_ns, high_ns, newest_first=backward, growing=self._growing
        )
        waiting: dict[int, tuple[int, PastValue]] = {}
        values: list[PastValue] = []
        read_one = False
        for block in blocks:
            # What is yet to come is not before this block's beginning (not after its end): what lies there is complete.
            edge = (block.high_ns if backward else block.low_ns) // NS_PER_US
            values += _taken(waiting, edge, backward)
            if len(values) >= most:
                return Chunk(values=values[:most])
            got_on = edge < high_us if backward else edge > low_us
            if read_one and got_on and self._clock() > self._until_s:
                return Chunk(values=values, until_us=edge + 1 if backward else edge - 1)
            read_one = True
            for update in self._again(block, low_ns):
                t_us = update.t_utc_ns // NS_PER_US
                if low_us <= t_us <= high_us:
                    _put(waiting, block.after, PastValue(t_us=t_us, update=update))
        values += _taken(waiting, None, backward)
        return Chunk(values=values[:most])

    def _health(self, low_us: int, high_us: int, backward: bool, most: int) -> list[PastValue]:
        low_ns, high_ns = _ns(low_us), _ns(high_us + 1) - 1
        notes = self._history.imaging(self._where.line, low_ns, high_ns, newest_first=backward, most=most)
        station = Station()
        updates = []
        for note in notes:
            index, certain = note.value or (None, False)
            updates += station.health(index, note.t_utc_ns, certain=certain)
        return [PastValue(t_us=u.t_utc_ns // NS_PER_US, update=u) for u in updates if u.tag == self._tag]

    # -- one block ------------------------------------------------------------------------------------------------------------

    def _again(self, block: Block, low_ns: int) -> Iterator[Update]:
        """Yield the tag's values in this block from a time on, or more of them, in the order of the records."""
        line, resets = self._where.line, list[Note]()
        base = None
        counted = self._tag.startswith("Counters.") or self._tag == "Plc.RejectNotConfirmed"
        if counted:
            # A reset after the last record of a full block belongs to the next.
            growing = self._growing is not None and self._growing.after == block.after
            last = block.last if growing else block.last - 1
            resets = self._history.resets(line, self._identity, block.after, last)
            base = self._history.reset_before(line, self._identity, block.after)
        station = Station(
            self._where.params,
            Counters(**block.counts),
            base=Counters(**base.value) if base is not None else None,
            reset_ns=base.t_utc_ns if base is not None else 0,
        )
        station.initial(0)  # what is shown already is not told again
        if block.state_seq:
            for state in self._records("seq = ?", block.state_seq):
                station.apply(state)
        # No value is of a later time than its record.
        from_ns = -MAX_NS if counted else low_ns
        within = "seq > ? AND seq <= ? AND (t_utc_ns >= ? OR kind = 'line')"
        for record in self._records(within, block.after, block.last, from_ns):
            while resets and resets[0].seq < record.seq:
                yield from self._only(_reset(station, resets.pop(0)))
            station.counters.count(record)
            yield from self._only(self._shown(station, record))
        for note in resets:
            yield from self._only(_reset(station, note))

    def _only(self, updates: Sequence[Update]) -> Iterator[Update]:
        return (u for u in updates if u.tag == self._tag)

    def _shown(self, station: Station, record: Record) -> Sequence[Update]:
        updates = station.apply(record)
        if not isinstance(record, LineState):
            return updates
        # A result stays what it was; what came from the PLC is no longer known.
        if self._tag.startswith(("Plc.", "Params.")) and self._tag != "Plc.RejectNotConfirmed" and record.link not in LINKED:
            return [bad(self._tag, "link", record.t_utc_ns)]
        return []

    def _records(self, where: str, *values: int) -> Iterator[Record]:
        if self._journal is None:
            return
        kinds = ", ".join(f"'{kind}'" for kind in _kinds(self._tag))
        sql = f"SELECT body FROM records WHERE {where} AND kind IN ({kinds}) ORDER BY seq"  # noqa: S608 - literals
        for (body,) in self._journal.execute(sql, values):
            try:
                yield from_json(body)
            except ValueError:
                continue  # a newer program wrote it


def _kinds(tag: str) -> Sequence[str]:
    """Return the kinds of records that a tag is made of."""
    folder = tag.partition(".")[0]
    if folder in ("Result", "Defects"):
        return ("part", "line")
    if folder == "Counters" or tag == "Plc.RejectNotConfirmed":
        return ("part", "outcome")
    return ("process", "line") if folder == "Params" or tag == "Plc.Mode" else ("outcome", "line")


def _reset(station: Station, note: Note) -> list[Update]:
    return station.counters_reset(Counters(**note.value), note.t_utc_ns)


def _put(waiting: dict[int, tuple[int, PastValue]], after: int, value: PastValue) -> None:
    """Keep one value a time, the one recorded last; those of one block come in order."""
    known = waiting.get(value.t_us)
    if known is None:
        waiting[value.t_us] = (after, value)
    elif known[0] <= after:
        waiting[value.t_us] = (after, replace(value, hides=True))
    else:
        waiting[value.t_us] = (known[0], replace(known[1], hides=True))


def _taken(waiting: dict[int, tuple[int, PastValue]], edge_us: int | None, backward: bool) -> list[PastValue]:
    """Take out the values before ``edge_us`` (backward: after it; None: all), in order."""
    times = [t for t in waiting if edge_us is None or (t > edge_us if backward else t < edge_us)]
    return [waiting.pop(t)[1] for t in sorted(times, reverse=backward)]


def _ns(t_us: int) -> int:
    return max(-MAX_NS, min(MAX_NS, t_us * NS_PER_US))


def _identity(journal: sqlite3.Connection | None) -> str:
    if journal is None:
        return ""
    row = journal.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()
    return str(row[0]) if row else ""


def look_back(
    where: Where, tag: str, ask: Callable[[Source], T], *, until_s: float, clock: Callable[[], float] = time.monotonic
) -> T:
    """Return what ``ask`` makes of the tag's past; for any thread but the event loop's.

    At ``until_s`` of ``clock`` it is to stop. Raises GatewayError when a database cannot be read; a journal that is not there
    yet holds nothing.
    """
    with contextlib.ExitStack() as stack:
        try:
            ops = stack.enter_context(contextlib.closing(_open(where.ops)))
            ops.execute("BEGIN")  # blocks and notes as of one moment
            there = where.journal.exists()
            journal = stack.enter_context(contextlib.closing(_open(where.journal))) if there else None
            return ask(TagPast(where, tag, ops, journal, until_s=until_s, clock=clock))
        except sqlite3.Error as e:
            raise GatewayError(f"history of {where.line}: {e}") from e


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=1)
