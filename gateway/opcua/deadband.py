"""A deadband in percent of a node's range, turned into one in its unit when it is asked for.

The library compares a percentage with the value itself. It must not know a subscription.
"""

from __future__ import annotations

import math
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AddressSpace
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaprotocol_auto import DataChangeFilter

WIDEST = 1e30
"""A range that is wider limits nothing: a percentage of it means nothing either."""

_HAS_PROPERTY = ua.NodeId(ua.Int32(ObjectIds.HasProperty))


def in_units(aspace: AddressSpace, node: ua.NodeId, asked: Any) -> Any:
    """Return the filter; one in percent with an absolute deadband in its stead, when the node has an EURange.

    A percentage that is none (0 to 100) becomes a deadband of -1, which is refused as any negative one.
    """
    if not isinstance(asked, DataChangeFilter) or asked.DeadbandType != ua.DeadbandType.Percent:
        return asked
    width = _width(aspace, node)
    if width is None:
        return asked
    sound = 0 <= asked.DeadbandValue <= 100
    value = asked.DeadbandValue / 100 * width if sound else -1.0
    return DataChangeFilter(
        Trigger=asked.Trigger, DeadbandType=ua.UInt32(ua.DeadbandType.Absolute), DeadbandValue=ua.Double(value)
    )


def _width(aspace: AddressSpace, node: ua.NodeId) -> float | None:
    data = aspace.get(node)
    for ref in data.references if data is not None else ():
        if ref.IsForward and ref.ReferenceTypeId == _HAS_PROPERTY and ref.BrowseName.Name == "EURange":
            found = aspace.read_attribute_value(ref.NodeId, AttributeIds.Value).Value
            if found is not None and isinstance(found.Value, ua.Range):
                width = found.Value.High - found.Value.Low
                return width if math.isfinite(width) and 0 < width < WIDEST else None
    return None
