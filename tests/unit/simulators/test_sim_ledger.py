"""The ledger's file: one JSON object a line, there at once, and readable while it is being written."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.ledger import Ledger, read_ledger


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.write("part", 1.23456, n=1, truth="dent", defective=True)
    ledger.write("gate", 2, n=1, passed=False)
    ledger.close()
    assert list(read_ledger(path)) == [
        {"kind": "part", "t_ms": 1.235, "n": 1, "truth": "dent", "defective": True},
        {"kind": "gate", "t_ms": 2, "n": 1, "passed": False},
    ]


def test_it_is_there_at_once_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.write("gate", 1, n=1)
    with path.open("a") as other:
        other.write('{"kind":"ga')
    assert [e["n"] for e in read_ledger(path)] == [1]
    ledger.close()


def test_an_older_ledger_is_replaced(tmp_path: Path) -> None:
    for n in (1, 2):
        ledger = Ledger(tmp_path / "ledger.jsonl")
        ledger.write("gate", 1, n=n)
        ledger.close()
    assert [e["n"] for e in read_ledger(tmp_path / "ledger.jsonl")] == [2]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Ledger(tmp_path / "file" / "ledger.jsonl")
