"""The alarms of every line as acknowledgeable conditions: their events, and the methods by which clients deal with them.

One condition an alarm code and station, of the class of OPC 40100-1 that the code's table names. What a person does is kept
on the disk before it is answered Good, and clears no cause. It must not know a database; who keeps a line's conditions is
attached when the line is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_server import InternalServer
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.access import Role
from gateway.opcua.alarm_texts import ALARMS, Kind
from gateway.opcua.condition import MAX_COMMENT, Condition, ConditionError, LineConditions, Trouble
from gateway.opcua.condition_nodes import ConditionNodes
from gateway.opcua.event_data import EventData, localized, text, utc
from gateway.opcua.event_types import standard
from gateway.opcua.events import Events
from gateway.opcua.methods import Caller, Method, Methods, argument
from gateway.opcua.mv.namespace import mv
from gateway.opcua.refresh import Refresh
from gateway.opcua.subscriptions import Subscriptions

Deed = Literal["acknowledge", "confirm", "comment"]

TYPES: dict[Kind, ua.NodeId] = {"Warning": mv(1034), "Error": mv(1035), "PersistentError": mv(1036)}
STALE = int(StatusCodes.UncertainNoCommunicationLastUsableValue)
_AT_FIRST = frozenset({"EventId", "Time", "ReceiveTime"})
"""What a condition that never came does not have."""
_CODES: dict[Trouble, int] = {
    "unknown condition": StatusCodes.BadNodeIdUnknown,
    "unknown event": StatusCodes.BadEventIdUnknown,
    "already acknowledged": StatusCodes.BadConditionBranchAlreadyAcked,
    "already confirmed": StatusCodes.BadConditionBranchAlreadyConfirmed,
    "not saved": StatusCodes.BadResourceUnavailable,
}
_BASE = ("EventId", "EventType", "SourceNode", "SourceName", "Time", "ReceiveTime", "Message", "Severity")


class Keeper(Protocol):
    """Who keeps the conditions of one line."""

    conditions: LineConditions

    def do(self, deed: Deed, code: str, event_id: bytes | None, comment: str, user: str, *, audit: bool = True) -> None:
        """Carry out what a person asked for, with the audit trail if ``audit``; it is on the disk when this returns.

        Raises ConditionError, and nothing has changed then.
        """

    def confirm_all(self, comment: str, user: str) -> int:
        """Confirm whatever waits for it, all or nothing; return how many they were. As :meth:`do`."""


class Conditions:
    """All conditions of one server."""

    def __init__(self, iserver: InternalServer, subscriptions: Subscriptions, events: Events, methods: Methods) -> None:
        """Register the methods; each is the type's own, called on a condition."""
        self._events = events
        self._nodes = ConditionNodes(iserver, events.types)
        self._keepers: dict[str, Keeper] = {}
        self._of: dict[ua.NodeId, tuple[str, str]] = {}
        self._told: dict[tuple[str, str], EventData] = {}
        self._names: dict[str, list[str]] = {}
        self._showing = asyncio.Lock()
        seen = (argument("EventId", ObjectIds.ByteString), argument("Comment", ObjectIds.LocalizedText))
        deeds: tuple[tuple[int, Deed], ...] = (
            (ObjectIds.AcknowledgeableConditionType_Acknowledge, "acknowledge"),
            (ObjectIds.AcknowledgeableConditionType_Confirm, "confirm"),
            (ObjectIds.ConditionType_AddComment, "comment"),
        )
        for number, deed in deeds:
            methods.add(Method(inputs=seen, role=Role.OPERATOR, handler=self._handler(deed)), ids=[standard(number)])
        for number, answer in (
            (ObjectIds.ConditionType_Enable, StatusCodes.BadConditionAlreadyEnabled),
            (ObjectIds.ConditionType_Disable, StatusCodes.BadNotSupported),
        ):
            methods.add(Method(role=Role.OPERATOR, handler=self._refusing(answer)), ids=[standard(number)])
        Refresh(subscriptions, self.retained, self._of).add_to(methods)

    def build(self, station: str) -> None:
        """Add the station's conditions, each with its class; they wait until :meth:`attach`."""
        self._nodes.folder(station)
        for code, meaning in ALARMS.items():
            names = [*_BASE, *fields_of(Condition(code=code), fed=True)]
            node = self._nodes.condition(station, code, TYPES[meaning.kind], f"{meaning.title}. {meaning.remedy}", names)
            self._of[node] = (station, code)
            self._names[code] = names

    async def attach(self, station: str, keeper: Keeper) -> None:
        """Show the conditions of a line that is there now, as they were kept."""
        self._keepers[station] = keeper
        keeper.conditions.changes()
        for each in keeper.conditions.all:
            self._event(station, each)
            await self._show(station, each.code)

    async def show(self, station: str) -> None:
        """Tell what has changed since the last call: one event a change, and then the nodes."""
        changes = self._keepers[station].conditions.changes()
        for each in changes:
            self._events.tell(self._event(station, each))
        for code in dict.fromkeys(each.code for each in changes):
            await self._show(station, code)

    async def acknowledge(self, station: str, code: str, user: str, comment: str, *, audit: bool = True) -> str:
        """Acknowledge whatever stands now of a condition; return '' or why that cannot be.

        ``audit`` is False for a caller that has written down who asked for what.
        """
        try:
            await self._do(station, "acknowledge", code, None, comment, user, audit=audit)
        except ConditionError as error:
            return error.why
        return ""

    async def confirm_all(self, station: str, user: str, comment: str) -> int:
        """Confirm every condition of a station that is acknowledged and not confirmed; return how many they were.

        Raises ServiceError when that could not be kept: then none is.
        """
        if station not in self._keepers:  # its line is not there yet
            raise ServiceError(StatusCodes.BadOutOfService)
        try:
            count = self._keepers[station].confirm_all(comment, user)
        except ConditionError as error:
            raise ServiceError(_CODES[error.why]) from error
        await self.show(station)
        return count

    def retained(self) -> list[EventData]:
        """Return the last event of every condition that somebody must look at."""
        return [
            self._told[station, each.code]
            for station, keeper in self._keepers.items()
            for each in keeper.conditions.all
            if each.retain and (station, each.code) in self._told
        ]

    async def _do(
        self, station: str, deed: Deed, code: str, event_id: bytes | None, comment: str, user: str, *, audit: bool = True
    ) -> None:
        keeper = self._keepers.get(station)
        if keeper is None:
            raise ConditionError("unknown condition")
        keeper.do(deed, code, event_id, comment, user, audit=audit)
        await self.show(station)

    def _handler(self, deed: Deed) -> Any:
        async def call(caller: Caller, object_id: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
            station, code = self._condition(object_id)
            event_id, comment = bytes(args[0] or b""), str((args[1] and args[1].Text) or "")[:MAX_COMMENT]
            try:
                await self._do(station, deed, code, event_id, comment, caller.user_name)
            except ConditionError as error:
                raise ServiceError(_CODES[error.why]) from error
            return []

        return call

    def _refusing(self, answer: int) -> Any:
        async def call(caller: Caller, object_id: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
            self._condition(object_id)
            raise ServiceError(answer)

        return call

    def _condition(self, object_id: ua.NodeId) -> tuple[str, str]:
        if object_id in self._of:
            return self._of[object_id]
        a_type = self._events.types.known(object_id)
        raise ServiceError(StatusCodes.BadNodeIdInvalid if a_type else StatusCodes.BadNodeIdUnknown)

    def _event(self, station: str, each: Condition) -> EventData:
        meaning = ALARMS[each.code]
        event = self._events.event(
            station,
            TYPES[meaning.kind],
            severity=meaning.severity,
            message=message_of(each),
            fields=fields_of(each, fed=self._keepers[station].conditions.fed),
            time_ns=each.time_ns,
            event_id=bytes.fromhex(each.event_id),
            condition=f"Conditions.{each.code}",
        )
        self._told[station, each.code] = event
        return event

    async def _show(self, station: str, code: str) -> None:
        async with self._showing:  # what is written last is what was told last
            each = self._keepers[station].conditions[code]
            names = [n for n in self._names[code] if each.event_id or n not in _AT_FIRST]
            await self._nodes.show(self._told[station, code], names, utc(each.time_ns).Value)


def message_of(each: Condition) -> str:
    """Return what a person reads, with the remedy while there is something to do."""
    meaning = ALARMS[each.code]
    detail = f": {each.detail}" if each.detail else ""
    if each.active:
        times = f" ({each.count} times)" if each.count > 1 else ""
        return f"{meaning.title}{detail}{times}. {meaning.remedy}"
    return f"Over: {meaning.title}{detail}." if each.event_id else f"Not active: {meaning.title}."


def fields_of(each: Condition, *, fed: bool) -> dict[str, ua.Variant]:
    """Return the fields of a condition's event beside those of every event; ``fed`` says whether they are so now."""
    meaning = ALARMS[each.code]
    acked = "Acknowledged" if each.acked else "Unacknowledged"
    confirmed = "Confirmed" if each.confirmed else "Unconfirmed"
    quality = ua.StatusCode(ua.UInt32(StatusCodes.Good if fed else STALE))
    return {
        "ConditionClassId": ua.Variant(standard(ObjectIds.SystemConditionClassType), ua.VariantType.NodeId),
        "ConditionClassName": localized("System"),
        "ConditionName": text(each.code),
        "BranchId": ua.Variant(ua.NodeId(), ua.VariantType.NodeId),
        "Retain": _boolean(each.retain),
        "EnabledState": localized("Enabled"),
        "EnabledState/Id": _boolean(True),
        "EnabledState/EffectiveDisplayName": localized(f"{'Active' if each.active else 'Inactive'} | {acked} | {confirmed}"),
        "Quality": ua.Variant(quality, ua.VariantType.StatusCode),
        "Quality/SourceTimestamp": utc(each.time_ns),
        "LastSeverity": ua.Variant(meaning.severity, ua.VariantType.UInt16),
        "LastSeverity/SourceTimestamp": utc(each.active_ns),
        "Comment": localized(each.comment),
        "Comment/SourceTimestamp": utc(each.comment_ns or each.active_ns),
        "ClientUserId": text(each.user),
        "AckedState": localized(acked),
        "AckedState/Id": _boolean(each.acked),
        "AckedState/TransitionTime": utc(each.active_ns if not each.acked else each.acked_ns),
        "ConfirmedState": localized(confirmed),
        "ConfirmedState/Id": _boolean(each.confirmed),
        "ConfirmedState/TransitionTime": utc(each.acked_ns if not each.confirmed else each.confirmed_ns),
        "ErrorString": text(each.code),
        "ErrorCode": ua.Variant(meaning.number, ua.VariantType.UInt64),
        "StopReaction": _boolean(meaning.stops),
        "BlockReaction": _boolean(meaning.stops),
    }


def _boolean(value: bool) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.Boolean)
