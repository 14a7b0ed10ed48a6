"""The methods that clients may call: which there are, with what arguments, for whom, and who carries them out.

The library checks neither arguments nor rights and would hide every error behind BadUnexpectedError; here each call is checked
as a whole before its handler sees it: method, object, executable, role, count, type of each argument. The library also lets
through texts that are none (any bytes do); they are cleaned here, for all handlers. A method may be called by the id of the
node in its object or by that of its declaration in the type, as the standard allows. It must not know what a method does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.access import Role
from gateway.opcua.mv.handles import Handles
from gateway.record.orders import storable

MAX_ARRAY = 1000
"""Elements of an array argument."""


class Caller(Protocol):
    """What a handler may know of the session that calls."""

    session_id: ua.NodeId
    handles: Handles

    @property
    def role(self) -> Role:
        """What its user may do."""

    @property
    def user_name(self) -> str:
        """Who it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument, as the method's InputArguments or OutputArguments tell it."""

    name: str
    data_type: ua.NodeId
    variant: ua.VariantType
    """How a value of that type travels."""
    rank: int = -1
    """-1 one value, 1 an array."""
    struct: type | None = None
    """The class of a structure; one that is left out reaches the handler as None."""
    about: str = ""

    def node_value(self) -> ua.Argument:
        """Return it as the argument properties hold it."""
        return ua.Argument(
            Name=self.name,
            DataType=self.data_type,
            ValueRank=ua.Int32(self.rank),
            ArrayDimensions=[] if self.rank < 0 else [ua.UInt32(0)],
            Description=ua.LocalizedText(self.about),
        )


class ArgumentError(Exception):
    """A handler's word that one argument has the right type and a wrong value: which one (from 0), and the status."""

    def __init__(self, index: int, code: int = StatusCodes.BadOutOfRange) -> None:
        """Take the argument's place and its status code."""
        super().__init__(f"argument {index}: {code:#x}")
        self.index, self.code = index, code


Handler = Callable[[Any, ua.NodeId, list[Any]], Awaitable[Sequence[ua.Variant]]]
"""(caller, object id, values of the arguments) → values of the output arguments.

Raises ServiceError with the status of the call, ArgumentError for one argument; whatever it does must not stall the loop.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method: who may call it with what, and who carries it out."""

    inputs: tuple[Argument, ...] = ()
    role: Role = Role.OBSERVER
    handler: Handler | None = None
    """None for one that is never executable here: every call is answered with BadNotExecutable."""


def argument(name: str, kind: int, *, rank: int = -1, about: str = "") -> Argument:
    """Return an argument of a built-in type, which ``kind`` (ObjectIds.Int32, say) names."""
    return Argument(name=name, data_type=ua.NodeId(ua.Int32(kind)), variant=ua.VariantType(kind), rank=rank, about=about)


class Methods:
    """The registry; one a server."""

    def __init__(self) -> None:
        """Start with no method: every call is answered with BadMethodInvalid."""
        self._by_object: dict[tuple[ua.NodeId, ua.NodeId], Method] = {}
        self._anywhere: dict[ua.NodeId, Method] = {}
        self._known: dict[ua.NodeId, Method] = {}

    def add(self, method: Method, *, ids: Iterable[ua.NodeId], objects: Iterable[ua.NodeId] | None = None) -> None:
        """Register ``method`` under all of its node ids, for these objects alone; None: the handler judges the object.

        ValueError when an id is taken.
        """
        owners = None if objects is None else list(objects)
        for id in ids:
            self._known[id] = method
            if owners is None:
                if id in self._anywhere:
                    raise ValueError(f"two methods have the id {id}")
                self._anywhere[id] = method
                continue
            for owner in owners:
                if (owner, id) in self._by_object:
                    raise ValueError(f"two methods of {owner} have the id {id}")
                self._by_object[owner, id] = method

    def executable(self, id: ua.NodeId, role: Role) -> bool:
        """Return what UserExecutable of a method's node says to a user with this role."""
        method = self._known.get(id)
        return method is not None and method.handler is not None and role >= method.role

    async def call(self, caller: Caller, request: ua.CallMethodRequest) -> ua.CallMethodResult:
        """Check one call, have it carried out, and return its result; raises nothing that a client could cause."""
        method = self._by_object.get((request.ObjectId, request.MethodId)) or self._anywhere.get(request.MethodId)
        if method is None:
            return _refused(StatusCodes.BadMethodInvalid)
        if method.handler is None:
            return _refused(StatusCodes.BadNotExecutable)
        if caller.role < method.role:
            return _refused(StatusCodes.BadUserAccessDenied)
        given = request.InputArguments or []
        if len(given) != len(method.inputs):
            few = len(given) < len(method.inputs)
            return _refused(StatusCodes.BadArgumentsMissing if few else StatusCodes.BadTooManyArguments)
        codes = [mismatch(want, got) for want, got in zip(method.inputs, given, strict=True)]
        if any(codes):
            return _invalid(codes)
        try:
            values = [_clean(value_of(want, got)) for want, got in zip(method.inputs, given, strict=True)]
            outputs = await method.handler(caller, request.ObjectId, values)
        except ArgumentError as bad:
            return _invalid([bad.code if n == bad.index else 0 for n in range(len(given))])
        except ServiceError as error:
            return _refused(error.code)
        return ua.CallMethodResult(OutputArguments=list(outputs))


def mismatch(want: Argument, got: ua.Variant) -> int:
    """Return why a value is none for the argument (a status code), 0 when it is one."""
    if got.VariantType == ua.VariantType.Null:
        # A client that cannot make up a structure sends nothing, which means the same as an empty one.
        return 0 if want.struct is not None and want.rank < 0 else int(StatusCodes.BadTypeMismatch)
    is_array = isinstance(got.Value, list) or bool(got.is_array)
    if (want.rank >= 0) != is_array:
        return int(StatusCodes.BadTypeMismatch)
    if is_array and len(got.Value or []) > MAX_ARRAY:
        return int(StatusCodes.BadOutOfRange)
    if want.data_type == ua.NodeId(ua.Int32(ObjectIds.BaseDataType)):
        return 0
    if got.VariantType != want.variant:
        return int(StatusCodes.BadTypeMismatch)
    if want.struct is not None:
        items = (got.Value or []) if is_array else [got.Value]
        # By its data type: the class may be one that was made from the type's definition.
        if not all(_is_empty(item) or getattr(item, "data_type", None) == want.data_type for item in items):
            return int(StatusCodes.BadTypeMismatch)
    return 0


def value_of(want: Argument, got: ua.Variant) -> Any:
    """Return the plain value: a list for an array, None for a structure that was left out."""
    if want.rank >= 0:
        return list(got.Value or [])
    return None if want.struct is not None and _is_empty(got.Value) else got.Value


def _clean(value: Any) -> Any:
    """Return an argument with every text in it, in a structure too, such that it can be stored and sent."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if is_dataclass(value) and not isinstance(value, ua.NodeId):  # the id of a node is looked up, never stored
        for each in fields(value):
            old = getattr(value, each.name)
            if (new := _clean(old)) != old:
                setattr(value, each.name, new)
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, ua.ExtensionObject) and value.TypeId.is_null())


def _refused(code: int) -> ua.CallMethodResult:
    return ua.CallMethodResult(StatusCode=ua.StatusCode(ua.UInt32(code)))


def _invalid(codes: Sequence[int]) -> ua.CallMethodResult:
    result = _refused(StatusCodes.BadInvalidArgument)
    result.InputArgumentResults = [ua.StatusCode(ua.UInt32(code)) for code in codes]
    return result
