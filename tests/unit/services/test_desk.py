"""One line's desk: what leaves for control and what does not, and what is written down about it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.core.commands import Acknowledge, AdjustParameter, Answer, ClearError, Command, RunTest, SetRecipe
from gateway.opcua.counters import Counters
from gateway.opcua.desk import Done, Order, What
from gateway.opcua.flat import Param
from gateway.record.ops import OpsDatabase
from gateway.services.audit import CUT_OFF, EVERY_S, KINDS
from gateway.services.desk import BUSY, GONE, Desks, LineDesk

STATION = "Press.Cam1"
FORCE = Param(name="Force", unit="kN", range=(80.0, 120.0), step=4.0, rate_per_min=2.0)
SLOW = Param(name="Slow", unit="s", range=(0.0, 10.0), step=10.0, rate_per_min=0.1)


class FakeControl:
    """Answers as the test says; None is no answer."""

    def __init__(self) -> None:
        self.alive = True
        self.result: str | None = "confirmed"
        self.commands: list[Command] = []
        self.takes = True
        self.go = asyncio.Event()
        self.go.set()

    async def ask_in_turn(self, command: Command, timeout_s: float, on_write: Callable[[], None]) -> Answer | None:
        await self.go.wait()
        if not self.takes:
            return None
        on_write()
        self.commands.append(command)
        if self.result is None:
            return None
        new = command.value if isinstance(command, AdjustParameter) and self.result == "confirmed" else None
        return Answer(id=command.id, result=self.result, new=new)


class Rig:
    """A desk with everything around it in the test's hands."""

    def __init__(self, path: Path) -> None:
        self.control = FakeControl()
        self.held: dict[str, float] = {"Force": 100.0, "Slow": 5.0, "Free": 1.0}
        self.counters = Counters(total=7, ok=5)
        self.resets: list[tuple[Counters, int]] = []
        self.kept: list[tuple[Counters, int]] = []
        self.now_s = 1000.0
        self.shown_ns = 0
        self.acknowledged: list[tuple[str, str, str, str]] = []
        self.unacknowledged = ""
        self.ops = OpsDatabase(path)
        self.desk = self.make()

    def make(self) -> LineDesk:
        async def on_reset(base: Counters, now: int) -> None:
            self.resets.append((base, now))

        async def acknowledge(order: Order) -> str:
            self.acknowledged.append((order.station, order.name, order.user, order.comment))
            return self.unacknowledged

        desk = LineDesk(
            STATION,
            "Press",
            params=(FORCE, SLOW, Param(name="Free")),
            recipes={1: "thin", 3: "thick"},
            ops=self.ops,
            control=self.control,
            holds=self.holds,
            counters=self.counters,
            keep_reset=lambda base, now: self.kept.append((base, now)),
            on_reset=on_reset,
            acknowledge=acknowledge,
            clock=lambda: int(self.now_s * 1e9),
            mono_s=lambda: self.now_s,
        )
        desk.audit.restore()
        return desk

    def holds(self, name: str) -> tuple[float, int] | None:
        return (self.held[name], self.shown_ns) if name in self.held else None

    async def ask(self, what: What, name: str = "", value: float = 0, number: int = 0) -> Done:
        return await self.desk.ask(Order(station=STATION, user="eva", what=what, name=name, value=value, number=number))

    def rows(self) -> list[tuple[Any, ...]]:
        return [(o.what, o.name, o.number, o.ending, o.result) for o in self.ops.orders.of(STATION)]

    @contextmanager
    def full_disk(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        def refuse() -> Any:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(self.ops, "transaction", refuse)
            yield


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "ops.db")
    yield made
    made.ops.close()


@pytest.mark.parametrize(
    ("what", "name", "value", "kind", "fields"),
    [
        (What.ADJUST, "Force", 104.0, AdjustParameter, {"tag": "Force", "value": 104.0, "expected_old": 100.0}),
        (What.RECIPE, "", 3, SetRecipe, {"recipe": 3, "by": "operator"}),
        (What.TEST_RUN, "", 0, RunTest, {"by": "operator"}),
        (What.ERROR_RESET, "", 0, ClearError, {"by": "operator"}),
        (What.ACKNOWLEDGE, "OVERLOAD", 0, Acknowledge, {"code": "OVERLOAD", "by": "operator"}),
    ],
)
async def test_an_order_becomes_one_command(
    rig: Rig, what: What, name: str, value: float, kind: type, fields: dict[str, Any]
) -> None:
    rig.control.result = "confirmed: 12 golden pictures got their dispositions"
    done = await rig.ask(what, name, value, number=5)
    assert done == Done(ok=True, text="confirmed: 12 golden pictures got their dispositions")
    (command,) = rig.control.commands
    assert type(command) is kind and command.line == "Press"
    assert {f: getattr(command, f) for f in fields} == fields
    assert rig.rows() == [(what, name, 5, "done", done.text)]
    assert rig.desk.audit.last_command() is not None


@pytest.mark.parametrize(
    ("unacknowledged", "result", "done"),
    [
        ("", "confirmed", Done(ok=True, text="confirmed")),
        ("", "refused: CAMERA stands", Done(ok=True, text="acknowledged; refused: CAMERA stands")),
        ("already acknowledged", "refused: CAMERA stands", Done(ok=False, text="refused: CAMERA stands")),
        ("already acknowledged", "confirmed", Done(ok=True, text="confirmed")),
    ],
)
async def test_an_alarm_that_stands_is_acknowledged_as_its_condition(
    rig: Rig, unacknowledged: str, result: str, done: Done
) -> None:
    rig.unacknowledged, rig.control.result = unacknowledged, result
    assert await rig.ask(What.ACKNOWLEDGE, "CAMERA") == done
    assert rig.acknowledged == [(STATION, "CAMERA", "eva", "")]
    (row,) = rig.ops.orders.of(STATION)
    assert (row.ending, row.result) == ("done" if done.ok else "refused", done.text)


async def test_who_asked_stands_in_the_evidence_of_a_parameter(rig: Rig) -> None:
    await rig.ask(What.ADJUST, "Force", 101.0)
    (command,) = rig.control.commands
    assert isinstance(command, AdjustParameter) and command.evidence == "eva asks for it over OPC UA"
    (row,) = rig.ops.orders.of(STATION)
    assert (row.user, row.name, row.value, row.ending) == ("eva", "Force", 101.0, "done")


async def test_no_two_commands_have_one_id(rig: Rig) -> None:
    for _ in range(3):
        await rig.ask(What.ERROR_RESET)
    assert len({c.id for c in rig.control.commands}) == 3


@pytest.mark.parametrize(
    ("name", "value", "why", "words"),
    [
        ("Force", 120.5, "range", "120.5 is outside 80 … 120 kN"),
        ("Force", float("nan"), "range", "nan is outside 80 … 120 kN"),
        ("Force", 104.1, "range", "from 100 to 104.1 is more than a step of 4 kN"),
        ("Free", 1.0, "refused", "Free may not be moved: the tag map gives it no range, step and rate_per_min"),
        ("Nothing", 1.0, "refused", "Nothing may not be moved: the tag map gives it no range, step and rate_per_min"),
    ],
)
async def test_a_move_beyond_its_limits_never_leaves(rig: Rig, name: str, value: float, why: str, words: str) -> None:
    done = await rig.ask(What.ADJUST, name, value)
    assert (done.ok, done.why, done.text) == (False, why, words)
    assert rig.control.commands == []
    rig.desk.audit.flush()
    assert [(r[3], r[4]) for r in rig.rows()] == [("refused", words)]


async def test_a_value_that_was_read_back_counts_until_a_newer_one_is_shown(rig: Rig) -> None:
    assert (await rig.ask(What.ADJUST, "Force", 104.0)).ok
    assert (await rig.ask(What.ADJUST, "Force", 107.0)).ok, "what is shown is older than the answer"
    rig.now_s += 120
    rig.held["Force"], rig.shown_ns = 90.0, int(rig.now_s * 1e9)  # at an HMI
    assert (await rig.ask(What.ADJUST, "Force", 104.0)).why == "range"
    assert (await rig.ask(What.ADJUST, "Force", 92.0)).ok
    olds = [c.expected_old for c in rig.control.commands if isinstance(c, AdjustParameter)]
    assert olds == [100.0, 104.0, 90.0]


async def test_a_value_that_is_not_known_cannot_be_moved(rig: Rig) -> None:
    del rig.held["Force"]
    done = await rig.ask(What.ADJUST, "Force", 101.0)
    assert (done.why, done.text) == ("unsent", "it is not known what the PLC holds of Force now")


async def test_a_parameter_is_moved_so_often_and_no_more(rig: Rig) -> None:
    for value in (101.0, 102.0):
        assert (await rig.ask(What.ADJUST, "Force", value)).ok
    done = await rig.ask(What.ADJUST, "Force", 103.0)
    assert (done.why, done.text) == ("soon", "2 moves in the last 60 s, 2 allowed")
    assert (await rig.ask(What.ADJUST, "Slow", 6.0)).ok
    rig.now_s += 60.5
    assert (await rig.ask(What.ADJUST, "Force", 103.0)).ok
    rig.control.result = "blocked: the PLC's AdjustPermit is off"
    assert (await rig.ask(What.ADJUST, "Force", 103.5)).why == "refused"
    rig.control.result = "confirmed"
    assert (await rig.ask(What.ADJUST, "Force", 103.5)).ok, "what was blocked does not count"
    assert (await rig.ask(What.ADJUST, "Slow", 7.0)).text == "1 moves in the last 600 s, 1 allowed"


async def test_those_who_ask_at_the_same_time_count_too(rig: Rig) -> None:
    rig.control.go.clear()
    asked = [asyncio.create_task(rig.ask(What.ADJUST, "Force", 101.0)) for _ in range(5)]
    await asyncio.sleep(0)
    rig.control.go.set()
    done = await asyncio.gather(*asked)
    assert [d.why for d in done] == ["", "", "soon", "soon", "soon"]
    assert len(rig.control.commands) == 2


async def test_what_was_not_sent_gives_back_its_own_place_alone(rig: Rig) -> None:
    assert (await rig.ask(What.ADJUST, "Force", 101.0)).ok
    rig.now_s += 50
    rig.control.takes = False
    done = await rig.ask(What.ADJUST, "Force", 102.0)
    assert (done.why, done.text) == ("unsent", BUSY)
    rig.control.takes = True
    assert (await rig.ask(What.ADJUST, "Force", 102.0)).ok
    rig.now_s += 11  # the first one counts no more
    assert (await rig.ask(What.ADJUST, "Force", 103.0)).ok
    assert (await rig.ask(What.ADJUST, "Force", 104.0)).why == "soon"


async def test_a_move_without_an_answer_counts(rig: Rig) -> None:
    rig.control.result = None
    for _ in range(2):
        assert (await rig.ask(What.ADJUST, "Force", 101.0)).why == "silent"
    assert (await rig.ask(What.ADJUST, "Force", 101.0)).why == "soon"


@pytest.mark.parametrize("number", [0.0, 2.0, 1.5, -1.0, float("inf")])
async def test_a_recipe_that_the_line_has_not_is_never_asked_for(rig: Rig, number: float) -> None:
    done = await rig.ask(What.RECIPE, value=number, number=4)
    assert (done.why, done.text) == ("range", f"there is no recipe {number:g}; gateway.yaml has: 1 thin, 3 thick")
    assert rig.control.commands == []
    assert rig.rows() == [(What.RECIPE, "", 4, "range", done.text)]


@pytest.mark.parametrize(("what", "name", "value"), [(What.ACKNOWLEDGE, "", 0.0), (What.RECIPE, "", 1.5)])
async def test_what_says_nothing_never_leaves(rig: Rig, what: What, name: str, value: float) -> None:
    assert not (await rig.ask(what, name, value)).ok
    assert rig.control.commands == []


@pytest.mark.parametrize("what", [What.TEST_RUN, What.ERROR_RESET, What.RECIPE])
async def test_a_line_that_is_not_there_is_told_at_once(rig: Rig, what: What) -> None:
    rig.control.alive = False
    done = await rig.ask(what, value=3, number=4)
    assert (done.ok, done.text, done.why) == (False, GONE, "unsent")
    assert rig.rows() == [(what, "", 4, "unsent", GONE)], "with a number it is written down at once"
    last = rig.desk.audit.last_command()
    assert last is not None and last.done == done
    rig.control.alive, rig.control.takes = True, False
    assert await rig.ask(what, value=3) == Done(ok=False, text=BUSY, why="unsent")


async def test_a_line_that_goes_while_it_is_asked_was_not_sent_anything(rig: Rig) -> None:
    rig.control.takes = False
    rig.control.go.clear()
    asked = asyncio.create_task(rig.ask(What.TEST_RUN))
    await asyncio.sleep(0)
    rig.control.alive = False
    rig.control.go.set()
    assert await asked == Done(ok=False, text=GONE, why="unsent")


async def test_a_command_without_an_answer_may_have_been_carried_out(rig: Rig) -> None:
    rig.control.result = None
    done = await rig.ask(What.TEST_RUN, number=4)
    assert (done.ok, done.why) == (False, "silent")
    assert "no answer within 60 s" in done.text
    rig.control.result = "unknown: the PLC did not answer"
    assert (await rig.ask(What.ADJUST, "Force", 101.0)).why == "silent"
    rig.control.result = "refused: NOT_PERMITTED"
    assert (await rig.ask(What.ADJUST, "Force", 101.0)).why == "refused"
    assert [r[3] for r in rig.rows()] == ["silent", "silent", "refused"]


async def test_a_restart_ends_what_was_open_and_remembers_the_number(rig: Rig) -> None:
    order = Order(station=STATION, user="eva", what=What.RECIPE, value=3, number=9)
    rig.desk.audit.begin(order, None)
    last = rig.make().audit.last_command()
    assert last is not None
    assert (last.number, last.order, last.done) == (9, order, Done(ok=False, text=CUT_OFF, why="silent"))
    assert rig.control.commands == [], "nothing is sent again"


async def test_what_cannot_be_written_down_is_not_done(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    with rig.full_disk(monkeypatch):
        for what in (What.TEST_RUN, What.COUNTER_RESET):
            done = await rig.ask(what, number=3)
            assert not done.ok and "could not be written down" in done.text
        assert (await rig.ask(What.RECIPE, value=1.5, number=3)).why == "range"
    assert rig.control.commands == [] and rig.resets == []


async def test_an_ending_that_cannot_be_written_down_is_written_later(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    n = rig.desk.audit.begin(Order(station=STATION, user="eva", what=What.TEST_RUN, number=3), None)
    with rig.full_disk(monkeypatch):
        rig.desk.audit.end(n, Done(ok=True, text="confirmed"))
    assert rig.rows()[0][3] == ""
    rig.desk.audit.flush()
    assert rig.rows()[0][3:] == ("done", "confirmed")


async def test_a_restart_with_a_full_disk_ends_what_was_open_later(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.desk.audit.begin(Order(station=STATION, user="eva", what=What.TEST_RUN, number=3), None)
    with rig.full_disk(monkeypatch):
        desk = rig.make()
        last = desk.audit.last_command()
        assert last is not None and last.done.why == "silent"
    desk.audit.flush()
    assert rig.rows()[0][3:] == ("silent", CUT_OFF)


async def test_counters_are_reset_here_whether_control_is_there_or_not(rig: Rig) -> None:
    rig.control.alive = False
    assert await rig.ask(What.COUNTER_RESET, number=8) == Done(ok=True, text="confirmed")
    assert rig.resets == [(Counters(total=7, ok=5), int(1000e9))]
    assert rig.ops.state("counters_base.Press")["counts"]["total"] == 7
    assert rig.rows() == [(What.COUNTER_RESET, "", 8, "done", "confirmed")]
    rig.counters.total += 1
    assert rig.resets[0][0].total == 7, "it is a copy"


async def test_refusals_are_counted_and_bounded(rig: Rig) -> None:
    audit = rig.desk.audit
    for _ in range(1000):
        audit.refuse("eva", "write", "Params.Force", "1.0", "BadOutOfRange")
    for n in range(KINDS + 9):
        audit.refuse("eva", "write", f"Params.P{n}", "1.0", "BadOutOfRange")
    audit.flush()
    rows = rig.rows()
    assert len(rows) == KINDS + 1
    assert rows[0] == ("write", "Params.Force", 0, "refused", "BadOutOfRange, 1000 times")
    assert rows[-1] == ("write", "and others", 0, "refused", "10 more that were refused")
    audit.refuse("eva", "write", "Params.Force", "1.0", "BadOutOfRange")
    audit.flush()
    assert len(rig.rows()) == KINDS + 1, "not yet"
    rig.now_s += EVERY_S
    audit.flush()
    assert len(rig.rows()) == KINDS + 2


async def test_each_station_has_its_desk(rig: Rig) -> None:
    desks = Desks()
    order = Order(station=STATION, user="eva", what=What.ERROR_RESET, number=2)
    assert not (await desks.ask(order)).ok
    assert desks.last_command(STATION) is None
    desks.refused(STATION, "eva", "node", "1", "BadOutOfRange")
    desks.add(STATION, rig.desk)
    assert (await desks.ask(order)).ok
    last = desks.last_command(STATION)
    assert last is not None and last.number == 2
    desks.refused(STATION, "eva", "node", "1", "BadOutOfRange")
    rig.desk.audit.flush()
    assert rig.rows()[-1] == ("write", "node", 0, "refused", "BadOutOfRange")


async def test_much_that_is_refused_makes_no_command_forgotten(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.record.orders.MAX_ORDERS", 5)
    assert (await rig.ask(What.RECIPE, "", 3, number=7)).ok
    for i in range(50):
        rig.desk.audit.refuse("viewer", "write", "Params.Force", f"{i} \udcff", "BadUserAccessDenied")
        rig.now_s += EVERY_S
        rig.desk.audit.flush()
    assert [r for r in rig.rows() if r[2]] == [(What.RECIPE, "", 7, "done", "confirmed")]
    last = rig.make().audit.last_command()
    assert last is not None and last.number == 7
