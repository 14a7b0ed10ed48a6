"""Spoils legal OPC UA messages where it hurts: lengths, counts, kinds, ids and numbers, as well as bytes at random."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

LENGTHS = (0xFFFF_FFFF, 0, 1, 2, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 100, 65536, 1_000_000, 0x1000_0000)
NUMBERS = (float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 1e-300, 1e308)
TAIL = 64
"""Bytes at the end where a change is tried more often: what a request asks for stands there, its header before it."""

Mutation = Callable[[random.Random, bytearray, "Pool"], None]


class Pool:
    """What may be put into a message: other messages, encodings of node ids, ids of services."""

    def __init__(self, messages: Sequence[bytes], nodes: Sequence[bytes], services: Sequence[bytes]) -> None:
        self.messages, self.nodes, self.services = messages, nodes, services


def place(dice: random.Random, body: bytearray, size: int = 1) -> int:
    """Return where to change something."""
    last = max(0, len(body) - size)
    return dice.randint(max(0, last - TAIL), last) if dice.random() < 0.5 else dice.randint(0, last)


def flip(dice: random.Random, body: bytearray, pool: Pool) -> None:
    """Flip a bit."""
    body[place(dice, body)] ^= 1 << dice.randrange(8)


def byte(dice: random.Random, body: bytearray, pool: Pool) -> None:
    """Change a byte."""
    body[place(dice, body)] = dice.randrange(256)


def length(dice: random.Random, body: bytearray, pool: Pool) -> None:
    """Change what is probably a length or a count: four bytes that hold a small number."""
    tries = (place(dice, body, 4) for _ in range(40))
    places = [
        at
        for at in tries
        if at >= 4 and ((n := int.from_bytes(body[at : at + 4], "little")) == 0xFFFF_FFFF or n <= len(body) - at)
    ][:4]
    if places:
        at = dice.choice(places)
        old = int.from_bytes(body[at : at + 4], "little")
        new = dice.choice((*LENGTHS, (old + 1) & 0xFFFF_FFFF, (old - 1) & 0xFFFF_FFFF, old * 1000 & 0xFFFF_FFFF))
        struct.pack_into("<I", body, at, new)


def number(dice: random.Random, body: bytearray, pool: Pool) -> None:
    """Put a floating-point number where none may be."""
    if len(body) >= 8:
        struct.pack_into("<d", body, place(dice, body, 8), dice.choice(NUMBERS))


def cut(dice: random.Random, body: bytearray, pool: Pool) -> None:
    """Cut the end off."""
    del body[place(dice, body) :]


def grow(dice: random.Random, body: bytearray, pool: Pool) -> None:
    """Add noise."""
    body += dice.randbytes(dice.randint(1, 200))


def repeat(dice: random.Random, body: bytearray, pool: Pool) -> None:
    """Repeat a part many times, and count it higher before: an array that grew."""
    at = place(dice, body, 12)
    part = bytes(body[at : at + dice.randint(4, 40)])
    times = dice.choice((2, 10, 100, 1000))
    body[at:at] = part * min(times, 60_000 // max(1, len(part)))
    before = max(0, at - dice.choice((4, 4, 8, 12)))
    if before + 4 <= len(body):
        struct.pack_into("<I", body, before, times + 1)


def splice(dice: random.Random, body: bytearray, pool: Pool) -> None:
    """Put a piece of another message in."""
    other = dice.choice(pool.messages)
    if len(other) > 8:
        start = dice.randrange(len(other) - 4)
        at = place(dice, body)
        body[at : at + dice.choice((0, 8, 40))] = other[start : start + dice.randint(4, 120)]


def node(dice: random.Random, body: bytearray, pool: Pool) -> None:
    """Put a node that exists in the place of another one."""
    old = next((n for n in (dice.choice(pool.nodes) for _ in range(40)) if n in body), None)
    if old is not None:
        at = body.index(old)
        body[at : at + len(old)] = dice.choice(pool.nodes)


def service(dice: random.Random, body: bytearray, pool: Pool) -> None:
    """Ask another service the same."""
    body[0:4] = dice.choice(pool.services)


MUTATIONS: tuple[Mutation, ...] = (flip, byte, length, length, number, cut, grow, repeat, splice, node, node, service)


def mutated(dice: random.Random, message: bytes, pool: Pool) -> bytes:
    """Return a message with one to four changes; one in twenty is left as it is, so that what follows finds something."""
    body = bytearray(message)
    if dice.random() < 0.05:
        return message
    for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
        if len(body) < 5:
            break
        dice.choice(MUTATIONS)(dice, body, pool)
    return bytes(body)


def frames(dice: random.Random, body: bytes, *, channel: int, token: int, sequence: int) -> bytes:
    """Return a message as it goes over a channel without security, now and then with a wrong header or in pieces."""

    def one(kind: bytes, part: bytes, n: int) -> bytes:
        inner = struct.pack("<IIII", channel, token, n, sequence) + part
        return kind + struct.pack("<I", len(inner) + 8) + inner

    roll = dice.random()
    if roll < 0.97 or not body:
        return one(b"MSGF", body[:65_000], sequence)
    if roll < 0.98:
        half = len(body) // 2
        return one(b"MSGC", body[:half], sequence) + one(b"MSGF", body[half : half + 65_000], sequence + 1)
    whole = bytearray(one(b"MSGF", body[:65_000], sequence))
    whole[dice.randrange(24)] = dice.randrange(256)
    return bytes(whole)
