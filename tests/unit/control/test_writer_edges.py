"""The writer at its edges: the last value that a gate lets through, what it remembers, and what every answer says."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import pytest

from gateway.control.status import Status
from gateway.control.writer import READ_BACK_NS, REMEMBERED_COMMANDS, Writer
from gateway.core.commands import Answer
from gateway.core.errors import DeviceUnavailable
from gateway.core.handshake import AdjustResult, Control
from gateway.core.verdict import Disposition, Verdict
from tests.unit.control.test_writer import COMMAND, FORCE, IMAGE, MAP, UP, FakeLink, writer_with

S = 1_000_000_000


def image(holds: object) -> object:
    return replace(IMAGE, values={"PressForce": holds})  # type: ignore[dict-item]


async def allowed(value: float, holds: float = 100.0, expected: float | None = None, **limits: object) -> bool:
    """Return whether a move from ``holds`` to ``value`` is sent."""
    link = FakeLink()
    command = replace(COMMAND, value=value, expected_old=holds if expected is None else expected)
    await writer_with(link, **limits).adjust(command, image(holds))  # type: ignore[arg-type]
    return link.asked != []


# -- the last value that a gate lets through ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("holds", "value", "sent"), [(118, 120, True), (118, 120.001, False), (82, 80, True), (82, 79.999, False)]
)
async def test_the_range_s_ends_belong_to_it(holds: float, value: float, sent: bool) -> None:
    assert await allowed(value, holds) is sent


@pytest.mark.parametrize(("value", "sent"), [(104.0039, True), (104.0041, False), (95.9961, True), (95.9959, False)])
async def test_the_step_s_limit_may_be_taken_whole_as_a_32_bit_real_shows_it(value: float, sent: bool) -> None:
    """A ten-thousandth of the span of 40 kN is no difference."""
    assert await allowed(value) is sent


@pytest.mark.parametrize(("value", "sent"), [(105.0, True), (105.0001, False)])
async def test_the_step_s_very_last_value_is_let_through(value: float, sent: bool) -> None:
    """A ten-thousandth of this span is exactly 1, so that no rounding hides the edge."""
    assert await allowed(value, range=(0, 10_000)) is sent


@pytest.mark.parametrize(("expected", "sent"), [(100.0039, True), (100.0041, False), (99.9961, True), (99.9959, False)])
async def test_what_the_plc_holds_is_what_was_expected_within_a_ten_thousandth_of_the_span(expected: float, sent: bool) -> None:
    assert await allowed(102, 100, expected) is sent


@pytest.mark.parametrize(("shown", "result"), [(104.0039, "confirmed"), (104.0041, "refused")])
async def test_what_is_read_back_is_what_was_asked_for_within_as_much(shown: float, result: str) -> None:
    link = FakeLink()
    link.shows = [shown]
    answer = await writer_with(link).adjust(COMMAND, IMAGE)
    assert answer.result.startswith(result)


@pytest.mark.parametrize(("after_ns", "sent"), [(60 * S - 1, False), (60 * S, True)])
async def test_a_move_counts_for_a_minute(after_ns: int, sent: bool) -> None:
    link = FakeLink()
    writer = writer_with(link, rate_per_min=1)
    begun_ns = link.now.ns
    await writer.adjust(COMMAND, IMAGE)
    link.now.ns = begun_ns + after_ns
    await writer.adjust(replace(COMMAND, id="c2"), IMAGE)
    assert len(link.asked) == (2 if sent else 1)


@pytest.mark.parametrize("rate", [1, 1.5, 1.9])
async def test_a_rate_between_one_and_two_a_minute_is_one_a_minute(rate: float) -> None:
    link = FakeLink()
    writer = writer_with(link, rate_per_min=rate)
    await writer.adjust(COMMAND, IMAGE)
    link.now.ns += 59 * S
    assert "1 moves in the last 60 s, 1 allowed" in (await writer.adjust(replace(COMMAND, id="c2"), IMAGE)).result


@pytest.mark.parametrize(("reads", "confirmed"), [(251, True), (252, False)])
async def test_a_value_may_take_a_second_to_show(reads: int, confirmed: bool) -> None:
    """One read each 4 ms; the one at the second is asked for, and the next one tells."""
    link = FakeLink()
    link.shows = [*([100.0] * (reads - 1)), 104.0]
    assert READ_BACK_NS == S
    answer = await writer_with(link).adjust(COMMAND, IMAGE)
    assert (answer.result == "confirmed") is confirmed


# -- what every answer says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "holds", "limits", "why"),
    [
        ({"tag": "Heat"}, 100.0, {}, "Heat is not on the whitelist (role: param in the tag map)"),
        ({"value": 121.0}, 118.0, {}, "121 is outside 80 … 120 kN"),
        ({"value": math.nan}, 100.0, {}, "nan is outside 80 … 120 kN"),
        ({"value": math.inf}, 100.0, {}, "inf is outside 80 … 120 kN"),
        ({"value": 95.5}, 100.0, {}, "a move of -4.5 exceeds the step limit of 4 kN"),
        ({"expected_old": 101.0}, 100.0, {}, "the PLC holds 100.0, expected was 101"),
        ({}, math.nan, {}, "the PLC holds None, expected was 100"),
        ({}, 100.0, {"range": None}, "104 is outside inf … -inf kN"),
        ({}, 100.0, {"step": None}, "a move of +4 exceeds the step limit of None kN"),
        ({}, 100.0, {"rate_per_min": None}, "PressForce has no rate_per_min"),
    ],
)
async def test_what_is_blocked_says_what_was_asked_what_stands_and_what_is_allowed(
    change: dict[str, object], holds: float, limits: dict[str, object], why: str
) -> None:
    link = FakeLink()
    asked = replace(COMMAND, **{"expected_old": 100.0 if math.isnan(holds) else holds, **change})  # type: ignore[arg-type]
    answer = await writer_with(link, **limits).adjust(asked, image(holds))  # type: ignore[arg-type]
    old = None if math.isnan(holds) or asked.tag != "PressForce" else holds
    assert answer == Answer(id="c1", result=f"blocked: {why}", old=old, new=None)
    assert link.asked == []


async def test_an_exhausted_rate_says_how_many_moves_were_made() -> None:
    link = FakeLink()
    writer = writer_with(link, rate_per_min=0.5)
    await writer.adjust(COMMAND, IMAGE)
    answer = await writer.adjust(replace(COMMAND, id="c2"), IMAGE)
    assert answer.result == "blocked: 1 moves in the last 120 s, 1 allowed"


@pytest.mark.parametrize(
    ("state", "control", "why"),
    [
        ("down", IMAGE.control, "the PLC link is not up"),
        ("up", int(Control.TRIGGER_ENABLE), "the PLC's AdjustPermit is off"),
        ("up", int(Control.ADJUST_PERMIT) | 1 << 9, "the line is in mode MANUAL"),
        ("up", int(Control.ADJUST_PERMIT) | 2 << 9, "the line is in mode MONITOR_ONLY"),
        ("up", int(Control.ADJUST_PERMIT) | 3 << 9, "the line is in mode BYPASS"),
    ],
)
async def test_a_line_that_takes_no_adjustment_says_why(state: str, control: int, why: str) -> None:
    link = FakeLink()
    link.state = state
    answer = await writer_with(link).adjust(COMMAND, replace(IMAGE, control=control))
    assert answer == Answer(id="c1", result=f"blocked: {why}", old=100.0)


async def test_a_gateway_that_only_watches_takes_no_adjustment() -> None:
    link = FakeLink()
    writer = writer_with(link)
    writer.monitor_only = True
    answer = await writer.adjust(COMMAND, IMAGE)
    assert answer == Answer(id="c1", result="blocked: this gateway only watches (--monitor-only)", old=100.0)
    assert link.asked == []


async def test_without_a_link_nothing_is_adjusted_and_nothing_is_known_of_the_old_value() -> None:
    writer = Writer(MAP, mono_ns=lambda: 0)
    assert await writer.adjust(COMMAND, None) == Answer(id="c1", result="blocked: the PLC link is not up")
    assert (await writer.adjust(COMMAND, IMAGE)).result == "blocked: the PLC link is not up"


@pytest.mark.parametrize(("echoed", "new"), [(103.0, 103.0), (math.nan, None), (math.inf, None)])
async def test_a_refusal_tells_what_the_plc_holds_if_that_is_a_number(echoed: float, new: float | None) -> None:
    answer = await writer_with(FakeLink((AdjustResult.CLAMPED, echoed))).adjust(COMMAND, IMAGE)
    assert answer == Answer(id="c1", result="refused: CLAMPED", old=100.0, new=new)


async def test_a_whole_number_in_the_block_is_a_value_like_any_other() -> None:
    answer = await writer_with(FakeLink()).adjust(COMMAND, image(100))  # type: ignore[arg-type]
    assert answer == Answer(id="c1", result="confirmed", old=100.0, new=104.0)
    assert isinstance(answer.old, float)


async def test_a_parameter_that_left_the_block_while_it_was_read_back_is_not_confirmed() -> None:
    link = FakeLink()
    link.shows = [math.nan]
    answer = await writer_with(link).adjust(COMMAND, IMAGE)
    assert answer.result == ("refused: accepted, but the PLC holds no value; no way back: it is not known what to go back from")


# -- what it remembers ----------------------------------------------------------------------------------------------------


async def test_the_last_256_commands_are_answered_again_and_older_ones_are_forgotten() -> None:
    link = FakeLink()
    writer = writer_with(link, rate_per_min=10_000)
    assert REMEMBERED_COMMANDS == 256
    for i in range(256):
        await writer.adjust(replace(COMMAND, id=f"c{i}"), IMAGE)
    assert writer.knows("c0")
    assert writer.knows("c255")
    await writer.adjust(replace(COMMAND, id="c256"), IMAGE)
    assert not writer.knows("c0")
    assert writer.knows("c1")
    assert writer.knows("c256")


async def test_what_was_refused_or_left_unknown_is_not_tried_again_under_the_same_id() -> None:
    for first in ((AdjustResult.NO_PERMIT, 100.0), DeviceUnavailable("press", "adjust", "no echo")):
        link = FakeLink(first)
        writer = writer_with(link)
        answer = await writer.adjust(COMMAND, IMAGE)
        assert await writer.adjust(COMMAND, IMAGE) == answer
        assert writer.knows("c1")
        assert len(link.asked) == 1


async def test_a_cancelled_adjustment_leaves_the_door_open_for_the_next_one() -> None:
    """The one who waits for the same id is let go too: nobody will answer."""
    link = FakeLink()
    writer = writer_with(link)
    link.gate.clear()
    first = asyncio.create_task(writer.adjust(COMMAND, IMAGE))
    await asyncio.sleep(0)
    again = asyncio.create_task(writer.adjust(COMMAND, IMAGE))
    await asyncio.sleep(0)
    first.cancel()
    for task in (first, again):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not writer.knows("c1")
    link.gate.set()
    assert (await writer.adjust(replace(COMMAND, id="c2"), IMAGE)).result == "confirmed"


async def test_one_who_gives_up_waiting_for_the_same_id_does_not_take_the_answer_from_the_other() -> None:
    link = FakeLink()
    writer = writer_with(link)
    link.gate.clear()
    first = asyncio.create_task(writer.adjust(COMMAND, IMAGE))
    await asyncio.sleep(0)
    again = asyncio.create_task(writer.adjust(COMMAND, IMAGE))
    await asyncio.sleep(0)
    again.cancel()
    with pytest.raises(asyncio.CancelledError):
        await again
    link.gate.set()
    assert (await first).result == "confirmed"


async def test_each_parameter_has_its_own_index_and_its_own_rate() -> None:
    heat = replace(FORCE, name="Heat", offset=172)
    link = FakeLink()
    writer = Writer(replace(MAP, up=replace(UP, tags=(FORCE, heat))), mono_ns=link.now)
    writer.link = link  # type: ignore[assignment]
    both = replace(IMAGE, values={"PressForce": 100.0, "Heat": 100.0})
    for i in range(2):
        assert (await writer.adjust(replace(COMMAND, id=f"a{i}"), both)).result == "confirmed"
    assert "allowed" in (await writer.adjust(replace(COMMAND, id="a2"), both)).result
    link.shows = [100.0]
    await writer.adjust(replace(COMMAND, id="b", tag="Heat"), both)
    assert [index for index, _, _ in link.asked][:3] == [0, 0, 1]


# -- tokens ---------------------------------------------------------------------------------------------------------------


def test_a_writer_without_a_link_owns_nothing_and_gives_nothing() -> None:
    writer = Writer(MAP, mono_ns=lambda: 0)
    assert writer.status == Status()
    assert writer.epoch == 0
    assert writer.give(Verdict(part_id=9, disposition=Disposition.FAIL)) is False
    assert writer.ring.words() == [(0, 0, 0)] * 8


def test_a_token_is_given_under_the_link_s_epoch_in_its_part_s_slot() -> None:
    link = FakeLink()
    writer = writer_with(link)
    assert writer.epoch == 7
    assert writer.give(Verdict(part_id=9, disposition=Disposition.FAIL)) is True
    assert writer.ring.words()[1] == (9, 0x5AA5, 9 ^ 0x5AA5 ^ 7)
    assert link.changed == 1
