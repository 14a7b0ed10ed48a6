"""A station as a vision system: a client finds typed structures, a state that follows the line, and methods that answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua
from asyncua.common.utils import ServiceError
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaStatusCodeError

from gateway.core.events import PartJudged
from gateway.core.handshake import ErrorCode, OfflineReason
from gateway.opcua.desk import Done, NobodyThere, Order, What
from gateway.opcua.mv.handles import MOST
from gateway.opcua.mv.ids import named, of
from gateway.opcua.mv.namespace import mv
from gateway.opcua.mv.recipe_calls import Recipe
from gateway.opcua.mv.station import VisionStation
from gateway.opcua.mv.structs import (
    ConfigurationIdDataType,
    JobIdDataType,
    MeasIdDataType,
    PartIdDataType,
    ProductIdDataType,
    RecipeIdExternalDataType,
    RecipeIdInternalDataType,
    ResultIdDataType,
)
from gateway.record.journal import Journal
from gateway.record.ops import OpsDatabase
from gateway.services.archive import JournalArchive
from gateway.services.config import LineServices
from gateway.services.parts import PartIndex
from tests.integration.opcua_stand import (
    CAPTURED_NS,
    PASSED,
    SECOND,
    T0,
    UP,
    OpcUaStand,
    node,
    nothing_left,
    opcua_stand,
    until,
)

STATION, OTHER = "Line1.Cam1", "Line2.Cam1"
CHECKSUM = 0x0BADCAFE
RECIPES = (Recipe(number=1, name="Small", model_id="surface/3"), Recipe(number=2, name="Large", model_id="surface/4"))
SMALL = replace(UP, recipe="Small")
CALM = "VisionStateMachine"
AUTOMATIC = "VisionStateMachine.AutomaticModeStateMachine"
RESULTS, CONFIGURATIONS, MANAGED = "ResultManagement", "ConfigurationManagement", "RecipeManagement"

Answer = tuple[int, list[int], list[Any]]


@dataclass(slots=True, kw_only=True)
class FakeDesk(NobodyThere):
    """Writes down what it is asked, and answers as told."""

    answer: Done = Done(ok=True, text="done")
    asked: list[Order] = field(default_factory=list)

    async def ask(self, order: Order) -> Done:
        self.asked.append(order)
        return self.answer


@dataclass(slots=True, kw_only=True)
class Stand:
    """The server with a journal behind it."""

    opcua: OpcUaStand
    desk: FakeDesk

    def vision(self, station: str = STATION) -> VisionStation:
        """Return a station as the server has it."""
        return self.opcua.server.vision[station]

    async def ready(self) -> None:
        """Let the station be ready with its first recipe."""
        await self.vision().tick(True, T0)
        await self.vision().take([SMALL])


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    folder = tmp_path_factory.mktemp("vision")
    with contextlib.ExitStack() as stack:
        ops = OpsDatabase(folder / "ops.db", clock=lambda: T0)
        stack.callback(ops.close)
        line = LineServices(
            name="Line1",
            cameras=["Cam1"],
            journal=folder / "journal.db",
            records_socket=folder / "r",
            commands_socket=folder / "c",
            config_checksum=CHECKSUM,
        )
        others = [line.model_copy(update={"name": name, "journal": folder / name}) for name in ("Line2", "Line9")]
        archive = JournalArchive([line, *others], ops, clock=lambda: T0 - SECOND)
        stack.callback(archive.close)
        keep(line.journal, ops)
        desk = FakeDesk()
        async with opcua_stand(folder, desk=desk, archive=archive, recipes=RECIPES) as opcua:
            yield Stand(opcua=opcua, desk=desk)


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _afresh(stand: Stand) -> AsyncIterator[None]:
    async with nothing_left(stand.opcua):
        yield
    stand.desk.asked.clear()
    stand.desk.answer = Done(ok=True, text="done")


def keep(path: Path, ops: OpsDatabase) -> None:
    """Have the parts in the journal and the index, as after a commit."""
    journal, index = Journal(path), PartIndex("Line1", ops)
    for part in parts():
        index.take(replace(part, seq=journal.append(part)))
    with ops.transaction():
        index.save()
    journal.close()


def parts() -> list[PartJudged]:
    """Return 130 parts of two jobs."""
    made = []
    for n in range(130):
        part = replace(
            PASSED,
            part_id=n + 1 if n < 65 else n - 64,
            epoch=0xA if n < 65 else 0xB,
            t_utc_ns=T0 + n * SECOND,
            disposition=("PASS", "FAIL", "NOT_INSPECTED")[n % 3],
            recipe=("Small", "Large")[n % 2],
            recipe_number=n % 2 + 1,
            model_id=("surface/3", "surface/4")[n % 2],
            product=f"P{n % 5}",
            camera="Cam1",
            frame_counter=n,
            seq=0,
        )
        made.append(part)
    return made


async def call(client: Client, owner: str, method: str | ua.NodeId, *args: Any, station: str = STATION) -> Answer:
    """Call a method by its own id, or by that of its declaration; return status, statuses of the arguments, and outputs."""
    request = ua.CallMethodRequest()
    request.ObjectId = ua.NodeId(ua.String(f"{station}.{owner}"), ua.Int16(2))
    request.MethodId = ua.NodeId(ua.String(f"{station}.{owner}.{method}"), ua.Int16(2)) if isinstance(method, str) else method
    request.InputArguments = [a if isinstance(a, ua.Variant) else ua.Variant(a) for a in args]
    (result,) = await client.uaclient.call([request])
    codes = [int(c.value) for c in result.InputArgumentResults or []]
    return int(result.StatusCode.value), codes, [v.Value for v in result.OutputArguments or []]


def i32(value: int) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.Int32)


def u32(value: int) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.UInt32)


def made(structure: Any, **fields: Any) -> ua.Variant:
    return ua.Variant(structure(**fields), ua.VariantType.ExtensionObject)


def search(*, most: int = 0, start: int = 0, timeout: int = 0, state: int = 0, **wanted: Any) -> list[ua.Variant]:
    """Return the arguments of GetResultListFiltered."""
    kinds = {
        "meas": MeasIdDataType,
        "part": PartIdDataType,
        "external": RecipeIdExternalDataType,
        "internal": RecipeIdInternalDataType,
        "external_configuration": ConfigurationIdDataType,
        "configuration": ConfigurationIdDataType,
        "product": ProductIdDataType,
        "job": JobIdDataType,
    }
    ids = [made(kind, Id=wanted[name]) if name in wanted else made(kind) for name, kind in kinds.items()]
    return [i32(state), *ids, u32(most), u32(start), i32(timeout)]


def found(answer: Answer) -> list[str]:
    """Return the part ids of a list of results."""
    status, _, outputs = answer
    assert status == 0, hex(status)
    assert outputs[1] == len(outputs[3])
    return [r.PartId.Id for r in outputs[3]]


async def value(client: Client, path: str, station: str = STATION) -> ua.DataValue:
    at = client.get_node(f"ns=2;s={station}.{path}")
    return await at.read_data_value(raise_on_bad_status=False)


# --- the tree and its types ------------------------------------------------------------------------------------------------


async def test_the_station_is_a_vision_system_with_its_tags_below_it(stand: Stand) -> None:
    async with stand.opcua.connected() as client:
        station = client.get_node(f"ns=2;s={STATION}")
        assert await station.read_type_definition() == of("VisionSystemType")
        names = [(await c.read_browse_name()).to_string() for c in await station.get_children()]
        assert "2:Tags" in names
        assert {"3:ConfigurationManagement", "3:RecipeManagement", "3:ResultManagement", "3:VisionStateMachine"} <= set(names)
        server = client.get_node(ua.ObjectIds.Server)
        assert station in await server.get_referenced_nodes(ua.ObjectIds.HasNotifier)
        assert (await station.read_attribute(ua.AttributeIds.EventNotifier)).Value.Value == 1
        # A client that knows only the specification's names gets there.
        path = ["3:VisionStateMachine", "3:AutomaticModeStateMachine", "0:CurrentState", "0:Number"]
        assert (await station.get_child(path)).nodeid.Identifier == f"{STATION}.{AUTOMATIC}.CurrentState.Number"


async def test_an_instance_has_all_that_its_type_makes_mandatory(stand: Stand) -> None:
    aspace = stand.opcua.iserver.aspace

    def targets(node: ua.NodeId, *kinds: str, forward: bool = True) -> list[ua.ReferenceDescription]:
        wanted = [named(kind) for kind in kinds]
        return [r for r in aspace[node].references if r.IsForward is forward and r.ReferenceTypeId in wanted]

    def mandatory(kind: ua.NodeId) -> set[str]:
        """Return the names of what the type and those above it make mandatory."""
        names: set[str] = set()
        for below in targets(kind, "HasComponent", "HasProperty"):
            if named("ModellingRule_Mandatory") in [r.NodeId for r in targets(below.NodeId, "HasModellingRule")]:
                names.add(below.BrowseName.to_string())
        for above in targets(kind, "HasSubtype", forward=False):
            names |= mandatory(above.NodeId)
        return names

    looked_at, waiting = 0, [ua.NodeId(STATION, 2)]
    while waiting:
        here = waiting.pop()
        below = targets(here, "HasComponent", "HasProperty")
        for kind in targets(here, "HasTypeDefinition"):
            missing = mandatory(kind.NodeId) - {r.BrowseName.to_string() for r in below}
            assert not missing, f"{here.Identifier} lacks {missing}"
            looked_at += 1
        waiting += [r.NodeId for r in below if r.BrowseName.Name not in ("Tags", "Conditions")]
    assert looked_at > 50


async def test_arguments_are_told_as_the_type_tells_them(stand: Stand) -> None:
    async with stand.opcua.connected() as client:
        own = client.get_node(f"ns=2;s={STATION}.{RESULTS}.GetResultListFiltered")
        declared = client.get_node(of("ResultManagementType.GetResultListFiltered"))
        for name in ("0:InputArguments", "0:OutputArguments"):
            mine, theirs = [await (await n.get_child(name)).read_value() for n in (own, declared)]
            assert [(a.Name, a.DataType, a.ValueRank) for a in mine] == [(a.Name, a.DataType, a.ValueRank) for a in theirs]


async def test_the_last_result_is_the_one_of_the_flat_tags(stand: Stand) -> None:
    async with stand.opcua.connected() as client:
        none = await value(client, f"{RESULTS}.Results.Last", "Line9.Cam1")
        assert none.StatusCode.value == StatusCodes.BadWaitingForInitialData
        await stand.vision().tick(True, T0)
        part = replace(PASSED, serial="S-1", product="P-9", recipe="Small", recipe_number=1, model_id="surface/3")
        await stand.opcua.show(SMALL, part)
        await stand.vision().take([SMALL, part])
        last = await value(client, f"{RESULTS}.Results.Last")
        result, tag = last.Value.Value, await node(client, "Result.ResultId").read_data_value()
        assert result.ResultId.Id == tag.Value.Value == "Line1-0000BEEF-41"
        assert last.SourceTimestamp == tag.SourceTimestamp
        assert int(last.SourceTimestamp.timestamp() * 1000) == CAPTURED_NS // 10**6
        assert (result.PartId.Id, result.PartId.Description.Text, result.ProductId.Id) == ("41", "S-1", "P-9")
        assert (result.InternalRecipeId.Id, result.InternalRecipeId.Version) == ("1", "surface/3")
        assert (result.ExternalRecipeId.Id, result.JobId.Id) == ("Small", "Line1-0000BEEF")
        assert (result.InternalConfigurationId.Id, result.InternalConfigurationId.Hash) == ("0BADCAFE", b"\x0b\xad\xca\xfe")
        assert (result.ResultState, result.IsPartial, result.HasTransferableDataOnFile) == (1, False, False)
        assert result.MeasId is None and result.ExternalConfigurationId is None and result.IsSimulated is None
        evaluation, disposition, label, score, labels, scores, reasons = [v.Value for v in result.ResultContent]
        assert (evaluation, disposition, label, score) == (1, "PASS", "good", 0.875)
        assert (labels, scores, reasons) == (["good", "scratch"], [0.875, 0.125], [])
        assert (await value(client, f"{RESULTS}.Results.Last.JobId")).Value.Value.Id == "Line1-0000BEEF"
        assert (await value(client, f"{RESULTS}.Results.Last.CreationTime")).SourceTimestamp == last.SourceTimestamp


async def test_a_client_that_knows_nothing_reads_and_calls(stand: Stand) -> None:
    await stand.ready()
    await stand.vision().take([PASSED])
    own, url, password = stand.opcua.own, stand.opcua.server.url, stand.opcua.password
    client = Path(__file__).with_name("vision_client.py")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(client), url, "viewer", password, str(own.certificate), str(own.key), "Line1-0000000A-2"),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        told = json.loads((await process.communicate())[0])
    assert told["type"][1] == "ResultDataType" and "gateway" not in told["type"][0]
    assert told["last"] == "Line1-0000BEEF-41"
    assert told["content"] == [1, "PASS", "good", 0.875, ["good", "scratch"], [0.875, 0.125], []]
    assert told["found"] == ["2", "Line1-0000000A", "0BADCAFE"]
    assert told["listed"] == [False, 2, ["65", "64"]]


# --- the state -------------------------------------------------------------------------------------------------------------


async def states(client: Client, station: str = STATION) -> tuple[int | str, int | str]:
    """Return the numbers of both states, or why there is none."""
    told: list[int | str] = []
    for path in (CALM, AUTOMATIC):
        number = await value(client, f"{path}.CurrentState.Number", station)
        told.append(number.Value.Value if number.StatusCode.is_good() else number.StatusCode.name)
    return told[0], told[1]


async def test_the_state_follows_the_line(stand: Stand) -> None:
    vision = stand.vision(OTHER)
    async with stand.opcua.connected() as client:
        assert await states(client, OTHER) == ("BadWaitingForInitialData", "BadWaitingForInitialData")
        await vision.tick(False, T0)
        assert await states(client, OTHER) == ("BadNoCommunication", "BadNoCommunication")
        await vision.tick(True, T0)
        assert await states(client, OTHER) == ("BadWaitingForInitialData", "BadWaitingForInitialData")
        await vision.take([SMALL])
        assert await states(client, OTHER) == (4, 6)
        assert (await value(client, f"{AUTOMATIC}.CurrentState.Id", OTHER)).Value.Value == mv(5057)
        assert (await value(client, f"{AUTOMATIC}.CurrentState", OTHER)).Value.Value.Text == "Ready"
        await vision.take([PASSED])
        assert await states(client, OTHER) == (4, 8)
        assert (await value(client, f"{AUTOMATIC}.LastTransition.Number", OTHER)).Value.Value == 680
        assert (await value(client, f"{AUTOMATIC}.LastTransition.Id", OTHER)).Value.Value == mv(5067)
        await vision.tick(True, PASSED.t_utc_ns + 11 * SECOND)
        assert await states(client, OTHER) == (4, 6)
        await vision.take([replace(SMALL, ready=False, error="CAMERA", offline_reason="NO_CAMERA")])
        assert await states(client, OTHER) == (3, "BadStateNotActive")
        assert (await value(client, f"{CALM}.LastTransition.Number", OTHER)).Value.Value == 430
        await vision.tick(False, T0)
        assert await states(client, OTHER) == ("BadNoCommunication", "BadNoCommunication")
        assert (await value(client, f"{RESULTS}.Results.Last", OTHER)).StatusCode.value == StatusCodes.BadNoCommunication
        await vision.tick(True, T0)
        assert await states(client, OTHER) == (3, "BadStateNotActive")


async def test_everything_that_happens_is_an_event(stand: Stand) -> None:
    told: list[tuple[str, Any]] = []

    class Listener:
        def event_notification(self, event: Any) -> None:
            told.append((event.EventType, event))

    wanted = ["ResultReady", "JobStarted", "Ready", "RecipePrepared", "AcquisitionDone", "StateChanged"]
    vision = stand.vision("Line9.Cam1")
    async with stand.opcua.connected() as client:
        notifier = client.get_node("ns=2;s=Line9.Cam1")
        subscription = await client.create_subscription(100, Listener())
        for name in wanted:
            await subscription.subscribe_events(notifier, of(f"{name}EventType"))
        await vision.tick(True, T0)
        await vision.take([SMALL, PASSED])
        await vision.tick(True, PASSED.t_utc_ns + 11 * SECOND)
        await until(lambda: sum(t == of("ReadyEventType") for t, _ in told) == 1, "Ready is told")
        by_type = {name: [e for t, e in told if t == of(f"{name}EventType")] for name in wanted}
        assert {name: len(events) for name, events in by_type.items()} == {
            "ResultReady": 1,
            "JobStarted": 1,
            "Ready": 1,
            "RecipePrepared": 1,
            "AcquisitionDone": 1,
            "StateChanged": 4,
        }
        assert by_type["ResultReady"][0].ResultId.Id == "Line1-0000BEEF-41"
        assert by_type["ResultReady"][0].ResultContent[0].Value == 1
        assert by_type["JobStarted"][0].JobId.Id == "Line1-0000BEEF"
        assert by_type["RecipePrepared"][0].InternalId.Id == "1"
        await subscription.delete()


async def test_nothing_that_a_line_can_say_is_too_much(stand: Stand) -> None:
    vision = stand.vision("Line9.Cam1")
    full = replace(PASSED, serial="S", product="P", lot="L", recipe="Large", recipe_number=2, camera="Cam1", frame_counter=5)
    unseen = replace(full, disposition="NOT_INSPECTED", scores={}, label="", t_frame_mono_ns=0, t_exposed_mono_ns=0)
    bare = PartJudged(line="Line9", t_utc_ns=T0, part_id=0, epoch=0, disposition="NOT_INSPECTED", mode="MANUAL")
    reasons, errors = [r.name for r in OfflineReason], ["", *(e.name for e in ErrorCode if e), "SOMETHING_NEW"]
    for alive, link, reason, error in product((True, False), ("up", "down", "readonly", "refused"), reasons, errors):
        ready = not error and reason == "NONE" and link == "up"
        line = replace(SMALL, link=link, ready=ready, offline_reason=reason, error=error, detail="words", recipe="Medium")
        await vision.tick(alive, T0)
        await vision.take([line, full, SMALL, unseen, line, bare, replace(SMALL, model_id="", recipe="")])
    async with stand.opcua.connected() as client:
        last = await value(client, f"{RESULTS}.Results.Last", "Line9.Cam1")
        assert last.StatusCode.value == StatusCodes.BadNoCommunication
        await vision.tick(True, T0)
        last = await value(client, f"{RESULTS}.Results.Last", "Line9.Cam1")
        assert last.Value.Value.ResultContent[0].Value == 3


# --- methods of the state machine ------------------------------------------------------------------------------------------


CAUSE = (i32(0), ua.Variant("tidy", ua.VariantType.String))
JOB = (
    made(MeasIdDataType),
    made(PartIdDataType),
    made(RecipeIdExternalDataType),
    made(ProductIdDataType),
    ua.Variant([], ua.VariantType.Variant, is_array=True),
)


NEVER: tuple[tuple[str, str, tuple[ua.Variant, ...]], ...] = (
    (CALM, "Halt", CAUSE),
    (AUTOMATIC, "Stop", CAUSE),
    (AUTOMATIC, "Abort", CAUSE),
    (AUTOMATIC, "StartSingleJob", JOB),
    (AUTOMATIC, "StartContinuous", JOB),
    (MANAGED, "UnprepareRecipe", (made(RecipeIdExternalDataType), made(RecipeIdInternalDataType))),
    (f"{MANAGED}.Recipes.R1", "Unprepare", ()),
)


async def test_the_plc_alone_commands_the_line(stand: Stand) -> None:
    await stand.ready()
    async with stand.opcua.connected(user="engineer") as client:
        before = await states(client)
        for owner, name, args in NEVER:
            method = client.get_node(f"ns=2;s={STATION}.{owner}.{name}")
            assert (await method.read_attribute(ua.AttributeIds.Executable)).Value.Value is False
            assert (await call(client, owner, name, *args))[0] == StatusCodes.BadNotExecutable, name
        assert await states(client) == before
    assert stand.desk.asked == []


async def test_reset_is_an_error_reset_by_an_operator(stand: Stand) -> None:
    async with stand.opcua.connected() as viewer:
        assert (await call(viewer, CALM, "Reset", *CAUSE))[0] == StatusCodes.BadUserAccessDenied
        assert (await call(viewer, CALM, "ConfirmAll", ua.LocalizedText("x")))[0] == StatusCodes.BadUserAccessDenied
    assert stand.desk.asked == []
    async with stand.opcua.connected(user="operator") as client:
        assert await call(client, CALM, "Reset", *CAUSE) == (0, [], [0])
        assert await call(client, CALM, of("VisionStateMachineType.Reset"), *CAUSE) == (0, [], [0])
        assert stand.desk.asked == [
            Order(station=STATION, user="operator", what=What.ERROR_RESET, comment="tidy"),
        ] * 2  # fmt: skip
        for why, code in (("refused", StatusCodes.BadInvalidState), ("silent", StatusCodes.BadTimeout)):
            stand.desk.answer = Done(ok=False, text="no", why=why)
            assert (await call(client, CALM, "Reset", *CAUSE))[0] == code
        # No line is there to have conditions; with one, see the tests of conditions.
        assert (await call(client, CALM, "ConfirmAll", ua.LocalizedText("seen")))[0] == StatusCodes.BadOutOfService


async def test_automatic_is_selected_as_soon_as_it_is_so(stand: Stand) -> None:
    async with stand.opcua.connected(user="operator") as client:
        await stand.vision().tick(False, T0)
        assert (await call(client, CALM, "SelectModeAutomatic"))[0] == StatusCodes.BadInvalidState
        await stand.ready()
        assert await call(client, CALM, "SelectModeAutomatic") == (0, [], [0])
    assert stand.desk.asked == []


# --- results ---------------------------------------------------------------------------------------------------------------


async def test_a_result_is_found_by_its_id(stand: Stand) -> None:
    async with stand.opcua.connected() as client:
        id = made(ResultIdDataType, Id="Line1-0000000A-2")
        status, _, (handle, result, error) = await call(client, RESULTS, "GetResultById", id, i32(1000))
        assert (status, error) == (0, 0) and handle > 0
        assert (result.ResultId.Id, result.MeasId.Id, result.ResultContent[0].Value) == ("Line1-0000000A-2", "Cam1-1", 2)
        by_type = await call(client, RESULTS, of("ResultManagementType.GetResultById"), id, i32(0))
        assert (by_type[0], by_type[2][0], by_type[2][1]) == (0, 0, result)
        status, _, outputs = await call(client, RESULTS, "GetResultComponentsById", id, i32(-1))
        assert (status, len(outputs), outputs[-1]) == (0, 17, 0)
        assert (outputs[4], outputs[5].Id, outputs[6].Id, outputs[12].Id) == (1, "Cam1-1", "2", "Line1-0000000A")
        assert (outputs[13], outputs[14], outputs[15]) == (result.CreationTime, result.ProcessingTimes, result.ResultContent)
        assert await call(client, RESULTS, "ReleaseResultHandle", u32(handle)) == (0, [], [0])
        assert (await call(client, RESULTS, "ReleaseResultHandle", u32(handle)))[0] == StatusCodes.BadNotFound
        for unknown in ("Line1-0000000A-999", "Line2-0000000A-2", "Line1-000000FF-2", "", "2", "Line1-A-2", "ä"):
            answer = await call(client, RESULTS, "GetResultById", made(ResultIdDataType, Id=unknown), i32(0))
            assert answer[0] == StatusCodes.BadNotFound, unknown


async def test_the_handles_of_a_session_are_out_of_another_s_reach_and_end_with_it(stand: Stand) -> None:
    id = made(ResultIdDataType, Id="Line1-0000000A-2")
    async with stand.opcua.connected() as client:
        (mine,) = stand.opcua.iserver.sessions()
        _, _, (handle, *_) = await call(client, RESULTS, "GetResultById", id, i32(1000))
        async with stand.opcua.connected(user="operator") as other:
            assert (await call(other, RESULTS, "ReleaseResultHandle", u32(handle)))[0] == StatusCodes.BadNotFound
            for _ in range(MOST + 1):
                assert (await call(other, RESULTS, "GetResultById", id, i32(1000)))[0] == 0
        assert (await call(client, MANAGED, "ReleaseRecipeHandle", u32(handle)))[0] == StatusCodes.BadNotFound
        assert await call(client, RESULTS, "ReleaseResultHandle", u32(handle)) == (0, [], [0])
        _, _, (left, *_) = await call(client, RESULTS, "GetResultById", id, i32(1000))
    with pytest.raises(ServiceError):
        mine.handles.release(ua.NodeId(ua.String(f"{STATION}.{RESULTS}"), ua.Int16(2)), left)


async def test_results_are_filtered_by_everything_that_they_have(stand: Stand) -> None:
    async with stand.opcua.connected() as client:

        async def ask(**wanted: Any) -> list[str]:
            return found(await call(client, RESULTS, "GetResultListFiltered", *search(**wanted)))

        assert await ask(most=3) == ["65", "64", "63"]
        assert await ask(most=3, start=2) == ["63", "62", "61"]
        assert await ask(part="7") == ["7", "7"]
        assert await ask(part="7", job="Line1-0000000A") == ["7"]
        assert await ask(meas="Cam1-12") == ["13"]
        assert len(await ask(state=4)) == 43
        assert len(await ask(state=1)) == 87
        assert await ask(state=2) == []
        assert len(await ask(external="Large", product="P3")) == 13
        assert len(await ask(internal="2", job="Line1-0000000B")) == 33
        assert len(await ask(configuration="0BADCAFE", product="P1")) == 26
        nothing: list[dict[str, Any]] = [
            {"configuration": "FFFFFFFF"},
            {"external_configuration": "x"},
            {"product": "P9"},
            {"job": "Line2-0000000A"},
            {"job": "job"},
            {"meas": "Cam1"},
            {"meas": "Cam1-x"},
            {"part": "seven"},
            {"part": "700"},
            {"internal": "Small"},
            {"state": 9},
        ]
        for wanted in nothing:
            assert await ask(**wanted) == [], wanted


async def test_a_list_says_whether_it_is_complete_and_is_never_endless(stand: Stand) -> None:
    async with stand.opcua.connected() as client:
        status, _, outputs = await call(client, RESULTS, "GetResultListFiltered", *search(timeout=-1))
        assert (status, outputs[0], outputs[1]) == (0, False, 100) and outputs[2] > 0
        status, _, outputs = await call(client, RESULTS, "GetResultListFiltered", *search(start=100))
        assert (status, outputs[0], outputs[1], outputs[2]) == (0, True, 30, 0)
        status, _, outputs = await call(client, RESULTS, "GetResultListFiltered", *search(start=0xFFFFFFFF))
        assert (status, outputs[0], outputs[1]) == (0, True, 0)
        status, _, outputs = await call(client, RESULTS, "GetResultListFiltered", *search(most=30, start=100))
        assert (status, outputs[0]) == (0, True)


async def test_a_line_without_a_journal_has_no_results(stand: Stand) -> None:
    async with stand.opcua.connected() as client:
        answer = await call(client, RESULTS, "GetResultListFiltered", *search(), station=OTHER)
        assert (answer[0], found(answer), answer[2][0]) == (0, [], True)


# --- recipes and configurations --------------------------------------------------------------------------------------------


def listing(name: str = "", product: str = "", prepared: int = 2, most: int = 0, start: int = 0) -> list[ua.Variant]:
    ids = [made(RecipeIdExternalDataType, Id=name), made(ProductIdDataType, Id=product)]
    return [*ids, i32(prepared), u32(most), u32(start), i32(0)]


def which(name: str = "", number: str = "", version: str | None = None) -> list[ua.Variant]:
    return [made(RecipeIdExternalDataType, Id=name), made(RecipeIdInternalDataType, Id=number, Version=version)]


async def test_recipes_are_listed_and_the_one_in_force_is_prepared(stand: Stand) -> None:
    await stand.ready()
    async with stand.opcua.connected() as client:

        async def ask(**wanted: Any) -> tuple[bool, list[str]]:
            status, _, outputs = await call(client, MANAGED, "GetRecipeListFiltered", *listing(**wanted))
            assert (status, outputs[1], outputs[4]) == (0, len(outputs[3]), 0)
            return outputs[0], [r.Id for r in outputs[3]]

        assert await ask() == (True, ["1", "2"])
        assert await ask(prepared=1) == (True, ["1"])
        assert await ask(prepared=0) == (True, ["2"])
        assert await ask(name="Large") == (True, ["2"])
        assert await ask(product="P1") == (True, [])
        assert await ask(most=1) == (False, ["1"])
        assert await ask(start=1) == (True, ["2"])
        answer = await call(client, MANAGED, "GetRecipeListFiltered", *listing(prepared=3))
        assert answer[:2] == (StatusCodes.BadInvalidArgument, [0, 0, StatusCodes.BadOutOfRange, 0, 0, 0])
        assert (await call(client, MANAGED, "ReleaseRecipeHandle", u32(5)))[0] == StatusCodes.BadNotFound
        prepared = [await value(client, f"{MANAGED}.Recipes.R{n}.IsPrepared") for n in (1, 2)]
        assert [p.Value.Value for p in prepared] == [True, False]
        assert (await value(client, f"{MANAGED}.Recipes.R2.ExternalId")).Value.Value.Id == "Large"
        assert (await value(client, f"{MANAGED}.Recipes.R2.InternalId")).Value.Value.Version == "surface/4"


async def test_a_recipe_is_prepared_by_an_engineer_through_the_desk(stand: Stand) -> None:
    await stand.ready()
    async with stand.opcua.connected(user="operator") as client:
        assert (await call(client, MANAGED, "PrepareRecipe", *which("Large")))[0] == StatusCodes.BadUserAccessDenied
    async with stand.opcua.connected(user="engineer") as client:
        status, _, outputs = await call(client, MANAGED, "PrepareRecipe", *which("Small"))
        assert (status, outputs[0].Id, outputs[1:]) == (0, "1", [True, 0])
        assert stand.desk.asked == [], "it is in force already"
        order = Order(station=STATION, user="engineer", what=What.RECIPE, value=2)
        for arguments in (which("Large"), which(number="2"), which("Large", "2", "surface/4")):
            status, _, outputs = await call(client, MANAGED, "PrepareRecipe", *arguments)
            assert (status, outputs[0].Id, outputs[1:]) == (0, "2", [True, 0])
            assert stand.desk.asked.pop() == order
        assert await call(client, f"{MANAGED}.Recipes.R2", "Prepare") == (0, [], [True, 0])
        assert stand.desk.asked.pop() == order
        for arguments in (which("Medium"), which("Small", "2"), which(number="2", version="surface/9")):
            assert (await call(client, MANAGED, "PrepareRecipe", *arguments))[0] == StatusCodes.BadNotFound
        answer = await call(client, MANAGED, "PrepareRecipe", *which())
        assert answer[:2] == (StatusCodes.BadInvalidArgument, [StatusCodes.BadInvalidArgument, 0])
        assert stand.desk.asked == []
        stand.desk.answer = Done(ok=False, text="the PLC alone sets recipes", why="refused")
        assert (await call(client, MANAGED, "PrepareRecipe", *which("Large")))[0] == StatusCodes.BadInvalidState


async def test_there_is_one_configuration_and_it_is_active(stand: Stand) -> None:
    mine, other = made(ConfigurationIdDataType, Id="0BADCAFE"), made(ConfigurationIdDataType, Id="FFFFFFFF")
    async with stand.opcua.connected() as client:
        status, _, outputs = await call(client, CONFIGURATIONS, "GetConfigurationList", u32(0), u32(0), i32(0))
        assert (status, outputs[0], outputs[1], [c.InternalId.Id for c in outputs[3]]) == (0, True, 1, ["0BADCAFE"])
        status, _, outputs = await call(client, CONFIGURATIONS, "GetConfigurationList", u32(0), u32(1), i32(0))
        assert (status, outputs[0], outputs[1]) == (0, True, 0)
        status, _, outputs = await call(client, CONFIGURATIONS, "GetConfigurationById", mine, i32(5))
        assert (status, outputs[1]) == (0, (await value(client, f"{CONFIGURATIONS}.ActiveConfiguration")).Value.Value)
        assert await call(client, CONFIGURATIONS, "ReleaseConfigurationHandle", u32(outputs[0])) == (0, [], [0])
        assert (await call(client, CONFIGURATIONS, "GetConfigurationById", other, i32(0)))[0] == StatusCodes.BadNotFound
        assert (await call(client, CONFIGURATIONS, "ActivateConfiguration", mine))[0] == StatusCodes.BadUserAccessDenied
    async with stand.opcua.connected(user="engineer") as client:
        assert await call(client, CONFIGURATIONS, "ActivateConfiguration", mine) == (0, [], [0])
        assert (await call(client, CONFIGURATIONS, "ActivateConfiguration", other))[0] == StatusCodes.BadNotFound


# --- what is wrong with a call -----------------------------------------------------------------------------------------------


async def test_calls_are_checked_before_anything_is_done(stand: Stand) -> None:
    async with stand.opcua.connected() as client:
        id = made(ResultIdDataType, Id="Line1-0000000A-2")
        for arguments, status, codes in (
            ((id,), StatusCodes.BadArgumentsMissing, []),
            ((id, i32(0), i32(0)), StatusCodes.BadTooManyArguments, []),
            ((id, u32(0)), StatusCodes.BadInvalidArgument, [0, StatusCodes.BadTypeMismatch]),
            ((made(PartIdDataType), i32(0)), StatusCodes.BadInvalidArgument, [StatusCodes.BadTypeMismatch, 0]),
            ((ua.Variant("Line1-0000000A-2"), i32(0)), StatusCodes.BadInvalidArgument, [StatusCodes.BadTypeMismatch, 0]),
            ((id, ua.Variant([1], ua.VariantType.Int32)), StatusCodes.BadInvalidArgument, [0, StatusCodes.BadTypeMismatch]),
        ):
            answer = await call(client, RESULTS, "GetResultById", *arguments)
            assert answer[:2] == (status, codes)
        assert (await call(client, RESULTS, "GetNothing"))[0] == StatusCodes.BadMethodInvalid
        assert (await call(client, MANAGED, of("ResultManagementType.GetResultById"), id, i32(0)))[
            0
        ] == StatusCodes.BadMethodInvalid
        null = ua.Variant(None, ua.VariantType.Null)
        assert (await call(client, RESULTS, "GetResultById", null, i32(0)))[0] == StatusCodes.BadNotFound
        with pytest.raises(UaStatusCodeError):
            await client.get_node(f"ns=2;s={STATION}.{RESULTS}").call_method("2:GetNothing")
