"""Shift register and gate: which tokens count, and for which parts the gate opens."""

from __future__ import annotations

import struct

import pytest

from tests.unit.simulators.plc_rig import EPOCH, FAIL, GATE, NOT_INSPECTED, PASS, WINDOW, Rig

OPENS = {"PASS": True, "FAIL": False, "NOT_INSPECTED": False, "": False}


def part_in_front_of_the_gate(rig: Rig) -> bool:
    """Move the one part under way from the photo-eye into its window, then past the gate; return the gate's state before."""
    closed_before = not rig.scan(move=GATE - WINDOW - 1).gate_open
    assert closed_before
    opened = rig.scan(move=1).gate_open
    assert rig.scan(move=WINDOW).gate_open == opened  # still, with the part at the gate
    assert not rig.scan(move=WINDOW + 1).gate_open
    return opened


@pytest.mark.parametrize(
    ("verdict", "word", "outcome"),
    [("PASS", 0xA55A, 1), ("FAIL", 0x5AA5, 2), ("NOT_INSPECTED", 0x3CC3, 2)],
)
def test_each_verdict_does_what_it_says(verdict: str, word: int, outcome: int) -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder)
    # PartId 1, epoch 16#5EED_0001: check = 1 ^ verdict ^ 16#5EED ^ 1 = verdict ^ 16#5EED
    struct.pack_into(">IHH", rig.plc.down, 64 + 8, 1, word, word ^ 0x5EED)
    assert part_in_front_of_the_gate(rig) is OPENS[verdict]
    assert rig.outcome(1) == outcome
    (latched,) = rig.of("latched")
    (decided,) = rig.of("decided")
    assert (latched.part_id, latched.verdict, latched.epoch) == (1, verdict, EPOCH)
    assert (decided.part_id, decided.verdict, decided.passed) == (1, verdict, OPENS[verdict])


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda rig: None, id="no token"),
        pytest.param(lambda rig: rig.token(1, epoch=EPOCH ^ 0x0100_0000), id="another owner's epoch"),
        pytest.param(lambda rig: rig.token(1, epoch=0), id="no epoch"),
        pytest.param(lambda rig: rig.token(1, 0), id="verdict 0"),
        pytest.param(lambda rig: rig.token(1, 0xFFFF), id="verdict FFFF"),
        pytest.param(lambda rig: rig.token(1, PASS ^ 0x0001), id="a verdict's bit flipped"),
        pytest.param(lambda rig: rig.token(1, check=0), id="check not yet written"),
        pytest.param(lambda rig: rig.token(9), id="another part's, same slot"),
        pytest.param(lambda rig: rig.token(1, slot=2), id="wrong slot"),
        pytest.param(lambda rig: rig.token(9, check=1 ^ PASS ^ (EPOCH >> 16) ^ (EPOCH & 0xFFFF)), id="torn: id new, rest old"),
    ],
)
def test_what_is_no_token_for_this_part_leaves_the_gate_closed(write) -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder)
    write(rig)
    assert part_in_front_of_the_gate(rig) is False
    assert rig.outcome(1) == 2
    assert rig.of("latched") == []


def test_a_half_written_token_counts_once_it_is_whole() -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder)
    rig.token(1, check=0)
    rig.scan()
    rig.token(1)
    assert part_in_front_of_the_gate(rig) is True


@pytest.mark.parametrize(("first", "second", "opens"), [(FAIL, PASS, False), (PASS, FAIL, True), (NOT_INSPECTED, PASS, False)])
def test_the_first_valid_token_wins(first: int, second: int, opens: bool) -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder)
    rig.token(1, first)
    rig.scan()
    rig.token(1, second)
    rig.scan()
    assert part_in_front_of_the_gate(rig) is opens
    assert len(rig.of("latched")) == 1


@pytest.mark.parametrize("late_by", [0, 1, WINDOW, WINDOW + 1])
def test_a_pass_that_comes_after_the_gate_was_set_is_useless(late_by: int) -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder)
    rig.scan(move=GATE - WINDOW)
    rig.token(1)
    assert not rig.scan(move=late_by).gate_open
    assert not rig.scan(move=2 * WINDOW + 1).gate_open
    assert rig.outcome(1) == 2
    assert rig.of("latched") == []


def test_a_token_in_the_last_scan_before_the_window_is_in_time() -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder)
    rig.scan(move=GATE - WINDOW - 1)
    rig.token(1)
    assert rig.scan(move=1).gate_open


def test_a_token_counts_only_when_its_part_is_tracked_and_not_before() -> None:
    rig = Rig().cleared().owned()
    rig.token(1)
    rig.scan()
    assert rig.of("latched") == []
    rig.scan(rig.encoder)
    assert [e.part_id for e in rig.of("latched")] == [1]


@pytest.mark.parametrize("verdicts", ["PFPFNPPF" * 6, "P" * 48, "F" * 48])
def test_more_parts_under_way_than_the_ring_has_slots(verdicts: str) -> None:
    """48 parts, 20 counts apart, between photo-eye and gate: the ring of 8 is only the transport."""
    words = {"P": PASS, "F": FAIL, "N": NOT_INSPECTED}
    rig = Rig().cleared().owned()
    for part_id, letter in enumerate(verdicts, start=1):
        rig.scan(rig.encoder, move=0)
        rig.token(part_id, words[letter])
        rig.heartbeat()
        rig.scan(move=20)
    assert len(rig.of("latched")) == 48
    assert rig.of("decided") == []
    while len(rig.of("decided")) < 48:
        rig.heartbeat()
        rig.scan(move=4)
    assert [e.part_id for e in rig.of("decided")] == list(range(1, 49))
    assert [e.passed for e in rig.of("decided")] == [letter == "P" for letter in verdicts]
    assert [rig.outcome(part_id) for part_id in range(41, 49)] == [1 if v == "P" else 2 for v in verdicts[-8:]]
    assert rig.outcome(40) == 0  # its slot holds part 48


def test_several_parts_in_one_scan_get_consecutive_ids_in_the_ring() -> None:
    rig = Rig().cleared()
    rig.scan(5000, 5020, 5040)
    assert rig.up("6I", 40 + 8) == (1, 5000, 2, 5020, 3, 5040)
    assert rig.up("II", 8) == (3, 5040)


def test_when_windows_overlap_rejecting_wins() -> None:
    rig = Rig().cleared().owned()
    eye = rig.encoder
    rig.scan(eye, eye + WINDOW)
    rig.token(1, PASS)
    rig.token(2, FAIL)
    assert rig.scan(move=GATE - WINDOW).gate_open
    assert rig.scan(move=WINDOW - 1).gate_open
    assert not rig.scan(move=1).gate_open
    rig.scan(move=3 * WINDOW)
    assert [(e.part_id, e.passed) for e in rig.of("decided")] == [(1, True), (2, False)]


def test_a_duplicate_edge_of_a_part_with_a_pass_rejects() -> None:
    rig = Rig().cleared().owned()
    eye = rig.encoder
    rig.scan(eye, eye + 3)
    rig.token(1, PASS)
    rig.scan(move=GATE - WINDOW)
    assert not rig.scan(move=3).gate_open
    rig.scan(move=WINDOW)
    assert [e.passed for e in rig.of("decided")] == [False, False]


def test_a_scan_that_jumps_over_the_window_rejects() -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder)
    rig.token(1)
    rig.scan(move=GATE - WINDOW - 1)
    assert not rig.scan(move=WINDOW + 1).gate_open  # the part is at the gate: too late to open it
    assert rig.outcome(1) == 2


def test_a_scan_that_lets_the_next_part_run_under_an_open_gate_says_so() -> None:
    """The program cannot close the gate between two scans; it must not report as rejected what it let pass."""
    rig = Rig().cleared().owned()
    eye = rig.encoder
    rig.scan(eye, eye + 30, move=30)
    rig.token(1)
    assert rig.scan(move=GATE - 1 - 30).gate_open
    rig.scan(move=40)
    assert [(e.part_id, e.verdict, e.passed) for e in rig.of("decided")] == [(1, "PASS", True), (2, "", True)]
    assert rig.outcome(2) == 1


@pytest.mark.parametrize("start", [2**32 - GATE - 1, 2**32 - 1, 2**31 - GATE // 2, -2 * GATE])
def test_the_encoder_may_wrap_anywhere(start: int) -> None:
    rig = Rig(encoder=start - GATE).cleared().owned()
    rig.scan(rig.encoder)
    rig.token(1)
    assert part_in_front_of_the_gate(rig) is True
    assert rig.outcome(1) == 1


def test_part_id_wraps_to_one() -> None:
    rig = Rig(retentive=True, last_part_id=2**32 - 3).cleared().owned()
    eye = rig.encoder
    rig.scan(eye, eye + 100, eye + 200, move=200)
    assert [e.part_id for e in rig.of("assigned")] == [2**32 - 2, 2**32 - 1, 1]
    assert rig.up("I", 40 + 8 * 6)[0] == 2**32 - 2
    assert rig.up("I", 40 + 8 * 7)[0] == 2**32 - 1
    assert rig.up("I", 40 + 8 * 1)[0] == 1
    rig.token(2**32 - 1)
    rig.token(1, FAIL)
    rig.scan(move=GATE - 2 * WINDOW - 200)
    for _ in range(50):
        rig.scan(move=5)
    assert [(e.part_id, e.passed) for e in rig.of("decided")] == [(2**32 - 2, False), (2**32 - 1, True), (1, False)]
