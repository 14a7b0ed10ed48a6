"""The writer: the only door to a PLC write lets through what every gate allows, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.control.writer import Status, Writer
from gateway.core.commands import AdjustParameter
from gateway.core.errors import DeviceUnavailable
from gateway.core.handshake import AdjustResult, Control, OfflineReason, Status1, Status2, StopReason
from gateway.core.tags import Block, S7Address, Tag, TagMap
from gateway.core.verdict import Disposition, Verdict
from gateway.plc.link import UpImage

FORCE = Tag(
    name="PressForce", datatype="Real", offset=168, size=4, role="param", unit="kN", range=(80, 120), step=4, rate_per_min=2
)
UP = Block(name="U", base=S7Address(db=100, byte=0), direction="plc->gw", tags=(FORCE,), size=172)
DOWN = Block(name="D", base=S7Address(db=101, byte=0), direction="gw->plc", tags=(), size=2)
MAP = TagMap(name="press", order="ABCD", up=UP, down=DOWN)
IMAGE = UpImage(
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
    """Stands for the link: answers adjustments as told and counts what it was asked."""

    def __init__(self, answer: tuple[AdjustResult, float] | DeviceUnavailable = (AdjustResult.ACCEPTED, 104.0)) -> None:
        self.state = "up"
        self.epoch = 7
        self.answer = answer
        self.asked: list[tuple[int, float, float]] = []
        self.changed = 0

    def tokens_changed(self) -> None:
        self.changed += 1

    async def adjust(self, index: int, value: float, expected_old: float) -> tuple[AdjustResult, float]:
        self.asked.append((index, value, expected_old))
        if isinstance(self.answer, DeviceUnavailable):
            raise self.answer
        return self.answer


class Now:
    ns = 0

    def __call__(self) -> int:
        return self.ns


def writer_with(link: FakeLink, now: Now | None = None) -> Writer:
    writer = Writer(MAP, mono_ns=now or Now())
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


async def test_the_rate_limit_counts_moves_of_the_last_minute() -> None:
    link, now = FakeLink(), Now()
    writer = writer_with(link, now)
    for i in range(2):
        assert (await writer.adjust(replace(COMMAND, id=f"m{i}"), IMAGE)).result == "confirmed"
    assert "2 moves in the last minute" in (await writer.adjust(replace(COMMAND, id="m3"), IMAGE)).result
    now.ns = 61_000_000_000
    assert (await writer.adjust(replace(COMMAND, id="m4"), IMAGE)).result == "confirmed"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ((AdjustResult.NO_PERMIT, 100.0), "refused: NO_PERMIT"),
        ((AdjustResult.CLAMPED, 103.0), "refused: CLAMPED"),
        ((AdjustResult.ACCEPTED, 100.0), "refused: accepted, but the PLC holds 100"),
        (DeviceUnavailable("press", "adjust", "no echo"), "unknown: press: adjust: no echo"),
    ],
)
async def test_only_an_accepted_and_echoed_value_is_confirmed(answer: object, result: str) -> None:
    assert (await writer_with(FakeLink(answer)).adjust(COMMAND, IMAGE)).result == result  # type: ignore[arg-type]


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


def test_status_bits() -> None:
    status = Status(ready=True, online=True, offline_reason=OfflineReason.JOURNAL, disposition=Disposition.NOT_INSPECTED)
    status.stop_reason = StopReason.CONSECUTIVE_LATE
    section = status.section()
    assert section["status1"] == int(Status1.TRIGGER_READY | Status1.ONLINE) | OfflineReason.JOURNAL << 4
    assert section["status2"] == int(Status2.NOT_INSPECTED | Status2.STOP_REQUEST)
