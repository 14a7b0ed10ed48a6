"""The record stream of one line: every durable record exactly once, in order.

A datagram from control wakes it at once, the journal is what it yields: only what is durable is passed on, so a number that
control used and lost in a kill is never mistaken for the record that takes it later. With no datagram it looks every half
second. What control sends without a number (its journal is full) is passed on as it comes. A record that is not known here,
for a newer control may run beside an older services, is passed over and counted.
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
        self.dropped = 0
        """Passing states without a number that made way for newer ones before they were shown."""
        self.missing = 0
        """Records that the journal no longer had when they were asked for."""
        self.unknown = 0
        """Records of a kind or form that is not known here, passed over in the journal."""
        self._path = Path(socket_path)
        self._reader = JournalReader(journal_path)
        self._socket: socket.socket | None = None
        self._wake = asyncio.Event()
        self._announced = 0
        self._puzzled = False
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
            if (record := self._record(body)) is None:
                continue
            if record.seq:
                self._announced = max(self._announced, record.seq)
            else:
                self._passing.append(record)
                if len(self._passing) > LIMIT:
                    del self._passing[0]
                    self.dropped += 1
        self._wake.set()

    def _read(self) -> list[Record]:
        identity = self._reader.identity()
        if identity != self.journal:
            if not identity:
                return []
            if self.cursor:
                _log.warning("another journal stands at the path: starting at its first record", line=self.line)
            self.journal, self.cursor, self._announced = identity, 0, 0
        records: list[Record] = []
        while not records and (rows := self._reader.rows(self.cursor, LIMIT)):
            first, last = rows[0][0], rows[-1][0]
            if first != self.cursor + 1:
                self.missing += first - self.cursor - 1
                _log.warning("the journal has a gap", line=self.line, after=self.cursor, next=first)
            self.cursor = last
            records = [record for _, body in rows if (record := self._record(body)) is not None]
            self.unknown += len(rows) - len(records)
        return records

    def _record(self, body: str | bytes) -> Record | None:
        """Return the record, or None for one that is not known here: said once, for more will come."""
        try:
            return from_json(body)
        except ValueError as e:
            if not self._puzzled:
                _log.warning("a record is not known here and is passed over", line=self.line, error=str(e))
            self._puzzled = True
            return None

    async def _await_commit(self) -> None:
        """Wait for an announced record to become durable; give it up after 2 s (control died or its disk is full)."""
        try:
            async with asyncio.timeout(COMMIT_WAIT_S):
                while self._reader.last_seq() <= self.cursor:  # noqa: ASYNC110 - another process commits
                    await asyncio.sleep(COMMIT_POLL_S)
        except TimeoutError:
            self._announced = self.cursor
