"""One line's serials between its records and the commit."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.core.events import PartJudged, PartOutcome
from gateway.record.ops import OpsDatabase
from gateway.services.serials import Serials


def part(part_id: int, serial: str) -> PartJudged:
    return PartJudged(line="A", t_utc_ns=part_id, seq=part_id, part_id=part_id, epoch=7, disposition="FAIL", serial=serial)


def test_a_part_without_a_serial_is_never_one_seen_again(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    serials = Serials("A", ops)
    for record in (part(1, ""), part(2, ""), PartOutcome(line="A", t_utc_ns=1, part_id=2, outcome="REJECTED")):
        serials.take(record)
    with capture_logs() as logs:
        with ops.transaction():
            serials.save()
        serials.saved()
    assert logs == []
    assert ops.reinspections("") == []
    ops.close()


def test_a_commit_that_fails_is_made_up_for_by_the_next_and_said_once(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    serials = Serials("A", ops)
    for record in (part(1, "SN"), part(2, "SN"), part(3, "SN")):
        serials.take(record)
    with capture_logs() as logs:
        with pytest.raises(sqlite3.OperationalError), ops.transaction():
            serials.save()
            raise sqlite3.OperationalError("disk full")
        assert ops.reinspections("SN") == []
        with ops.transaction():
            serials.save()
        serials.saved()
        with ops.transaction():
            serials.save()
        serials.saved()
    assert [(r.part_id, r.first_part_id, r.count) for r in ops.reinspections("SN")] == [(2, 1, 2), (3, 1, 3)]
    assert [(e["event"], e["part_id"]) for e in logs] == [("a part was inspected again", 2), ("a part was inspected again", 3)]
    ops.close()
