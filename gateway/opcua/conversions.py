"""How values of different built-in types are compared and converted in a filter (OPC 10000-4, 7.7.3). Pure.

Numbers are compared as numbers, whatever their width; a text that is compared with a number or a Guid is read as one; ids and
names that are compared with a text are written as one. What cannot be converted is not equal, not greater and not less. It
must not know a filter or an event.
"""

from __future__ import annotations

import math
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from asyncua import ua
from asyncua.ua.uaerrors import UaError

NULL = ua.Variant()

_INTEGERS: dict[ua.VariantType, tuple[int, int]] = {
    ua.VariantType.SByte: (-(2**7), 2**7 - 1),
    ua.VariantType.Byte: (0, 2**8 - 1),
    ua.VariantType.Int16: (-(2**15), 2**15 - 1),
    ua.VariantType.UInt16: (0, 2**16 - 1),
    ua.VariantType.Int32: (-(2**31), 2**31 - 1),
    ua.VariantType.UInt32: (0, 2**32 - 1),
    ua.VariantType.Int64: (-(2**63), 2**63 - 1),
    ua.VariantType.UInt64: (0, 2**64 - 1),
}
_FLOATS = (ua.VariantType.Float, ua.VariantType.Double)
_MAX_FLOAT32 = 3.4028234663852886e38
_IDS = (ua.VariantType.NodeId, ua.VariantType.ExpandedNodeId)
_INTEGER_TEXT = re.compile(r"\s*[+-]?[0-9]{1,20}\s*")
_FLOAT_TEXT = re.compile(r"\s*[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?\s*")
_MAX_TEXT = 4096
_MAX_NUMBER = 64
"""Characters of a text that may be a number, with the space around it."""
CAST_TYPES = frozenset(_INTEGERS).union(
    _FLOATS,
    _IDS,
    (ua.VariantType.Boolean, ua.VariantType.String, ua.VariantType.DateTime, ua.VariantType.Guid, ua.VariantType.LocalizedText),
)
"""What Cast can make."""


def is_null(value: ua.Variant) -> bool:
    """Return whether it is a null value: none at all, or the null of its type."""
    held = value.Value
    if held is None or value.VariantType == ua.VariantType.Null:
        return True
    if isinstance(held, ua.LocalizedText):
        return held.Text is None
    if isinstance(held, ua.QualifiedName):
        return not held.Name
    if isinstance(held, ua.NodeId):
        return bool(held.is_null())
    return isinstance(held, ua.ExtensionObject) and bool(held.TypeId.is_null())


def boolean(value: ua.Variant) -> bool | None:
    """Return the value as a Boolean, None when it is none."""
    if value.VariantType == ua.VariantType.Boolean and isinstance(value.Value, bool):
        return value.Value
    return _truth(value.Value) if value.VariantType == ua.VariantType.String and isinstance(value.Value, str) else None


def text(value: ua.Variant) -> str | None:
    """Return the value as a text if it is one, or an id or name; None otherwise."""
    held = value.Value
    if isinstance(held, list) or is_null(value):
        return None
    match value.VariantType:
        case ua.VariantType.String:
            return str(held)
        case ua.VariantType.LocalizedText:
            return str(held.Text)
        case ua.VariantType.QualifiedName:
            return str(held.Name)
        case ua.VariantType.NodeId | ua.VariantType.ExpandedNodeId:
            return str(held.to_string())
        case _:
            return None


def number(value: ua.Variant) -> int | float | None:
    """Return the value of a number, a Boolean or a status code; None for anything else."""
    held, kind = value.Value, value.VariantType
    if kind == ua.VariantType.StatusCode and isinstance(held, ua.StatusCode):
        return int(held.value)
    if (kind in _INTEGERS or kind in _FLOATS or kind == ua.VariantType.Boolean) and isinstance(held, (int, float)):
        return held
    return None


def common(a: ua.Variant, b: ua.Variant) -> tuple[Any, Any] | None:
    """Return both values as plain ones of one kind that can be compared for equality; None when there is no such kind."""
    if is_null(a) or is_null(b):
        return None
    if isinstance(a.Value, list) or isinstance(b.Value, list):
        return (a.Value, b.Value) if a.VariantType == b.VariantType and isinstance(a.Value, type(b.Value)) else None
    if {a.VariantType, b.VariantType} == {ua.VariantType.Boolean, ua.VariantType.String}:
        truths = boolean(a), boolean(b)
        return None if None in truths else truths
    left, right = number(a), number(b)
    if left is not None or right is not None:
        left = _parsed(a) if left is None else left
        right = _parsed(b) if right is None else right
        return None if left is None or right is None else (left, right)
    if a.VariantType in _IDS and b.VariantType in _IDS:
        return _plain_id(a.Value), _plain_id(b.Value)
    if ua.VariantType.Guid in (a.VariantType, b.VariantType):
        guids = _guid(a), _guid(b)
        return None if None in guids else guids
    if a.VariantType == ua.VariantType.DateTime == b.VariantType:
        return _utc(a.Value), _utc(b.Value)
    texts = text(a), text(b)
    if texts[0] is not None and texts[1] is not None:
        return texts
    return (a.Value, b.Value) if a.VariantType == b.VariantType else None


def ordered(a: ua.Variant, b: ua.Variant) -> tuple[Any, Any] | None:
    """Return both values as plain ones that have an order: numbers, texts or times; None otherwise."""
    pair = common(a, b)
    if pair is None or not isinstance(pair[0], (int, float, str, datetime)):
        return None
    return pair


def cast(value: ua.Variant, to: ua.VariantType) -> ua.Variant:
    """Return the value as another type, null when that cannot be (also when it does not fit)."""
    if is_null(value) or isinstance(value.Value, list):
        return NULL
    if value.VariantType == to:
        return value
    made = _made(value, to)
    return NULL if made is None else ua.Variant(made, to)


def cast_target(type_id: Any) -> ua.VariantType | None:
    """Return the type that a literal names for Cast; None when it names none."""
    if not isinstance(type_id, ua.Variant) or not isinstance(type_id.Value, ua.NodeId):
        return None
    number, namespace = type_id.Value.Identifier, type_id.Value.NamespaceIndex
    return next((kind for kind in CAST_TYPES if namespace == 0 and kind.value == number), None)


def bits(a: ua.Variant, b: ua.Variant, *, both: bool) -> ua.Variant:
    """Return the bits that both (or either) of two integers have, as the wider of their types; null for anything else."""
    if a.VariantType not in _INTEGERS or b.VariantType not in _INTEGERS:
        return NULL
    if not isinstance(a.Value, int) or not isinstance(b.Value, int):
        return NULL
    wider = max(a.VariantType, b.VariantType, key=lambda kind: _INTEGERS[kind][1])
    low, high = _INTEGERS[wider]
    value = a.Value & b.Value if both else a.Value | b.Value
    return ua.Variant(value, wider) if low <= value <= high else NULL


def _truth(word: str) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(word.strip().lower())


def _parsed(value: ua.Variant) -> int | float | None:
    held = value.Value
    if value.VariantType != ua.VariantType.String or not isinstance(held, str) or len(held) > _MAX_NUMBER:
        return None
    if _INTEGER_TEXT.fullmatch(held):
        return int(held)
    return float(held) if _FLOAT_TEXT.fullmatch(held) else None


def _guid(value: ua.Variant) -> uuid.UUID | None:
    held = value.Value
    if isinstance(held, uuid.UUID):
        return held
    try:
        return uuid.UUID(held) if isinstance(held, str) and value.VariantType == ua.VariantType.String else None
    except ValueError:
        return None


def _plain_id(id: ua.NodeId) -> tuple[int, Any]:
    return int(id.NamespaceIndex), id.Identifier


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _made(value: ua.Variant, to: ua.VariantType) -> Any:
    held = value.Value
    if to in _INTEGERS or to in _FLOATS:
        plain = number(value)
        return _narrowed(_parsed(value) if plain is None else plain, to)
    words = text(value)
    match to:
        case ua.VariantType.Boolean:
            plain = number(value)
            return bool(plain) if plain is not None else None if words is None else _truth(words)
        case ua.VariantType.String | ua.VariantType.LocalizedText:
            words = _written(value) if words is None else words
            return words if words is None or to == ua.VariantType.String else ua.LocalizedText(words)
        case ua.VariantType.DateTime:
            return _time(words)
        case ua.VariantType.Guid:
            return _guid(value)
        case ua.VariantType.NodeId | ua.VariantType.ExpandedNodeId:
            return _id(held, words, to)
        case _:
            return None


def _narrowed(plain: int | float | None, to: ua.VariantType) -> int | float | None:
    if plain is None:
        return None
    if to in _FLOATS:
        made = float(plain)
        return None if to == ua.VariantType.Float and math.isfinite(made) and abs(made) > _MAX_FLOAT32 else made
    if not math.isfinite(plain):
        return None
    low, high = _INTEGERS[to]
    whole = plain if isinstance(plain, int) else math.floor(plain + 0.5)
    return int(whole) if low <= whole <= high else None


def _written(value: ua.Variant) -> str | None:
    if value.VariantType == ua.VariantType.Boolean:
        return "true" if value.Value else "false"
    if value.VariantType == ua.VariantType.DateTime:
        return _utc(value.Value).isoformat()
    if value.VariantType == ua.VariantType.Guid:
        return str(value.Value)
    plain = number(value)
    return None if plain is None else str(plain)


def _time(words: str | None) -> datetime | None:
    try:
        return None if words is None or len(words) > 64 else _utc(datetime.fromisoformat(words))
    except ValueError:
        return None


def _id(held: Any, words: str | None, to: ua.VariantType) -> ua.NodeId | None:
    kind = ua.NodeId if to == ua.VariantType.NodeId else ua.ExpandedNodeId
    if isinstance(held, ua.NodeId):
        return kind(held.Identifier, held.NamespaceIndex, held.NodeIdType)
    try:
        return None if words is None or len(words) > _MAX_TEXT else kind.from_string(words)
    except (UaError, ValueError):
        return None
