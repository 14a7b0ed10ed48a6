"""How much one answer may hold, and how many elements one request may name: counted before anything is encoded or decoded.

A short request can ask two thousand times for the largest value there is, and a long one is decoded whole before anybody
looks at its length; both would hold the loop for seconds. It must not know nodes, users or the wire.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.decode import Bounded

MAX_ANSWER = 900_000
"""Bytes of one answer, or of one message of a subscription unless a single value is larger. With what is added on the way it
stays below the mebibyte, and the sixteen chunks, of which the library's clients take no more."""
STRUCTURE = 64
"""What a structure counts beside its content: encoding one takes as long as that many bytes do, and more."""
NUMBER = 8
MAX_ELEMENTS = 2000
"""Of the array that a request is about, where its service has no lower limit."""


class Budget:
    """Bytes that are left for one answer."""

    def __init__(self) -> None:
        """Start with all of them."""
        self.left = MAX_ANSWER

    def spend(self, value: Any) -> None:
        """Take what a value will need on the wire, about. Raises ServiceError as soon as there is not enough left."""
        if isinstance(value, str | bytes):
            self.left -= len(value)
        elif isinstance(value, list | tuple):
            if value and isinstance(value[0], bool | int | float):
                self.left -= NUMBER * len(value)
            else:
                for one in value:
                    self.spend(one)
        elif isinstance(value, ua.Variant):
            self.spend(value.Value)
        elif isinstance(value, ua.DataValue):
            self.spend(value.Value)
        elif dataclasses.is_dataclass(value):
            self.left -= STRUCTURE
            for name in value.__dataclass_fields__:
                self.spend(getattr(value, name))
        self.left -= NUMBER
        if self.left < 0:
            raise ServiceError(StatusCodes.BadResponseTooLarge)


def within(results: Sequence[Any]) -> None:
    """Raise ServiceError (BadResponseTooLarge) for results too large for one answer."""
    budget = Budget()
    for result in results:
        budget.spend(result)


def _of(name: str) -> ua.NodeId:
    return ua.NodeId(ua.Int32(getattr(ObjectIds, f"{name}Request_Encoding_DefaultBinary")))


_COUNT_AT: dict[ua.NodeId, int] = {
    _of(name): at
    for name, at in {
        "Read": 12,
        "Write": 0,
        "Call": 0,
        "BrowseNext": 1,
        "TranslateBrowsePathsToNodeIds": 0,
        "RegisterNodes": 0,
        "UnregisterNodes": 0,
        "AddNodes": 0,
        "AddReferences": 0,
        "DeleteNodes": 0,
        "DeleteReferences": 0,
        "CreateMonitoredItems": 8,
        "ModifyMonitoredItems": 8,
        "SetMonitoringMode": 8,
        "DeleteMonitoredItems": 4,
        "SetPublishingMode": 1,
        "DeleteSubscriptions": 0,
        "TransferSubscriptions": 0,
        "Publish": 0,
    }.items()
}
"""Where in the parameters the array's length stands, in bytes: everything before it has a fixed size."""


def check_count(typeid: ua.NodeId, parameters: Bounded) -> None:
    """Raise ServiceError (BadTooManyOperations) for a request that names too many things; nothing of it is decoded.

    NotEnoughData when it is cut short. The parameters are left unread.
    """
    at = _COUNT_AT.get(typeid)
    if at is None:
        return
    ahead = parameters.copy()
    ahead.read(at)
    (count,) = struct.unpack("<i", ahead.read(4))
    if count > MAX_ELEMENTS:
        raise ServiceError(StatusCodes.BadTooManyOperations)
