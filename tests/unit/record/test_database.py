"""Opening what must survive: one writer, a write-ahead log or nothing, and no log that only the system's cache holds."""

import os
import sqlite3
from pathlib import Path

import pytest

from gateway.core.errors import GatewayError
from gateway.record import database
from gateway.record.journal import Journal
from gateway.record.ops import OpsDatabase


def test_a_database_has_one_writer(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    with pytest.raises(GatewayError, match="another process writes it"):
        OpsDatabase(tmp_path / "ops.db")
    ops.close()
    ops.close()
    OpsDatabase(tmp_path / "ops.db").close()


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GatewayError, match="must exist and be writable"):
        OpsDatabase(tmp_path / "file" / "ops.db")


def test_without_a_write_ahead_log_nothing_is_promised(tmp_path: Path) -> None:
    def memory(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None)

    with pytest.raises(GatewayError, match="takes no write-ahead log"):
        OpsDatabase(tmp_path / "ops.db", connect=memory)
    with pytest.raises(GatewayError, match="takes no write-ahead log"):
        Journal(tmp_path / "j.db", connect=memory)
    OpsDatabase(tmp_path / "ops.db").close()
    Journal(tmp_path / "j.db").close()


def test_a_log_that_is_found_is_written_again_and_synced_before_it_is_built_upon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    left = database.open_durable(path, "CREATE TABLE t (x);")
    left.execute("INSERT INTO t VALUES (1)")
    log = (tmp_path / "a.db-wal").read_bytes()
    done: list[str] = []
    real = os.fsync, os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: (done.append(f"{len(data)} at {at}"), real[1](fd, data, at))[1])
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("sync"), real[0](fd))[1])
    monkeypatch.setattr(database, "CHUNK", 4096)
    again = database.open_durable(path, "", lambda path: (done.append("open"), database.connect(path))[1])
    whole = [f"4096 at {at}" for at in range(0, len(log) - 4095, 4096)]
    assert done[: len(whole)] == whole
    assert done[-2:] == ["sync", "open"]
    assert (tmp_path / "a.db-wal").read_bytes()[: len(log)] == log
    assert again.execute("SELECT x FROM t").fetchall() == [(1,)]
    left.close()
    again.close()


def test_every_commit_is_synced(tmp_path: Path) -> None:
    db = database.open_durable(tmp_path / "a.db", "CREATE TABLE t (x);")
    assert db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()
