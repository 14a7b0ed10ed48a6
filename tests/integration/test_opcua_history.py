"""HistoryRead over the wire: pages, bounds, refusals, and what the nodes and the server say of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.core.events import PartJudged
from gateway.opcua import history
from gateway.opcua.station import Counters
from gateway.record.journal import Journal, JournalReader
from gateway.record.ops import OpsDatabase
from gateway.services.archive import JournalArchive
from gateway.services.config import LineServices
from gateway.services.marks import HistoryMarks
from tests.integration.opcua_stand import PASSED, SECOND, T0, OpcUaStand, node, opcua_stand, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
PARTS = 2500
BEGIN = datetime.fromtimestamp(T0 / SECOND, UTC)
"""The first part's picture; one a second follows, so that the microsecond of each is 0."""
END = BEGIN + timedelta(seconds=PARTS)


def at(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


def part(n: int) -> PartJudged:
    """Return part ``n``, whose picture was taken ``n`` seconds after the beginning."""
    what: dict[str, Any] = {"disposition": "FAIL", "defect": "scratch", "label": "scratch"} if n % 5 == 0 else {}
    return replace(PASSED, seq=0, part_id=n, t_utc_ns=T0 + n * SECOND + 20_000_000, **what)


@dataclass
class Past:
    stand: OpcUaStand
    journal: Journal
    ops: OpsDatabase
    marks: HistoryMarks
    counters: Counters

    def record(self, parts: list[PartJudged]) -> None:
        """Take parts as services does."""
        numbered = [replace(p, seq=self.journal.append(p)) for p in parts]
        reader = JournalReader(self.journal.path)
        for p in numbered:
            self.marks.take(p, reader.identity(), self.counters)
            self.counters.count(p)
        reader.close()
        with self.ops.transaction():
            self.marks.save()
        self.marks.saved()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def past(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Past]:
    folder = tmp_path_factory.mktemp("history")
    line = LineServices(
        name="Line1", cameras=["Cam1"], journal=folder / "j.db", records_socket=folder / "r", commands_socket=folder / "c"
    )
    ops, journal = OpsDatabase(folder / "ops.db"), Journal(folder / "j.db")
    others = [line.model_copy(update={"name": name, "journal": folder / f"{name}.db"}) for name in ("Line2", "Line9")]
    archive = JournalArchive([line, *others], ops, clock=lambda: 1)
    async with opcua_stand(folder, archive=archive) as stand:
        it = Past(stand, journal, ops, HistoryMarks("Line1", ops, state_seq=0), Counters())
        it.record([part(n) for n in range(PARTS)])
        await until(lambda: not journal.pending()[0], "the journal is written")
        yield it
    archive.close()
    journal.close()
    ops.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(past: Past) -> AsyncIterator[Client]:
    async with past.stand.connected() as client:
        yield client


def raw(start: datetime | None = None, end: datetime | None = None, count: int = 0, **how: Any) -> ua.ReadRawModifiedDetails:
    details = ua.ReadRawModifiedDetails(IsReadModified=False, NumValuesPerNode=count, ReturnBounds=False)
    details.StartTime, details.EndTime = start or ua.get_win_epoch(), end or ua.get_win_epoch()
    for name, value in how.items():
        setattr(details, name, value)
    return details


async def ask(
    client: Client,
    details: Any,
    *names: str,
    points: list[bytes | None] | None = None,
    times: ua.TimestampsToReturn = ua.TimestampsToReturn.Source,
    release: bool = False,
    **of_node: Any,
) -> list[ua.HistoryReadResult]:
    params = ua.HistoryReadParameters(HistoryReadDetails=details, TimestampsToReturn=times, ReleaseContinuationPoints=release)
    for n, name in enumerate(names):
        one = ua.HistoryReadValueId(NodeId=node(client, name).nodeid, **of_node)
        one.ContinuationPoint = points[n] if points else None
        params.NodesToRead.append(one)
    return list(await client.uaclient.history_read(params))


def code(result: ua.HistoryReadResult) -> int:
    return int(result.StatusCode.value)


async def test_a_client_reads_all_pages(client: Client) -> None:
    told = await node(client, "Result.PartId").read_raw_history(at(0), END, return_bounds=False)
    assert [v.Value.Value for v in told] == list(range(PARTS))
    assert [v.SourceTimestamp for v in told] == [at(n) for n in range(PARTS)]
    back = await node(client, "Result.PartId").read_raw_history(END, at(-1), return_bounds=False)
    assert [v.Value.Value for v in back] == list(range(PARTS))[::-1]


async def test_two_clients_read_at_once_and_keep_their_places(past: Past, client: Client) -> None:
    async with past.stand.connected() as other:
        a, b = await asyncio.gather(
            node(client, "Counters.Total").read_raw_history(at(0), END, return_bounds=False),
            node(other, "Result.Ok").read_raw_history(at(0), END, return_bounds=False),
        )
        assert [v.Value.Value for v in a] == list(range(1, PARTS + 1))
        assert [v.Value.Value for v in b] == [n % 5 != 0 for n in range(PARTS)]
        (first,) = await ask(client, raw(at(0), END), "Result.Ok")
        (foreign,) = await ask(other, raw(at(0), END), "Result.Ok", points=[first.ContinuationPoint])
        assert code(foreign) == StatusCodes.BadContinuationPointInvalid


async def test_what_a_client_asks_for_once_it_gets(client: Client) -> None:
    seq = node(client, "Result.PartId")
    told = await seq.read_raw_history(at(10), None, 3, return_bounds=False)
    assert [v.Value.Value for v in told] == [10, 11, 12]
    told = await seq.read_raw_history(None, at(10.5), 3, return_bounds=False)
    assert [v.Value.Value for v in told] == [10, 9, 8]
    told = await seq.read_raw_history(at(-5), at(1.5), return_bounds=True)
    assert [v.Value.Value for v in told] == [None, 0, 1, 2]
    assert told[0].StatusCode.value == StatusCodes.BadBoundNotFound and told[0].SourceTimestamp == at(-5)
    (nothing,) = await ask(client, raw(at(0.1), at(0.2)), "Result.PartId")
    assert code(nothing) == StatusCodes.GoodNoData and nothing.HistoryData.DataValues == []
    (limited,) = await ask(client, raw(at(0), END, 7), "Result.PartId")
    assert len(limited.HistoryData.DataValues) == 7 and limited.ContinuationPoint


async def test_many_nodes_share_what_an_answer_holds(client: Client) -> None:
    names = ("Result.Ok", "Result.DefectName", "Counters.NotOk", "Result.Score")
    results = await ask(client, raw(at(0), END), *names)
    assert [len(r.HistoryData.DataValues) for r in results] == [history.MAX_VALUES // 4] * 4
    points = [r.ContinuationPoint for r in results]
    more = await ask(client, raw(at(0), END), *names, points=points)
    assert more[0].HistoryData.DataValues[0].SourceTimestamp == at(history.MAX_VALUES // 4)


async def test_arrays_are_read_in_part(client: Client) -> None:
    (whole,) = await ask(client, raw(at(0), at(2)), "Defects.Class")
    assert whole.HistoryData.DataValues[0].Value.Value == ["scratch"] + [""] * 15
    (some,) = await ask(client, raw(at(0), at(2)), "Defects.Class", IndexRange="0:1")
    assert [v.Value.Value for v in some.HistoryData.DataValues] == [["scratch", ""], ["", ""]]
    assert [v.SourceTimestamp for v in some.HistoryData.DataValues] == [at(0), at(1)]
    (none,) = await ask(client, raw(at(0), at(2)), "Result.Ok", IndexRange="0:1")
    assert code(none) == StatusCodes.BadIndexRangeDataMismatch
    (invalid,) = await ask(client, raw(at(0), at(2)), "Defects.Class", IndexRange="1:0")
    assert code(invalid) == StatusCodes.BadIndexRangeInvalid


async def test_what_is_wrong_is_refused(client: Client) -> None:
    fine = raw(at(0), END)
    for details, name, of_node, expected in (
        (raw(at(0), END, IsReadModified=True), "Result.Ok", {}, StatusCodes.BadHistoryOperationUnsupported),
        (ua.ReadProcessedDetails(), "Result.Ok", {}, StatusCodes.BadHistoryOperationUnsupported),
        (ua.ReadAtTimeDetails(), "Result.Ok", {}, StatusCodes.BadHistoryOperationUnsupported),
        (ua.ReadEventDetails(), "Result.Ok", {}, StatusCodes.BadHistoryOperationUnsupported),
        (raw(at(0)), "Result.Ok", {}, StatusCodes.BadHistoryOperationInvalid),
        (fine, "Status.Fps", {}, StatusCodes.BadHistoryOperationUnsupported),
        (fine, "Result.Nothing", {}, StatusCodes.BadNodeIdUnknown),
        (fine, "Result.Ok", {"DataEncoding": ua.QualifiedName("Default XML")}, StatusCodes.BadDataEncodingInvalid),
    ):
        (result,) = await ask(client, details, name, **of_node)
        assert code(result) == expected, (details, name)
    for times, expected in (
        (ua.TimestampsToReturn.Neither, StatusCodes.BadTimestampsToReturnInvalid),
        (ua.TimestampsToReturn.Server, StatusCodes.BadTimestampNotSupported),
    ):
        with pytest.raises(ua.UaStatusCodeError) as error:
            await ask(client, fine, "Result.Ok", times=times)
        assert error.value.code == expected
    (both,) = await ask(client, fine, "Result.Ok", times=ua.TimestampsToReturn.Both)
    assert both.HistoryData.DataValues[0].SourceTimestamp == at(0)
    for many, expected in ((0, StatusCodes.BadNothingToDo), (history.MAX_NODES + 1, StatusCodes.BadTooManyOperations)):
        with pytest.raises(ua.UaStatusCodeError) as error:
            await ask(client, fine, *["Result.Ok"] * many)
        assert error.value.code == expected


async def test_a_place_is_good_once_for_its_own_request(client: Client) -> None:
    async def place() -> bytes | None:
        (first,) = await ask(client, raw(at(0), END, 5), "Result.Ok")
        return bytes(first.ContinuationPoint)

    for details, name, of_node in (
        (raw(at(1), END, 5), "Result.Ok", {}),
        (raw(at(0), END, 6), "Result.Ok", {}),
        (raw(at(0), END, 5), "Result.NotOk", {}),
    ):
        (result,) = await ask(client, details, name, points=[await place()], **of_node)
        assert code(result) == StatusCodes.BadContinuationPointInvalid
    used = await place()
    expected = [0, StatusCodes.BadContinuationPointInvalid]
    assert [code((await ask(client, raw(at(0), END, 5), "Result.Ok", points=[used]))[0]) for _ in range(2)] == expected
    given_back = await place()
    details = raw(at(0), END, 5)
    assert code((await ask(client, details, "Result.Ok", points=[given_back], release=True))[0]) == 0
    for release in (True, False):
        (gone,) = await ask(client, details, "Result.Ok", points=[given_back], release=release)
        assert code(gone) == StatusCodes.BadContinuationPointInvalid


async def test_the_oldest_places_are_given_up(client: Client) -> None:
    details, names = raw(at(0), at(100), 1), ["Result.Ok"] * 50
    first = [r.ContinuationPoint for r in await ask(client, details, *names)]
    for _ in range(history.MAX_POINTS // 50):
        last = [r.ContinuationPoint for r in await ask(client, details, *names)]
    (old,) = await ask(client, details, "Result.Ok", points=[first[0]])
    (new,) = await ask(client, details, "Result.Ok", points=[last[0]])
    assert (code(old), code(new)) == (StatusCodes.BadContinuationPointInvalid, 0)
    assert len({*first, *last}) == 100 and all(len(p or b"") == 16 for p in first)


async def test_nodes_and_server_say_what_has_a_past(client: Client) -> None:
    for name, readable in (("Result.Ok", True), ("Params.Speed", True), ("Health.Imaging", True), ("Status.Fps", False)):
        here = node(client, name)
        levels = [
            (await here.read_attribute(a)).Value.Value for a in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel)
        ]
        assert [bool(v & 4) for v in levels] == [readable] * 2
        assert (await here.read_attribute(ua.AttributeIds.Historizing)).Value.Value is readable
        configurations = await here.get_referenced_nodes(ObjectIds.HasHistoricalConfiguration)
        assert len(configurations) == readable
        if readable:
            stepped = await configurations[0].get_child("0:Stepped")
            assert await stepped.read_value() is True
    for number, expected in {**history.CAPABILITIES, **history.PERCENTS}.items():
        assert await client.get_node(ua.NodeId(number)).read_value() == expected
    limit = ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData
    assert await client.get_node(ua.NodeId(limit)).read_value() == history.MAX_NODES


async def test_what_comes_while_a_client_reads_is_read_too(past: Past, client: Client) -> None:
    details = raw(at(0), at(PARTS + 10))
    (one,) = await ask(client, details, "Result.PartId")
    told = [v.Value.Value for v in one.HistoryData.DataValues]
    past.record([part(n) for n in range(PARTS, PARTS + 5)])
    await until(lambda: not past.journal.pending()[0], "the journal is written")
    while one.ContinuationPoint:
        (one,) = await ask(client, details, "Result.PartId", points=[one.ContinuationPoint])
        told += [v.Value.Value for v in one.HistoryData.DataValues]
    assert told == list(range(PARTS + 5))
