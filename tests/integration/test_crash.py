"""The per-commit share of benchmarks/crash.py: nothing acknowledged is lost, and a broken promise is found."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from benchmarks.crash_cuts import Tally, run_chain, sweep
from benchmarks.crash_model import read_journal
from gateway.record import database
from tests.conftest import REPO

COUNTS = {"journal": 20, "ops": 2}


def test_kills_and_power_cuts_lose_nothing_acknowledged() -> None:
    command = [
        sys.executable,
        str(REPO / "benchmarks" / "crash.py"),
        "--kills",
        "120",
        "--cuts",
        "300",
        "--seed",
        "3",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, cwd=REPO)
    assert done.returncode == 0, done.stderr
    tally = json.loads(done.stdout)
    assert (tally["kills"], tally["cuts"], tally["losses"], tally["seed"]) == (120, 300, [], 3)
    assert tally["acknowledged"] > 2000
    assert tally["asked"] > 50
    assert tally["deaths"] > 20
    assert tally["errors"] > 20


@pytest.mark.parametrize(("how", "error"), [("once", apsw.IOError), ("on", apsw.FullError), ("last", apsw.IOError)])
@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_every_write_and_every_sync_may_fail(name: str, count: int, how: str, error: type[apsw.Error]) -> None:
    tally = Tally()
    for new in (True, False):
        sweep(name, error, how, tally, count=count, new=new)
    assert tally.losses == []
    assert tally.errors > 60, "so many operations have failed"
    assert tally.acknowledged > 300


def losses(name: str, chains: int = 6, **broken: object) -> list[str]:
    tally = Tally()
    for number in range(chains):
        run_chain(name, 1, number, 10, tally, **broken)
    return tally.losses


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("broken", [{"synchronous": "OFF"}, {"synchronous": "NORMAL"}, {"lies": True}])
def test_a_commit_that_is_not_synced_is_found_out(name: str, broken: dict[str, object]) -> None:
    found = losses(name, **broken)
    assert len(found) >= 4
    assert "replay: python benchmarks/crash.py --kills 0 --cuts" in found[0]


@pytest.mark.parametrize("name", COUNTS)
def test_a_log_that_only_the_cache_held_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed sync, then a kill: the next process sees a log that the disk does not hold, and builds upon it."""
    monkeypatch.setattr(database, "_write_again", lambda log: None)
    tally = Tally()
    sweep(name, apsw.IOError, "last", tally, count=20, new=False)
    assert tally.losses
    assert "IOError (last)" in tally.losses[0]


@pytest.mark.parametrize("name", COUNTS)
def test_the_same_seed_gives_the_same_cuts(name: str) -> None:
    tallies = [Tally(), Tally()]
    for tally in tallies:
        run_chain(name, 7, 1, 10, tally)
    assert tallies[0] == tallies[1]
    assert tallies[0].cuts == 10


_EARLY = """
import sys
from benchmarks import crash_kills
from benchmarks.crash_cuts import Tally
from gateway.record.journal import Journal
from gateway.record.ops import OpsDatabase

class TooEarly(Journal):
    def _commit(self, db, batch):
        self.on_commit(batch[-1].seq)
        return super()._commit(db, batch)

class Torn(OpsDatabase):
    def transaction(self):
        import contextlib
        return contextlib.nullcontext()

crash_kills.Journal, crash_kills.OpsDatabase = TooEarly, Torn
for name in ("journal", "ops"):
    tally = Tally()
    crash_kills.run_file(name, 1, 0, 100, tally, sys.argv[1])
    print(name, tally.losses)
    assert len(tally.losses) == 1
"""


def test_a_kill_finds_what_was_acknowledged_too_early_or_torn(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _EARLY, str(tmp_path)], capture_output=True, text=True, timeout=120, cwd=REPO)
    assert done.returncode == 0, done.stdout + done.stderr


_SYSCALLS = """
import os, sys, time
from gateway.core.events import PartOutcome
from gateway.record import journal as module

module.RETRY_S = 0.01
acked, failed = 0, set()

def on_commit(seq):
    global acked
    os.write(1, b"ack %d\\n" % seq)
    acked = seq

journal = module.Journal(sys.argv[1], on_commit=on_commit, reserve_bytes=4096)
end = time.monotonic() + 60
for i in range(1, 61):
    journal.append(PartOutcome(line="L", t_utc_ns=i, part_id=i, outcome="PASSED"))
    while acked < i:
        failed.add(journal.failed)
        assert time.monotonic() < end, (acked, journal.failed)
        time.sleep(0.0005)
os.write(2, repr(sorted(failed)).encode())
os._exit(0)
"""


@pytest.mark.parametrize(
    ("inject", "words"),
    [("", ""), ("fdatasync:error=EIO:when=10+5", "disk I/O error"), ("pwrite64:error=ENOSPC:when=80+9", "is full")],
)
def test_the_kernels_own_errors_reach_the_real_journal_and_no_record_is_acknowledged_before_its_sync(
    tmp_path: Path, inject: str, words: str
) -> None:
    """The same with the standard library's SQLite and real system calls, some of which strace fails."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-qq", "true"], capture_output=True).returncode:
        pytest.skip("this kernel lets nobody trace")
    log, path = tmp_path / "log", tmp_path / "j.db"
    command = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=fdatasync,pwrite64,write"]
    command += ["-e", f"inject={inject}"] if inject else []
    done = subprocess.run([*command, sys.executable, "-c", _SYSCALLS, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert words in done.stderr
    calls = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines() if line[:1].isdigit()]
    on_disk, acks = False, 0
    for call in calls:
        if call.startswith("pwrite64("):
            on_disk = False
        elif call.startswith("fdatasync("):
            on_disk = call.endswith("= 0")
        elif '"ack ' in call:
            assert on_disk, "it was acknowledged before it was synced"
            acks += 1
    assert acks == 60
    assert ("INJECTED" in log.read_text()) == bool(inject)
    assert read_journal(path) == list(range(1, 61))
