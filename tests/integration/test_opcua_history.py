"""HistoryRead over the wire: pages, bounds, refusals, and what the nodes and the server say of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua import history
from tests.integration.history_stand import BEGIN, Past, history_stand, part
from tests.integration.opcua_stand import node, until
from tests.integration.services_stand import LINE, ServicesStand, services_stand

pytestmark = pytest.mark.asyncio(loop_scope="module")
PARTS = 2500
END = BEGIN + timedelta(seconds=PARTS)


def at(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def past(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Past]:
    async with history_stand(tmp_path_factory.mktemp("history"), PARTS) as past:
        yield past


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(past: Past) -> AsyncIterator[Client]:
    async with past.connected() as client:
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
    async with past.connected() as other:
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
    numbers = [len(r.HistoryData.DataValues) for r in results]
    assert 0 < numbers[0] <= history.MAX_VALUES // 4 and max(numbers) <= history.MAX_VALUES // 4
    more = await ask(client, raw(at(0), END), *names, points=[r.ContinuationPoint for r in results])
    assert more[0].HistoryData.DataValues[0].SourceTimestamp == at(numbers[0])


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
    await past.durable()
    while one.ContinuationPoint:
        (one,) = await ask(client, details, "Result.PartId", points=[one.ContinuationPoint])
        told += [v.Value.Value for v in one.HistoryData.DataValues]
    assert told == list(range(PARTS + 5))


async def test_services_that_were_killed_tell_the_same_past() -> None:
    async with services_stand() as stand:
        await stand.control.start()
        await stand.start()
        await stand.warm_up()
        await until(lambda: noted(stand) >= 2, "the imaging's health is noted")
        before = await told(stand)
        assert [v for v, _, _ in before["Counters.Total"]] == list(range(1, 31))
        assert before["Health.Imaging"][0][0] is None
        await stand.kill()
        for _ in range(5):
            stand.part("scratch")
        await stand.start()
        await stand.processed()
        after = await told(stand)
        for tag, values in before.items():
            assert after[tag][: len(values)] == values
        assert [v for v, _, _ in after["Counters.Total"]] == list(range(1, 36))
        assert [v for v, _, _ in after["Result.Ok"]] == [True] * 30 + [False] * 5
        assert [v for v, _, _ in after["Params.PressForce"]] == [100.0]


def noted(stand: ServicesStand) -> int:
    """Return how many changes of the imaging's health are written down."""
    return int(stand._ask("SELECT count(*) FROM history_notes WHERE line = ?", LINE))


async def told(stand: ServicesStand) -> dict[str, list[tuple[Any, int, datetime]]]:
    """Return all that tags were: value, status code and time."""
    past = {}
    async with stand.connected() as client:
        for tag in ("Counters.Total", "Result.Ok", "Result.ResultId", "Params.PressForce", "Health.Imaging"):
            here = client.get_node(f"ns=2;s={LINE}.Cam1.Tags.{tag}")
            end = datetime.now(UTC) + timedelta(days=1)
            values = await here.read_raw_history(BEGIN - timedelta(days=3650), end, return_bounds=False)
            past[tag] = [(v.Value.Value if v.Value else None, v.StatusCode.value, v.SourceTimestamp) for v in values]
    return past
