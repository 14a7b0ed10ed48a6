"""Which nodes clients may write, and every check before one is written: the library checks neither role, type nor range.

A node that is not registered here cannot be written by anybody. What a value sets off is the handler's affair; it must not
know a line.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.access import Role
from gateway.opcua.desk import Desk, Order, What, Why

MAX_TEXT = 256
WHOLE: dict[ua.VariantType, tuple[int, int]] = {
    ua.VariantType.Int32: (-(1 << 31), (1 << 31) - 1),
    ua.VariantType.UInt32: (0, (1 << 32) - 1),
}


class Client(Protocol):
    """The session that writes."""

    @property
    def role(self) -> Role:
        """What its user may do now."""

    @property
    def user_name(self) -> str:
        """Who has logged in."""


Handler = Callable[[Client, Any], Awaitable[int]]
"""Takes a session and a checked value; returns the write's status code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One writable node: a scalar of ``type``, from ``role`` on; ``range`` bounds a number (a Float must be finite anyway)."""

    station: str
    type: ua.VariantType
    role: Role
    handler: Handler
    range: tuple[float, float] | None = None
    last: bool = False
    """Handled after the other nodes of the same request: a request tag finds the arguments that were sent with it."""


class Writable:
    """The registry."""

    def __init__(self, exists: Callable[[ua.NodeId], bool]) -> None:
        """``exists`` tells whether the address space has a node."""
        self.refused: Callable[[str, str, str, str, str], None] = lambda *what: None
        """:meth:`gateway.opcua.desk.Desk.refused`, set by the server."""
        self._exists = exists
        self._entries: dict[ua.NodeId, Entry] = {}

    def add(self, node: ua.NodeId, entry: Entry) -> None:
        """Make a node writable."""
        self._entries[node] = entry

    def may_write(self, node: ua.NodeId, role: Role) -> bool:
        """Return whether a user of this role may write the node's value: what UserAccessLevel says."""
        entry = self._entries.get(node)
        return entry is not None and role >= entry.role

    async def write_all(self, session: Client, asked: Iterable[ua.WriteValue]) -> list[ua.StatusCode]:
        """Write each node and return the results in the order asked for; request tags are written after the others."""
        items = list(enumerate(asked))
        results: dict[int, ua.StatusCode] = {}
        for n, what in sorted(items, key=lambda item: self._is_last(item[1].NodeId)):
            results[n] = await self.write(session, what)
        return [results[n] for n, _ in items]

    async def write(self, session: Client, what: ua.WriteValue) -> ua.StatusCode:
        """Check and write one value; what is refused of a writable node is written down."""
        entry = self._entries.get(what.NodeId)
        code = self._check(session, what, entry)
        if code == StatusCodes.Good and entry is not None:
            code = await entry.handler(session, _value(what))
        if code != StatusCodes.Good and entry is not None:
            name = ua.StatusCode(ua.UInt32(code)).name
            node = str(what.NodeId.Identifier)
            self.refused(entry.station, session.user_name, node, ascii(_value(what))[:80], name)
        return ua.StatusCode(ua.UInt32(code))

    def _is_last(self, node: ua.NodeId) -> bool:
        entry = self._entries.get(node)
        return entry is not None and entry.last

    def _check(self, session: Client, what: ua.WriteValue, entry: Entry | None) -> int:
        if entry is None:
            return StatusCodes.BadNotWritable if self._exists(what.NodeId) else StatusCodes.BadNodeIdUnknown
        if what.AttributeId != AttributeIds.Value:
            return StatusCodes.BadNotWritable
        if session.role < entry.role:
            return StatusCodes.BadUserAccessDenied
        if what.IndexRange:
            return StatusCodes.BadIndexRangeInvalid  # every writable node is a scalar
        status = what.Value.StatusCode if what.Value is not None else None
        if status is not None and not status.is_good():
            return StatusCodes.BadWriteNotSupported
        return _misfit(what.Value.Value if what.Value is not None else None, entry)


_WHY: dict[Why, int] = {
    "": StatusCodes.Good,
    "refused": StatusCodes.BadRequestNotAllowed,
    "range": StatusCodes.BadOutOfRange,
    "soon": StatusCodes.BadTooManyOperations,
    "unsent": StatusCodes.BadInvalidState,
    "silent": StatusCodes.BadTimeout,
}


async def adjusted(desk: Desk, station: str, param: str, session: Client, value: float) -> int:
    """Have a parameter moved, and return the write's status code: Good only after the PLC holds the value."""
    order = Order(station=station, user=session.user_name, what=What.ADJUST, name=param, value=value)
    return _WHY[(await desk.ask(order)).why]


def _misfit(variant: ua.Variant | None, entry: Entry) -> int:
    """Return why a value does not fit its node, or Good."""
    if variant is None or variant.VariantType != entry.type or variant.is_array or variant.Value is None:
        return StatusCodes.BadTypeMismatch
    value: Any = variant.Value
    if isinstance(value, str):
        return StatusCodes.Good if len(value) <= MAX_TEXT and value.isprintable() else StatusCodes.BadOutOfRange
    low, high = WHOLE.get(entry.type, (-math.inf, math.inf))
    if entry.range is not None:
        low, high = max(low, entry.range[0]), min(high, entry.range[1])
    number = _shortest(value) if entry.type == ua.VariantType.Float else value
    return StatusCodes.Good if math.isfinite(number) and low <= number <= high else StatusCodes.BadOutOfRange


def _value(what: ua.WriteValue) -> Any:
    variant = what.Value.Value if what.Value is not None else None
    if variant is None:
        return None
    alone = isinstance(variant.Value, float) and variant.VariantType == ua.VariantType.Float
    return _shortest(variant.Value) if alone else variant.Value


def _shortest(value: float) -> float:
    """Return a 32-bit float as the decimal number that was meant by it: 0.1, not 0.10000000149."""
    return float(str(np.float32(value)))
