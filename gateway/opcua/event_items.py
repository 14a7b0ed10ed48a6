"""The monitored items that report events: what each client wants of them, and what waits to be sent.

The queue of an item is bounded, and an event that is lost shows in the queue itself as an EventQueueOverflowEventType. The
events of a refresh go through the same queue, once to the items of the one subscription that asked. It must not know who
makes events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AddressSpace
from asyncua.server.monitored_item_service import MonitoredItemData
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.event_data import EventData, base_values
from gateway.opcua.event_types import EventTypes, standard
from gateway.opcua.filters import CheckedFilter, check

MIN_QUEUE = 200
"""A refresh brings every retained condition at once, whatever queue the client thought of."""
MAX_QUEUE = 500
MAX_EVENT_ITEMS = 20
"""Of one session: each event is put to all of them, and may wait in each."""
MAX_SHARED = 200
"""Of all sessions, but for the first of each: an event is put to every item before anything else is done."""
MAX_BYTES = 128 * 1024
"""Of the events in one message; the rest follows in the next."""

SERVER = standard(ObjectIds.Server)
_LIST = standard(ObjectIds.EventNotificationList_Encoding_DefaultBinary)


class EventItem(MonitoredItemData):
    """One monitored notifier of one subscription, and which of its events wait to be published."""

    mode: ua.MonitoringMode
    read_value_id: ua.ReadValueId
    monitored_item_id: int

    def __init__(
        self, id: int, what: ua.ReadValueId, mode: ua.MonitoringMode, ready: dict[int, Any], types: EventTypes
    ) -> None:
        """Take what to monitor; ``ready`` is where the item puts itself when something waits to be published."""
        super().__init__()
        self.monitored_item_id, self.read_value_id, self.mode = id, what, mode
        self._ready = ready
        self._types = types
        self._checked = CheckedFilter(selected=(), elements=())
        self._queue: list[bytes] = []
        self._overflow = b""
        """The overflow event that was queued last."""
        self._refresh_end = b""
        """The end of the refresh that was queued last."""
        self._discard_oldest = True
        self._handle = b""

    def ask(self, asked: ua.MonitoringParameters, checked: CheckedFilter) -> None:
        """Set what its client wants, now or anew; what waits stays."""
        self.filter, self.client_handle, self._checked = asked.Filter, asked.ClientHandle, checked
        self.queue_size = min(max(int(asked.QueueSize), MIN_QUEUE), MAX_QUEUE)
        self._discard_oldest = bool(asked.DiscardOldest)
        self._handle = int(asked.ClientHandle).to_bytes(4, "little")

    def take(self, event: EventData) -> None:
        """Queue the event if it is one of this notifier's and passes the filter."""
        if self.read_value_id.NodeId in event.notifiers and self._checked.passes(event, self._types):
            self._put(self._wire(event))

    def refresh(self, start: EventData, retained: Sequence[EventData], end: EventData) -> None:
        """Queue the retained conditions between the two events that frame them, which no filter holds back."""
        self._put(self._wire(start))
        for event in retained:
            self.take(event)
        self._refresh_end = self._wire(end)
        self._put(self._refresh_end)

    @property
    def refreshing(self) -> bool:
        """Return whether the last refresh waits to be sent."""
        return any(wire is self._refresh_end for wire in self._queue)

    def set_mode(self, mode: ua.MonitoringMode) -> None:
        """Report, or not; one that is disabled forgets what waits."""
        self.mode = mode
        if mode == ua.MonitoringMode.Disabled:
            self._queue.clear()
        if mode != ua.MonitoringMode.Reporting:
            self._ready.pop(self.monitored_item_id, None)
        elif self._queue:
            self._ready[self.monitored_item_id] = self

    def pop(self, parts: list[bytes], most: int, most_bytes: int) -> int:
        """Move what waits to ``parts``, at most so many events and about so many bytes; return how many it were."""
        taken = size = 0
        while taken < min(most, len(self._queue)) and (size < most_bytes or not taken):
            size += len(self._queue[taken])
            taken += 1
        parts += self._queue[:taken]
        del self._queue[:taken]
        return taken

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._queue)

    def _wire(self, event: EventData) -> bytes:
        return self._handle + self._checked.wire(event, self._types)

    def _put(self, wire: bytes) -> None:
        if self.mode == ua.MonitoringMode.Disabled:
            return
        told = sum(1 for one in (self._queue[:1] + self._queue[-1:]) if one is self._overflow)
        if len(self._queue) - min(told, 1) < self.queue_size:
            self._queue.append(wire)
        elif self._discard_oldest:
            del self._queue[1 if self._queue[0] is self._overflow else 0]
            self._queue.append(wire)
            if self._queue[0] is not self._overflow:
                self._overflow = self._wire(overflow_event())
                self._queue.insert(0, self._overflow)
        elif self._queue[-1] is not self._overflow:
            self._overflow = self._wire(overflow_event())
            self._queue.append(self._overflow)
        if self.mode == ua.MonitoringMode.Reporting:
            self._ready[self.monitored_item_id] = self


def overflow_event() -> EventData:
    """Return an event that says that events were lost."""
    return server_event(ObjectIds.EventQueueOverflowEventType, "Events were lost: this item's queue was full.", severity=500)


def server_event(kind: int, message: str, *, severity: int) -> EventData:
    """Return an event of the server itself, of a type of the standard that adds no fields."""
    return EventData(
        type_id=standard(kind),
        notifiers=(SERVER,),
        values=base_values(standard(kind), SERVER, "Server", severity=severity, message=message),
    )


def create(
    id: int, asked: ua.MonitoredItemCreateRequest, ready: dict[int, Any], types: EventTypes, aspace: AddressSpace
) -> tuple[EventItem | None, ua.MonitoredItemCreateResult]:
    """Return an item for a notifier, or None and why there is none."""
    result = ua.MonitoredItemCreateResult()
    if code := _no_notifier(asked.ItemToMonitor, aspace):
        result.StatusCode = _status(code)
        return None, result
    checked, told, code = check(asked.RequestedParameters.Filter, types)
    result.StatusCode = _status(code)
    if told is not None:
        result.FilterResult = told
    if checked is None:
        return None, result
    item = EventItem(id, asked.ItemToMonitor, asked.MonitoringMode, ready, types)
    item.ask(asked.RequestedParameters, checked)
    result.MonitoredItemId, result.RevisedQueueSize = ua.UInt32(id), ua.UInt32(item.queue_size)
    return item, result


def modify(item: EventItem, asked: ua.MonitoringParameters, types: EventTypes) -> ua.MonitoredItemModifyResult:
    """Give an item another filter or queue; one that is refused changes nothing."""
    checked, told, code = check(asked.Filter, types)
    result = ua.MonitoredItemModifyResult(StatusCode=_status(code))
    if told is not None:
        result.FilterResult = told
    if checked is not None:
        item.ask(asked, checked)
        result.RevisedQueueSize = ua.UInt32(item.queue_size)
    return result


def pop_events(ready: dict[int, EventItem], most: int) -> tuple[ua.ExtensionObject | None, int]:
    """Return a notification with what waits (None: nothing does) and how many events it has; the rest stays for the next."""
    parts: list[bytes] = []
    left, size = most, MAX_BYTES
    for id, item in list(ready.items()):
        before = len(parts)
        left -= item.pop(parts, left, size)
        size -= sum(map(len, parts[before:]))
        if not len(item):
            del ready[id]
        if left <= 0 or size <= 0:
            break
    if not parts:
        return None, 0
    body = b"".join((len(parts).to_bytes(4, "little"), *parts))
    return ua.ExtensionObject(TypeId=_LIST, Body=ua.ByteString(body)), len(parts)


def _no_notifier(what: ua.ReadValueId, aspace: AddressSpace) -> int:
    """Return why there are no events of this node, 0 when there are."""
    node = aspace.get(what.NodeId)
    if node is None:
        return int(StatusCodes.BadNodeIdUnknown)
    held = node.attributes.get(AttributeIds.EventNotifier)
    value = held.value.Value if held is not None and held.value is not None else None
    if value is None or value.Value is None:
        return int(StatusCodes.BadAttributeIdInvalid)
    if what.IndexRange:
        return int(StatusCodes.BadIndexRangeInvalid)
    subscribes = 1 << ua.EventNotifier.SubscribeToEvents
    return 0 if int(value.Value) & subscribes else int(StatusCodes.BadNotSupported)


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))
