"""What comes of the operators of an event's filter (OPC 10000-4, 7.7.3). Pure.

It must not know an event, or which operand is a field of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asyncua import ua

from gateway.opcua import conversions
from gateway.opcua.conversions import NULL
from gateway.opcua.event_data import MAX_MESSAGE
from gateway.opcua.like import Pattern

_Op = ua.FilterOperator
_TRUE, _FALSE = ua.Variant(True, ua.VariantType.Boolean), ua.Variant(False, ua.VariantType.Boolean)


def like(value: ua.Variant, pattern: Pattern) -> ua.Variant:
    """Return whether a text fits; false for what is no text, null for one that is longer than any that an event has."""
    subject = conversions.text(value)
    if subject is not None and len(subject) > MAX_MESSAGE:
        return NULL
    return boolean(subject is not None and pattern.fits(subject))


def evaluate(operator: int, values: Sequence[ua.Variant]) -> ua.Variant:
    """Return what comes of as many operands as the operator takes; there is no OfType here, and no Like."""
    a, b = values[0], values[-1]
    match operator:
        case _Op.And | _Op.Or | _Op.Not:
            return _logic(operator, conversions.boolean(a), conversions.boolean(b))
        case _Op.Equals:
            return boolean(_equal(a, b))
        case _Op.InList:
            return boolean(any(_equal(a, one) for one in values[1:]))
        case _Op.IsNull:
            return boolean(conversions.is_null(a))
        case _Op.Between:
            return boolean(_compare(a, values[1], lambda x, y: x >= y) and _compare(a, b, lambda x, y: x <= y))
        case _Op.Cast:
            target = conversions.cast_target(b)
            return NULL if target is None else conversions.cast(a, target)
        case _Op.BitwiseAnd | _Op.BitwiseOr:
            return conversions.bits(a, b, both=operator == _Op.BitwiseAnd)
        case _:
            return boolean(_compare(a, b, _ORDER[operator]))


_ORDER: dict[int, Callable[[Any, Any], bool]] = {
    _Op.GreaterThan: lambda x, y: x > y,
    _Op.LessThan: lambda x, y: x < y,
    _Op.GreaterThanOrEqual: lambda x, y: x >= y,
    _Op.LessThanOrEqual: lambda x, y: x <= y,
}


def _equal(a: ua.Variant, b: ua.Variant) -> bool:
    pair = conversions.common(a, b)
    return pair is not None and bool(pair[0] == pair[1])


def _compare(a: ua.Variant, b: ua.Variant, holds: Callable[[Any, Any], bool]) -> bool:
    pair = conversions.ordered(a, b)
    return pair is not None and holds(*pair)


def _logic(operator: int, a: bool | None, b: bool | None) -> ua.Variant:
    if operator == _Op.Not:
        return NULL if a is None else boolean(not a)
    decides = operator == _Op.Or  # one operand with this value decides, whatever the other is
    if a is decides or b is decides:
        return boolean(decides)
    return NULL if a is None or b is None else boolean(not decides)


def boolean(value: bool) -> ua.Variant:
    """Return a result."""
    return _TRUE if value else _FALSE
