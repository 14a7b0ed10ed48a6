"""The filter of an event subscription: which events pass, and which of their fields go out (OPC 10000-4, 7.7 and 7.22.3).

A filter is checked once, when the client sets it, and answered element by element; what passes the check is evaluated for each
event without recursion, from the last element to the first, so that its cost is what it shows; what no event can change is
evaluated once, at the check. The library's own evaluator takes OfType for equality, fails on what it does not know, and can be
sent into a loop. It must not know a subscription.

Logic has three values: And, Or and Not take what is no Boolean for null, and an event passes when the result is true. A
comparison with null, or between types that do not convert, is false; so is Like on what is no text. Like takes its pattern as a
literal, and is null on a text longer than any that an event has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua import conversions, operators
from gateway.opcua.conversions import NULL
from gateway.opcua.event_data import EventData
from gateway.opcua.event_types import BASE_EVENT, EventTypes, Path, standard
from gateway.opcua.like import Pattern

MAX_SELECTED = 300
MAX_ELEMENTS = 50
MAX_OPERANDS = 200
"""Of all elements together."""
MAX_PATH = 8
MAX_LITERAL = 1000
"""Characters, bytes or elements of a literal."""
MAX_LIKES = 4

CONDITION = standard(ObjectIds.ConditionType)
_NULL_WIRE = bytes(1)
_Op = ua.FilterOperator
_COUNTS: dict[int, tuple[int, int]] = {
    _Op.Equals: (2, 2),
    _Op.IsNull: (1, 1),
    _Op.GreaterThan: (2, 2),
    _Op.LessThan: (2, 2),
    _Op.GreaterThanOrEqual: (2, 2),
    _Op.LessThanOrEqual: (2, 2),
    _Op.Like: (2, 2),
    _Op.Not: (1, 1),
    _Op.Between: (3, 3),
    _Op.InList: (2, MAX_OPERANDS),
    _Op.And: (2, 2),
    _Op.Or: (2, 2),
    _Op.Cast: (2, 2),
    _Op.OfType: (1, 1),
    _Op.BitwiseAnd: (2, 2),
    _Op.BitwiseOr: (2, 2),
}
"""Operators that an event filter may have, and how many operands each takes; InView and RelatedTo are for queries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """One checked SimpleAttributeOperand."""

    type_id: ua.NodeId
    path: Path
    """Empty for the id of the condition."""

    def fits(self, event: EventData, types: EventTypes) -> bool:
        """Return whether the event is of the type whose field is wanted."""
        return self.type_id == BASE_EVENT or types.is_a(event.type_id, self.type_id)

    def of(self, event: EventData, types: EventTypes) -> ua.Variant:
        """Return the event's value; null when it is of another type or has no such field."""
        return event.value(self.path) if self.fits(event, types) else NULL


_Operand = Selected | ua.Variant | int
"""A field, a literal, or the place of another element's result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    operator: int
    operands: tuple[_Operand, ...]
    pattern: Pattern | None = None
    """That of a Like."""
    constant: ua.Variant | None = None
    """The result, where it is the same for every event."""

    def result(self, values: Sequence[ua.Variant]) -> ua.Variant:
        """Return what comes of these operands; not for OfType, which has only one."""
        return operators.evaluate(self.operator, values) if self.pattern is None else operators.like(values[0], self.pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFilter:
    """A filter that was found sound."""

    selected: tuple[Selected | None, ...]
    """None stands for a clause that no event can fill."""
    elements: tuple[_Element, ...]

    def wire(self, event: EventData, types: EventTypes) -> bytes:
        """Return the event's fields as an array of variants travels, in the order in which the client asked for them."""
        fields = [event.wire(one.path) if one is not None and one.fits(event, types) else _NULL_WIRE for one in self.selected]
        return len(fields).to_bytes(4, "little") + b"".join(fields)

    def passes(self, event: EventData, types: EventTypes) -> bool:
        """Return whether the client wants this event."""
        if not self.elements:
            return True
        results: list[ua.Variant] = [NULL] * len(self.elements)
        # Elements refer to later ones only.
        for n in range(len(self.elements) - 1, -1, -1):
            element = self.elements[n]
            if element.constant is not None:
                results[n] = element.constant
                continue
            values = [_value(operand, event, types, results) for operand in element.operands]
            if element.operator == _Op.OfType:
                results[n] = operators.boolean(types.is_a(event.type_id, _plain(values[0].Value)))
            else:
                results[n] = element.result(values)
        return conversions.boolean(results[0]) is True


def check(asked: Any, types: EventTypes) -> tuple[CheckedFilter | None, ua.EventFilterResult | None, int]:
    """Return (the filter, what to answer about its parts, 0), or (None, what is wrong with them, status code).

    A select clause that no event of this server can fill is answered with its status and goes out as null; a where clause that
    is wrong anywhere refuses the whole filter.
    """
    if not isinstance(asked, ua.EventFilter):
        return None, None, int(StatusCodes.BadMonitoredItemFilterInvalid)
    clauses, elements = list(asked.SelectClauses or ()), list((asked.WhereClause and asked.WhereClause.Elements) or ())
    operands = sum(len(e.FilterOperands or ()) for e in elements)
    likes = sum(e.FilterOperator == _Op.Like for e in elements)
    if len(clauses) > MAX_SELECTED or len(elements) > MAX_ELEMENTS or operands > MAX_OPERANDS or likes > MAX_LIKES:
        return None, None, int(StatusCodes.BadMonitoredItemFilterUnsupported)
    if not clauses:
        return None, None, int(StatusCodes.BadEventFilterInvalid)
    result = ua.EventFilterResult()
    selected: list[Selected | None] = []
    for clause in clauses:
        one = _selected(clause, types)
        selected.append(None if isinstance(one, int) else one)
        result.SelectClauseResults.append(_status(one if isinstance(one, int) else 0))
    checked: list[_Element] = []
    for n, element in enumerate(elements):
        sound = _element(n, element, len(elements), types)
        result.WhereClauseResult.ElementResults.append(sound[1])
        if sound[0] is not None:
            checked.append(sound[0])
    if len(checked) < len(elements):
        return None, result, int(StatusCodes.BadEventFilterInvalid)
    return CheckedFilter(selected=tuple(selected), elements=_folded(checked)), result, 0


def _folded(elements: Sequence[_Element]) -> tuple[_Element, ...]:
    """Return the elements, those that are about literals alone with their results."""
    found = list(elements)
    for n in range(len(found) - 1, -1, -1):
        element = found[n]
        known = [found[o].constant if isinstance(o, int) else o for o in element.operands]
        values = [o for o in known if isinstance(o, ua.Variant)]
        if len(values) == len(known) and element.operator != _Op.OfType:
            found[n] = replace(element, constant=element.result(values))
    return tuple(found)


def _selected(clause: Any, types: EventTypes) -> Selected | int:
    """Return the checked operand, or the status code that says what is wrong with it."""
    type_id = clause.TypeDefinitionId if not clause.TypeDefinitionId.is_null() else BASE_EVENT
    if clause.IndexRange:
        return int(StatusCodes.BadIndexRangeInvalid)
    if not types.known(type_id):
        return int(StatusCodes.BadTypeDefinitionInvalid)
    names = list(clause.BrowsePath or ())
    if not names:
        of_condition = types.is_a(type_id, CONDITION) and clause.AttributeId == AttributeIds.NodeId
        return Selected(type_id=type_id, path=()) if of_condition else int(StatusCodes.BadAttributeIdInvalid)
    if len(names) > MAX_PATH or not all(name is not None and name.Name for name in names):
        return int(StatusCodes.BadBrowseNameInvalid)
    if clause.AttributeId != AttributeIds.Value:
        return int(StatusCodes.BadAttributeIdInvalid)
    path: Path = tuple((int(name.NamespaceIndex), str(name.Name)) for name in names)
    if not types.path_known(path, type_id):
        return int(StatusCodes.BadNodeIdUnknown)
    return Selected(type_id=type_id, path=path)


def _element(n: int, element: Any, count: int, types: EventTypes) -> tuple[_Element | None, ua.ContentFilterElementResult]:
    result = ua.ContentFilterElementResult()
    operator, given = int(element.FilterOperator), list(element.FilterOperands or ())
    if operator not in _COUNTS:
        result.StatusCode = _status(StatusCodes.BadFilterOperatorUnsupported)
        return None, result
    low, high = _COUNTS[operator]
    if not low <= len(given) <= high:
        result.StatusCode = _status(StatusCodes.BadFilterOperandCountMismatch)
        return None, result
    operands = [_operand(n, operand, count, types) for operand in given]
    codes = [operand[1] for operand in operands]
    if operator == _Op.OfType and not codes[0]:
        codes[0] = _type_trouble(operands[0][0], types)
    if operator == _Op.Cast and not codes[1]:
        codes[1] = 0 if conversions.cast_target(operands[1][0]) is not None else int(StatusCodes.BadFilterLiteralInvalid)
    pattern = None
    if operator == _Op.Like and not codes[1]:
        pattern = _pattern(operands[1][0])
        codes[1] = 0 if pattern is not None else int(StatusCodes.BadFilterLiteralInvalid)
    if any(codes):
        result.StatusCode = _status(StatusCodes.BadFilterOperandInvalid)
        result.OperandStatusCodes = [_status(code) for code in codes]
        return None, result
    return _Element(operator=operator, operands=tuple(operand[0] for operand in operands), pattern=pattern), result


def _operand(n: int, operand: Any, count: int, types: EventTypes) -> tuple[_Operand, int]:
    """Return the checked operand and 0, or null and the status code that says what is wrong with it."""
    if isinstance(operand, ua.SimpleAttributeOperand):
        one = _selected(operand, types)
        return (NULL, one) if isinstance(one, int) else (one, 0)
    if isinstance(operand, ua.ElementOperand):
        # Only forward, as the standard allows to ask for: so there is no loop, and one pass evaluates all.
        forward = n < operand.Index < count
        return (int(operand.Index), 0) if forward else (NULL, int(StatusCodes.BadFilterElementInvalid))
    if isinstance(operand, ua.LiteralOperand) and isinstance(operand.Value, ua.Variant):
        held = operand.Value.Value
        texts = held.Text if isinstance(held, ua.LocalizedText) else held
        if isinstance(texts, (str, bytes, list)) and len(texts) > MAX_LITERAL:
            return NULL, int(StatusCodes.BadFilterLiteralInvalid)
        return operand.Value, 0
    return NULL, int(StatusCodes.BadFilterOperandInvalid)


def _type_trouble(operand: _Operand, types: EventTypes) -> int:
    """Return why OfType cannot take this operand: it wants the id of an event type, as a literal."""
    if not isinstance(operand, ua.Variant) or not isinstance(operand.Value, ua.NodeId):
        return int(StatusCodes.BadFilterOperandInvalid)
    return 0 if types.known(_plain(operand.Value)) else int(StatusCodes.BadTypeDefinitionInvalid)


def _pattern(operand: _Operand) -> Pattern | None:
    """Return the pattern of a Like, None for what is none: it must be a literal, to be read once and not for each event."""
    words = conversions.text(operand) if isinstance(operand, ua.Variant) else None
    try:
        return None if words is None else Pattern(words)
    except ValueError:
        return None


def _plain(id: ua.NodeId) -> ua.NodeId:
    """Return an expanded id as the plain one by which nodes are known."""
    return ua.NodeId(id.Identifier, id.NamespaceIndex)


def _value(operand: _Operand, event: EventData, types: EventTypes, results: Sequence[ua.Variant]) -> ua.Variant:
    if isinstance(operand, Selected):
        return operand.of(event, types)
    return results[operand] if isinstance(operand, int) else operand


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))
