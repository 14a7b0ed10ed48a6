"""An outcome counts once it has stood for a scan of the PLC."""

from __future__ import annotations

from gateway.control.settled import Settled

MS = 1_000_000


def test_an_entry_counts_after_it_has_stood_for_the_time() -> None:
    ring = Settled(10 * MS)
    assert ring.take([(1, 2), (0, 0)], 0) == []
    assert ring.take([(1, 2), (0, 0)], 9 * MS) == []
    assert ring.take([(1, 2), (0, 0)], 10 * MS) == [(1, 2), (0, 0)]


def test_a_torn_entry_that_is_put_right_counts_only_as_put_right() -> None:
    ring = Settled(10 * MS)
    ring.take([(1, 2)], 0)
    ring.take([(9, 2)], 20 * MS)  # the new part with the old outcome
    assert ring.take([(9, 1)], 28 * MS) == []
    assert ring.take([(9, 1)], 37 * MS) == []
    assert ring.take([(9, 1)], 38 * MS) == [(9, 1)]


def test_without_a_time_the_first_read_counts() -> None:
    assert Settled(0).take([(1, 2)], 5) == [(1, 2)]
