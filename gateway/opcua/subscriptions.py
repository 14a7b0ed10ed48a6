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
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua import budget, event_items
from gateway.opcua.event_items import EventItem
from gateway.opcua.event_types import EventTypes
from gateway.opcua.fanout import Feeds, Item
from gateway.opcua.fanout import changed as changed
from gateway.opcua.items import Items

MIN_PUBLISHING_MS = 100.0
MAX_PUBLISHING_MS = 60_000.0
MAX_SUBSCRIPTIONS_PER_SESSION = 20
MAX_ITEMS_PER_SESSION = 2000
MAX_KEPT = 4_000_000
"""Bytes of messages that a session has not acknowledged: of more, the oldest cannot be sent again."""

_LOGGER = logging.getLogger(MonitoredItemService.__module__)
"""Made before its children: logging would keep those without a parent in the place held free for it."""

_DATA_CHANGE = ua.NodeId(ua.Int32(ObjectIds.DataChangeNotification_Encoding_DefaultBinary))
_NO_DIAGNOSTICS = bytes(4)


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
