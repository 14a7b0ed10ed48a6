"""The classic exchange in the line: which parts may pass, and what stands in the section when."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.control.ack import NO_ROOM
from gateway.core.events import Alarm, AlarmChanged, PartJudged
from gateway.core.handshake import Control, Status1
from gateway.core.tags import Scalar
from gateway.core.verdict import Disposition
from tests.unit.control.line_stand import Stand

PASS, FAIL, NOT_INSPECTED = Disposition.PASS, Disposition.FAIL, Disposition.NOT_INSPECTED
C, S = Control, Status1


class AckStand(Stand):
    """The PLC raises Trigger with each part, and everything is written as the link does."""

    def __init__(self) -> None:
        super().__init__(ack=True)

    def set(self, bits: Control) -> None:
        self.control |= int(bits)

    def drop(self, bits: Control) -> None:
        self.control &= ~int(bits)

    def status(self) -> Mapping[str, Scalar]:
        """Write the section once and return it."""
        section = self.line.status()
        self.line.on_status_written()
        return section

    def bits(self) -> Status1:
        return Status1(int(self.status()["status1"]) & ~0x70)

    def scan(self) -> None:
        self.now_ns += 5_000_000
        self.read()
        for _ in range(3):
            self.status()

    def triggered(self) -> int:
        part = self.part(read=False)
        self.set(C.TRIGGER)
        self.scan()
        assert self.bits() & S.TRIGGER_ACK
        self.drop(C.TRIGGER)
        self.scan()
        return part

    async def seen(self, good: float = 0.9) -> int:
        part = self.triggered()
        self.frame()
        await self.answer(good)
        return part


@pytest.fixture
def stand() -> AckStand:
    made = AckStand()
    made.line.on_camera("cam", True)
    made.connect()
    made.scan()
    assert made.bits() & S.TRIGGER_READY
    return made


async def test_the_token_is_there_before_the_payload_and_the_payload_before_results_valid(stand: AckStand) -> None:
    part = await stand.seen(0.1)
    assert stand.bits() & (S.BUSY | S.EXPOSURE_COMPLETE) == S.BUSY | S.EXPOSURE_COMPLETE
    assert stand.status()["result.part.id"] == 0, "the PLC has no token yet"
    changes = stand.link.status_changes
    assert stand.write() == {part: FAIL}
    assert stand.link.status_changes > changes, "it is written at once"
    first, second = stand.status(), stand.status()
    assert not int(first["status1"]) & (S.BUSY | S.RESULTS_VALID)
    assert int(second["status1"]) & S.RESULTS_VALID
    assert [(s["result.part.id"], s["result.code"], int(s["status2"]) & 7) for s in (first, second)] == [(part, 1, 2)] * 2
    assert (second["acquisition.id"], second["inspection.id"], second["buffers.remaining"]) == (1, 1, 7)
    assert second["score"] == pytest.approx(0.9)
    await stand.leave()


async def test_a_part_without_a_trigger_never_passes(stand: AckStand) -> None:
    part = stand.part(read=False)
    stand.scan()
    stand.frame()
    await stand.settle()
    assert stand.eye.asked == []
    for _ in range(5):
        stand.scan()
    assert stand.bits() & S.ACQUISITION_ERROR
    assert stand.write() == {part: NOT_INSPECTED}
    assert stand.of(PartJudged)[0].reasons == ("no Trigger of its own came for it",)
    assert [a.code for a in stand.of(AlarmChanged)] == [Alarm.MISSED_TRIGGER]
    stand.status()
    assert stand.bits() & S.RESULTS_VALID, "the PLC is told all the same"


async def test_a_trigger_that_is_read_later_than_its_part_and_its_frame(stand: AckStand) -> None:
    part = stand.part(read=False)
    stand.scan()
    stand.frame()
    stand.scan()
    await stand.settle()
    assert stand.eye.asked == []
    stand.set(C.TRIGGER)
    stand.scan()
    stand.scan()
    await stand.answer()
    assert stand.write() == {part: PASS}
    await stand.leave()


async def test_a_part_that_came_while_the_link_was_down_has_no_trigger(stand: AckStand) -> None:
    part = stand.part(read=False)
    stand.set(C.TRIGGER)
    stand.connect()
    stand.scan()
    assert stand.bits() & (S.ACQUISITION_ERROR | S.TRIGGER_ACK) == S.ACQUISITION_ERROR
    assert stand.judged()[part] == ("NOT_INSPECTED", "void")


async def test_a_part_read_without_its_trigger_before_the_link_broke_is_lost(stand: AckStand) -> None:
    part = stand.part(read=False)
    stand.scan()
    stand.connect()
    assert stand.write() == {part: NOT_INSPECTED}


async def test_no_token_takes_the_slot_of_a_result_that_waits(stand: AckStand) -> None:
    stand.set(C.BUFFER_RESULTS_ENABLE)
    parts = []
    for _ in range(8):
        parts.append(await stand.seen())
        stand.write()
        stand.scan()
    late = await stand.seen()
    assert stand.write() == dict.fromkeys(parts, PASS), "each token of a result that waits stands"
    assert stand.bits() & S.BUFFER_OVERRUN
    assert stand.judged()[late] == ("NOT_INSPECTED", "void")
    assert stand.of(PartJudged)[-1].reasons[0] == NO_ROOM
    assert [a.code for a in stand.of(AlarmChanged)] == [Alarm.OVERLOAD]
    assert stand.status()["result.part.id"] == parts[0], "frozen"
    stand.set(C.INSPECTION_RESULTS_ACK)
    stand.scan()
    stand.drop(C.INSPECTION_RESULTS_ACK)
    stand.scan()
    assert stand.status()["result.part.id"] == parts[1]
    await stand.leave()


async def test_a_lost_owner_takes_every_result_with_it(stand: AckStand) -> None:
    await stand.seen()
    stand.write()
    stand.scan()
    assert stand.bits() & S.RESULTS_VALID
    stand.line.on_owner_lost("the PLC was restarted")
    assert not stand.bits() & (S.RESULTS_VALID | S.BUSY | S.TRIGGER_READY)
    await stand.leave()


async def test_a_line_that_is_not_ready_any_more_says_so_although_it_reads_nothing_more(stand: AckStand) -> None:
    stand.journal = "the disk is full"
    stand.tick()
    assert not stand.bits() & S.TRIGGER_READY


async def test_an_error_stands_until_clear_error(stand: AckStand) -> None:
    stand.journal = "the disk is full"
    stand.tick()
    stand.scan()
    stand.journal = ""
    stand.tick()
    stand.scan()
    assert stand.bits() & (S.ERROR | S.TRIGGER_READY) == S.ERROR | S.TRIGGER_READY
    assert stand.status()["error.code"] == 5
    stand.set(C.CLEAR_ERROR)
    stand.scan()
    assert not stand.bits() & S.ERROR
    assert stand.status()["error.code"] == 0
