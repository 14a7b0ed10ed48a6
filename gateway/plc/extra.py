"""The map's further blocks: in as few requests as their places allow, slowly, and never twice between two polls.

Apart from the link because the handshake does not need it: this knows no handshake, no connection and no clock but the
loop's. What the device refuses is a mistake in the map and is told with the names of its tags; silence is the link's affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from gateway.core.codec import BlockCodec
from gateway.core.errors import DeviceRefused
from gateway.core.tags import Block, S7Address, Scalar, Span, Tag, TagMap, WordOrder, size_of

EXTRA_CYCLE_S = 0.1
GAP_BYTES = 64
"""Bytes between two tags that are read along rather than asked for separately: a request costs far more."""
MAX_S7_BYTES = 222
MAX_MODBUS_BYTES = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one request reads: a part of a block, and how to decode it."""

    span: Span
    codec: BlockCodec
    names: tuple[str, str]
    """The first and the last value in it, for messages."""


def coalesce(ranges: Iterable[tuple[int, int]], *, gap: int, most: int) -> list[tuple[int, int]]:
    """Join ranges of bytes (start, end) that lie at most ``gap`` apart, up to ``most`` bytes; the result is even and sorted.

    A range longer than ``most`` stays as it is.
    """
    joined: list[tuple[int, int]] = []
    for start, end in sorted((a - a % 2, b + b % 2) for a, b in ranges):
        if joined and start - joined[-1][1] <= gap and max(end, joined[-1][1]) - joined[-1][0] <= most:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def runs_of(block: Block, tags: Sequence[Tag], order: WordOrder) -> Iterator[Run]:
    """Yield the requests that read these tags of the block: one where they fit into one and leave no large gap."""
    most = MAX_S7_BYTES if isinstance(block.base, S7Address) else MAX_MODBUS_BYTES
    ranges: list[tuple[int, int]] = []
    part = replace(block, tags=tuple(tags))
    for tag in tags:
        if tag.size <= most:
            ranges.append((tag.offset, tag.offset + max(1, tag.size)))
        else:
            ranges += [(leaf.offset, leaf.offset + max(1, size_of(leaf.datatype))) for leaf in tag.leaves()]
    leaves = sorted((leaf.offset, leaf.bit, leaf.name) for tag in tags for leaf in tag.leaves())
    for start, end in coalesce(ranges, gap=GAP_BYTES, most=most):
        within = [name for offset, _, name in leaves if start <= offset < end]
        yield Run(
            span=Span(block=block, offset=start, length=end - start),
            codec=BlockCodec(part, order, start=start, length=end - start),
            names=(within[0], within[-1]),
        )


class ExtraReader:
    """Reads the further blocks of one map, run by run; ``values`` holds what was read since the last :meth:`forget`."""

    def __init__(self, tag_map: TagMap) -> None:
        """Lay out the requests once."""
        self._name = tag_map.name
        process, order = tag_map.process_tags(), tag_map.order
        self.runs = tuple(run for b in tag_map.extra for run in runs_of(b, [t for t in b.tags if t in process], order))
        #: The parts' papers are read by others, when they are wanted; here it is only seen whether they are there.
        self._papers = tuple(
            run for b in tag_map.extra for run in runs_of(b, [t for t in b.tags if t.role in tag_map.roles], order)
        )
        self.values: Mapping[str, Scalar] = {}

    def forget(self) -> None:
        """Drop all values: they are not known any more."""
        self.values = {}

    async def read_once(self, read: Callable[[Span], Awaitable[bytes]]) -> None:
        """Read every run and the trace tags; DeviceRefused names block and tags where the device has no such block."""
        for run in (*self.runs, *self._papers):
            await self._read(run, read)

    async def read_forever(
        self, read: Callable[[Span], Awaitable[bytes]], turn: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        """Read every run once in 100 ms, each in a ``turn`` of its own, in which the wire is not needed otherwise."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EXTRA_CYCLE_S
            for run in self.runs:
                async with turn():
                    await self._read(run, read)
            await asyncio.sleep(due - loop.time())

    async def _read(self, run: Run, read: Callable[[Span], Awaitable[bytes]]) -> None:
        try:
            data = await read(run.span)
        except DeviceRefused as error:
            first, last = run.names
            tags = first if first == last else f"{first} to {last}"
            why = f"the map's block {run.span.block.name} ({tags}) cannot be read: {error}"
            raise DeviceRefused(self._name, "read", why) from None
        if run in self.runs:
            self.values = {**self.values, **run.codec.decode(data)}
