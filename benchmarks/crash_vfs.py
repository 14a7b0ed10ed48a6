"""SQLite on a ``crash_disk.Disk``: an apsw VFS, and an apsw connection that looks like one of the standard library.

It looks like one as far as gateway/record uses it, errors included. What differs from production: apsw brings an SQLite of its
own (``apsw.sqlite_lib_version()``); the files, shared memory and locks beneath are the real ones.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from benchmarks.crash_disk import Disk
from gateway.record import database

_OPERATIONAL = (
    apsw.IOError,
    apsw.FullError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.SQLError,
    apsw.AbortError,
    apsw.InterruptError,
    apsw.SchemaChangeError,
    apsw.ProtocolError,
)


class SqliteDisk(Disk):
    """A disk with SQLite on it."""

    def __init__(self, folder: Path, seed: str) -> None:
        """See :class:`Disk`; to be closed."""
        super().__init__(folder, seed)
        self.checkpoint_pages = 1000
        """After how many pages of log a connection writes them into the database, as PRAGMA wal_autocheckpoint."""
        self.synchronous = ""
        """What PRAGMA synchronous is set to instead of what is asked for: to show that a loss is found."""
        self.vfs = _Vfs(self)

    def close(self) -> None:
        """Take the VFS away from SQLite."""
        self.vfs.unregister()

    def connect(self, path: Path) -> sqlite3.Connection:
        """Open ``path`` on this disk, as gateway.record.database.connect does on a real one."""
        with _translated():
            db = apsw.Connection(str(path), vfs=self.vfs.name)
            db.set_busy_timeout(5000)
            db.set_wal_hook(self._checkpoint)
        return _Adapter(db, self.synchronous)  # type: ignore[return-value]

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Send what gateway.record.database writes by itself to this disk as well."""
        real, database.os = database.os, _Os(self)  # type: ignore[attr-defined,assignment]
        try:
            yield
        finally:
            database.os = real  # type: ignore[attr-defined]

    def _checkpoint(self, db: apsw.Connection, name: str, pages: int) -> int:
        # SQLite's own does the same and ignores errors, but apsw would raise them from a COMMIT that has succeeded.
        if pages >= self.checkpoint_pages:
            with contextlib.suppress(apsw.Error):
                db.wal_checkpoint(name)
        return apsw.SQLITE_OK


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.name = f"disk-{id(disk):x}"
        self._disk = disk
        super().__init__(self.name, "")

    def excepthook(self, *error: Any) -> bool:
        return False

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - apsw's name
        if name is None:
            return apsw.VFSFile("", None, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if not os.path.exists(path):
            self._disk.step(f"create {os.path.basename(path)}")
            self._disk.file(path)
        return _VfsFile(self._disk, path, name, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        self._disk.step(f"delete {os.path.basename(name)}")
        super().xDelete(name, False)
        self._disk.deleted(name)
        if sync_folder:
            self._disk.sync_folder()


class _VfsFile(apsw.VFSFile):
    def __init__(self, disk: Disk, path: str, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = path
        self._name = os.path.basename(path)
        super().__init__("", name, flags)

    def excepthook(self, *error: Any) -> bool:
        return False

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.step(f"write {self._name}")
        super().xWrite(data, offset)
        self._disk.write(self._path, data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.step(f"truncate {self._name}")
        super().xTruncate(size)
        self._disk.file(self._path).since.append((size, None))

    def xSync(self, flags: int) -> None:  # noqa: N802
        try:
            self._disk.step(f"sync {self._name}")
        except apsw.Error:
            if not self._disk.dead:
                self._disk.sync_failed(self._path)
            raise
        self._disk.sync(self._path)


class _Os:
    """The part of os that gateway.record.database uses, on a disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._open: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, *mode: int) -> int:
        fd = os.open(path, flags, *mode)
        self._open[fd] = str(path)
        return fd

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        with _as_os_error():
            self._disk.step("write again")
        self._disk.write(self._open[fd], data, offset)
        return os.pwrite(fd, data, offset)

    def fsync(self, fd: int) -> None:
        with _as_os_error():
            try:
                self._disk.step("sync again")
            except apsw.Error:
                if not self._disk.dead:
                    self._disk.sync_failed(self._open[fd])
                raise
        self._disk.sync(self._open[fd])


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except apsw.Error as e:
        raise OSError(5, str(e)) from e


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _OPERATIONAL as e:
        raise sqlite3.OperationalError(str(e)) from e
    except apsw.ConstraintError as e:
        raise sqlite3.IntegrityError(str(e)) from e
    except apsw.Error as e:
        raise sqlite3.DatabaseError(f"{type(e).__name__}: {e}") from e


class _Cursor:
    def __init__(self, rows: list[tuple[Any, ...]], rowcount: int) -> None:
        self._rows = iter(rows)
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(self._rows, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self._rows)


class _Adapter:
    def __init__(self, db: apsw.Connection, synchronous: str) -> None:
        self._db = db
        self._synchronous = synchronous

    @property
    def in_transaction(self) -> bool:
        return bool(self._db.in_transaction)

    def execute(self, sql: str, args: Sequence[Any] = ()) -> _Cursor:
        if self._synchronous and sql.startswith("PRAGMA synchronous"):
            sql = f"PRAGMA synchronous={self._synchronous}"
        with _translated():
            before = self._db.total_changes()
            rows = list(self._db.execute(sql, tuple(args) or None))
            return _Cursor(rows, self._db.total_changes() - before)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with _translated():
            self._db.executemany(sql, [tuple(r) for r in rows])

    def executescript(self, sql: str) -> None:
        with _translated():
            self._db.execute(sql)

    def close(self) -> None:
        with contextlib.suppress(apsw.Error):  # what fails while closing is nobody's failure in the standard library either
            self._db.close(True)
