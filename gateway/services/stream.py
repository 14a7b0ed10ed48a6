"""The record stream of one line: every durable record exactly once, in order.

A datagram from control wakes it at once, the journal is what it yields: only what is durable is passed on, so a number that
control used and lost in a kill is never mistaken for the record that takes it later. With no datagram it looks every half
second. What control sends without a number (its journal is full) is passed on as it comes.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType

import structlog

from gateway.core.errors import ConfigError
from gateway.core.events import Record, from_json
from gateway.record.journal import JournalReader

QUIET_S = 0.5
COMMIT_POLL_S = 0.005
COMMIT_WAIT_S = 2.0
LIMIT = 256

_log = structlog.get_logger("stream")


class RecordStream:
    """Use as ``async with``; then :meth:`batch`, or iterate over single records."""

    def __init__(self, line: str, socket_path: str | Path, journal_path: str | Path, cursor: int, journal: str = "") -> None:
        """Continue after record ``cursor`` of the journal whose identity is ``journal`` (another journal starts at 0)."""
        self.line = line
        self.journal = journal
        """Identity of the journal that the records come from."""
        self.cursor = cursor
        """Number of the last record yielded."""
        self.missing = 0
        """Records that the journal no longer had when they were asked for."""
        self._path = Path(socket_path)
        self._reader = JournalReader(journal_path)
        self._socket: socket.socket | None = None
        self._wake = asyncio.Event()
        self._announced = 0
        self._passing: list[Record] = []

    async def __aenter__(self) -> RecordStream:
        """Bind the socket. Raises ConfigError when the path cannot be bound."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.setblocking(False)
        try:
            self._path.unlink(missing_ok=True)
            sock.bind(str(self._path))
            os.chmod(self._path, 0o600)
        except OSError as e:
            sock.close()
            raise ConfigError(f"record socket {self._path}: {e}; choose a shorter path in a folder that can be written") from e
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock, self._on_datagram)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket and the journal."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            self._path.unlink(missing_ok=True)
        self._reader.close()

    async def __aiter__(self) -> AsyncIterator[Record]:
        """Yield every record once, in order of ``seq``; never ends."""
        while True:
            for record in await self.batch():
                yield record

    async def batch(self) -> list[Record]:
        """Return the next records (at least one, at most 256), waiting for them."""
        while True:
            if records := self._read():
                return records
            if self._passing:
                passing, self._passing = self._passing, []
                return passing
            if self._announced > self.cursor:
                await self._await_commit()
                continue
            self._wake.clear()
            try:
                async with asyncio.timeout(QUIET_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _on_datagram(self) -> None:
        assert self._socket is not None  # noqa: S101 - the reader is removed before the socket goes
        while True:
            try:
                body = self._socket.recv(1 << 16)
            except (BlockingIOError, InterruptedError):
                break
            try:
                record = from_json(body)
            except (ValueError, TypeError) as e:
                _log.warning("a datagram is no record", line=self.line, error=str(e))
                continue
            if record.seq:
                self._announced = max(self._announced, record.seq)
            elif len(self._passing) < LIMIT:
                self._passing.append(record)
        self._wake.set()

    def _read(self) -> list[Record]:
        identity = self._reader.identity()
        if identity != self.journal:
            if not identity:
                return []
            if self.cursor:
                _log.warning("another journal stands at the path: starting at its first record", line=self.line)
            self.journal, self.cursor, self._announced = identity, 0, 0
        records = self._reader.since(self.cursor, LIMIT)
        if records:
            if records[0].seq != self.cursor + 1:
                self.missing += records[0].seq - self.cursor - 1
                _log.warning("the journal has a gap", line=self.line, after=self.cursor, next=records[0].seq)
            self.cursor = records[-1].seq
        return records

    async def _await_commit(self) -> None:
        """Wait for an announced record to become durable; give it up after 2 s (control died or its disk is full)."""
        try:
            async with asyncio.timeout(COMMIT_WAIT_S):
                while self._reader.last_seq() <= self.cursor:  # noqa: ASYNC110 - another process commits
                    await asyncio.sleep(COMMIT_POLL_S)
        except TimeoutError:
            self._announced = self.cursor
