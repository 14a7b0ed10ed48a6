"""The OPC UA server's services against careless and hostile users: rows 7, 8, 12, 13 and 16 of the library's traps.

Row 14 is in test_opcua_server.py, 15 in the golden file of nodes; methods, events and history come later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua
from asyncua.common.utils import ServiceError
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua import sessions
from gateway.opcua.sessions import MAX_BROWSE, MAX_PATH, MAX_READ
from gateway.opcua.subscriptions import MAX_ITEMS_PER_SESSION, MAX_PUBLISHING_MS, MAX_SUBSCRIPTIONS_PER_SESSION
from tests.integration.opcua_stand import (
    UP,
    VALUES,
    OpcUaStand,
    node,
    nothing_left,
    opcua_stand,
    read,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
GET_ENDPOINTS = ObjectIds.GetEndpointsRequest_Encoding_DefaultBinary


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpcUaStand]:
    async with opcua_stand(tmp_path_factory.mktemp("opcua")) as running:
        await running.show(UP, VALUES)
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_left(stand: OpcUaStand) -> AsyncIterator[None]:
    async with nothing_left(stand):
        yield


async def failing(awaitable: Any) -> int:
    with pytest.raises(ua.UaStatusCodeError) as caught:
        await awaitable
    return int(caught.value.code)


class Seen:
    """What a subscription has been told."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def datachange_notification(self, n: Any, value: Any, data: Any) -> None:
        self.values.append(value)


@pytest.mark.parametrize(
    ("asked", "given"),
    [(0.01, 100.0), (0.0, 100.0), (-5.0, 100.0), (float("nan"), 100.0), (1e12, MAX_PUBLISHING_MS), (250.0, 250.0)],
)
async def test_the_publishing_interval_is_bounded(stand: OpcUaStand, asked: float, given: float) -> None:
    async with stand.connected() as client:
        result = await client.uaclient.session.create_subscription(
            ua.CreateSubscriptionParameters(RequestedPublishingInterval=asked, PublishingEnabled=True), lambda _: None
        )
        assert result.RevisedPublishingInterval == given
        await client.uaclient.session.delete_subscriptions([result.SubscriptionId])


async def test_a_foreign_subscription_cannot_be_touched(stand: OpcUaStand) -> None:
    seen = Seen()
    invalid = StatusCodes.BadSubscriptionIdInvalid
    async with stand.connected() as owner, stand.connected() as other:
        subscription = await owner.create_subscription(100, seen)
        item = await subscription.subscribe_data_change(node(owner, "Status.Heartbeat"))
        i, session = subscription.subscription_id, other.uaclient.session
        mine = await other.create_subscription(100, Seen())
        assert [c.value for c in await session.delete_subscriptions([i])] == [invalid]
        off = ua.SetPublishingModeParameters(PublishingEnabled=False, SubscriptionIds=[i, mine.subscription_id])
        assert [c.value for c in await session.set_publishing_mode(off)] == [invalid, StatusCodes.Good]
        off_too = ua.SetMonitoringModeParameters(i, ua.MonitoringMode.Disabled, [item])
        assert await failing(session.set_monitoring_mode(off_too)) == invalid
        assert await failing(session.delete_monitored_items(ua.DeleteMonitoredItemsParameters(i, [item]))) == invalid
        assert await failing(session.create_monitored_items(ua.CreateMonitoredItemsParameters(i))) == invalid
        assert await failing(session.modify_monitored_items(ua.ModifyMonitoredItemsParameters(i))) == invalid
        assert await failing(session.modify_subscription(ua.ModifySubscriptionParameters(i))) == invalid
        transferred = await session.transfer_subscriptions(ua.TransferSubscriptionsParameters([i], True))
        assert [r.StatusCode.value for r in transferred] == [invalid]
        own = stand.iserver.subscription_service.subscriptions[i]
        asked = next(s for s in stand.iserver._external_sessions.values() if s.session_id != own.session_id)
        assert asked.publish([ua.SubscriptionAcknowledgement(i, 1)])[1][0].value == invalid
        with pytest.raises(ServiceError):
            asked.republish(ua.RepublishParameters(i, 1))
        await stand.server.write("Line1.Cam1", stand.stations["Line1.Cam1"].tick(0))
        beat = stand.stations["Line1.Cam1"]._beat
        await until(lambda: seen.values and seen.values[-1] == beat, "the owner is still told")
        await subscription.delete()
        await mine.delete()


async def test_subscriptions_and_items_of_one_client_are_limited(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stand.connected() as client:
        made = [await client.create_subscription(1000, Seen()) for _ in range(MAX_SUBSCRIPTIONS_PER_SESSION)]
        assert await failing(client.create_subscription(1000, Seen())) == StatusCodes.BadTooManySubscriptions
        monkeypatch.setattr(sessions, "MAX_ITEMS_PER_SESSION", 3)
        tag = node(client, "Status.Heartbeat")
        await made[0].subscribe_data_change([tag, tag])
        assert await failing(made[1].subscribe_data_change([tag, tag])) == StatusCodes.BadTooManyMonitoredItems
        await made[1].subscribe_data_change([tag])
        for subscription in made:
            await subscription.delete()
    assert MAX_ITEMS_PER_SESSION >= 1000, "ten stations' tags"


async def test_one_request_asks_for_so_much_and_no_more(stand: OpcUaStand) -> None:
    too_many = StatusCodes.BadTooManyOperations
    async with stand.connected() as client:
        session, tag = client.uaclient.session, node(client, "Status.Heartbeat").nodeid
        what = ua.ReadValueId(tag, ua.AttributeIds.Value)
        assert len(await session.read(ua.ReadParameters(NodesToRead=[what] * MAX_READ))) == MAX_READ
        assert await failing(session.read(ua.ReadParameters(NodesToRead=[what] * (MAX_READ + 1)))) == too_many
        browse = ua.BrowseDescription(NodeId=tag)
        assert await failing(session.browse(ua.BrowseParameters(NodesToBrowse=[browse] * (MAX_BROWSE + 1)))) == too_many
        path = ua.BrowsePath(tag, ua.RelativePath([ua.RelativePathElement(TargetName=ua.QualifiedName("x"))] * (MAX_PATH + 1)))
        assert await failing(session.translate_browsepaths_to_nodeids([path])) == too_many


async def test_a_part_of_an_array_is_answered_with_that_part_and_cannot_be_monitored(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        texts = ua.NodeId("Line1.Cam1.Tags.Plc.Mode.EnumStrings", 2)
        part = ua.ReadValueId(texts, ua.AttributeIds.Value, IndexRange="0:1")
        whole = ua.ReadValueId(texts, ua.AttributeIds.Value)
        answers = await client.uaclient.session.read(ua.ReadParameters(NodesToRead=[part, whole]))
        assert len(answers[1].Value.Value) == 4
        assert answers[0].Value.Value == answers[1].Value.Value[:2]
        assert await refusal(client, part) == StatusCodes.BadIndexRangeInvalid


def band(kind: ua.DeadbandType, width: float) -> ua.DataChangeFilter:
    trigger = ua.DataChangeTrigger.StatusValue
    return ua.DataChangeFilter(Trigger=trigger, DeadbandType=ua.UInt32(kind), DeadbandValue=ua.Double(width))


async def refusal(client: Client, what: ua.ReadValueId, asked: Any = None) -> int:
    """Return the status with which one item is created."""
    subscription = await client.create_subscription(1000, Seen())
    parameters = ua.MonitoringParameters(ClientHandle=1, SamplingInterval=100, QueueSize=1, DiscardOldest=True)
    parameters.Filter = asked
    item = ua.MonitoredItemCreateRequest(what, ua.MonitoringMode.Reporting, parameters)
    (result,) = await client.uaclient.session.create_monitored_items(
        ua.CreateMonitoredItemsParameters(subscription.subscription_id, ua.TimestampsToReturn.Both, [item])
    )
    await subscription.delete()
    return int(result.StatusCode.value)


@pytest.mark.parametrize(
    ("tag", "asked", "expected"),
    [
        ("Params.Speed", None, StatusCodes.Good),
        ("Params.Speed", band(ua.DeadbandType.Absolute, 1), StatusCodes.Good),
        ("Result.DefectName", band(ua.DeadbandType.None_, 0), StatusCodes.Good),
        ("Params.Speed", band(ua.DeadbandType.Percent, 10), StatusCodes.BadMonitoredItemFilterUnsupported),
        ("Params.Speed", band(ua.DeadbandType.Absolute, -1), StatusCodes.BadDeadbandFilterInvalid),
        ("Params.Speed", band(ua.DeadbandType.Absolute, float("nan")), StatusCodes.BadDeadbandFilterInvalid),
        ("Result.DefectName", band(ua.DeadbandType.Absolute, 1), StatusCodes.BadFilterNotAllowed),
        ("Plc.LinkUp", band(ua.DeadbandType.Absolute, 1), StatusCodes.BadFilterNotAllowed),
        ("Params.Speed", ua.AggregateFilter(), StatusCodes.BadMonitoredItemFilterUnsupported),
    ],
)
async def test_a_filter_that_would_not_do_what_it_says_is_refused(
    stand: OpcUaStand, tag: str, asked: Any, expected: int
) -> None:
    async with stand.connected() as client:
        what = ua.ReadValueId(node(client, tag).nodeid, ua.AttributeIds.Value)
        assert await refusal(client, what, asked) == expected


async def test_a_slow_ramp_passes_a_deadband(stand: OpcUaStand) -> None:
    seen = Seen()
    async with stand.connected() as client:
        subscription = await client.create_subscription(100, seen)
        await subscription._subscribe(node(client, "Params.Speed"), queuesize=50, mfilter=band(ua.DeadbandType.Absolute, 1))
        for step in range(1, 21):
            await stand.show(type(VALUES)(line="Line1", t_utc_ns=VALUES.t_utc_ns, values={"Speed": 12.0 + step * 0.4}))
        await until(lambda: seen.values and seen.values[-1] > 19, "the end of the ramp")
        await subscription.delete()
    assert seen.values == pytest.approx([12.0, 13.2, 14.4, 15.6, 16.8, 18.0, 19.2], abs=1e-5)


async def test_queues_are_bounded_when_made_and_when_changed(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        subscription = await client.create_subscription(1000, Seen())
        item = await subscription.subscribe_data_change(node(client, "Params.Speed"), queuesize=1_000_000)
        data = stand.iserver.subscription_service.subscriptions[subscription.subscription_id]
        (made,) = data.monitored_item_srv._monitored_items.values()
        assert made.queue_size == 100
        for asked in (0, 1_000_000):
            parameters = ua.MonitoringParameters(ClientHandle=7, SamplingInterval=100, QueueSize=asked)
            (result,) = await client.uaclient.session.modify_monitored_items(
                ua.ModifyMonitoredItemsParameters(
                    subscription.subscription_id, ItemsToModify=[ua.MonitoredItemModifyRequest(item, parameters)]
                )
            )
            assert (result.StatusCode.value, result.RevisedQueueSize, made.queue_size) == (StatusCodes.Good, 100, 100)
        gone = ua.MonitoredItemModifyRequest(999_999, ua.MonitoringParameters())
        (result,) = await client.uaclient.session.modify_monitored_items(
            ua.ModifyMonitoredItemsParameters(subscription.subscription_id, ItemsToModify=[gone])
        )
        assert result.StatusCode.value == StatusCodes.BadMonitoredItemIdInvalid
        await subscription.delete()


async def test_no_folder_is_too_long_to_browse_at_once(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        queue = [client.nodes.objects]
        while queue:
            children = await queue.pop().get_children(nodeclassmask=ua.NodeClass.Object | ua.NodeClass.Variable)
            own = [c for c in children if c.nodeid.NamespaceIndex == 2]
            assert len(own) < 500  # the library knows no continuation
            queue += own


async def test_every_value_has_its_source_time(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        for value in await read(client, "Plc.Mode", "Plc.Mode.EnumStrings", "Params.Speed.EURange", "Health.Imaging"):
            assert value.SourceTimestamp is not None
