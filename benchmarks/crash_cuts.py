"""Power cuts, deaths and failing disks for both databases: the real Journal and OpsDatabase on a ``crash_disk.Disk``.

A chain is a sequence of sessions on one folder, all drawn from one seed. A session opens the database, works, and ends by a
power cut at a random operation, by the death of its process, or in order; operations may fail on the way. After each end
everything that was acknowledged must be there, as it was, once, and numbered without gaps. The check reads a copy of the folder
with the standard library's SQLite; the next session goes on with the folder itself.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import apsw

from benchmarks.crash_model import LINE, LossError, check_ops, copy, journal_record, read_journal, step
from benchmarks.crash_vfs import SqliteDisk
from gateway.core.errors import GatewayError
from gateway.record import journal as journal_module
from gateway.record.journal import Journal
from gateway.record.ops import OpsDatabase

CUTS_PER_CHAIN = 10
RECOVERY_S = 20.0
RETRY_S = 0.002
SCRATCH = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # noqa: S108 - memory, where a sync costs nothing


@dataclass(slots=True)
class Tally:
    """What was done and what was found."""

    kills: int = 0
    """Processes killed by SIGKILL."""
    cuts: int = 0
    deaths: int = 0
    """Sessions that ended as by a kill, between two operations on the simulated disk."""
    errors: int = 0
    acknowledged: int = 0
    """Acknowledged records (journal) and transactions (ops) that were looked for after the end of their session."""
    asked: int = 0
    """Requests of the operations database that went out, each at most once."""
    losses: list[str] = field(default_factory=list)


class Chain(Protocol):
    """One database over many sessions."""

    name: str
    acked: int

    def work(self, disk: SqliteDisk, rng: random.Random, count: int, *, orderly: bool) -> None:
        """Open, write ``count`` records or transactions or die, and close (in order, or by the process's death)."""

    def check(self, folder: Path) -> None:
        """Check a copy of the folder."""


class JournalChain:
    """The journal: what was queued, and what was acknowledged."""

    name = "journal"

    def __init__(self) -> None:
        """Start with no file."""
        self.acked = 0
        self._found = 0
        self._sessions = 0
        self._queued: dict[int, int] = {}

    def work(self, disk: SqliteDisk, rng: random.Random, count: int, *, orderly: bool) -> None:
        """See :class:`Chain`."""
        ended, left = threading.Event(), count
        trouble: list[str] = []
        since_failure = 0
        disk.on_dead = ended.set
        self._sessions += 1
        rng = random.Random(rng.random())  # how much of it is used before a cut is noticed is up to the threads

        def append(burst: int) -> None:
            nonlocal left
            for _ in range(min(burst, left)):
                nonce = self._sessions * 1000 + left
                self._queued[journal.append(journal_record(nonce, rng))] = nonce
                left -= 1

        def on_commit(seq: int) -> None:
            # Appended in the journal's own thread, so that the same seed gives the same commits.
            nonlocal since_failure
            since_failure += disk.fail_from is not None and bool(disk.failed)
            if since_failure > 1:  # of one it may have been the checkpoint after the commit that failed
                trouble.append(f"record {seq} was acknowledged while the disk took nothing")
            self.acked = seq
            with contextlib.suppress(GatewayError):  # the power went off during a checkpoint, and it is being closed
                append(rng.randint(1, 12))
            if not left and seq == journal.last_seq:
                ended.set()

        try:
            with disk.mounted():
                journal = Journal(disk.folder / "j.db", on_commit=on_commit, connect=disk.connect, reserve_bytes=4096)
        except GatewayError as e:
            _excuse(disk, e)
            return
        if journal.last_seq != self._found:
            trouble.append(f"{journal.last_seq} records after opening, {self._found} were there")
        self.acked = self._found  # what is found at the opening is on the disk from then on
        append(1)
        give_up = time.monotonic() + RECOVERY_S
        while not ended.wait(0.0002) and not trouble:
            if time.monotonic() > give_up:
                trouble.append(f"it does not recover: {journal.failed or journal.pending()}")
            if journal.failed:
                disk.fail_from = None  # it has said so: now the disk recovers
        if not orderly:
            disk.dead = True
        journal.close()
        if trouble:
            raise LossError(trouble[0])

    def check(self, folder: Path) -> None:
        """See :class:`Chain`."""
        nonces = read_journal(folder / "j.db")
        if len(nonces) < self.acked:
            raise LossError(f"{len(nonces)} records are there, {self.acked} were acknowledged")
        for seq, nonce in enumerate(nonces, 1):
            if self._queued.get(seq) != nonce:
                raise LossError(f"record {seq} is another")
        self._found = len(nonces)
        self._queued = {seq: n for seq, n in self._queued.items() if seq <= self._found}


class OpsChain:
    """The operations database: its cursor, and what belongs to it."""

    name = "ops"

    def __init__(self) -> None:
        """Start with no file."""
        self.acked = 0
        self._found = 0

    def work(self, disk: SqliteDisk, rng: random.Random, count: int, *, orderly: bool) -> None:
        """See :class:`Chain`."""
        try:
            with disk.mounted():
                ops = OpsDatabase(disk.folder / "ops.db", clock=lambda: 1, connect=disk.connect)
        except GatewayError as e:
            _excuse(disk, e)
            return
        try:
            self.acked = self._found
            _, c = ops.cursor(LINE)
            if c != self._found:
                raise LossError(f"the cursor is {c} after opening, {self._found} was there")
            refused = since_failure = 0
            while c < self._found + count and not disk.dead:
                try:
                    with ops.transaction():
                        step(ops, c + 1)
                except sqlite3.OperationalError as e:
                    refused += 1
                    if refused > 100 and not disk.dead:
                        raise LossError(f"it does not recover: {e}") from e
                    if refused > 3:
                        disk.fail_from = None
                    continue
                since_failure += disk.fail_from is not None and bool(disk.failed)
                if since_failure > 1:
                    raise LossError(f"transaction {c + 1} was acknowledged while the disk took nothing")
                c += 1
                self.acked = c
                if rng.random() < 0.1:
                    ops.actions()
        except sqlite3.DatabaseError as e:
            if not disk.dead:
                raise LossError(f"it cannot be used any more: {e}") from e
        finally:
            if not orderly:
                disk.dead = True
            ops.close()

    def check(self, folder: Path) -> None:
        """See :class:`Chain`."""
        c = check_ops(folder / "ops.db")
        if c < self.acked:
            raise LossError(f"the cursor is {c}, {self.acked} was acknowledged")
        self._found = c


CHAINS = {"journal": JournalChain, "ops": OpsChain}


def _excuse(disk: SqliteDisk, error: GatewayError) -> None:
    """Raise LossError unless the disk gave a reason for what failed."""
    if not disk.failed and not disk.dead:
        raise LossError(f"it cannot be opened any more: {error}")


@contextlib.contextmanager
def disk(seed: str) -> Iterator[tuple[SqliteDisk, Path]]:
    """Yield an empty disk and a folder for copies; the journal tries a failing disk again at once."""
    root = Path(tempfile.mkdtemp(prefix="vg-crash-", dir=SCRATCH))
    (root / "disk").mkdir()
    made = SqliteDisk(root / "disk", seed)
    retry, journal_module.RETRY_S = journal_module.RETRY_S, RETRY_S
    try:
        yield made, root / "copy"
    finally:
        journal_module.RETRY_S = retry
        made.close()
        shutil.rmtree(root)


def session(chain: Chain, disk: SqliteDisk, scratch: Path, rng: random.Random, count: int, end: str, tally: Tally) -> None:
    """Run one session to its end (``cut``, ``death``, ``order``) and check. Raises LossError."""
    before = chain.acked
    chain.work(disk, rng, count, orderly=end == "order")
    tally.errors += len(disk.failed)
    if end == "cut":
        tally.cuts += 1
        disk.power_cut()
    else:
        tally.deaths += end == "death"
        disk.revive()
    copy(disk.folder, scratch)
    chain.check(scratch)
    tally.acknowledged += chain.acked - before


def run_chain(name: str, seed: int, number: int, cuts: int, tally: Tally, *, synchronous: str = "", lies: bool = False) -> None:
    """Run sessions of chain ``number`` until ``cuts`` power cuts are done; a loss ends it and goes to ``tally.losses``.

    ``synchronous`` and ``lies`` break the promise, to show that a loss is found.
    """
    rng = random.Random(f"{seed}/{name}/{number}")
    chain: Chain = CHAINS[name]()
    done = 0
    with disk(f"{seed}/{name}/{number}/disk") as (on, scratch):
        on.synchronous, on.lies = synchronous, lies
        try:
            while done < cuts:
                on.checkpoint_pages = rng.choice((2, 8, 40, 1000))
                end = rng.choices(("cut", "death", "order"), (8, 2, 1))[0]
                if end != "order" and rng.random() < 0.9:
                    on.cut_at = rng.choice((rng.randrange(40), rng.randrange(250)))
                if rng.random() < 0.25:
                    for _ in range(rng.randint(1, 3)):
                        on.fail[rng.randrange(1, 150)] = rng.choice((apsw.IOError, apsw.FullError))
                done += end == "cut"
                session(chain, on, scratch, rng, rng.randint(1, 40), end, tally)
        except LossError as loss:
            tally.losses.append(
                f"{name}, chain {number}, cut {done}: {loss}; replay: python benchmarks/crash.py "
                f"--kills 0 --cuts {done} --only {name} --seed {seed} --chain {number}"
            )


def sweep(name: str, error: type[apsw.Error], how: str, tally: Tally, *, count: int, new: bool) -> None:
    """Fail each operation of a session, one a time.

    ``how``: once; on (it and all after it, until the database says so); last (it is the last thing that its process does).
    The session makes a ``new`` file, or works on one. It is followed by a death or a power cut, a session in which nothing
    fails, and a power cut.
    """
    for n in itertools.count(1):
        chain: Chain = CHAINS[name]()
        rng = random.Random(f"{name}/sweep")  # the same work each time
        with disk(f"{name}/{error.__name__}/{how}/{n}") as (on, scratch):
            on.checkpoint_pages = 1000 if how == "last" else 8  # one that comes soon would put right what a kill left behind
            try:
                if not new:
                    session(chain, on, scratch, rng, 3, "order", tally)
                if how == "on":
                    on.fail_from, on.fail_with = n, error
                else:
                    on.fail[n] = error
                if how == "last":
                    on.cut_at = n
                errors = tally.errors
                end = "death" if how == "last" else ("cut", "death", "death")[n % 3]
                session(chain, on, scratch, rng, count, end, tally)
                reached = tally.errors > errors
                session(chain, on, scratch, rng, count, "cut", tally)
                session(chain, on, scratch, rng, 3, "order", tally)
            except LossError as loss:
                tally.losses.append(f"{name}: operation {n} failed with {error.__name__} ({how}): {loss}")
                reached = True
        if not reached:
            return
