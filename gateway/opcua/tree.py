"""Adds the nodes of a station to the address space: ids, names, types, ranks and access given for each, nothing left to guess.

A bare name would land in the standard's namespace and a list get no rank; a tag without a value would read as 0, and good.
"""

from __future__ import annotations

from datetime import UTC, datetime

from asyncua import ua
from asyncua.server.internal_server import InternalServer
from asyncua.ua.object_ids import ObjectIds

from gateway.core.tags import Quality
from gateway.opcua.flat import FlatTag, Param, Type, unit_id
from gateway.opcua.quality import status_code
from gateway.opcua.update import Value

NS = ua.Int16(2)
UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"
MAX_FLOAT = 3.4e38

VARIANT: dict[Type, tuple[ua.VariantType, Value]] = {
    "Boolean": (ua.VariantType.Boolean, False),
    "Int32": (ua.VariantType.Int32, 0),
    "UInt32": (ua.VariantType.UInt32, 0),
    "Float": (ua.VariantType.Float, 0.0),
    "String": (ua.VariantType.String, ""),
    "DateTime": (ua.VariantType.DateTime, datetime(1970, 1, 1, tzinfo=UTC)),
    "ImageJPG": (ua.VariantType.ByteString, b""),
}
"""The wire type of each of ours, and any value of it."""
READ, READ_WRITE = 1, 3
"""AccessLevel. UserAccessLevel stands at READ in every node: a session answers it by its user's role."""


class Tree:
    """Adds nodes with explicit ids, names in ns=2 and right value ranks, read-only unless a tag says otherwise."""

    def __init__(self, iserver: InternalServer) -> None:
        """Take the server to add to."""
        self._iserver = iserver

    def folder(self, parent: ua.NodeId, id: str, name: str, *, organizes: bool = False) -> ua.NodeId:
        """Add a folder."""
        attributes = ua.ObjectAttributes(DisplayName=ua.LocalizedText(name))
        reference = ObjectIds.Organizes if organizes else ObjectIds.HasComponent
        return self._add(parent, id, _name(name), ua.NodeClass.Object, reference, ObjectIds.FolderType, attributes)

    async def tag(self, parent: ua.NodeId, id: str, tag: FlatTag) -> ua.NodeId:
        """Add a flat tag, with its texts when its values have some."""
        kind, any_value = VARIANT[tag.type]
        type_id = ObjectIds.MultiStateDiscreteType if tag.enum else ObjectIds.BaseDataVariableType
        name = tag.name.partition(".")[2]
        value = ua.Variant([any_value] * tag.length if tag.length else any_value, kind)
        data_type = ObjectIds.ImageJPG if tag.type == "ImageJPG" else kind.value
        access = READ if tag.role is None else READ_WRITE
        node = await self._variable(parent, id, name, type_id, value, tag.about, data_type=data_type, access=access)
        if tag.enum:
            texts = [ua.LocalizedText(t) for t in tag.enum]
            self._property(node, id, "EnumStrings", ua.Variant(texts, ua.VariantType.LocalizedText), ObjectIds.LocalizedText)
        return node

    async def analog(self, parent: ua.NodeId, id: str, param: Param) -> ua.NodeId:
        """Add a parameter with its unit and range."""
        about = f"{param.name}: what the PLC holds; it may be moved within the limits of its tag map."
        if param.writable:
            about += f" By at most {param.step:g} {param.unit} at once, {param.rate_per_min:g} times a minute."
        any_value, access = ua.Variant(0.0, ua.VariantType.Float), READ_WRITE if param.writable else READ
        kind = ObjectIds.AnalogItemType
        node = await self._variable(parent, id, param.name, kind, any_value, about, data_type=ObjectIds.Float, access=access)
        unit = ua.EUInformation(
            NamespaceUri=UNECE if unit_id(param.unit) >= 0 else "",
            UnitId=ua.Int32(unit_id(param.unit)),
            DisplayName=ua.LocalizedText(param.unit),
            Description=ua.LocalizedText(param.unit),
        )
        low, high = param.range or (-MAX_FLOAT, MAX_FLOAT)
        extension = ua.VariantType.ExtensionObject
        self._property(node, id, "EngineeringUnits", ua.Variant(unit, extension), ObjectIds.EUInformation)
        self._property(node, id, "EURange", ua.Variant(ua.Range(ua.Double(low), ua.Double(high)), extension), ObjectIds.Range)
        return node

    async def _variable(
        self,
        parent: ua.NodeId,
        id: str,
        name: str,
        type_id: int,
        any_value: ua.Variant,
        about: str,
        *,
        data_type: int,
        access: int,
    ) -> ua.NodeId:
        attributes = _variable_attributes(name, any_value, ua.NodeId(ua.Int32(data_type)), about)
        if isinstance(any_value.Value, list):
            attributes.ArrayDimensions = [ua.UInt32(len(any_value.Value))]
        attributes.AccessLevel = ua.Byte(access)
        node = self._add(parent, id, _name(name), ua.NodeClass.Variable, ObjectIds.HasComponent, type_id, attributes)
        waiting = ua.StatusCode(ua.UInt32(status_code(Quality.BAD, "never")))
        now = ua.DateTime.now(UTC)
        nothing = ua.DataValue(StatusCode=waiting, SourceTimestamp=now, ServerTimestamp=now)
        await self._iserver.write_attribute_value(node, nothing)
        return node

    def _property(self, parent: ua.NodeId, parent_id: str, name: str, value: ua.Variant, data_type: int) -> None:
        attributes = _variable_attributes(name, value, ua.NodeId(ua.Int32(data_type)), "")
        # The names of standard properties belong to namespace 0, their ids to ours.
        qualified = ua.QualifiedName(name, 0)
        kind, reference = ObjectIds.PropertyType, ObjectIds.HasProperty
        self._add(parent, f"{parent_id}.{name}", qualified, ua.NodeClass.Variable, reference, kind, attributes)

    def _add(
        self,
        parent: ua.NodeId,
        id: str,
        name: ua.QualifiedName,
        node_class: ua.NodeClass,
        reference: int,
        type_id: int,
        attributes: ua.ObjectAttributes | ua.VariableAttributes,
    ) -> ua.NodeId:
        item = ua.AddNodesItem()
        item.RequestedNewNodeId = ua.ExpandedNodeId(ua.String(id), NS)
        item.BrowseName = name
        item.NodeClass = node_class
        item.ParentNodeId = ua.ExpandedNodeId(parent.Identifier, parent.NamespaceIndex)
        item.ReferenceTypeId = ua.NodeId(ua.Int32(reference))
        item.TypeDefinition = ua.ExpandedNodeId(ua.Int32(type_id))
        item.NodeAttributes = attributes
        (result,) = self._iserver.node_mgt_service.add_nodes([item])
        result.StatusCode.check()
        node: ua.NodeId = result.AddedNodeId
        return node


def variant(value: Value, kind: ua.VariantType) -> ua.Variant:
    """Return a tag's value as it goes over the wire, a tuple as an array."""
    return ua.Variant(list(value) if isinstance(value, tuple) else value, kind)


def _name(name: str) -> ua.QualifiedName:
    return ua.QualifiedName(name, NS)


def _variable_attributes(name: str, value: ua.Variant, data_type: ua.NodeId, about: str) -> ua.VariableAttributes:
    attributes = ua.VariableAttributes(DisplayName=ua.LocalizedText(name), Description=ua.LocalizedText(about))
    attributes.Value = value
    attributes.DataType = data_type
    attributes.ValueRank = ua.Int32(1 if isinstance(value.Value, list) else -1)
    if isinstance(value.Value, list):
        attributes.ArrayDimensions = [ua.UInt32(0)]  # any length: a later version may know more texts
    attributes.AccessLevel = attributes.UserAccessLevel = ua.Byte(READ)
    return attributes
