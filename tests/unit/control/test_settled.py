"""What one read alone has shown is not believed."""

from __future__ import annotations

from gateway.control.settled import KEEP, Settled, Twice

MS = 1_000_000


def test_an_entry_counts_when_it_is_asked_for_again_after_the_time() -> None:
    ring = Settled(10 * MS)
    assert ring.take([(1, 2), (0, 0)], 0, 1 * MS) == []
    assert ring.take([(1, 2), (0, 0)], 10 * MS, 12 * MS) == [], "it may have been read before the PLC scanned again"
    assert ring.take([(1, 2), (0, 0)], 11 * MS, 12 * MS) == [(1, 2), (0, 0)]


def test_a_torn_entry_that_is_put_right_counts_only_as_put_right() -> None:
    ring = Settled(10 * MS)
    ring.take([(1, 2)], 0, 0)
    ring.take([(9, 2)], 20 * MS, 20 * MS)  # the new part with the old outcome
    assert ring.take([(9, 1)], 28 * MS, 28 * MS) == []
    assert ring.take([(9, 1)], 37 * MS, 37 * MS) == []
    assert ring.take([(9, 1)], 38 * MS, 38 * MS) == [(9, 1)]


def test_what_stood_before_the_owner_was_lost_must_stand_anew() -> None:
    ring = Settled(10 * MS)
    ring.take([(1, 2)], 0, 0)
    ring.clear()
    assert ring.take([(1, 2)], 20 * MS, 20 * MS) == []


def test_without_a_time_the_first_read_counts() -> None:
    assert Settled(0).take([(1, 2)], 5, 6) == [(1, 2)]


def test_two_reads_alike_are_believed_and_only_two_in_a_row() -> None:
    twice = Twice()
    twice.take([(1, 100), (2, 200)])
    assert (twice.get(1), twice.may_come(1), twice.may_come(3)) == (None, True, False)
    twice.take([(1, 101), (2, 200)])
    assert (twice.get(1), twice.get(2)) == (None, 200)
    twice.take([(1, 101), (9, 900)])
    assert (twice.get(1), twice.get(2), twice.may_come(2)) == (101, 200, False)
    twice.clear()
    assert (twice.get(1), twice.may_come(1)) == (None, False)


def test_only_the_newest_are_remembered() -> None:
    twice = Twice()
    for part in range(1, KEEP + 3):
        twice.take([(part, part)])
        twice.take([(part, part)])
    assert (twice.get(2), twice.get(3), twice.get(KEEP + 2)) == (None, 3, KEEP + 2)
