"""What the link tells the line and asks of it: the PLC's block as an image, and the calls that a line answers.

Apart from the link so that the line's story can be read without the life of a connection. Knows no driver and no bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.core.tags import Scalar

LinkState = Literal["down", "readonly", "refused", "up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpImage:
    """One read of the PLC's block, decoded."""

    t_asked_mono_ns: int
    """When the read was sent (monotonic, ns): what this image does not show yet happened later than that."""
    t_mono_ns: int
    """When the answer was there (monotonic, ns)."""
    control: int
    heartbeat: int
    part_id: int
    triggers: tuple[tuple[int, int], ...]
    """8 × (PartId, Encoder)."""
    outcomes: tuple[tuple[int, int], ...]
    """8 × (PartId, Outcome)."""
    owner: int
    adjust_seq: int
    adjust_result: int
    adjust_value: float
    values: Mapping[str, Scalar]
    """The process tags by name, in engineering units; those of further blocks are absent until they were read."""
    command: int = 0
    """The PLC's Command and CommandArg, which mean something while ExecuteCommand is raised."""
    command_arg: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceImage:
    """One read of the trace block, decoded."""

    t_asked_mono_ns: int
    t_mono_ns: int
    part_id: int
    """The part that the texts belong to; the PLC writes it last."""
    texts: Mapping[str, str | None]
    """serial, lot, product, carrier, as far as the map has them; None for bytes that are no text."""
    first: bool = False
    """Nothing was read since the baseline: it may be from before it."""


class Listener(Protocol):
    """What the line does with the link; all calls are made on the event loop and must not block."""

    def on_state(self, state: LinkState, detail: str) -> None:
        """Take a change of the link's state; called once a change."""

    def on_owner_lost(self, reason: str) -> None:
        """Drop all parts in flight: the epoch they were admitted under is void."""

    def on_baseline(self, up: UpImage) -> None:
        """Take the first read after a (re)connect: never an edge. PartIdJump when its PartId does not follow the last one."""

    def on_up(self, up: UpImage) -> None:
        """Take one cyclic read. PartIdJump when its PartId does not follow the last one."""

    def trace_wanted(self) -> bool:
        """Return whether to read the trace block now; asked after each cyclic read, of a map that has one."""

    def on_trace(self, image: TraceImage) -> None:
        """Take one read of the trace block."""

    def tokens(self) -> Sequence[tuple[int, int, int]]:
        """Return the token ring (PartId, Verdict, Check) × 8 as it is to be written now."""

    def on_tokens_acked(self, part_ids: frozenset[int], t_mono_ns: int) -> None:
        """Take note that the PLC has the tokens of these parts: it acknowledged their ring, or they were read back from it."""

    def alive(self) -> bool:
        """Return whether everything behind the link works: only then is the heartbeat counted up."""

    def status(self) -> Mapping[str, Scalar]:
        """Return the status section by role, without heartbeat and epoch, as it is to be written now."""

    def on_status_written(self) -> None:
        """Take note that the PLC acknowledged the section that :meth:`status` returned last."""
