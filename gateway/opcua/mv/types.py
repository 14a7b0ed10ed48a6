"""Builds the types of OPC 40100-1 in a server from the tables of :mod:`gateway.opcua.mv.spec`.

Every variable of a type is read-only and has no value, save those that say something of the type itself (numbers of states,
arguments, texts). It must not know a station.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from asyncua import ua
from asyncua.server.internal_server import InternalServer
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from gateway.opcua.mv.dictionary import binary_schema, definition, xml_schema
from gateway.opcua.mv.ids import FACTS, named
from gateway.opcua.mv.namespace import NS, URI, mv
from gateway.opcua.mv.spec import SPECIFICATION
from gateway.opcua.mv.spec.facts import Fact, Link
from gateway.opcua.mv.structs import STRUCTS


async def add_types(iserver: InternalServer) -> int:
    """Register the namespace and add every node of the specification; return the namespace's index, always 3.

    Raises RuntimeError when another namespace stands in that place.
    """
    array = ua.NodeId(ua.Int32(ObjectIds.Server_NamespaceArray))
    told = iserver.aspace.read_attribute_value(array, AttributeIds.Value).Value
    uris = list(told.Value) if told is not None else []
    if len(uris) != NS:
        raise RuntimeError(f"the Machine Vision namespace must be number {NS}, right after our own, not {len(uris)}")
    uris.append(URI)
    now = ua.DateTime.now(UTC)
    value = ua.DataValue(ua.Variant(uris, ua.VariantType.String), SourceTimestamp=now, ServerTimestamp=now)
    await iserver.write_attribute_value(array, value)
    builder = _Builder(iserver)
    for fact in SPECIFICATION:
        builder.add(named(fact.parent or fact.type), fact)
    for fact in SPECIFICATION:
        builder.fill(fact)
    for fact in SPECIFICATION:
        builder.link(fact, fact.name)
    return int(NS)


class _Builder:
    """Adds the types, then what is beneath them, then the references beside the tree: each needs the step before."""

    def __init__(self, iserver: InternalServer) -> None:
        self._nodes = iserver.node_mgt_service

    def add(self, parent: ua.NodeId, fact: Fact) -> None:
        """Add the node."""
        item = ua.AddNodesItem()
        item.RequestedNewNodeId = mv(fact.id)
        item.BrowseName = _browse_name(fact)
        item.NodeClass = getattr(ua.NodeClass, fact.node_class)
        item.ParentNodeId = parent
        item.ReferenceTypeId = named(fact.by)
        if fact.node_class in ("Object", "Variable"):
            item.TypeDefinition = named(fact.type)
        item.NodeAttributes = _attributes(fact)
        (result,) = self._nodes.add_nodes([item])
        result.StatusCode.check()
        if fact.rule:
            self._refer(mv(fact.id), "HasModellingRule", named(f"ModellingRule_{fact.rule}"), forward=True)

    def fill(self, fact: Fact) -> None:
        """Add all beneath the node."""
        for child in fact.children:
            self.add(mv(fact.id), child)
            self.fill(child)

    def link(self, fact: Fact, path: str) -> None:
        """Add the references of the fact and all beneath it, from both ends."""
        scope = path.rpartition(".")[0]
        for link in fact.links:
            here, there = mv(fact.id), _target(link, scope)
            self._refer(here, link.by, there, forward=link.forward)
            self._refer(there, link.by, here, forward=not link.forward)
        for child in fact.children:
            self.link(child, f"{path}.{child.browse_name}")

    def _refer(self, source: ua.NodeId, by: str, target: ua.NodeId, *, forward: bool) -> None:
        item = ua.AddReferencesItem()
        item.SourceNodeId = source
        item.ReferenceTypeId = named(by)
        item.IsForward = forward
        item.TargetNodeId = target
        item.TargetNodeClass = ua.NodeClass.Unspecified
        (result,) = self._nodes.add_references([item])
        result.check()


def _target(link: Link, scope: str) -> ua.NodeId:
    """Return the other end: by number, beside the fact, or by its path from the top."""
    if isinstance(link.to, int):
        return mv(link.to)
    beside = FACTS.get(f"{scope}.{link.to}")
    return mv((beside or FACTS[link.to]).id)


def _browse_name(fact: Fact) -> ua.QualifiedName:
    return ua.QualifiedName(fact.browse_name, ua.UInt16(0 if fact.name.startswith("0:") else NS))


def _attributes(fact: Fact) -> Any:
    shown = ua.LocalizedText(fact.browse_name)
    match fact.node_class:
        case "Object":
            return ua.ObjectAttributes(DisplayName=shown)
        case "Method":
            return ua.MethodAttributes(DisplayName=shown, Executable=True, UserExecutable=True)
        case "ObjectType":
            return ua.ObjectTypeAttributes(DisplayName=shown, IsAbstract=fact.abstract)
        case "ReferenceType":
            return ua.ReferenceTypeAttributes(DisplayName=shown, IsAbstract=fact.abstract)
        case "DataType":
            return _data_type(fact, shown)
        case "VariableType":
            kind = ua.VariableTypeAttributes(DisplayName=shown, IsAbstract=fact.abstract)
            kind.DataType, kind.ValueRank = named(fact.data_type), ua.Int32(fact.rank)
            return kind
    variable = ua.VariableAttributes(DisplayName=shown)
    variable.DataType, variable.ValueRank = named(fact.data_type), ua.Int32(fact.rank)
    variable.ArrayDimensions = [ua.UInt32(n) for n in fact.dimensions]
    variable.AccessLevel = variable.UserAccessLevel = ua.Byte(1)  # CurrentRead and nothing else
    variable.Value = _value(fact)
    return variable


def _data_type(fact: Fact, shown: ua.LocalizedText) -> Any:
    attributes: Any = ua.DataTypeAttributes(DisplayName=shown, IsAbstract=fact.abstract)
    if fact.name in STRUCTS:
        attributes.DataTypeDefinition = definition(fact.name)
    elif fact.values:
        told = ua.EnumDefinition()
        told.Fields = [
            ua.EnumField(Value=ua.Int64(number), DisplayName=ua.LocalizedText(text), Name=ua.String(text))
            for text, number in fact.values
        ]
        attributes.DataTypeDefinition = told
    return attributes


def _value(fact: Fact) -> ua.Variant:
    if fact.arguments:
        return ua.Variant([_argument(text) for text in fact.arguments.split(", ")], ua.VariantType.ExtensionObject)
    if fact.values:
        told = [ua.EnumValueType(Value=ua.Int64(number), DisplayName=ua.LocalizedText(text)) for text, number in fact.values]
        return ua.Variant(told, ua.VariantType.ExtensionObject)
    if fact.type == "DataTypeDictionaryType":
        schema = binary_schema() if fact.parent.startswith("OPCBinary") else xml_schema()
        return ua.Variant(schema, ua.VariantType.ByteString)
    if fact.value is None:
        return ua.Variant(None, ua.VariantType.Null)
    value = list(fact.value) if isinstance(fact.value, tuple) else fact.value
    return ua.Variant(value, getattr(ua.VariantType, "Int32" if fact.data_type == "IdType" else fact.data_type))


def _argument(text: str) -> ua.Argument:
    name, _, data_type = text.partition(": ")
    argument = ua.Argument(Name=ua.String(name), DataType=named(data_type.removesuffix("[]")))
    argument.ValueRank = ua.Int32(1 if data_type.endswith("[]") else -1)
    argument.ArrayDimensions = []
    return argument
