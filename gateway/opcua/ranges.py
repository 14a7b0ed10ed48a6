"""Part of an array or a text, as a client asks for it (NumericRange, OPC 10000-4, 7.27): the library would return all of it.

One dimension only: nothing here has more. It must not know nodes or sessions.
"""

from __future__ import annotations

import re

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

_RANGE = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?")


def part(value: ua.DataValue, wanted: str) -> ua.DataValue:
    """Return ``value`` with the elements ``wanted`` ("3" or "1:2", both ends included) alone; what lies beyond is left out.

    Its status is BadIndexRangeInvalid for what is no range or for a value that has no parts, BadIndexRangeNoData when nothing
    lies in the range. A value that is bad anyway, or null, is returned as it is.
    """
    found = _RANGE.fullmatch(wanted)
    if found is None or (found[2] is not None and int(found[1]) >= int(found[2])):
        return _bad(StatusCodes.BadIndexRangeInvalid)
    variant = value.Value
    if variant is None or variant.Value is None:
        return value
    whole = variant.Value
    if not isinstance(whole, (list, str, bytes)):
        return _bad(StatusCodes.BadIndexRangeInvalid)
    elements = whole[int(found[1]) : int(found[2] or found[1]) + 1]
    if not elements:
        return _bad(StatusCodes.BadIndexRangeNoData)
    return ua.DataValue(
        Value=ua.Variant(elements, variant.VariantType, is_array=variant.is_array),
        StatusCode=value.StatusCode,
        SourceTimestamp=value.SourceTimestamp,
        ServerTimestamp=value.ServerTimestamp,
    )


def _bad(code: int) -> ua.DataValue:
    return ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(code)))
