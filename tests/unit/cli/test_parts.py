"""``gateway parts``: what a person reads who asks why a good part was rejected, from journals that may be in use."""

from __future__ import annotations

import json
from pathlib import Path
from queue import SimpleQueue

import pytest

from gateway.cli import main, parts
from gateway.core.events import PartJudged, PartOutcome, Record
from gateway.record.journal import Journal

SECOND = 1_000_000_000


def judged(line: str, part_id: int, disposition: str, *reasons: str, at_s: int, epoch: int = 7) -> PartJudged:
    return PartJudged(line=line, t_utc_ns=at_s * SECOND, part_id=part_id, epoch=epoch, disposition=disposition, reasons=reasons)


def outcome(line: str, part_id: int, outcome: str, *, at_s: int, epoch: int = 7) -> PartOutcome:
    return PartOutcome(line=line, t_utc_ns=at_s * SECOND, part_id=part_id, epoch=epoch, outcome=outcome)


def record(data: Path, line: str, *records: Record) -> None:
    (data / line).mkdir(parents=True)
    journal = Journal(data / line / "journal.db")
    for r in records:
        journal.append(r)
    journal.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two lines; PartId 1 of the first came twice, under two owners."""
    folder = tmp_path / "data"
    record(
        folder,
        "Press",
        judged("Press", 1, "PASS", at_s=1, epoch=6),
        outcome("Press", 1, "PASSED", at_s=2, epoch=6),
        judged("Press", 1, "NOT_INSPECTED", "no frame came", "late", at_s=3),
        judged("Press", 2, "FAIL", "dent at 0.930", at_s=5),
        outcome("Press", 1, "REJECTED", at_s=6),
    )
    record(folder, "Molding", judged("Molding", 9, "FAIL", "crack at 0.8", at_s=4))
    return folder


def ask(capsys: pytest.CaptureFixture[str], data: Path, *options: str) -> list[dict[str, object]]:
    assert main(["parts", "--data", str(data), "--json", *options]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"]
    assert said["complete"]
    return list(said["parts"])


def seen(rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(r["line"], r["part_id"], r["verdict"], r["outcome"], r["reasons"]) for r in rows]


def test_the_newest_parts_of_all_lines_with_the_outcome_of_their_own_epoch(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = [
        ("Press", 1, "PASS", "PASSED", []),
        ("Press", 1, "NOT_INSPECTED", "REJECTED", ["no frame came", "late"]),
        ("Molding", 9, "FAIL", None, ["crack at 0.8"]),
        ("Press", 2, "FAIL", None, ["dent at 0.930"]),
    ]
    assert seen(ask(capsys, data)) == every
    assert seen(ask(capsys, data, "--last", "2")) == every[-2:]
    assert seen(ask(capsys, data, "--line", "Press")) == [e for e in every if e[0] == "Press"]
    for which, verdicts in parts.WHICH.items():
        assert seen(ask(capsys, data, "--disposition", which)) == [e for e in every if e[2] in verdicts]
    assert seen(ask(capsys, data, "--disposition", "reject", "--line", "Press", "--last", "1")) == every[-1:]


def test_as_a_person_reads_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parts", "--data", str(data), "--disposition", "reject"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "time                           line     part  verdict        outcome   reason",
        "1970-01-01T00:00:03.000+00:00  Press    1     NOT_INSPECTED  REJECTED  no frame came; late",
        "1970-01-01T00:00:04.000+00:00  Molding  9     FAIL           -         crack at 0.8",
        "1970-01-01T00:00:05.000+00:00  Press    2     FAIL           -         dent at 0.930",
    ]
    assert main(["parts", "--data", str(data), "--line", "Molding", "--disposition", "pass"]) == 0
    assert capsys.readouterr().out == "no such part is recorded\n"


def test_a_journal_that_is_being_written_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Press").mkdir()
    committed: SimpleQueue[int] = SimpleQueue()
    journal = Journal(tmp_path / "Press" / "journal.db", on_commit=committed.put)
    try:
        for part_id in (1, 2, 3):
            seq = journal.append(judged("Press", part_id, "FAIL", "dent", at_s=part_id))
            while committed.get(timeout=10) < seq:
                pass
            assert [r["part_id"] for r in ask(capsys, tmp_path)] == list(range(1, part_id + 1))
    finally:
        journal.close()
    assert len(ask(capsys, tmp_path)) == 3


def test_outcomes_are_found_over_several_readings(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "CHUNK", 1)
    assert [r["outcome"] for r in ask(capsys, data, "--line", "Press")] == ["PASSED", "REJECTED", None]


def test_what_is_not_there_is_said_with_the_remedy(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, why in [
        (["--data", str(data / "none")], "there is no such folder; name the one that gateway.yaml has as data:"),
        (["--data", str(data / "Press")], "no line has a journal here; name the folder that gateway.yaml has as data:"),
        (["--data", str(data), "--line", "Pres"], "--line Pres: has no journal in"),
    ]:
        assert main(["parts", *options]) == 2
        assert why in capsys.readouterr().err
    for wrong in ("0", "x", "100001"):
        with pytest.raises(SystemExit) as left:
            main(["parts", "--last", wrong])
        assert left.value.code == 2
    (data / "Press" / "journal.db").write_bytes(b"no journal at all, and long enough to be looked at" * 100)
    assert main(["parts", "--data", str(data)]) == 1
    assert "move a damaged file away" in capsys.readouterr().err
