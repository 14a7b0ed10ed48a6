"""What a client may ask of a line, by tag or by method: the seam between OPC UA and whoever carries it out.

Everything asked goes through one desk, which writes down who asked for what and how it ended. Nothing here lets a part through
or drives a reject: control decides each order as it decides one of the PLC. It must not know a node, a record or a database.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol


class What(StrEnum):
    """What may be asked for."""

    ADJUST = "adjust"
    """Move the parameter ``name`` to ``value`` (engineering units)."""
    RECIPE = "recipe"
    """Set the recipe with the number ``value``."""
    TEST_RUN = "test run"
    """Judge the golden pictures of the recipe in force."""
    ERROR_RESET = "error reset"
    """As the PLC's ClearError: acknowledge everything that has happened and is latched."""
    COUNTER_RESET = "counter reset"
    """Let the counters shown begin at 0; the journal keeps every part."""
    ACKNOWLEDGE = "acknowledge"
    """Acknowledge the one latched alarm ``name`` (see :class:`gateway.core.events.Alarm`), with a ``comment``."""


Why = Literal["", "refused", "range", "soon", "unsent", "silent"]
"""``refused`` by control, the PLC or the line's state: nothing was changed, or it was put back · ``range`` the value is outside
its range or further away than one step · ``soon`` moved too often lately · ``unsent`` it cannot be asked for just now, and was
not · ``silent`` no answer came: it may have been done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One thing asked for by ``user`` (a logged-in OPC UA user) of ``station`` (``Line1.Cam1``)."""

    station: str
    user: str
    what: What
    name: str = ""
    value: float = 0
    comment: str = ""
    number: int = 0
    """The client's own number of it (Cmd.CmdSeq), 0 without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How an order ended, with words for a person; ``why`` is '' exactly when it was carried out."""

    ok: bool
    text: str
    why: Why = "refused"

    def __post_init__(self) -> None:
        """Let ``ok`` and ``why`` agree."""
        if self.ok:
            object.__setattr__(self, "why", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class LastCommand:
    """The numbered command that a station took last, for its echo after a restart."""

    number: int
    order: Order
    done: Done


class Desk(Protocol):
    """Takes orders."""

    async def ask(self, order: Order) -> Done:
        """Carry the order out and return how it ended; waits for the line's answer, but never longer than its time limit.

        Never raises for what the line or a disk does. An order is written down before anything is sent, and sent at most once.
        """

    def refused(self, station: str, user: str, node: str, value: str, status: str) -> None:
        """Write down that the server refused to write ``value`` (shortened) to ``node``; returns at once."""

    def last_command(self, station: str) -> LastCommand | None:
        """Return the numbered order that was taken last, None when there was none."""


class NobodyThere:
    """The desk of a server without lines behind it: it refuses everything."""

    async def ask(self, order: Order) -> Done:
        """Refuse."""
        return Done(ok=False, text="nobody takes orders for this station")

    def refused(self, station: str, user: str, node: str, value: str, status: str) -> None:
        """Forget it."""

    def last_command(self, station: str) -> LastCommand | None:
        """Return None."""
        return None
