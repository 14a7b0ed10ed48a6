"""How a database is opened that must survive a kill, a power cut and a failing disk: one writer, WAL, every commit synced.

With ``synchronous=FULL`` a commit that returns is on the disk, and one whose fsync failed is rolled back and written again by
its retry *on the same connection*, so that a later success never covers pages that were lost. A connection opened after such a
failure cannot know: the system shows the log as it was written, the disk may not hold it. So whatever log is found is first
written once more and synced. It must not know what is kept.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from gateway.core.errors import GatewayError

BUSY_S = 5.0
CHUNK = 1 << 20

Connect = Callable[[Path], sqlite3.Connection]
"""Opens the file in autocommit mode, for use by any one thread at a time."""


def connect(path: Path) -> sqlite3.Connection:
    """Open ``path`` with the standard library."""
    return sqlite3.connect(path, isolation_level=None, timeout=BUSY_S, check_same_thread=False)


def lock(path: Path, what: str) -> int:
    """Become the one writer of ``path``; return the descriptor whose closing, or the process's end, gives that up.

    Raises GatewayError when another process writes it or the folder cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise GatewayError(f"{what} {path}: {e.strerror}; the folder must exist and be writable") from e
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        os.close(fd)
        raise GatewayError(f"{what} {path}: another process writes it; stop that one first") from e
    return fd


def open_durable(path: Path, schema: str, connect: Connect = connect) -> sqlite3.Connection:
    """Open or create ``path``, whose :func:`lock` the caller holds. Raises sqlite3.Error or OSError."""
    _write_again(path.with_name(path.name + "-wal"))
    db = connect(path)
    try:
        (mode,) = db.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"its file system takes no write-ahead log (mode {mode})")
        db.execute("PRAGMA synchronous=FULL")
        db.executescript(schema)
    except sqlite3.Error:
        db.close()
        raise
    return db


def roll_back(db: sqlite3.Connection) -> None:
    """Leave the open transaction, if the error that ended it has not done so already."""
    if db.in_transaction:
        db.execute("ROLLBACK")


def _write_again(log: Path) -> None:
    """Have the disk hold what the system shows of ``log``: the same bytes at the same places, so that a cut harms nothing."""
    try:
        fd = os.open(log, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        offset = 0
        while chunk := os.pread(fd, CHUNK, offset):
            offset += os.pwrite(fd, chunk, offset)
        os.fsync(fd)
    finally:
        os.close(fd)
