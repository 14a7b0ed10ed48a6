"""Subscriptions within bounds: how often, how many, how deep, and what counts as a change.

The library takes any publishing interval and queue, copies each value for each item, and measures a deadband from the last
sample, so that a slow ramp never shows; and each subscription leaves a logger behind for ever. It must not know sessions'
rights or tags.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import AddressSpace
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaprotocol_auto import DataChangeFilter

from gateway.opcua import budget, event_items
from gateway.opcua.deadband import in_units
from gateway.opcua.event_items import EventItem
from gateway.opcua.event_types import EventTypes
from gateway.opcua.fanout import Feeds, Item
from gateway.opcua.fanout import changed as changed

MIN_PUBLISHING_MS = 100.0
MAX_PUBLISHING_MS = 60_000.0
MAX_SUBSCRIPTIONS_PER_SESSION = 20
MAX_ITEMS_PER_SESSION = 2000
OF_USER = frozenset((AttributeIds.UserExecutable, AttributeIds.UserAccessLevel))
"""Attributes that each session's user is told for himself when he reads them; there is no one value to monitor."""
MAX_KEPT = 4_000_000
"""Bytes of messages that a session has not acknowledged: of more, the oldest cannot be sent again."""

_LOGGER = logging.getLogger(MonitoredItemService.__module__)
"""Made before its children: logging would keep those without a parent in the place held free for it."""

_NUMBERS = frozenset(range(ObjectIds.SByte, ObjectIds.Double + 1))
_STAMPS = frozenset(ua.TimestampsToReturn) - {ua.TimestampsToReturn.Invalid}
_DATA_CHANGE = ua.NodeId(ua.Int32(ObjectIds.DataChangeNotification_Encoding_DefaultBinary))
_NO_DIAGNOSTICS = bytes(4)


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


class Subscription(InternalSubscription):
    """One subscription: it sends the bytes that its items hold, as many notifications in a message as its client wants."""

    def __init__(
        self,
        *args: Any,
        most: int,
        feeds: Feeds,
        types: EventTypes,
        may_watch_events: Callable[[ua.NodeId], bool],
        forget: Callable[[ua.NodeId], None],
        **kwargs: Any,
    ) -> None:
        """Take the most notifications of one message (0: any), what its items need, who makes a session forget messages
        when it keeps too much (:data:`MAX_KEPT`), and what the library wants.
        """
        super().__init__(*args, **kwargs)
        self._forget = forget
        self._most = most or sys.maxsize
        self.ready: dict[int, Item] = cast(dict[int, Item], self._triggered_datachanges)
        """Items by id that have something to publish, in this order; the library asks whether there are any."""
        self.ready_events: dict[int, EventItem] = cast(dict[int, EventItem], self._triggered_events)
        """The same of those that monitor events."""
        self.monitored_item_srv = Items(self, self.monitored_item_srv.aspace, feeds, types, may_watch_events)
        # Its logger is named by its number, and logging forgets no name.
        logging.Logger.manager.loggerDict.pop(f"{_LOGGER.name}.{self.data.SubscriptionId}", None)

    async def publish_results(self, requestdata: Any = None) -> bool:
        """Publish what there is; in more than one message when its client wants no more than so much in one."""
        done: bool = await super().publish_results(requestdata)
        while done and (self.ready or self.ready_events) and self._publishing_enabled:
            if not await super().publish_results():
                break
            await asyncio.sleep(0)
        return done

    def _pop_publish_result(self) -> ua.PublishResult:
        result = super()._pop_publish_result()
        result.MoreNotifications = bool(self.ready or self.ready_events) and self._publishing_enabled
        if result.NotificationMessage.NotificationData:
            self._forget(self.session_id)
            result.AvailableSequenceNumbers = list(self._not_acknowledged_results)
        return result

    @property
    def kept(self) -> int:
        """Return the bytes of what was not acknowledged."""
        messages = (result.NotificationMessage for result in self._not_acknowledged_results.values())
        return sum(len(getattr(data, "Body", None) or b"") for message in messages for data in message.NotificationData)

    def forget_oldest(self) -> None:
        """Keep the oldest message no longer; there must be one."""
        del self._not_acknowledged_results[next(iter(self._not_acknowledged_results))]

    def _pop_triggered_datachanges(self, result: ua.PublishResult) -> None:
        most = left = self._most - self._pop_events(result)
        parts: list[bytes] = []
        room = budget.MAX_ANSWER - sum(len(data.Body) for data in result.NotificationMessage.NotificationData)
        for item in list(self.ready.values()):
            if not left:
                break
            first = not parts and not result.NotificationMessage.NotificationData
            taken, size = item.pop(parts, left, room, first=first)
            left, room = left - taken, room - size
            if len(item):
                break
            del self.ready[item.monitored_item_id]
        if parts:
            count = (most - left).to_bytes(4, "little")
            body = b"".join((count, *parts, _NO_DIAGNOSTICS))
            result.NotificationMessage.NotificationData.append(
                ua.ExtensionObject(TypeId=_DATA_CHANGE, Body=ua.ByteString(body))
            )

    def _pop_triggered_events(self, result: ua.PublishResult) -> None:
        """Do nothing: they went with the values, before them."""

    def _pop_events(self, result: ua.PublishResult) -> int:
        """Move events that wait into the message and return how many; values that change all the time must not hold them up."""
        told, count = event_items.pop_events(self.ready_events, self._most)
        if told is not None:
            result.NotificationMessage.NotificationData.append(told)
        return count

    def acknowledge(self, number: int) -> ua.StatusCode:
        """Forget a message that has arrived."""
        known = self._not_acknowledged_results.pop(number, None) is not None
        return ua.StatusCode(ua.UInt32(StatusCodes.Good if known else StatusCodes.BadSequenceNumberUnknown))

    def republish(self, nb: int) -> ua.NotificationMessage:
        """Return a message again, until it is acknowledged. Raises ServiceError when it is not kept any more."""
        if nb not in self._not_acknowledged_results:
            raise ServiceError(StatusCodes.BadMessageNotAvailable)
        message: ua.NotificationMessage = self._not_acknowledged_results[nb].NotificationMessage
        return message


class Subscriptions(SubscriptionService):
    """All subscriptions of the server."""

    def __init__(self, aspace: AddressSpace, iserver: InternalServer) -> None:
        """Take the address space, and the server whose limits count."""
        super().__init__(aspace, iserver)
        self._limits = iserver
        self._feeds = Feeds(aspace)
        self.event_types = EventTypes(aspace)

    def _may_watch_events(self, session_id: ua.NodeId) -> bool:
        own = sum(len(s.monitored_item_srv.events) for s in self.of(session_id).values())
        # The first is for everybody, whatever the others have taken.
        shared = not own or sum(1 for _ in self.event_items()) < event_items.MAX_SHARED
        return shared and own < event_items.MAX_EVENT_ITEMS

    def _forget(self, session_id: ua.NodeId) -> None:
        """Forget the oldest messages of the subscription that keeps most, until its session keeps no more than it may."""
        owned = list(self.of(session_id).values())
        while sum(kept := [subscription.kept for subscription in owned]) > MAX_KEPT:
            owned[kept.index(max(kept))].forget_oldest()

    def event_items(self) -> Iterator[EventItem]:
        """Yield every item that monitors events, of all clients."""
        for subscription in self.subscriptions.values():
            yield from cast(Items, subscription.monitored_item_srv).events.values()

    async def create_subscription(
        self, params: ua.CreateSubscriptionParameters, callback: Any, session_id: ua.NodeId, request_callback: Any = None
    ) -> ua.CreateSubscriptionResult:
        """Make a subscription; at 10 µs a single one would stall the loop."""
        limits = self._limits
        if len(self.of(session_id)) >= MAX_SUBSCRIPTIONS_PER_SESSION or len(self.subscriptions) >= limits.max_subscriptions:
            raise ServiceError(StatusCodes.BadTooManySubscriptions)
        asked = params.RequestedPublishingInterval
        bounded = min(max(asked, MIN_PUBLISHING_MS), MAX_PUBLISHING_MS) if math.isfinite(asked) else MIN_PUBLISHING_MS
        self._sub_id_counter += 1
        result = ua.CreateSubscriptionResult(
            SubscriptionId=ua.UInt32(self._sub_id_counter),
            RevisedPublishingInterval=ua.Double(bounded),
            RevisedLifetimeCount=ua.UInt32(self._clamp_lifetime_count(params.RequestedLifetimeCount)),
            RevisedMaxKeepAliveCount=ua.UInt32(self._clamp_keep_alive_count(params.RequestedMaxKeepAliveCount)),
        )
        subscription = Subscription(
            result,
            self.aspace,
            callback,
            session_id,
            request_callback=request_callback,
            delete_callback=partial(self.subscriptions.pop, result.SubscriptionId, None),
            no_acks_limit=limits.max_unacked_messages_per_subscription,
            max_queue_size=limits.max_monitored_item_queue_size,
            publishing_enabled=params.PublishingEnabled,
            most=params.MaxNotificationsPerPublish,
            feeds=self._feeds,
            types=self.event_types,
            may_watch_events=self._may_watch_events,
            forget=self._forget,
        )
        await subscription.start()
        self.subscriptions[result.SubscriptionId] = subscription
        return result

    def of(self, session_id: ua.NodeId) -> dict[int, Any]:
        """Return a session's subscriptions by id."""
        return {i: s for i, s in self.subscriptions.items() if s.session_id == session_id}

    def items_of(self, session_id: ua.NodeId) -> int:
        """Return how many monitored items a session has."""
        return sum(len(s.monitored_item_srv._monitored_items) for s in self.of(session_id).values())  # noqa: SLF001
