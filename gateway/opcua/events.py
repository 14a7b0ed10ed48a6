"""Makes events and tells them: each has one EventId and goes once to each notifier above its source, the server last.

The library fires an event at one node only and sends most of its fields as null. Here an event takes the fields that its type
declares, in the types that it declares them with; what was not given is null. It must not know what an event is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from asyncua import ua
from asyncua.server.internal_server import InternalServer
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from gateway.opcua.event_data import EventData, base_values
from gateway.opcua.event_items import SERVER, EventItem
from gateway.opcua.event_types import EventTypes, standard

OWN = ua.Int16(2)


def station_node(station: str) -> ua.NodeId:
    """Return the node of a station (``Line1.Cam1``), or of anything below it by its dot path."""
    return ua.NodeId(ua.String(station), OWN)


class Events:
    """The events of one server."""

    def __init__(self, iserver: InternalServer, items: Callable[[], Iterator[EventItem]], types: EventTypes) -> None:
        """Take the server to tell them in; ``items`` returns every item that monitors events, of all clients."""
        self._iserver = iserver
        self._items = items
        self.types = types

    def add_notifier(self, node: ua.NodeId) -> None:
        """Let clients subscribe to the events of an object, whose events are the server's too."""
        bit = ua.Variant(1 << ua.EventNotifier.SubscribeToEvents, ua.VariantType.Byte)
        self._iserver.aspace[node].attributes[AttributeIds.EventNotifier].value = ua.DataValue(bit)
        for here, there, forward in ((SERVER, node, True), (node, SERVER, False)):
            item = ua.AddReferencesItem()
            item.SourceNodeId, item.TargetNodeId, item.IsForward = here, there, forward
            item.ReferenceTypeId = standard(ObjectIds.HasNotifier)
            item.TargetNodeClass = ua.NodeClass.Object
            (result,) = self._iserver.node_mgt_service.add_references([item])
            result.check()

    def emit(
        self,
        station: str,
        event_type: ua.NodeId,
        *,
        source: str = "",
        severity: int,
        message: str,
        fields: Mapping[str, ua.Variant],
        time_ns: int,
    ) -> bytes:
        """Tell an event of a station (``Line1.Cam1``) and return its EventId.

        ``source`` is the dot path below the station of the object it is about, '' the station itself; ``severity`` 1 to 1000;
        ``fields`` by name, those below another as ``FromState/Id``; ``time_ns`` UTC. Raises KeyError for a type or field that
        there is none of, ValueError for a field of a wrong type: mistakes of the caller, not of a client.
        """
        event = self.event(
            station, event_type, source=source, severity=severity, message=message, fields=fields, time_ns=time_ns
        )
        self.tell(event)
        return bytes(event.values[((0, "EventId"),)].Value)

    def event(
        self,
        station: str,
        event_type: ua.NodeId,
        *,
        source: str = "",
        severity: int,
        message: str,
        fields: Mapping[str, ua.Variant],
        time_ns: int,
        event_id: bytes = b"",
        condition: str = "",
    ) -> EventData:
        """Return an event without telling it; see :meth:`emit`. ``condition`` is the dot path of the condition it is of."""
        declared = self.types.fields(event_type)
        about = f"{station}.{source}" if source else station
        values = base_values(
            event_type,
            station_node(about),
            source or station,
            severity=severity,
            message=message,
            time_ns=time_ns,
            event_id=event_id,
        )
        for name, value in fields.items():
            field = declared[name]
            is_array = isinstance(value.Value, list)
            if field.variant not in (None, value.VariantType) or (value.Value is not None and field.array is not is_array):
                raise ValueError(f"event field {name}: {field.variant} array={field.array} expected, not {value!r}")
            values[field.path] = value
        return EventData(
            type_id=event_type,
            notifiers=(station_node(station), SERVER),
            condition_id=station_node(f"{station}.{condition}") if condition else None,
            values=values,
        )

    def tell(self, event: EventData) -> None:
        """Queue the event for every client that monitors one of its notifiers and whose filter it passes."""
        for item in self._items():
            item.take(event)
