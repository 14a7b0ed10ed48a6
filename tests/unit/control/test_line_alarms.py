"""A line's alarms and its wall clock: each failure that asks for an alarm raises it once, and none of them decides anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.core.commands import Acknowledge, AdjustParameter, ClearError
from gateway.core.events import AlarmChanged, CommandEnded, LineState, PartJudged
from gateway.core.handshake import Control, Status2
from gateway.core.verdict import Disposition
from tests.unit.control.line_stand import MS, Stand

S = 1_000 * MS


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    made = Stand()
    made.connect()
    made.line.on_camera("cam", True)
    made.tick()
    made.records.clear()
    yield made
    await made.leave()


def changes(stand: Stand) -> list[tuple[str, bool, int]]:
    """Return the alarms' records as (code, came, count), in order."""
    return [(r.code, r.active, r.count) for r in stand.of(AlarmChanged)]


def bit(stand: Stand) -> bool:
    return bool(int(stand.line.status()["status2"]) & Status2.ALARM_ACTIVE)


def clear_error(stand: Stand) -> None:
    """Let the PLC's ClearError rise, be seen, and fall."""
    stand.control |= Control.CLEAR_ERROR
    stand.read()
    stand.control &= ~Control.CLEAR_ERROR
    stand.read()


async def late_part(stand: Stand) -> None:
    stand.part()
    stand.frame()
    await asyncio.sleep(0)
    stand.line.on_camera("cam", True)
    stand.tick(151)
    stand.write()
    await stand.answer(0.99)


# -- conditions ----------------------------------------------------------------------------------------------


async def test_a_line_that_begins_says_what_is_missing_and_what_has_come() -> None:
    stand = Stand()
    stand.tick()
    assert changes(stand) == [("PLC_LINK", True, 1), ("CAMERA", True, 1)]
    stand.connect()
    stand.line.on_camera("cam", True)
    stand.tick()
    assert changes(stand)[2:] == [("PLC_LINK", False, 1), ("CAMERA", False, 1)]
    assert stand.of(AlarmChanged)[-1].all_active == ()
    assert not bit(stand)


async def test_a_plc_in_stop_is_an_alarm_while_it_lasts(stand: Stand) -> None:
    assert not bit(stand)
    stand.line.on_state("down", "PlcHeartbeat stands still: the PLC is in STOP")
    assert changes(stand) == [("PLC_LINK", True, 1)]
    assert stand.of(AlarmChanged)[0].detail == "PlcHeartbeat stands still: the PLC is in STOP"
    assert bit(stand)
    for _ in range(50):
        stand.line.on_camera("cam", True)
        stand.tick(100)
    stand.line.on_state("up", "")
    assert changes(stand) == [("PLC_LINK", True, 1), ("PLC_LINK", False, 1)]
    assert not bit(stand)


async def test_a_wrong_map_a_dead_camera_a_full_disk_and_bypass_are_alarms(stand: Stand) -> None:
    stand.line.on_state("refused", "InterfaceChecksum in the PLC is 16#00000001")
    stand.line.on_state("up", "")
    stand.line.on_camera("cam", False)
    stand.tick()
    stand.line.on_camera("cam", True)
    stand.journal = "the journal lags: 300 records, the oldest 1.1 s old"
    stand.tick()
    stand.journal = "the journal lags: 301 records, the oldest 1.2 s old"
    stand.tick()
    stand.journal = ""
    stand.control |= 3 << 9
    stand.read()
    stand.tick()
    clear_error(stand)
    assert [(code, came) for code, came, _ in changes(stand)] == [
        ("PLC_REFUSED", True),
        ("PLC_REFUSED", False),
        ("CAMERA", True),
        ("CAMERA", False),
        ("JOURNAL", True),
        ("JOURNAL", False),
        ("BYPASS", True),
    ]
    assert bit(stand), "the key switch cannot be acknowledged away"


async def test_an_engine_that_hangs_is_an_alarm_until_it_answers(stand: Stand) -> None:
    stand.part()
    stand.frame()
    await asyncio.sleep(0)
    for _ in range(15):
        stand.line.on_camera("cam", True)
        stand.tick(100)
    assert changes(stand) == [("SELF_CHECK", True, 1)]
    assert stand.of(AlarmChanged)[0].detail == "the engine does not answer"
    await stand.answer(0.99)
    stand.tick()
    assert changes(stand)[1:] == [("SELF_CHECK", False, 1)]


async def test_the_plc_is_told_of_an_alarm_until_the_last_one_has_gone(stand: Stand) -> None:
    stand.line.on_camera("cam", False)
    stand.line.on_state("down", "no answer")
    assert bit(stand)
    stand.line.on_state("up", "")
    assert changes(stand)[-1] == ("PLC_LINK", False, 1)
    assert bit(stand), "the camera is still away"
    stand.line.on_camera("cam", True)
    stand.tick()
    assert not bit(stand)


# -- what has happened ---------------------------------------------------------------------------------------


async def test_a_restarted_plc_is_an_alarm_until_clear_error(stand: Stand) -> None:
    stand.line.on_owner_lost("the PLC was restarted or another gateway owns the line")
    stand.head, stand.encoder, stand.ring = 0, 0, [(0, 0)] * 8
    stand.connect()
    for _ in range(10):
        stand.line.on_camera("cam", True)
        stand.tick(1000)
    assert changes(stand) == [("OWNER_LOST", True, 1)]
    assert bit(stand)
    clear_error(stand)
    assert changes(stand)[1:] == [("OWNER_LOST", False, 1)]
    assert not bit(stand)


async def test_the_end_of_the_process_is_no_lost_owner(stand: Stand) -> None:
    running = asyncio.create_task(stand.line.run(stand.link))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "OWNER_LOST" not in [code for code, _, _ in changes(stand)]


async def test_clear_error_is_an_edge_and_none_on_the_first_read_after_a_connect(stand: Stand) -> None:
    stand.line.on_owner_lost("the PLC was restarted")
    stand.control |= Control.CLEAR_ERROR
    stand.connect()
    stand.read()
    stand.read()
    assert changes(stand) == [("OWNER_LOST", True, 1)], "held from before the connect: nobody has pressed it since"
    stand.control &= ~Control.CLEAR_ERROR
    stand.read()
    assert bit(stand)
    stand.control |= Control.CLEAR_ERROR
    stand.read()
    assert not bit(stand)
    stand.line.on_owner_lost("again")
    stand.connect()
    stand.read()
    assert bit(stand), "the level alone acknowledges nothing"


async def test_before_any_read_a_first_image_with_clear_error_is_no_edge() -> None:
    stand = Stand()
    stand.line.on_owner_lost("kept from before")
    stand.control |= Control.CLEAR_ERROR
    stand.connect()
    stand.read()
    assert ("OWNER_LOST", False, 1) not in changes(stand)


async def test_a_gap_in_part_ids_is_counted_and_alarmed_once(stand: Stand) -> None:
    for _ in range(11):
        stand.part(read=False)
    stand.read()
    assert changes(stand) == [("MISSED_TRIGGER", True, 3)]
    assert "3 of the parts up to 21" in stand.of(AlarmChanged)[0].detail
    for _ in range(9):
        stand.part(read=False)
    stand.read()
    stand.tick()
    assert len(changes(stand)) == 1
    clear_error(stand)
    assert changes(stand)[1:] == [("MISSED_TRIGGER", False, 4)]


async def test_a_reject_that_was_not_confirmed_names_its_part(stand: Stand) -> None:
    for outcome, alarms in ((2, 0), (1, 0), (3, 1), (3, 1)):
        part = await stand.inspected_part(good=0.1)
        stand.write()
        stand.outcomes[part % 8] = (part, outcome)
        stand.read()
        assert len(changes(stand)) == alarms
    assert changes(stand) == [("REJECT_NOT_CONFIRMED", True, 1)]
    assert "part 13 " in stand.of(AlarmChanged)[0].detail
    clear_error(stand)
    assert changes(stand)[1:] == [("REJECT_NOT_CONFIRMED", False, 2)]


async def test_a_stop_is_asked_for_until_one_is_in_time_and_the_alarm_stays(stand: Stand) -> None:
    for _ in range(7):
        await late_part(stand)
    assert changes(stand) == []
    await late_part(stand)
    assert changes(stand) == [("CONSECUTIVE_LATE", True, 1)]
    await late_part(stand)
    assert int(stand.line.status()["status2"]) & Status2.STOP_REQUEST
    await stand.inspected_part()
    assert not int(stand.line.status()["status2"]) & Status2.STOP_REQUEST
    assert stand.line.status()["stop.reason"] == 0
    assert bit(stand), "what has happened must be seen by somebody"
    clear_error(stand)
    assert changes(stand) == [("CONSECUTIVE_LATE", True, 1), ("CONSECUTIVE_LATE", False, 2)]
    assert not bit(stand)


async def test_acknowledged_late_parts_are_counted_anew(stand: Stand) -> None:
    """The line stands still as it was asked to: no part would ever come in time to end the request."""
    for _ in range(8):
        await late_part(stand)
    clear_error(stand)
    assert not int(stand.line.status()["status2"]) & Status2.STOP_REQUEST
    assert stand.line.status()["stop.reason"] == 0
    for late in range(8):
        assert [came for _, came, _ in changes(stand)] == [True, False], late
        await late_part(stand)
    assert [came for _, came, _ in changes(stand)] == [True, False, True]
    assert int(stand.line.status()["status2"]) & Status2.STOP_REQUEST


async def test_a_stop_request_ends_with_the_epoch_that_it_was_made_under(stand: Stand) -> None:
    for _ in range(8):
        await late_part(stand)
    stand.line.on_owner_lost("the PLC was restarted")
    assert not int(stand.line.status()["status2"]) & Status2.STOP_REQUEST


async def test_a_parameter_that_was_accepted_and_not_applied(stand: Stand) -> None:
    stand.read()
    shown: list[float] = []
    read = stand.link.next_image

    async def stuck() -> object:
        stand.now_ns += 100 * MS
        shown.append(stand.link.adjusted[-1])
        return replace(await read(), values={"PressForce": 100.0})

    stand.link.next_image = stuck  # type: ignore[method-assign, assignment]
    answer = await stand.line.adjust(AdjustParameter(id="c1", line="press", tag="PressForce", value=102.0, expected_old=100.0))
    assert answer.result == "refused: accepted, but the PLC holds 100; went back to 100"
    assert stand.link.adjusted == [102.0, 100.0]
    assert changes(stand) == [("NOT_APPLIED", True, 1)]
    assert "PressForce 100 → 102" in stand.of(AlarmChanged)[0].detail
    assert bit(stand)


# -- the wall clock ------------------------------------------------------------------------------------------


async def test_records_after_a_step_of_the_clock_are_marked_until_it_has_settled(stand: Stand) -> None:
    await stand.inspected_part()
    stand.write()
    stand.wall_ns += 3600 * S
    await stand.inspected_part()
    stand.write()
    assert [r.synchronised for r in stand.of(PartJudged)] == [True, False], "the very first one after it, before any tick"
    stand.tick(10)
    assert changes(stand) == [("CLOCK", True, 1)]
    assert stand.of(AlarmChanged)[0].detail == "the wall clock was set by +3600.000 s"
    assert not stand.of(AlarmChanged)[0].synchronised
    clear_error(stand)
    assert bit(stand)
    for second in range(60):
        assert changes(stand) == [("CLOCK", True, 1)], second
        stand.line.on_camera("cam", True)
        stand.tick(1_000)
    assert changes(stand)[1:] == [("CLOCK", False, 1)]
    assert not bit(stand)
    await stand.inspected_part()
    stand.write()
    assert stand.of(PartJudged)[-1].synchronised


async def test_a_line_state_after_a_step_is_marked_and_one_record_all_the_same(stand: Stand) -> None:
    stand.wall_ns -= 3600 * S
    stand.line.on_camera("cam", False)
    stand.tick()
    stand.tick()
    [state] = stand.of(LineState)
    assert not state.synchronised


async def test_nothing_is_decided_by_the_wall_clock(stand: Stand) -> None:
    """The same parts under a clock that leaps a day with every move get the same verdicts, tokens and fates."""
    other = Stand()
    other.connect()
    other.line.on_camera("cam", True)
    other.tick()
    seen = []
    for i, each in enumerate((stand, other)):
        tokens: list[dict[int, Disposition]] = []
        for n in range(12):
            each.wall_ns += i * (-1) ** n * 86_400 * S
            each.line.on_camera("cam", True)
            await each.inspected_part(good=0.1 if n % 3 else 0.9)
            each.wall_ns += i * 86_400 * S
            each.tick(40 if n % 4 else 200)
            tokens.append(each.write())
        await late_part(each)
        seen.append((tokens, each.judged(), {**each.line.status(), "status2": 0}))
        times = [(r.t_trigger_mono_ns, r.t_acked_mono_ns, r.latency_ms) for r in each.of(PartJudged)]
        assert times == [(r.t_trigger_mono_ns, r.t_acked_mono_ns, r.latency_ms) for r in stand.of(PartJudged)]
    assert seen[0] == seen[1]
    assert not all(r.synchronised for r in other.of(PartJudged))
    await other.leave()


# -- an operator's word ------------------------------------------------------------------------------------------


async def test_an_operator_acknowledges_as_the_plc_does(stand: Stand) -> None:
    stand.line.on_owner_lost("the PLC was restarted")
    wrong = await stand.line.command(Acknowledge(id="1", line="press", code="OVERLOAD", by="operator"))
    assert wrong.result == "refused: 'OVERLOAD' is not active; there are: OWNER_LOST"
    one = await stand.line.command(Acknowledge(id="2", line="press", code="OWNER_LOST", by="operator"))
    assert one.result == "confirmed"
    stand.line.on_owner_lost("again")
    every = await stand.line.command(ClearError(id="3", line="press", by="operator"))
    assert every.result == "confirmed"
    assert changes(stand) == [("OWNER_LOST", True, 1), ("OWNER_LOST", False, 1)] * 2
    assert {r.detail for r in stand.of(AlarmChanged) if not r.active} == {"acknowledged by operator"}
    told = [(c.command, c.by, c.done, c.detail.partition(";")[0]) for c in stand.of(CommandEnded)]
    assert told == [
        ("ACKNOWLEDGE", "operator", False, "'OVERLOAD' is not active"),
        ("ACKNOWLEDGE", "operator", True, "OWNER_LOST"),
        ("CLEAR_ERROR", "operator", True, ""),
    ]
