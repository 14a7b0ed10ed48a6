"""The line watches itself: what feeds the heartbeat, what drops TriggerReady, and which pictures it does not believe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.control.load import CROWDED, MAX_INSPECTING, RELIEVED
from gateway.control.pending import MAX_DRAFTS
from gateway.control.selfcheck import HUNG_LOOKS
from gateway.core.errors import SelfCheckFailed
from gateway.core.events import AlarmChanged, LineState, PartJudged
from gateway.core.handshake import Control, ErrorCode, Status1
from gateway.core.verdict import Disposition
from tests.unit.control.line_stand import MS, ONE_CAMERA, Stand

PASS, FAIL, NOT_INSPECTED = Disposition.PASS, Disposition.FAIL, Disposition.NOT_INSPECTED


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    made = Stand()
    made.connect()
    made.line.on_camera("cam", True)
    made.tick()
    yield made
    await made.leave()


def status1(stand: Stand) -> int:
    return int(stand.line.status()["status1"])


def ticks(stand: Stand, ms: int) -> None:
    for _ in range(ms // 10):
        stand.line.on_camera("cam", True)
        stand.tick(10)


# -- the self-check -------------------------------------------------------------------------------------------


async def test_the_heart_beats_while_parts_are_served_and_not_150_ms_longer(stand: Stand) -> None:
    assert stand.line.alive()
    stand.now_ns += 150 * MS
    assert stand.line.alive()
    stand.now_ns += MS
    assert not stand.line.alive(), "a process that was stopped does not go on as if nothing had been"
    stand.tick()
    assert stand.line.alive()


async def test_no_pass_goes_out_on_a_failed_self_check_but_rejects_do() -> None:
    stand = Stand(config=replace(ONE_CAMERA, deadline_ns=2_000 * MS))
    stand.connect()
    good = await stand.inspected_part()
    bad = await stand.inspected_part(good=0.1)
    stand.journal_alive = False
    for _ in range(16):
        assert stand.line.alive()
        stand.tick(10)
    assert not stand.line.alive()
    assert stand.write() == {bad: FAIL}
    assert stand.judged() == {good: ("NOT_INSPECTED", "void"), bad: ("FAIL", "acked")}
    assert stand.of(PartJudged)[0].reasons == ("the journal's writer has ended",)


async def test_an_engine_that_hangs_stops_the_heart_and_a_busy_one_does_not(stand: Stand) -> None:
    stand.part()
    stand.frame()
    await asyncio.sleep(0)
    ticks(stand, 1150)  # one second beyond the deadline of 150 ms
    assert stand.line.alive()
    ticks(stand, 170)
    assert not stand.line.alive()
    assert not status1(stand) & Status1.TRIGGER_READY
    assert stand.line.status()["error.code"] == ErrorCode.SELF_CHECK
    state = stand.of(LineState)[-1]
    assert (state.ready, state.error, state.detail) == (
        False,
        "SELF_CHECK",
        "the self-check fails: the engine does not answer",
    )
    await stand.answer(0.9)
    stand.tick(10)
    assert stand.line.alive()
    assert status1(stand) & Status1.TRIGGER_READY
    assert stand.line.status()["error.code"] == 0
    assert len(stand.of(LineState)) == 3 + 1, "one record a change"


async def test_a_journal_whose_writer_has_ended_stops_the_heart(stand: Stand) -> None:
    stand.journal_alive = False
    ticks(stand, 150)
    assert stand.line.alive()
    ticks(stand, 10)
    assert not stand.line.alive()
    assert "the journal's writer has ended" in stand.of(LineState)[-1].detail


async def test_what_fails_for_20_s_ends_the_process(stand: Stand) -> None:
    stand.journal_alive = False
    ticks(stand, 150 + HUNG_LOOKS * 10)
    with pytest.raises(SelfCheckFailed):
        ticks(stand, 10)


# -- overload -------------------------------------------------------------------------------------------------


async def crowd(stand: Stand, count: int) -> None:
    for _ in range(count):
        stand.part()
        stand.frame()
    await asyncio.sleep(0)
    stand.tick()


async def test_trigger_ready_drops_before_parts_are_refused_and_comes_back_when_there_is_room() -> None:
    stand = Stand()
    stand.connect()
    stand.line.on_camera("cam", True)
    await crowd(stand, CROWDED - 1)
    assert status1(stand) & Status1.TRIGGER_READY
    await crowd(stand, 1)
    assert not status1(stand) & Status1.TRIGGER_READY
    assert stand.line.status()["error.code"] == ErrorCode.OVERLOAD
    assert stand.line.alive(), "to be busy is no failure"
    assert not status1(stand) & Status1.BUFFER_OVERRUN
    for index in range(CROWDED - RELIEVED - 1):
        await stand.answer(index=index)
    stand.tick()
    assert not status1(stand) & Status1.TRIGGER_READY
    await stand.answer(index=CROWDED - RELIEVED - 1)
    stand.tick()
    assert status1(stand) & Status1.TRIGGER_READY
    await stand.leave()


@pytest.mark.parametrize("how", ["ClearError", "a result in time once there is room"])
async def test_parts_refused_for_overload_are_an_overrun_until(how: str) -> None:
    stand = Stand()
    stand.connect()
    await crowd(stand, MAX_INSPECTING)
    assert not status1(stand) & Status1.BUFFER_OVERRUN
    await crowd(stand, 1)
    assert status1(stand) & Status1.BUFFER_OVERRUN
    assert stand.write() == {stand.head: NOT_INSPECTED}
    assert "overload" in stand.of(PartJudged)[0].reasons[0]
    await crowd(stand, 2)
    alarms = [r for r in stand.of(AlarmChanged) if r.code == "OVERLOAD"]
    assert [(a.active, a.count) for a in alarms] == [(True, 1)], "once, however many are refused"
    if how == "ClearError":
        stand.control |= Control.CLEAR_ERROR
        stand.read()
    else:
        await stand.answer(0.9, index=0)
        assert status1(stand) & Status1.BUFFER_OVERRUN, "it is still crowded"
        for index in range(1, MAX_INSPECTING - RELIEVED):
            await stand.answer(0.9, index=index)
        assert status1(stand) & Status1.BUFFER_OVERRUN
        await stand.answer(0.9, index=MAX_INSPECTING - RELIEVED)
    assert not status1(stand) & Status1.BUFFER_OVERRUN
    await stand.leave()


async def test_the_load_is_shown_ten_times_a_second(stand: Stand) -> None:
    """A status write for each part would stand in the way of its token."""
    ticks(stand, 100)
    section = stand.line.status()
    assert (int(section["status1"]) & Status1.BUSY, section["buffers.remaining"]) == (0, MAX_INSPECTING)
    stand.part()
    stand.frame()
    await asyncio.sleep(0)
    stand.tick(10)
    assert stand.line.status() == section
    ticks(stand, 90)
    section = stand.line.status()
    assert (bool(int(section["status1"]) & Status1.BUSY), section["buffers.remaining"]) == (True, MAX_INSPECTING - 1)


async def test_parts_that_wait_for_a_link_that_does_not_write_are_bounded(stand: Stand) -> None:
    first = await stand.inspected_part()
    for _ in range(MAX_DRAFTS - 1):
        await stand.inspected_part()
    assert stand.judged() == {}
    await stand.inspected_part()
    assert stand.judged() == {first: ("NOT_INSPECTED", "void")}
    assert len(stand.write()) == 8


# -- pictures that are not believed ---------------------------------------------------------------------------


@pytest.mark.parametrize("counter", [5, 4])
async def test_a_frame_whose_counter_did_not_go_up_is_no_evidence(stand: Stand, counter: int) -> None:
    first = stand.part()
    stand.frame(counter=5)
    await stand.answer(0.9)
    second = stand.part()
    stand.frame(counter=counter)
    third = stand.part()
    stand.frame(counter=6)
    await stand.answer(0.9)
    assert len(stand.eye.asked) == 2
    assert stand.write() == {first: PASS, second: NOT_INSPECTED, third: PASS}
    assert "frame counter" in stand.of(PartJudged)[1].reasons[0]


async def test_a_frame_that_waited_for_its_part_is_doubted_all_the_same(stand: Stand) -> None:
    stand.frame(encoder=9_000, counter=7)
    stand.frame(encoder=2_500, counter=7)
    part = stand.part()
    assert stand.eye.asked == []
    assert stand.write() == {part: NOT_INSPECTED}


async def test_a_camera_that_was_gone_may_count_anew(stand: Stand) -> None:
    await stand.inspected_part()
    stand.line.on_camera("cam", False)
    stand.line.on_camera("cam", True)
    part = stand.part()
    stand.frame(counter=0)
    await stand.answer(0.9)
    assert stand.write()[part] is PASS


async def test_three_frames_with_a_counter_that_stands_have_the_camera_opened_anew(stand: Stand) -> None:
    await stand.inspected_part()
    for _ in range(3):
        assert stand.reopened == []
        stand.part()
        stand.frame(counter=1)
    assert stand.reopened == ["cam"]
