"""Tokens and rings: nothing torn, stale or foreign ever validates as something that was not issued."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.core.handshake import (
    EMPTY,
    Control,
    Mode,
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


def test_epoch_zero_and_part_zero_are_refused() -> None:
    with pytest.raises(ValueError):
        make_token(0, Disposition.PASS, 1)
    with pytest.raises(ValueError):
        make_token(1, Disposition.PASS, 0)


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


def test_mode_bits() -> None:
    assert mode_of(int(Control.TRIGGER_ENABLE)) is Mode.AUTOMATIC
    assert mode_of(0b11 << 9) is Mode.BYPASS
    assert mode_of(1 << 9) is Mode.MANUAL
