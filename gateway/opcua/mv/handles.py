"""Handles that the specification lets clients hold on results, recipes and configurations while they read them.

Nothing here needs to be held for them: a journal stays, whether a client reads or not. A handle is given because a client may
want to give it back. Each session has its own, so that nobody can push out another's. It must not know what they stand for.
"""

from __future__ import annotations

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.status_codes import StatusCodes

MOST = 100
"""Of one session; the oldest is forgotten."""


class Handles:
    """The handles that one session has not yet given back."""

    def __init__(self) -> None:
        """Start with none."""
        self._given: dict[int, ua.NodeId] = {}
        self._last = 0

    def give(self, owner: ua.NodeId, timeout_ms: int) -> ua.Variant:
        """Return a new handle of an object, 0 for a client that says (with a timeout of 0) that it needs none."""
        handle = 0
        if timeout_ms != 0:
            self._last = handle = self._last % 0xFFFFFFFF + 1
            self._given[handle] = owner
            if len(self._given) > MOST:
                del self._given[next(iter(self._given))]
        return ua.Variant(handle, ua.VariantType.UInt32)

    def release(self, owner: ua.NodeId, handle: int) -> None:
        """Take a handle back; ServiceError BadNotFound when this object gave none with this number, or it is forgotten."""
        if self._given.get(handle) != owner:
            raise ServiceError(StatusCodes.BadNotFound)
        del self._given[handle]

    def clear(self) -> None:
        """Forget them all: the session is over."""
        self._given.clear()
