"""Which values of a tag's past one answer holds, and where the next one goes on (OPC 10000-11, 6.5.3: reading raw). Pure.

A value's place in a tag's past is its source time in whole microseconds, which is what a tag shows, and there is one value a
time. So the place where an answer stopped is a time, and stays right however much is recorded meanwhile. It must not know
nodes, sessions or databases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from gateway.opcua.update import Update

FIRST_US, LAST_US = -(1 << 62), 1 << 62
"""Before and after every time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastValue:
    """One value."""

    t_us: int
    """Source time, UTC in microseconds."""
    update: Update | None
    """None where a bound was asked for and there is nothing beyond it."""
    hides: bool = False
    """Whether there are older values of the same time, which are not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What was read of a stretch of time."""

    values: Sequence[PastValue]
    until_us: int | None = None
    """Where reading had to stop: all values up to this time, included, are there. None when nothing is left out, or as many
    values were found as were wanted."""


class Source(Protocol):
    """One tag's past."""

    def read(self, low_us: int, high_us: int, *, backward: bool, most: int) -> Chunk:
        """Return the first (``backward``: last) ``most`` values from ``low_us`` to ``high_us``, both included, in that order.

        When it has to stop earlier it has got on: ``until_us`` is not before the first time asked for.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client wants: at least two of start, end (UTC, microseconds) and count (0: any number)."""

    start_us: int | None
    end_us: int | None
    count: int
    bounds: bool

    @property
    def valid(self) -> bool:
        """Return whether two of the three are given."""
        return (self.start_us is not None) + (self.end_us is not None) + (self.count > 0) >= 2

    @property
    def backward(self) -> bool:
        """Return whether later values come first."""
        return self.start_us is None or (self.end_us is not None and self.end_us < self.start_us)

    @property
    def first_us(self) -> int:
        """Return the time at which reading begins."""
        first = self.end_us if self.start_us is None else self.start_us
        assert first is not None  # noqa: S101 - it is valid
        return first

    @property
    def last_us(self) -> int | None:
        """Return the time at which it ends, itself not included unless it is the first one, too; None without one."""
        return None if self.start_us is None else self.end_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where reading goes on."""

    stage: Literal["before", "values", "after"]
    """Looking for the bound before the first value, for values, for the bound after the last one."""
    passed_us: int | None = None
    """Everything up to this time, included, has been looked at in this stage; None before its beginning."""
    left: int | None = None
    """How many values are still wanted; None for any number."""
    told: bool = False
    """Whether there was a value already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer."""

    values: Sequence[PastValue]
    next: Place | None
    """None when this was the last one."""
    told: bool
    """Whether this one or an earlier one had a value."""


def page(source: Source, asked: Asked, place: Place | None, most: int) -> Page:
    """Return the answer that begins at ``place`` (None: the first one), with ``most`` (> 0) values at most."""
    if place is None:
        place = begin(asked)
    room = min(n for n in (most, asked.count or None, place.left) if n is not None)
    values: list[PastValue] = []
    while place is not None and len(values) < room:
        found, going = _step(source, asked, place, room - len(values))
        values += found
        stopped = going is not None and going.stage == place.stage
        place = going
        if stopped:
            break
    told = bool(values) or (place is not None and place.told)
    if place is not None:
        left = None if place.left is None else place.left - len(values)
        place = None if left == 0 else replace(place, left=left, told=told)
    return Page(values=values, next=place, told=told)


def begin(asked: Asked) -> Place:
    """Return the place before everything."""
    # Where all three are given the count is that of one answer.
    left = asked.count if asked.start_us is None or asked.end_us is None else None
    return Place(stage="before" if asked.bounds else "values", left=left)


def _step(source: Source, asked: Asked, place: Place, room: int) -> tuple[Sequence[PastValue], Place | None]:
    match place.stage:
        case "before":
            return _before(source, asked, place)
        case "values":
            return _values(source, asked, place, room)
        case "after":
            return _after(source, asked, place)


def _before(source: Source, asked: Asked, place: Place) -> tuple[Sequence[PastValue], Place | None]:
    """Look for the value at the first time or, against the direction, next to it."""
    first, back = asked.first_us, not asked.backward
    chunk = _read(source, _beyond(place.passed_us, back, first), None, back, 1)
    if not chunk.values and chunk.until_us is not None:
        return (), replace(place, passed_us=chunk.until_us)
    found = chunk.values or [PastValue(t_us=first, update=None)]
    exact = bool(chunk.values) and found[0].t_us == first
    if asked.last_us == first:
        return found, None if exact else replace(place, stage="after", passed_us=None)
    return found, replace(place, stage="values", passed_us=first)


def _values(source: Source, asked: Asked, place: Place, room: int) -> tuple[Sequence[PastValue], Place | None]:
    back, last = asked.backward, asked.last_us
    begin = _beyond(place.passed_us, back, asked.first_us)
    end = last if last is None or last == asked.first_us else _earlier(last, back)
    # One more than there is room for tells whether there are more.
    chunk = _read(source, begin, end, back, room + 1)
    if len(chunk.values) > room:
        kept = chunk.values[:room]
        return kept, replace(place, passed_us=kept[-1].t_us)
    if chunk.until_us is not None:
        return chunk.values, replace(place, passed_us=chunk.until_us)
    return chunk.values, replace(place, stage="after", passed_us=None) if asked.bounds and last is not None else None


def _after(source: Source, asked: Asked, place: Place) -> tuple[Sequence[PastValue], Place | None]:
    """Look for the value at the last time or, in the direction, next to it."""
    last, back = asked.last_us, asked.backward
    assert last is not None  # noqa: S101 - or this stage is not reached
    chunk = _read(source, _beyond(place.passed_us, back, last), None, back, 1)
    if not chunk.values and chunk.until_us is not None:
        return (), replace(place, passed_us=chunk.until_us)
    return chunk.values or [PastValue(t_us=last, update=None)], None


def _beyond(passed_us: int | None, back: bool, first_us: int) -> int:
    """Return the time next to what has been passed, the first one when nothing has."""
    return first_us if passed_us is None else passed_us + (-1 if back else 1)


def _earlier(t_us: int, back: bool) -> int:
    return t_us + 1 if back else t_us - 1


def _read(source: Source, begin: int, end: int | None, back: bool, most: int) -> Chunk:
    low, high = (FIRST_US if end is None else end, begin) if back else (begin, LAST_US if end is None else end)
    return source.read(low, high, backward=back, most=most) if low <= high else Chunk(values=())
