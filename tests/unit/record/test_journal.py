"""The journal numbers without gaps and loses nothing that it acknowledged."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway.core.errors import GatewayError
from gateway.core.events import LineState, PartJudged, PartOutcome, Record
from gateway.record.journal import Journal, JournalReader


def part(part_id: int) -> PartJudged:
    return PartJudged(line="Line1", t_utc_ns=part_id * 1000, part_id=part_id, epoch=7, disposition="PASS", scores={"ok": 1.0})


def wait_for(condition, bound_s: float = 10.0) -> None:
    end = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)


def test_numbers_continue_after_a_restart_and_records_come_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first = Journal(path)
    assert [first.append(part(i)) for i in (1, 2, 3)] == [1, 2, 3]
    first.close()
    second = Journal(path)
    outcome = PartOutcome(line="Line1", t_utc_ns=9, part_id=1, outcome="PASSED")
    assert second.append(outcome) == 4
    second.close()
    reader = JournalReader(path)
    records: list[Record] = reader.since(0)
    assert [r.seq for r in records] == [1, 2, 3, 4]
    assert records[0] == PartJudged(
        line="Line1", t_utc_ns=1000, part_id=1, epoch=7, disposition="PASS", scores={"ok": 1.0}, seq=1
    )
    assert isinstance(records[3], PartOutcome)
    assert [r.seq for r in reader.since(2, limit=1)] == [3]
    assert reader.last_seq() == 4
    reader.close()


def test_on_commit_tells_what_is_durable_and_pending_what_is_not(tmp_path: Path) -> None:
    now = 0
    gate = threading.Event()
    seen: list[int] = []

    def on_commit(seq: int) -> None:
        seen.append(seq)
        assert gate.wait(10)

    journal = Journal(tmp_path / "j.db", on_commit=on_commit, clock=lambda: now)
    journal.append(part(1))
    wait_for(lambda: seen == [1])
    for i in range(2, 302):
        journal.append(part(i))
    now = 1_500_000_000
    assert journal.pending() == (300, 1.5)
    gate.set()
    wait_for(lambda: journal.pending() == (0, 0.0))
    assert seen == [1, 301], "what queued behind one commit is one group commit"
    journal.close()


def test_a_slow_disk_cannot_make_the_memory_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.record.journal.QUEUE", 5)
    gate = threading.Event()
    seen: list[int] = []

    def on_commit(seq: int) -> None:
        seen.append(seq)
        assert gate.wait(10)

    journal = Journal(tmp_path / "j.db", on_commit=on_commit)
    journal.append(part(1))
    wait_for(lambda: seen == [1])
    for i in range(2, 7):
        journal.append(part(i))
    for _ in range(3):
        with pytest.raises(GatewayError, match="5 wait already: the disk is too slow"):
            journal.append(part(7))
    assert journal.pending()[0] == 5
    assert journal.failed == ""
    gate.set()
    wait_for(lambda: journal.pending() == (0, 0.0))
    assert journal.append(part(7)) == 7, "a refused record used no number"
    journal.close()


def test_a_record_without_a_json_form_uses_no_number(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    bad = PartJudged(line="L", t_utc_ns=1, part_id=1, epoch=1, disposition="PASS", scores={"ok": float("nan")})
    with pytest.raises(ValueError):
        journal.append(bad)
    assert journal.append(part(1)) == 1
    journal.close()
    with pytest.raises(GatewayError, match="closed"):
        journal.append(part(2))


def test_a_journal_has_one_writer(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    with pytest.raises(GatewayError, match="another process writes it"):
        Journal(tmp_path / "j.db")
    journal.close()
    Journal(tmp_path / "j.db").close()


def test_a_file_that_is_no_journal_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(GatewayError, match="move it away"):
        Journal(path)
    with pytest.raises(GatewayError, match="move a damaged file away"):
        JournalReader(path).since(0)


def test_the_reader_waits_for_a_file_and_sees_a_new_one_at_the_same_path(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    reader = JournalReader(path)
    assert (reader.since(0), reader.last_seq(), reader.identity()) == ([], 0, "")
    journal = Journal(path)
    journal.append(LineState(line="L", t_utc_ns=1, link="up", ready=True, offline_reason="NONE"))
    journal.close()
    old = reader.identity()
    assert old
    assert reader.last_seq() == 1
    for f in tmp_path.glob("j.db*"):
        f.unlink()
    Journal(path).close()
    assert reader.last_seq() == 0
    assert reader.identity() not in ("", old)
    reader.close()


class _FullDisk(Journal):
    """A journal on a disk that is full until the reserve is given back, or until ``room`` is set."""

    room = False

    def _commit(self, db, batch) -> bool:
        if not self.room:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages if self._reserve.exists() else pages + 1}")
        else:
            db.execute("PRAGMA max_page_count = 1000000")
        return super()._commit(db, batch)

    def _restore_reserve(self) -> bool:
        return self.room and super()._restore_reserve() if hasattr(self, "_thread") else super()._restore_reserve()


def test_a_full_disk_is_named_and_loses_nothing_that_fits_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.record.journal.QUEUE", 3)
    journal = _FullDisk(tmp_path / "j.db", reserve_bytes=4096)
    big = LineState(line="L", t_utc_ns=1, link="down", ready=False, offline_reason="JOURNAL", detail="x" * 9000)
    assert journal.append(big) == 1
    wait_for(lambda: journal.failed != "")
    assert "full" in journal.failed
    assert [journal.append(big), journal.append(big)] == [2, 3], "they wait for the disk"
    with pytest.raises(GatewayError, match=r"3 wait already: .*free space"):
        journal.append(big)
    journal.room = True
    wait_for(lambda: journal.failed == "")
    assert journal.append(big) == 4, "a refused record used no number"
    journal.close()
    assert [r.seq for r in JournalReader(tmp_path / "j.db").since(0)] == [1, 2, 3, 4]
    assert (tmp_path / "j.db.reserve").stat().st_size == 4096


_TMPFS = """
import os, sys, time
from gateway.core.errors import GatewayError
from gateway.core.events import LineState
from gateway.record.journal import Journal, JournalReader
root = sys.argv[1]
journal = Journal(root + "/j.db", reserve_bytes=1 << 20)
acked = 0
def ack(seq):
    global acked
    acked = seq
journal.on_commit = ack
record = LineState(line="L", t_utc_ns=1, link="down", ready=False, offline_reason="NONE", detail="x" * 4000)
last, end = 0, time.monotonic() + 60
with open(root + "/ballast", "wb") as f:
    try:
        while True:
            f.write(bytes(65536)); f.flush()
    except OSError:
        pass
while not journal.failed:
    assert time.monotonic() < end
    try:
        last = journal.append(record)
    except GatewayError:
        break
    while journal.pending()[0] > 8 and not journal.failed:
        time.sleep(0.001)
while journal.pending()[0]:
    assert time.monotonic() < end, journal.failed
    time.sleep(0.01)
assert acked == last, (acked, last)
os.unlink(root + "/ballast")
while journal.failed:
    assert time.monotonic() < end
    time.sleep(0.01)
assert journal.append(record) == last + 1
journal.close()
assert [r.seq for r in JournalReader(root + "/j.db").since(0, 100000)] == list(range(1, last + 2))
print("survived", last)
"""


def test_what_is_queued_when_a_real_disk_fills_up_is_still_committed(tmp_path: Path) -> None:
    script = tmp_path / "full.py"
    script.write_text(_TMPFS)
    mount = f"mount -t tmpfs -o size=4m tmpfs {tmp_path}/disk && exec {sys.executable} {script} {tmp_path}/disk"
    (tmp_path / "disk").mkdir()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    probe = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "t", str(tmp_path / "disk")], capture_output=True)
    if probe.returncode:
        pytest.skip("mounting a small disk needs kernel rights (unprivileged user namespaces)")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True, env=env, timeout=90)
    assert done.returncode == 0, done.stderr
    assert "survived" in done.stdout


_WRITER = """
import os, sys
from gateway.core.events import PartOutcome
from gateway.record.journal import Journal
fd = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
journal = Journal(sys.argv[1], on_commit=lambda seq: os.write(fd, b"%d\\n" % seq), reserve_bytes=4096)
i = 0
while True:
    i += 1
    journal.append(PartOutcome(line="L", t_utc_ns=i, part_id=i, outcome="PASSED"))
    while journal.pending()[0] > 200:
        pass
"""


def test_kill_9_loses_nothing_acknowledged_and_leaves_no_gap(tmp_path: Path) -> None:
    script, db, acks = tmp_path / "writer.py", tmp_path / "j.db", tmp_path / "acks"
    script.write_text(_WRITER)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    total = 0
    for kill in range(4):
        acks.write_bytes(b"")
        writer = subprocess.Popen([sys.executable, str(script), str(db), str(acks)], env=env)
        try:
            wait_for(lambda bound=3 + 7 * kill: acks.read_bytes().count(b"\n") >= bound, 30)
        finally:
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait()
        lines = acks.read_bytes().split(b"\n")[:-1]
        acknowledged = int(lines[-1])
        reader = JournalReader(db)
        records = reader.since(0, 10_000_000)
        reader.close()
        assert [r.seq for r in records] == list(range(1, len(records) + 1))
        assert len(records) >= acknowledged > total
        total = acknowledged
        check = sqlite3.connect(db)
        assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        check.close()


def test_a_disk_that_refuses_even_to_free_the_reserve_does_not_end_the_writer(tmp_path: Path) -> None:
    """As one that was mounted read-only after an error: the writer must live to see it recover."""
    reserve = tmp_path / "journal.db.reserve"
    reserve.mkdir()
    (reserve / "in the way").touch()
    journal = Journal(tmp_path / "journal.db")
    try:
        assert "free some space" in journal.failed
        assert journal.alive
        (reserve / "in the way").unlink()
        reserve.rmdir()
        for _ in range(500):
            if not journal.failed:
                break
            time.sleep(0.01)
        assert journal.failed == ""
    finally:
        journal.close()
