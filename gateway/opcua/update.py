"""One tag's new value with its quality: what a station says and the server writes. It must not know either."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from gateway.core.tags import Quality
from gateway.opcua.quality import Why

MAX_FLOAT = 3.4e38
"""The tags are 32 bit; a PLC's 64-bit value may be larger."""

Scalar = bool | int | float | str | datetime | bytes
Value = Scalar | tuple[Scalar, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One tag's new value, a tuple for an array; ``value`` is ignored when the quality is BAD."""

    tag: str
    value: Value = None
    quality: Quality = Quality.GOOD
    why: Why = ""
    t_utc_ns: int


def bad(tag: str, why: Why, t_utc_ns: int) -> Update:
    """Return that there is no value, and why."""
    return Update(tag=tag, quality=Quality.BAD, why=why, t_utc_ns=t_utc_ns)


def held(update: Update) -> Update:
    """Return the update as the last usable value, unless there was none."""
    return update if update.quality is Quality.BAD else replace(update, quality=Quality.UNCERTAIN, why="held")
