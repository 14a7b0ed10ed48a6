"""What is sent of what was written: as the library sends it where it is right, and as the standard says where it is not."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer, ServiceError
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.opcua import budget, fanout, subscriptions
from gateway.opcua.fanout import OVERFLOW, encode
from gateway.opcua.subscriptions import Subscription, Subscriptions

T0 = ua.DateTime(2026, 5, 4, tzinfo=UTC)
SESSION = ua.NodeId(1)
NODES = [ua.NodeId(f"N{i}", 2) for i in range(3)]
HELD = ua.StatusCode(ua.UInt32(StatusCodes.UncertainLastUsableValue))
BAD = ua.StatusCode(ua.UInt32(StatusCodes.BadNoCommunication))
Mode, Stamps = ua.MonitoringMode, ua.TimestampsToReturn


def value(v: Any, n: int = 0, status: ua.StatusCode | None = None) -> ua.DataValue:
    """Return a value of the ``n``-th second."""
    bad = status is BAD
    variant = ua.Variant(None, ua.VariantType.Null) if bad else ua.Variant(v, ua.VariantType.Float)
    t, later = T0 + timedelta(seconds=n), T0 + timedelta(seconds=n + 1)
    return ua.DataValue(variant, StatusCode=status or ua.StatusCode(), SourceTimestamp=t, ServerTimestamp=later)


class Bench:
    """An address space with three values, and one subscription of ours and one of the library's that watch it."""

    def __init__(self) -> None:
        self.space = AddressSpace()
        for node in NODES:
            data = NodeData(node)
            data.attributes[AttributeIds.Value] = AttributeValue(value(0.0))
            kind = ua.DataValue(ua.Variant(ua.NodeId(ua.ObjectIds.Float)))
            data.attributes[AttributeIds.DataType] = AttributeValue(kind)
            self.space[node] = data
        limits = dict(max_lifetime_count=1000, max_keep_alive_count=3, max_unacked_messages_per_subscription=4)
        server = SimpleNamespace(max_subscriptions=9, max_monitored_item_queue_size=100, **limits)
        self.service = Subscriptions(self.space, cast(Any, server))
        self.sent: dict[int, list[ua.PublishResult]] = {}
        self.requests = True
        self.n = 0

    async def ours(self, most: int = 0) -> Subscription:
        """Make a subscription of ours that publishes only when it is told to."""
        params = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=1000,
            RequestedLifetimeCount=1000,
            RequestedMaxKeepAliveCount=3,
            MaxNotificationsPerPublish=most,
            PublishingEnabled=True,
        )
        result = await self.service.create_subscription(params, None, SESSION, self.request)
        made = cast(Subscription, self.service.subscriptions[result.SubscriptionId])
        await made.stop()
        return self._collect(made)

    def theirs(self) -> InternalSubscription:
        """Make one of the library's."""
        data = ua.CreateSubscriptionResult(1, 1000.0, 1000, 3)
        made = InternalSubscription(data, self.space, None, SESSION, self.request, no_acks_limit=4, max_queue_size=100)  # type: ignore[arg-type]
        return self._collect(made)

    def _collect(self, subscription: Any) -> Any:
        sent = self.sent[id(subscription)] = []

        async def take(result: ua.PublishResult, request: Any) -> None:
            sent.append(result)

        subscription.pub_result_callback = take
        return subscription

    def request(self, id: int) -> Any:
        """Return a publish request of the client, if one is there."""
        return object() if self.requests else None

    async def write(self, node: int, v: Any, status: ua.StatusCode | None = None) -> None:
        """Write a value of a new second."""
        self.n += 1
        await self.space.write_attribute_value(NODES[node], AttributeIds.Value, value(v, self.n, status))

    def messages(self, subscription: Any) -> list[ua.PublishResult]:
        """Return what was sent since this was asked last."""
        sent = self.sent[id(subscription)]
        taken = sent[:]
        sent.clear()
        return taken

    async def publish(self, subscription: Any) -> list[ua.MonitoredItemNotification]:
        """Let a publishing interval pass and return what was sent."""
        await subscription.publish_results()
        return [n for m in self.messages(subscription) for n in notifications(m)]


async def monitor(subscription: Any, node: int, **how: Any) -> int:
    """Monitor a node's value and return the item's id."""
    mode, stamps = how.pop("mode", Mode.Reporting), how.pop("stamps", Stamps.Both)
    asked = ua.MonitoringParameters(**{"ClientHandle": node, "QueueSize": 10, "DiscardOldest": True} | how)
    item = ua.MonitoredItemCreateRequest(ua.ReadValueId(NODES[node], AttributeIds.Value), mode, asked)
    params = ua.CreateMonitoredItemsParameters(1, stamps, [item])
    (made,) = await subscription.monitored_item_srv.create_monitored_items(params)
    made.StatusCode.check()
    return int(made.MonitoredItemId)


async def set_mode(subscription: Any, mode: ua.MonitoringMode, item: int) -> None:
    (status,) = await subscription.monitored_item_srv.set_monitoring_mode(mode, [item])
    status.check()


def body_of(part: Any) -> bytes:
    return bytes(part.Body) if isinstance(part, ua.ExtensionObject) else struct_to_binary(part)


def notifications(message: ua.PublishResult) -> list[ua.MonitoredItemNotification]:
    parts = [body_of(p) for p in message.NotificationMessage.NotificationData]
    return [n for p in parts for n in struct_from_binary(ua.DataChangeNotification, Buffer(p)).MonitoredItems]


def values(sent: list[ua.MonitoredItemNotification]) -> list[Any]:
    return [n.Value.Value.Value for n in sent]


def lossy(sent: list[ua.MonitoredItemNotification]) -> list[bool]:
    return [n.Value.StatusCode.value & OVERFLOW == OVERFLOW for n in sent]


# --- as the library ---------------------------------------------------------------------------------------------------------

TRIGGERS = [None, *(ua.DataChangeFilter(Trigger=t) for t in list(ua.DataChangeTrigger))]
writes = st.tuples(st.just("write"), st.integers(0, 2), st.sampled_from([0.0, 1.0, 2.5]), st.sampled_from([None, HELD, BAD]))
steps = st.one_of(
    writes,
    writes,
    st.tuples(st.just("publish"), st.booleans()),
    st.tuples(st.just("monitor"), st.integers(0, 2), st.integers(0, 6), st.sampled_from(TRIGGERS)),
    st.tuples(st.just("forget"), st.integers(0, 9)),
    st.tuples(st.just("enable"), st.booleans()),
    st.tuples(st.just("acknowledge"), st.integers(1, 6)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=40))
def test_the_same_writes_send_the_same_as_the_library_does(sequence: list[tuple[Any, ...]]) -> None:
    asyncio.run(_same(sequence))


async def _same(sequence: list[tuple[Any, ...]]) -> None:
    bench = Bench()
    both: list[Any] = [await bench.ours(), bench.theirs()]
    items: list[list[int]] = []

    async def publish(requests: bool) -> None:
        bench.requests = requests
        answers = [await s.publish_results() for s in both]
        assert answers[0] == answers[1]
        ours, theirs = (bench.messages(s) for s in both)
        assert [told(m) for m in ours] == [told(m) for m in theirs]
        # Byte by byte, but for the bit that says that values were lost, which the library never sets.
        bodies = [[body_of(p) for p in m.NotificationMessage.NotificationData] for m in (*ours, *theirs)]
        if not any(lossy([n for m in ours for n in notifications(m)])):
            assert bodies[: len(ours)] == bodies[len(ours) :]

    for what, *how in sequence:
        match what:
            case "write":
                await bench.write(*how)
            case "monitor":
                node, size, filter = how
                items.append([await monitor(s, node, QueueSize=size, Filter=filter, ClientHandle=len(items)) for s in both])
            case "publish":
                await publish(*how)
            case "forget" if items:
                for s in both:
                    await s.set_publishing_mode(True)
                await publish(True)  # the library sends what a deleted item has left
                ids = items.pop(how[0] % len(items))
                for s, i in zip(both, ids, strict=True):
                    s.monitored_item_srv.delete_monitored_items([i])
            case "enable":
                for s in both:
                    await s.set_publishing_mode(*how)
            case "acknowledge":
                both[0].acknowledge(*how)
                both[1].publish(how)
    for s in both:
        await s.set_publishing_mode(True)
    await publish(True)


def told(message: ua.PublishResult) -> tuple[Any, ...]:
    """Return everything that a message says; the library never tells that values were lost."""
    sent = [(n.ClientHandle, n.Value) for n in notifications(message)]
    for _, v in sent:
        v.StatusCode = ua.StatusCode(ua.UInt32(v.StatusCode.value & ~OVERFLOW))
    number, available = message.NotificationMessage.SequenceNumber, list(message.AvailableSequenceNumbers)
    return sent, number, available, message.MoreNotifications


# --- where the library is wrong -----------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.integers(1, 5), st.just(0)), max_size=30), st.integers(1, 4), st.booleans())
def test_a_full_queue_loses_what_its_client_chose_and_says_so(sequence: list[int], size: int, oldest: bool) -> None:
    asyncio.run(_full(sequence, size, oldest))


async def _full(sequence: list[int], size: int, oldest: bool) -> None:
    """Write so many changes each; 0 publishes."""
    bench = Bench()
    ours = await bench.ours()
    await monitor(ours, 0, QueueSize=size, DiscardOldest=oldest)
    expected, lost, v = [0.0], False, 0.0
    for changes in (*sequence, 0):
        for _ in range(changes):
            v += 1
            await bench.write(0, v)
            if len(expected) == size:
                lost = True
                del expected[0 if oldest or size == 1 else -1]
            expected.append(v)
        if not changes:
            sent = await bench.publish(ours)
            flagged = (0 if oldest else len(expected) - 1) if lost and size > 1 else -1
            assert values(sent) == expected
            assert lossy(sent) == [n == flagged for n in range(len(expected))]
            expected, lost = [], False


async def test_a_queue_that_is_made_shorter_loses_what_is_too_much() -> None:
    bench = Bench()
    ours = await bench.ours()
    item = await monitor(ours, 0)
    for v in (1.0, 2.0, 3.0):
        await bench.write(0, v)
    asked = ua.MonitoredItemModifyRequest(item, ua.MonitoringParameters(ClientHandle=7, QueueSize=2, DiscardOldest=True))
    (result,) = ours.monitored_item_srv.modify_monitored_items(ua.ModifyMonitoredItemsParameters(1, Stamps.Both, [asked]))
    assert (result.StatusCode.value, result.RevisedQueueSize) == (StatusCodes.Good, 2)
    sent = await bench.publish(ours)
    assert (values(sent), lossy(sent), {n.ClientHandle for n in sent}) == ([2.0, 3.0], [True, False], {7})


@pytest.mark.parametrize(
    ("stamps", "source", "server"),
    [(Stamps.Source, True, False), (Stamps.Server, False, True), (Stamps.Both, True, True), (Stamps.Neither, False, False)],
)
async def test_timestamps_are_those_that_were_asked_for(stamps: ua.TimestampsToReturn, source: bool, server: bool) -> None:
    bench = Bench()
    ours = await bench.ours()
    await monitor(ours, 0, stamps=stamps)
    await monitor(ours, 0, stamps=Stamps.Both)  # the other item has its own
    first, second = (n.Value for n in await bench.publish(ours))
    assert (first.SourceTimestamp is not None, first.ServerTimestamp is not None) == (source, server)
    assert second.SourceTimestamp == T0 and second.ServerTimestamp == T0 + timedelta(seconds=1)


async def test_timestamps_that_there_are_none_of_are_refused() -> None:
    ours = await Bench().ours()
    with pytest.raises(ServiceError) as refused:
        await monitor(ours, 0, stamps=Stamps.Invalid)
    assert refused.value.code == StatusCodes.BadTimestampsToReturnInvalid


async def test_what_is_only_sampled_is_sent_when_it_is_to_be_reported() -> None:
    bench = Bench()
    ours = await bench.ours()
    item = await monitor(ours, 0, mode=Mode.Sampling)
    await bench.write(0, 1.0)
    assert await bench.publish(ours) == []
    await set_mode(ours, Mode.Reporting, item)
    assert values(await bench.publish(ours)) == [0.0, 1.0]
    await bench.write(0, 2.0)
    await set_mode(ours, Mode.Sampling, item)
    assert await bench.publish(ours) == []


async def test_what_was_disabled_forgets_what_waited_and_reports_anew() -> None:
    bench = Bench()
    ours = await bench.ours()
    item = await monitor(ours, 0, mode=Mode.Disabled)
    await bench.write(0, 1.0)
    assert await bench.publish(ours) == []
    await set_mode(ours, Mode.Reporting, item)
    await bench.write(0, 2.0)
    await set_mode(ours, Mode.Disabled, item)
    await bench.write(0, 3.0)
    assert await bench.publish(ours) == []
    await set_mode(ours, Mode.Reporting, item)
    assert values(await bench.publish(ours)) == [3.0]
    await set_mode(ours, Mode.Disabled, item)
    await set_mode(ours, Mode.Reporting, item)
    assert values(await bench.publish(ours)) == [3.0], "also when nothing has changed"


async def test_a_deleted_item_sends_nothing_more_and_nobody_feeds_it() -> None:
    bench = Bench()
    ours = await bench.ours()
    item, other = await monitor(ours, 0), await monitor(ours, 0)
    await bench.write(0, 1.0)
    assert [s.value for s in ours.monitored_item_srv.delete_monitored_items([item, item])] == [
        StatusCodes.Good,
        StatusCodes.BadMonitoredItemIdInvalid,
    ]
    assert values(await bench.publish(ours)) == [0.0, 1.0]
    ours.monitored_item_srv.delete_monitored_items([other])
    assert len(bench.service._feeds) == 0
    assert not bench.space[NODES[0]].attributes[AttributeIds.Value].datachange_callbacks


async def test_nodes_that_there_are_none_of_cannot_be_monitored() -> None:
    bench = Bench()
    ours = await bench.ours()
    for mode in (Mode.Reporting, Mode.Disabled):
        asked = ua.MonitoringParameters(ClientHandle=1, QueueSize=1)
        what = ua.ReadValueId(ua.NodeId("gone", 2), AttributeIds.Value)
        params = ua.CreateMonitoredItemsParameters(1, Stamps.Both, [ua.MonitoredItemCreateRequest(what, mode, asked)])
        (made,) = await ours.monitored_item_srv.create_monitored_items(params)
        assert made.StatusCode.value == StatusCodes.BadNodeIdUnknown
    assert not ours.monitored_item_srv._monitored_items


async def test_a_node_that_is_deleted_says_so_and_lives_anew_when_it_is_made_anew() -> None:
    bench = Bench()
    ours = await bench.ours()
    await monitor(ours, 0)
    await bench.publish(ours)
    attribute = bench.space[NODES[0]].attributes[AttributeIds.Value]
    ((handle, tell),) = attribute.datachange_callbacks.items()
    tell(handle, None, ua.StatusCode(ua.UInt32(StatusCodes.BadNodeIdUnknown)))
    bench.space.delete_datachange_callback(handle)  # as the library does with a node that it deletes
    (last,) = await bench.publish(ours)
    assert last.Value.StatusCode.value == StatusCodes.BadNodeIdUnknown
    await monitor(ours, 0)
    await bench.publish(ours)
    await bench.write(0, 4.0)
    assert values(await bench.publish(ours)) == [4.0]


async def test_no_message_has_more_notifications_than_its_client_wants() -> None:
    bench = Bench()
    ours = await bench.ours(most=3)
    for node in (0, 1, 2):
        await monitor(ours, node)
        await bench.write(node, 1.0)
    await bench.write(1, 2.0)
    bench.requests = False
    assert await bench.publish(ours) == []
    bench.requests = True
    await ours.publish_results()
    first, second, third = bench.messages(ours)
    sizes = [len(notifications(m)) for m in (first, second, third)]
    assert (sizes, [m.MoreNotifications for m in (first, second, third)]) == ([3, 3, 1], [True, True, False])
    sent = [(n.ClientHandle, n.Value.Value.Value) for m in (first, second, third) for n in notifications(m)]
    assert sent == [(0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0), (1, 2.0), (2, 0.0), (2, 1.0)]
    assert [m.NotificationMessage.SequenceNumber for m in (first, second, third)] == [1, 2, 3]


async def test_a_message_can_be_had_again_until_it_is_acknowledged() -> None:
    bench = Bench()
    ours = await bench.ours()
    await monitor(ours, 0)
    await ours.publish_results()
    (message,) = bench.messages(ours)
    for _ in range(2):
        assert ours.republish(1) is message.NotificationMessage
    assert ours.acknowledge(1).value == StatusCodes.Good
    assert ours.acknowledge(1).value == StatusCodes.BadSequenceNumberUnknown
    with pytest.raises(ServiceError) as gone:
        ours.republish(1)
    assert gone.value.code == StatusCodes.BadMessageNotAvailable


async def test_a_value_that_does_not_fit_its_type_spoils_no_subscription() -> None:
    bench = Bench()
    ours = await bench.ours()
    await monitor(ours, 0)
    await monitor(ours, 1)
    await bench.publish(ours)
    await bench.write(0, "no number")
    await bench.write(1, 5.0)
    unfit, fine = await bench.publish(ours)
    assert unfit.Value.StatusCode.value == StatusCodes.BadEncodingError
    assert fine.Value.Value.Value == 5.0


@pytest.mark.parametrize("status", [None, HELD, BAD])
@pytest.mark.parametrize("v", [1.5, [1.0, 2.0]])
def test_a_value_is_encoded_as_the_library_does(v: Any, status: ua.StatusCode | None) -> None:
    assert encode(value(v, 3, status), Stamps.Both) == struct_to_binary(value(v, 3, status))


# --- within bounds ----------------------------------------------------------------------------------------------------------


def size(message: ua.PublishResult) -> int:
    return sum(len(body_of(p)) for p in message.NotificationMessage.NotificationData)


async def test_what_is_too_much_for_one_message_goes_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_ANSWER", 300)
    bench = Bench()
    ours = await bench.ours()
    for n in range(20):
        await monitor(ours, n % 3, ClientHandle=n)
    for v in (1.0, 2.0, 3.0):
        await bench.write(0, v)  # items whose queues are sent in part, too
    await ours.publish_results()
    sent = bench.messages(ours)
    assert [m.MoreNotifications for m in sent] == [True] * (len(sent) - 1) + [False]
    assert max(map(size, sent)) <= 300 + 8 and len(sent) > 3, "with two counts"
    seen = [n for m in sent for n in notifications(m)]
    assert [n.ClientHandle for n in seen if n.Value.Value.Value == 0.0] == list(range(20)), "all of them, none twice"
    assert values([n for n in seen if n.ClientHandle == 0]) == [0.0, 1.0, 2.0, 3.0]


async def test_a_value_that_is_larger_than_a_message_is_sent_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_ANSWER", 1)
    bench = Bench()
    ours = await bench.ours()
    for n in range(3):
        await monitor(ours, n)
    await ours.publish_results()
    assert [len(notifications(m)) for m in bench.messages(ours)] == [1, 1, 1]


async def test_between_messages_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_ANSWER", 1)
    bench = Bench()
    ours = await bench.ours()
    for n in range(3):
        await monitor(ours, n)
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: turns.append(len(bench.sent[id(ours)])))
    await ours.publish_results()
    assert turns[0] < 3, "not only when all is sent"


async def test_items_that_begin_with_one_value_share_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[ua.DataValue] = []

    def counting(value: ua.DataValue, stamps: int, *, overflow: int = 0) -> bytes:
        encoded.append(value)
        return encode(value, stamps, overflow=overflow)

    monkeypatch.setattr(fanout, "encode", counting)
    bench = Bench()
    ours = await bench.ours()
    for n in range(50):
        await monitor(ours, 0, ClientHandle=n)
    assert len(await bench.publish(ours)) == 50
    assert len(encoded) == 1
    await bench.write(0, 7.0)
    await monitor(ours, 0, ClientHandle=50)
    assert values(await bench.publish(ours)) == [7.0] * 51
    assert len(encoded) == 2


async def test_a_session_keeps_so_many_bytes_that_were_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    first, second = await bench.ours(), await bench.ours()
    for one in (first, second):
        await monitor(one, 0)
    await bench.publish(second)
    await first.publish_results()
    (message,) = bench.messages(first)
    monkeypatch.setattr(subscriptions, "MAX_KEPT", 3 * size(message))
    for v in (1.0, 2.0, 3.0):
        await bench.write(0, v)
        await first.publish_results()
    *_, last = bench.messages(first)
    assert list(last.AvailableSequenceNumbers) == [3, 4], "the other subscription's message counts, and stays"
    assert first.kept + second.kept <= 3 * size(message)
    assert first.republish(4).NotificationData
    assert second.republish(1).NotificationData
    with pytest.raises(ServiceError):
        first.republish(2)
