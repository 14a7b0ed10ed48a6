"""A disk whose power can be cut, and that can fail, over real files.

The real files are what the system shows (its page cache). Beside them stands what the disk itself holds: the state at the last
sync of each file, and every write, truncation, creation and deletion since. At a cut a seeded subset of these survives, torn at
512 or 4096 bytes, in any order, with growth of the file lost or its holes full of old bytes. A failed sync is the Linux one:
what was written before it is partly lost, the system shows it as if nothing had happened (or drops it too), and a later sync
does not write it again. Assumed, as SQLite does on Linux: a write does not harm bytes beside it.

It must not know SQLite's files from others: ``crash_vfs.py`` puts a database on it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from benchmarks.crash_model import ENDINGS


@dataclass(slots=True)
class _File:
    held: bytearray = field(default_factory=bytearray)
    """What the disk holds for certain."""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)
    """What came after: (offset, bytes) of a write, (size, None) of a truncation."""
    named: bool = False
    """Whether its name is certainly in the folder."""


class Disk:
    """One folder on a disk that can lose its power; ``fail`` injects errors. For one database file at a time."""

    def __init__(self, folder: Path, seed: str) -> None:
        """Take an empty folder; everything random comes from ``seed``."""
        self.folder = folder
        self.rng = random.Random(seed)
        self.ops = 0
        """Operations that would change the disk, so far."""
        self.dead = False
        """No operation reaches the disk any more: the power is off, or the process is dead."""
        self.cut_at: int | None = None
        """The number of the operation at which it becomes dead."""
        self.on_dead: Callable[[], None] = lambda: None
        self.fail: dict[int, type[apsw.Error]] = {}
        """Errors to raise, by number of the operation."""
        self.fail_from: int | None = None
        """The number of the operation from which on all fail with :attr:`fail_with`, until this is None again."""
        self.fail_with: type[apsw.Error] = apsw.IOError
        self.failed: list[str] = []
        """What was failed, in words."""
        self.lies = False
        """Whether a sync reports success and does nothing: to show that a loss is found."""
        self._files: dict[str, _File] = {}
        self._gone: dict[str, _File] = {}
        """Deleted, but the folder was not synced since: at a cut the old file may come back."""

    # -- operations -----------------------------------------------------------------------------------------------------------

    def step(self, what: str) -> None:
        """Count one operation; raise when it is to fail."""
        if not self.dead and self.cut_at is not None and self.ops >= self.cut_at:
            self.dead = True
            self.on_dead()
        if self.dead:
            raise apsw.IOError(f"dead at {what}")
        self.ops += 1
        error = self.fail.get(self.ops)
        if self.fail_from is not None and self.ops >= self.fail_from:
            error = self.fail_with
        if error is not None:
            self.failed.append(f"{what}: {error.__name__}")
            raise error(what)

    def file(self, path: str) -> _File:
        """Return the disk's side of ``path``."""
        return self._files.setdefault(os.path.basename(path), _File())

    def write(self, path: str, data: bytes, offset: int) -> None:
        """Take note of a write."""
        self.file(path).since.append((offset, bytes(data)))

    def sync(self, path: str) -> None:
        """Make everything written to ``path`` last, and its name, and what happened to the folder before."""
        if self.lies:
            return
        file = self.file(path)
        for offset, data in file.since:
            _apply(file.held, offset, data)
        file.since.clear()
        # SQLite syncs the folder with the first sync of a new log or journal.
        if not file.named:
            self.sync_folder()

    def sync_failed(self, path: str) -> None:
        """Lose a part of what was written to ``path`` since its last sync, for good."""
        file = self.file(path)
        self._survive(file)
        file.since.clear()
        if self.rng.random() < 0.3 and os.path.exists(path):  # some file systems show what is really there
            with open(path, "r+b") as f:
                f.write(file.held)
                f.truncate(len(file.held))

    def sync_folder(self) -> None:
        """Make creations and deletions last."""
        for file in self._files.values():
            file.named = True
        self._gone.clear()

    def deleted(self, path: str) -> None:
        """Take note of a deletion."""
        name = os.path.basename(path)
        old = self._files.pop(name, None)
        if old is not None and old.named:
            self._gone[name] = old

    # -- the cut --------------------------------------------------------------------------------------------------------------

    def power_cut(self) -> None:
        """Put into the folder what the disk holds after a cut, and begin anew from that."""
        held: dict[str, bytes] = {}
        for files in (self._gone, self._files):
            for name, file in files.items():
                certain = file.named and files is self._files
                if certain or self.rng.random() < 0.5:
                    self._survive(file)
                    held[name] = bytes(file.held)
        for path in self.folder.iterdir():
            if path.name.endswith((*ENDINGS, "-shm")):
                path.unlink()
        self._files.clear()
        self._gone.clear()
        for name, body in held.items():
            (self.folder / name).write_bytes(body)
            self._files[name] = _File(held=bytearray(body), named=True)
        self.revive()

    def revive(self) -> None:
        """Let operations reach the disk again, and go on with what the system shows, as after a kill."""
        self.dead, self.cut_at = False, None
        self.fail, self.fail_from, self.failed, self.ops = {}, None, [], 0

    def _survive(self, file: _File) -> None:
        rng = self.rng
        sector = rng.choice((512, 4096))
        share = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        size = len(file.held)
        for offset, data in file.since:
            if data is None:
                if rng.random() < share:
                    _apply(file.held, offset, None)
                continue
            at = offset
            while at < offset + len(data):
                end = min(offset + len(data), (at // sector + 1) * sector)
                if rng.random() < share:
                    if at > len(file.held):
                        hole = at - len(file.held)
                        file.held += rng.randbytes(hole) if rng.random() < 0.5 else bytes(hole)
                    _apply(file.held, at, data[at - offset : end - offset])
                at = end
        if len(file.held) > size and rng.random() < 0.4:
            del file.held[rng.randint(size, len(file.held)) :]


def _apply(held: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        if offset < len(held):
            del held[offset:]
        else:
            held += bytes(offset - len(held))
        return
    if offset > len(held):
        held += bytes(offset - len(held))
    held[offset : offset + len(data)] = data
