"""Subscriptions within bounds: how often, how many, how deep, and what counts as a change.

The library takes any publishing interval and queue, copies each value for each item, and measures a deadband from the last
sample, so that a slow ramp never shows; and each subscription leaves a logger behind for ever. It must not know sessions'
rights or tags.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaprotocol_auto import DataChangeFilter

MIN_PUBLISHING_MS = 100.0
MAX_PUBLISHING_MS = 60_000.0
MAX_SUBSCRIPTIONS_PER_SESSION = 20
MAX_ITEMS_PER_SESSION = 2000

_LOGGER = logging.getLogger(MonitoredItemService.__module__)
"""Made before its children: logging would keep those without a parent in the place held free for it."""

_NUMBERS = frozenset(range(ObjectIds.SByte, ObjectIds.Double + 1))


class Items(MonitoredItemService):
    """The monitored items of one subscription."""

    async def _create_data_change_monitored_item(self, params: ua.MonitoredItemCreateRequest) -> ua.MonitoredItemCreateResult:
        asked = params.RequestedParameters
        asked.Filter = _none(asked.Filter)
        if code := self._refusal(params.ItemToMonitor, asked.Filter):
            return ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(ua.UInt32(code)))
        return await super()._create_data_change_monitored_item(params)

    def _modify_monitored_item(self, params: ua.MonitoredItemModifyRequest) -> ua.MonitoredItemModifyResult:
        result = ua.MonitoredItemModifyResult()
        item, asked = self._monitored_items.get(params.MonitoredItemId), params.RequestedParameters
        asked.Filter = _none(asked.Filter)
        if item is None or item.read_value_id is None:
            result.StatusCode = ua.StatusCode(ua.UInt32(StatusCodes.BadMonitoredItemIdInvalid))
            return result
        if code := self._refusal(item.read_value_id, asked.Filter):
            result.StatusCode = ua.StatusCode(ua.UInt32(code))
            return result
        item.filter, item.client_handle = asked.Filter, asked.ClientHandle
        item.queue_size = self._revise_queue_size(asked.QueueSize)
        result.RevisedSamplingInterval = self.isub.data.RevisedPublishingInterval
        result.RevisedQueueSize = ua.UInt32(item.queue_size)
        return result

    async def datachange_callback(self, handle: int, value: ua.DataValue, error: ua.StatusCode | None = None) -> None:
        """Queue ``value`` when it differs from the last one queued, as the item's filter asks."""
        if error is not None:
            await self.trigger_statuschange(error)
            return
        mid = self._monitored_datachange[handle]
        item = self._monitored_items[mid]
        if item.mode == ua.MonitoringMode.Disabled or not changed(item.mvalue.current_dvalue, value, item.filter):
            return
        # No copy: whoever writes a value writes a new one.
        item.mvalue.current_dvalue = value
        notification = ua.MonitoredItemNotification(ClientHandle=item.client_handle, Value=value)
        await self.isub.enqueue_datachange_event(mid, notification, item.queue_size)

    def _refusal(self, what: ua.ReadValueId, asked: Any) -> int:
        """Return the status code that says why this cannot be monitored, 0 when it can."""
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


def changed(last: ua.DataValue | None, now: ua.DataValue, asked: DataChangeFilter | None) -> bool:
    """Return whether ``now`` is to be reported when ``last`` was the last one reported (None: nothing was yet)."""
    if last is None or last.StatusCode != now.StatusCode:
        return True
    trigger = ua.DataChangeTrigger.StatusValue if asked is None else asked.Trigger
    if trigger == ua.DataChangeTrigger.Status:
        return False
    before, after = last.Value, now.Value
    if asked is not None and asked.DeadbandType == ua.DeadbandType.Absolute and before is not None and after is not None:
        a, b = before.Value, after.Value
        if isinstance(a, (int, float)) and isinstance(b, (int, float)):
            return not abs(b - a) <= asked.DeadbandValue  # also when one of them is no number
    if before != after:
        return True
    return trigger == ua.DataChangeTrigger.StatusValueTimestamp and last.SourceTimestamp != now.SourceTimestamp


class Subscriptions(SubscriptionService):
    """All subscriptions of the server."""

    async def create_subscription(
        self, params: ua.CreateSubscriptionParameters, callback: Any, session_id: ua.NodeId, request_callback: Any = None
    ) -> ua.CreateSubscriptionResult:
        """Make a subscription; at 10 µs a single one would stall the loop."""
        if len(self.of(session_id)) >= MAX_SUBSCRIPTIONS_PER_SESSION:
            raise ServiceError(StatusCodes.BadTooManySubscriptions)
        asked = params.RequestedPublishingInterval
        bounded = min(max(asked, MIN_PUBLISHING_MS), MAX_PUBLISHING_MS) if math.isfinite(asked) else MIN_PUBLISHING_MS
        params.RequestedPublishingInterval = bounded
        result = await super().create_subscription(params, callback, session_id, request_callback)
        subscription = self.subscriptions[result.SubscriptionId]
        subscription.monitored_item_srv = Items(subscription, self.aspace)
        # Its logger is named by its number, and logging forgets no name.
        logging.Logger.manager.loggerDict.pop(f"{_LOGGER.name}.{result.SubscriptionId}", None)
        return result

    def of(self, session_id: ua.NodeId) -> dict[int, Any]:
        """Return a session's subscriptions by id."""
        return {i: s for i, s in self.subscriptions.items() if s.session_id == session_id}

    def items_of(self, session_id: ua.NodeId) -> int:
        """Return how many monitored items a session has."""
        return sum(len(s.monitored_item_srv._monitored_items) for s in self.of(session_id).values())  # noqa: SLF001
