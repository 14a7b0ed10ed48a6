"""Events over the wire: who is told what, filtered how, with which fields; and the bounds of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.core.events import Alarm
from gateway.opcua import event_items
from gateway.opcua.event_items import MAX_EVENT_ITEMS, MIN_QUEUE
from gateway.opcua.mv.namespace import mv
from tests.integration.events_client import (
    BASE,
    CONDITION_ID,
    FIELDS,
    SERVER,
    STATION,
    alarm,
    condition,
    element,
    line,
    literal,
    of_type,
    select,
    watch,
)
from tests.integration.opcua_stand import T0, OpcUaStand, nothing_left, opcua_stand

Op = ua.FilterOperator
ACKNOWLEDGEABLE = ua.NodeId(ObjectIds.AcknowledgeableConditionType)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpcUaStand]:
    async with opcua_stand(tmp_path_factory.mktemp("events")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_left(stand: OpcUaStand) -> AsyncIterator[None]:
    async with nothing_left(stand):
        yield


def emit(stand: OpcUaStand, message: str = "hello", severity: int = 100, **more: Any) -> bytes:
    values: dict[str, Any] = {"fields": {}, "time_ns": T0, **more}
    return stand.server.events.emit(STATION, BASE, severity=severity, message=message, **values)


async def test_each_notifier_above_the_source_tells_it_once_with_the_same_event_id(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        at_station = await watch(client, ua.NodeId(STATION, 2))
        at_server = await watch(client)
        elsewhere = await watch(client, ua.NodeId("Line2.Cam1", 2))
        ids = [emit(stand, f"number {n}") for n in range(3)]
        for watcher in (at_station, at_server):
            seen = await watcher.wait(3)
            assert [e["EventId"] for e in seen] == ids
            assert [e["Message"].Text for e in seen] == ["number 0", "number 1", "number 2"]
        assert len(set(ids)) == 3
        await at_server.newest()
        assert (len(at_station.seen), len(at_server.seen), len(elsewhere.seen)) == (3, 3, 0)


async def test_a_station_is_below_the_server_as_a_notifier(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        node = client.get_node(ua.NodeId(STATION, 2))
        assert await node.read_event_notifier() == {ua.EventNotifier.SubscribeToEvents}
        above = await node.get_referenced_nodes(ObjectIds.HasNotifier, ua.BrowseDirection.Inverse)
        assert [n.nodeid for n in above] == [SERVER]


async def test_every_field_goes_out_in_the_type_that_its_declaration_has(stand: OpcUaStand, tmp_path: Path) -> None:
    names = [
        *FIELDS, "ReceiveTime", "EnabledState", "EnabledState/Id", "EnabledState/EffectiveDisplayName", "BranchId",
        "LastSeverity", "LastSeverity/SourceTimestamp", "Quality/SourceTimestamp", "Comment/SourceTimestamp", "AckedState",
        "AckedState/TransitionTime", "ConfirmedState", "ConditionClassId", "ConditionClassName",
        "3:ErrorCode", "3:ErrorString", "3:StopReaction", "3:BlockReaction",
    ]  # fmt: skip
    async with stand.connected() as client, line(stand, tmp_path) as feed:
        watcher = await watch(client, SERVER, of_type(mv(1035)), names=names)
        await feed.take(alarm(detail="no sign of life from Cam1"))
        (event,) = await watcher.wait(1)
        kinds = [v.VariantType.name for v in watcher.variants[0]]
    assert "Null" not in kinds
    typed = dict(zip(names, kinds, strict=False))
    assert typed["Severity"] == typed["LastSeverity"] == "UInt16"
    assert typed["3:ErrorCode"] == "UInt64"
    assert typed["Quality"] == "StatusCode"
    assert typed["BranchId"] == typed["EventType"] == typed["ConditionClassId"] == "NodeId"
    assert typed["Message"] == typed["EnabledState"] == typed["Comment"] == "LocalizedText"
    assert event["EventType"] == mv(1035)
    assert event["ConditionId"] == condition("CAMERA")
    assert event["SourceNode"] == ua.NodeId(STATION, 2)
    assert event["BranchId"].is_null()
    assert event["Message"].Text == "A camera is missing: no sign of life from Cam1. Check its power and its cable."
    assert event["EnabledState/EffectiveDisplayName"].Text == "Active | Unacknowledged | Confirmed"
    assert (event["3:ErrorCode"], event["3:ErrorString"], event["3:StopReaction"]) == (3, "CAMERA", True)


async def test_a_field_that_an_event_does_not_have_is_null(stand: OpcUaStand) -> None:
    clauses = [
        select("Message"),
        select("Nonsense"),
        select("AckedState/Id"),
        select("Message", ACKNOWLEDGEABLE),
        CONDITION_ID,
        select("Message", ua.NodeId(ObjectIds.FolderType)),
        ua.SimpleAttributeOperand(TypeDefinitionId=BASE, BrowsePath=[], AttributeId=ua.AttributeIds.NodeId),
        ua.SimpleAttributeOperand(TypeDefinitionId=BASE, BrowsePath=select("Message").BrowsePath, AttributeId=5),
        select("3:Message"),
    ]
    async with stand.connected() as client:
        watcher = await watch(client, clauses=clauses, names=[str(n) for n in range(len(clauses) - 1)])
        assert watcher.result.StatusCode.is_good()
        told = watcher.result.FilterResult
        assert isinstance(told, ua.EventFilterResult)
        assert [int(c.value) for c in told.SelectClauseResults] == [
            0,
            StatusCodes.BadNodeIdUnknown,
            0,
            0,
            0,
            StatusCodes.BadTypeDefinitionInvalid,
            StatusCodes.BadAttributeIdInvalid,
            StatusCodes.BadAttributeIdInvalid,
            StatusCodes.BadNodeIdUnknown,
        ]
        emit(stand, "of no condition")
        await watcher.wait(1)
    first, *others = watcher.variants[0]
    assert first.Value.Text == "of no condition"
    assert all(v.VariantType == ua.VariantType.Null for v in others)


async def test_of_type_takes_subtypes(stand: OpcUaStand, tmp_path: Path) -> None:
    async with stand.connected() as client, line(stand, tmp_path) as feed:
        conditions = await watch(client, SERVER, of_type(ACKNOWLEDGEABLE))
        errors = await watch(client, SERVER, of_type(mv(1035)))
        severe = await watch(
            client,
            SERVER,
            element(Op.And, ua.ElementOperand(Index=1), ua.ElementOperand(Index=2)),
            of_type(mv(1033)),
            element(Op.GreaterThanOrEqual, select("Severity"), literal(850, ua.VariantType.Int64)),
        )
        named = await watch(client, SERVER, element(Op.Like, select("ConditionName"), literal("CAM%", ua.VariantType.String)))
        emit(stand, severity=900)
        await feed.take(alarm(Alarm.CAMERA), alarm(Alarm.CLOCK, all_active=("CAMERA", "CLOCK"), seq=2))
        await feed.take(alarm(Alarm.JOURNAL, all_active=("CAMERA", "CLOCK", "JOURNAL"), seq=3))
        assert [e["ConditionName"] for e in await conditions.wait(3)] == ["CAMERA", "CLOCK", "JOURNAL"]
        assert [e["ConditionName"] for e in await errors.wait(1)] == ["CAMERA"]
        assert [e["ConditionName"] for e in await severe.wait(1)] == ["JOURNAL"]
        assert [e["ConditionName"] for e in await named.wait(1)] == ["CAMERA"]
        await conditions.newest()
        assert [len(w.seen) for w in (conditions, errors, severe, named)] == [3, 1, 1, 1]


@pytest.mark.parametrize(
    ("where", "code", "element_code", "operand_codes"),
    [
        ([element(Op.Equals, select("Severity"))], StatusCodes.BadEventFilterInvalid,
         StatusCodes.BadFilterOperandCountMismatch, []),
        ([element(Op.InView, literal(SERVER, ua.VariantType.NodeId))], StatusCodes.BadEventFilterInvalid,
         StatusCodes.BadFilterOperatorUnsupported, []),
        ([of_type(ua.NodeId(ObjectIds.FolderType))], StatusCodes.BadEventFilterInvalid,
         StatusCodes.BadFilterOperandInvalid, [StatusCodes.BadTypeDefinitionInvalid]),
        ([element(Op.Not, ua.ElementOperand(Index=0))], StatusCodes.BadEventFilterInvalid,
         StatusCodes.BadFilterOperandInvalid, [StatusCodes.BadFilterElementInvalid]),
        ([element(Op.IsNull, select("Nonsense"))], StatusCodes.BadEventFilterInvalid,
         StatusCodes.BadFilterOperandInvalid, [StatusCodes.BadNodeIdUnknown]),
        ([element(Op.IsNull, ua.AttributeOperand())], StatusCodes.BadEventFilterInvalid,
         StatusCodes.BadFilterOperandInvalid, [StatusCodes.BadFilterOperandInvalid]),
        ([of_type(BASE)] * 51, StatusCodes.BadMonitoredItemFilterUnsupported, None, []),
        ([element(Op.InList, select("Severity"), *[literal(1, ua.VariantType.Byte)] * 200)],
         StatusCodes.BadMonitoredItemFilterUnsupported, None, []),
    ],
)  # fmt: skip
async def test_a_wrong_where_clause_is_refused_element_by_element(
    stand: OpcUaStand, where: list[Any], code: int, element_code: int | None, operand_codes: list[int]
) -> None:
    async with stand.connected() as client:
        result = (await watch(client, SERVER, *where)).result
    assert int(result.StatusCode.value) == code
    if element_code is None:
        return
    assert isinstance(result.FilterResult, ua.EventFilterResult)
    (told,) = result.FilterResult.WhereClauseResult.ElementResults
    assert int(told.StatusCode.value) == element_code
    assert [int(c.value) for c in told.OperandStatusCodes] == operand_codes


async def test_only_notifiers_can_be_monitored_for_events(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        codes = [
            int((await watch(client, node)).result.StatusCode.value)
            for node in (ua.NodeId("nobody", 2), ua.NodeId(f"{STATION}.Tags.Result.Seq", 2), ua.NodeId(f"{STATION}.Tags", 2))
        ]
        assert codes == [StatusCodes.BadNodeIdUnknown, StatusCodes.BadAttributeIdInvalid, StatusCodes.BadNotSupported]
        empty = await watch(client, clauses=[])
        assert int(empty.result.StatusCode.value) == StatusCodes.BadEventFilterInvalid


async def test_lost_events_show_in_the_queue_itself(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        watcher = await watch(client, queue=1)
        assert watcher.result.RevisedQueueSize == MIN_QUEUE
        for n in range(MIN_QUEUE + 5):
            emit(stand, str(n))
        seen = await watcher.wait(MIN_QUEUE + 1)
        assert seen[0]["EventType"] == ua.NodeId(ObjectIds.EventQueueOverflowEventType)
        assert [e["Message"].Text for e in seen[1:]] == [str(n) for n in range(5, MIN_QUEUE + 5)]
        await watcher.newest()
        assert len(seen) == MIN_QUEUE + 1


async def test_items_of_events_can_be_changed_and_end(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        watcher = await watch(client)
        emit(stand, "one")
        await watcher.wait(1)
        mode = ua.SetMonitoringModeParameters(
            SubscriptionId=watcher.subscription, MonitoringMode=ua.MonitoringMode.Disabled, MonitoredItemIds=[watcher.item]
        )
        await client.uaclient.set_monitoring_mode(mode)
        emit(stand, "unseen")
        mode.MonitoringMode = ua.MonitoringMode.Reporting
        await client.uaclient.set_monitoring_mode(mode)
        asked = ua.EventFilter(SelectClauses=[select("Message"), CONDITION_ID])
        asked.WhereClause.Elements = [element(Op.Equals, select("Severity"), literal(7, ua.VariantType.UInt16))]
        item = ua.MonitoredItemModifyRequest(
            MonitoredItemId=watcher.item, RequestedParameters=ua.MonitoringParameters(ClientHandle=7, Filter=asked, QueueSize=1)
        )
        modify = ua.ModifyMonitoredItemsParameters(
            SubscriptionId=watcher.subscription, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToModify=[item]
        )
        (changed,) = await client.uaclient.modify_monitored_items(modify)
        changed.StatusCode.check()
        watcher.names = ["Message"]
        emit(stand, "of another severity")
        emit(stand, "seven", severity=7)
        await watcher.wait(2)
        asked.WhereClause.Elements = [element(Op.Not)]
        (refused,) = await client.uaclient.modify_monitored_items(modify)
        assert int(refused.StatusCode.value) == StatusCodes.BadEventFilterInvalid
        emit(stand, "seven again", severity=7)
        await watcher.wait(3)
        assert [e["Message"].Text for e in watcher.seen] == ["one", "seven", "seven again"]
        gone = ua.DeleteMonitoredItemsParameters(SubscriptionId=watcher.subscription, MonitoredItemIds=[watcher.item])
        (code,) = await client.uaclient.delete_monitored_items(gone)
        code.check()
        emit(stand, "nobody listens", severity=7)
        assert (await watcher.newest())["Message"].Text == "seven again"


async def test_a_subscription_has_so_many_items_of_events(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        watcher = await watch(client)
        item = ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=SERVER, AttributeId=ua.AttributeIds.EventNotifier),
            RequestedParameters=ua.MonitoringParameters(Filter=ua.EventFilter(SelectClauses=[select("Message")])),
        )
        create = ua.CreateMonitoredItemsParameters(
            SubscriptionId=watcher.subscription,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=[item] * MAX_EVENT_ITEMS,
        )
        codes = [int(r.StatusCode.value) for r in await client.uaclient.create_monitored_items(create)]
    assert codes == [0] * (MAX_EVENT_ITEMS - 1) + [StatusCodes.BadTooManyMonitoredItems]


async def test_whoever_has_many_items_of_events_leaves_one_to_everybody(
    stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_items, "MAX_SHARED", 3)
    item = ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=SERVER, AttributeId=ua.AttributeIds.EventNotifier),
        RequestedParameters=ua.MonitoringParameters(Filter=ua.EventFilter(SelectClauses=[select("Message")])),
    )
    codes: list[list[int]] = []
    async with stand.connected() as many, stand.connected(user="operator") as few:
        for client in (many, few):
            made = await client.create_subscription(1000, mock.Mock())
            create = ua.CreateMonitoredItemsParameters(
                SubscriptionId=made.subscription_id,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToCreate=[item] * (4 if client is many else 2),
            )
            codes.append([int(r.StatusCode.value) for r in await client.uaclient.create_monitored_items(create)])
    full = StatusCodes.BadTooManyMonitoredItems
    assert codes == [[0, 0, 0, full], [0, full]]


async def test_a_wrong_field_is_a_mistake_of_the_caller(stand: OpcUaStand) -> None:
    with pytest.raises(KeyError):
        emit(stand, fields={"Nonsense": ua.Variant(1, ua.VariantType.Int32)})
    with pytest.raises(ValueError, match="Severity"):
        emit(stand, fields={"Severity": ua.Variant(1, ua.VariantType.Int32)})
