"""From one written value to everybody who watches it: each value is compared and encoded once, however many items report it.

The library compares, copies and encodes a value again for every monitored item, which is nearly all that a notification costs.
Here the items of one attribute hang on one feed, and what waits to be sent is the bytes themselves, shared. It must not know
sessions, publishing or tags.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC
from functools import partial
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AddressSpace
from asyncua.server.monitored_item_service import MonitoredItemData
from asyncua.ua import ua_binary
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError

OVERFLOW = 0x480
"""Bits of a status code: it is a data value's, and values were lost beside it."""

_UINT32 = struct.Struct("<I")
_UNFIT = ua.StatusCode(ua.UInt32(StatusCodes.BadEncodingError))
_log = logging.getLogger("asyncua.fanout")
_SOURCE = frozenset({ua.TimestampsToReturn.Source.value, ua.TimestampsToReturn.Both.value})
_SERVER = frozenset({ua.TimestampsToReturn.Server.value, ua.TimestampsToReturn.Both.value})


def changed(last: ua.DataValue | None, now: ua.DataValue, asked: ua.DataChangeFilter | None) -> bool:
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


def encode(value: ua.DataValue, stamps: int, *, overflow: int = 0) -> bytes:
    """Return a data value as it travels, with the timestamps asked for (OPC 10000-6, 5.2.2.17); picoseconds are not sent."""
    mask, parts = 0, []
    if value.Value is not None:
        mask, parts = 1, [ua_binary.variant_to_binary(value.Value)]
    if value.StatusCode is not None or overflow:
        code = int(value.StatusCode.value) if value.StatusCode is not None else 0
        mask |= 2
        parts.append(_UINT32.pack(code | OVERFLOW if overflow else code))
    if value.SourceTimestamp is not None and stamps in _SOURCE:
        mask |= 4
        parts.append(ua_binary.Primitives.DateTime.pack(value.SourceTimestamp))
    if value.ServerTimestamp is not None and stamps in _SERVER:
        mask |= 8
        parts.append(ua_binary.Primitives.DateTime.pack(value.ServerTimestamp))
    return bytes((mask,)) + b"".join(parts)


class Sample:
    """One value of one attribute, shared by all that report it. Whoever writes a value writes a new one: it is not copied."""

    __slots__ = ("_wires", "value")

    def __init__(self, value: ua.DataValue) -> None:
        """Take the value; it is encoded when somebody reports it."""
        self.value = value
        self._wires: dict[int, bytes] = {}

    def wire(self, stamps: int, overflow: int = 0) -> bytes:
        """Return its bytes with these timestamps (:class:`ua.TimestampsToReturn`), with the overflow bit or not (1, 0)."""
        wire = self._wires.get(2 * stamps + overflow)
        if wire is None:
            try:
                wire = encode(self.value, stamps, overflow=overflow)
            except UaError:
                # It would end the subscriptions of all who watch it.
                _log.exception("a value does not fit its type")
                wire = encode(ua.DataValue(StatusCode=_UNFIT), stamps, overflow=overflow)
            self._wires[2 * stamps + overflow] = wire
        return wire


class Item(MonitoredItemData):
    """One monitored value of one subscription, and what of it waits to be published."""

    mode: ua.MonitoringMode
    read_value_id: ua.ReadValueId
    monitored_item_id: int

    def __init__(self, id: int, what: ua.ReadValueId, mode: ua.MonitoringMode, ready: dict[int, Any]) -> None:
        """Take what to monitor; ``ready`` is where the item puts itself when something waits that may be published."""
        super().__init__()
        self.monitored_item_id, self.read_value_id, self.mode = id, what, mode
        self._reports = mode == ua.MonitoringMode.Reporting
        self.last: Sample | None = None
        """The last value that counted as a change."""
        self._ready = ready
        self._queue: list[Sample] = []
        self._overflow = False
        self._discard_oldest = True
        self._stamps = ua.TimestampsToReturn.Both.value  # as a number: an enumeration is slow to hash
        self._handle = b""

    def ask(self, asked: ua.MonitoringParameters, queue_size: int, stamps: ua.TimestampsToReturn) -> None:
        """Set what its client wants, now or anew; a queue that becomes too long loses values as a full one does."""
        self.filter = None if _is_default(asked.Filter) else asked.Filter
        self.client_handle, self.queue_size = asked.ClientHandle, queue_size
        self._discard_oldest, self._stamps = bool(asked.DiscardOldest), stamps.value
        self._handle = _UINT32.pack(asked.ClientHandle)
        while len(self._queue) > queue_size:
            self._lose()

    def take(self, sample: Sample) -> None:
        """Queue a value if it is a change as the filter asks."""
        if changed(self.last.value if self.last is not None else None, sample.value, self.filter):
            self.put(sample)

    def put(self, sample: Sample) -> None:
        """Queue a value that is a change."""
        self.last, queue = sample, self._queue
        if len(queue) >= self.queue_size:
            self._lose()
        queue.append(sample)
        if self._reports:
            self._ready[self.monitored_item_id] = self

    def _lose(self) -> None:
        del self._queue[0 if self._discard_oldest or self.queue_size == 1 else -1]
        # A queue of one is no queue but the newest value: nothing is missing there.
        self._overflow = self.queue_size > 1

    def set_mode(self, mode: ua.MonitoringMode) -> None:
        """Report, sample without reporting, or rest: one that rested reports anew, and forgets what waited."""
        self.mode, self._reports = mode, mode == ua.MonitoringMode.Reporting
        if mode == ua.MonitoringMode.Disabled:
            self.last, self._overflow = None, False
            self._queue.clear()
        if self._reports and self._queue:
            self._ready[self.monitored_item_id] = self
        else:
            self._ready.pop(self.monitored_item_id, None)

    def pop(self, parts: list[bytes], most: int, room: int, *, first: bool = False) -> tuple[int, int]:
        """Append at most ``most`` waiting notifications to ``parts``, two parts each, that take no more than ``room`` bytes.

        Returns how many, and how many bytes they take. The ``first`` of a message is taken whatever its size.
        """
        handle, stamps, queue = self._handle, self._stamps, self._queue
        if len(queue) == 1 and not self._overflow:  # nearly always
            wire = queue[0].wire(stamps)
            size = len(wire) + 4
            if size > room and not first:
                return 0, 0
            queue.clear()
            parts += (handle, wire)
            return 1, size
        lossy = (0 if self._discard_oldest else len(queue) - 1) if self._overflow else -1
        taken = size = 0
        while taken < min(most, len(queue)):
            wire = queue[taken].wire(stamps, int(taken == lossy))
            if size + len(wire) + 4 > room and not (first and not taken):
                break
            parts += (handle, wire)
            size += len(wire) + 4
            taken += 1
        del queue[:taken]
        self._overflow = lossy >= taken
        return taken, size

    def __len__(self) -> int:
        """Return how many notifications wait."""
        return len(self._queue)


def _is_default(asked: ua.DataChangeFilter | None) -> bool:
    """Return whether a filter asks for what is done without one."""
    return asked is None or (asked.Trigger == ua.DataChangeTrigger.StatusValue and asked.DeadbandType == ua.DeadbandType.None_)


class _Done:
    """What the library awaits of a listener: nothing that would take time."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


_DONE = _Done()


class Feed:
    """Hands every new value of one attribute to its items.

    It is no coroutine: the library does not await those when it tells of a deleted node.
    """

    def __init__(self, closed: Callable[[], object]) -> None:
        """Take what to call when the node is deleted."""
        self.items: dict[Item, None] = {}
        self._closed = closed
        self._newest: Sample | None = None
        """The last value that differed from the one before: most items have reported just this one."""
        self._written: Sample | None = None
        """The last value, whether it differed or not."""

    def begin(self, item: Item, value: ua.DataValue) -> None:
        """Feed an item from now on, beginning with the value of now: all that begin with the same one share its bytes."""
        self.items[item] = None
        if self._written is None or self._written.value is not value:
            self._written = Sample(value)
        item.take(self._written)

    def __call__(self, handle: int, value: ua.DataValue, error: ua.StatusCode | None = None) -> Awaitable[None]:
        """Take a value that was written; ``error`` instead says why there will be none any more."""
        if error is not None:
            now = ua.DateTime.now(UTC)
            value = ua.DataValue(StatusCode=error, SourceTimestamp=now, ServerTimestamp=now)
            self._closed()
        sample, newest = Sample(value), self._newest
        self._written = sample
        differs = newest is None or changed(newest.value, value, None)
        for item in self.items:
            if newest is not None and item.last is newest and item.filter is None:
                if differs:
                    item.put(sample)
            else:
                item.take(sample)
        if differs:
            self._newest = sample
        return _DONE


class Feeds:
    """The feeds of all attributes that somebody monitors."""

    def __init__(self, aspace: AddressSpace) -> None:
        """Take the address space."""
        self._aspace = aspace
        self._feeds: dict[tuple[ua.NodeId, AttributeIds], tuple[int, Feed]] = {}

    def add(self, item: Item) -> ua.StatusCode:
        """Feed an item from now on, beginning with the value of now; return why it cannot be monitored if so."""
        key = _key(item)
        if key not in self._feeds:
            feed = Feed(partial(self._feeds.pop, key, None))
            status, handle = self._aspace.add_datachange_callback(*key, feed)
            if not status.is_good():
                return status
            self._feeds[key] = (handle, feed)
        self._feeds[key][1].begin(item, self._aspace.read_attribute_value(*key))
        return ua.StatusCode()

    def remove(self, item: Item) -> None:
        """Feed an item no more."""
        handle, feed = self._feeds.get(key := _key(item), (0, None))
        if feed is not None and feed.items.pop(item, item) is None and not feed.items:
            self._aspace.delete_datachange_callback(handle)
            del self._feeds[key]

    def __len__(self) -> int:
        """Return how many attributes are monitored."""
        return len(self._feeds)


def _key(item: Item) -> tuple[ua.NodeId, AttributeIds]:
    return item.read_value_id.NodeId, item.read_value_id.AttributeId
