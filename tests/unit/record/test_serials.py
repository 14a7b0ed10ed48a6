"""Serials in the operations database: the first inspection stands, every later one names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.record import ops as ops_module
from gateway.record.ops import OpsDatabase, Reinspection


def see(ops: OpsDatabase, serial: str, part_id: int, line: str = "A", epoch: int = 7) -> Reinspection | None:
    with ops.transaction():
        return ops.add_serial(serial=serial, line=line, epoch=epoch, part_id=part_id, t_utc_ns=1000 + part_id)


def test_a_serial_seen_again_names_the_first_part_and_counts_over_lines_and_restarts(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    assert see(ops, "SN1", 5) is None
    assert see(ops, "SN2", 6) is None
    again = Reinspection(
        serial="SN1", line="A", epoch=7, part_id=9, t_utc_ns=1009, first_line="A", first_epoch=7, first_part_id=5, count=2
    )
    assert see(ops, "SN1", 9) == again
    ops.close()
    ops = OpsDatabase(tmp_path / "ops.db")
    third = see(ops, "SN1", 5, line="B", epoch=8)
    assert third is not None
    assert (third.first_line, third.first_epoch, third.first_part_id, third.count) == ("A", 7, 5, 3)
    assert ops.reinspections("SN1") == [again, third]
    assert ops.reinspections("SN2") == []
    ops.close()


def test_the_same_record_read_twice_is_no_second_inspection(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    for _ in range(3):
        assert see(ops, "SN1", 5) is None
    assert see(ops, "SN1", 6) is not None
    assert see(ops, "SN1", 6) is None
    assert see(ops, "SN1", 5) is None
    last = see(ops, "SN1", 5, epoch=8)
    assert last is not None
    assert last.count == 3, "the same PartId under another owner is another part"
    ops.close()


def test_what_is_rolled_back_was_not_seen(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    with pytest.raises(RuntimeError), ops.transaction():
        ops.add_serial(serial="SN1", line="A", epoch=7, part_id=5, t_utc_ns=1)
        raise RuntimeError
    assert see(ops, "SN1", 6) is None
    ops.close()


def test_the_oldest_serials_make_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops_module, "MAX_SERIALS", 3)
    ops = OpsDatabase(tmp_path / "ops.db")
    for n in range(1, 5):
        assert see(ops, f"SN{n}", n) is None
    assert see(ops, "SN4", 11) is not None
    assert see(ops, "SN2", 12) is not None
    assert see(ops, "SN1", 13) is None, "forgotten"
    ops.close()


def test_a_database_from_before_serials_takes_them(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    with ops.transaction():
        ops._db.execute("DROP TABLE serials")
        ops._db.execute("DROP TABLE reinspections")
    ops.close()
    ops = OpsDatabase(tmp_path / "ops.db")
    assert see(ops, "SN1", 1) is None
    assert see(ops, "SN1", 2) is not None
    ops.close()
