"""The writer: the only door to a PLC write lets through what every gate allows, and nothing else."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import pytest

from gateway.control.writer import Writer
from gateway.core.commands import AdjustParameter, Answer
from gateway.core.errors import DeviceUnavailable
from gateway.core.handshake import AdjustResult, Control
from gateway.core.tags import Block, S7Address, Tag, TagMap
from gateway.core.verdict import Disposition, Verdict
from gateway.plc.listener import UpImage

FORCE = Tag(
    name="PressForce", datatype="Real", offset=168, size=4, role="param", unit="kN", range=(80, 120), step=4, rate_per_min=2
)
UP = Block(name="U", base=S7Address(db=100, byte=0), direction="plc->gw", tags=(FORCE,), size=172)
DOWN = Block(name="D", base=S7Address(db=101, byte=0), direction="gw->plc", tags=(), size=2)
MAP = TagMap(name="press", order="ABCD", up=UP, down=DOWN)
IMAGE = UpImage(
    t_asked_mono_ns=0,
    t_mono_ns=0,
    control=int(Control.TRIGGER_ENABLE | Control.ADJUST_PERMIT),
    heartbeat=1,
    part_id=0,
    triggers=(),
    outcomes=(),
    owner=7,
    adjust_seq=0,
    adjust_result=0,
    adjust_value=0.0,
    values={"PressForce": 100.0},
)
COMMAND = AdjustParameter(id="c1", line="press", tag="PressForce", value=104.0, expected_old=100.0)


class FakeLink:
    """Stands for the link: answers adjustments as told, counts what it was asked, and shows what the PLC then holds."""

    def __init__(self, *answers: tuple[AdjustResult, float] | DeviceUnavailable) -> None:
        self.state = "up"
        self.epoch = 7
        self.answers = list(answers)
        """Answers to the requests that follow; beyond them everything is accepted."""
        self.control = IMAGE.control
        self.asked: list[tuple[int, float, float]] = []
        self.changed = 0
        self.shows: list[object] = []
        """Values of PressForce in the reads that follow; the last one stays. Empty = what was asked for."""
        self.now = Now()
        self.gate = asyncio.Event()
        self.gate.set()

    def tokens_changed(self) -> None:
        self.changed += 1

    async def adjust(self, index: int, value: float, expected_old: float) -> tuple[AdjustResult, float]:
        self.asked.append((index, value, expected_old))
        await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else (AdjustResult.ACCEPTED, value)
        if isinstance(answer, DeviceUnavailable):
            raise answer
        return answer

    async def next_image(self) -> UpImage:
        await asyncio.sleep(0)
        self.now.ns += 4_000_000
        shown = self.shows[0] if self.shows else self.asked[-1][1]
        if len(self.shows) > 1:
            del self.shows[0]
        if isinstance(shown, DeviceUnavailable):
            raise shown
        return replace(IMAGE, control=self.control, values={"PressForce": shown})


class Now:
    ns = 0

    def __call__(self) -> int:
        return self.ns


def writer_with(link: FakeLink, **limits: float) -> Writer:
    tag = replace(FORCE, **limits)
    writer = Writer(replace(MAP, up=replace(UP, tags=(tag,))), mono_ns=link.now)
    writer.link = link  # type: ignore[assignment]
    return writer


async def test_an_allowed_move_is_confirmed_with_old_and_new() -> None:
    link = FakeLink()
    answer = await writer_with(link).adjust(COMMAND, IMAGE)
    assert (answer.result, answer.old, answer.new) == ("confirmed", 100.0, 104.0)
    assert link.asked == [(0, 104.0, 100.0)]


async def test_the_same_id_is_answered_again_and_not_sent_again() -> None:
    link = FakeLink()
    writer = writer_with(link)
    first = await writer.adjust(COMMAND, IMAGE)
    assert await writer.adjust(COMMAND, IMAGE) == first
    assert len(link.asked) == 1


@pytest.mark.parametrize(
    ("change", "image", "why"),
    [
        ({"tag": "Temperature"}, {}, "whitelist"),
        ({}, {"control": int(Control.TRIGGER_ENABLE)}, "AdjustPermit"),
        ({}, {"control": int(Control.ADJUST_PERMIT) | 1 << 9}, "MANUAL"),
        ({"value": 121.0, "expected_old": 118.0}, {"values": {"PressForce": 118.0}}, "outside"),
        ({"value": float("nan")}, {}, "outside"),
        ({"value": 105.0}, {}, "step limit"),
        ({"expected_old": 101.0}, {}, "expected was"),
        ({}, {"values": {}}, "expected was"),
        ({}, {"values": {"PressForce": math.nan}}, "expected was"),
    ],
)
async def test_every_gate_blocks_and_nothing_is_sent(change: dict[str, object], image: dict[str, object], why: str) -> None:
    link = FakeLink()
    answer = await writer_with(link).adjust(replace(COMMAND, **change), replace(IMAGE, **image))
    assert answer.result.startswith("blocked: ")
    assert why in answer.result
    assert link.asked == []


async def test_no_link_no_image_no_move() -> None:
    link = FakeLink()
    link.state = "readonly"
    assert "link is not up" in (await writer_with(link).adjust(COMMAND, IMAGE)).result
    assert "link is not up" in (await writer_with(FakeLink()).adjust(COMMAND, None)).result


async def moves_allowed(writer: Writer, count: int, name: str) -> int:
    """Return how many of ``count`` moves at one moment are let through."""
    answers = [await writer.adjust(replace(COMMAND, id=f"{name}{i}"), IMAGE) for i in range(count)]
    assert all(a.result == "confirmed" or "allowed" in a.result for a in answers)
    return sum(a.result == "confirmed" for a in answers)


@pytest.mark.parametrize(("rate", "most", "span_s"), [(2, 2, 60), (2.9, 2, 60), (100, 100, 60), (0.5, 1, 120)])
async def test_the_rate_limit_counts_moves_of_the_last_minute(rate: float, most: int, span_s: int) -> None:
    """A rate of half a move a minute is one move in two minutes."""
    link = FakeLink()
    writer = writer_with(link, rate_per_min=rate)
    assert await moves_allowed(writer, most + 3, "a") == most
    link.now.ns += (span_s - 1) * 1_000_000_000
    assert await moves_allowed(writer, 1, "b") == 0
    link.now.ns += 2_000_000_000
    assert await moves_allowed(writer, most + 3, "c") == most


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ((AdjustResult.NO_PERMIT, 100.0), "refused: NO_PERMIT"),
        ((AdjustResult.CLAMPED, 103.0), "refused: CLAMPED"),
        ((AdjustResult.STALE_EXPECTED_OLD, math.nan), "refused: STALE_EXPECTED_OLD"),
        (DeviceUnavailable("press", "adjust", "no echo"), "unknown: press: adjust: no echo"),
    ],
)
async def test_only_an_accepted_value_can_be_confirmed(answer: object, result: str) -> None:
    link = FakeLink(answer)  # type: ignore[arg-type]
    given = await writer_with(link).adjust(COMMAND, IMAGE)
    assert given.result == result
    assert len(link.asked) == 1
    assert given.new is None or math.isfinite(given.new)


async def test_an_accepted_value_is_read_back_before_it_is_confirmed() -> None:
    link = FakeLink()
    link.shows = [100.0, 100.0, 104.0]
    answer = await writer_with(link).adjust(COMMAND, IMAGE)
    assert (answer.result, answer.new) == ("confirmed", 104.0)


@pytest.mark.parametrize("shown", [100.0, 103.0, math.nan])
async def test_accepted_but_not_applied_is_no_confirmation(shown: float) -> None:
    link = FakeLink()
    link.shows = [shown]
    answer = await writer_with(link).adjust(COMMAND, IMAGE)
    assert answer.result.startswith("refused: accepted, but the PLC holds")
    assert answer.new == (None if math.isnan(shown) else shown)


async def test_a_link_lost_during_the_read_back_leaves_it_unknown() -> None:
    link = FakeLink()
    link.shows = [DeviceUnavailable("press", "read", "the link was lost")]
    assert (await writer_with(link).adjust(COMMAND, IMAGE)).result == "unknown: press: read: the link was lost"


# -- accepted, not applied ----------------------------------------------------------------------------------------


async def not_applied(link: FakeLink, *then: object, **limits: float) -> tuple[Writer, Answer, list[str]]:
    """Let COMMAND be accepted while the PLC shows what ``link`` says; ``then`` is what it shows once the way back has begun."""
    writer = writer_with(link, **limits)
    told: list[str] = []

    def tell(words: str) -> None:
        assert len(link.asked) == 1, "told before the way back, whatever comes of it"
        told.append(words)
        if then:
            link.shows = list(then)

    writer.on_not_applied = tell
    return writer, await writer.adjust(COMMAND, IMAGE), told


@pytest.mark.parametrize("shown", [100.0, 103.0, 96.0])
async def test_what_was_accepted_and_not_applied_is_told_and_the_last_good_value_asked_for_once(shown: float) -> None:
    """Also when the PLC shows the old value still: it may come to apply the new one."""
    link = FakeLink()
    link.shows = [shown]
    _, answer, told = await not_applied(link, shown, shown, 100.0)
    assert link.asked == [(0, 104.0, 100.0), (0, 100.0, shown)]
    assert answer.result == f"refused: accepted, but the PLC holds {shown:g}; went back to 100"
    assert (answer.old, answer.new) == (100.0, 100.0)
    assert told == [f"PressForce 100 → 104: accepted, but the PLC holds {shown:g}; going back"]


async def test_the_way_back_is_tried_twice_and_no_more_and_the_answer_says_what_stands() -> None:
    link = FakeLink()
    link.shows = [103.0]
    _, answer, told = await not_applied(link)
    assert link.asked == [(0, 104.0, 100.0), (0, 100.0, 103.0), (0, 100.0, 103.0)]
    assert answer.result == "refused: accepted, but the PLC holds 103; no way back in 2 requests"
    assert answer.new == 103.0
    assert len(told) == 1


async def test_the_second_request_goes_back_from_what_is_shown_then() -> None:
    link = FakeLink()
    link.shows = [103.0]
    _, answer, _ = await not_applied(link, *([102.0] * 251), 100.0)
    assert [expected for _, _, expected in link.asked] == [100.0, 103.0, 102.0]
    assert (answer.result.rpartition("; ")[2], answer.new) == ("went back to 100", 100.0)


async def test_a_plc_that_holds_more_than_its_block_shows_says_so_in_its_refusal() -> None:
    link = FakeLink((AdjustResult.ACCEPTED, 104.0), (AdjustResult.STALE_EXPECTED_OLD, 104.0))
    link.shows = [100.0]
    _, answer, _ = await not_applied(link)
    assert link.asked == [(0, 104.0, 100.0), (0, 100.0, 100.0), (0, 100.0, 104.0)]
    assert answer.result.endswith("; went back to 100")


@pytest.mark.parametrize(
    ("answer", "asked", "why", "new"),
    [
        ((AdjustResult.STALE_EXPECTED_OLD, 103.0), 3, "no way back in 2 requests", 103.0),
        ((AdjustResult.STALE_EXPECTED_OLD, math.nan), 2, "no way back: it is not known what to go back from", 103.0),
        ((AdjustResult.STALE_EXPECTED_OLD, 118.0), 2, "no way back: a move of -18 exceeds the step limit of 4 kN", 103.0),
        ((AdjustResult.NO_PERMIT, 103.0), 2, "no way back: NO_PERMIT", 103.0),
        ((AdjustResult.CLAMPED, 101.0), 2, "no way back: CLAMPED", 101.0),
        ((AdjustResult.OUT_OF_RANGE, math.nan), 2, "no way back: OUT_OF_RANGE", None),
    ],
)
async def test_a_refused_way_back_is_repeated_only_from_another_value(
    answer: tuple[AdjustResult, float], asked: int, why: str, new: float | None
) -> None:
    link = FakeLink((AdjustResult.ACCEPTED, 104.0), answer, answer)
    link.shows = [103.0]
    _, given, _ = await not_applied(link)
    assert len(link.asked) == asked
    assert (given.result.rpartition("; ")[2], given.new) == (why, new)


@pytest.mark.parametrize(
    ("change", "shown", "why"),
    [
        ({"control": int(Control.TRIGGER_ENABLE)}, 103.0, "the PLC's AdjustPermit is off"),
        ({"control": IMAGE.control | 1 << 9}, 103.0, "the line is in mode MANUAL"),
        ({}, 118.0, "a move of -18 exceeds the step limit of 4 kN"),
        ({}, math.nan, "it is not known what to go back from"),
    ],
)
async def test_the_way_back_is_not_gone_where_the_plc_or_somebody_else_has_decided(
    change: dict[str, int], shown: float, why: str
) -> None:
    link = FakeLink()
    for name, value in change.items():
        setattr(link, name, value)
    link.shows = [shown]
    _, answer, told = await not_applied(link)
    assert len(link.asked) == 1
    assert answer.result.endswith(f"; no way back: {why}")
    assert answer.new == (None if math.isnan(shown) else shown)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [({"epoch": 8}, "the line has had another owner since"), ({"epoch": 0}, "the line"), ({"state": "down"}, "the PLC link")],
)
async def test_the_way_back_is_not_gone_on_another_owner_s_line(change: dict[str, object], why: str) -> None:
    link = FakeLink()
    link.shows = [103.0]
    writer = writer_with(link)

    def lose(words: str) -> None:
        for name, value in change.items():
            setattr(link, name, value)

    writer.on_not_applied = lose
    answer = await writer.adjust(COMMAND, IMAGE)
    assert len(link.asked) == 1
    assert f"; no way back: {why}" in answer.result


async def test_a_last_good_value_outside_the_limits_is_not_asked_for() -> None:
    link = FakeLink()
    link.shows = [79.0]
    writer = writer_with(link)
    image = replace(IMAGE, values={"PressForce": 79.0})
    answer = await writer.adjust(replace(COMMAND, value=82.0, expected_old=79.0), image)
    assert link.asked == [(0, 82.0, 79.0)]
    assert answer.result.endswith("; no way back: 79 is outside 80 … 120 kN")


@pytest.mark.parametrize("lost_on", ["the request", "the read-back"])
async def test_an_answer_lost_on_the_way_back_leaves_it_unknown_and_is_not_tried_again(lost_on: str) -> None:
    lost = DeviceUnavailable("press", "adjust", "no echo")
    link = FakeLink((AdjustResult.ACCEPTED, 104.0), *([lost] if lost_on == "the request" else []))
    link.shows = [103.0]
    _, answer, _ = await not_applied(link, *([lost] if lost_on == "the read-back" else []))
    assert len(link.asked) == 2
    assert answer.result == "unknown: accepted, but the PLC holds 103; press: adjust: no echo"
    assert answer.new is None


async def test_the_rate_limit_does_not_hold_up_the_way_back_which_counts_as_a_move() -> None:
    link = FakeLink()
    link.shows = [103.0]
    writer, answer, _ = await not_applied(link, 100.0, rate_per_min=1)
    assert answer.result.endswith("; went back to 100")
    link.shows = []
    assert (await writer.adjust(replace(COMMAND, id="c2"), IMAGE)).result == "blocked: 2 moves in the last 60 s, 1 allowed"


async def test_another_adjustment_waits_until_the_way_back_has_ended() -> None:
    link = FakeLink()
    link.shows = [103.0]
    writer = writer_with(link)
    writer.on_not_applied = lambda words: link.gate.clear()
    first = asyncio.create_task(writer.adjust(COMMAND, IMAGE))
    for _ in range(1000):
        await asyncio.sleep(0)
    assert len(link.asked) == 2
    assert (await writer.adjust(replace(COMMAND, id="c2"), IMAGE)).result == "blocked: another adjustment is under way"
    link.shows = [100.0]
    link.gate.set()
    assert (await first).result.endswith("; went back to 100")


async def test_one_adjustment_at_a_time_and_the_same_id_waits_for_its_answer() -> None:
    link = FakeLink()
    writer = writer_with(link)
    link.gate.clear()
    first = asyncio.create_task(writer.adjust(COMMAND, IMAGE))
    again = asyncio.create_task(writer.adjust(COMMAND, IMAGE))
    await asyncio.sleep(0)
    assert writer.knows("c1")
    other = await writer.adjust(replace(COMMAND, id="c2"), IMAGE)
    assert other.result == "blocked: another adjustment is under way"
    assert not writer.knows("c2")
    link.gate.set()
    assert await again == await first
    assert (await first).result == "confirmed"
    assert len(link.asked) == 1


async def test_a_blocked_command_may_be_asked_again() -> None:
    link = FakeLink()
    writer = writer_with(link)
    assert "AdjustPermit" in (await writer.adjust(COMMAND, replace(IMAGE, control=1))).result
    assert (await writer.adjust(COMMAND, IMAGE)).result == "confirmed"


async def test_a_parameter_without_a_whole_set_of_limits_is_never_moved() -> None:
    for missing in ({"range": None}, {"step": None}, {"rate_per_min": None}):
        link = FakeLink()
        answer = await writer_with(link, **missing).adjust(COMMAND, IMAGE)  # type: ignore[arg-type]
        assert answer.result.startswith("blocked: ")
        assert link.asked == []


def test_a_verdict_is_given_once_and_only_under_an_epoch() -> None:
    link = FakeLink()
    writer = writer_with(link)
    verdict = Verdict(part_id=9, disposition=Disposition.FAIL)
    assert writer.give(verdict)
    assert not writer.give(replace(verdict, disposition=Disposition.PASS))
    assert link.changed == 1
    link.epoch = 0
    assert not writer.give(replace(verdict, part_id=10))
    assert writer.ring.words()[2] == (0, 0, 0)
