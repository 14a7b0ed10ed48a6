"""The monitored items of one subscription: what may be monitored, and how it is asked for.

Stands apart from subscriptions, which say when and how much is sent. It must not know sessions' rights or tags.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import AddressSpace
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaprotocol_auto import DataChangeFilter

from gateway.opcua import event_items
from gateway.opcua.deadband import in_units
from gateway.opcua.event_items import EventItem
from gateway.opcua.event_types import EventTypes
from gateway.opcua.fanout import Feeds, Item

if TYPE_CHECKING:
    from gateway.opcua.subscriptions import Subscription

OF_USER = frozenset((AttributeIds.UserExecutable, AttributeIds.UserAccessLevel))
"""Attributes that each session's user is told for himself when he reads them; there is no one value to monitor."""
_NUMBERS = frozenset(range(ObjectIds.SByte, ObjectIds.Double + 1))
_STAMPS = frozenset(ua.TimestampsToReturn) - {ua.TimestampsToReturn.Invalid}


class Items(MonitoredItemService):
    """The monitored items of one subscription: values are fed by :mod:`gateway.opcua.fanout`, events by
    :mod:`gateway.opcua.events`.
    """

    isub: Subscription

    def __init__(
        self,
        subscription: Subscription,
        aspace: AddressSpace,
        feeds: Feeds,
        types: EventTypes,
        may_watch_events: Callable[[ua.NodeId], bool],
    ) -> None:
        """Take the subscription whose items these are, what feeds them, which events there are, and who
        tells whether a session may monitor more of them.
        """
        super().__init__(subscription, aspace)
        self._feeds = feeds
        self._types = types
        self._may_watch_events = may_watch_events
        self.events: dict[int, EventItem] = {}
        """Those that monitor events, by id."""
        self._stamps = ua.TimestampsToReturn.Both

    async def create_monitored_items(self, params: ua.CreateMonitoredItemsParameters) -> list[ua.MonitoredItemCreateResult]:
        """Monitor values and events. Raises ServiceError for timestamps that there are none of."""
        self._stamps = _stamps(params.TimestampsToReturn)
        return await super().create_monitored_items(params)

    def modify_monitored_items(self, params: ua.ModifyMonitoredItemsParameters) -> list[ua.MonitoredItemModifyResult]:
        """Change how they are monitored. Raises ServiceError for timestamps that there are none of."""
        self._stamps = _stamps(params.TimestampsToReturn)
        return super().modify_monitored_items(params)

    async def _create_data_change_monitored_item(self, params: ua.MonitoredItemCreateRequest) -> ua.MonitoredItemCreateResult:
        asked, result = params.RequestedParameters, ua.MonitoredItemCreateResult()
        asked.Filter = in_units(self.aspace, params.ItemToMonitor.NodeId, _none(asked.Filter))
        if code := self._refusal(params.ItemToMonitor, asked.Filter):
            result.StatusCode = ua.StatusCode(ua.UInt32(code))
            return result
        self._monitored_item_counter += 1
        item = Item(self._monitored_item_counter, params.ItemToMonitor, params.MonitoringMode, self.isub.ready)
        item.ask(asked, self._revise_queue_size(asked.QueueSize), self._stamps)
        result.StatusCode = self._feeds.add(item)
        if item.mode == ua.MonitoringMode.Disabled:
            self._rest(item)
        if result.StatusCode.is_good():
            self._monitored_items[item.monitored_item_id] = item
            result.MonitoredItemId = ua.UInt32(item.monitored_item_id)
        result.RevisedSamplingInterval = self.isub.data.RevisedPublishingInterval
        result.RevisedQueueSize = ua.UInt32(item.queue_size)
        return result

    def _create_events_monitored_item(self, params: ua.MonitoredItemCreateRequest) -> ua.MonitoredItemCreateResult:
        if not self._may_watch_events(self.isub.session_id):
            return ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(ua.UInt32(StatusCodes.BadTooManyMonitoredItems)))
        self._monitored_item_counter += 1
        id = self._monitored_item_counter
        item, result = event_items.create(id, params, self.isub.ready_events, self._types, self.aspace)
        if item is not None:
            self.events[id] = self._monitored_items[id] = item
        return result

    def _modify_monitored_item(self, params: ua.MonitoredItemModifyRequest) -> ua.MonitoredItemModifyResult:
        if (events := self.events.get(params.MonitoredItemId)) is not None:
            return event_items.modify(events, params.RequestedParameters, self._types)
        result = ua.MonitoredItemModifyResult()
        item, asked = self._monitored_items.get(params.MonitoredItemId), params.RequestedParameters
        asked.Filter = _none(asked.Filter)
        if item is None or item.read_value_id is None:
            result.StatusCode = ua.StatusCode(ua.UInt32(StatusCodes.BadMonitoredItemIdInvalid))
            return result
        asked.Filter = in_units(self.aspace, item.read_value_id.NodeId, asked.Filter)
        if code := self._refusal(item.read_value_id, asked.Filter):
            result.StatusCode = ua.StatusCode(ua.UInt32(code))
            return result
        queue_size = self._revise_queue_size(asked.QueueSize)
        if isinstance(item, Item):
            item.ask(asked, queue_size, self._stamps)
        else:
            item.filter, item.client_handle, item.queue_size = asked.Filter, asked.ClientHandle, queue_size
        result.RevisedSamplingInterval = self.isub.data.RevisedPublishingInterval
        result.RevisedQueueSize = ua.UInt32(queue_size)
        return result

    async def _set_monitoring_mode(self, mode: ua.MonitoringMode, mid: int) -> ua.StatusCode:
        item = self._monitored_items.get(mid)
        if isinstance(item, EventItem):
            item.set_mode(mode)
            return ua.StatusCode()
        if not isinstance(item, Item):
            return await super()._set_monitoring_mode(mode, mid)
        if mode == ua.MonitoringMode.Disabled:
            self._rest(item)
            return ua.StatusCode()
        rested = item.mode == ua.MonitoringMode.Disabled
        item.set_mode(mode)
        return self._feeds.add(item) if rested else ua.StatusCode()

    def _rest(self, item: Item) -> None:
        item.set_mode(ua.MonitoringMode.Disabled)  # what waits is not sent any more
        self._feeds.remove(item)

    def _delete_monitored_items(self, mid: int) -> ua.StatusCode:
        item = self._monitored_items.get(mid)
        if isinstance(item, EventItem):
            item.set_mode(ua.MonitoringMode.Disabled)
            del self.events[mid]
        elif not isinstance(item, Item):
            return super()._delete_monitored_items(mid)
        else:
            self._rest(item)
        del self._monitored_items[mid]
        return ua.StatusCode()

    def _refusal(self, what: ua.ReadValueId, asked: Any) -> int:
        """Return the status code that says why this cannot be monitored, 0 when it can."""
        if what.AttributeId in OF_USER:
            return int(StatusCodes.BadNotSupported)
        if what.IndexRange:
            return int(StatusCodes.BadIndexRangeInvalid)
        if asked is None or (isinstance(asked, DataChangeFilter) and asked.DeadbandType == ua.DeadbandType.None_):
            return 0
        if not isinstance(asked, DataChangeFilter) or asked.DeadbandType != ua.DeadbandType.Absolute:
            return int(StatusCodes.BadMonitoredItemFilterUnsupported)
        kind = self.aspace.read_attribute_value(what.NodeId, AttributeIds.DataType).Value
        number = kind is not None and isinstance(kind.Value, ua.NodeId) and kind.Value.Identifier in _NUMBERS
        if not number or what.AttributeId != AttributeIds.Value:
            return int(StatusCodes.BadFilterNotAllowed)
        return 0 if asked.DeadbandValue >= 0 else int(StatusCodes.BadDeadbandFilterInvalid)


def _none(asked: Any) -> Any:
    """Return the filter, None for an empty one: what a client sends that wants none."""
    return None if isinstance(asked, ua.ExtensionObject) and asked.TypeId.is_null() else asked


def _stamps(asked: ua.TimestampsToReturn) -> ua.TimestampsToReturn:
    if asked not in _STAMPS:
        raise ServiceError(StatusCodes.BadTimestampsToReturnInvalid)
    return asked
