"""What an answer may hold and a request may name: counted, not measured in time."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import NotEnoughData, ServiceError
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.ua_binary import struct_to_binary

from gateway.opcua import budget
from gateway.opcua.budget import MAX_ANSWER, MAX_ELEMENTS, check_count, within
from gateway.opcua.decode import Bounded

HALF = MAX_ANSWER // 2


@pytest.mark.parametrize(
    "value",
    [
        bytes(HALF),
        "x" * HALF,
        [b"x" * 100] * (HALF // 100),
        [0.5] * (HALF // 8),
        [ua.LocalizedText("x" * 40)] * (HALF // 100),
    ],
    ids=["bytes", "text", "many of bytes", "numbers", "structures"],
)
def test_half_of_what_an_answer_holds_fits_and_thrice_as_much_does_not(value: Any) -> None:
    one = ua.DataValue(ua.Variant(value))
    within([ua.DataValue(ua.Variant(0.5)), ua.DataValue()])
    within([ua.DataValue(ua.Variant(value[: len(value) // 4]))])
    with pytest.raises(ServiceError) as refused:
        within([one] * 3)
    assert refused.value.code == StatusCodes.BadResponseTooLarge


def test_two_thousand_plain_values_fit() -> None:
    within([ua.DataValue(ua.Variant("a text of a tag, and not a short one"))] * MAX_ELEMENTS)


REQUESTS: list[tuple[str, Any]] = [
    ("Read", ua.ReadParameters(NodesToRead=[ua.ReadValueId()])),
    ("Write", ua.WriteParameters([ua.WriteValue()])),
    ("BrowseNext", ua.BrowseNextParameters(False, [b"x"])),
    ("CreateMonitoredItems", ua.CreateMonitoredItemsParameters(ItemsToCreate=[ua.MonitoredItemCreateRequest()])),
    ("ModifyMonitoredItems", ua.ModifyMonitoredItemsParameters(ItemsToModify=[ua.MonitoredItemModifyRequest()])),
    ("SetMonitoringMode", ua.SetMonitoringModeParameters(MonitoredItemIds=[1])),
    ("DeleteMonitoredItems", ua.DeleteMonitoredItemsParameters(MonitoredItemIds=[1])),
    ("SetPublishingMode", ua.SetPublishingModeParameters(SubscriptionIds=[1])),
    ("DeleteSubscriptions", ua.DeleteSubscriptionsParameters([1])),
    ("TransferSubscriptions", ua.TransferSubscriptionsParameters([1])),
    ("Publish", ua.PublishParameters([ua.SubscriptionAcknowledgement(1, 1)])),
]


@pytest.mark.parametrize(("name", "one"), REQUESTS, ids=[name for name, _ in REQUESTS])
def test_the_number_of_things_is_found_where_it_stands(name: str, one: Any) -> None:
    """One thing is let through; the same request, saying that it has many, is refused before that many are looked for."""
    typeid = ua.NodeId(getattr(ObjectIds, f"{name}Request_Encoding_DefaultBinary"))
    wire, at = struct_to_binary(one), budget._COUNT_AT[typeid]
    assert wire[at : at + 4] == struct.pack("<i", 1)
    body = Bounded(wire)
    check_count(typeid, body)
    assert len(body) == len(wire), "nothing of it is read"
    many = wire[:at] + struct.pack("<i", MAX_ELEMENTS + 1) + wire[at + 4 :]
    with pytest.raises(ServiceError) as refused:
        check_count(typeid, Bounded(many))
    assert refused.value.code == StatusCodes.BadTooManyOperations
    with pytest.raises(NotEnoughData):
        check_count(typeid, Bounded(wire[: at + 3]))


def test_a_request_without_such_an_array_is_let_through() -> None:
    check_count(ua.NodeId(ObjectIds.CloseSessionRequest_Encoding_DefaultBinary), Bounded(b""))
