"""A client of events that asks with raw filters, and a line whose conditions are kept in a real operations database."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.ua.object_ids import ObjectIds

from gateway.core.events import Alarm, AlarmChanged
from gateway.record.ops import OpsDatabase
from gateway.services.audit import Audit
from gateway.services.conditions import KeptConditions
from tests.integration.opcua_stand import T0, OpcUaStand

STATION = "Line1.Cam1"
SERVER = ua.NodeId(ObjectIds.Server)
BASE = ua.NodeId(ObjectIds.BaseEventType)
FIELDS = (
    "EventId",
    "EventType",
    "SourceNode",
    "SourceName",
    "Message",
    "Severity",
    "Time",
    "ConditionName",
    "Retain",
    "AckedState/Id",
    "ConfirmedState/Id",
    "Comment",
    "ClientUserId",
    "Quality",
)


def path(name: str) -> list[ua.QualifiedName]:
    """Return ``3:ErrorCode`` or ``AckedState/Id`` as browse names."""
    parts = [p.rpartition(":") for p in name.split("/")]
    return [ua.QualifiedName(last, int(ns or 0)) for ns, _, last in parts]


def select(name: str, of: ua.NodeId = BASE) -> ua.SimpleAttributeOperand:
    """Return a select clause."""
    return ua.SimpleAttributeOperand(TypeDefinitionId=of, BrowsePath=path(name), AttributeId=ua.AttributeIds.Value)


CONDITION_ID = ua.SimpleAttributeOperand(
    TypeDefinitionId=ua.NodeId(ObjectIds.ConditionType), BrowsePath=[], AttributeId=ua.AttributeIds.NodeId
)


def literal(value: Any, kind: ua.VariantType) -> ua.LiteralOperand:
    """Return a literal."""
    return ua.LiteralOperand(Value=ua.Variant(value, kind))


def element(operator: ua.FilterOperator, *operands: Any) -> ua.ContentFilterElement:
    """Return one element of a where clause."""
    return ua.ContentFilterElement(FilterOperator=operator, FilterOperands=list(operands))


def of_type(type_id: ua.NodeId) -> ua.ContentFilterElement:
    """Return the element that takes one type and its subtypes."""
    return element(ua.FilterOperator.OfType, literal(type_id, ua.VariantType.NodeId))


@dataclass
class Watcher:
    """One monitored notifier; events come as dictionaries of plain values by field."""

    client: Client
    names: Sequence[str]
    subscription: int = 0
    item: int = 0
    result: ua.MonitoredItemCreateResult = field(default_factory=ua.MonitoredItemCreateResult)
    seen: list[dict[str, Any]] = field(default_factory=list)
    variants: list[list[ua.Variant]] = field(default_factory=list)

    async def take(self, published: ua.PublishResult) -> None:
        """Take a message."""
        for told in published.NotificationMessage.NotificationData or []:
            if isinstance(told, ua.EventNotificationList):
                for event in told.Events:
                    values = [v.Value for v in event.EventFields]
                    self.variants.append(event.EventFields)
                    self.seen.append(dict(zip([*self.names, "ConditionId"], values, strict=True)))

    async def wait(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many events, and return all."""
        async with asyncio.timeout(10):
            while len(self.seen) < count:  # noqa: ASYNC110 - the library calls back
                await asyncio.sleep(0.01)
        return self.seen

    async def newest(self) -> dict[str, Any]:
        """Return the newest event once nothing more comes."""
        count = -1
        while len(self.seen) != count:
            count = len(self.seen)
            await asyncio.sleep(0.3)
        return self.seen[-1]

    async def call(self, method: int, *args: ua.Variant, on: ua.NodeId | None = None) -> int:
        """Call a method of the standard by its declaration's number and return the status code."""
        request = ua.CallMethodRequest(
            ObjectId=on or ua.NodeId(ObjectIds.ConditionType), MethodId=ua.NodeId(method), InputArguments=list(args)
        )
        (result,) = await self.client.uaclient.call([request])
        return int(result.StatusCode.value)

    async def do(self, method: int, code: str, event_id: bytes, comment: str = "") -> int:
        """Acknowledge, confirm or comment."""
        words = ua.Variant(ua.LocalizedText(comment), ua.VariantType.LocalizedText)
        on = condition(code)
        return await self.call(method, ua.Variant(event_id, ua.VariantType.ByteString), words, on=on)

    async def refresh(self) -> int:
        """Ask for a refresh."""
        return await self.call(ObjectIds.ConditionType_ConditionRefresh, ua.Variant(self.subscription, ua.VariantType.UInt32))


async def watch(
    client: Client,
    notifier: ua.NodeId = SERVER,
    *where: ua.ContentFilterElement,
    names: Sequence[str] = FIELDS,
    clauses: Sequence[ua.SimpleAttributeOperand] | None = None,
    queue: int = 0,
    attribute: int = ua.AttributeIds.EventNotifier,
) -> Watcher:
    """Monitor a notifier; whether it could be stands in the watcher's ``result``."""
    watcher = Watcher(client, names)
    parameters = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=100, RequestedLifetimeCount=3000, RequestedMaxKeepAliveCount=10, PublishingEnabled=True
    )
    watcher.subscription = (await client.uaclient.create_subscription(parameters, watcher.take)).SubscriptionId
    asked = ua.EventFilter(SelectClauses=list(clauses) if clauses is not None else [*map(select, names), CONDITION_ID])
    asked.WhereClause = ua.ContentFilter(Elements=list(where))
    item = ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=notifier, AttributeId=attribute),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(ClientHandle=7, Filter=asked, QueueSize=queue, DiscardOldest=True),
    )
    create = ua.CreateMonitoredItemsParameters(
        SubscriptionId=watcher.subscription, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToCreate=[item]
    )
    (watcher.result,) = await client.uaclient.create_monitored_items(create)
    watcher.item = watcher.result.MonitoredItemId
    return watcher


def condition(code: str, station: str = STATION) -> ua.NodeId:
    """Return a condition's node."""
    return ua.NodeId(f"{station}.Conditions.{code}", 2)


def alarm(code: str = Alarm.CAMERA, active: bool = True, detail: str = "no sign of life", **more: Any) -> AlarmChanged:
    """Return a record of one alarm that is the only one."""
    values: dict[str, Any] = {"all_active": (code,) if active else (), "t_utc_ns": T0, "seq": 1, **more}
    return AlarmChanged(line="Line1", code=code, active=active, detail=detail, **values)


class Line:
    """Keeps one line's conditions as services does."""

    def __init__(self, stand: OpcUaStand, folder: Path, station: str = STATION) -> None:
        self.stand, self.station = stand, station
        self.ops = OpsDatabase(folder / "ops.db")
        audit = Audit(station, self.ops, time.monotonic)
        self.kept = KeptConditions("Line1", station, self.ops, audit, self.commit, lambda: T0)
        self.full = False

    def commit(self) -> bool:
        """Commit as the feed of the line does."""
        try:
            with self.ops.transaction():
                self.kept.save()
                if self.full:
                    raise sqlite3.OperationalError("database or disk is full")
        except sqlite3.OperationalError:
            return False
        self.kept.saved()
        return True

    async def start(self) -> None:
        """Show what is kept."""
        await self.stand.server.conditions.attach(self.station, self.kept)
        self.kept.conditions.alive(True, T0)
        await self.show()

    async def show(self) -> None:
        """Commit and tell."""
        assert self.commit()
        await self.stand.server.conditions.show(self.station)

    async def take(self, *records: AlarmChanged) -> None:
        """Take records one after the other."""
        for record in records:
            self.kept.take(record)
            await self.show()


@contextlib.asynccontextmanager
async def line(stand: OpcUaStand, folder: Path) -> AsyncIterator[Line]:
    """Keep the conditions of the stand's first line for a while."""
    line = Line(stand, folder)
    await line.start()
    try:
        yield line
    finally:
        line.ops.close()
