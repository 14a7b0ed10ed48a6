"""What a line's records set off: intents written before anything is sent, every guard, every kill, and no silence for ever."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.core.commands import AdjustParameter, Answer
from gateway.core.events import LineState, ParameterWritten, PartJudged, ProcessValues, Record
from gateway.record.ops import OpsDatabase
from gateway.services.act import LineActions
from gateway.services.config import LineServices

S = 10**9
START = 1_700_000_000 * S
BASELINE = {
    "level": {"median": 120, "low": 110, "high": 130},
    "contrast": {"median": 30, "low": 25, "high": 35},
    "sharpness": {"median": 0.5, "low": 0.4, "high": 0.6},
}
GOOD = {"level": 120.0, "contrast": 30.0, "sharpness": 0.5}
RULE = {"tag": "PressForce", "step": 4, "baseline": {"parts": 2000, "defects": 20}, "settle_parts": 5, "verify_parts": 50}


class FakeControl:
    """Answers from a script; remembers what it was asked and what the database said at that moment."""

    def __init__(self) -> None:
        self.alive = True
        self.asked: list[AdjustParameter] = []
        self.states: list[str] = []
        self.script: Callable[[AdjustParameter], Answer | None] = self.confirm
        self.ops: OpsDatabase | None = None

    async def ask(self, command: AdjustParameter, timeout_s: float, on_write: Callable[[], None]) -> Answer | None:
        on_write()
        self.asked.append(command)
        if self.ops is not None:
            self.states += [a["state"] for a in self.ops.actions() if a["id"] == command.id]
        return self.script(command)

    @staticmethod
    def confirm(command: AdjustParameter) -> Answer:
        return Answer(id=command.id, result="confirmed", old=command.expected_old, new=command.value)


class Rig:
    """One line's actions on a database file, fed part by part at 20 parts/s."""

    database = OpsDatabase

    def __init__(self, folder: Path, *rules: dict[str, Any], baseline: dict[str, Any] | None = BASELINE) -> None:
        self.now = START
        self.seq = 0
        self.control = FakeControl()
        self.value = 100.0
        self.permit, self.mode = True, "AUTOMATIC"
        self.plc_speaks = True
        self.full = False
        names = ["PressForce", "Speed"]
        self.config = LineServices.model_validate(
            {
                "name": "L",
                "cameras": ["Cam1"],
                "journal": folder / "j.db",
                "records_socket": folder / "r",
                "commands_socket": folder / "c",
                "params": [{"name": n, "unit": "kN", "range": (80, 120), "step": 4} for n in names],
                "model_id": "m/1",
                "adjust": list(rules) or [RULE],
                "imaging_baseline": baseline,
            }
        )
        self.path = folder / "ops.db"
        self.start()

    def start(self) -> None:
        """(Re)start services: a new process has nothing but the database."""
        self.ops = self.database(self.path, clock=lambda: self.now)
        self.ops._db.execute("PRAGMA synchronous=OFF")  # nobody cuts the power here
        self.control.ops = self.ops
        self.actions = LineActions(self.config, self.ops, self.control, self.commit, lambda: self.now)
        self.actions.restore()
        self.seq = self.ops.cursor("L")[1]

    def kill(self) -> None:
        self.ops.close()
        self.start()

    def commit(self) -> bool:
        try:
            with self.ops.transaction():
                if self.full:
                    raise sqlite3.OperationalError("database or disk is full")
                self.ops.set_cursor("L", "j", self.seq)
                self.actions.save()
        except sqlite3.OperationalError:
            self.actions.not_saved()
            return False
        self.actions.saved()
        return True

    def take(self, record: Record, commit: bool = True) -> None:
        self.actions.take(record, "j")
        if commit:
            self.commit()

    def process(self) -> None:
        self.take(
            ProcessValues(
                line="L",
                t_utc_ns=self.now,
                values={"PressForce": self.value, "Speed": 100.0},
                permit=self.permit,
                mode=self.mode,
            )
        )

    def ready(self, **change: Any) -> None:
        state: dict[str, Any] = {"link": "up", "ready": True, "offline_reason": "NONE", "camera_up": True}
        self.take(LineState(line="L", t_utc_ns=self.now, **{**state, **change}))

    def part(self, defect: str = "", *, age_ns: int = 0, disposition: str = "", stats: dict[str, float] | None = GOOD) -> None:
        self.now += S // 20
        self.seq += 1
        if self.seq % 10 == 0 and self.plc_speaks:
            self.process()
        self.take(
            PartJudged(
                line="L",
                seq=self.seq,
                t_utc_ns=self.now - age_ns,
                part_id=self.seq,
                epoch=1,
                disposition=disposition or ("FAIL" if defect else "PASS"),
                defect=defect,
                stats=stats,
                model_id="m/1",
            )
        )

    def warm_up(self) -> None:
        self.ready()
        self.process()
        for _ in range(30):
            self.part()

    def bad(self, parts: int = 40, every: int = 4, **change: Any) -> None:
        """Feed parts of which every n-th is defective."""
        for i in range(parts):
            self.part("scratch" if i % every == every - 1 else "", **change)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.actions.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def carried_out(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    def states(self) -> list[str]:
        return [a["state"] for a in self.ops.actions()]

    def why(self) -> list[str]:
        return [a.get("why", "") for a in self.ops.actions()]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.warm_up()
    return rig


# -- the loop closes ----------------------------------------------------------------------------------------------------------


async def test_a_rise_becomes_one_step_written_before_it_is_sent(rig: Rig) -> None:
    async with rig.running():
        rig.bad()
        assert rig.states() == ["intent"], "on disk, and nothing sent yet"
        assert rig.control.asked == []
        await rig.carried_out()
    (command,) = rig.control.asked
    assert rig.control.states == ["sent"], "when it went out, the database knew"
    (action,) = rig.ops.actions()
    assert (command.tag, command.value, command.expected_old) == ("PressForce", 104.0, 100.0)
    assert command.id == action["id"]
    assert command.evidence == action["evidence"]
    assert (action["state"], action["kind"], action["value"], action["attempt"]) == ("confirmed", "adjust", 104.0, 1)
    assert "scratch" in action["evidence"]
    assert "usual is 1.0 %" in action["evidence"]


async def test_parts_in_flight_are_discarded_and_recovery_ends_the_attempt(rig: Rig) -> None:
    async with rig.running():
        rig.bad()
        await rig.carried_out()
        rig.value = 104.0
        rig.bad(parts=5, every=1)  # still made with the old value
        for _ in range(60):
            rig.part()
        assert rig.states() == ["confirmed"]
        rig.bad()
        await rig.carried_out()
    assert [(c.value, c.expected_old) for c in rig.control.asked] == [(104.0, 100.0), (108.0, 104.0)]
    assert [a["attempt"] for a in rig.ops.actions()] == [1, 1], "the first one had helped"


async def test_two_steps_without_recovery_then_a_person(rig: Rig) -> None:
    async with rig.running():
        for _ in range(8):
            rig.bad()
            await rig.carried_out()
            if rig.control.asked:
                rig.value = rig.control.asked[-1].value
    assert [c.value for c in rig.control.asked] == [104.0, 108.0]
    assert rig.states() == ["confirmed", "confirmed", "blocked"]
    (last,) = rig.ops.actions()[2:]
    assert last["why"] == "escalated"
    assert "a person must look" in last["result"]
    assert "scratch" in last["evidence"]


# -- guards -------------------------------------------------------------------------------------------------------------------


async def test_each_obstacle_is_recorded_once_with_evidence_and_the_step_follows_when_it_goes(rig: Rig) -> None:
    async with rig.running():
        rig.permit = False
        rig.process()
        rig.bad(parts=400)
        await rig.carried_out()
        assert rig.control.asked == []
        assert rig.why() == ["permit"], "20 s of alarm, one record"
        assert "scratch" in rig.ops.actions()[0]["evidence"]
        rig.permit = True
        rig.process()
        rig.bad(parts=40)
        await rig.carried_out()
    assert len(rig.control.asked) == 1
    assert rig.states() == ["blocked", "confirmed"]


async def test_a_persistent_obstacle_is_told_again_but_not_often(rig: Rig) -> None:
    rig.mode = "MANUAL"
    rig.process()
    rig.bad(parts=20 * 310)
    assert rig.why() == ["mode", "mode"]


@pytest.mark.parametrize(
    ("prepare", "why", "words"),
    [
        (lambda r: setattr(r, "mode", "BYPASS"), "mode", "BYPASS"),
        (lambda r: setattr(r.control, "alive", False), "line", "does not answer"),
        (lambda r: r.ready(link="down", detail="no route"), "line", "the link to the PLC is down: no route"),
        (lambda r: r.ready(ready=False, offline_reason="NO_CAMERA"), "line", "NO_CAMERA"),
        (lambda r: r.kill(), "imaging", "only"),
    ],
)
async def test_obstacles(rig: Rig, prepare: Callable[[Rig], Any], why: str, words: str) -> None:
    prepare(rig)
    rig.bad(parts=20)
    rig.process()
    rig.bad(parts=20)
    assert why in rig.why()
    assert any(words in a["result"] for a in rig.ops.actions())
    assert set(rig.states()) == {"blocked"}


async def test_a_value_out_of_range_or_changed_by_others_is_left_alone(tmp_path: Path) -> None:
    for value, why in ((117.0, "range"), (90.0, "foreign")):
        folder = tmp_path / why
        folder.mkdir()
        rig = Rig(folder)
        if why == "range":
            rig.value = value
        rig.warm_up()
        rig.value = value
        rig.process()
        rig.bad()
        assert rig.why() == [why]
        rig.ops.close()


async def test_process_values_that_stop_block(rig: Rig) -> None:
    rig.plc_speaks = False
    for _ in range(60):
        rig.part()
    rig.bad()
    assert rig.why() == ["process"]


async def test_an_imaging_fault_that_looks_like_a_defect_spike_moves_nothing(rig: Rig) -> None:
    """First the lens is smeared; the rejects that it causes raise the alarm."""
    for _ in range(13):
        rig.part(stats={**GOOD, "sharpness": 0.2})
    async with rig.running():
        rig.bad(parts=200, stats={**GOOD, "sharpness": 0.2})
        await rig.carried_out()
    assert rig.control.asked == []
    assert rig.why() == ["imaging"]
    assert "clean the lens" in rig.ops.actions()[0]["result"]


async def test_without_a_baseline_of_the_pictures_nothing_is_moved(tmp_path: Path) -> None:
    rig = Rig(tmp_path, baseline=None)
    rig.warm_up()
    rig.bad()
    assert rig.why() == ["imaging"]


async def test_uninspected_parts_are_no_evidence_either_way(tmp_path: Path) -> None:
    needed = []
    for between in (0, 10):
        folder = tmp_path / str(between)
        folder.mkdir()
        rig = Rig(folder)
        rig.warm_up()
        judged = 0
        while not rig.ops.actions() and judged < 100:
            rig.part("scratch" if judged % 4 == 3 else "")
            judged += 1
            for _ in range(between):
                rig.part(disposition="NOT_INSPECTED", defect="scratch", stats=None)
        needed.append(judged)
        rig.ops.close()
    assert 4 < needed[0] == needed[1] < 100


async def test_an_alarm_read_late_is_recorded_as_stale_and_new_parts_must_raise_it_again(rig: Rig) -> None:
    async with rig.running():
        while not rig.ops.actions():
            rig.bad(parts=1, every=1, age_ns=60 * S)
        assert rig.why() == ["stale"]
        rig.part("scratch")
        await rig.carried_out()
        assert rig.control.asked == [], "old evidence alone moves nothing"
        rig.bad()
        await rig.carried_out()
    assert len(rig.control.asked) == 1


async def test_a_refusal_is_recorded_and_paused(rig: Rig) -> None:
    rig.control.script = lambda c: Answer(id=c.id, result="refused: NO_PERMIT", old=100.0, new=100.0)
    async with rig.running():
        for _ in range(20):
            rig.bad()
            await rig.carried_out()
    assert len(rig.control.asked) == 1, "40 s later"
    assert rig.states() == ["refused"]
    rig.now += 60 * S
    rig.process()
    rig.control.script = FakeControl.confirm
    async with rig.running():
        rig.bad(parts=200)
        await rig.carried_out()
    assert rig.states()[-1] == "confirmed"


async def test_only_one_rule_of_a_line_acts_at_a_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path, RULE, {**RULE, "tag": "Speed", "step": -2})
    rig.warm_up()
    async with rig.running():
        rig.bad()
        await rig.carried_out()
        rig.value = 104.0
        assert [c.tag for c in rig.control.asked] == ["PressForce"]
        rig.bad(parts=6)
        rig.bad(parts=30)
        await rig.carried_out()
    assert [c.tag for c in rig.control.asked] == ["PressForce", "PressForce"], "Speed waits until the force has had its tries"


async def test_a_rule_waits_while_the_step_of_another_is_being_proven(tmp_path: Path) -> None:
    """Speed's rule is the quicker one, but the force's comes first when both may act at last."""
    rig = Rig(tmp_path, RULE, {**RULE, "tag": "Speed", "step": -2, "arl0": 1000})
    rig.warm_up()
    rig.permit = False
    rig.process()
    async with rig.running():
        rig.bad(parts=60)
        rig.permit = True
        rig.process()
        rig.bad(parts=4)
        await rig.carried_out()
        rig.value = 104.0
        rig.process()
        rig.bad(parts=6)
        while len(rig.ops.actions()) < 4:
            rig.part("scratch")
    assert [c.tag for c in rig.control.asked] == ["PressForce"]
    last = rig.ops.actions()[-1]
    assert (last["tag"], last["why"]) == ("Speed", "other")
    assert "PressForce" in last["result"]


# -- kills --------------------------------------------------------------------------------------------------------------------


async def test_killed_before_sending_the_step_is_not_taken(rig: Rig) -> None:
    rig.bad()
    assert rig.states() == ["intent"]
    rig.kill()
    async with rig.running():
        rig.ready()
        rig.process()
        await rig.carried_out()
    assert rig.control.asked == []
    assert rig.states() == ["expired"]
    assert "services restarted" in rig.ops.actions()[0]["result"]


async def asked_and_killed(rig: Rig) -> None:
    """Send the step, and die before the answer comes."""
    rig.control.script = lambda c: None
    hang = asyncio.Event()

    async def ask(command: AdjustParameter, timeout_s: float, on_write: Callable[[], None]) -> Answer | None:
        on_write()
        rig.control.asked.append(command)
        await hang.wait()
        return None

    rig.control.ask = ask  # type: ignore[method-assign]
    async with rig.running():
        rig.bad()
        await rig.carried_out()
    assert rig.states() == ["sent"]
    del rig.control.ask  # type: ignore[method-assign]


async def test_what_was_sent_is_never_sent_again_whoever_else_was_killed_but_read_back(rig: Rig) -> None:
    await asked_and_killed(rig)
    rig.value = 104.0  # the PLC had it before everything died
    rig.now += 2 * S
    rig.kill()
    rig.control.script = FakeControl.confirm  # a new control knows no first copy and would carry it out
    async with rig.running():
        await rig.carried_out()
        assert len(rig.control.asked) == 1
        rig.now += S
        rig.process()
        assert rig.states() == ["confirmed"]
        assert "read back 104" in rig.ops.actions()[0]["result"]
        rig.warm_up()
        rig.bad(parts=6)
        rig.bad(parts=30)
        await rig.carried_out()
    assert [a.get("why", "") for a in rig.ops.actions()] == ["", ""], "and its change is not taken for a stranger's"
    assert [c.value for c in rig.control.asked] == [104.0, 108.0]


async def test_long_after_a_kill_it_only_reads_back(rig: Rig) -> None:
    for value, state in ((104.0, "confirmed"), (100.0, "unknown")):
        await asked_and_killed(rig)
        asked = len(rig.control.asked)
        rig.now += 60 * S
        rig.value = value
        rig.kill()
        async with rig.running():
            await rig.carried_out()
            for i in range(8):
                rig.now += S
                rig.value = value if i else 100.0
                rig.process()
            await rig.carried_out()
        assert len(rig.control.asked) == asked, "nobody moves the process on old evidence"
        assert rig.states()[-1] == state
        rig.warm_up()
        rig.now += 60 * S
        rig.process()
        rig.bad(parts=60)
        assert "why" not in rig.ops.actions()[-1], "neither ending is a stranger's doing"
        rig.control.asked.clear()
        rig.ops.close()
        rig.path.unlink()
        rig.value = 100.0
        rig.start()
        rig.warm_up()


async def test_the_record_of_control_ends_a_request_whose_answer_was_lost(rig: Rig) -> None:
    await asked_and_killed(rig)
    (action,) = rig.ops.actions()
    rig.now += 60 * S
    rig.kill()
    rig.take(
        ParameterWritten(
            line="L",
            t_utc_ns=rig.now,
            command_id=action["id"],
            tag="PressForce",
            requested=104.0,
            old=100.0,
            new=104.0,
            result="confirmed",
        )
    )
    assert rig.states() == ["confirmed"]


async def test_a_rule_that_is_gone_leaves_nothing_open(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.warm_up()
    await asked_and_killed(rig)
    rig.config = rig.config.model_copy(update={"adjust": []})
    rig.kill()
    rig.commit()
    assert rig.states() == ["unknown"]
    assert rig.ops.open_intents("L") == []


async def test_the_trend_survives_a_restart_after_every_part(tmp_path: Path) -> None:
    needed = []
    for killed in (False, True):
        folder = tmp_path / str(killed)
        folder.mkdir()
        rig = Rig(folder)
        rig.warm_up()
        parts = 0
        while not rig.ops.actions() and parts < 100:
            rig.bad(parts=1, every=1) if parts % 4 == 3 else rig.part()
            parts += 1
            if killed:
                rig.kill()
        needed.append(parts)
        rig.ops.close()
    assert 4 < needed[0] == needed[1] < 100


# -- the disk is full ---------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_written_down_is_not_done(rig: Rig) -> None:
    async with rig.running():
        rig.full = True
        rig.bad(parts=20)
        await rig.carried_out()
        assert rig.control.asked == []
        rig.full = False
        rig.bad(parts=40)
        await rig.carried_out()
    assert len(rig.control.asked) == 1
    assert rig.states() == ["confirmed"]


async def test_the_disk_fills_between_the_intent_and_its_sending(rig: Rig) -> None:
    async with rig.running():
        rig.bad()
        assert rig.states() == ["intent"]
        rig.full = True
        await rig.carried_out()
        assert rig.control.asked == []
        rig.full = False
        rig.part()
    assert rig.states() == ["expired"]
