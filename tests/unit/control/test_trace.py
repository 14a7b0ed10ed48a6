"""Texts of the trace block: of exactly one part, read alike twice with a scan in between, or unknown."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.control.trace import HOLD_NS, Trace, serial_of
from gateway.core.events import PartJudged
from gateway.plc.listener import TraceImage

MS = 1_000_000
SCAN = 10 * MS


def judged(part_id: int, epoch: int = 9) -> PartJudged:
    return PartJudged(line="press", t_utc_ns=1, part_id=part_id, epoch=epoch, disposition="PASS")


@dataclass
class Stand:
    """A trace block that the PLC writes, empty when it is first read, and what came out."""

    now_ns: int = 1_000 * MS
    records: list[PartJudged] = field(default_factory=list)
    head: int = 10
    trace: Trace = field(init=False)

    def __post_init__(self) -> None:
        self.trace = Trace(self.records.append, settle_ns=SCAN)
        self.read(0, first=True)

    def pass_by(self, count: int = 1) -> int:
        self.trace.admitted(self.head, self.head + count, self.now_ns)
        self.head += count
        return self.head

    def read(self, part_id: int, after_ms: float = 0, *, first: bool = False, **texts: str | None) -> None:
        self.now_ns += int(after_ms * MS)
        now_ns = self.now_ns
        self.trace.take(TraceImage(t_asked_mono_ns=now_ns, t_mono_ns=now_ns, part_id=part_id, texts=texts, first=first))

    def judge(self, part_id: int) -> None:
        self.trace.judged(judged(part_id), self.now_ns)

    def wait(self, ms: float) -> None:
        self.now_ns += int(ms * MS)
        self.trace.expire(self.now_ns)

    def serials(self) -> dict[int, str]:
        assert len({r.part_id for r in self.records}) == len(self.records), "a part with two records"
        return {r.part_id: r.serial for r in self.records}


def test_texts_that_stand_for_a_scan_are_the_part_s() -> None:
    stand = Stand()
    stand.pass_by()
    stand.read(11, serial="A1", lot="L", product="P", carrier="C")
    stand.read(11, 10, serial="A1", lot="L", product="P", carrier="C")
    stand.judge(11)
    [record] = stand.records
    assert (record.serial, record.lot, record.product, record.carrier) == ("A1", "L", "P", "C")


def test_a_torn_read_is_nobody_s() -> None:
    """The PLC writes the texts first and the part last: in between the block shows the new texts under the old part."""
    stand = Stand()
    stand.pass_by()
    stand.read(11, serial="B")
    stand.read(11, 9, serial="B")  # within one scan
    stand.pass_by()
    stand.read(12, 10, serial="B")
    stand.read(12, 10, serial="B")
    stand.judge(11)
    stand.judge(12)
    assert stand.serials() == {11: "", 12: "B"}


def test_the_first_texts_of_a_part_stand() -> None:
    stand = Stand()
    stand.pass_by()
    stand.read(11, serial="A")
    stand.read(11, 10, serial="A")
    stand.read(11, 10, serial="B")
    stand.read(11, 10, serial="B")
    stand.judge(11)
    assert stand.serials() == {11: "A"}


def test_of_two_parts_between_two_reads_the_earlier_one_stays_unknown_and_waits_no_longer() -> None:
    stand = Stand()
    stand.pass_by(2)
    stand.judge(11)
    stand.read(12, serial="B")
    assert stand.records == []
    stand.read(12, 10, serial="B")
    assert stand.serials() == {11: ""}
    stand.judge(12)
    assert stand.serials() == {11: "", 12: "B"}


@pytest.mark.parametrize("part_id", [0, 10, 12, 11 + (1 << 31)])
def test_texts_of_another_part_are_not_lent(part_id: int) -> None:
    stand = Stand()
    stand.pass_by()
    stand.read(part_id, serial="X")
    stand.read(part_id, 10, serial="X")
    stand.judge(11)
    stand.wait(HOLD_NS / MS)
    assert stand.serials() == {11: ""}


def test_a_record_waits_for_texts_that_come_late_but_not_for_ever() -> None:
    stand = Stand()
    stand.pass_by()
    stand.judge(11)
    stand.wait(100)
    assert stand.records == []
    stand.read(11, serial="A")
    stand.read(11, 10, serial="A")
    assert stand.serials() == {11: "A"}
    stand.pass_by()
    stand.judge(12)
    stand.wait(199)
    assert 12 not in stand.serials()
    stand.wait(1)
    assert stand.serials() == {11: "A", 12: ""}


def test_a_record_that_comes_late_itself_does_not_wait_again() -> None:
    stand = Stand()
    stand.pass_by()
    stand.wait(500)
    assert stand.trace.wanted(stand.now_ns), "the part is not judged yet: its texts may still come"
    stand.judge(11)
    assert stand.serials() == {11: ""}
    assert not stand.trace.wanted(stand.now_ns)


def test_the_record_goes_before_its_outcome_and_at_the_end() -> None:
    stand = Stand()
    stand.pass_by(2)
    stand.judge(11)
    stand.trace.leaves(11)
    stand.trace.leaves(12)  # it has no record yet
    assert stand.serials() == {11: ""}
    stand.judge(12)
    stand.trace.abandon()
    assert stand.serials() == {11: "", 12: ""}


def test_nothing_outlives_the_ownership_for_part_ids_come_again() -> None:
    stand = Stand()
    stand.pass_by()
    stand.read(11, serial="A")
    stand.read(11, 10, serial="A")
    stand.trace.abandon()
    stand.read(0, 10)
    stand.head = 10
    stand.pass_by()
    stand.judge(11)
    stand.read(11, 10, serial="A")
    assert stand.records == [], "one read since then is not two"
    stand.read(11, 10, serial="A")
    assert stand.serials() == {11: "A"}


@pytest.mark.parametrize("seen_again_by", ["abandon", "baseline", "the first connect"])
def test_a_block_that_the_plc_kept_over_a_restart_is_not_about_the_new_part_of_the_same_id(seen_again_by: str) -> None:
    stand = Stand()
    if seen_again_by == "the first connect":
        stand.trace = Trace(stand.records.append, settle_ns=SCAN)
    elif seen_again_by == "abandon":
        stand.trace.abandon()
    stand.read(11, 10, first=seen_again_by == "baseline", serial="OLD-11", lot="L")
    stand.pass_by()
    stand.judge(11)
    for _ in range(5):
        stand.read(11, 10, serial="OLD-11", lot="L")
    assert stand.records == []
    stand.read(11, 10, serial="NEW-11", lot="L")
    stand.read(11, 10, serial="NEW-11", lot="L")
    assert stand.serials() == {11: "NEW-11"}


def test_a_block_once_seen_to_change_is_believed_until_the_next_restart() -> None:
    stand = Stand()
    stand.read(12, 10, first=True, serial="OLD-12")
    stand.pass_by()
    stand.read(11, 10, serial="A")
    stand.pass_by()
    stand.read(12, 10, serial="OLD-12")  # the reader on the line read the same label again
    stand.read(12, 10, serial="OLD-12")
    stand.judge(11)
    stand.judge(12)
    assert stand.serials() == {11: "", 12: "OLD-12"}
    stand.pass_by()
    stand.read(13, 10, first=True, serial="B")
    stand.read(13, 10, serial="B")
    stand.judge(13)
    stand.wait(HOLD_NS / MS)
    assert stand.serials()[13] == ""


def test_texts_of_a_part_that_was_never_recorded_are_not_a_later_part_s_of_the_same_id() -> None:
    stand = Stand()
    stand.pass_by()
    stand.read(11, serial="A")
    stand.read(11, 10, serial="A")
    stand.trace.abandon()
    stand.judge(11)
    assert stand.serials() == {11: ""}


def test_a_block_that_still_shows_the_part_before_says_nothing_of_the_next() -> None:
    """The reader is slower than the photo-eye."""
    stand = Stand()
    stand.pass_by()
    stand.read(11, serial="A")
    stand.read(11, 10, serial="A")
    stand.pass_by()
    stand.read(11, 10, serial="A")
    stand.read(11, 10, serial="A")
    stand.read(12, 10, serial="B")
    stand.read(12, 10, serial="B")
    stand.judge(11)
    stand.judge(12)
    assert stand.serials() == {11: "A", 12: "B"}


def test_a_placeholder_is_no_serial_but_the_other_texts_stand() -> None:
    stand = Stand()
    stand.pass_by()
    stand.read(11, serial="NOREAD", lot="L")
    stand.read(11, 10, serial="NOREAD", lot="L")
    stand.judge(11)
    assert [(r.serial, r.lot) for r in stand.records] == [("", "L")]


def test_the_block_is_read_for_new_parts_alone_once_and_again_after_a_scan() -> None:
    stand = Stand()
    assert not stand.trace.wanted(stand.now_ns)
    stand.pass_by()
    assert stand.trace.wanted(stand.now_ns)
    stand.read(11, serial="A")
    assert not stand.trace.wanted(stand.now_ns + SCAN - 1)
    assert stand.trace.wanted(stand.now_ns + SCAN)
    stand.pass_by()
    assert stand.trace.wanted(stand.now_ns), "a new part is worth a read at once"
    stand.read(12, serial="B")
    stand.read(12, 10, serial="B")
    assert not stand.trace.wanted(stand.now_ns + 1000 * MS)


def test_bytes_that_are_no_text_are_unknown_and_counted() -> None:
    stand = Stand()
    stand.pass_by()
    stand.read(11, serial=None, lot="L", product=None)
    stand.read(11, 10, serial=None, lot="L", product=None)
    stand.judge(11)
    [record] = stand.records
    assert (record.serial, record.lot, record.product) == ("", "L", "")
    assert stand.trace.garbled == 2


def test_a_part_without_a_trigger_that_was_seen_has_its_record_at_once() -> None:
    stand = Stand()
    stand.judge(7)
    assert stand.serials() == {7: ""}


@pytest.mark.parametrize(
    "text", ["", "NOREAD", "NoRead", "no read", "NO_READ", "<NOREAD>", "?", "****", "0000", "--", "Error", "N/ONE"]
)
def test_what_a_reader_says_when_it_has_read_nothing_is_no_serial(text: str) -> None:
    assert serial_of(text) == ""


@pytest.mark.parametrize("text", ["A", "0001", "SN-0", "12", "NOREAD7", "ß-1"])
def test_a_serial_stays_as_it_is(text: str) -> None:
    assert serial_of(text) == text


@settings(max_examples=200, deadline=None, database=None)
@given(st.data())
def test_whatever_is_read_when_no_part_gets_another_part_s_serial(data: st.DataObject) -> None:
    """The PLC writes all texts and then the part within one scan; a read may fall between the two."""
    stand = Stand()
    block: tuple[int, str] = (0, "")
    want: list[int] = []
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["part", "part", "read", "read", "judge", "time", "leave"])):
            case "part":
                new = stand.pass_by()
                want.append(new)
                if data.draw(st.booleans()):  # read in the middle of the writing
                    stand.read(block[0], 0.5, serial=f"S{new}")
                block = (new, f"S{new}")
                stand.now_ns += SCAN
            case "read":
                stand.read(block[0], data.draw(st.sampled_from([0, 4, 10, 30])), serial=block[1])
            case "judge" if want:
                stand.judge(want.pop(data.draw(st.integers(0, len(want) - 1))))
            case "leave":
                stand.trace.leaves(stand.head)
            case _:
                stand.wait(data.draw(st.sampled_from([1, 50, 300])))
    for part_id in want:
        stand.judge(part_id)
    stand.trace.abandon()
    assert sorted(stand.serials()) == list(range(11, stand.head + 1)), "exactly one record each"
    for part_id, serial in stand.serials().items():
        assert serial in ("", f"S{part_id}")


@settings(max_examples=200, deadline=None, database=None)
@given(st.data())
def test_no_part_gets_a_serial_of_the_same_part_id_before_a_restart(data: st.DataObject) -> None:
    """The PLC keeps the block over its restarts, and counts the parts anew from 10."""
    stand = Stand()
    life, block, read_at_once = 0, (0, ""), False
    for _ in range(data.draw(st.integers(1, 60))):
        match data.draw(st.sampled_from(["part", "part", "silent", "read", "read", "read", "restart"])):
            case "part":
                new = stand.pass_by()
                stand.trace.judged(judged(new, life), stand.now_ns)
                block = (new, f"S{life}-{new}")
                stand.now_ns += SCAN
            case "silent":  # the PLC's reader does not work: the block stays as it is
                stand.trace.judged(judged(stand.pass_by(), life), stand.now_ns)
            case "read":
                stand.read(block[0], 10, first=read_at_once, serial=block[1])
                read_at_once = False
            case _:
                stand.trace.abandon()
                life, stand.head, read_at_once = life + 1, 10, data.draw(st.booleans())
    stand.trace.abandon()
    for record in stand.records:
        assert record.serial in ("", f"S{record.epoch}-{record.part_id}")
