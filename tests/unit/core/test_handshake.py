"""Tokens and rings: nothing torn, stale or foreign ever validates as something that was not issued."""

from __future__ import annotations

import itertools
import struct
from enum import IntEnum, IntFlag

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.core.handshake import (
    EMPTY,
    HEARTBEAT_MS,
    LINK_TIMEOUT_MS,
    SENTINEL_DWORD,
    SENTINEL_REAL,
    SLOTS,
    WATCHDOG_MS,
    AdjustResult,
    Control,
    ErrorCode,
    Mode,
    OfflineReason,
    Outcome,
    Status1,
    Status2,
    StopReason,
    Token,
    VerdictRing,
    check_word,
    epoch_fold,
    make_token,
    mode_of,
    read_token,
)
from gateway.core.part import next_part_id
from gateway.core.verdict import Disposition

ids = st.integers(1, (1 << 32) - 1)
epochs = st.integers(1, (1 << 32) - 1)
dispositions = st.sampled_from(list(Disposition))


def words(token: Token) -> tuple[int, int, int, int]:
    return token.part_id >> 16, token.part_id & 0xFFFF, token.verdict, token.check


def from_words(w: tuple[int, ...]) -> Token:
    return Token(part_id=w[0] << 16 | w[1], verdict=w[2], check=w[3])


BITS = {
    Control: "TriggerEnable Trigger ClearExposureComplete BufferResultsEnable InspectionResultsAck ExecuteCommand ClearError"
    " SetOffline AdjustPermit (mode) (mode) StopRequestPermit",
    Status1: "TriggerReady TriggerAck ExposureComplete AcquisitionError (reason) (reason) (reason) Online Busy"
    " InspectionCompleted BufferOverrun ResultsValid CommandExecuting CommandCompleted CommandFailed Error",
    Status2: "Pass Fail NotInspected ResultTimeout ImagingWarning DriftWarning ModelUnverified Simulated TestRunReady"
    " StopRequest InfeedHoldRequest AlarmActive",
}
NUMBERS = {
    Mode: "AUTOMATIC MANUAL MONITOR_ONLY BYPASS",
    OfflineReason: "NONE STARTING NO_CAMERA NO_MODEL JOURNAL PLC_REQUEST CONFIG_REJECTED STOPPING",
    Outcome: "NONE PASSED REJECTED REJECT_NOT_CONFIRMED CHALLENGE_RECOVERED AUDIT_DIVERTED BYPASSED",
    AdjustResult: "NONE ACCEPTED CLAMPED NO_PERMIT STALE_EXPECTED_OLD UNKNOWN_INDEX OUT_OF_RANGE",
    StopReason: "NONE CONSECUTIVE_LATE",
    ErrorCode: "NONE NOT_OWNER INTERFACE_CHECKSUM BYTE_ORDER CAMERA JOURNAL SELF_CHECK OVERLOAD CONFIG RECIPE",
}


@pytest.mark.parametrize("word", BITS, ids=lambda w: w.__name__)
def test_the_bits_of_the_status_and_control_words(word: type[IntFlag]) -> None:
    """The PLC's program has these numbers too: from bit 0 up, under the names that its programmer sees."""
    expected = {name: 1 << bit for bit, name in enumerate(BITS[word].split()) if name[0] != "("}
    assert {"".join(w.capitalize() for w in bit.name.split("_")): bit.value for bit in word if bit.name} == expected


@pytest.mark.parametrize("numbers", NUMBERS, ids=lambda n: n.__name__)
def test_the_numbers_that_stand_in_a_word_of_their_own(numbers: type[IntEnum]) -> None:
    assert [(n.name, n.value) for n in numbers] == [(name, i) for i, name in enumerate(NUMBERS[numbers].split())]


def test_what_both_sides_of_the_link_have_agreed_upon() -> None:
    assert SLOTS * 4 * 2 == 64  # bytes: larger S7 writes are split and not consistent
    assert (HEARTBEAT_MS, LINK_TIMEOUT_MS, WATCHDOG_MS) == (100, 150, 300)
    assert struct.pack(">f", SENTINEL_REAL).hex() == "42f6e979"
    assert struct.pack(">I", SENTINEL_DWORD).hex() == "12345678"


def test_an_empty_ring_validates_nothing() -> None:
    ring = VerdictRing()
    assert ring.words() == [(0, 0, 0)] * 8
    assert not any(read_token(EMPTY, part, epoch) for part in range(8) for epoch in (0, 1, 0x10001))


def test_the_check_is_the_xor_of_all_words() -> None:
    assert check_word(0x00010002, 0xA55A, 0x12345678) == 0x0001 ^ 0x0002 ^ 0xA55A ^ 0x1234 ^ 0x5678


@given(ids, epochs, dispositions)
def test_a_token_reads_back_for_its_part_and_epoch_alone(part_id: int, epoch: int, disposition: Disposition) -> None:
    token = make_token(part_id, disposition, epoch)
    assert read_token(token, part_id, epoch) is disposition
    assert read_token(token, next_part_id(part_id), epoch) is None
    assert read_token(token, part_id, 0) is None


@given(ids, epochs, epochs, dispositions)
def test_another_owner_s_token_validates_only_if_its_epoch_folds_alike(part: int, a: int, b: int, d: Disposition) -> None:
    """Which is why an owner draws a nonce that folds unlike the last ones."""
    assert (read_token(make_token(part, d, a), part, b) is not None) == (epoch_fold(a) == epoch_fold(b))


@given(ids, epochs, epochs, dispositions)
def test_a_stale_token_does_not_validate_while_it_is_being_erased(part: int, a: int, b: int, d: Disposition) -> None:
    """The first write of a new owner empties the ring; torn at word granularity, some words of the old token remain."""
    assume(epoch_fold(a) != epoch_fold(b))
    old = words(make_token(part, d, a))
    for choice in itertools.product((0, 1), repeat=4):
        torn = tuple(old[i] if c else 0 for i, c in enumerate(choice))
        if not choice[3] and check_word(part, d.value, b) == 0:
            continue  # one epoch in 65,536 has 0 for this token's check; a 16-bit word cannot do better
        said = read_token(from_words(torn), part, b)
        assert said is None


@given(ids, epochs, dispositions, dispositions)
def test_no_mixture_of_two_tokens_of_a_slot_says_what_was_never_issued(
    part: int, epoch: int, old: Disposition, new: Disposition
) -> None:
    later = part
    for _ in range(8):
        later = next_part_id(later)
    before, after = words(make_token(part, old, epoch)), words(make_token(later, new, epoch))
    issued = {(part, old), (later, new)}
    for choice in itertools.product((0, 1), repeat=4):
        torn = from_words(tuple((before, after)[c][i] for i, c in enumerate(choice)))
        for asked in (part, later):
            said = read_token(torn, asked, epoch)
            assert said is None or (asked, said) in issued


@given(ids, epochs, dispositions)
def test_no_token_half_written_over_an_empty_slot_validates(part: int, epoch: int, d: Disposition) -> None:
    full = words(make_token(part, d, epoch))
    for choice in itertools.product((0, 1), repeat=4):
        torn = from_words(tuple(full[i] if c else 0 for i, c in enumerate(choice)))
        said = read_token(torn, part, epoch)
        assert said is None or said is d


@pytest.mark.parametrize("word", [0, 0xFFFF, 0x0001, 0xA55B])
def test_words_that_mean_nothing(word: int) -> None:
    assert read_token(Token(part_id=1, verdict=word, check=check_word(1, word, 9)), 1, 9) is None


@pytest.mark.parametrize("wrong", [0, -1, 1 << 32])
def test_no_token_for_what_is_no_part_or_no_epoch(wrong: int) -> None:
    with pytest.raises(ValueError, match=f"part id {wrong} and epoch 1 "):
        make_token(wrong, Disposition.PASS, 1)
    with pytest.raises(ValueError, match=f"part id 1 and epoch {wrong} "):
        make_token(1, Disposition.PASS, wrong)


def test_the_largest_part_and_epoch_have_tokens() -> None:
    top = (1 << 32) - 1
    assert read_token(make_token(top, Disposition.FAIL, top), top, top) is Disposition.FAIL


def test_nothing_is_read_for_part_zero_or_under_epoch_zero_even_with_a_matching_check() -> None:
    """A PLC that has restarted holds epoch 0 and an empty ring: neither may ever make a verdict."""
    word = Disposition.PASS.value
    assert read_token(Token(part_id=0, verdict=word, check=check_word(0, word, 9)), 0, 9) is None
    assert read_token(Token(part_id=5, verdict=word, check=check_word(5, word, 0)), 5, 0) is None


def test_the_first_verdict_of_a_part_stands() -> None:
    ring = VerdictRing()
    assert ring.put(17, Disposition.FAIL, 5)
    assert not ring.put(17, Disposition.PASS, 5)
    part_id, verdict, check = ring.words()[1]
    assert read_token(Token(part_id=part_id, verdict=verdict, check=check), 17, 5) is Disposition.FAIL


@given(ids, epochs, st.integers(1, 100))
def test_an_older_part_never_takes_the_slot_of_a_later_one(part: int, epoch: int, rounds: int) -> None:
    later = part
    for _ in range(8 * rounds):
        later = next_part_id(later)
    assume(part % 8 == later % 8)  # ids skip 0 at the wrap, and slots with them
    ring = VerdictRing()
    assert ring.put(later, Disposition.FAIL, epoch)
    assert not ring.put(part, Disposition.PASS, epoch)
    assert ring.holds(later)
    assert not ring.holds(part)
    ring = VerdictRing()
    assert ring.put(part, Disposition.PASS, epoch)
    assert ring.put(later, Disposition.FAIL, epoch)


@pytest.mark.parametrize(("ahead", "taken"), [(8, False), ((1 << 31) - 8, False), (1 << 31, True), ((1 << 32) - 8, True)])
def test_which_of_two_parts_is_the_later_one_is_the_shorter_way_round(ahead: int, taken: bool) -> None:
    ring = VerdictRing()
    holder = (1000 + ahead) % (1 << 32)
    ring.put(holder, Disposition.FAIL, 5)
    assert ring.put(1000, Disposition.PASS, 5) is taken
    assert ring.holds(1000) is taken
    assert ring.holds(holder) is not taken


def test_each_part_has_the_slot_of_its_id() -> None:
    ring = VerdictRing()
    for part in range(1 << 31, (1 << 31) + SLOTS):
        assert ring.put(part, Disposition.PASS, 5)
    assert [part for part, _, _ in ring.words()] == list(range(1 << 31, (1 << 31) + SLOTS))


def test_drop_takes_back_only_that_part() -> None:
    ring = VerdictRing()
    ring.put(17, Disposition.PASS, 5)
    ring.drop(25)
    assert ring.words()[1][0] == 17
    ring.drop(17)
    assert ring.words()[1] == (EMPTY.part_id, EMPTY.verdict, EMPTY.check)
    ring.put(18, Disposition.PASS, 5)
    ring.clear()
    assert set(ring.words()) == {(0, 0, 0)}


@pytest.mark.parametrize("mode", Mode)
def test_the_mode_is_two_bits_among_others(mode: Mode) -> None:
    assert mode_of(mode << 9) is mode
    assert mode_of(0xFFFF & ~(0b11 << 9) | mode << 9) is mode
