"""Records legal requests of every service, as the server decrypts them, from a client that uses them all."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import struct
from collections.abc import Awaitable
from typing import Any

from asyncua import Client, ua
from asyncua.ua.ua_binary import nodeid_from_binary, nodeid_to_binary

from gateway.opcua.channel import Processor
from gateway.opcua.decode import Bounded


class Told:
    """A subscription's handler."""

    def datachange_notification(self, *change: object) -> None:
        """Take nothing."""

    def event_notification(self, event: object) -> None:
        """Take nothing."""


async def legal(client: Client, station: str) -> tuple[dict[int, list[bytes]], dict[str, bytes]]:
    """Use every service; return the requests by kind, and the encodings of the session's token and of a subscription's id."""
    seeds: dict[int, list[bytes]] = collections.defaultdict(list)
    inner = Processor.process_message

    async def recording(self: Processor, seqhdr: Any, body: Any) -> Any:
        data = bytes(body)
        seeds[int(nodeid_from_binary(Bounded(data)).Identifier)].append(data)
        return await inner(self, seqhdr, body)

    Processor.process_message = recording  # type: ignore[method-assign]
    try:
        await client.connect_and_get_server_endpoints()
        async with client:
            token = nodeid_to_binary(client.uaclient.session.authentication_token)
            subscription = await _use(client, station)
        return dict(seeds), {"token": token, "subscription": struct.pack("<I", subscription)}
    finally:
        Processor.process_message = inner  # type: ignore[method-assign]


async def tried(asking: Awaitable[Any]) -> None:
    """Ask, whatever the answer."""
    with contextlib.suppress(ua.UaError, asyncio.TimeoutError):
        await asking


async def _use(client: Client, station: str) -> int:
    u, tags = client.uaclient, f"ns=2;s={station}.Tags"
    names = ("Status.Ready", "Result.Seq", "Result.Score", "Defects.Class", "Image.Thumb", "Cmd.TestRun", "Params.Oven_Temp")
    nodes = [client.get_node(f"{tags}.{n}") for n in names]
    ids = [n.nodeid for n in nodes]
    await client.find_servers()
    await client.read_attributes(nodes, ua.AttributeIds.Value)
    for attribute in (ua.AttributeIds.UserAccessLevel, ua.AttributeIds.DataType, ua.AttributeIds.DisplayName):
        await client.read_attributes(nodes, attribute)
    part = ua.ReadValueId(ids[3], ua.AttributeIds.Value, IndexRange="1:2")
    await tried(u.read(ua.ReadParameters(NodesToRead=[part])))
    for id, value, kind in (
        (ids[5], True, ua.VariantType.Boolean),
        (ids[6], 180.0, ua.VariantType.Float),
        (ids[3], [1, 2], ua.VariantType.Int32),
        (ids[0], "x", ua.VariantType.String),
    ):
        asked = ua.WriteValue(id, ua.AttributeIds.Value, Value=ua.DataValue(ua.Variant(value, kind)))
        await tried(u.write(ua.WriteParameters([asked])))
    await client.nodes.objects.get_children_descriptions()
    what = ua.BrowseDescription(
        NodeId=client.nodes.server.nodeid,
        BrowseDirection=ua.BrowseDirection.Both,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.References),
        IncludeSubtypes=True,
        ResultMask=ua.UInt32(63),
    )
    (page,) = await u.browse(ua.BrowseParameters(RequestedMaxReferencesPerNode=ua.UInt32(3), NodesToBrowse=[what]))
    await tried(u.browse_next(ua.BrowseNextParameters(False, [page.ContinuationPoint])))
    await tried(client.nodes.objects.get_child([f"2:{station}", "2:Tags", "2:Status"]))
    await tried(u.register_nodes(ids))
    await tried(u.unregister_nodes(ids))
    for method, arguments in (
        (ua.ObjectIds.Server_GetMonitoredItems, [ua.Variant(ua.UInt32(1), ua.VariantType.UInt32)]),
        (ua.ObjectIds.ConditionType_ConditionRefresh, [ua.Variant(ua.UInt32(1), ua.VariantType.UInt32)]),
    ):
        asked = ua.CallMethodRequest(ua.NodeId(ua.ObjectIds.Server), ua.NodeId(method), arguments)
        await tried(u.call([asked]))
    for method in ("ResultManagement.GetResultById", "ResultManagement.GetResultListFiltered", "VisionStateMachine.Reset"):
        owner = ua.NodeId(f"{station}.{method.rpartition('.')[0]}", 2)
        texts = [ua.Variant("x", ua.VariantType.String), ua.Variant(1, ua.VariantType.Int32)]
        await tried(u.call([ua.CallMethodRequest(owner, ua.NodeId(f"{station}.{method}", 2), texts)]))
    await _history(client, ids)
    await _nodes(client, ids)
    return await _subscriptions(client, nodes)


async def _history(client: Client, ids: list[ua.NodeId]) -> None:
    details = ua.ReadRawModifiedDetails(IsReadModified=False, NumValuesPerNode=ua.UInt32(10), ReturnBounds=True)
    details.StartTime = details.EndTime = ua.DateTime(2026, 5, 4)
    params = ua.HistoryReadParameters(HistoryReadDetails=details, ReleaseContinuationPoints=False)
    params.NodesToRead = [ua.HistoryReadValueId(NodeId=id) for id in ids[:2]]
    await tried(client.uaclient.history_read(params))


async def _nodes(client: Client, ids: list[ua.NodeId]) -> None:
    """Ask for what nobody may do."""
    item = ua.AddNodesItem(BrowseName=ua.QualifiedName("x", 2), NodeAttributes=ua.ObjectAttributes())
    item.ParentNodeId = ua.ExpandedNodeId(ua.Int32(85))
    item.RequestedNewNodeId = ua.ExpandedNodeId(ua.String("x"), 2)
    await tried(client.uaclient.add_nodes([item]))
    await tried(client.uaclient.delete_nodes(ua.DeleteNodesParameters([ua.DeleteNodesItem(NodeId=ids[0])])))


async def _subscriptions(client: Client, nodes: list[Any]) -> int:
    u = client.uaclient
    subscription = await client.create_subscription(100, Told())
    number = int(subscription.subscription_id)
    handles = await subscription.subscribe_data_change(nodes)
    await tried(subscription.deadband_monitor(nodes[2], 0.5))
    await tried(subscription.subscribe_events(client.nodes.server))
    await tried(subscription.modify_monitored_item(handles[0], 200.0, 5))
    await tried(subscription.set_monitoring_mode(ua.MonitoringMode.Sampling))
    await tried(subscription.set_publishing_mode(False))
    await asyncio.sleep(0.3)
    await tried(u.modify_subscription(ua.ModifySubscriptionParameters(SubscriptionId=number)))
    await tried(u.session._send_request(republish(number)))  # noqa: SLF001 - the library's client has no word for it
    await tried(u.session._send_request(transfer(number)))  # noqa: SLF001
    await tried(subscription.unsubscribe(handles[0]))
    await tried(u.delete_subscriptions([number + 1000]))
    return number


def republish(number: int) -> ua.RepublishRequest:
    """Return a request for a notification that was not acknowledged."""
    request = ua.RepublishRequest()
    request.Parameters = ua.RepublishParameters(SubscriptionId=number, RetransmitSequenceNumber=1)
    return request


def transfer(number: int) -> ua.TransferSubscriptionsRequest:
    """Return a request to take a subscription over."""
    request = ua.TransferSubscriptionsRequest()
    request.Parameters = ua.TransferSubscriptionsParameters(SubscriptionIds=[number], SendInitialValues=True)
    return request
