"""What asyncua, as installed, does of itself: each fact that gateway/opcua defends against or works around.

A test that fails here after an upgrade is no bug of ours: the library has changed, and the defence named in
docs/library-facts.md may be looked at again. The defences themselves are tested in tests/unit/opcua and tests/integration.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
from asyncua import Node, Server, ua
from asyncua.common.callback import CallbackService
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer
from asyncua.server.monitored_item_service import MonitoredItemService, MonitoredItemValues

from gateway.opcua.decode import Bounded
from gateway.opcua.event_types import EventTypes
from gateway.opcua.fanout import Item, Sample
from gateway.opcua.hardened import POLICIES
from gateway.opcua.server import WRITES_BEFORE_YIELD, OpcUaServer
from gateway.opcua.standard import repair
from gateway.opcua.station import Update
from gateway.opcua.subscriptions import MIN_PUBLISHING_MS
from gateway.opcua.wire import MAX_CHUNKS, MAX_MESSAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server() -> Server:
    """The library's server as it comes, without a port."""
    plain = Server()
    await plain.init()
    return plain


@pytest_asyncio.fixture(loop_scope="module")
async def listed(server: Server) -> AsyncIterator[Node]:
    """A variable made the short way, with a list in it."""
    made = await server.nodes.objects.add_variable(ua.NodeId("bare", 2), "bare", [1, 2, 3])
    yield made
    await server.delete_nodes([made])


async def read(server: Server, node: Node, index_range: str | None = None) -> Any:
    what = ua.ReadValueId(node.nodeid, ua.AttributeIds.Value, IndexRange=index_range)
    (value,) = await server.iserver.isession.read(ua.ReadParameters(NodesToRead=[what]))
    return value.Value.Value


async def write(server: Server, node: Node, value: Any, index_range: str | None = None) -> bool:
    what = ua.DataValue(ua.Variant(value, ua.VariantType.Int64))
    asked = ua.WriteValue(node.nodeid, ua.AttributeIds.Value, IndexRange=index_range, Value=what)
    (code,) = await server.iserver.isession.write(ua.WriteParameters([asked]))
    return bool(code.is_good())


async def test_an_index_range_is_ignored_and_a_scalar_goes_into_an_array(server: Server, listed: Node) -> None:
    assert await read(server, listed, "0:1") == [1, 2, 3]
    assert await write(server, listed, [9], "1")
    assert await read(server, listed) == [9], "the element has replaced the array"
    assert await write(server, listed, 5)
    assert await read(server, listed) == 5


async def test_a_bare_name_lands_in_namespace_0_and_a_list_has_no_rank(listed: Node) -> None:
    assert (await listed.read_browse_name()).NamespaceIndex == 0
    assert await listed.read_value_rank() == ua.ValueRank.OneOrMoreDimensions
    assert await listed.read_array_dimensions() is None


async def test_a_value_has_no_source_time_of_itself() -> None:
    assert ua.DataValue(ua.Variant(1)).SourceTimestamp is None


async def test_browsing_ignores_the_maximum_and_cannot_go_on(server: Server) -> None:
    what = ua.BrowseDescription(
        NodeId=server.nodes.server.nodeid,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.References),
        IncludeSubtypes=True,
    )
    session = server.iserver.isession
    (found,) = await session.browse(ua.BrowseParameters(RequestedMaxReferencesPerNode=1, NodesToBrowse=[what]))
    assert len(found.References) > 10
    assert found.ContinuationPoint is None
    with pytest.raises(NotImplementedError):
        await session.browse_next(ua.BrowseNextParameters())


async def test_tokens_count_up_and_whoever_calls_himself_admin_is_one(server: Server) -> None:
    iserver = server.iserver
    first, second = (iserver.create_session(name).auth_token.Identifier for name in ("a", "b"))
    assert second == first + 1
    assert iserver.allow_remote_admin
    user = iserver.user_manager.get_user(iserver, "admin", "whatever")
    assert user is not None and user.role.name == "Admin"


async def test_without_being_told_it_offers_channels_without_security(server: Server) -> None:
    assert ua.SecurityPolicyType.NoSecurity in server._security_policy
    assert ua.SecurityPolicyType.NoSecurity not in POLICIES


async def test_a_negative_length_does_not_end_the_reading() -> None:
    """Bytes go backwards: an array may be read from the same ones for ever."""
    buffer = Buffer(b"12345678")
    buffer.read(4)
    assert buffer.read(-4) == b""
    assert len(buffer) == 8, "all of it lies before us again"
    bounded = Bounded(b"12345678")
    with pytest.raises(Exception, match="a length of -4"):
        bounded.read(-4)


async def test_its_own_limits_are_for_friends(server: Server) -> None:
    own, iserver = TransportLimits(), server.iserver
    assert own.max_message_size == 100 * MAX_MESSAGE
    assert own.max_chunk_count == 1601 > MAX_CHUNKS
    assert iserver.max_connections == 1000
    assert iserver.max_pending_activation_seconds == 30
    assert iserver.max_monitored_item_queue_size == 10_000
    assert iserver.max_unacked_messages_per_subscription == 5000


class Told:
    """A subscription's handler."""

    def datachange_notification(self, node: Node, value: Any, data: Any) -> None:
        """Take nothing."""


async def test_any_publishing_interval_is_taken_and_the_sampling_interval_is_not(server: Server, listed: Node) -> None:
    """Our server publishes no faster than ten times a second; a client is told at once that its sampling is not heeded."""
    subscription = await server.create_subscription(1, Told())
    try:
        data = server.iserver.subscription_service.subscriptions[subscription.subscription_id]
        assert data.data.RevisedPublishingInterval == 1 < MIN_PUBLISHING_MS
        parameters = ua.MonitoringParameters(ClientHandle=1, SamplingInterval=5000, QueueSize=1)
        what = ua.ReadValueId(listed.nodeid, ua.AttributeIds.Value)
        asked = ua.MonitoredItemCreateRequest(what, ua.MonitoringMode.Reporting, parameters)
        (made,) = await server.iserver.isession.create_monitored_items(
            ua.CreateMonitoredItemsParameters(subscription.subscription_id, ua.TimestampsToReturn.Both, [asked])
        )
        assert made.RevisedSamplingInterval == 1
    finally:
        await subscription.delete()


async def test_a_write_reaches_every_item_without_letting_the_loop_go_on(server: Server, listed: Node) -> None:
    subscription = await server.create_subscription(1000, Told())
    try:
        await subscription.subscribe_data_change([listed] * 3)
        writing = server.write_attribute_value(listed.nodeid, ua.DataValue(ua.Variant([7], ua.VariantType.Int64)))
        with pytest.raises(StopIteration):
            writing.send(None)
    finally:
        await subscription.delete()


async def test_our_writes_let_the_loop_go_on_every_few_tags() -> None:
    written: list[str] = []

    async def take(node: Any, value: Any) -> None:
        written.append(node)

    ours = OpcUaServer([], host="127.0.0.1", port=0, application_uri="urn:x", pki=Path("none"), users=Path("none"))
    ours._server = cast(Any, SimpleNamespace(write_attribute_value=take))
    ours._nodes = {("S", f"T{i}"): (cast(Any, f"T{i}"), ua.VariantType.Int32) for i in range(60)}
    updates = [Update(tag=f"T{i}", value=i, t_utc_ns=0) for i in range(60)]
    writing = ours.write("S", updates)
    rests = []
    while True:
        try:
            writing.send(None)
        except StopIteration:
            break
        rests.append(len(written))
    assert rests == [WRITES_BEFORE_YIELD, 2 * WRITES_BEFORE_YIELD]
    assert WRITES_BEFORE_YIELD == 25


def subscription_of(notified: list[Any]) -> Any:
    async def enqueue(mid: int, notification: Any, queue_size: int) -> None:
        notified.append(notification.Value)

    data = SimpleNamespace(SubscriptionId=1, RevisedPublishingInterval=100.0)
    return SimpleNamespace(data=data, max_queue_size=10, enqueue_datachange_event=enqueue)


BAND = ua.DataChangeFilter(
    Trigger=ua.DataChangeTrigger.StatusValue,
    DeadbandType=ua.UInt32(ua.DeadbandType.Absolute),
    DeadbandValue=ua.Double(1.0),
)
ASKED = ua.MonitoringParameters(ClientHandle=1, QueueSize=10, Filter=BAND)


async def monitor(server: Server, node: Node, values: list[ua.DataValue]) -> list[Any]:
    """Return what one item of the library with an absolute deadband of 1 reports of these values."""
    notified: list[Any] = []
    items = MonitoredItemService(subscription_of(notified), server.iserver.aspace)
    what = ua.ReadValueId(node.nodeid, ua.AttributeIds.Value)
    (made,) = await items.create_monitored_items(
        ua.CreateMonitoredItemsParameters(
            ItemsToCreate=[ua.MonitoredItemCreateRequest(what, ua.MonitoringMode.Reporting, ASKED)]
        )
    )
    assert made.StatusCode.is_good()
    notified.clear()
    (handle,) = items._monitored_datachange
    for value in values:
        await items.datachange_callback(handle, value)
    items.delete_all_monitored_items()
    return notified


async def test_a_slow_ramp_never_leaves_the_librarys_deadband_but_ours(server: Server) -> None:
    node = await server.nodes.objects.add_variable(ua.NodeId("ramp", 2), ua.QualifiedName("ramp", 2), 0.0)
    ramp = [ua.DataValue(ua.Variant(0.4 * step)) for step in range(1, 21)]
    assert await monitor(server, node, ramp) == []
    await server.delete_nodes([node])
    item = Item(1, ua.ReadValueId(), ua.MonitoringMode.Reporting, {})
    item.ask(ASKED, 10, ua.TimestampsToReturn.Both)
    ours: list[Any] = []
    for value in (ua.DataValue(ua.Variant(0.0)), *ramp):
        item.take(Sample(value))
        assert item.last is not None
        if not ours or item.last.value is not ours[-1]:
            ours.append(item.last.value)
    assert [v.Value.Value for v in ours] == pytest.approx([0.0, 1.2, 2.4, 3.6, 4.8, 6.0, 7.2])
    assert ours[1] is ramp[2], "and the value is not copied"


async def test_the_library_copies_each_value_for_each_item() -> None:
    kept, value = MonitoredItemValues(), ua.DataValue(ua.Variant(1))
    kept.set_current_datavalue(value)
    assert kept.current_dvalue == value
    assert kept.current_dvalue is not value


async def test_a_second_listener_of_one_priority_replaces_the_first() -> None:
    service = CallbackService()
    for _ in range(2):
        service.addListener("event", cast(Any, object()), 0)
    assert len(service._listeners["event"]) == 1


async def test_what_the_standard_leaves_open_is_a_string_until_it_is_put_right(server: Server) -> None:
    fields = EventTypes(server.iserver.aspace).fields(ua.NodeId(ua.ObjectIds.TransitionEventType))
    names = ("Transition/Id", "FromState/Id", "ToState/Id")
    assert [fields[name].variant for name in names] == [ua.VariantType.String] * 3, "the Id of a state is a NodeId"
    repair(server.iserver.aspace)
    fields = EventTypes(server.iserver.aspace).fields(ua.NodeId(ua.ObjectIds.TransitionEventType))
    assert [fields[name].variant for name in names] == [None] * 3
