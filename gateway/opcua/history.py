"""HistoryRead: raw values of the tags that have a past, page by page, read and encoded in the archive's thread.

The library's own history keeps the values a second time, takes 12 ms and more for each, and knows no tags with names as ids.
Where a client stopped is kept in its session, under a random name that is good once. It must not know a record.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import AddressSpace
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.ua_binary import struct_to_binary

from gateway.core.errors import GatewayError
from gateway.core.tags import Quality
from gateway.opcua.archive import Archive, NoArchive
from gateway.opcua.past import Asked, Page, PastValue, Place, Source, begin, page
from gateway.opcua.quality import status_code
from gateway.opcua.ranges import part
from gateway.opcua.tree import variant

MAX_NODES = 50
"""In one request."""
MAX_POINTS = 100
"""Places where one session may have stopped; the oldest are given up."""
MAX_VALUES = 500
"""In one answer, of all its nodes together."""
READ_S = 0.5
"""For one request; of the nodes that are left then nothing is read yet. Clients give up connections that are silent for 1 s."""

CAPABILITIES: dict[int, bool | int] = {
    ObjectIds.HistoryServerCapabilities_AccessHistoryDataCapability: True,
    ObjectIds.HistoryServerCapabilities_AccessHistoryEventsCapability: False,
    ObjectIds.HistoryServerCapabilities_InsertDataCapability: False,
    ObjectIds.HistoryServerCapabilities_ReplaceDataCapability: False,
    ObjectIds.HistoryServerCapabilities_UpdateDataCapability: False,
    ObjectIds.HistoryServerCapabilities_DeleteRawCapability: False,
    ObjectIds.HistoryServerCapabilities_DeleteAtTimeCapability: False,
    ObjectIds.HistoryServerCapabilities_InsertEventCapability: False,
    ObjectIds.HistoryServerCapabilities_ReplaceEventCapability: False,
    ObjectIds.HistoryServerCapabilities_UpdateEventCapability: False,
    ObjectIds.HistoryServerCapabilities_DeleteEventCapability: False,
    ObjectIds.HistoryServerCapabilities_InsertAnnotationCapability: False,
    ObjectIds.HistoryServerCapabilities_ServerTimestampSupported: False,
    ObjectIds.HistoryServerCapabilities_MaxReturnDataValues: MAX_VALUES,
    ObjectIds.HistoryServerCapabilities_MaxReturnEventValues: 0,
    ObjectIds.HAConfiguration_Stepped: True,
    ObjectIds.HAConfiguration_AggregateConfiguration_TreatUncertainAsBad: True,
    ObjectIds.HAConfiguration_AggregateConfiguration_UseSlopedExtrapolation: False,
}
"""What the server tells of its history, and of each tag's: a value stands until the next one."""
PERCENTS = {
    ObjectIds.HAConfiguration_AggregateConfiguration_PercentDataBad: 100,
    ObjectIds.HAConfiguration_AggregateConfiguration_PercentDataGood: 100,
}

EXTRA_DATA = 0x0400 | 0x0008
"""Bits of a StatusCode: there are older values of the same time."""
_NOTHING = ua.DataValue()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A node that has a past."""

    line: str
    tag: str
    type: ua.VariantType
    parts: bool
    """Whether its values are arrays or texts, of which a part can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stopped:
    """What a continuation point stands for: it is of no use for anything else."""

    node: ua.NodeId
    range: str
    asked: Asked
    place: Place


class Points:
    """Where one session has stopped."""

    def __init__(self) -> None:
        """Start without any."""
        self._points: dict[bytes, _Stopped] = {}

    def add(self, stopped: _Stopped) -> ua.ByteString:
        """Return a new name for this place."""
        while len(self._points) >= MAX_POINTS:
            del self._points[next(iter(self._points))]
        name = secrets.token_bytes(16)
        self._points[name] = stopped
        return ua.ByteString(name)

    def take(self, name: bytes) -> _Stopped | None:
        """Return the place, once."""
        return self._points.pop(name, None)


class History:
    """The nodes that have a past, and what can be asked of it."""

    def __init__(self) -> None:
        """Start without any."""
        self.archive: Archive = NoArchive()
        """Who reads the past."""
        self._nodes: dict[ua.NodeId, Past] = {}

    def add(self, aspace: AddressSpace, node: ua.NodeId, past: Past) -> None:
        """Let clients read this node's past: its attributes say so, and where it says how."""
        self._nodes[node] = past
        data = aspace[node]
        level = data.attributes[AttributeIds.AccessLevel].value
        readable = 1 << ua.AccessLevel.HistoryRead
        told = ua.Variant(int(level.Value.Value) | readable if level and level.Value else readable, ua.VariantType.Byte)
        data.attributes[AttributeIds.AccessLevel].value = ua.DataValue(told)
        data.attributes[AttributeIds.Historizing].value = ua.DataValue(ua.Variant(True, ua.VariantType.Boolean))
        data.references.append(_configuration())

    async def read(
        self, known: Callable[[ua.NodeId], bool], points: Points, params: ua.HistoryReadParameters
    ) -> list[ua.HistoryReadResult]:
        """Answer a request; ``known`` says whether there is such a node, ``points`` is the session's.

        Raises ServiceError for one that is wrong as a whole.
        """
        asking = params.NodesToRead or ()
        if not asking:
            raise ServiceError(StatusCodes.BadNothingToDo)
        if len(asking) > MAX_NODES:
            raise ServiceError(StatusCodes.BadTooManyOperations)
        if params.ReleaseContinuationPoints:
            return [_released(points, one) for one in asking]
        if params.TimestampsToReturn == ua.TimestampsToReturn.Server:
            raise ServiceError(StatusCodes.BadTimestampNotSupported)
        if params.TimestampsToReturn not in (ua.TimestampsToReturn.Source, ua.TimestampsToReturn.Both):
            raise ServiceError(StatusCodes.BadTimestampsToReturnInvalid)
        details = params.HistoryReadDetails
        if not isinstance(details, ua.HistoryReadDetails):
            raise ServiceError(StatusCodes.BadHistoryOperationInvalid)
        if not isinstance(details, ua.ReadRawModifiedDetails) or details.IsReadModified:
            return [_bad(StatusCodes.BadHistoryOperationUnsupported) for _ in asking]
        asked = Asked(
            start_us=_microseconds(details.StartTime),
            end_us=_microseconds(details.EndTime),
            count=details.NumValuesPerNode,
            bounds=details.ReturnBounds,
        )
        if not asked.valid:
            return [_bad(StatusCodes.BadHistoryOperationInvalid) for _ in asking]
        most, until = max(1, MAX_VALUES // len(asking)), time.monotonic() + READ_S
        return [await self._one(known, points, one, asked, most, until) for one in asking]

    async def _one(
        self,
        known: Callable[[ua.NodeId], bool],
        points: Points,
        one: ua.HistoryReadValueId,
        asked: Asked,
        most: int,
        until: float,
    ) -> ua.HistoryReadResult:
        past = self._nodes.get(one.NodeId)
        if past is None:
            unknown = not known(one.NodeId)
            return _bad(StatusCodes.BadNodeIdUnknown if unknown else StatusCodes.BadHistoryOperationUnsupported)
        if one.DataEncoding is not None and one.DataEncoding.Name:
            return _bad(StatusCodes.BadDataEncodingInvalid)
        range = one.IndexRange or ""
        if range and not past.parts:
            return _bad(StatusCodes.BadIndexRangeDataMismatch)
        if range and part(_NOTHING, range) is not _NOTHING:
            return _bad(StatusCodes.BadIndexRangeInvalid)
        place = begin(asked)
        if one.ContinuationPoint:
            stopped = points.take(bytes(one.ContinuationPoint))
            if stopped is None or (stopped.node, stopped.range, stopped.asked) != (one.NodeId, range, asked):
                return _bad(StatusCodes.BadContinuationPointInvalid)
            place = stopped.place
        ask = partial(_answer, past=past, asked=asked, place=place, most=most, range=range)
        left_s = until - time.monotonic()
        try:
            if left_s > 0:
                told, body = await self.archive.past(past.line, past.tag, ask, limit_s=left_s)
            else:
                told, body = Page(values=(), next=place, told=place.told), _encoded((), past, "")
        except GatewayError:
            return _bad(StatusCodes.BadResourceUnavailable)
        result = ua.HistoryReadResult(HistoryData=_data(body))
        if told.next is not None:
            result.ContinuationPoint = points.add(_Stopped(node=one.NodeId, range=range, asked=asked, place=told.next))
        elif not told.told:
            result.StatusCode = _status(StatusCodes.GoodNoData)
        return result


def _answer(source: Source, *, past: Past, asked: Asked, place: Place, most: int, range: str) -> tuple[Page, bytes]:
    """Return one page and its values as they go over the wire. In the archive's thread: encoding takes longer than reading."""
    told = page(source, asked, place, most)
    return told, _encoded(told.values, past, range)


def _encoded(values: Sequence[PastValue], past: Past, range: str) -> bytes:
    data = [_value(value, past) for value in values]
    if range:
        data = [part(value, range) for value in data]
        for value, of in zip(data, values, strict=True):
            value.SourceTimestamp = _time(of.t_us)
    return bytes(struct_to_binary(ua.HistoryData(DataValues=data)))


def _value(value: PastValue, past: Past) -> ua.DataValue:
    update = value.update
    if update is None:
        return ua.DataValue(
            Value=ua.Variant(None, ua.VariantType.Null),
            StatusCode=_status(StatusCodes.BadBoundNotFound),
            SourceTimestamp=_time(value.t_us),
        )
    bad = update.quality is Quality.BAD
    code = status_code(update.quality, update.why) | (EXTRA_DATA if value.hides else 0)
    return ua.DataValue(
        Value=ua.Variant(None, ua.VariantType.Null) if bad else variant(update.value, past.type),
        StatusCode=_status(code),
        SourceTimestamp=_time(value.t_us),
    )


def _data(body: bytes) -> ua.ExtensionObject:
    kind = ua.NodeId(ua.Int32(ObjectIds.HistoryData_Encoding_DefaultBinary))
    return ua.ExtensionObject(TypeId=kind, Body=ua.ByteString(body))


def _released(points: Points, one: ua.HistoryReadValueId) -> ua.HistoryReadResult:
    known = points.take(bytes(one.ContinuationPoint or b"")) is not None
    return ua.HistoryReadResult() if known else _bad(StatusCodes.BadContinuationPointInvalid)


def _configuration() -> ua.ReferenceDescription:
    """Return the reference to the one description of how values are kept, which the standard's address space has."""
    reference = ua.ReferenceDescription()
    reference.ReferenceTypeId = ua.NodeId(ua.Int32(ObjectIds.HasHistoricalConfiguration))
    reference.IsForward = True
    reference.NodeId = ua.NodeId(ua.Int32(ObjectIds.HAConfiguration))
    reference.NodeClass = ua.NodeClass.Object
    reference.BrowseName = ua.QualifiedName("HA Configuration", 0)
    reference.DisplayName = ua.LocalizedText("HA Configuration")
    reference.TypeDefinition = ua.NodeId(ua.Int32(ObjectIds.HistoricalDataConfigurationType))
    return reference


def _microseconds(when: datetime | None) -> int | None:
    """Return a time in UTC microseconds; None for the one that means that none is given (1601, or before)."""
    if when is None:
        return None
    aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return None if aware.year <= 1601 else (aware - _EPOCH) // _MICROSECOND


def _time(t_us: int) -> ua.DateTime:
    when = _EPOCH + timedelta(microseconds=t_us)
    return ua.DateTime.fromtimestamp(when.timestamp(), UTC)


def _bad(code: int) -> ua.HistoryReadResult:
    return ua.HistoryReadResult(StatusCode=_status(code), HistoryData=_data(bytes(struct_to_binary(ua.HistoryData()))))


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))
