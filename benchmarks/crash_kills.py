"""kill -9 of a process that writes the real Journal or OpsDatabase on a real file system, at random moments, and what is left.

The parent has imported everything and has no thread, so a writer is a fork of it and starts within milliseconds. The writer
tells through a pipe what was acknowledged to it; the parent kills it after a random time or a random number of
acknowledgements, and checks a copy of the file as after a power cut. The next writer goes on with the file itself.

The moments come from the seed, what the scheduler makes of them does not: a failure keeps its folder.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.crash_cuts import Tally
from benchmarks.crash_model import LINE, LossError, check_ops, copy, journal_record, read_journal, step
from gateway.record.journal import Journal
from gateway.record.ops import OpsDatabase

KILLS_PER_FILE = 100
PATIENCE_S = 20.0
Say = Callable[[str], None]


def write_journal(folder: Path, kill: int, say: Say) -> None:
    """Append for ever; say ``start N`` with the last number found, and ``ack N`` when everything up to N is durable."""
    rng = random.Random(kill)
    journal = Journal(folder / "j.db", on_commit=lambda seq: say(f"ack {seq}"), reserve_bytes=4096)
    say(f"start {journal.last_seq}")
    for i in range(1, 1_000_000):
        journal.append(journal_record(kill * 1_000_000 + i, rng))
        while journal.pending()[0] > rng.randrange(64):
            time.sleep(0.0002)


def write_ops(folder: Path, kill: int, say: Say) -> None:
    """Move the cursor for ever, with all that it causes; say ``start N``, ``ack N``, and ``ask ID`` for what is sent."""
    ops = OpsDatabase(folder / "ops.db", clock=lambda: 1)
    _, c = ops.cursor(LINE)
    say(f"start {c}")
    for action in ops.actions()[-1:]:
        with ops.transaction():
            if ops.add_intent(id=action["id"], line=LINE, kind="adjust", payload={}, evidence=""):
                say(f"twice {action['id']}")
    while True:
        c += 1
        with ops.transaction():
            step(ops, c)
        if c % 5 == 2:
            say(f"ask i{c - 1}")
        say(f"ack {c}")


class Journals:
    """The journal over many kills."""

    name = "journal"
    write = staticmethod(write_journal)

    def __init__(self) -> None:
        """Start with no file."""
        self.found = 0

    def check(self, folder: Path, kill: int, said: list[tuple[str, str]], tally: Tally) -> None:
        """Check what the writer left. Raises LossError."""
        before, acked = self.found, _last(said, "ack")
        start = _last(said, "start", before)
        if start != before:
            raise LossError(f"the numbering went on after {start}, {before} were there")
        nonces = read_journal(folder / "j.db")
        if len(nonces) < max(acked, before):
            raise LossError(f"{len(nonces)} records are there, {max(acked, before)} were acknowledged")
        if nonces[before:] != [kill * 1_000_000 + i for i in range(1, len(nonces) - before + 1)]:
            raise LossError("what was written since the last kill is not there once and in order")
        if len(set(nonces)) != len(nonces):
            raise LossError("a record is there twice")
        tally.acknowledged += max(0, acked - before)
        self.found = len(nonces)


class Operations:
    """The operations database over many kills."""

    name = "ops"
    write = staticmethod(write_ops)

    def __init__(self) -> None:
        """Start with no file."""
        self.found = 0
        self._asked: set[str] = set()

    def check(self, folder: Path, kill: int, said: list[tuple[str, str]], tally: Tally) -> None:
        """Check what the writer left. Raises LossError."""
        acked = _last(said, "ack")
        start = _last(said, "start", self.found)
        if start != self.found:
            raise LossError(f"it went on after {start}, {self.found} was there")
        c = check_ops(folder / "ops.db")
        if c < max(acked, self.found):
            raise LossError(f"the cursor is {c}, {max(acked, self.found)} was acknowledged")
        for id in [what for word, what in said if word == "ask"]:
            if id in self._asked:
                raise LossError(f"{id} was sent twice")
            if int(id[1:]) >= c:
                raise LossError(f"{id} was sent before it was written down")
            self._asked.add(id)
            tally.asked += 1
        if any(word == "twice" for word, _ in said):
            raise LossError("a known intent was taken for a new one")
        tally.acknowledged += max(0, acked - self.found)
        self.found = c


KINDS: dict[str, type[Journals] | type[Operations]] = {"journal": Journals, "ops": Operations}


def run_file(name: str, seed: int, number: int, kills: int, tally: Tally, within: Path | None = None) -> None:
    """Kill ``kills`` writers of one file ``within`` a folder; a loss ends it, goes to ``tally.losses`` and keeps the file."""
    rng = random.Random(f"{seed}/{name}/{number}/kills")
    folder = Path(tempfile.mkdtemp(prefix="vg-kill-", dir=within))
    left = KINDS[name]()
    kill = 0
    try:
        for kill in range(1, kills + 1):
            said = _killed_writer(left.write, folder, kill, rng)
            tally.kills += 1
            copy(folder, folder / "copy")
            left.check(folder / "copy", kill, said, tally)
    except (LossError, sqlite3.Error, OSError) as loss:
        tally.losses.append(
            f"{name}, file {number}, kill {kill}: {loss}; it is kept in {folder}; again: python benchmarks/crash.py "
            f"--cuts 0 --kills {kills} --only {name} --seed {seed} --chain {number}"
        )
        return
    shutil.rmtree(folder)


def _killed_writer(
    write: Callable[[Path, int, Say], None], folder: Path, kill: int, rng: random.Random
) -> list[tuple[str, str]]:
    """Start a writer, kill it at a random moment and return what it had said, word by word."""
    early = rng.random() < 0.25
    after = 0 if early else rng.randrange(1, 12)
    wait_s = rng.random() * (0.02 if early else 0.004)
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(out)
        status = 1
        with contextlib.suppress(BrokenPipeError):
            try:
                write(folder, kill, lambda text: os.write(into, f"{text}\n".encode()) and None)
            finally:
                os._exit(status)  # a fork of the parent must not run the parent's end
    os.close(into)
    text = b""
    end = time.monotonic() + PATIENCE_S
    try:
        while text.count(b"ack") < after and time.monotonic() < end:
            if select.select([out], [], [], 0.5)[0]:
                more = os.read(out, 65536)
                if not more:
                    break
                text += more
        time.sleep(wait_s)
        alive = os.waitpid(pid, os.WNOHANG) == (0, 0)
        if alive:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        while more := os.read(out, 65536):
            text += more
    finally:
        os.close(out)
    if not alive:
        raise LossError(f"the writer ended by itself after: {text.decode()[-200:]!r}")
    if text.count(b"ack") < after:
        raise LossError(f"nothing was acknowledged within {PATIENCE_S:.0f} s")
    lines = text.decode().split("\n")[:-1]
    return [(word, what) for word, _, what in (line.partition(" ") for line in lines)]


def _last(said: list[tuple[str, str]], word: str, default: int = 0) -> int:
    return max((int(what) for w, what in said if w == word), default=default)
