"""The line with a trace block: the record has the part's texts, and neither token nor outcome waits for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.core.events import PartJudged, PartOutcome
from gateway.core.verdict import Disposition
from gateway.plc.listener import TraceImage
from tests.unit.control.line_stand import Stand


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    stand = Stand(traced=True)
    stand.connect()
    now_ns = stand.now_ns
    stand.line.on_trace(TraceImage(t_asked_mono_ns=now_ns, t_mono_ns=now_ns, part_id=0, texts={}, first=True))
    yield stand
    await stand.leave()


def show(stand: Stand, part_id: int, **texts: str | None) -> None:
    """Let the trace block be read twice, if the line wants it."""
    for _ in range(2):
        if stand.line.trace_wanted():
            stand.line.on_trace(TraceImage(t_asked_mono_ns=stand.now_ns, t_mono_ns=stand.now_ns, part_id=part_id, texts=texts))


async def test_texts_that_are_there_go_with_the_record(stand: Stand) -> None:
    part = stand.part()
    show(stand, part, serial="SN1", lot="L7")
    stand.frame()
    await stand.answer()
    assert stand.write() == {part: Disposition.PASS}
    [record] = stand.of(PartJudged)
    assert (record.serial, record.lot, record.disposition, record.token) == ("SN1", "L7", "PASS", "acked")
    assert not stand.line.trace_wanted()


async def test_the_token_does_not_wait_for_the_texts_but_the_record_does_a_moment(stand: Stand) -> None:
    part = await stand.inspected_part()
    assert stand.write() == {part: Disposition.PASS}
    assert stand.writer.status.part_id == part, "the PLC is shown the part that it has the token of"
    assert stand.of(PartJudged) == []
    show(stand, part, serial="SN1")
    assert [r.serial for r in stand.of(PartJudged)] == ["SN1"]
    second = await stand.inspected_part()
    stand.write()
    stand.tick(199)
    assert len(stand.of(PartJudged)) == 1
    stand.tick(1)
    assert [(r.part_id, r.serial) for r in stand.of(PartJudged)] == [(part, "SN1"), (second, "")]


async def test_the_record_of_a_part_stands_before_that_of_its_outcome(stand: Stand) -> None:
    part = await stand.inspected_part()
    stand.write()
    stand.outcomes[part % 8] = (part, 1)
    stand.read()
    kinds = [type(r) for r in stand.records if isinstance(r, PartJudged | PartOutcome)]
    assert kinds == [PartJudged, PartOutcome]


async def test_a_rejected_part_has_its_texts_too(stand: Stand) -> None:
    part = stand.part()
    show(stand, part, serial="SN1")
    stand.tick(700)
    stand.write()
    [record] = stand.of(PartJudged)
    assert (record.disposition, record.serial) == ("NOT_INSPECTED", "SN1")


@pytest.mark.parametrize("judged", [True, False])
async def test_every_part_is_recorded_when_the_ownership_is_lost(stand: Stand, judged: bool) -> None:
    first = await stand.inspected_part()
    stand.write()
    second = await stand.inspected_part() if judged else stand.part()
    stand.line.on_owner_lost("the PLC was restarted")
    assert set(stand.judged()) == {first, second}
    assert not stand.line.trace_wanted()


async def test_a_line_without_a_trace_block_asks_for_none_and_waits_for_none() -> None:
    stand = Stand()
    stand.connect()
    await stand.inspected_part()
    assert not stand.line.trace_wanted()
    stand.write()
    assert len(stand.of(PartJudged)) == 1
    await stand.leave()
