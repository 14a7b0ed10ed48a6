"""Alarms as conditions over the wire: acknowledged, confirmed, commented, refreshed, and kept over a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.core.events import Alarm
from gateway.opcua.alarm_texts import ALARMS
from gateway.opcua.conditions import TYPES
from gateway.opcua.event_items import EventItem
from gateway.opcua.mv.namespace import mv
from tests.integration.events_client import SERVER, STATION, Line, alarm, condition, line, of_type, select, watch
from tests.integration.opcua_stand import OpcUaStand, nothing_left, opcua_stand

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACKNOWLEDGE = ObjectIds.AcknowledgeableConditionType_Acknowledge
CONFIRM = ObjectIds.AcknowledgeableConditionType_Confirm
COMMENT = ObjectIds.ConditionType_AddComment
REFRESH2 = ObjectIds.ConditionType_ConditionRefresh2
BOTH = ("CAMERA", "JOURNAL")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpcUaStand]:
    async with opcua_stand(tmp_path_factory.mktemp("conditions")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_left(stand: OpcUaStand) -> AsyncIterator[None]:
    async with nothing_left(stand):
        yield


@pytest_asyncio.fixture(loop_scope="module")
async def feed(stand: OpcUaStand, tmp_path: Path) -> AsyncIterator[Line]:
    async with line(stand, tmp_path) as feed:
        yield feed


@pytest_asyncio.fixture(loop_scope="module")
async def operator(stand: OpcUaStand) -> AsyncIterator[Client]:
    async with stand.connected(user="operator") as client:
        yield client


def variant(value: int) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.UInt32)


async def test_an_alarm_is_acknowledged_and_confirmed_and_then_retained_no_more(operator: Client, feed: Line) -> None:
    watcher = await watch(operator)
    await feed.take(alarm(), alarm(active=False, detail="it is over", seq=2))
    came, went = await watcher.wait(2)
    assert (came["Retain"], came["AckedState/Id"], came["ConfirmedState/Id"]) == (True, False, True)
    assert (went["Retain"], went["AckedState/Id"], went["ConfirmedState/Id"]) == (True, False, True)
    assert went["Message"].Text == "Over: A camera is missing: it is over."
    assert await watcher.do(ACKNOWLEDGE, "CAMERA", went["EventId"], "seen to it") == 0
    acked = (await watcher.wait(3))[2]
    assert (acked["Retain"], acked["AckedState/Id"], acked["ConfirmedState/Id"]) == (True, True, False)
    assert (acked["Comment"].Text, acked["ClientUserId"]) == ("seen to it", "operator")
    assert await watcher.do(CONFIRM, "CAMERA", acked["EventId"]) == 0
    done = (await watcher.wait(4))[3]
    assert (done["Retain"], done["AckedState/Id"], done["ConfirmedState/Id"]) == (False, True, True)
    assert done["Comment"].Text == "seen to it"
    assert len({e["EventId"] for e in watcher.seen}) == 4
    assert [(o.user, o.what, o.name, o.comment, o.ending) for o in feed.ops.orders.of(STATION)] == [
        ("operator", "acknowledge", "CAMERA", "seen to it", "done"),
        ("operator", "confirm", "CAMERA", "", "done"),
    ]


async def test_acknowledging_clears_no_cause(operator: Client, feed: Line) -> None:
    watcher = await watch(operator)
    await feed.take(alarm())
    (came,) = await watcher.wait(1)
    assert await watcher.do(ACKNOWLEDGE, "CAMERA", came["EventId"]) == 0
    acked = (await watcher.wait(2))[1]
    assert await watcher.do(CONFIRM, "CAMERA", acked["EventId"]) == 0
    still = (await watcher.wait(3))[2]
    assert (still["Retain"], still["AckedState/Id"], still["ConfirmedState/Id"]) == (True, True, True)
    await feed.take(alarm(active=False, seq=2))
    assert (await watcher.wait(4))[3]["Retain"] is False


async def test_what_cannot_be_done_is_refused_by_name(operator: Client, feed: Line) -> None:
    watcher = await watch(operator)
    await feed.take(alarm())
    (came,) = await watcher.wait(1)
    seen = came["EventId"]
    assert await watcher.do(ACKNOWLEDGE, "CAMERA", b"") == StatusCodes.BadEventIdUnknown
    assert await watcher.do(ACKNOWLEDGE, "CAMERA", b"x" * 16) == StatusCodes.BadEventIdUnknown
    assert await watcher.do(ACKNOWLEDGE, "JOURNAL", seen) == StatusCodes.BadEventIdUnknown  # never came
    assert await watcher.do(ACKNOWLEDGE, "NOTHING", seen) == StatusCodes.BadNodeIdUnknown
    assert await watcher.do(CONFIRM, "CAMERA", seen) == StatusCodes.BadConditionBranchAlreadyConfirmed  # not acknowledged yet
    assert await watcher.do(ACKNOWLEDGE, "CAMERA", seen) == 0
    assert await watcher.do(ACKNOWLEDGE, "CAMERA", seen) == StatusCodes.BadEventIdUnknown
    acked = (await watcher.wait(2))[1]["EventId"]
    assert await watcher.do(ACKNOWLEDGE, "CAMERA", acked) == StatusCodes.BadConditionBranchAlreadyAcked
    assert await watcher.do(COMMENT, "CAMERA", acked, "a word") == 0
    commented = (await watcher.wait(3))[2]
    assert (commented["Comment"].Text, commented["AckedState/Id"]) == ("a word", True)
    assert await watcher.do(CONFIRM, "CAMERA", acked) == StatusCodes.BadEventIdUnknown  # it has been commented since
    on_type = await watcher.call(
        ACKNOWLEDGE,
        ua.Variant(seen, ua.VariantType.ByteString),
        ua.Variant(ua.LocalizedText(""), ua.VariantType.LocalizedText),
        on=ua.NodeId(ObjectIds.AcknowledgeableConditionType),
    )
    assert on_type == StatusCodes.BadNodeIdInvalid
    on = condition("CAMERA")
    assert await watcher.call(ObjectIds.ConditionType_Enable, on=on) == StatusCodes.BadConditionAlreadyEnabled
    assert await watcher.call(ObjectIds.ConditionType_Disable, on=on) == StatusCodes.BadNotSupported
    assert await watcher.call(ACKNOWLEDGE, on=on) == StatusCodes.BadArgumentsMissing
    await watcher.newest()
    assert len(watcher.seen) == 3


async def test_who_only_reads_acknowledges_nothing(stand: OpcUaStand, feed: Line) -> None:
    async with stand.connected() as client:
        watcher = await watch(client)
        await feed.take(alarm())
        (came,) = await watcher.wait(1)
        for method in (ACKNOWLEDGE, CONFIRM, COMMENT):
            assert await watcher.do(method, "CAMERA", came["EventId"]) == StatusCodes.BadUserAccessDenied
        assert await watcher.refresh() == 0


async def test_an_acknowledgement_that_cannot_be_kept_is_none(operator: Client, feed: Line) -> None:
    watcher = await watch(operator)
    await feed.take(alarm())
    (came,) = await watcher.wait(1)
    feed.full = True
    assert await watcher.do(ACKNOWLEDGE, "CAMERA", came["EventId"]) == StatusCodes.BadResourceUnavailable
    assert not feed.kept.conditions["CAMERA"].acked
    feed.full = False
    await watcher.newest()
    assert len(watcher.seen) == 1
    assert await watcher.do(ACKNOWLEDGE, "CAMERA", came["EventId"]) == 0
    assert [o.ending for o in feed.ops.orders.of(STATION)] == ["done"]


async def test_a_comment_of_bytes_that_are_no_text_is_cleaned(operator: Client, feed: Line) -> None:
    watcher = await watch(operator)
    await feed.take(alarm())
    (came,) = await watcher.wait(1)
    assert await watcher.do(ACKNOWLEDGE, "CAMERA", came["EventId"], "0 \udcff\0") == 0
    assert (await watcher.wait(2))[1]["Comment"].Text == "0 ?"
    comment = ua.Variant(ua.LocalizedText("\udcff"), ua.VariantType.LocalizedText)
    states, confirm_all = (ua.NodeId(f"{STATION}.VisionStateMachine{more}", 2) for more in ("", ".ConfirmAll"))
    request = ua.CallMethodRequest(ObjectId=states, MethodId=confirm_all, InputArguments=[comment])
    (result,) = await operator.uaclient.call([request])
    assert result.StatusCode.is_good()
    assert (await watcher.wait(3))[2]["Comment"].Text == "?"
    assert [(o.what, o.comment) for o in feed.ops.orders.of(STATION)] == [("acknowledge", "0 ?"), ("confirm", "?")]


async def test_a_client_that_comes_late_is_told_by_a_refresh(operator: Client, feed: Line) -> None:
    await feed.take(
        alarm(), alarm(Alarm.JOURNAL, all_active=BOTH, seq=2), alarm(Alarm.CLOCK, all_active=(*BOTH, "CLOCK"), seq=3)
    )
    await feed.take(alarm(Alarm.CLOCK, active=False, all_active=BOTH, seq=4))
    assert await feed.stand.server.conditions.acknowledge(STATION, "CLOCK", "hmi", "") == ""
    assert await feed.stand.server.conditions.confirm_all(STATION, "hmi", "") == 1
    everything = await watch(operator)
    errors = await watch(operator, ua.NodeId(STATION, 2), of_type(mv(1035)))
    elsewhere = await watch(operator, ua.NodeId("Line2.Cam1", 2))
    for watcher, codes in ((everything, ["CAMERA", "JOURNAL"]), (errors, ["CAMERA"]), (elsewhere, [])):
        assert await watcher.refresh() == 0
        await watcher.wait(len(codes) + 2)
        start, *retained, end = watcher.seen
        assert start["EventType"] == ua.NodeId(ObjectIds.RefreshStartEventType)
        assert end["EventType"] == ua.NodeId(ObjectIds.RefreshEndEventType)
        assert [e["ConditionName"] for e in retained] == codes
        assert all(e["Retain"] for e in retained)
    # By the event that the refresh has told, it can be acknowledged.
    assert await everything.do(ACKNOWLEDGE, "JOURNAL", everything.seen[2]["EventId"]) == 0


async def test_a_refresh_goes_to_who_asked_and_no_other(stand: OpcUaStand, operator: Client, feed: Line) -> None:
    await feed.take(alarm())
    async with stand.connected() as client:
        other, watcher, second = await watch(client), await watch(operator), await watch(operator)
        stolen = await watcher.call(ObjectIds.ConditionType_ConditionRefresh, variant(other.subscription))
        assert stolen == StatusCodes.BadSubscriptionIdInvalid
        assert await watcher.call(REFRESH2, variant(watcher.subscription), variant(99)) == StatusCodes.BadMonitoredItemIdInvalid
        one = ObjectIds.ConditionType_ConditionRefresh
        assert await watcher.call(one, variant(watcher.subscription), on=SERVER) == StatusCodes.BadMethodInvalid
        assert await watcher.call(REFRESH2, variant(watcher.subscription), variant(watcher.item)) == 0
        assert await watcher.refresh() == StatusCodes.BadRefreshInProgress
        await watcher.wait(3)
        await watcher.newest()
        assert (len(other.seen), len(watcher.seen), len(second.seen)) == (0, 3, 0)
        assert await watcher.refresh() == 0
        await watcher.wait(6)


async def test_a_refresh_lets_others_run_between_two_items(
    operator: Client, feed: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = await watch(operator)
    item = ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=SERVER, AttributeId=ua.AttributeIds.EventNotifier),
        RequestedParameters=ua.MonitoringParameters(Filter=ua.EventFilter(SelectClauses=[select("Message")])),
    )
    params = ua.CreateMonitoredItemsParameters(SubscriptionId=watcher.subscription, ItemsToCreate=[item])
    params.TimestampsToReturn = ua.TimestampsToReturn.Both
    await operator.uaclient.create_monitored_items(params)
    order: list[str] = []
    refresh = EventItem.refresh

    def noted(item: EventItem, *events: Any) -> None:
        order.append("item")
        asyncio.get_running_loop().call_soon(order.append, "others")
        refresh(item, *events)

    monkeypatch.setattr(EventItem, "refresh", noted)
    assert await watcher.refresh() == 0
    assert order == ["item", "others"] * 2


async def test_a_condition_can_be_read_and_browsed(operator: Client, feed: Line) -> None:
    await feed.take(alarm(detail="no sign of life from Cam1"))
    node = operator.get_node(condition("CAMERA"))
    assert await node.read_type_definition() == mv(1035)
    names = {(await n.read_browse_name()).Name for n in await node.get_children()}
    assert {"Acknowledge", "Confirm", "AddComment", "Enable", "Disable", "Retain", "AckedState", "ErrorCode"} <= names
    about = await operator.get_node(ua.NodeId(STATION, 2)).get_referenced_nodes(ObjectIds.HasCondition)
    assert {n.nodeid for n in about} == {condition(code) for code in ALARMS}
    paths = ("Retain", "AckedState.Id", "Message", "ErrorCode", "Severity", "Quality")
    read = [await operator.get_node(ua.NodeId(f"{STATION}.Conditions.CAMERA.{p}", 2)).read_value() for p in paths]
    assert read[:2] == [True, False]
    assert read[2].Text == "A camera is missing: no sign of life from Cam1. Check its power and its cable."
    assert read[3:5] == [3, 800]
    never = await operator.get_node(ua.NodeId(f"{STATION}.Conditions.SELF_CHECK.EventId", 2)).read_data_value(False)
    assert int(never.StatusCode.value) == StatusCodes.BadWaitingForInitialData
    for code, meaning in ALARMS.items():
        assert await operator.get_node(condition(code)).read_type_definition() == TYPES[meaning.kind]


async def test_quality_tells_when_nobody_feeds_a_condition(operator: Client, feed: Line) -> None:
    watcher = await watch(operator)
    await feed.take(alarm())
    feed.kept.conditions.alive(False, 2)
    await feed.show()
    came, stale = await watcher.wait(2)
    assert came["Quality"].is_good()
    assert int(stale["Quality"].value) == StatusCodes.UncertainNoCommunicationLastUsableValue
    assert stale["Retain"] and stale["EventId"] != came["EventId"]


async def test_conditions_outlive_a_restart(stand: OpcUaStand, operator: Client, tmp_path: Path) -> None:
    async with line(stand, tmp_path) as feed:
        await feed.take(alarm(), alarm(Alarm.JOURNAL, all_active=BOTH, seq=2))
        assert await stand.server.conditions.acknowledge(STATION, "CAMERA", "hmi", "on my way") == ""
        kept = feed.kept.conditions["CAMERA"]
    async with line(stand, tmp_path) as feed:
        # What came back after control answered is new; all else is as it was.
        again = feed.kept.conditions["CAMERA"]
        assert (again.acked, again.confirmed, again.comment, again.user) == (True, False, "on my way", "hmi")
        assert (again.acked_ns, again.comment_ns) == (kept.acked_ns, kept.comment_ns)
        watcher = await watch(operator)
        assert await watcher.refresh() == 0
        seen = {e["ConditionName"]: e for e in await watcher.wait(4) if e["ConditionName"]}
        assert {code: (e["AckedState/Id"], e["ConfirmedState/Id"]) for code, e in seen.items()} == {
            "CAMERA": (True, False),
            "JOURNAL": (False, True),
        }
        # CAMERA went while nobody was here, and the record of it is lost: the next one says so.
        await feed.take(alarm(Alarm.CLOCK, all_active=("JOURNAL", "CLOCK"), seq=9))
        assert not feed.kept.conditions["CAMERA"].active
        assert await watcher.do(CONFIRM, "CAMERA", bytes.fromhex(feed.kept.conditions["CAMERA"].event_id)) == 0
        assert not feed.kept.conditions["CAMERA"].retain
