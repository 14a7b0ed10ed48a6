"""One station's nodes of OPC 40100-1: what its type makes mandatory and the optional parts that are served, by dot path.

Names, classes, data types and arguments come from the tables of :mod:`gateway.opcua.mv.spec`, so an instance cannot differ from
its type; the ids are strings of our own namespace. A variable says that it waits for its first value. It must not know what a
method does or where a value comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

from asyncua import ua
from asyncua.server.internal_server import InternalServer
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.methods import Argument
from gateway.opcua.mv import ids
from gateway.opcua.mv.namespace import NS as MV
from gateway.opcua.mv.spec.facts import Fact, M, prop, var
from gateway.opcua.mv.structs import STRUCTS

OWN = ua.Int16(2)
WAITING = int(StatusCodes.BadWaitingForInitialData)

OPTIONAL = frozenset(
    {
        "ConfigurationManagement",
        "ConfigurationManagement.ReleaseConfigurationHandle",
        "RecipeManagement",
        "RecipeManagement.Recipes",
        "RecipeManagement.ReleaseRecipeHandle",
        "ResultManagement",
        "ResultManagement.ReleaseResultHandle",
        "ResultManagement.Results",
        "VisionStateMachine.AutomaticModeStateMachine",
        "VisionStateMachine.ConfirmAll",
        "VisionStateMachine.SelectModeAutomatic",
    }
)
"""What is served of that which the type leaves open. No file transfer, no products, no step models, nothing about safety."""

_NUMBER = prop(0, "0:Number", "UInt32", M)
_ANY_LENGTH = (0,)
_MACHINE = (
    var(
        0,
        "0:LastTransition",
        "LocalizedText",
        M,
        prop(0, "0:Id", "NodeId", M),
        _NUMBER,
        prop(0, "0:TransitionTime", "UtcTime", M),
        type="FiniteTransitionVariableType",
    ),
    var(0, "0:AvailableStates", "NodeId", M, dimensions=_ANY_LENGTH),
    var(0, "0:AvailableTransitions", "NodeId", M, dimensions=_ANY_LENGTH),
)
"""What the standard leaves open of a state machine, and ours have."""

_VARIANTS = {
    "UtcTime": ua.VariantType.DateTime,
    "Duration": ua.VariantType.Double,
    "Handle": ua.VariantType.UInt32,
    "TrimmedString": ua.VariantType.String,
    "ResultStateDataType": ua.VariantType.Int32,
    "TriStateBooleanDataType": ua.VariantType.Int32,
    "BaseDataType": ua.VariantType.Variant,
    "Argument": ua.VariantType.ExtensionObject,
}


def variant_of(data_type: str) -> ua.VariantType:
    """Return how a value of the data type travels. KeyError for one that is not used here."""
    if data_type in STRUCTS:
        return ua.VariantType.ExtensionObject
    return _VARIANTS.get(data_type) or ua.VariantType[data_type]


def inputs_of(method: Fact) -> tuple[Argument, ...]:
    """Return what a method of the specification takes."""
    texts = [child.arguments for child in method.children if child.name == "0:InputArguments"]
    return tuple(_argument(text) for text in texts[0].split(", ")) if texts else ()


def _argument(text: str) -> Argument:
    name, _, told = text.partition(": ")
    data_type = told.removesuffix("[]")
    return Argument(
        name=name,
        data_type=ids.named(data_type),
        variant=variant_of(data_type),
        rank=1 if told.endswith("[]") else -1,
        struct=STRUCTS.get(data_type),
    )


def parts_of(fact: Fact, path: str = "") -> Iterator[tuple[str, Fact]]:
    """Yield what an instance has below ``fact``, with paths from it, parents first."""
    children: Iterable[Fact] = fact.children
    if fact.type in ("VisionStateMachineType", "VisionAutomaticModeStateMachineType"):
        children = (*children, *_MACHINE)
    if fact.name == "0:CurrentState":
        children = (*children, _NUMBER)
    for child in children:
        here = f"{path}.{child.browse_name}" if path else child.browse_name
        if child.rule == M or here in OPTIONAL:
            yield here, child
            yield from parts_of(child, here)


def add_system(iserver: InternalServer, station: str) -> ua.NodeId:
    """Add a station's own node among the objects, and return its id."""
    item = ua.AddNodesItem()
    item.RequestedNewNodeId = ua.NodeId(ua.String(station), OWN)
    item.BrowseName = ua.QualifiedName(station, ua.UInt16(OWN))
    item.NodeClass = ua.NodeClass.Object
    item.ParentNodeId = ids.named("ObjectsFolder")
    item.ReferenceTypeId = ids.named("Organizes")
    item.TypeDefinition = ids.named("VisionSystemType")
    item.NodeAttributes = ua.ObjectAttributes(DisplayName=ua.LocalizedText(station))
    (result,) = iserver.node_mgt_service.add_nodes([item])
    result.StatusCode.check()
    node: ua.NodeId = result.AddedNodeId
    return node


class Instance:
    """The nodes of one station, or of one of its recipes, as they stand in the address space."""

    def __init__(self, iserver: InternalServer, root: ua.NodeId) -> None:
        """Take the node that they stand below; its id is the first part of theirs."""
        self._iserver = iserver
        self._root = root
        self._id = str(root.Identifier)
        self._variables: dict[str, tuple[ua.NodeId, ua.VariantType, bool]] = {}
        self._last: dict[str, tuple[Any, int]] = {}

    def node(self, path: str) -> ua.NodeId:
        """Return the id of the node with this path ('' the root)."""
        return ua.NodeId(ua.String(f"{self._id}.{path}"), OWN) if path else self._root

    async def add(self, path: str, fact: Fact, *, executable: bool = True) -> None:
        """Add one node below the one whose path is the first part of its own."""
        item = ua.AddNodesItem()
        item.RequestedNewNodeId = self.node(path)
        item.BrowseName = _browse_name(fact)
        item.NodeClass = ua.NodeClass[fact.node_class]
        item.ParentNodeId = self.node(path.rpartition(".")[0])
        item.ReferenceTypeId = ids.named(fact.by)
        if fact.node_class in ("Object", "Variable"):
            item.TypeDefinition = ids.named(fact.type)
        item.NodeAttributes = _attributes(fact, executable)
        (result,) = self._iserver.node_mgt_service.add_nodes([item])
        result.StatusCode.check()
        if fact.node_class != "Variable":
            return
        self._variables[path] = (result.AddedNodeId, variant_of(fact.data_type), fact.rank >= 0)
        if fact.value is not None:
            await self.show(path, fact.value, _now())
        elif not fact.arguments:
            await self.show(path, None, _now(), code=WAITING)

    async def show(self, path: str, value: Any, t: ua.DateTime, *, code: int = 0, again: bool = False) -> None:
        """Write a variable's value with its source time, unless it says so already and ``again`` is not asked for.

        A bad ``code`` shows no value. KeyError for an unknown path.
        """
        bad = bool(code & 0x8000_0000)
        shown = (None if bad else value, code)
        if not again and self._last.get(path) == shown:
            return
        self._last[path] = shown
        node, variant, array = self._variables[path]
        held = ua.Variant(None, ua.VariantType.Null) if bad else ua.Variant(value, variant, is_array=array)
        data = ua.DataValue(Value=held, StatusCode=ua.StatusCode(ua.UInt32(code)), SourceTimestamp=t, ServerTimestamp=_now())
        await self._iserver.write_attribute_value(node, data)

    def __contains__(self, path: str) -> bool:
        """Return whether there is a variable with this path."""
        return path in self._variables


def _browse_name(fact: Fact) -> ua.QualifiedName:
    """Return the name in its namespace: ``0:`` and ``2:`` in front say which, otherwise it is the model's."""
    if fact.name[:2] in ("0:", "2:"):
        return ua.QualifiedName(fact.name[2:], ua.UInt16(int(fact.name[0])))
    return ua.QualifiedName(fact.name, ua.UInt16(MV))


def _now() -> ua.DateTime:
    return ua.DateTime.now(UTC)


def _attributes(fact: Fact, executable: bool) -> Any:
    shown = ua.LocalizedText(_browse_name(fact).Name)
    if fact.node_class == "Object":
        return ua.ObjectAttributes(DisplayName=shown)
    if fact.node_class == "Method":
        return ua.MethodAttributes(DisplayName=shown, Executable=executable, UserExecutable=executable)
    attributes = ua.VariableAttributes(DisplayName=shown)
    attributes.DataType, attributes.ValueRank = ids.named(fact.data_type), ua.Int32(fact.rank)
    if fact.rank >= 0:
        attributes.ArrayDimensions = [ua.UInt32(0)]
    attributes.AccessLevel = attributes.UserAccessLevel = ua.Byte(1)  # CurrentRead and nothing else
    if fact.arguments:
        told = [_argument(text).node_value() for text in fact.arguments.split(", ")]
        attributes.ArrayDimensions = [ua.UInt32(len(told))]
        attributes.Value = ua.Variant(told, ua.VariantType.ExtensionObject)
    return attributes
