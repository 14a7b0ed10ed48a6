"""ConditionRefresh and ConditionRefresh2: a client that comes late is told again what somebody must still look at.

The retained conditions go to the items of one subscription of the caller's own, between a start and an end event. It must not
know how a condition changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Sequence
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.event_data import EventData
from gateway.opcua.event_items import EventItem, server_event
from gateway.opcua.event_types import EventTypes, standard
from gateway.opcua.filters import CONDITION
from gateway.opcua.items import Items
from gateway.opcua.methods import Caller, Method, Methods, argument
from gateway.opcua.subscriptions import Subscriptions

SEVERITY = 100


class Refresh:
    """The two methods; both may be called on ConditionType, its subtypes and each condition."""

    def __init__(
        self, subscriptions: Subscriptions, retained: Callable[[], list[EventData]], conditions: Container[ua.NodeId]
    ) -> None:
        """Take what to refresh, what is retained, and which objects are conditions."""
        self._subscriptions = subscriptions
        self._types: EventTypes = subscriptions.event_types
        self._retained = retained
        self._conditions = conditions

    def add_to(self, methods: Methods) -> None:
        """Register both."""
        subscription = argument("SubscriptionId", ObjectIds.UInt32)
        item = argument("MonitoredItemId", ObjectIds.UInt32)
        one, two = ObjectIds.ConditionType_ConditionRefresh, ObjectIds.ConditionType_ConditionRefresh2
        methods.add(Method(inputs=(subscription,), handler=self._refresh), ids=[standard(one)])
        methods.add(Method(inputs=(subscription, item), handler=self._refresh), ids=[standard(two)])

    async def _refresh(self, caller: Caller, object_id: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        if not self._types.is_a(object_id, CONDITION) and object_id not in self._conditions:
            raise ServiceError(StatusCodes.BadMethodInvalid)
        for item in self._asked(caller, args):
            # What is retained now: something may have happened meanwhile, and must not be followed by what was before it.
            item.refresh(*self._events())
            await asyncio.sleep(0)
        return []

    def _asked(self, caller: Caller, args: list[Any]) -> list[EventItem]:
        """Return the items to refresh; a subscription of another session is as unknown as one that is not there."""
        subscription = self._subscriptions.of(caller.session_id).get(args[0])
        if subscription is None:
            raise ServiceError(StatusCodes.BadSubscriptionIdInvalid)
        items: Items = subscription.monitored_item_srv
        asked = list(items.events.values())
        if len(args) > 1:
            asked = [item for item in asked if item.monitored_item_id == args[1]]
            if not asked:
                raise ServiceError(StatusCodes.BadMonitoredItemIdInvalid)
        # Whoever does not fetch one refresh would fill the queues with the next.
        if any(item.refreshing for item in asked):
            raise ServiceError(StatusCodes.BadRefreshInProgress)
        return asked

    def _events(self) -> tuple[EventData, list[EventData], EventData]:
        start = server_event(ObjectIds.RefreshStartEventType, "Refresh started.", severity=SEVERITY)
        end = server_event(ObjectIds.RefreshEndEventType, "Refresh ended.", severity=SEVERITY)
        return start, self._retained(), end
