"""Parts and the triggers that announce them. A part is one position on the line, seen by all its views."""

from __future__ import annotations

from dataclasses import dataclass, field

PART_ID_MODULUS = 1 << 32
ENCODER_MODULUS = 1 << 32


def next_part_id(part_id: int) -> int:
    """Return the id that follows ``part_id``: 32 bit, never 0 (wraps to 1)."""
    return 1 if part_id >= PART_ID_MODULUS - 1 else part_id + 1


def part_id_distance(older: int, newer: int) -> int:
    """Return how many steps of :func:`next_part_id` lead from ``older`` to ``newer``, which is an id (0 … 2³²−1).

    ``older`` may be 0, a counter that has not begun: no number of steps leads back to it.
    """
    return newer if older == 0 else (newer - older) % (PART_ID_MODULUS - 1)


def encoder_delta(a: int, b: int) -> int:
    """Return ``a − b`` in counts on the 32-bit encoder circle, in −2³¹ … 2³¹−1."""
    return (a - b + (ENCODER_MODULUS >> 1)) % ENCODER_MODULUS - (ENCODER_MODULUS >> 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A part passed the photo-eye, as the PLC's trigger ring told it."""

    part_id: int
    encoder: int | None
    """Encoder counts at the photo-eye, 32 bit, wraps; None when its place is not known."""
    t_mono_ns: int
    """When control first saw the trigger (monotonic, ns)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What else is known of a part; empty means unknown."""

    lot: str = ""
    serial: str = ""
    variant: str = ""
    supplier: str = ""
    batch: str = ""
    tool: str = ""
    tool_age: int = 0
    """Parts made with the tool since it was fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One camera's look at a part: ``offset`` counts after the photo-eye, position ``index`` in a multi-up picture."""

    camera: str
    offset: int = 0
    """Encoder counts (or ns, when binding by time) from the trigger to the exposure."""
    position: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part to be judged: all ``views`` are required; a missing one makes it NOT_INSPECTED."""

    part_id: int
    trigger: Trigger
    views: tuple[View, ...]
    due_mono_ns: int
    """The token must have reached the PLC by then (monotonic, ns)."""
    context: Context = field(default_factory=Context)
