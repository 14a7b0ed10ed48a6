"""Calls are checked as a whole before a handler sees them: method, object, right, count and type of each argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.access import Role
from gateway.opcua.methods import Argument, ArgumentError, Method, Methods, argument, mismatch, value_of
from gateway.opcua.mv.handles import Handles
from gateway.opcua.mv.namespace import mv
from gateway.opcua.mv.structs import PartIdDataType, ResultIdDataType

OBJECT, OTHER = ua.NodeId(1, 2), ua.NodeId(2, 2)
METHOD, DECLARED = ua.NodeId(3, 2), ua.NodeId(4, 3)
RESULT_ID = Argument(name="ResultId", data_type=mv(3021), variant=ua.VariantType.ExtensionObject, struct=ResultIdDataType)
NUMBER, NUMBERS = argument("N", ObjectIds.Int32), argument("Ns", ObjectIds.Int32, rank=1)
ANYTHING = Argument(name="Any", data_type=ua.NodeId(ua.Int32(ObjectIds.BaseDataType)), variant=ua.VariantType.Variant, rank=1)


@dataclass(slots=True, kw_only=True)
class Caller:
    role: Role = Role.OPERATOR
    user_name: str = "anna"
    session_id: ua.NodeId = field(default_factory=ua.NodeId)
    handles: Handles = field(default_factory=Handles)


class Handler:
    """Writes down what it gets, and answers or raises as told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[tuple[ua.NodeId, list[Any]]] = []

    async def __call__(self, caller: Any, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        self.calls.append((owner, args))
        if self.error is not None:
            raise self.error
        return [ua.Variant(7, ua.VariantType.Int32)]


def methods(handler: Handler | None, role: Role = Role.OPERATOR) -> Methods:
    registry = Methods()
    inputs = (RESULT_ID, NUMBER)
    registry.add(Method(inputs=inputs, role=role, handler=handler), ids=[METHOD, DECLARED], objects=[OBJECT])
    return registry


async def call(registry: Methods, *args: ua.Variant, owner: ua.NodeId = OBJECT, id: ua.NodeId = METHOD) -> ua.CallMethodResult:
    request = ua.CallMethodRequest(ObjectId=owner, MethodId=id, InputArguments=list(args))
    return await registry.call(Caller(), request)


def one(value: Any = None) -> ua.Variant:
    return ua.Variant(value or ResultIdDataType(), ua.VariantType.ExtensionObject)


def two(value: int = 2) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.Int32)


@pytest.mark.parametrize("id", [METHOD, DECLARED])
async def test_a_method_has_its_own_id_and_that_of_its_declaration(id: ua.NodeId) -> None:
    handler = Handler()
    result = await call(methods(handler), one(), two(), id=id)
    assert result.StatusCode.is_good() and [v.Value for v in result.OutputArguments] == [7]
    assert handler.calls == [(OBJECT, [ResultIdDataType(), 2])]


@pytest.mark.parametrize(
    ("args", "status", "codes"),
    [
        ((one(),), StatusCodes.BadArgumentsMissing, []),
        ((), StatusCodes.BadArgumentsMissing, []),
        ((one(), two(), two()), StatusCodes.BadTooManyArguments, []),
        ((two(), one()), StatusCodes.BadInvalidArgument, [StatusCodes.BadTypeMismatch] * 2),
        ((one(PartIdDataType()), two()), StatusCodes.BadInvalidArgument, [StatusCodes.BadTypeMismatch, 0]),
        ((one(), ua.Variant(2, ua.VariantType.UInt32)), StatusCodes.BadInvalidArgument, [0, StatusCodes.BadTypeMismatch]),
    ],
)
async def test_wrong_arguments_reach_nobody(args: tuple[ua.Variant, ...], status: int, codes: list[int]) -> None:
    handler = Handler()
    result = await call(methods(handler), *args)
    assert result.StatusCode.value == status
    assert [c.value for c in result.InputArgumentResults] == codes
    assert handler.calls == [] and not result.OutputArguments


async def test_who_and_where_are_checked_first() -> None:
    handler = Handler()
    assert (await call(methods(handler), owner=OTHER)).StatusCode.value == StatusCodes.BadMethodInvalid
    assert (await call(methods(handler), id=OTHER)).StatusCode.value == StatusCodes.BadMethodInvalid
    assert (await call(methods(handler, Role.ENGINEER))).StatusCode.value == StatusCodes.BadUserAccessDenied
    assert (await call(methods(None, Role.ENGINEER))).StatusCode.value == StatusCodes.BadNotExecutable
    assert handler.calls == []


async def test_a_handler_tells_what_is_wrong() -> None:
    result = await call(methods(Handler(ServiceError(StatusCodes.BadNotFound))), one(), two())
    assert (result.StatusCode.value, result.InputArgumentResults) == (StatusCodes.BadNotFound, [])
    result = await call(methods(Handler(ArgumentError(1))), one(), two())
    assert result.StatusCode.value == StatusCodes.BadInvalidArgument
    assert [c.value for c in result.InputArgumentResults] == [0, StatusCodes.BadOutOfRange]


async def test_a_method_without_objects_judges_the_object_itself() -> None:
    registry, handler = Methods(), Handler()
    registry.add(Method(handler=handler), ids=[METHOD])
    assert (await call(registry, owner=OTHER)).StatusCode.is_good()
    assert handler.calls == [(OTHER, [])]


def test_an_id_is_taken_once() -> None:
    registry = methods(None)
    with pytest.raises(ValueError, match="have the id"):
        registry.add(Method(), ids=[METHOD], objects=[OBJECT])
    registry.add(Method(), ids=[METHOD], objects=[OTHER])
    registry.add(Method(), ids=[OTHER])
    with pytest.raises(ValueError, match="have the id"):
        registry.add(Method(), ids=[OTHER])


def test_user_executable_is_told_by_role() -> None:
    assert methods(Handler()).executable(METHOD, Role.OPERATOR)
    assert not methods(Handler()).executable(METHOD, Role.OBSERVER)
    assert not methods(None).executable(METHOD, Role.ENGINEER)
    assert not methods(Handler()).executable(OTHER, Role.ENGINEER)


@pytest.mark.parametrize(
    ("want", "got", "code", "value"),
    [
        (RESULT_ID, ua.Variant(None, ua.VariantType.Null), 0, None),
        (RESULT_ID, ua.Variant(ua.ExtensionObject(), ua.VariantType.ExtensionObject), 0, None),
        (RESULT_ID, one(ResultIdDataType()), 0, ResultIdDataType()),
        (RESULT_ID, ua.Variant([ResultIdDataType()], ua.VariantType.ExtensionObject), StatusCodes.BadTypeMismatch, None),
        (NUMBER, ua.Variant(None, ua.VariantType.Null), StatusCodes.BadTypeMismatch, None),
        (NUMBER, ua.Variant([1], ua.VariantType.Int32), StatusCodes.BadTypeMismatch, None),
        (NUMBER, ua.Variant(True, ua.VariantType.Boolean), StatusCodes.BadTypeMismatch, None),
        (NUMBERS, ua.Variant([1, 2], ua.VariantType.Int32), 0, [1, 2]),
        (NUMBERS, ua.Variant(None, ua.VariantType.Int32, is_array=True), 0, []),
        (NUMBERS, ua.Variant(1, ua.VariantType.Int32), StatusCodes.BadTypeMismatch, None),
        (NUMBERS, ua.Variant([0] * 1001, ua.VariantType.Int32), StatusCodes.BadOutOfRange, None),
        (ANYTHING, ua.Variant(["a"], ua.VariantType.String), 0, ["a"]),
    ],
)
def test_types_and_ranks_are_taken_at_their_word(want: Argument, got: ua.Variant, code: int, value: Any) -> None:
    assert mismatch(want, got) == code
    if not code:
        assert value_of(want, got) == value


@pytest.mark.parametrize(
    ("want", "given", "seen"),
    [
        (argument("T", ObjectIds.String), "0 \udcff\0", "0 ?"),
        (argument("T", ObjectIds.LocalizedText), ua.LocalizedText("\ud83d", "\udcff"), ua.LocalizedText("?", "?")),
        (argument("T", ObjectIds.String, rank=1), ["\udcff", "x" * 9000], ["?", "x" * 1000]),
        (argument("B", ObjectIds.ByteString), b"\xff\0", b"\xff\0"),
        (RESULT_ID, ResultIdDataType(Id="\udcff"), ResultIdDataType(Id="?")),
        (ANYTHING, [ua.Variant("\udcff", ua.VariantType.String)], [ua.Variant("?", ua.VariantType.String)]),
    ],
)
async def test_a_handler_gets_no_text_that_cannot_be_stored(want: Argument, given: Any, seen: Any) -> None:
    registry, handler = Methods(), Handler()
    registry.add(Method(inputs=(want,), handler=handler), ids=[METHOD])
    assert (await call(registry, ua.Variant(given, want.variant))).StatusCode.is_good()
    assert handler.calls == [(OBJECT, [seen])]


def test_an_argument_tells_itself() -> None:
    assert NUMBERS.node_value().ValueRank == 1 and NUMBERS.node_value().ArrayDimensions == [0]
    assert RESULT_ID.node_value().ValueRank == -1 and RESULT_ID.node_value().DataType == mv(3021)
