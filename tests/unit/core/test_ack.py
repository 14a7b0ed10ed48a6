"""The classic exchange, step by step as a controls engineer knows it, and its tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import pytest

from gateway.core.ack import SHOWN, TABLES
from gateway.core.ack_exchange import OWN_BITS, QUEUE, AckExchange
from gateway.core.events import PartJudged
from gateway.core.handshake import Control, ErrorCode, Status1

C, S = Control, Status1
MS = 1_000_000
SCAN_NS = 10 * MS
EMPTY = Control(0)


def record(part_id: int) -> PartJudged:
    return PartJudged(line="press", t_utc_ns=1, part_id=part_id, epoch=9, disposition="PASS", token="acked")


@dataclass
class Bench:
    """The exchange between a control word and its writes."""

    positions: int = 1
    now_ns: int = 0
    control: Control = C.TRIGGER_ENABLE
    ready: bool = True
    error: ErrorCode = ErrorCode.NONE
    part_id: int = 0
    exchange: AckExchange = field(init=False)

    def __post_init__(self) -> None:
        self.exchange = AckExchange(scan_ns=SCAN_NS, positions=self.positions)
        assert self.exchange.baseline(EMPTY) == []

    def read(self, *parts: tuple[int, int], set: Control = EMPTY, drop: Control = EMPTY, ms: float = 4) -> list[int]:
        self.control = (self.control | set) & ~drop
        self.now_ns += int(ms * MS)
        return self.exchange.read(self.control, parts, ready=self.ready, error=self.error, now_ns=self.now_ns)

    def write(self) -> Status1:
        """Write what is to be shown, once, and return it."""
        shown, changes = self.exchange.bits, self.exchange.changes
        self.exchange.written(changes, self.now_ns)
        return shown

    def part(self) -> tuple[int, int]:
        self.part_id += 1
        return self.part_id, 1000 * self.part_id

    def go(self) -> int:
        """Take one part through its trigger; return its id."""
        part = self.part()
        assert self.read(part, set=C.TRIGGER) == []
        self.write()
        assert self.write() & S.TRIGGER_ACK
        assert self.read(drop=C.TRIGGER) == []
        assert self.write() & S.TRIGGER_READY
        return part[0]

    def result(self, part_id: int) -> None:
        self.exchange.show(record(part_id), self.now_ns)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.read()
    bench.write()
    return bench


# -- arm and trigger --------------------------------------------------------------------------------------------------


def test_it_is_armed_by_trigger_enable_and_a_ready_line_alone(bench: Bench) -> None:
    assert bench.write() == S.TRIGGER_READY
    bench.read(drop=C.TRIGGER_ENABLE)
    assert bench.write() == EMPTY
    bench.ready = False
    bench.read(set=C.TRIGGER_ENABLE)
    assert bench.write() == EMPTY
    bench.ready = True
    bench.read()
    assert bench.write() == S.TRIGGER_READY


def test_a_trigger_has_its_acquisition_id_before_its_ack_and_the_ack_drops_with_it(bench: Bench) -> None:
    part = bench.part()
    assert bench.read(part, set=C.TRIGGER) == []
    assert bench.exchange.acquisition_id == 1
    assert bench.exchange.triggered(part[0]) is True
    assert bench.write() == S.BUSY, "the AcquisitionId alone"
    assert bench.write() == S.BUSY | S.TRIGGER_ACK
    bench.read()
    assert bench.write() == S.BUSY | S.TRIGGER_ACK, "as long as Trigger is held"
    bench.read(drop=C.TRIGGER)
    assert bench.write() == S.BUSY | S.TRIGGER_READY


def test_a_write_that_was_composed_before_the_trigger_acknowledges_nothing(bench: Bench) -> None:
    before = bench.exchange.changes
    bench.read(bench.part(), set=C.TRIGGER)
    bench.exchange.written(before, bench.now_ns)
    assert not bench.exchange.bits & S.TRIGGER_ACK


def test_a_write_that_was_composed_before_the_result_makes_nothing_valid(bench: Bench) -> None:
    before = bench.exchange.changes
    bench.result(1)
    bench.exchange.written(before, bench.now_ns)
    assert not bench.exchange.bits & S.RESULTS_VALID


def test_a_plc_that_drops_trigger_before_the_ack_has_its_part_all_the_same(bench: Bench) -> None:
    part = bench.part()
    bench.read(part, set=C.TRIGGER)
    bench.read(drop=C.TRIGGER)
    assert bench.write() == S.BUSY | S.TRIGGER_READY
    assert bench.exchange.triggered(part[0]) is True


@pytest.mark.parametrize("first", ["part", "trigger"])
def test_part_and_trigger_may_show_one_after_the_other(bench: Bench, first: str) -> None:
    part = bench.part()
    if first == "part":
        assert bench.read(part) == []
        assert bench.exchange.triggered(part[0]) is None
        assert bench.read(set=C.TRIGGER, ms=20) == []
    else:
        assert bench.read(set=C.TRIGGER) == []
        assert bench.write() == EMPTY
        assert bench.read(part, ms=20) == []
    assert bench.exchange.triggered(part[0]) is True
    bench.write()
    assert bench.write() & S.TRIGGER_ACK


def test_a_trigger_that_drops_before_its_part_comes_is_none(bench: Bench) -> None:
    bench.read(set=C.TRIGGER)
    bench.read(drop=C.TRIGGER)
    assert bench.write() == S.TRIGGER_READY


def test_a_group_has_one_trigger(bench: Bench) -> None:
    bench = Bench(positions=3)
    bench.read()
    assert bench.read((1, 500), (2, 500), set=C.TRIGGER) == []
    assert bench.exchange.triggered(1) is None
    assert bench.read((3, 500)) == []
    assert [bench.exchange.triggered(p) for p in (1, 2, 3)] == [True] * 3


def test_the_acquisition_id_is_never_0(bench: Bench) -> None:
    bench.exchange.acquisition_id = 0xFFFFFFFE
    assert [bench.go() and bench.exchange.acquisition_id for _ in range(2)] == [0xFFFFFFFF, 1]


# -- missed triggers --------------------------------------------------------------------------------------------------


def test_a_trigger_while_not_ready_is_missed_until_the_next_good_one(bench: Bench) -> None:
    bench.ready = False
    bench.read()
    part = bench.part()
    assert bench.read(part, set=C.TRIGGER) == [part[0]]
    assert bench.exchange.triggered(part[0]) is False
    assert bench.write() == S.ACQUISITION_ERROR
    bench.ready = True
    bench.read()
    assert bench.write() == S.ACQUISITION_ERROR, "not ready before Trigger has dropped"
    bench.read(drop=C.TRIGGER)
    assert bench.write() == S.ACQUISITION_ERROR | S.TRIGGER_READY
    bench.read(bench.part(), set=C.TRIGGER)
    assert bench.write() == S.BUSY


def test_trigger_enable_off_clears_a_missed_trigger(bench: Bench) -> None:
    bench.read(drop=C.TRIGGER_ENABLE)
    bench.read(bench.part(), set=C.TRIGGER)
    assert bench.write() == S.ACQUISITION_ERROR
    bench.read(drop=C.TRIGGER, set=C.TRIGGER_ENABLE)
    bench.read(drop=C.TRIGGER_ENABLE)
    assert bench.write() == EMPTY


def test_a_trigger_missed_while_trigger_enable_is_off_is_shown_until_a_plc_must_have_seen_it(bench: Bench) -> None:
    bench.read(drop=C.TRIGGER_ENABLE)
    bench.read(bench.part(), set=C.TRIGGER)
    bench.read(ms=100)
    assert bench.write() == S.ACQUISITION_ERROR, "Trigger is still held"
    bench.read(drop=C.TRIGGER)
    assert bench.write() == EMPTY
    bench.read(bench.part())
    bench.read(ms=21)
    assert bench.write() == S.ACQUISITION_ERROR
    bench.read(ms=19)
    assert bench.write() == S.ACQUISITION_ERROR
    bench.read(ms=1)
    assert bench.write() == EMPTY


def test_trigger_raised_together_with_enable_was_raised_without_ready(bench: Bench) -> None:
    bench.read(drop=C.TRIGGER_ENABLE)
    part = bench.part()
    assert bench.read(part, set=C.TRIGGER | C.TRIGGER_ENABLE) == [part[0]]


def test_a_part_without_a_trigger_of_its_own_is_lost(bench: Bench) -> None:
    part = bench.part()
    assert bench.read(part) == []
    assert bench.read(ms=20) == []
    assert bench.read(ms=1) == [part[0]]
    assert bench.exchange.triggered(part[0]) is False
    assert bench.write() == S.ACQUISITION_ERROR | S.TRIGGER_READY


def test_a_trigger_without_a_part_is_not_acknowledged(bench: Bench) -> None:
    assert bench.read(set=C.TRIGGER) == []
    assert bench.read(ms=20) == []
    assert bench.read(ms=1) == []
    assert bench.write() == S.ACQUISITION_ERROR


def test_of_two_parts_no_one_knows_which_the_trigger_stands_for(bench: Bench) -> None:
    one, two = bench.part(), bench.part()
    assert bench.read(one, two, set=C.TRIGGER) == [1, 2]
    assert bench.write() == S.ACQUISITION_ERROR


def test_what_nobody_knows_of_was_not_triggered(bench: Bench) -> None:
    assert bench.exchange.triggered(77) is False


# -- exposure ---------------------------------------------------------------------------------------------------------


def test_exposure_complete_is_held_until_cleared(bench: Bench) -> None:
    bench.exchange.exposed(bench.go())
    bench.read()
    assert bench.write() & S.EXPOSURE_COMPLETE
    bench.read(set=C.CLEAR_EXPOSURE_COMPLETE)
    assert not bench.write() & S.EXPOSURE_COMPLETE
    bench.exchange.exposed(bench.go())
    assert not bench.write() & S.EXPOSURE_COMPLETE, "the PLC must see that it has dropped"
    bench.read(drop=C.CLEAR_EXPOSURE_COMPLETE)
    assert bench.write() & S.EXPOSURE_COMPLETE
    bench.read(set=C.CLEAR_EXPOSURE_COMPLETE)
    bench.read(drop=C.CLEAR_EXPOSURE_COMPLETE)
    bench.read(set=C.CLEAR_EXPOSURE_COMPLETE)
    assert not bench.write() & S.EXPOSURE_COMPLETE


def test_the_exposure_of_a_part_without_a_trigger_is_not_told(bench: Bench) -> None:
    bench.read(bench.part())
    bench.exchange.exposed(1)
    assert not bench.write() & S.EXPOSURE_COMPLETE


@pytest.mark.parametrize("positions", [1, 2])
def test_the_exposure_of_a_part_whose_trigger_comes_after_its_frames_is_told_with_the_trigger(positions: int) -> None:
    bench = Bench(positions=positions)
    bench.read()
    bench.read(*((part_id, 500) for part_id in range(1, positions + 1)))
    bench.exchange.exposed(1)
    assert not bench.write() & S.EXPOSURE_COMPLETE
    bench.read(set=C.TRIGGER, ms=20)
    assert bench.exchange.triggered(1) is True
    assert bench.write() & S.EXPOSURE_COMPLETE
    bench.read(set=C.CLEAR_EXPOSURE_COMPLETE, drop=C.TRIGGER)
    bench.read(drop=C.CLEAR_EXPOSURE_COMPLETE)
    assert not bench.write() & S.EXPOSURE_COMPLETE, "told once"


def test_the_exposure_of_a_part_that_was_given_up_is_not_the_next_one_s(bench: Bench) -> None:
    bench.read(bench.part())
    bench.exchange.exposed(1)
    assert bench.read(ms=21) == [1]
    bench.exchange.exposed(1)
    bench.go()
    assert not bench.write() & S.EXPOSURE_COMPLETE


# -- results ----------------------------------------------------------------------------------------------------------


def test_a_result_is_loaded_then_valid_and_nothing_is_busy_with_it(bench: Bench) -> None:
    part = bench.go()
    assert bench.write() & S.BUSY
    bench.result(part)
    assert bench.exchange.result == record(part)
    assert not bench.write() & (S.BUSY | S.RESULTS_VALID), "the payload alone"
    assert bench.write() & S.RESULTS_VALID


def test_without_buffering_a_result_stands_until_the_next_and_as_long_as_a_plc_needs_to_see_it(bench: Bench) -> None:
    first, second = bench.go(), bench.go()
    bench.result(first)
    bench.write()
    assert bench.write() & S.RESULTS_VALID
    bench.result(second)
    bench.read(ms=15)
    assert bench.write() & S.RESULTS_VALID
    assert not bench.exchange.has_room(first + 8, bench.now_ns)
    bench.read(ms=5)
    assert bench.exchange.has_room(first + 8, bench.now_ns)
    assert bench.exchange.result == record(first)
    assert not bench.write() & S.RESULTS_VALID, "withdrawn before the payload changes"
    assert bench.exchange.result == record(second)
    assert not bench.write() & S.RESULTS_VALID
    assert bench.write() & S.RESULTS_VALID


def test_buffered_the_head_is_frozen_until_its_ack_and_the_next_waits_until_that_has_dropped(bench: Bench) -> None:
    bench.read(set=C.BUFFER_RESULTS_ENABLE)
    first, second = bench.go(), bench.go()
    bench.result(first)
    bench.result(second)
    assert bench.exchange.remaining == 6
    bench.write()
    bench.read(ms=1000)
    assert bench.write() & S.RESULTS_VALID
    bench.read(set=C.INSPECTION_RESULTS_ACK)
    assert not bench.write() & S.RESULTS_VALID
    bench.read()
    bench.write()
    assert bench.exchange.result == record(first), "the PLC has not let go yet"
    bench.read(drop=C.INSPECTION_RESULTS_ACK)
    assert bench.exchange.result == record(second)
    bench.write()
    assert bench.write() & S.RESULTS_VALID
    bench.read(set=C.INSPECTION_RESULTS_ACK)
    bench.write()
    bench.read(drop=C.INSPECTION_RESULTS_ACK)
    assert not bench.write() & S.RESULTS_VALID
    assert bench.exchange.remaining == QUEUE


def test_a_full_queue_discards_the_new_one_and_says_so_until_clear_error(bench: Bench) -> None:
    bench.read(set=C.BUFFER_RESULTS_ENABLE)
    for part_id in range(1, QUEUE + 1):
        bench.result(part_id)
    assert bench.exchange.remaining == 0
    assert not bench.write() & S.BUFFER_OVERRUN
    bench.result(QUEUE + 1)
    assert bench.write() & S.BUFFER_OVERRUN
    assert bench.exchange.remaining == 0
    bench.read(set=C.CLEAR_ERROR)
    assert not bench.write() & S.BUFFER_OVERRUN


def test_no_token_takes_the_slot_of_one_whose_result_still_waits(bench: Bench) -> None:
    bench.read(set=C.BUFFER_RESULTS_ENABLE)
    bench.result(3)
    assert bench.exchange.has_room(4, bench.now_ns)
    assert not bench.write() & S.BUFFER_OVERRUN
    changes = bench.exchange.changes
    assert not bench.exchange.has_room(11, bench.now_ns)
    assert bench.exchange.changes == changes + 1
    assert not bench.exchange.has_room(11, bench.now_ns)
    assert bench.exchange.changes == changes + 1, "said once"
    assert bench.write() & S.BUFFER_OVERRUN


# -- errors -----------------------------------------------------------------------------------------------------------


def test_the_first_error_stands_until_clear_error_and_comes_again_if_it_lasts(bench: Bench) -> None:
    bench.error = ErrorCode.CAMERA
    bench.read()
    assert bench.write() & S.ERROR
    bench.error = ErrorCode.JOURNAL
    bench.read()
    bench.error = ErrorCode.NONE
    bench.read()
    assert bench.write() & S.ERROR
    assert bench.exchange.error is ErrorCode.CAMERA
    bench.read(set=C.CLEAR_ERROR)
    assert not bench.write() & S.ERROR
    assert bench.exchange.error is ErrorCode.NONE
    bench.error = ErrorCode.JOURNAL
    bench.read()
    bench.read(drop=C.CLEAR_ERROR)
    bench.read(set=C.CLEAR_ERROR)
    assert bench.write() & S.ERROR
    assert bench.exchange.error is ErrorCode.JOURNAL


# -- a link that comes and goes ---------------------------------------------------------------------------------------


def test_a_trigger_found_at_the_first_read_is_a_missed_one() -> None:
    bench = Bench()
    bench.exchange.baseline(C.TRIGGER_ENABLE | C.TRIGGER)
    assert bench.write() == S.ACQUISITION_ERROR
    bench.control |= C.TRIGGER
    bench.read()
    assert bench.write() == S.ACQUISITION_ERROR
    bench.read(drop=C.TRIGGER)
    assert bench.write() == S.ACQUISITION_ERROR | S.TRIGGER_READY


@pytest.mark.parametrize("acked", [False, True])
def test_a_trigger_that_was_taken_goes_on_over_a_reconnect(bench: Bench, acked: bool) -> None:
    bench.read(bench.part(), set=C.TRIGGER)
    if acked:
        bench.write()
    assert bench.exchange.baseline(bench.control) == []
    bench.write()
    assert bench.write() == S.BUSY | S.TRIGGER_ACK
    assert bench.exchange.baseline(C.TRIGGER_ENABLE) == []
    assert bench.write() == S.BUSY
    bench.read(drop=C.TRIGGER)
    assert bench.write() & S.TRIGGER_READY


def test_what_waited_for_a_trigger_or_a_part_when_the_link_broke_is_missed(bench: Bench) -> None:
    bench.read(bench.part())
    assert bench.exchange.baseline(C.TRIGGER_ENABLE) == [1]
    bench.read(drop=C.TRIGGER)
    bench.read(set=C.TRIGGER)
    assert bench.exchange.baseline(C.TRIGGER_ENABLE | C.TRIGGER) == []
    assert bench.write() & S.ACQUISITION_ERROR
    assert bench.exchange.baseline(C.TRIGGER) == []
    assert bench.write() == EMPTY, "TriggerEnable is off"


def test_an_ack_found_beside_a_valid_result_has_taken_it(bench: Bench) -> None:
    bench.read(set=C.BUFFER_RESULTS_ENABLE)
    bench.result(1)
    bench.write()
    assert bench.write() & S.RESULTS_VALID
    bench.exchange.baseline(bench.control | C.INSPECTION_RESULTS_ACK)
    assert not bench.write() & S.RESULTS_VALID
    bench.read(set=C.INSPECTION_RESULTS_ACK)
    assert not bench.write() & S.RESULTS_VALID
    assert bench.exchange.remaining == QUEUE


def test_another_owner_ends_everything(bench: Bench) -> None:
    part = bench.go()
    bench.exchange.exposed(part)
    bench.result(part)
    bench.read(bench.part())
    bench.exchange.lost()
    assert bench.write() == EMPTY
    assert (bench.exchange.result, bench.exchange.remaining) == (None, QUEUE)
    assert bench.exchange.triggered(part) is False


# -- the tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_a_table_leads_from_its_first_state_to_every_other_and_back(name: str) -> None:
    table = TABLES[name]
    kind = type(next(iter(table))[0])
    start = next(iter(kind))
    edges = {(state, new) for (state, _), new in table.items()}
    for state in kind:
        assert _leads(edges, start, state)
        assert _leads(edges, state, start)
    assert {event for _, event in table} == set(type(next(iter(table))[1])), "an event that nothing heeds"


def _leads(edges: set[tuple[Enum, Enum]], start: Enum, end: Enum) -> bool:
    seen, todo = {start}, [start]
    while todo:
        state = todo.pop()
        new = {b for a, b in edges if a is state} - seen
        seen |= new
        todo += new
    return end in seen


def test_each_bit_is_shown_by_one_state_alone() -> None:
    assert len(set(SHOWN.values())) == len(SHOWN)
    assert (
        OWN_BITS
        == S.TRIGGER_READY | S.TRIGGER_ACK | S.EXPOSURE_COMPLETE | S.ACQUISITION_ERROR | S.BUSY | S.RESULTS_VALID | (S.ERROR)
    )
