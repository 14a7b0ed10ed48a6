"""Recipes on the line: no verdict under another recipe than the part's own, and none while none is in force."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.control import recipes as module
from gateway.control.config import Authority, Recipe
from gateway.control.nominal import to_nominal
from gateway.control.recipes import Golden, Recipes, Serving
from gateway.core.commands import AdjustParameter, Answer, RunTest, SetRecipe
from gateway.core.errors import GatewayError, ModelError
from gateway.core.events import AlarmChanged, CommandEnded, LineState, ParameterWritten, PartJudged
from gateway.core.handshake import Control, ErrorCode, OfflineReason, Status1, Status2
from gateway.core.plc_command import Command
from gateway.core.verdict import Disposition
from gateway.plc.listener import UpImage
from tests.unit.control.line_stand import MAP, MS, RULE, FakeLink, Stand

BRACKET = Recipe(number=1, name="bracket", model=Path("models/bracket"))
HOUSING = Recipe(number=2, name="housing", model=Path("models/housing"), params={"PressForce": 108.0})
GOOD = Golden(pictures=4, wrong=())
BAD = Golden(pictures=4, wrong=("golden/a.png: FAIL, PASS was due",))


def serving(recipe: Recipe, test: Callable[[], Golden]) -> Serving:
    return Serving(
        number=recipe.number,
        name=recipe.name,
        model_id=f"{recipe.name}/1",
        version=recipe.number,
        rule=RULE,
        engine=object(),  # type: ignore[arg-type]
        test=test,
    )


class ReadingLink(FakeLink):
    """A link whose reads reach the line before they reach who waits for one."""

    stand: Stand

    async def next_image(self) -> UpImage:
        self.stand.values["PressForce"] = self.adjusted[-1]
        self.stand.read()
        assert self.up is not None
        return self.up


@dataclass(slots=True)
class Works:
    """What the threads do, and when they may."""

    golden: Golden = GOOD
    fault: Exception | None = None
    disk: str = ""
    remembered: list[int] = field(default_factory=list)
    loaded: list[int] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    authority: Authority = "plc"
    start: bool = True

    def load(self, recipe: Recipe) -> Serving:
        self.loaded.append(recipe.number)
        assert self.go.wait(10)
        if self.fault is not None:
            raise self.fault
        return serving(recipe, self.test)

    def test(self) -> Golden:
        assert self.go.wait(10)
        if self.fault is not None:
            raise self.fault
        return self.golden

    def remember(self, number: int) -> None:
        if self.disk:
            raise GatewayError(self.disk)
        self.remembered.append(number)

    def make(self, mono_ns: Callable[[], int]) -> Recipes:
        return Recipes(
            serving(BRACKET, self.test) if self.start else None,
            table=[BRACKET, HOUSING],
            authority=self.authority,
            load=self.load,
            remember=self.remember,
            trouble="no recipe is set",
            mono_ns=mono_ns,
        )


@pytest.fixture
def works() -> Works:
    made = Works()
    made.go.set()
    return made


@pytest.fixture
def stand(works: Works, monkeypatch: pytest.MonkeyPatch) -> Stand:
    monkeypatch.setattr(module, "DRAIN_LOOK_S", 0)
    return connected(works)


def connected(works: Works) -> Stand:
    link = ReadingLink()
    made = Stand(recipes=works.make, link=link)
    link.stand = made
    made.connect()
    made.line.on_camera("cam", True)
    made.tick(1)
    return made


def status(stand: Stand) -> tuple[Status1, Status2]:
    stand.tick()
    section = stand.line.status()
    return Status1(int(section["status1"]) & ~0x70), Status2(int(section["status2"]))


def offline(stand: Stand) -> OfflineReason:
    stand.tick()
    return OfflineReason(int(stand.line.status()["status1"]) >> 4 & 7)


def give(stand: Stand, command: int, arg: int = 0) -> None:
    """Raise ExecuteCommand, as it is seen by two reads."""
    stand.command = (command, arg)
    stand.control |= Control.EXECUTE_COMMAND
    for _ in range(2):
        stand.now_ns += MS
        stand.read()


async def until(stand: Stand, bit: Status1) -> None:
    """Let the line go on, read after read, until the command shows ``bit``."""
    for _ in range(2000):
        await asyncio.sleep(0.001)
        stand.now_ns += MS // 100
        stand.read()
        if status(stand)[0] & bit:
            return
    raise AssertionError(f"{bit!r} never came")


def drop(stand: Stand) -> None:
    stand.control &= ~Control.EXECUTE_COMMAND
    stand.now_ns += MS
    stand.read()
    assert not status(stand)[0] & (Status1.COMMAND_COMPLETED | Status1.COMMAND_FAILED | Status1.COMMAND_EXECUTING)


async def carry_out(stand: Stand, command: int, arg: int = 0) -> bool:
    give(stand, command, arg)
    await until(stand, Status1.COMMAND_COMPLETED | Status1.COMMAND_FAILED)
    done = bool(status(stand)[0] & Status1.COMMAND_COMPLETED)
    drop(stand)
    return done


def alarms(stand: Stand) -> dict[str, str]:
    found = {}
    for change in stand.of(AlarmChanged):
        if change.active:
            found[change.code] = change.detail
        else:
            del found[change.code]
    return found


async def test_a_recipe_is_set_and_the_records_say_which_one_each_part_was_judged_by(stand: Stand, works: Works) -> None:
    first = await stand.inspected_part()
    assert stand.write() == {first: Disposition.PASS}
    works.go.clear()
    give(stand, Command.SET_RECIPE, 2)
    await until(stand, Status1.COMMAND_EXECUTING)
    assert not status(stand)[0] & Status1.TRIGGER_READY
    assert offline(stand) is OfflineReason.NO_MODEL
    assert stand.line.status()["recipe.current"] == 0
    meanwhile = stand.part()
    stand.frame()
    late = stand.part()
    works.go.set()
    await until(stand, Status1.COMMAND_COMPLETED)
    assert status(stand)[0] & Status1.TRIGGER_READY, "who reads Completed finds TriggerReady"
    assert stand.line.status()["recipe.current"] == 2
    assert stand.line.status()["model.version"] == 2
    stand.frame()
    drop(stand)
    stand.now_ns += MS
    after = await stand.inspected_part(good=0.1)
    assert stand.write() == {
        first: Disposition.PASS,
        meanwhile: Disposition.NOT_INSPECTED,
        late: Disposition.NOT_INSPECTED,
        after: Disposition.FAIL,
    }
    assert stand.line.status()["recipe.judgment"] == 2
    named = {r.part_id: (r.recipe, r.recipe_number) for r in stand.of(PartJudged)}
    assert named == {first: ("bracket", 1), meanwhile: ("", 0), late: ("", 0), after: ("housing", 2)}
    assert works.remembered == [0, 2]
    assert stand.of(LineState)[-1].recipe == "housing"
    [ended] = stand.of(CommandEnded)
    assert (ended.command, ended.arg, ended.by, ended.done, ended.line) == ("SET_RECIPE", 2, "plc", True, "press")


async def test_parts_in_flight_end_under_their_recipe_before_another_is_loaded(stand: Stand, works: Works) -> None:
    flying = stand.part()
    stand.frame()
    await asyncio.sleep(0)
    waiting = stand.part()
    give(stand, Command.SET_RECIPE, 2)
    for _ in range(20):
        stand.read()
        await asyncio.sleep(0.001)
    assert works.loaded == []
    await stand.answer(0.9)
    assert stand.write()[flying] is Disposition.PASS
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert works.loaded == [], "one of them still waits for its frame"
    stand.tick(1000)
    await until(stand, Status1.COMMAND_COMPLETED)
    assert works.loaded == [2]
    named = {r.part_id: (r.recipe, r.disposition) for r in stand.of(PartJudged)} | {
        p: ("?", d.name) for p, d in stand.write().items() if p == waiting
    }
    assert named[flying] == ("bracket", "PASS")
    assert named[waiting][1] == "NOT_INSPECTED"


async def test_of_a_part_that_came_with_the_command_it_is_not_certain_which_recipe_it_belongs_to(stand: Stand) -> None:
    stand.command, stand.control = (Command.SET_RECIPE, 2), stand.control | Control.EXECUTE_COMMAND
    stand.now_ns += MS
    part = stand.part()
    stand.frame()
    await until(stand, Status1.COMMAND_COMPLETED | Status1.COMMAND_EXECUTING)
    while stand.eye.answers and not stand.eye.answers[0].done():
        await stand.answer(0.1)
    await until(stand, Status1.COMMAND_COMPLETED)
    assert stand.write()[part] is Disposition.NOT_INSPECTED


@pytest.mark.parametrize(
    ("number", "golden", "fault", "disk", "why"),
    [
        (9, GOOD, None, "", "there is no recipe 9; gateway.yaml has: 1 bracket, 2 housing"),
        (2, BAD, None, "", "1 of 4 golden pictures failed: golden/a.png: FAIL, PASS was due"),
        (2, GOOD, ModelError("models/housing: there is no such model package"), "", "there is no such model package"),
        (2, GOOD, None, "recipe: No space left on device", "No space left"),
    ],
)
async def test_what_cannot_be_set_leaves_none_in_force(
    stand: Stand, works: Works, number: int, golden: Golden, fault: Exception | None, disk: str, why: str
) -> None:
    works.golden, works.fault, works.disk = golden, fault, disk
    assert not await carry_out(stand, Command.SET_RECIPE, number)
    assert not status(stand)[0] & Status1.TRIGGER_READY
    assert status(stand)[0] & Status1.ERROR
    section = stand.line.status()
    assert (section["error.code"], section["recipe.current"], offline(stand)) == (ErrorCode.RECIPE, 0, OfflineReason.NO_MODEL)
    assert why in alarms(stand)["RECIPE"]
    assert why in stand.of(CommandEnded)[-1].detail
    part = stand.part()
    stand.frame()
    assert stand.write()[part] is Disposition.NOT_INSPECTED
    works.golden, works.fault, works.disk = GOOD, None, ""
    assert not await carry_out(stand, Command.TEST_RUN), "the recipe that the line has left does not come back by a test"
    assert await carry_out(stand, Command.SET_RECIPE, 1)
    assert status(stand)[0] & Status1.TRIGGER_READY
    assert alarms(stand) == {}
    if not disk:
        assert works.remembered[0] == 0, "a process that ends in the middle does not come back with the old one"


async def test_who_has_not_the_authority_changes_nothing(works: Works) -> None:
    works.authority = "operator"
    stand = connected(works)
    assert not await carry_out(stand, Command.SET_RECIPE, 2)
    assert status(stand)[0] & Status1.TRIGGER_READY
    assert stand.line.status()["recipe.current"] == 1
    assert alarms(stand) == {}
    assert stand.of(CommandEnded)[-1].detail == "this line's recipes are set by operator, not by plc (recipe_authority)"
    mes = await stand.line.set_recipe(SetRecipe(id="1", line="press", recipe=2, by="mes"))
    assert mes.result == "refused: this line's recipes are set by operator, not by mes (recipe_authority)"
    mine = await stand.line.set_recipe(SetRecipe(id="2", line="press", recipe=2, by="operator"))
    assert mine.result == "confirmed"
    stand.now_ns += MS
    stand.read()
    stand.tick()
    assert stand.line.status()["recipe.current"] == 2
    assert [(c.by, c.done) for c in stand.of(CommandEnded)] == [("plc", False), ("mes", False), ("operator", True)]


async def test_an_operator_can_ask_for_a_test_run(works: Works) -> None:
    stand = connected(works)
    answer = await stand.line.command(RunTest(id="1", line="press", by="operator"))
    assert answer.result.startswith("confirmed: ") and "golden pictures" in answer.result
    works.go.clear()
    give(stand, Command.SET_RECIPE, 2)
    await until(stand, Status1.COMMAND_EXECUTING)
    refused = await stand.line.command(RunTest(id="2", line="press", by="operator"))
    assert refused.result == "refused: not now: recipe 2 is being set"
    works.go.set()
    await until(stand, Status1.COMMAND_COMPLETED)
    told = [(c.command, c.by, c.done) for c in stand.of(CommandEnded)]
    assert told == [("TEST_RUN", "operator", True), ("TEST_RUN", "operator", False), ("SET_RECIPE", "plc", True)]


async def test_one_change_at_a_time(stand: Stand, works: Works) -> None:
    works.go.clear()
    give(stand, Command.SET_RECIPE, 2)
    await until(stand, Status1.COMMAND_EXECUTING)
    answer = await stand.line.set_recipe(SetRecipe(id="1", line="press", recipe=1, by="operator"))
    assert answer.result == "refused: not now: recipe 2 is being set"
    works.go.set()
    await until(stand, Status1.COMMAND_COMPLETED)


async def test_a_line_that_never_had_a_recipe_waits_for_one(works: Works) -> None:
    works.start = False
    stand = connected(works)
    assert not status(stand)[0] & Status1.TRIGGER_READY
    assert alarms(stand) == {"RECIPE": "no recipe is set"}
    assert not await carry_out(stand, Command.TEST_RUN)
    assert await carry_out(stand, Command.SET_RECIPE, 1)
    assert status(stand)[0] & Status1.TRIGGER_READY


async def test_a_line_without_recipes_says_so() -> None:
    stand = Stand()
    stand.connect()
    stand.line.on_camera("cam", True)
    assert not await carry_out(stand, Command.SET_RECIPE, 1)
    assert "this line has no recipes" in stand.of(CommandEnded)[-1].detail
    assert not await carry_out(stand, Command.TEST_RUN)
    assert stand.of(CommandEnded)[-1].detail == "there are no golden pictures"
    assert status(stand) == (Status1.TRIGGER_READY | Status1.ONLINE, Status2(0))


# -- test run ---------------------------------------------------------------------------------------------------------------


async def test_a_test_run_shows_and_records_no_part_and_lets_none_pass(stand: Stand, works: Works) -> None:
    assert status(stand)[1] & Status2.TEST_RUN_READY
    works.go.clear()
    give(stand, Command.TEST_RUN)
    await until(stand, Status1.COMMAND_EXECUTING)
    one, two = status(stand)
    assert not one & (Status1.TRIGGER_READY | Status1.INSPECTION_COMPLETED)
    assert not two & Status2.TEST_RUN_READY
    assert (stand.line.status()["recipe.current"], offline(stand)) == (1, OfflineReason.PLC_REQUEST)
    part = stand.part()
    stand.frame()
    assert stand.write()[part] is Disposition.NOT_INSPECTED
    works.go.set()
    await until(stand, Status1.COMMAND_COMPLETED)
    assert status(stand)[0] & Status1.TRIGGER_READY
    drop(stand)
    assert status(stand)[1] & Status2.TEST_RUN_READY
    assert [r.part_id for r in stand.of(PartJudged)] == [part]
    assert stand.of(CommandEnded)[-1].detail == "4 golden pictures got their dispositions"
    stand.now_ns += MS
    after = await stand.inspected_part()
    assert stand.write()[after] is Disposition.PASS


@pytest.mark.parametrize(("golden", "fault"), [(BAD, None), (GOOD, ModelError("the inference failed"))])
async def test_a_failed_test_run_lets_no_part_pass_until_one_has_not_failed(
    stand: Stand, works: Works, golden: Golden, fault: Exception | None
) -> None:
    works.golden, works.fault = golden, fault
    assert not await carry_out(stand, Command.TEST_RUN)
    assert not status(stand)[0] & Status1.TRIGGER_READY
    said = "the inference failed" if fault else "1 of 4 golden pictures failed"
    assert said in stand.of(CommandEnded)[-1].detail
    assert said in alarms(stand)["RECIPE"]
    works.golden, works.fault = GOOD, None
    assert await carry_out(stand, Command.TEST_RUN)
    assert status(stand)[0] & Status1.TRIGGER_READY
    assert alarms(stand) == {}


# -- online and offline, and the exchange --------------------------------------------------------------------------------------


async def test_offline_and_online_by_command(stand: Stand) -> None:
    assert await carry_out(stand, Command.GO_OFFLINE)
    assert not status(stand)[0] & (Status1.ONLINE | Status1.TRIGGER_READY)
    assert offline(stand) is OfflineReason.PLC_REQUEST
    part = stand.part()
    stand.frame()
    assert stand.write()[part] is Disposition.NOT_INSPECTED
    stand.control |= Control.SET_OFFLINE
    assert not await carry_out(stand, Command.GO_ONLINE)
    assert stand.of(CommandEnded)[-1].detail == "the PLC holds SetOffline"
    stand.control &= ~Control.SET_OFFLINE
    assert not status(stand)[0] & Status1.ONLINE
    assert await carry_out(stand, Command.GO_ONLINE)
    assert status(stand)[0] & ~Status1.INSPECTION_COMPLETED == Status1.ONLINE | Status1.TRIGGER_READY


async def test_offline_by_command_outlives_a_restart(stand: Stand) -> None:
    assert await carry_out(stand, Command.GO_OFFLINE)
    assert stand.remembered == [True]
    again = Stand(offline=True)
    again.connect()
    again.line.on_camera("cam", True)
    again.tick(1)
    assert not status(again)[0] & (Status1.ONLINE | Status1.TRIGGER_READY)
    part = again.part()
    again.frame()
    assert again.write()[part] is Disposition.NOT_INSPECTED
    assert await carry_out(stand, Command.GO_ONLINE)
    assert stand.remembered == [True, False]


async def test_what_cannot_be_remembered_is_no_success_and_leaves_the_line_offline(stand: Stand) -> None:
    stand.disk = "offline: No space left on device"
    assert not await carry_out(stand, Command.GO_OFFLINE)
    assert not status(stand)[0] & Status1.ONLINE
    assert not await carry_out(stand, Command.GO_ONLINE)
    assert not status(stand)[0] & Status1.ONLINE
    assert stand.of(CommandEnded)[-1].detail == stand.disk


async def test_a_part_that_came_while_a_command_was_being_given_is_not_judged_before_it_is_known(stand: Stand) -> None:
    """Two reads show the command differently, so that it begins with a third; the part came with the first."""
    stand.command, stand.control = (Command.SET_RECIPE, 1), stand.control | Control.EXECUTE_COMMAND
    stand.now_ns += MS
    part = stand.part()
    stand.command = (Command.SET_RECIPE, 2)
    stand.now_ns += MS
    stand.read()
    stand.frame()
    await stand.settle()
    assert stand.write()[part] is Disposition.NOT_INSPECTED
    stand.now_ns += MS
    await until(stand, Status1.COMMAND_COMPLETED)
    drop(stand)
    after = stand.part()
    stand.frame()
    await stand.answer()
    assert stand.write()[after] is Disposition.PASS


@pytest.mark.parametrize("what", [Control.SET_OFFLINE, Control.EXECUTE_COMMAND, Control(1 << 9)])
async def test_a_pass_that_is_not_sent_yet_is_taken_back_when_the_plc_says_otherwise(stand: Stand, what: Control) -> None:
    part = await stand.inspected_part()
    stand.control |= what
    stand.command = (Command.GO_OFFLINE, 0)
    for _ in range(2):
        stand.now_ns += MS
        stand.read()
    await stand.settle()
    await asyncio.sleep(0.05)
    assert part not in stand.write()
    [record] = stand.of(PartJudged)
    assert (record.disposition, record.token) == ("NOT_INSPECTED", "void")


async def test_an_unknown_command_fails_and_says_which_there_are(stand: Stand) -> None:
    assert not await carry_out(stand, 77)
    [ended] = stand.of(CommandEnded)
    assert (ended.command, ended.detail) == (
        "77",
        "there is no command 77; there are: 1 GO_ONLINE, 2 GO_OFFLINE, 3 SET_RECIPE, 4 TEST_RUN",
    )
    assert status(stand)[0] & Status1.TRIGGER_READY


async def test_another_owner_is_not_told_of_the_command_of_the_one_before(stand: Stand, works: Works) -> None:
    works.go.clear()
    give(stand, Command.SET_RECIPE, 2)
    await until(stand, Status1.COMMAND_EXECUTING)
    stand.line.on_owner_lost("the PLC was restarted")
    stand.control &= ~Control.EXECUTE_COMMAND
    stand.connect()
    works.go.set()
    for _ in range(2000):
        stand.now_ns += MS
        stand.read()
        assert not status(stand)[0] & (Status1.COMMAND_COMPLETED | Status1.COMMAND_FAILED)
        if stand.of(CommandEnded) and not status(stand)[0] & Status1.COMMAND_EXECUTING:
            break
        await asyncio.sleep(0.001)
    assert stand.line.status()["recipe.current"] == 2, "and CurrentRecipe says what is in force"


async def test_a_bug_in_a_command_ends_the_line(stand: Stand, works: Works) -> None:
    works.fault = ZeroDivisionError("a bug")
    running = asyncio.create_task(stand.line.run(stand.link))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    give(stand, Command.SET_RECIPE, 2)
    with pytest.raises(BaseExceptionGroup) as caught:
        await asyncio.wait_for(running, 10)
    assert caught.group_contains(ZeroDivisionError)


async def test_a_line_that_ends_gives_the_change_up(stand: Stand, works: Works) -> None:
    works.go.clear()
    running = asyncio.create_task(stand.line.run(stand.link))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    give(stand, Command.SET_RECIPE, 2)
    for _ in range(50):
        await asyncio.sleep(0.001)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    works.go.set()
    assert works.remembered == [0]
    assert stand.of(CommandEnded) == []


# -- nominal values ------------------------------------------------------------------------------------------------------------


async def test_adjusted_parameters_go_back_in_the_steps_that_the_map_allows(stand: Stand) -> None:
    assert await carry_out(stand, Command.SET_RECIPE, 2)
    assert stand.link.adjusted == [104.0, 108.0]
    assert [(w.tag, w.requested, w.result) for w in stand.of(ParameterWritten)] == [
        ("PressForce", 104.0, "confirmed"),
        ("PressForce", 108.0, "confirmed"),
    ]
    assert alarms(stand) == {}


async def test_a_parameter_that_may_not_be_moved_is_told_and_the_recipe_is_set_all_the_same(stand: Stand) -> None:
    stand.control &= ~Control.ADJUST_PERMIT
    assert await carry_out(stand, Command.SET_RECIPE, 2)
    assert stand.link.adjusted == []
    assert alarms(stand) == {
        "NOT_NOMINAL": "PressForce holds 100, the nominal of recipe 2 is 108: blocked: the PLC's AdjustPermit is off"
    }
    assert status(stand)[0] & Status1.TRIGGER_READY


async def test_a_parameter_that_does_not_stay_does_not_hold_the_line_up_for_ever() -> None:
    asked: list[float] = []

    async def accepted_and_forgotten(command: AdjustParameter) -> Answer:
        asked.append(command.value)
        return Answer(id=command.id, result="confirmed", old=command.expected_old, new=command.value)

    left = await to_nominal(
        "press", HOUSING, params={t.name: t for t in MAP.params()}, holds=lambda name: 100.0, adjust=accepted_and_forgotten
    )
    assert len(left) == 1
    assert "does not stay" in left[0]
    assert 2 < len(asked) < 30


async def test_a_rate_limit_ends_the_way_back(stand: Stand) -> None:
    stand.values["PressForce"] = 82.0
    assert await carry_out(stand, Command.SET_RECIPE, 2)
    assert stand.link.adjusted == [86.0, 90.0, 94.0, 98.0, 102.0, 106.0]
    assert "6 moves in the last 60 s, 6 allowed" in alarms(stand)["NOT_NOMINAL"]
