"""Handles that the specification lets clients hold on results, recipes and configurations while they read them.

Nothing here needs to be held for them: a journal stays, whether a client reads or not. A handle is given because a client may
want to give it back. It must not know what it stands for.
"""

from __future__ import annotations

from collections import OrderedDict

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.status_codes import StatusCodes

MOST = 1000
"""Of all clients; the oldest is forgotten."""


class Handles:
    """The handles of one station that clients have not yet given back."""

    def __init__(self) -> None:
        """Start with none."""
        self._given: OrderedDict[int, ua.NodeId] = OrderedDict()
        self._last = 0

    def give(self, session: ua.NodeId, timeout_ms: int) -> ua.Variant:
        """Return a new handle of a session, 0 for a client that says (with a timeout of 0) that it needs none."""
        handle = 0
        if timeout_ms != 0:
            self._last = handle = self._last % 0xFFFFFFFF + 1
            self._given[handle] = session
            while len(self._given) > MOST:
                self._given.popitem(last=False)
        return ua.Variant(handle, ua.VariantType.UInt32)

    def release(self, session: ua.NodeId, handle: int) -> None:
        """Take a handle back; ServiceError BadNotFound when this session has none with this number."""
        if self._given.get(handle) != session:
            raise ServiceError(StatusCodes.BadNotFound)
        del self._given[handle]
