"""Parts are found in the journal newest first, within a bound of time, and by the index wherever they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.errors import GatewayError
from gateway.core.events import LineState, PartJudged
from gateway.record.journal import Journal
from gateway.record.ops import OpsDatabase
from gateway.record.parts import Parts
from gateway.record.search import PartQuery, find_parts


def part(n: int) -> PartJudged:
    """Return a part with the id ``n``."""
    disposition = "PASS" if n % 2 else "FAIL"
    return PartJudged(line="L", t_utc_ns=n * 1000, part_id=n, epoch=n // 10, disposition=disposition, product=f"P'{n % 3}")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Return a journal with parts 1 to 30; a state of the line stands before each (numbers 1, 3, …)."""
    journal = Journal(tmp_path / "journal.db")
    for n in range(1, 31):
        journal.append(LineState(line="L", t_utc_ns=n, link="up", ready=True, offline_reason="NONE"))
        journal.append(part(n))
    journal.close()
    yield journal.path


def ids(path: Path, query: PartQuery, *, skip: int = 0, limit: int = 100) -> list[int]:
    return [p.part_id for p in find_parts(path, query, skip=skip, limit=limit).parts]


def test_the_newest_come_first_and_pages_join(path: Path) -> None:
    everything = ids(path, PartQuery())
    assert everything == list(range(30, 0, -1))
    assert ids(path, PartQuery(), limit=7) + ids(path, PartQuery(), skip=7) == everything


def test_complete_says_whether_there_are_more(path: Path) -> None:
    assert [find_parts(path, PartQuery(), limit=n).complete for n in (29, 30, 31)] == [False, True, True]
    assert find_parts(path, PartQuery(), skip=1, limit=29).complete


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (PartQuery(seqs=(4, 5, 60)), [30, 2]),
        (PartQuery(seqs=()), []),
        (PartQuery(dispositions=("FAIL",), equal=(("epoch", 1),)), [18, 16, 14, 12, 10]),
        (PartQuery(spans=((2000, 4000), (29000, 30000))), [29, 3, 2]),
        (PartQuery(spans=()), []),
        (PartQuery(equal=(("product", "P'0"), ("epoch", 2))), [27, 24, 21]),
        (PartQuery(equal=(("product", "P' OR 1=1"),)), []),
    ],
)
def test_all_conditions_hold(path: Path, query: PartQuery, found: list[int]) -> None:
    assert ids(path, query) == found


def test_what_is_no_field_is_a_mistake_of_the_caller(path: Path) -> None:
    with pytest.raises(KeyError):
        ids(path, PartQuery(equal=(("x') OR ('1", 1),)))


def test_a_search_ends_with_its_time_and_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.record.search.STEPS", 1)
    times = iter(range(10**6))
    found = find_parts(path, PartQuery(), limit=30, limit_s=100, clock=lambda: next(times))
    assert not found.complete
    assert [p.part_id for p in found.parts] == list(range(30, 30 - len(found.parts), -1)) and len(found.parts) < 30


def test_records_of_a_newer_program_are_passed_over(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("""INSERT INTO records VALUES (61, 1, 'part', '{"kind":"part","part_id":1}')""")
    first = find_parts(path, PartQuery(), limit=1)
    assert (first.parts, first.complete) == ((), False)
    assert ids(path, PartQuery(), limit=2) == [30] == ids(path, PartQuery(), skip=1, limit=1)


def test_a_journal_that_is_not_there_has_no_parts(tmp_path: Path) -> None:
    assert find_parts(tmp_path / "none.db", PartQuery(), limit=1).complete
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    assert find_parts(tmp_path / "empty.db", PartQuery(), limit=1).complete
    (tmp_path / "broken.db").write_bytes(b"no database" * 1000)
    with pytest.raises(GatewayError, match=r"broken\.db"):
        find_parts(tmp_path / "broken.db", PartQuery(), limit=1)


def test_the_index_knows_where_the_newest_of_an_id_is(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    index = ops.parts
    with ops.transaction():
        for line, epoch, part_id, seq in (("A", 1, 7, 10), ("A", 2, 7, 20), ("B", 1, 7, 30), ("A", 1, 8, 40), ("A", 2, 7, 50)):
            index.add(line=line, epoch=epoch, part_id=part_id, seq=seq)
    assert index.find("A", 7) == [50, 10]
    assert index.find("A", 7, 1) == [10] and index.find("A", 7, 2) == [50] and index.find("A", 9) == []
    ops.close()
    again = OpsDatabase(tmp_path / "ops.db")
    assert again.parts.find("B", 7) == [30]
    again.close()


def test_the_index_forgets_the_oldest(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    index = Parts(ops._db, most=3)
    with ops.transaction():
        for n in range(1, 6):
            index.add(line="A", epoch=1, part_id=n, seq=n * 10)
    assert [index.find("A", n) for n in range(1, 6)] == [[], [], [30], [40], [50]]
    ops.close()
