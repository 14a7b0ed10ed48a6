"""What the library warns of reaches our log, once a minute: a stranger can make it warn at will."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from gateway.opcua import hardened
from gateway.opcua.hardened import LibraryLog


@pytest.fixture
def log() -> Iterator[LibraryLog]:
    handler = LibraryLog()
    handler.open()
    yield handler
    handler.close()


def warn(*args: object) -> None:
    logging.getLogger("asyncua.server").warning("from %s", *args)


def test_a_kind_of_warning_is_told_once_a_minute(log: LibraryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(hardened.time, "monotonic", lambda: now[0])
    with capture_logs() as logs:
        for n in range(100):
            warn(n)
        now[0] += 60
        warn("again")
        logging.getLogger("asyncua.server").info("nothing to see")
    assert [e["says"] for e in logs] == ["'from 0'", "'from again'"]


def test_what_a_stranger_sent_cannot_make_lines(log: LibraryLog) -> None:
    with capture_logs() as logs:
        warn("\n{forged}\udcff" + "x" * 10_000)
        try:
            raise ValueError("\n" + "y" * 10_000)
        except ValueError:
            logging.getLogger("asyncua.server").exception("failed")
    assert len(logs) == 2
    assert all(e["says"].isascii() and "\n" not in e["says"] and len(e["says"]) <= 300 for e in logs)
    assert "ValueError" in logs[1]["error"] and len(logs[1]["error"]) <= 300


def test_the_librarys_own_output_comes_back(log: LibraryLog) -> None:
    logger = logging.getLogger("asyncua")
    assert not logger.propagate
    log.close()
    assert logger.propagate and log not in logger.handlers
