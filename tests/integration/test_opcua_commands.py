"""Commands and parameters over a real channel, by plain writes: what is taken, what is refused, and how it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.desk import Done, LastCommand, Order, What
from gateway.opcua.flat import CMD_RESULTS
from tests.integration.opcua_stand import OpcUaStand, node, nothing_left, opcua_stand, read

pytestmark = pytest.mark.asyncio(loop_scope="module")
STATION = "Line1.Cam1"
OVEN = "Params.Oven_Temp"
BOOL, INT, UINT, FLOAT, TEXT = (
    ua.VariantType.Boolean,
    ua.VariantType.Int32,
    ua.VariantType.UInt32,
    ua.VariantType.Float,
    ua.VariantType.String,
)
LAST = Order(station=STATION, user="operator", what=What.ERROR_RESET, number=40)


class FakeDesk:
    """Does what the test says, when it says so."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.refusals: list[tuple[str, str, str, str, str]] = []
        self.done = Done(ok=True, text="confirmed")
        self.go = asyncio.Event()
        self.go.set()

    async def ask(self, order: Order) -> Done:
        self.orders.append(order)
        await self.go.wait()
        return self.done

    def refused(self, station: str, user: str, node: str, value: str, status: str) -> None:
        self.refusals.append((station, user, node, value, status))

    def last_command(self, station: str) -> LastCommand | None:
        done = Done(ok=False, text="nobody knows", why="silent")
        return LastCommand(number=40, order=LAST, done=done) if station == STATION else None


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk() -> FakeDesk:
    return FakeDesk()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory, desk: FakeDesk) -> AsyncIterator[OpcUaStand]:
    async with opcua_stand(tmp_path_factory.mktemp("opcua"), desk) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _afresh(stand: OpcUaStand, desk: FakeDesk) -> AsyncIterator[None]:
    commands = stand.server._commands[STATION]
    await commands.open()
    async with nothing_left(stand):
        yield
    desk.orders.clear()
    desk.refusals.clear()
    desk.done = Done(ok=True, text="confirmed")
    desk.go.set()


async def write(client: Client, *values: tuple[str, Any, ua.VariantType], **how: Any) -> list[str]:
    """Write tags in one request and return the names of the status codes."""
    asked = [
        ua.WriteValue(node(client, tag).nodeid, AttributeIds.Value, Value=ua.DataValue(ua.Variant(value, kind)), **how)
        for tag, value, kind in values
    ]
    codes = await client.uaclient.session.write(ua.WriteParameters(asked))
    return [c.name for c in codes]


async def echo(client: Client, number: int) -> tuple[str, str]:
    """Wait until this command has ended; return its result and text."""
    async with asyncio.timeout(10):
        while True:
            done, result, text = (v.Value.Value for v in await read(client, "Cmd.CmdSeqDone", "Cmd.CmdResult", "Cmd.CmdText"))
            if done == number:
                return CMD_RESULTS[result], text
            await asyncio.sleep(0.01)


def request(number: int, tag: str, *arguments: tuple[str, Any, ua.VariantType]) -> list[tuple[str, Any, ua.VariantType]]:
    """Return a command as one request, its request tag first: the order in a request means nothing."""
    return [(f"Cmd.{tag}", True, BOOL), ("Cmd.CmdSeq", number, UINT), *arguments]


# --- a command -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "arguments", "order"),
    [
        ("TestRun", (), {"what": What.TEST_RUN}),
        ("ErrorReset", (), {"what": What.ERROR_RESET}),
        ("CounterReset", (), {"what": What.COUNTER_RESET}),
        ("RecipeSelect", (("Cmd.RecipeNo", 3, INT),), {"what": What.RECIPE, "value": 3}),
        ("Acknowledge", (("Cmd.AckCode", "OVERLOAD", TEXT),), {"what": What.ACKNOWLEDGE, "name": "OVERLOAD"}),
    ],
)
async def test_a_rising_edge_is_one_order_with_an_echo(
    stand: OpcUaStand, desk: FakeDesk, tag: str, arguments: Any, order: dict[str, Any]
) -> None:
    desk.done = Done(ok=True, text="confirmed: as the PLC says")
    async with stand.connected(user="engineer") as client:
        assert await write(client, *request(41, tag, *arguments)) == ["Good"] * (2 + len(arguments))
        assert await echo(client, 41) == ("Done", "confirmed: as the PLC says")
        assert (await read(client, f"Cmd.{tag}"))[0].Value.Value is False
        assert await write(client, (f"Cmd.{tag}", False, BOOL)) == ["Good"], "as PLC programs do"
    assert desk.orders == [Order(station=STATION, user="engineer", number=41, **order)]
    assert desk.refusals == []


async def test_what_is_written_again_is_not_done_again(stand: OpcUaStand, desk: FakeDesk) -> None:
    async with stand.connected(user="operator") as client:
        assert await write(client, *request(41, "TestRun")) == ["Good"] * 2
        assert await echo(client, 41) == ("Done", "confirmed")
        assert await write(client, *request(41, "TestRun")) == ["Good"] * 2, "taken before"
        assert (await read(client, "Cmd.TestRun"))[0].Value.Value is False
        assert await write(client, ("Cmd.TestRun", False, BOOL), ("Cmd.CmdSeq", 41, UINT)) == ["Good"] * 2
    async with stand.connected(user="operator") as client:  # whose answer was lost with its connection
        assert await write(client, *request(41, "TestRun")) == ["Good"] * 2, "a number that was taken"
        assert await echo(client, 41) == ("Done", "confirmed")
    assert len(desk.orders) == 1


async def test_a_request_that_was_left_true_does_not_stop_another_client(stand: OpcUaStand, desk: FakeDesk) -> None:
    async with stand.connected(user="operator") as client:
        assert await write(client, *request(41, "ErrorReset")) == ["Good"] * 2
    async with stand.connected(user="engineer") as client:
        assert await echo(client, 41) == ("Done", "confirmed")
        assert await write(client, *request(42, "ErrorReset")) == ["Good"] * 2
        assert await echo(client, 42) == ("Done", "confirmed")
        assert (await read(client, "Cmd.ErrorReset"))[0].Value.Value is False
    assert [(o.number, o.user) for o in desk.orders] == [(41, "operator"), (42, "engineer")]


async def test_a_number_that_was_used_is_refused_for_another_command(stand: OpcUaStand, desk: FakeDesk) -> None:
    async with stand.connected(user="operator") as client:
        assert await write(client, *request(40, "TestRun")) == ["BadSequenceNumberInvalid", "Good"], "taken before the restart"
        assert await write(client, *request(39, "TestRun")) == ["BadSequenceNumberInvalid", "Good"], "long ago"
        assert await write(client, *request(0, "TestRun")) == ["BadSequenceNumberInvalid", "Good"], "none"
        assert (await read(client, "Cmd.TestRun"))[0].Value.Value is False
        assert await write(client, *request(1000, "TestRun")) == ["Good"] * 2
        assert (await echo(client, 1000))[0] == "Done"
    assert [o.number for o in desk.orders] == [1000]
    assert len(desk.refusals) == 3 and desk.refusals[0][-1] == "BadSequenceNumberInvalid"


async def test_a_restart_tells_how_the_last_command_ended_and_does_not_repeat_it(stand: OpcUaStand, desk: FakeDesk) -> None:
    async with stand.connected(user="operator") as client:
        assert await echo(client, 40) == ("NoAnswer", "nobody knows")
        assert await write(client, *request(40, "ErrorReset")) == ["Good"] * 2, "the same command, sent again"
    assert desk.orders == []


async def test_one_command_at_a_time(stand: OpcUaStand, desk: FakeDesk) -> None:
    desk.go.clear()
    async with stand.connected(user="operator") as one, stand.connected(user="engineer") as other:
        assert await write(one, *request(41, "TestRun")) == ["Good"] * 2
        done, result = (v.Value.Value for v in await read(one, "Cmd.CmdSeqDone", "Cmd.CmdResult"))
        assert (done, CMD_RESULTS[result]) == (40, "Running")
        assert (await read(one, "Cmd.TestRun"))[0].Value.Value is True
        assert await write(one, *request(41, "TestRun")) == ["Good"] * 2, "the same once more"
        assert await write(other, *request(41, "ErrorReset")) == ["BadInvalidState", "Good"]
        assert await write(other, *request(42, "ErrorReset")) == ["BadInvalidState", "Good"]
        desk.go.set()
        assert await echo(one, 41) == ("Done", "confirmed")
        assert await write(other, *request(42, "ErrorReset")) == ["Good"] * 2
        assert await echo(other, 42) == ("Done", "confirmed")
    assert [(o.number, o.user) for o in desk.orders] == [(41, "operator"), (42, "engineer")]


async def test_two_clients_do_not_mix_their_numbers_and_arguments(stand: OpcUaStand, desk: FakeDesk) -> None:
    async with stand.connected(user="engineer") as one, stand.connected(user="engineer") as other:
        assert await write(one, ("Cmd.CmdSeq", 41, UINT), ("Cmd.RecipeNo", 1, INT)) == ["Good"] * 2
        assert await write(other, ("Cmd.CmdSeq", 77, UINT), ("Cmd.RecipeNo", 2, INT)) == ["Good"] * 2
        assert await write(one, ("Cmd.RecipeSelect", True, BOOL)) == ["Good"]
        assert (await echo(one, 41))[0] == "Done"
    assert [(o.number, o.value) for o in desk.orders] == [(41, 1)]


async def test_an_argument_must_be_given(stand: OpcUaStand, desk: FakeDesk) -> None:
    async with stand.connected(user="engineer") as client:
        assert await write(client, *request(41, "RecipeSelect")) == ["BadInvalidArgument", "Good"]
        assert await write(client, *request(41, "Acknowledge")) == ["BadInvalidArgument", "Good"]
    assert desk.orders == []


@pytest.mark.parametrize(("why", "result"), [("refused", "Refused"), ("silent", "NoAnswer"), ("range", "Refused")])
async def test_a_command_that_fails_says_so(stand: OpcUaStand, desk: FakeDesk, why: Any, result: str) -> None:
    desk.done = Done(ok=False, text="because", why=why)
    async with stand.connected(user="operator") as client:
        assert await write(client, *request(41, "TestRun")) == ["Good"] * 2
        assert await echo(client, 41) == (result, "because")


async def test_numbers_go_round(stand: OpcUaStand, desk: FakeDesk) -> None:
    commands = stand.server._commands[STATION]
    commands._last = Order(station=STATION, user="operator", what=What.TEST_RUN, number=0xFFFFFFFF)
    async with stand.connected(user="operator") as client:
        assert await write(client, *request(1, "TestRun")) == ["Good"] * 2
        assert (await echo(client, 1))[0] == "Done"


async def test_nothing_is_taken_before_the_line_is_there(stand: OpcUaStand, desk: FakeDesk) -> None:
    async with stand.connected(user="engineer") as client:
        tag = ua.NodeId("Line2.Cam1.Tags.Cmd.TestRun", 2)
        asked = ua.WriteValue(tag, AttributeIds.Value, Value=ua.DataValue(ua.Variant(True, BOOL)))
        codes = await client.uaclient.session.write(ua.WriteParameters([asked]))
        assert codes[0].name == "BadInvalidState"
    assert desk.orders == []


# --- who may, and what fits --------------------------------------------------------------------------------------------------


DENIED, NO_NUMBER = "BadUserAccessDenied", "BadSequenceNumberInvalid"


@pytest.mark.parametrize(
    ("user", "levels", "codes"),
    [
        ("viewer", [1, 1, 1, 1, 1, 5, 5], [DENIED] * 3),
        ("operator", [3, 3, 3, 1, 1, 5, 5], [NO_NUMBER, DENIED, DENIED]),
        ("engineer", [3, 3, 3, 3, 3, 7, 5], [NO_NUMBER, "BadInvalidArgument", "Good"]),
    ],
)
async def test_each_role_may_write_what_is_its_own(
    stand: OpcUaStand, desk: FakeDesk, user: str, levels: list[int], codes: list[str]
) -> None:
    tags = ["Cmd.TestRun", "Cmd.CmdSeq", "Cmd.AckCode", "Cmd.RecipeNo", "Cmd.RecipeSelect", "Params.Oven_Temp", "Result.Ok"]
    async with stand.connected(user=user) as client:
        nodes = [node(client, t) for t in tags]
        told = await client.read_attributes(nodes, AttributeIds.UserAccessLevel)
        assert [v.Value.Value for v in told] == levels
        told = await client.read_attributes(nodes, AttributeIds.AccessLevel)
        assert [v.Value.Value for v in told] == [3] * 5 + [7, 5], "what the node allows at all; some have a past"
        asked = [("Cmd.TestRun", True, BOOL), ("Cmd.RecipeSelect", True, BOOL), (OVEN, 180.0, FLOAT)]
        assert await write(client, *asked) == codes
    assert [o.user for o in desk.orders] == (["engineer"] if user == "engineer" else [])
    refused = (STATION, user, f"{STATION}.Tags.{OVEN}", "180.0", DENIED)
    assert (refused in desk.refusals) is (user != "engineer"), "it is written down"


@pytest.mark.parametrize(
    ("tag", "value", "kind", "how", "code"),
    [
        (OVEN, 300.5, FLOAT, {}, "BadOutOfRange"),
        (OVEN, 19.0, FLOAT, {}, "BadOutOfRange"),
        (OVEN, float("nan"), FLOAT, {}, "BadOutOfRange"),
        (OVEN, float("inf"), FLOAT, {}, "BadOutOfRange"),
        (OVEN, 180.0, ua.VariantType.Double, {}, "BadTypeMismatch"),
        (OVEN, 180, INT, {}, "BadTypeMismatch"),
        (OVEN, "180", TEXT, {}, "BadTypeMismatch"),
        (OVEN, [180.0], FLOAT, {}, "BadTypeMismatch"),
        (OVEN, None, ua.VariantType.Null, {}, "BadTypeMismatch"),
        (OVEN, 180.0, FLOAT, {"IndexRange": "0"}, "BadIndexRangeInvalid"),
        ("Params.Speed", 12.0, FLOAT, {}, "BadNotWritable"),
        ("Result.Ok", True, BOOL, {}, "BadNotWritable"),
        ("Cmd.CmdSeqDone", 41, UINT, {}, "BadNotWritable"),
        ("Nothing.There", 1, INT, {}, "BadNodeIdUnknown"),
        ("Params.Oven_Temp.EURange", 1, INT, {}, "BadNotWritable"),
        ("Cmd.AckCode", "X" * 257, TEXT, {}, "BadOutOfRange"),
        ("Cmd.AckCode", "a\x00b", TEXT, {}, "BadOutOfRange"),
        ("Cmd.AckCode", "\udcff", TEXT, {}, "BadOutOfRange"),
        ("Cmd.AckCode", None, TEXT, {}, "BadTypeMismatch"),
        ("Cmd.CmdSeq", 41, INT, {}, "BadTypeMismatch"),
        ("Cmd.TestRun", 1, INT, {}, "BadTypeMismatch"),
    ],
)
async def test_what_does_not_fit_is_refused_before_anybody_is_asked(
    stand: OpcUaStand, desk: FakeDesk, tag: str, value: Any, kind: ua.VariantType, how: dict[str, Any], code: str
) -> None:
    async with stand.connected(user="engineer") as client:
        assert await write(client, (tag, value, kind), **how) == [code]
    assert desk.orders == []


async def test_only_values_can_be_written_and_only_good_ones(stand: OpcUaStand, desk: FakeDesk) -> None:
    async with stand.connected(user="engineer") as client:
        oven = node(client, OVEN).nodeid
        value = ua.DataValue(ua.Variant(180.0, FLOAT))
        bad = ua.DataValue(ua.Variant(180.0, FLOAT), StatusCode=ua.StatusCode(ua.UInt32(StatusCodes.BadNoData)))
        asked = [
            ua.WriteValue(oven, AttributeIds.DisplayName, Value=value),
            ua.WriteValue(oven, AttributeIds.AccessLevel, Value=value),
            ua.WriteValue(oven, AttributeIds.Value, Value=bad),
        ]
        codes = await client.uaclient.session.write(ua.WriteParameters(asked))
        assert [c.name for c in codes] == ["BadNotWritable", "BadNotWritable", "BadWriteNotSupported"]
        too_many = await client.uaclient.session.write(ua.WriteParameters([asked[0]] * 2000))
        assert len(too_many) == 2000
        with pytest.raises(ua.uaerrors.BadTooManyOperations):
            await client.uaclient.session.write(ua.WriteParameters([asked[0]] * 2001))
    assert desk.orders == []


# --- a parameter -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("", "Good"),
        ("refused", "BadRequestNotAllowed"),
        ("range", "BadOutOfRange"),
        ("soon", "BadTooManyOperations"),
        ("unsent", "BadInvalidState"),
        ("silent", "BadTimeout"),
    ],
)
async def test_a_parameter_is_written_when_the_plc_holds_it(stand: OpcUaStand, desk: FakeDesk, why: Any, code: str) -> None:
    desk.done = Done(ok=not why, text="because", why=why)
    async with stand.connected(user="engineer") as client:
        before = await read(client, OVEN)
        assert await write(client, (OVEN, 180.1, FLOAT)) == [code]
        assert await read(client, OVEN) == before, "the tag shows what the PLC says, not what was asked of it"
    assert desk.orders == [Order(station=STATION, user="engineer", what=What.ADJUST, name="Oven.Temp", value=180.1)]
    assert bool(desk.refusals) is bool(why)


async def test_a_client_that_sends_a_timestamp_is_heard(stand: OpcUaStand, desk: FakeDesk) -> None:
    async with stand.connected(user="engineer") as client:
        await node(client, OVEN).write_value(ua.DataValue(ua.Variant(180.0, FLOAT), SourceTimestamp=ua.DateTime.now()))
    assert len(desk.orders) == 1
