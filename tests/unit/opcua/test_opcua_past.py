"""Reading raw history gives the values that a plain list gives, page by page, whatever is recorded meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.opcua.past import Asked, Chunk, PastValue, page
from gateway.opcua.update import Update

MOST = 3


def value(t_us: int) -> PastValue:
    return PastValue(t_us=t_us, update=Update(tag="Result.Ok", value=True, t_utc_ns=t_us * 1000))


class Listed:
    """A past that is a list of times, and stops after so many times looked at."""

    def __init__(self, times: set[int], steps: int) -> None:
        self.times, self.steps = times, steps

    def read(self, low_us: int, high_us: int, *, backward: bool, most: int) -> Chunk:
        fit = sorted((t for t in self.times if low_us <= t <= high_us), reverse=backward)
        if len(fit) > self.steps and most > self.steps:
            fit = fit[: self.steps]
            return Chunk(values=[value(t) for t in fit], until_us=fit[-1])
        return Chunk(values=[value(t) for t in fit[:most]])


def pages(source: Listed, asked: Asked, new: list[int]) -> list[tuple[int, bool]]:
    """Return (time, whether there is a value) of all pages; before each further page one of ``new`` is recorded."""
    told: list[tuple[int, bool]] = []
    place, count = None, 0
    while True:
        one = page(source, asked, place, MOST)
        assert len(one.values) <= min(MOST, asked.count or MOST)
        told += [(v.t_us, v.update is not None) for v in one.values]
        assert one.told == bool(told)
        if one.next is None:
            return told
        place, count = one.next, count + 1
        assert count < 100, "no end"
        if new:
            source.times.add(new.pop())


def model(times: set[int], asked: Asked) -> list[tuple[int, bool]]:
    """Return what OPC 10000-11 says is in the whole answer."""
    back, start, end = asked.backward, asked.first_us, asked.last_us
    sign = -1 if back else 1
    order = sorted(times, key=lambda t: sign * t)
    inside = [t for t in order if sign * t >= sign * start and (end is None or sign * t < sign * end or t == start == end)]
    told = [(t, True) for t in inside]
    if asked.bounds:
        before = [t for t in order if sign * t <= sign * start]
        told = [(t, True) for t in inside if t != start]
        told.insert(0, (before[-1], True) if before else (start, False))
        if end is not None and told != [(end, True)]:
            after = [t for t in order if sign * t >= sign * end]
            told.append((after[0], True) if after else (end, False))
    return told[: asked.count] if end is None else told


MOMENT = st.integers(0, 20)


@settings(max_examples=600, deadline=None)
@given(
    times=st.sets(MOMENT, max_size=15),
    start=st.none() | MOMENT,
    end=st.none() | MOMENT,
    count=st.integers(0, 5),
    bounds=st.booleans(),
    steps=st.integers(1, 5),
)
def test_the_pages_together_are_what_was_asked_for(
    times: set[int], start: int | None, end: int | None, count: int, bounds: bool, steps: int
) -> None:
    asked = Asked(start_us=start, end_us=end, count=count, bounds=bounds)
    if asked.valid:
        assert pages(Listed(set(times), steps), asked, []) == model(times, asked)


@settings(max_examples=300, deadline=None)
@given(times=st.sets(MOMENT, max_size=15), new=st.lists(MOMENT, max_size=5), backward=st.booleans(), steps=st.integers(1, 5))
def test_while_values_come_none_is_told_twice_and_none_that_was_there_is_left_out(
    times: set[int], new: list[int], backward: bool, steps: int
) -> None:
    start, end = (20, -1) if backward else (0, 21)
    asked = Asked(start_us=start, end_us=end, count=0, bounds=False)
    told = [t for t, _ in pages(Listed(set(times), steps), asked, list(new))]
    assert told == sorted(set(told), reverse=backward)
    assert times <= set(told) <= times | set(new)


@pytest.mark.parametrize(
    ("start", "end", "count", "bounds", "expected"),
    [
        (0, 5, 0, True, [0, 2, 3, 5]),
        (0, 5, 0, False, [0, 2, 3]),
        (1, 4, 0, True, [0, 2, 3, 5]),
        (1, 4, 0, False, [2, 3]),
        (5, 0, 0, True, [5, 3, 2, 0]),
        (5, 0, 0, False, [5, 3, 2]),
        (4, 1, 0, True, [5, 3, 2, 0]),
        (4, 1, 0, False, [3, 2]),
        (1, None, 3, True, [0, 2, 3]),
        (1, None, 3, False, [2, 3, 5]),
        (None, 4, 3, True, [5, 3, 2]),
        (None, 3, 9, False, [3, 2, 0]),
        (0, 0, 0, True, [0]),
        (0, 0, 0, False, [0]),
        (1, 1, 0, True, [0, 2]),
        (1, 1, 0, False, []),
    ],
)
def test_bounds_and_directions_are_those_of_the_standard(
    start: int | None, end: int | None, count: int, bounds: bool, expected: list[int]
) -> None:
    asked = Asked(start_us=start, end_us=end, count=count, bounds=bounds)
    assert pages(Listed({0, 2, 3, 5, 6}, 99), asked, []) == [(t, True) for t in expected]


def test_where_there_is_no_bound_its_place_says_so() -> None:
    asked = Asked(start_us=-1, end_us=9, count=0, bounds=True)
    assert pages(Listed({0, 6}, 99), asked, []) == [(-1, False), (0, True), (6, True), (9, False)]


def test_two_of_start_end_and_count_must_be_given() -> None:
    for start, end, count in ((None, None, 5), (1, None, 0), (None, 1, 0), (None, None, 0)):
        assert not Asked(start_us=start, end_us=end, count=count, bounds=False).valid
