"""What the OPC UA library does with events and conditions, for which we have code of our own: it goes when these tests fail."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

from asyncua import Node, ua
from asyncua.common.events import get_event_obj_from_type_node
from asyncua.server.internal_server import InternalServer
from asyncua.server.monitored_item_service import MonitoredItemService, WhereClauseEvaluator
from asyncua.ua.object_ids import ObjectIds

CONDITION = ua.NodeId(ObjectIds.AcknowledgeableConditionType)


def of_type(type_id: ua.NodeId) -> ua.ContentFilter:
    operand = ua.LiteralOperand(Value=ua.Variant(type_id, ua.VariantType.NodeId))
    element = ua.ContentFilterElement(FilterOperator=ua.FilterOperator.OfType, FilterOperands=[operand])
    return ua.ContentFilter(Elements=[element])


def evaluate(where: ua.ContentFilter, event_type: ua.NodeId) -> bool:
    evaluator = WhereClauseEvaluator(logging.getLogger("test"), InternalServer().aspace, where)
    return evaluator.eval(SimpleNamespace(EventType=event_type))


async def test_fields_without_a_default_go_out_as_null() -> None:
    server = InternalServer()
    await server.init()
    try:
        kind = await Node(server.isession, ua.NodeId(ObjectIds.BaseEventType)).add_object_type(2, "Kind")
        await kind.add_property(2, "Number", None, ua.VariantType.Null, ua.NodeId(ObjectIds.UInt16))
        event: Any = await get_event_obj_from_type_node(kind)
        clause = ua.SimpleAttributeOperand(kind.nodeid, [ua.QualifiedName("Number", 2)], ua.AttributeIds.Value)
        event.Number = 5
        (field,) = event.to_event_fields([clause])
        assert field.VariantType == ua.VariantType.Null
    finally:
        await server.stop()


def test_of_type_is_equality() -> None:
    assert evaluate(of_type(CONDITION), CONDITION)
    assert not evaluate(of_type(CONDITION), ua.NodeId(ObjectIds.AlarmConditionType)), "its subtype"


async def test_an_event_is_told_at_one_node_alone() -> None:
    items = MonitoredItemService(SimpleNamespace(data=SimpleNamespace(SubscriptionId=1)), InternalServer().aspace)  # type: ignore[arg-type]
    items._monitored_events[ua.NodeId(ObjectIds.Server)] = [1]
    assert not await items.trigger_event(SimpleNamespace(emitting_node=ua.NodeId("station", 2)))


async def test_the_methods_of_conditions_do_nothing() -> None:
    server = InternalServer()
    await server.init()
    try:
        numbers = (
            ObjectIds.ConditionType_ConditionRefresh,
            ObjectIds.ConditionType_AddComment,
            ObjectIds.AcknowledgeableConditionType_Acknowledge,
            ObjectIds.AcknowledgeableConditionType_Confirm,
        )
        assert [server.aspace[ua.NodeId(n)].call for n in numbers] == [None] * 4
    finally:
        await server.stop()
