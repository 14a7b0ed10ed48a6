"""The conditions of a station as nodes, so that clients can browse them: each field of their events is a variable below them.

``ns=2;s=Line1.Cam1.Conditions.CAMERA`` is a condition, its id the ConditionId of its events; its methods are those of its
type. It must not know how a condition changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Any

from asyncua import ua
from asyncua.server.internal_server import InternalServer
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.event_data import EventData
from gateway.opcua.event_types import EventTypes, Field, standard
from gateway.opcua.events import OWN, station_node

METHODS = {
    ObjectIds.ConditionType_Enable: "Enable",
    ObjectIds.ConditionType_Disable: "Disable",
    ObjectIds.ConditionType_AddComment: "AddComment",
    ObjectIds.AcknowledgeableConditionType_Acknowledge: "Acknowledge",
    ObjectIds.AcknowledgeableConditionType_Confirm: "Confirm",
}
"""By the number of their declaration."""
_KINDS = {
    "EnabledState": ObjectIds.TwoStateVariableType,
    "AckedState": ObjectIds.TwoStateVariableType,
    "ConfirmedState": ObjectIds.TwoStateVariableType,
    "Quality": ObjectIds.ConditionVariableType,
    "LastSeverity": ObjectIds.ConditionVariableType,
    "Comment": ObjectIds.ConditionVariableType,
}
"""The fields that are components; all others are properties."""
_WAITING = ua.StatusCode(ua.UInt32(StatusCodes.BadWaitingForInitialData))


class ConditionNodes:
    """Adds them, and shows in them what events tell."""

    def __init__(self, iserver: InternalServer, types: EventTypes) -> None:
        """Take the server to add to."""
        self._iserver = iserver
        self._types = types
        self._variables: dict[tuple[ua.NodeId, str], ua.NodeId] = {}

    def folder(self, station: str) -> None:
        """Add the folder of a station's conditions."""
        self._add(
            f"{station}.Conditions",
            ua.QualifiedName("Conditions", OWN),
            parent=station_node(station),
            by=ObjectIds.HasComponent,
            node_class=ua.NodeClass.Object,
            type_id=standard(ObjectIds.FolderType),
            attributes=ua.ObjectAttributes(DisplayName=ua.LocalizedText("Conditions")),
        )

    def condition(self, station: str, code: str, type_id: ua.NodeId, about: str, names: Iterable[str]) -> ua.NodeId:
        """Add a condition with the variables of these fields, those below another after it; they wait for their first value."""
        path = f"{station}.Conditions.{code}"
        node = self._add(
            path,
            ua.QualifiedName(code, OWN),
            parent=station_node(f"{station}.Conditions"),
            by=ObjectIds.HasComponent,
            node_class=ua.NodeClass.Object,
            type_id=type_id,
            attributes=ua.ObjectAttributes(DisplayName=ua.LocalizedText(code), Description=ua.LocalizedText(about)),
        )
        self._refer(station_node(station), ObjectIds.HasCondition, node)
        for number in METHODS:
            self._refer(node, ObjectIds.HasComponent, standard(number), back=False)
        fields = self._types.fields(type_id)
        for name in names:
            self._variables[node, name] = self._variable(path, name, fields[name])
        return node

    async def show(self, event: EventData, names: Iterable[str], time: ua.DateTime) -> None:
        """Write the event's fields with these names to the nodes of its condition; ``time`` is their source time."""
        if event.condition_id is None:
            return
        fields = self._types.fields(event.type_id)
        for name in names:
            value = ua.DataValue(event.value(fields[name].path), SourceTimestamp=time, ServerTimestamp=ua.DateTime.now(UTC))
            await self._iserver.write_attribute_value(self._variables[event.condition_id, name], value)

    def _variable(self, path: str, name: str, field: Field) -> ua.NodeId:
        above, _, last = name.rpartition("/")
        namespace = field.path[-1][0]
        attributes = ua.VariableAttributes(DisplayName=ua.LocalizedText(last))
        attributes.DataType, attributes.ValueRank = field.data_type, ua.Int32(-1)
        attributes.AccessLevel = attributes.UserAccessLevel = ua.Byte(1)  # CurrentRead and nothing else
        parent = f"{path}.{above.replace('/', '.')}" if above else path
        node = self._add(
            f"{parent}.{last}",
            ua.QualifiedName(last, ua.UInt16(namespace)),
            parent=station_node(parent),
            by=ObjectIds.HasComponent if name in _KINDS else ObjectIds.HasProperty,
            node_class=ua.NodeClass.Variable,
            type_id=standard(_KINDS.get(name, ObjectIds.PropertyType)),
            attributes=attributes,
        )
        now = ua.DateTime.now(UTC)
        attribute = self._iserver.aspace[node].attributes[AttributeIds.Value]
        attribute.value = ua.DataValue(StatusCode=_WAITING, SourceTimestamp=now, ServerTimestamp=now)
        return node

    def _add(
        self,
        id: str,
        name: ua.QualifiedName,
        *,
        parent: ua.NodeId,
        by: int,
        node_class: ua.NodeClass,
        type_id: ua.NodeId,
        attributes: Any,
    ) -> ua.NodeId:
        item = ua.AddNodesItem()
        item.RequestedNewNodeId = station_node(id)
        item.BrowseName, item.NodeClass, item.NodeAttributes = name, node_class, attributes
        item.ParentNodeId = parent
        item.ReferenceTypeId = standard(by)
        item.TypeDefinition = type_id
        (result,) = self._iserver.node_mgt_service.add_nodes([item])
        result.StatusCode.check()
        node: ua.NodeId = result.AddedNodeId
        return node

    def _refer(self, source: ua.NodeId, by: int, target: ua.NodeId, *, back: bool = True) -> None:
        for here, there, forward in ((source, target, True), (target, source, False))[: 1 + back]:
            item = ua.AddReferencesItem()
            item.SourceNodeId, item.TargetNodeId, item.IsForward = here, there, forward
            item.ReferenceTypeId = standard(by)
            item.TargetNodeClass = ua.NodeClass.Unspecified
            (result,) = self._iserver.node_mgt_service.add_references([item])
            result.check()
