"""The story of one part, told with fakes and a virtual clock: every way out but a fault-free inspection in time is no PASS."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from gateway.core.commands import AdjustParameter
from gateway.core.events import LineState, ParameterWritten, PartJudged, PartOutcome, ProcessValues
from gateway.core.handshake import Control, Status1, Status2
from gateway.core.inspection import ImageStats, Inspection
from gateway.core.tracker import TrackerConfig
from gateway.core.verdict import Disposition
from tests.unit.control.line_stand import MS, Stand

PASS, FAIL, NOT_INSPECTED = Disposition.PASS, Disposition.FAIL, Disposition.NOT_INSPECTED


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    made = Stand()
    made.connect()
    made.line.on_camera("cam", True)
    made.tick()
    yield made
    await made.leave()


# -- the straight way -----------------------------------------------------------------------------------------


async def test_trigger_to_token_to_outcome_to_record(stand: Stand) -> None:
    part = stand.part()
    stand.now_ns += 20 * MS
    stand.frame(counter=77)
    stand.now_ns += 6 * MS
    await stand.answer(0.9)
    assert stand.link.changed == 1
    stand.now_ns += MS
    assert stand.write() == {part: PASS}
    [record] = stand.of(PartJudged)
    assert (record.disposition, record.token, record.part_id, record.epoch) == ("PASS", "acked", part, stand.link.epoch)
    assert (record.camera, record.frame_counter, record.frame_slot, record.frame_generation) == ("cam", 77, 3, 8)
    assert record.latency_ms == 7
    assert record.scores == pytest.approx({"dent": 0.1, "good": 0.9})
    assert record.model_id == "press/1"
    stand.outcomes[part % 8] = (part, 1)
    stand.read()
    now_utc_ns = stand.wall_ns + stand.now_ns
    [outcome] = stand.of(PartOutcome)
    assert outcome == PartOutcome(line="press", t_utc_ns=now_utc_ns, part_id=part, epoch=stand.link.epoch, outcome="PASSED")
    assert stand.triggers == [1]


async def test_a_defect_fails_and_the_status_section_says_which(stand: Stand) -> None:
    part = await stand.inspected_part(good=0.1)
    assert stand.write() == {part: FAIL}
    [record] = stand.of(PartJudged)
    assert (record.disposition, record.defect) == ("FAIL", "dent")
    section = stand.line.status()
    assert section["status2"] == int(Status2.FAIL)
    assert (section["result.code"], section["result.part.id"], section["inspection.id"]) == (1, part, 1)
    assert int(section["status1"]) & Status1.INSPECTION_COMPLETED
    assert section["score"] == pytest.approx(0.9)


async def test_a_fault_in_the_eye_is_not_inspected(stand: Stand) -> None:
    part = stand.part()
    stand.frame()
    await stand.answer(fault="the frame was overwritten before it was read")
    assert stand.write() == {part: NOT_INSPECTED}
    assert stand.of(PartJudged)[0].reasons == ("the frame was overwritten before it was read",)


async def test_a_part_without_a_frame_is_not_inspected(stand: Stand) -> None:
    part = stand.part()
    stand.tick(651)
    assert stand.write() == {part: NOT_INSPECTED}
    assert stand.judged() == {part: ("NOT_INSPECTED", "late")}


async def test_a_plc_that_has_seen_no_part_yet_says_nothing_of_where_the_belt_stands() -> None:
    """Its trigger ring is empty, and its encoder may count anywhere, also just before it wraps."""
    stand = Stand(head=0, encoder=(1 << 32) - 60_000)
    stand.connect()
    part = await stand.inspected_part()
    assert stand.write() == {part: PASS}


# -- too late -------------------------------------------------------------------------------------------------


async def test_an_inspection_that_is_not_back_at_the_deadline(stand: Stand) -> None:
    part = stand.part()
    stand.frame()
    await asyncio.sleep(0)
    stand.tick(151)
    assert stand.write() == {part: NOT_INSPECTED}
    await stand.answer(0.99)
    assert stand.write() == {part: NOT_INSPECTED}
    assert stand.judged() == {part: ("NOT_INSPECTED", "late")}


async def test_eight_late_inspections_in_a_row_ask_for_a_stop_and_one_in_time_takes_it_back(stand: Stand) -> None:
    for i in range(8):
        assert not int(stand.line.status()["status2"]) & Status2.STOP_REQUEST, i
        stand.part()
        stand.frame()
        await asyncio.sleep(0)
        stand.tick(151)
        stand.write()
        if i == 4:
            # Parts that are not inspected for another reason say nothing of the engine.
            stand.part()
            stand.tick(651)
            stand.write()
    assert int(stand.line.status()["status2"]) & Status2.STOP_REQUEST
    assert stand.line.status()["stop.reason"] == 1
    await stand.inspected_part()
    assert not int(stand.line.status()["status2"]) & Status2.STOP_REQUEST


async def test_a_pass_that_could_not_be_written_in_time_is_taken_back(stand: Stand) -> None:
    part = await stand.inspected_part()
    stand.now_ns += 151 * MS
    assert stand.write() == {}
    assert stand.judged() == {part: ("NOT_INSPECTED", "void")}
    assert "before the deadline" in stand.of(PartJudged)[0].reasons[0]


async def test_a_pass_that_waits_for_a_lost_link_is_closed_by_time_alone(stand: Stand) -> None:
    part = await stand.inspected_part()
    stand.tick(151)
    assert stand.judged() == {part: ("NOT_INSPECTED", "void")}
    assert stand.write() == {}


async def test_a_pass_whose_answer_was_lost_is_repeated_within_its_deadline_alone(stand: Stand) -> None:
    part = await stand.inspected_part()
    assert stand.write(acked=False) == {part: PASS}
    stand.now_ns += 100 * MS
    assert stand.write(acked=False) == {part: PASS}
    stand.now_ns += 51 * MS
    assert stand.write() == {}
    assert stand.judged() == {part: ("PASS", "unknown")}


async def test_an_acknowledgement_after_the_deadline_is_late(stand: Stand) -> None:
    part = await stand.inspected_part()
    words = stand.line.tokens()
    stand.now_ns += 151 * MS
    stand.line.on_tokens_acked(frozenset(p for p, _, _ in words if p), stand.now_ns)
    assert stand.judged() == {part: ("PASS", "late")}
    assert int(stand.line.status()["status2"]) & Status2.RESULT_TIMEOUT


async def test_a_reject_whose_link_does_not_come_back_is_closed_after_a_second(stand: Stand) -> None:
    part = await stand.inspected_part(good=0.1)
    assert stand.write(acked=False) == {part: FAIL}
    stand.tick(1100)
    assert stand.judged() == {}
    stand.tick(100)
    assert stand.judged() == {part: ("FAIL", "unknown")}
    assert stand.write() == {}


async def test_a_verdict_after_a_later_part_of_its_slot_goes_without_a_token(stand: Stand) -> None:
    early = stand.part()
    stand.frame()
    for _ in range(8):
        later = await stand.inspected_part()
        stand.write()
    await stand.answer(0.99, index=0)
    assert early % 8 == later % 8
    assert stand.write() == {p: PASS for p in range(early + 1, later + 1)}
    assert stand.judged()[early] == ("NOT_INSPECTED", "void")


async def test_a_token_displaced_before_it_was_written_is_void(stand: Stand) -> None:
    first = await stand.inspected_part()
    for _ in range(7):
        await stand.inspected_part()
    last = await stand.inspected_part(good=0.1)
    written = stand.write()
    assert first % 8 == last % 8
    assert written[last] is FAIL
    assert stand.judged()[first] == ("NOT_INSPECTED", "void")


@pytest.mark.parametrize("out", [False, True])
async def test_a_duplicate_trigger_takes_back_a_pass_whose_token_is_not_out_yet(stand: Stand, out: bool) -> None:
    first = await stand.inspected_part()
    if out:
        stand.write(acked=False)
    second = stand.part(gap=20)
    assert stand.write() == ({first: PASS, second: NOT_INSPECTED} if out else {second: NOT_INSPECTED})
    assert stand.judged()[first] == (("PASS", "acked") if out else ("NOT_INSPECTED", "void"))


async def test_a_second_frame_takes_back_a_pass_but_never_a_reject(stand: Stand) -> None:
    good = await stand.inspected_part()
    stand.frame(counter=2)
    bad = await stand.inspected_part(good=0.1)
    stand.frame(counter=4)
    assert stand.write() == {bad: FAIL}
    assert stand.judged() == {good: ("NOT_INSPECTED", "void"), bad: ("FAIL", "acked")}


# -- not now --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "why"),
    [(1 << 9, "MANUAL"), (3 << 9, "bypassed"), (int(Control.SET_OFFLINE), "offline")],
)
async def test_no_part_passes_in_these_modes(stand: Stand, control: int, why: str) -> None:
    stand.control = control
    part = stand.part()
    stand.frame()
    assert stand.eye.asked == []
    assert stand.write() == {part: NOT_INSPECTED}
    assert why in stand.of(PartJudged)[0].reasons[0]


async def test_monitor_only_judges_and_records(stand: Stand) -> None:
    stand.control = 2 << 9
    part = await stand.inspected_part()
    assert stand.write() == {part: PASS}


async def test_a_mode_that_changes_during_the_inspection_takes_the_pass_away(stand: Stand) -> None:
    part = stand.part()
    stand.frame()
    stand.control = 1 << 9
    stand.read()
    await stand.answer(0.99)
    assert stand.write() == {part: NOT_INSPECTED}


async def test_set_offline_shows_in_the_status(stand: Stand) -> None:
    stand.control |= Control.SET_OFFLINE
    stand.read()
    stand.tick()
    assert int(stand.line.status()["status1"]) == 5 << 4


async def test_journal_trouble_before_the_inspection(stand: Stand) -> None:
    stand.journal = "the journal lags: 300 records"
    part = stand.part()
    stand.frame()
    assert stand.eye.asked == []
    assert stand.write() == {part: NOT_INSPECTED}


async def test_journal_trouble_between_inspection_and_verdict(stand: Stand) -> None:
    part = stand.part()
    stand.frame()
    await asyncio.sleep(0)
    stand.journal = "the disk is full"
    await stand.answer(0.99)
    assert stand.write() == {part: NOT_INSPECTED}


async def test_journal_trouble_between_verdict_and_token(stand: Stand) -> None:
    part = await stand.inspected_part()
    defect = await stand.inspected_part(good=0.1)
    stand.journal = "the disk is full"
    assert stand.write() == {defect: FAIL}
    assert stand.judged() == {part: ("NOT_INSPECTED", "void"), defect: ("FAIL", "acked")}
    assert stand.of(PartJudged)[0].reasons == ("the disk is full",)


async def test_journal_trouble_after_the_token_was_sent_changes_nothing(stand: Stand) -> None:
    part = await stand.inspected_part()
    stand.write(acked=False)
    stand.journal = "the disk is full"
    assert stand.write() == {part: PASS}
    assert stand.judged() == {part: ("PASS", "acked")}


async def test_too_many_parts_at_the_engine_are_an_overload() -> None:
    stand = Stand()
    stand.connect()
    for _ in range(33):
        stand.part()
        stand.frame()
    await asyncio.sleep(0)
    assert len(stand.eye.asked) == 32
    written = stand.write()
    assert written == {stand.head: NOT_INSPECTED}
    await stand.leave()


# -- whose parts are these ------------------------------------------------------------------------------------


async def test_a_part_of_one_epoch_never_gets_a_token_of_another(stand: Stand) -> None:
    """The PLC restarts while the engine looks at part 11, and its next part is number 11 again."""
    part = stand.part()
    stand.frame()
    await asyncio.sleep(0)
    stand.link.epoch = 0
    stand.line.on_owner_lost("the PLC was restarted")
    assert stand.judged() == {part: ("NOT_INSPECTED", "void")}
    assert stand.of(PartJudged)[0].epoch == 0xA0B0C0D
    stand.head, stand.encoder, stand.ring = 10, 1000, [(0, 0)] * 8
    stand.link.epoch = 0x5050505
    stand.connect()
    assert stand.part() == part
    stand.frame()
    await stand.answer(0.99, index=0)
    assert stand.write() == {}
    await stand.answer(0.1, index=1)
    assert stand.write() == {part: FAIL}


async def test_an_epoch_that_changed_under_a_part_gives_it_no_token(stand: Stand) -> None:
    """However the link came by a new epoch: before the new baseline nothing is given under it."""
    part = stand.part()
    stand.frame()
    stand.link.epoch = 0x5050505
    await stand.answer(0.99)
    assert stand.write() == {}
    assert stand.judged() == {part: ("NOT_INSPECTED", "void")}


async def test_a_lost_owner_empties_the_ring_and_closes_every_record(stand: Stand) -> None:
    acked = await stand.inspected_part()
    stand.write()
    sent = await stand.inspected_part()
    stand.write(acked=False)
    unsent = await stand.inspected_part()
    waiting = stand.part()
    stand.line.on_owner_lost("another gateway owns the line")
    assert set(stand.line.tokens()) == {(0, 0, 0)}
    assert stand.judged() == {
        acked: ("PASS", "acked"),
        sent: ("PASS", "unknown"),
        unsent: ("NOT_INSPECTED", "void"),
        waiting: ("NOT_INSPECTED", "void"),
    }
    assert sorted(o.part_id for o in stand.of(PartOutcome)) == [acked, sent, unsent, waiting]


async def test_without_an_epoch_nothing_is_given(stand: Stand) -> None:
    part = stand.part()
    stand.frame()
    stand.link.epoch = 0
    await stand.answer(0.99)
    assert stand.write() == {}
    assert stand.judged() == {part: ("NOT_INSPECTED", "void")}


async def test_parts_that_passed_while_the_link_was_down_are_recorded(stand: Stand) -> None:
    stand.part(read=False)
    stand.part(read=False)
    stand.connect()
    assert stand.judged() == {11: ("NOT_INSPECTED", "void"), 12: ("NOT_INSPECTED", "void")}
    assert stand.write() == {}


@pytest.mark.parametrize(("stalled_ms", "disposition"), [(4, PASS), (60, NOT_INSPECTED)])
async def test_by_time_a_part_is_bound_only_if_the_reads_were_close_enough(stalled_ms: int, disposition: Disposition) -> None:
    config = TrackerConfig(
        cameras=(("cam", 20 * MS),),
        by="time",
        window=20 * MS,
        deadline_ns=150 * MS,
        frame_wait_ns=500 * MS,
        trigger_lag_ns=10 * MS,
    )
    stand = Stand(config=config)
    stand.connect()
    stand.now_ns += stalled_ms * MS
    part = stand.part()
    stand.now_ns += 20 * MS
    stand.frame()
    if disposition is PASS:
        await stand.answer(0.9)
    assert stand.write() == {part: disposition}


# -- cameras --------------------------------------------------------------------------------------------------


def offline_reason(stand: Stand) -> int:
    return int(stand.line.status()["status1"]) >> 4 & 0b111


async def test_ready_needs_link_camera_and_journal(stand: Stand) -> None:
    assert int(stand.line.status()["status1"]) & Status1.TRIGGER_READY
    stand.line.on_state("down", "no answer")
    assert not int(stand.line.status()["status1"]) & Status1.TRIGGER_READY
    stand.line.on_state("up", "")
    stand.journal = "the disk is full"
    stand.tick()
    assert offline_reason(stand) == 4
    assert stand.of(LineState)[-1].error == "JOURNAL"


async def test_a_camera_that_says_it_is_gone(stand: Stand) -> None:
    stand.line.on_camera("cam", False)
    stand.tick()
    assert offline_reason(stand) == 2
    assert stand.of(LineState)[-1].camera_up is False


async def test_a_camera_of_which_nothing_is_heard_is_gone(stand: Stand) -> None:
    """Its capture process has died: nobody is left to say so."""
    stand.tick(2900)
    assert offline_reason(stand) == 0
    stand.tick(200)
    assert offline_reason(stand) == 2
    assert "cam" in stand.of(LineState)[-1].detail
    stand.line.on_camera("cam", True)
    stand.tick()
    assert offline_reason(stand) == 0


async def test_every_camera_of_the_line_must_have_been_heard() -> None:
    config = TrackerConfig(cameras=(("cam", 0), ("top", 50)), window=10, deadline_ns=150 * MS, frame_wait_ns=500 * MS)
    stand = Stand(config=config, cameras=("cam", "top"))
    stand.connect()
    stand.line.on_camera("cam", True)
    stand.tick()
    assert offline_reason(stand) == 2
    stand.line.on_camera("top", True)
    stand.tick()
    assert offline_reason(stand) == 0


async def test_a_frame_is_a_sign_of_life_too(stand: Stand) -> None:
    stand.tick(3100)
    stand.frame()
    stand.tick()
    assert offline_reason(stand) == 0


async def test_a_word_of_a_camera_that_the_line_does_not_have_is_a_bug(stand: Stand) -> None:
    with pytest.raises(KeyError, match="side"):
        stand.line.on_camera("side", True)


async def test_each_admitted_part_is_a_trigger_even_when_others_close_in_the_same_read(stand: Stand) -> None:
    stand.part()
    stand.outcomes[3] = (11, 6)
    stand.part(read=False)
    stand.part()
    assert stand.triggers == [1, 2]
    stand.part(gap=20)  # too close to the last one: both are rejected, yet it came
    assert stand.triggers == [1, 2, 1]


# -- records --------------------------------------------------------------------------------------------------


async def test_a_state_is_recorded_once_a_change(stand: Stand) -> None:
    before = len(stand.of(LineState))
    for age in range(20):
        stand.journal = f"the journal lags: 300 records, the oldest 1.{age} s old"
        stand.tick(10)
    assert len(stand.of(LineState)) == before + 1


async def test_scores_that_are_no_numbers_are_left_out_of_the_record(stand: Stand) -> None:
    part = stand.part()
    stand.frame()
    await asyncio.sleep(0)
    seen = Inspection(
        part_id=part,
        label="good",
        scores={"dent": math.nan, "good": 1.0},
        stats=ImageStats(level=1, contrast=2, sharpness=3),
    )
    stand.eye.answers[0].set_result(seen)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert stand.write() == {part: NOT_INSPECTED}
    [record] = stand.of(PartJudged)
    assert record.scores == {"good": 1.0}
    assert record.stats == {"level": 1, "contrast": 2, "sharpness": 3}


async def test_process_values_are_recorded_on_change_at_most_ten_times_a_second_and_every_second(stand: Stand) -> None:
    stand.read()
    assert len(stand.of(ProcessValues)) == 1
    for _ in range(15):
        stand.now_ns += 10 * MS
        stand.values["PressForce"] += 1
        stand.read()
    assert len(stand.of(ProcessValues)) == 2
    stand.read()
    stand.now_ns += 100 * MS
    stand.read()
    count = len(stand.of(ProcessValues))
    for _ in range(9):
        stand.now_ns += 100 * MS
        stand.read()
    assert len(stand.of(ProcessValues)) == count
    stand.now_ns += 100 * MS
    stand.read()
    assert len(stand.of(ProcessValues)) == count + 1
    assert stand.of(ProcessValues)[-1].permit


async def test_a_process_value_that_is_no_number_is_left_out(stand: Stand) -> None:
    stand.values["ToolWear"] = math.nan
    stand.read()
    assert stand.of(ProcessValues)[-1].values == {"PressForce": 100.0}


# -- commands -------------------------------------------------------------------------------------------------


async def test_an_adjustment_is_recorded_once_with_its_answer(stand: Stand) -> None:
    stand.read()
    command = AdjustParameter(id="c1", line="press", tag="PressForce", value=102.0, expected_old=100.0)
    first = await stand.line.adjust(command)
    assert first.result == "confirmed"
    assert await stand.line.adjust(command) == first
    [record] = stand.of(ParameterWritten)
    assert (record.command_id, record.old, record.new, record.requested) == ("c1", 100.0, 102.0, 102.0)
    assert stand.link.adjusted == [102.0]


async def test_a_blocked_adjustment_is_recorded_too(stand: Stand) -> None:
    stand.control = int(Control.TRIGGER_ENABLE)
    stand.read()
    await stand.line.adjust(AdjustParameter(id="c1", line="press", tag="PressForce", value=102.0, expected_old=100.0))
    assert stand.of(ParameterWritten)[0].result == "blocked: the PLC's AdjustPermit is off"
    assert stand.link.adjusted == []


# -- the end --------------------------------------------------------------------------------------------------


async def test_a_bug_in_the_eye_ends_the_run(stand: Stand) -> None:
    running = asyncio.create_task(stand.line.run(stand.link))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    part = stand.part()
    stand.frame()
    await asyncio.sleep(0)
    stand.eye.answers[0].set_exception(ZeroDivisionError("a bug"))
    with pytest.raises(ExceptionGroup) as caught:
        await running
    assert caught.group_contains(ZeroDivisionError)
    assert stand.judged() == {part: ("NOT_INSPECTED", "void")}
    assert set(stand.line.tokens()) == {(0, 0, 0)}


async def test_a_cancelled_run_records_what_was_in_flight_and_leaves_no_task(stand: Stand) -> None:
    running = asyncio.create_task(stand.line.run(stand.link))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    part = stand.part()
    stand.frame()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stand.judged() == {part: ("NOT_INSPECTED", "void")}


async def test_stop_lets_due_parts_end_and_admits_no_more(stand: Stand) -> None:
    due = stand.part()
    stand.frame()
    await asyncio.sleep(0)
    stopping = asyncio.create_task(stand.line.stop(stand.link))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert offline_reason(stand) == 7
    assert not int(stand.line.status()["status1"]) & (Status1.TRIGGER_READY | Status1.ONLINE)
    stand.now_ns += MS
    late = stand.part()
    stand.frame()
    assert stand.link.statuses == 0
    await stand.answer(0.99, index=0)
    assert stand.write() == {due: PASS, late: NOT_INSPECTED}
    await stopping
    assert stand.link.statuses == 1
    assert stand.of(PartJudged)[-1].reasons in [("the gateway is stopping",), ()]
    assert {r.part_id: r.reasons for r in stand.of(PartJudged)}[late] == ("the gateway is stopping",)


async def test_a_trigger_that_was_read_once_waits_for_the_next_read(stand: Stand) -> None:
    part = stand.part(read=False)
    stand.frame()
    stand.read()
    await asyncio.sleep(0)
    assert stand.eye.asked == []
    stand.read()
    await stand.answer(good=0.9)
    assert stand.write() == {part: PASS}


@pytest.mark.parametrize("second", [("encoder",), ("part",)])
async def test_a_trigger_that_reads_otherwise_the_second_time_is_no_evidence(stand: Stand, second: tuple[str]) -> None:
    """A bit that was turned over in one read binds the part to its neighbour's picture."""
    part = stand.part(read=False)
    true = stand.ring[part % 8]
    stand.ring[part % 8] = (part, true[1] ^ 0x400)
    stand.read()
    stand.frame(encoder=(true[1] ^ 0x400) + 500)
    stand.ring[part % 8] = true if second == ("encoder",) else (part + 8, true[1])
    stand.read()
    stand.read()
    await asyncio.sleep(0)
    assert stand.eye.asked == []
    assert stand.write() == {part: NOT_INSPECTED}
    [record] = stand.of(PartJudged)
    assert (record.reasons, record.encoder) == (("its trigger was not read alike twice",), None)


async def test_nothing_that_waits_for_a_second_read_outlives_the_ownership(stand: Stand) -> None:
    stand.part(read=False)
    stand.frame()
    stand.read()
    stand.line.on_owner_lost("the PLC was restarted")
    stand.connect()
    stand.read()
    stand.read()
    await asyncio.sleep(0)
    assert stand.eye.asked == []
