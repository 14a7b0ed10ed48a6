"""What the journals are asked for by results' methods: the seam between OPC UA and whoever reads them, and a filter as a query.

It must not know a node, a session or a database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gateway.core.errors import GatewayError
from gateway.core.events import PartJudged
from gateway.opcua.past import Source
from gateway.opcua.result_id import parse_job
from gateway.record.search import Found, PartQuery

T = TypeVar("T")

COMPLETED, FAILED = 1, 4
"""ResultStateDataType of OPC 40100-1, the two that a judged part can have."""

_STATES: dict[int, tuple[str, ...]] = {
    COMPLETED: ("PASS", "FAIL"),
    FAILED: ("NOT_INSPECTED",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What GetResultListFiltered asks for; '' and 0 mean that anything will do."""

    state: int = 0
    meas_id: str = ""
    part_id: str = ""
    recipe: str = ""
    """ExternalRecipeId: a recipe's name."""
    recipe_number: str = ""
    """InternalRecipeId: its number, with the model as the version."""
    model_id: str = ""
    product: str = ""
    job: str = ""
    configuration: str = ""
    """InternalConfigurationId."""

    @property
    def part_number(self) -> int | None:
        """Return the PartId asked for, None when none is, or it is no number."""
        return int(self.part_id) if _is_number(self.part_id) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A configuration that a line ran with: its checksum, as the PLC is shown it, and since when (UTC ns)."""

    id: str
    since_ns: int


class Archive(Protocol):
    """Answers from the journals; nothing asked of it stalls the loop."""

    async def part(self, line: str, epoch: int, part_id: int) -> PartJudged | None:
        """Return one part's record, None when there is none (any more). GatewayError when the journal cannot be read."""

    async def parts(self, line: str, wanted: Filter, *, skip: int, limit: int) -> Found:
        """Return parts that fit, newest first. GatewayError when the journal cannot be read, or too many ask at once."""

    def configurations(self, line: str) -> Sequence[Configuration]:
        """Return the configurations that the line ran with, oldest first; the last one is active."""

    async def past(self, line: str, tag: str, ask: Callable[[Source], T], *, limit_s: float) -> T:
        """Return what ``ask`` makes of a tag's past (``Result.Ok``), which it reads in a thread, for about ``limit_s``.

        GatewayError when the journal cannot be read, or too many ask at once.
        """


class NoArchive:
    """The archive of a server without journals behind it."""

    async def part(self, line: str, epoch: int, part_id: int) -> PartJudged | None:
        """Return None."""
        return None

    async def parts(self, line: str, wanted: Filter, *, skip: int, limit: int) -> Found:
        """Return nothing."""
        return Found(parts=(), complete=True)

    def configurations(self, line: str) -> Sequence[Configuration]:
        """Return none."""
        return ()

    async def past(self, line: str, tag: str, ask: Callable[[Source], T], *, limit_s: float) -> T:
        """Raise GatewayError: nothing is kept."""
        raise GatewayError("this server has no journals behind it")


def active_at(configurations: Sequence[Configuration], t_ns: int) -> str:
    """Return the id of the configuration that was active then, '' when that is not known."""
    known = [c.id for c in configurations if c.since_ns <= t_ns]
    return known[-1] if known else ""


def spans_of(configurations: Sequence[Configuration], id: str) -> tuple[tuple[int, int], ...]:
    """Return when the configuration with this id was active: from, to (UTC ns)."""
    ends = [c.since_ns for c in configurations[1:]] + [1 << 62]
    return tuple((c.since_ns, end) for c, end in zip(configurations, ends, strict=False) if c.id == id)


def query_of(
    wanted: Filter, line: str, seqs: Sequence[int] = (), spans: tuple[tuple[int, int], ...] | None = None
) -> PartQuery | None:
    """Return what to look for in the line's journal, None when nothing can match.

    ``seqs``: where the index says that parts with the PartId wanted are; ``spans``: when the configuration wanted was active.
    """
    equal: list[tuple[str, str | int]] = []
    if wanted.state and wanted.state not in _STATES:
        return None
    if wanted.meas_id:
        camera, dash, counter = wanted.meas_id.rpartition("-")
        if not dash or not _is_number(counter):
            return None
        equal += [("camera", camera), ("frame_counter", int(counter))]
    if wanted.recipe_number:
        if not _is_number(wanted.recipe_number):
            return None
        equal.append(("recipe_number", int(wanted.recipe_number)))
    if wanted.job:
        job = parse_job(wanted.job)
        if job is None or job[0] != line:
            return None
        equal.append(("epoch", job[1]))
    if wanted.part_id:
        if not _is_number(wanted.part_id) or not seqs:
            return None
        equal.append(("part_id", int(wanted.part_id)))
    for name, value in (("recipe", wanted.recipe), ("model_id", wanted.model_id), ("product", wanted.product)):
        if value:
            equal.append((name, value))
    return PartQuery(
        seqs=tuple(seqs) if wanted.part_id else None,
        dispositions=_STATES.get(wanted.state),
        spans=spans,
        equal=tuple(equal),
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
