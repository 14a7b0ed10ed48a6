"""An OPC UA server with a past: parts in a journal, one a second, as services has taken them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Client

from gateway.core.events import PartJudged
from gateway.opcua.station import Counters
from gateway.record.journal import Journal, JournalReader
from gateway.record.ops import OpsDatabase
from gateway.services.archive import JournalArchive
from gateway.services.config import LineServices
from gateway.services.marks import HistoryMarks
from tests.integration.opcua_stand import PASSED, SECOND, T0, OpcUaStand, opcua_stand, until

BEGIN = datetime.fromtimestamp(T0 / SECOND, UTC)
"""The first part's picture; one a second follows, so that the microsecond of each is 0."""


def part(n: int) -> PartJudged:
    """Return part ``n``, whose picture was taken ``n`` seconds after the beginning."""
    what: dict[str, Any] = {"disposition": "FAIL", "defect": "scratch", "label": "scratch"} if n % 5 == 0 else {}
    return replace(PASSED, seq=0, part_id=n, t_utc_ns=T0 + n * SECOND + 20_000_000, **what)


@dataclass
class Past:
    """The server and what feeds it."""

    stand: OpcUaStand
    journal: Journal
    ops: OpsDatabase
    marks: HistoryMarks
    counters: Counters

    def record(self, parts: list[PartJudged]) -> None:
        """Take parts as services does."""
        numbered = [replace(p, seq=self.journal.append(p)) for p in parts]
        reader = JournalReader(self.journal.path)
        for p in numbered:
            self.marks.take(p, reader.identity(), self.counters)
            self.counters.count(p)
        reader.close()
        with self.ops.transaction():
            self.marks.save()
        self.marks.saved()

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """Connect a client that does not give up the connection when an answer takes more than a second."""
        client = await self.stand.client()
        client._watchdog_intervall = 60.0
        async with client:
            yield client

    async def durable(self) -> None:
        """Wait until the journal is written."""
        await until(lambda: not self.journal.pending()[0], "the journal is written")


@contextlib.asynccontextmanager
async def history_stand(folder: Path, parts: int) -> AsyncIterator[Past]:
    """Run the server; the journal of ``Line1`` has so many parts."""
    line = LineServices(
        name="Line1", cameras=["Cam1"], journal=folder / "j.db", records_socket=folder / "r", commands_socket=folder / "c"
    )
    ops, journal = OpsDatabase(folder / "ops.db"), Journal(folder / "j.db")
    others = [line.model_copy(update={"name": name, "journal": folder / f"{name}.db"}) for name in ("Line2", "Line9")]
    archive = JournalArchive([line, *others], ops, clock=lambda: 1)
    async with opcua_stand(folder, archive=archive) as stand:
        past = Past(stand, journal, ops, HistoryMarks("Line1", ops, state_seq=0), Counters())
        past.record([part(n) for n in range(parts)])
        await past.durable()
        yield past
    archive.close()
    journal.close()
    ops.close()
