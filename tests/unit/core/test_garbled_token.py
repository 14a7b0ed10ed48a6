"""What the token's Check is good for against flipped bits, and what it is not; S7 and Modbus have no checksum of their own."""

from __future__ import annotations

from itertools import combinations

import pytest

from gateway.core.handshake import SLOTS, Token, make_token, read_token
from gateway.core.verdict import Disposition

EPOCH = 0x5EED_1234
PART = 0x0001_2345


def flipped(token: Token, *bits: int) -> Token:
    """Return the token with these bits of its 64 changed: 0–31 PartId, 32–47 Verdict, 48–63 Check."""
    whole = token.part_id | token.verdict << 32 | token.check << 48
    for bit in bits:
        whole ^= 1 << bit
    return Token(part_id=whole & 0xFFFFFFFF, verdict=whole >> 32 & 0xFFFF, check=whole >> 48)


def taken_for(token: Token) -> tuple[int, Disposition] | None:
    """Return for which part a PLC that has room for any would take the token, and as what."""
    said = read_token(token, token.part_id, EPOCH)
    return (token.part_id, said) if said is not None else None


@pytest.mark.parametrize("disposition", Disposition)
def test_one_flipped_bit_never_makes_a_verdict(disposition: Disposition) -> None:
    token = make_token(PART, disposition, EPOCH)
    assert taken_for(token) == (PART, disposition)
    assert [bit for bit in range(64) if taken_for(flipped(token, bit))] == []


@pytest.mark.parametrize("disposition", Disposition)
def test_two_flipped_bits_never_change_a_part_s_own_verdict_and_seldom_reach_another_part(disposition: Disposition) -> None:
    token = make_token(PART, disposition, EPOCH)
    pairs = list(combinations(range(64), 2))
    found = {pair: taken for pair in pairs if (taken := taken_for(flipped(token, *pair)))}
    assert all(part != PART and said is disposition for part, said in found.values())
    # The same column of two words: both halves of PartId, or one of them and Check.
    assert len(found) == 48, f"of {len(pairs)}"
    in_its_slot = [part for part, _ in found.values() if part % SLOTS == PART % SLOTS]
    near = [part for part in in_its_slot if abs(part - PART) < 256]
    assert (len(in_its_slot), len(near)) == (42, 5), "a part that a PLC may be tracking, in the slot that it looks at"


def test_it_takes_eight_flipped_bits_in_one_word_to_make_another_verdict_and_as_many_in_check() -> None:
    words = [d.value for d in Disposition]
    assert min((a ^ b).bit_count() for a, b in combinations(words, 2)) == 8
