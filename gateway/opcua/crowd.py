"""Who gives way when there are too many connections: whoever has shown least, of the address that has most of such.

Refusing the newcomer instead would let anybody with enough idle sockets shut out everybody else. Whoever has logged in never
gives way. It must not know a connection's insides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol, TypeVar

MAX_CONNECTIONS = 200
MAX_PENDING = 100
"""Connections on which nobody has logged in yet."""
MAX_PER_PEER = 40


class Standing(IntEnum):
    """What a client has shown so far."""

    SOCKET = 0
    CHANNEL = 1
    """A certificate that is trusted, and its key."""
    LIVE = 2
    """A user's password."""


class Member(Protocol):
    """A connection."""

    @property
    def address(self) -> str:
        """Where it comes from."""

    @property
    def standing(self) -> Standing:
        """What it has shown."""


_M = TypeVar("_M", bound=Member)


def room_for(members: Sequence[_M], address: str) -> tuple[bool, _M | None]:
    """Return whether one more from ``address`` may come in, and who has to go for it; ``members`` the oldest first."""
    pending = [(standing, m) for m in members if (standing := m.standing) is not Standing.LIVE]
    here = sum(m.address == address for m in members)
    if here >= MAX_PER_PEER:
        return _least([(standing, m) for standing, m in pending if m.address == address])
    if len(members) >= MAX_CONNECTIONS or len(pending) >= MAX_PENDING:
        return _least(pending)
    return True, None


def _least(pending: Sequence[tuple[Standing, _M]]) -> tuple[bool, _M | None]:
    if not pending:
        return False, None
    shown = min(standing for standing, _ in pending)
    lowest = [m for standing, m in pending if standing is shown]
    crowd = Counter(m.address for m in lowest)
    return True, max(lowest, key=lambda m: crowd[m.address])  # of equals the first, which is the oldest
