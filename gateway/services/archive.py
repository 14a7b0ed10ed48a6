"""Reads the lines' journals for the methods of OPC UA: which part, which parts, and with which configuration they were judged.

A search runs in a thread of its own, one at a time, and for a bounded time; so however many clients ask, the loop and the
journals' writers go on. It must not know a node.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway.core.errors import GatewayError
from gateway.core.events import PartJudged
from gateway.opcua.archive import Configuration, Filter, query_of, spans_of
from gateway.opcua.past import Source
from gateway.record.ops import OpsDatabase
from gateway.record.search import Found, PartQuery, find_parts
from gateway.services.config import LineServices
from gateway.services.line import params_of
from gateway.services.replay import Where, look_back

T = TypeVar("T")

MAX_WAITING = 20
"""Searches that wait for the one that runs."""
SEARCH_S = 2.0
MAX_CONFIGURATIONS = 200

_NOTHING = Found(parts=(), complete=True)


class JournalArchive:
    """The journals of all lines; to be closed."""

    def __init__(self, lines: Sequence[LineServices], ops: OpsDatabase, *, clock: Callable[[], int]) -> None:
        """Take the lines and write down which configuration each runs with; ``clock`` returns UTC ns."""
        self._journals: dict[str, Path] = {line.name: line.journal for line in lines}
        self._pasts = {
            line.name: Where(line=line.name, params=params_of(line), journal=line.journal, ops=ops.path) for line in lines
        }
        self._ops = ops
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="archive")
        self._waiting = 0
        self._configurations = {line.name: self._remember(line, clock()) for line in lines}

    def close(self) -> None:
        """End; what is being searched ends within its time."""
        self._thread.shutdown(cancel_futures=True)

    def configurations(self, line: str) -> Sequence[Configuration]:
        """Return the configurations that the line ran with, oldest first; the last one is active."""
        return self._configurations[line]

    async def part(self, line: str, epoch: int, part_id: int) -> PartJudged | None:
        """Return one part's record, None when it is not (any more) known where it is. GatewayError as :meth:`parts`."""
        seqs = tuple(self._ops.parts.find(line, part_id, epoch))
        if not seqs:
            return None
        query = PartQuery(seqs=seqs, equal=(("epoch", epoch), ("part_id", part_id)))
        found = await self._search(line, query, skip=0, limit=1)
        return found.parts[0] if found.parts else None

    async def parts(self, line: str, wanted: Filter, *, skip: int, limit: int) -> Found:
        """Return parts that fit, newest first. GatewayError when the journal cannot be read, or too many ask at once."""
        spans = spans_of(self._configurations[line], wanted.configuration) if wanted.configuration else None
        seqs = self._ops.parts.find(line, wanted.part_number) if wanted.part_number is not None else ()
        query = query_of(wanted, line, seqs, spans)
        return _NOTHING if query is None else await self._search(line, query, skip=skip, limit=limit)

    async def past(self, line: str, tag: str, ask: Callable[[Source], T], *, limit_s: float) -> T:
        """Return what ``ask`` makes of a tag's past; see :class:`gateway.opcua.archive.Archive`."""
        # Waiting counts, so that the more ask the shorter each one's turn is.
        return await self._run(partial(look_back, self._pasts[line], tag, ask, until_s=time.monotonic() + limit_s))

    async def _search(self, line: str, query: PartQuery, *, skip: int, limit: int) -> Found:
        look = partial(find_parts, self._journals[line], query, skip=skip, limit=limit, limit_s=SEARCH_S)
        return await self._run(look)

    async def _run(self, look: Callable[[], T]) -> T:
        if self._waiting > MAX_WAITING:
            raise GatewayError(f"{self._waiting} searches wait already; ask again later")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, look)
        finally:
            self._waiting -= 1

    def _remember(self, line: LineServices, now_ns: int) -> list[Configuration]:
        """Return the configurations so far; a new one is written down, so that older results keep theirs."""
        key = f"configurations.{line.name}"
        known = [Configuration(id=id, since_ns=since) for id, since in self._ops.state(key) or []]
        if line.config_checksum is None or (known and known[-1].id == _hex(line.config_checksum)):
            return known
        known = [*known, Configuration(id=_hex(line.config_checksum), since_ns=now_ns)][-MAX_CONFIGURATIONS:]
        with self._ops.transaction():
            self._ops.set_state(key, [[c.id, c.since_ns] for c in known])
        return known


def _hex(checksum: int) -> str:
    return f"{checksum:08X}"
