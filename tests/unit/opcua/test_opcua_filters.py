"""What an event's filter lets through: each operator, its logic of three values, and a plain model beside it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest
from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.opcua import conversions, filters, operators
from gateway.opcua.conversions import NULL
from gateway.opcua.event_data import MAX_MESSAGE, EventData
from gateway.opcua.event_types import BASE_EVENT, standard
from gateway.opcua.filters import CONDITION, MAX_LIKES, CheckedFilter, check
from gateway.opcua.like import MAX_PATTERN, Pattern

Op = ua.FilterOperator
V = ua.VariantType
CHILD, GRANDCHILD, OTHER = (ua.NodeId(n, 3) for n in (1, 2, 3))
ABOVE = {
    BASE_EVENT: (BASE_EVENT,),
    CONDITION: (CONDITION, BASE_EVENT),
    CHILD: (CHILD, BASE_EVENT),
    GRANDCHILD: (GRANDCHILD, CHILD, BASE_EVENT),
    OTHER: (OTHER, CONDITION, BASE_EVENT),
}
NAMES = ("Text", "Number", "Float", "Flag", "Time", "Id", "Missing", "Words", "Guid", "Name", "List")


class Types:
    """The few types of these tests; each field may be in each of them."""

    def known(self, type_id: ua.NodeId) -> bool:
        return type_id in ABOVE

    def is_a(self, type_id: ua.NodeId, wanted: ua.NodeId) -> bool:
        return wanted in ABOVE[type_id]

    def path_known(self, path: tuple[tuple[int, str], ...], type_id: ua.NodeId) -> bool:
        return path[0][1] in NAMES


TYPES: Any = Types()
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GUID = uuid.UUID(int=7)
VALUES = {
    "Text": ua.Variant("Camera", V.String),
    "Number": ua.Variant(800, V.UInt16),
    "Float": ua.Variant(0.5, V.Double),
    "Flag": ua.Variant(True, V.Boolean),
    "Time": ua.Variant(NOW, V.DateTime),
    "Id": ua.Variant(ua.NodeId("a", 2), V.NodeId),
    "Words": ua.Variant(ua.LocalizedText("Camera", "en"), V.LocalizedText),
    "Guid": ua.Variant(GUID, V.Guid),
    "Name": ua.Variant(ua.QualifiedName("Camera", 2), V.QualifiedName),
    "List": ua.Variant([1, 2], V.Int32),
}


def event(type_id: ua.NodeId = GRANDCHILD) -> EventData:
    values = {((0, name),): value for name, value in VALUES.items()}
    return EventData(type_id=type_id, notifiers=(), condition_id=ua.NodeId("c", 2), values=values)


def field(name: str, of: ua.NodeId = BASE_EVENT, **more: Any) -> ua.SimpleAttributeOperand:
    asked = {"TypeDefinitionId": of, "BrowsePath": [ua.QualifiedName(name, 0)], "AttributeId": ua.AttributeIds.Value, **more}
    return ua.SimpleAttributeOperand(**asked)


def lit(value: Any, kind: ua.VariantType) -> ua.LiteralOperand:
    return ua.LiteralOperand(Value=ua.Variant(value, kind))


def at(index: int) -> ua.ElementOperand:
    return ua.ElementOperand(Index=index)


def el(operator: int, *operands: Any) -> ua.ContentFilterElement:
    return ua.ContentFilterElement(FilterOperator=operator, FilterOperands=list(operands))


def asked(*elements: ua.ContentFilterElement) -> ua.EventFilter:
    found = ua.EventFilter(SelectClauses=[field("Text")])
    found.WhereClause = ua.ContentFilter(Elements=list(elements))
    return found


def sound(*elements: ua.ContentFilterElement) -> CheckedFilter:
    checked, told, code = check(asked(*elements), TYPES)
    assert checked is not None, (told, code)
    return checked


def passes(*elements: ua.ContentFilterElement, of: ua.NodeId = GRANDCHILD) -> bool:
    return sound(*elements).passes(event(of), TYPES)


def holds(*elements: ua.ContentFilterElement) -> bool | None:
    """Return the three-valued result."""
    if passes(*elements):
        return True
    shifted = [
        el(e.FilterOperator, *[at(o.Index + 1) if isinstance(o, ua.ElementOperand) else o for o in e.FilterOperands])
        for e in elements
    ]
    return False if passes(el(Op.Not, at(1)), *shifted) else None


TRUE, FALSE, UNKNOWN = lit(True, V.Boolean), lit(False, V.Boolean), field("Missing")


@pytest.mark.parametrize(
    ("operator", "operands", "result"),
    [
        (Op.Equals, (field("Number"), lit(800, V.Byte)), True),
        (Op.Equals, (field("Number"), lit(800.0, V.Float)), True),
        (Op.Equals, (field("Number"), lit(" 800", V.String)), True),
        (Op.Equals, (field("Number"), lit("800x", V.String)), False),
        (Op.Equals, (field("Number"), lit("٨٠٠", V.String)), False),
        (Op.Equals, (field("Number"), field("Time")), False),
        (Op.Equals, (field("Flag"), lit("true", V.String)), True),
        (Op.Equals, (field("Flag"), lit("perhaps", V.String)), False),
        (Op.Equals, (field("Flag"), lit(1, V.Int32)), True),
        (Op.Equals, (field("Words"), lit("Camera", V.String)), True),
        (Op.Equals, (field("Words"), field("Name")), True),
        (Op.Equals, (field("Text"), lit("camera", V.String)), False),
        (Op.Equals, (field("Id"), lit(ua.NodeId("a", 2), V.NodeId)), True),
        (Op.Equals, (field("Id"), lit(ua.ExpandedNodeId("a", 2), V.ExpandedNodeId)), True),
        (Op.Equals, (field("Id"), lit("ns=2;s=a", V.String)), True),
        (Op.Equals, (field("Guid"), lit(str(GUID), V.String)), True),
        (Op.Equals, (field("Guid"), lit("no guid", V.String)), False),
        (Op.Equals, (field("Time"), lit(NOW.replace(tzinfo=None), V.DateTime)), True),
        (Op.Equals, (field("List"), lit([1, 2], V.Int32)), True),
        (Op.Equals, (field("List"), lit([1, 2], V.Int64)), False),
        (Op.Equals, (field("List"), lit(1, V.Int32)), False),
        (Op.Equals, (field("Missing"), lit(1, V.Int32)), False),
        (Op.Equals, (field("Missing"), field("Missing")), False),
        (Op.IsNull, (field("Missing"),), True),
        (Op.IsNull, (field("Number"),), False),
        (Op.IsNull, (lit(ua.NodeId(), V.NodeId),), True),
        (Op.IsNull, (lit(ua.LocalizedText(None), V.LocalizedText),), True),
        (Op.IsNull, (lit(ua.QualifiedName("", 0), V.QualifiedName),), True),
        (Op.GreaterThan, (field("Number"), lit(799, V.Int64)), True),
        (Op.GreaterThan, (field("Number"), lit(800, V.Int64)), False),
        (Op.GreaterThan, (lit(2**64 - 1, V.UInt64), lit(-1, V.Int64)), True),
        (Op.GreaterThan, (field("Id"), field("Id")), True if "ns=2;s=a" > "ns=2;s=a" else False),
        (Op.GreaterThanOrEqual, (field("Number"), lit(800, V.Int64)), True),
        (Op.LessThan, (field("Float"), lit(1, V.Byte)), True),
        (Op.LessThan, (field("Float"), lit(float("nan"), V.Double)), False),
        (Op.LessThanOrEqual, (field("Text"), lit("Camera", V.String)), True),
        (Op.LessThan, (field("Missing"), lit(1, V.Int32)), False),
        (Op.LessThan, (field("Time"), lit(NOW.replace(year=2027), V.DateTime)), True),
        (Op.LessThan, (field("Guid"), field("Guid")), False),
        (Op.Between, (field("Number"), lit(1, V.Byte), lit(800, V.Int32)), True),
        (Op.Between, (field("Number"), lit(801, V.Int32), lit(900, V.Int32)), False),
        (Op.Between, (field("Number"), lit(900, V.Int32), lit(1, V.Int32)), False),
        (Op.InList, (field("Number"), lit(1, V.Byte), lit("800", V.String)), True),
        (Op.InList, (field("Number"), lit(1, V.Byte), lit(2, V.Byte)), False),
        (Op.Like, (field("Words"), lit("Cam%", V.String)), True),
        (Op.Like, (field("Number"), lit("8%", V.String)), False),
        (Op.Like, (field("Missing"), lit("%", V.String)), False),
        (Op.OfType, (lit(CHILD, V.NodeId),), True),
        (Op.OfType, (lit(GRANDCHILD, V.NodeId),), True),
        (Op.OfType, (lit(ua.ExpandedNodeId(1, 3), V.ExpandedNodeId),), True),
        (Op.OfType, (lit(OTHER, V.NodeId),), False),
        (Op.Not, (TRUE,), False),
        (Op.Not, (FALSE,), True),
        (Op.Not, (UNKNOWN,), None),
        (Op.Not, (field("Number"),), None),
        (Op.And, (TRUE, UNKNOWN), None),
        (Op.And, (FALSE, UNKNOWN), False),
        (Op.Or, (UNKNOWN, TRUE), True),
        (Op.Or, (UNKNOWN, FALSE), None),
    ],
)  # fmt: skip
def test_each_operator(operator: int, operands: tuple[Any, ...], result: bool | None) -> None:
    assert holds(el(operator, *operands)) is result


def test_without_a_where_clause_everything_passes() -> None:
    assert passes()


def test_what_is_no_boolean_passes_nothing() -> None:
    cast = el(Op.Cast, field("Number"), lit(standard(V.String.value), V.NodeId))
    assert holds(cast) is None
    assert holds(el(Op.BitwiseAnd, field("Number"), lit(1, V.Byte))) is None


@pytest.mark.parametrize(
    ("value", "to", "made"),
    [
        (VALUES["Number"], V.String, "800"),
        (VALUES["Number"], V.Byte, None),
        (VALUES["Number"], V.Boolean, True),
        (VALUES["Number"], V.UInt16, 800),
        (VALUES["Float"], V.Int32, 1),
        (ua.Variant(-0.5, V.Double), V.Int32, 0),
        (ua.Variant(float("inf"), V.Double), V.Int64, None),
        (ua.Variant(1e39, V.Double), V.Float, None),
        (ua.Variant("-12", V.String), V.SByte, -12),
        (ua.Variant("1.5e1", V.String), V.Double, 15.0),
        (ua.Variant("1e999", V.String), V.Int32, None),
        (ua.Variant("0", V.String), V.Boolean, False),
        (ua.Variant("maybe", V.String), V.Boolean, None),
        (VALUES["Flag"], V.String, "true"),
        (VALUES["Flag"], V.Double, 1.0),
        (VALUES["Time"], V.String, "2026-01-02T03:04:05+00:00"),
        (ua.Variant("2026-01-02T03:04:05", V.String), V.DateTime, NOW),
        (ua.Variant("yesterday", V.String), V.DateTime, None),
        (VALUES["Guid"], V.String, str(GUID)),
        (ua.Variant(str(GUID), V.String), V.Guid, GUID),
        (ua.Variant("ns=2;s=a", V.String), V.NodeId, ua.NodeId("a", 2)),
        (ua.Variant("no id", V.String), V.NodeId, None),
        (VALUES["Id"], V.ExpandedNodeId, ua.ExpandedNodeId("a", 2)),
        (VALUES["Id"], V.String, "ns=2;s=a"),
        (VALUES["Text"], V.LocalizedText, ua.LocalizedText("Camera")),
        (VALUES["Words"], V.Guid, None),
        (VALUES["Time"], V.Boolean, None),
        (VALUES["List"], V.String, None),
        (NULL, V.String, None),
        (ua.Variant(ua.StatusCode(ua.UInt32(5)), V.StatusCode), V.UInt32, 5),
        (VALUES["Text"], V.ByteString, None),
    ],
)  # fmt: skip
def test_cast(value: ua.Variant, to: ua.VariantType, made: Any) -> None:
    found = conversions.cast(value, to)
    assert found.Value == made
    assert found.VariantType == (V.Null if made is None else to)


def test_cast_and_bits_are_operands_of_others() -> None:
    number = el(Op.Cast, lit("800", V.String), lit(standard(V.Int32.value), V.NodeId))
    assert passes(el(Op.Equals, field("Number"), at(1)), number)
    bits = el(Op.BitwiseAnd, field("Number"), lit(0x20, V.Int32))
    assert passes(el(Op.Equals, at(1), lit(0x20, V.Int32)), bits)
    assert passes(el(Op.Equals, at(1), lit(801, V.Int32)), el(Op.BitwiseOr, field("Number"), lit(1, V.Byte)))
    assert passes(el(Op.IsNull, at(1)), el(Op.BitwiseOr, field("Number"), field("Text")))
    assert passes(el(Op.IsNull, at(1)), el(Op.BitwiseOr, lit(-1, V.Int32), lit(1, V.UInt32)))


def test_a_field_is_there_for_events_of_the_type_alone() -> None:
    wanted = el(Op.Equals, field("Number", CHILD), lit(800, V.Int32))
    assert passes(wanted, of=GRANDCHILD)
    assert not passes(wanted, of=OTHER)


def test_the_id_of_the_condition_can_be_asked_for() -> None:
    id = field("", CONDITION, BrowsePath=[], AttributeId=ua.AttributeIds.NodeId)
    wanted = el(Op.Equals, id, lit(ua.NodeId("c", 2), V.NodeId))
    assert passes(wanted, of=OTHER)
    assert not passes(wanted, of=CHILD)


@pytest.mark.parametrize(
    ("elements", "codes"),
    [
        ([el(Op.Equals, field("Text"), field("Text"), field("Text"))], [StatusCodes.BadFilterOperandCountMismatch]),
        (
            [el(Op.And, at(1), at(2)), el(Op.Not, TRUE), el(Op.RelatedTo, TRUE)],
            [0, 0, StatusCodes.BadFilterOperatorUnsupported],
        ),
        ([el(Op.Not, at(1)), el(Op.Not, at(0))], [0, StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.Not, at(1))], [StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.Not, None)], [StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.Not, ua.ExtensionObject())], [StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.OfType, lit(1, V.Int32))], [StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.OfType, field("Id"))], [StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.OfType, lit(ua.NodeId(9, 3), V.NodeId))], [StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.Cast, TRUE, lit(standard(V.ByteString.value), V.NodeId))], [StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.Cast, TRUE, lit("x", V.String))], [StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.Like, TRUE, lit("x" * 1001, V.String))], [StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.IsNull, field("Nonsense"))], [StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.IsNull, field("Text", IndexRange="1"))], [StatusCodes.BadFilterOperandInvalid]),
        ([el(Op.IsNull, field("Text", BrowsePath=[ua.QualifiedName("Text", 0)] * 9))], [StatusCodes.BadFilterOperandInvalid]),
    ],
)  # fmt: skip
def test_a_wrong_clause_is_told_element_by_element(elements: list[Any], codes: list[int]) -> None:
    checked, told, code = check(asked(*elements), TYPES)
    assert (checked, code) == (None, StatusCodes.BadEventFilterInvalid)
    assert told is not None
    assert [int(r.StatusCode.value) for r in told.WhereClauseResult.ElementResults] == codes


def test_what_is_no_event_filter_is_told() -> None:
    for other in (None, ua.DataChangeFilter(), ua.ExtensionObject()):
        assert check(other, TYPES) == (None, None, StatusCodes.BadMonitoredItemFilterInvalid)


def test_a_filter_has_bounds() -> None:
    many = ua.EventFilter(SelectClauses=[field("Text")] * (filters.MAX_SELECTED + 1))
    for too_much in (
        many,
        asked(*[el(Op.Not, TRUE)] * (filters.MAX_ELEMENTS + 1)),
        asked(el(Op.InList, *[TRUE] * (filters.MAX_OPERANDS + 1))),
    ):
        assert check(too_much, TYPES) == (None, None, StatusCodes.BadMonitoredItemFilterUnsupported)
    # A tree that names each element twice has 2^49 ways down, and is walked once.
    deep = [el(Op.And, at(n + 1), at(n + 1)) for n in range(filters.MAX_ELEMENTS - 1)]
    assert passes(*deep, el(Op.Not, FALSE))


def test_a_value_that_does_not_fit_its_type_says_so_in_its_place() -> None:
    bad = EventData(type_id=CHILD, notifiers=(), values={((0, "Text"),): ua.Variant(70000, V.UInt16)})
    wire = sound().wire(bad, TYPES)
    assert wire[4] == V.StatusCode.value


# --- beside a plain model ---------------------------------------------------------------------------------------------------

LEAVES = {"T": (TRUE, True), "F": (FALSE, False), "N": (UNKNOWN, None)}
TREES = st.recursive(
    st.sampled_from("TFN"),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner), st.tuples(st.sampled_from(["and", "or"]), inner, inner)
    ),
    max_leaves=12,
)  # fmt: skip


def model(tree: Any) -> bool | None:
    """Kleene's logic, by looking at what every completion of the unknown would say."""
    if isinstance(tree, str):
        return LEAVES[tree][1]
    values = [model(part) for part in tree[1:]]
    if tree[0] == "not":
        return None if values[0] is None else not values[0]
    if tree[0] == "and":
        return False if False in values else None if None in values else True
    return True if True in values else None if None in values else False


def elements_of(tree: Any) -> list[ua.ContentFilterElement]:
    """Lay a tree out, parents first."""
    found: list[Any] = []

    def lay(part: Any) -> Any:
        if isinstance(part, str):
            return LEAVES[part][0]
        here = len(found)
        found.append(None)
        operands = [lay(inner) for inner in part[1:]]
        found[here] = el({"not": Op.Not, "and": Op.And, "or": Op.Or}[part[0]], *operands)
        return at(here)

    if isinstance(tree, str):
        tree = ("and", tree, tree)
    lay(tree)
    return found


@given(TREES)
def test_logic_agrees_with_kleene(tree: Any) -> None:
    assert holds(*elements_of(tree)) is model(tree)


INTEGERS = {V.SByte: 7, V.Byte: 8, V.Int16: 15, V.UInt16: 16, V.Int32: 31, V.UInt32: 32, V.Int64: 63, V.UInt64: 64}
SIGNED = (V.SByte, V.Int16, V.Int32, V.Int64)
NUMBERS = st.one_of(
    st.sampled_from(list(INTEGERS)).flatmap(
        lambda kind: st.integers(-(2 ** INTEGERS[kind]) if kind in SIGNED else 0, 2 ** INTEGERS[kind] - 1).map(
            lambda n: ua.Variant(n, kind)
        )
    ),
    st.integers(-5, 5).map(lambda n: ua.Variant(n, V.Int32)),
    st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0**63, float("inf"), float("nan")]).map(lambda x: ua.Variant(x, V.Double)),
)  # fmt: skip


@given(NUMBERS, NUMBERS)
def test_numbers_compare_as_numbers(a: ua.Variant, b: ua.Variant) -> None:
    one, other = ua.LiteralOperand(Value=a), ua.LiteralOperand(Value=b)
    x, y = a.Value, b.Value
    expected = {
        Op.Equals: x == y, Op.GreaterThan: x > y, Op.LessThan: x < y, Op.GreaterThanOrEqual: x >= y, Op.LessThanOrEqual: x <= y,
    }  # fmt: skip
    assert {op: passes(el(op, one, other)) for op in expected} == expected


ALPHABET = "ab-]^%_[\\."


def as_expression(pattern: str) -> str | None:
    """Return a Like pattern as a regular expression, by another road than the one tested; None for one that is none."""
    out, rest = "", pattern
    while rest:
        if rest[0] == "%":
            out, rest = out + "(?s:.*)", rest[1:]
        elif rest[0] == "_":
            out, rest = out + "(?s:.)", rest[1:]
        elif rest[0] == "\\":
            if len(rest) < 2:
                return None
            out, rest = out + re.escape(rest[1]), rest[2:]
        elif rest[0] == "[":
            found = re.match(r"\[(?s:(.[^\]]*))\]", rest)
            if found is None:
                return None
            inner, rest = found.group(1), rest[found.end() :]
            negated, inner = inner[:1] == "^", inner.removeprefix("^")
            options = re.findall(r"(?s:(.)-(.)|(.))", inner)
            members = [
                re.escape(one) if one else f"[{re.escape(low)}-{re.escape(high)}]"
                for low, high, one in options
                if one or low <= high
            ]
            joined = "|".join(members) or "(?!)"
            out += f"(?!{joined})(?s:.)" if negated else f"(?:{joined})"
        else:
            out, rest = out + re.escape(rest[0]), rest[1:]
    return out


def like(subject: str, pattern: str) -> bool:
    """Return whether it fits; nothing fits a pattern that is none."""
    try:
        return Pattern(pattern).fits(subject)
    except ValueError:
        return False


@settings(max_examples=500)
@given(st.text(ALPHABET, max_size=8), st.text(ALPHABET, max_size=8))
def test_like_agrees_with_a_regular_expression(subject: str, pattern: str) -> None:
    expression = as_expression(pattern)
    expected = expression is not None and re.fullmatch(expression, subject) is not None
    assert like(subject, pattern) is expected


@pytest.mark.parametrize(
    ("subject", "pattern", "fits"),
    [
        ("Main Valve", "Main%", True), ("Main", "Main%", True), ("main", "Main%", False), ("", "%", True), ("", "", True),
        ("abc", "a_c", True), ("ac", "a_c", False), ("b5", "[a-c][0-9]", True), ("d5", "[a-c][0-9]", False),
        ("d", "[^a-c]", True), ("100%", "100\\%", True), ("1000", "100\\%", False), ("a%b", "a%%b", True),
        ("abab", "%ab", True), ("aXbYc", "a%b%c", True), ("a]b", "a]b", True), ("a", "a\\", False), ("a", "[a", False),
    ],
)  # fmt: skip
def test_like(subject: str, pattern: str, fits: bool) -> None:
    assert like(subject, pattern) is fits


class Steps(str):
    """A text that counts how many of its characters were looked at."""

    seen = 0

    def __iter__(self) -> Iterator[str]:
        for c in str(self):
            self.seen += 1
            yield c


def test_a_hostile_pattern_takes_one_step_a_character() -> None:
    subject, pattern = Steps("a" * MAX_MESSAGE), Pattern("%a" * 31 + "%b")
    with mock.patch.object(pattern, "_mask", wraps=pattern._mask) as masked:
        assert not pattern.fits(subject) and not pattern.fits(subject)
    assert subject.seen == 2 * MAX_MESSAGE and masked.call_count == 1


def test_a_pattern_is_short_and_a_literal_and_there_are_few() -> None:
    subject, longest = field("Text"), lit("%" * MAX_PATTERN, V.String)
    assert passes(el(Op.Like, subject, longest))
    for pattern in (lit("%" * (MAX_PATTERN + 1), V.String), lit("[a", V.String), lit(1, V.Int32), field("Text"), at(1)):
        checked, told, code = check(asked(el(Op.Like, subject, pattern), el(Op.IsNull, subject)), TYPES)
        assert checked is None and code == StatusCodes.BadEventFilterInvalid and told is not None
        (element, _) = told.WhereClauseResult.ElementResults
        assert [int(c.value) for c in element.OperandStatusCodes] == [0, StatusCodes.BadFilterLiteralInvalid]
    many = [el(Op.Like, subject, longest)] * (MAX_LIKES + 1)
    assert check(asked(*many[1:]), TYPES)[2] == 0
    assert check(asked(*many), TYPES)[0] is None
    assert check(asked(*many), TYPES)[2] == StatusCodes.BadMonitoredItemFilterUnsupported


def test_like_does_not_know_what_a_text_is_that_is_longer_than_any() -> None:
    texts = {name: ua.Variant("a" * n, V.String) for name, n in (("Text", MAX_MESSAGE), ("Words", MAX_MESSAGE + 1))}
    long = EventData(type_id=GRANDCHILD, notifiers=(), values={((0, name),): value for name, value in texts.items()})
    found = {}
    for name in texts:
        here = el(Op.Like, field(name), lit("%", V.String))
        found[name] = [sound(*e).passes(long, TYPES) for e in ([here], [el(Op.Not, at(1)), here])]
    assert found == {"Text": [True, False], "Words": [False, False]}


def test_what_no_event_can_change_is_evaluated_once() -> None:
    literals = [el(Op.Equals, lit("a" * 1000, V.String), lit("b", V.String)), el(Op.Not, at(5)), el(Op.IsNull, TRUE)]
    shown = [
        el(Op.Or, at(1), at(4)),
        el(Op.Or, at(2), at(3)),
        *literals[:1],
        el(Op.Not, at(5)),
        el(Op.Equals, field("Number"), lit(800, V.Int32)),
        literals[2],
    ]
    checked = sound(*shown)
    with mock.patch.object(operators, "evaluate", wraps=operators.evaluate) as evaluated:
        assert checked.passes(event(), TYPES)
    assert [call.args[0] for call in evaluated.call_args_list] == [Op.Equals, Op.Or]


def test_a_long_text_is_no_number_and_is_not_searched_for_one() -> None:
    assert passes(el(Op.Equals, field("Number"), lit(" " * 61 + "800", V.String)))
    assert not passes(el(Op.Equals, field("Number"), lit(" " * 62 + "800", V.String)))


def test_the_base_type_is_the_standard_s() -> None:
    assert BASE_EVENT == standard(ObjectIds.BaseEventType)
