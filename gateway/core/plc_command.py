"""The PLC's commands as a table: ExecuteCommand rises → CommandExecuting → CommandCompleted or CommandFailed, until it drops.

Apart from what a command does, so that the whole exchange can be read, drawn and tested at one glance; the same for both
handshakes. What was already held when the link came up is never an edge: nothing is carried out on the strength of it. Knows
no clock, no link and no recipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from gateway.core.handshake import Control, Status1


class Command(IntEnum):
    """What the PLC may ask for: the values of its tag Command. CommandArg is 0 but where it is named."""

    GO_ONLINE = 1
    """End what GO_OFFLINE began; fails while the control word's SetOffline is held."""
    GO_OFFLINE = 2
    """Judge no part until GO_ONLINE."""
    SET_RECIPE = 3
    """CommandArg: the recipe's number."""
    TEST_RUN = 4
    """Judge the golden pictures of the recipe in force."""


class Exchange(Enum):
    """Where the exchange stands."""

    IDLE = "no command"
    EXECUTING = "a command is carried out"
    UNHEARD = "a command is carried out, and nobody waits for its answer any more"
    REFUSING = "another command was raised while one is carried out"
    COMPLETED = "done, until ExecuteCommand drops"
    FAILED = "not done, until ExecuteCommand drops"


class Happening(Enum):
    """What can happen to it."""

    RISE = "ExecuteCommand was raised"
    HELD = "ExecuteCommand is held on the first read, for a command of which nothing is known here"
    DROP = "ExecuteCommand has dropped"
    DONE = "the command was carried out"
    FAIL = "the command could not be carried out"
    LOST = "the PLC was restarted, or another gateway owns the line"


#: The whole behaviour: (state, event) → next state. A command begins on IDLE + RISE alone. What is not listed changes nothing.
TABLE: dict[tuple[Exchange, Happening], Exchange] = {
    (Exchange.IDLE, Happening.RISE): Exchange.EXECUTING,
    (Exchange.IDLE, Happening.HELD): Exchange.FAILED,
    (Exchange.EXECUTING, Happening.DONE): Exchange.COMPLETED,
    (Exchange.EXECUTING, Happening.FAIL): Exchange.FAILED,
    (Exchange.EXECUTING, Happening.DROP): Exchange.UNHEARD,
    (Exchange.EXECUTING, Happening.LOST): Exchange.UNHEARD,
    (Exchange.EXECUTING, Happening.HELD): Exchange.REFUSING,
    (Exchange.UNHEARD, Happening.DONE): Exchange.IDLE,
    (Exchange.UNHEARD, Happening.FAIL): Exchange.IDLE,
    (Exchange.UNHEARD, Happening.RISE): Exchange.REFUSING,
    (Exchange.UNHEARD, Happening.HELD): Exchange.REFUSING,
    (Exchange.REFUSING, Happening.DONE): Exchange.FAILED,
    (Exchange.REFUSING, Happening.FAIL): Exchange.FAILED,
    (Exchange.REFUSING, Happening.DROP): Exchange.UNHEARD,
    (Exchange.REFUSING, Happening.LOST): Exchange.UNHEARD,
    (Exchange.COMPLETED, Happening.DROP): Exchange.IDLE,
    (Exchange.COMPLETED, Happening.LOST): Exchange.IDLE,
    (Exchange.COMPLETED, Happening.HELD): Exchange.FAILED,
    (Exchange.FAILED, Happening.DROP): Exchange.IDLE,
    (Exchange.FAILED, Happening.LOST): Exchange.IDLE,
}

_SHOWN = {
    Exchange.IDLE: Status1(0),
    Exchange.EXECUTING: Status1.COMMAND_EXECUTING,
    Exchange.UNHEARD: Status1.COMMAND_EXECUTING,
    Exchange.REFUSING: Status1.COMMAND_EXECUTING,
    Exchange.COMPLETED: Status1.COMMAND_COMPLETED,
    Exchange.FAILED: Status1.COMMAND_FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command as the PLC gave it; ``number`` need not be a :class:`Command`."""

    number: int
    arg: int


class CommandExchange:
    """The gateway's side of one line's commands; at most one is carried out at a time."""

    def __init__(self) -> None:
        """Start idle; the first read is to be a :meth:`baseline`: before it nothing is an edge."""
        self.state = Exchange.IDLE
        self._held = True
        """Whether a raised ExecuteCommand is no edge any more, or not yet: one counts when it was read alike twice."""
        self._seen: Request | None = None
        """What stood beside a raised ExecuteCommand in the last read."""
        self._request: Request | None = None
        """The command that the held ExecuteCommand stands for."""

    @property
    def shown(self) -> Status1:
        """Return the bits of Status1 that say how it stands: at most one."""
        return _SHOWN[self.state]

    def baseline(self, control: int, request: Request) -> None:
        """Take the first read after a (re)connect.

        ExecuteCommand held for the command that is known here is still that command; held for any other, that one fails
        without having begun.
        """
        if not control & Control.EXECUTE_COMMAND:
            self._drop()
            return
        if request != self._request:
            self._fire(Happening.HELD)
        self._held, self._seen, self._request = True, None, request

    def read(self, control: int, request: Request) -> Request | None:
        """Take a cyclic read; return the command that is to be carried out from now on, if one has begun.

        It is taken when two reads in a row show it alike, for a read may meet the PLC's writing. What changes in Command and
        CommandArg after that means nothing.
        """
        if not control & Control.EXECUTE_COMMAND:
            self._drop()
            return None
        if self._held:
            return None
        alike = self._seen == request
        self._seen = request
        if not alike:
            return None
        self._held, self._request = True, request
        began = self.state is Exchange.IDLE
        self._fire(Happening.RISE)
        return request if began else None

    def ended(self, *, done: bool) -> None:
        """Say how the command ended that :meth:`read` returned last."""
        self._fire(Happening.DONE if done else Happening.FAIL)

    def lost(self) -> None:
        """Forget who asked: the PLC was restarted, or another gateway owns the line. What is carried out goes on."""
        self._fire(Happening.LOST)
        self._held, self._seen, self._request = True, None, None

    def _drop(self) -> None:
        self._fire(Happening.DROP)
        self._held, self._seen, self._request = False, None, None

    def _fire(self, happening: Happening) -> None:
        self.state = TABLE.get((self.state, happening), self.state)
