"""What the failure table promises and no other test of the line shows; docs/failures.md says which test shows what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.core.events import PartJudged, PartOutcome
from gateway.core.verdict import Disposition
from tests.unit.control.line_stand import Stand

PASS, FAIL, NOT_INSPECTED = Disposition.PASS, Disposition.FAIL, Disposition.NOT_INSPECTED


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    made = Stand()
    made.connect()
    made.line.on_camera("cam", True)
    made.tick()
    yield made
    await made.leave()


async def test_a_part_id_that_is_read_again_is_no_second_trigger(stand: Stand) -> None:
    """Whatever stands beside it: the ring's entry may be torn or shaken, a PartId that has been seen is seen."""
    part = await stand.inspected_part()
    stand.ring[part % 8] = (part, stand.encoder + 7)
    for _ in range(3):
        stand.read()
    assert stand.write() == {part: PASS}
    assert stand.triggers == [1]
    assert len(stand.eye.asked) == 1
    assert stand.judged() == {part: ("PASS", "acked")}


async def test_a_trigger_that_bounces_twice_keeps_the_first_token_alone(stand: Stand) -> None:
    first = await stand.inspected_part()
    assert stand.write() == {first: PASS}
    second, third = stand.part(gap=15), stand.part(gap=15)
    assert stand.write() == {first: PASS, second: NOT_INSPECTED, third: NOT_INSPECTED}
    stand.frame()
    await asyncio.sleep(0)
    assert len(stand.eye.asked) == 1, "a picture of one of the three shows nobody knows whom"


async def test_a_missed_frame_costs_its_own_part_and_moves_no_other_s_picture(stand: Stand) -> None:
    """Re-aligned by the encoder: counted off one by one, every picture after the gap would be its neighbour's."""
    parts = [stand.part() for _ in range(3)]
    places = [stand.ring[p % 8][1] + 500 for p in parts]
    for counter, place in ((1, places[0]), (3, places[2])):
        stand.frame(encoder=place, counter=counter)
    await stand.answer(0.9, index=0)
    await stand.answer(0.1, index=1)
    assert [p.part_id for p in stand.eye.asked] == [parts[0], parts[2]]
    assert stand.write() == {parts[0]: PASS, parts[2]: FAIL}
    stand.tick(651)
    assert stand.write() == {parts[0]: PASS, parts[1]: NOT_INSPECTED, parts[2]: FAIL}
    (missed,) = [r for r in stand.of(PartJudged) if r.part_id == parts[1]]
    assert missed.reasons == ("no frame came",)


async def test_a_missed_trigger_costs_its_own_part_and_moves_no_other_s_picture(stand: Stand) -> None:
    stand.head += 1  # one that the ring has lost
    lost, seen = stand.head, stand.part(gap=2000)
    stand.frame(encoder=stand.encoder - 1000 + 500)  # the lost one's picture
    stand.frame()
    await stand.answer(0.9)
    assert [p.part_id for p in stand.eye.asked] == [seen]
    assert stand.write() == {lost: NOT_INSPECTED, seen: PASS}


async def test_an_outcome_tells_what_the_plc_did_with_a_pass_it_never_applied(stand: Stand) -> None:
    """Acknowledged and not applied: the gate turns the part away, and the record of its outcome says so."""
    part = await stand.inspected_part()
    stand.write()
    stand.outcomes[part % 8] = (part, 2)
    stand.read()
    assert stand.judged() == {part: ("PASS", "acked")}
    assert [(r.part_id, r.outcome) for r in stand.of(PartOutcome)] == [(part, "REJECTED")]
