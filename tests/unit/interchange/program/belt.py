"""The belt as it really is, which neither PLC sees: where the parts are while the counter jumps and edges come late.

What it holds both PLCs to: no part goes through an open gate but by a PASS of its own, or by a key that lets all of them pass.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.unit.interchange.program.twin import GATE, WINDOW


class EscapedError(AssertionError):
    """A part went through the gate for another's sake."""


@dataclass(slots=True, kw_only=True)
class Part:
    at: int
    """Where the belt stood when it was at the photo-eye."""
    latch: int
    """What the counter was then."""
    due: int
    """Scan in which the PLC hears of it."""
    part_id: int | None = None
    unknown: bool = False
    """The PLC has lost sight of it: nothing may let it pass."""


class Belt:
    """Position and parts, in counts that never jump."""

    def __init__(self, dice: random.Random, spacing: int) -> None:
        self.dice, self.spacing = dice, spacing
        self.at = self.next_at = 0
        self.slipped_at = -2 * GATE
        self.parts: list[Part] = []
        self.passes: set[int] = set()
        """Parts for which a PASS was written."""
        self.checked = 0
        """Parts that were at the gate while it stood open."""

    def jump(self, move: int) -> int:
        """Return how far the counter jumps beside a belt that moves by ``move`` in 10 ms, with nobody saying so.

        A little jump is believed, so it must do no harm; that it is the only one while a part is under way is its condition,
        and that windows are not as wide as the parts are apart.
        """
        if self.spacing >= 60 and self.at - self.slipped_at > GATE + 3 * WINDOW and self.dice.random() < 0.5:
            self.slipped_at = self.at
            return self.dice.choice([-WINDOW - move, WINDOW - move])
        far = self.dice.getrandbits(32)
        return self.dice.choice([300, -300, 990, -990, GATE + 200, -GATE - 200, -far, far, 30, -30])

    def go(self, n: int, move: int, counter: int, jump: int, *, room: bool, late: int) -> Part | None:
        """Move on from the counter's value; return the part of whose edge the PLC hears in scan ``n``, if any."""
        self.at += move
        if self.at >= self.next_at and room:
            self.next_at = self.at + self.spacing + self.dice.randint(0, 8)
            back = self.dice.randint(0, 2)
            latch = counter + move - back + self.dice.choice([0, jump])  # before the jump, or behind it
            self.parts.append(Part(at=self.at - back, latch=latch & 0xFFFFFFFF, due=n + late))
        heard = [p for p in self.parts if p.part_id is None]
        return heard[0] if heard and heard[0].due <= n else None

    def forget(self) -> None:
        """Say that the PLC can know of no part where it is: it was started anew, or its counts were lost."""
        for part in self.parts:
            part.unknown = True

    def check(self, move: int, *, opened: bool, by_key: bool) -> None:
        """Look at the parts that were at the gate since the last scan, which left it as ``opened`` says.

        What nobody can close is not looked at: a gate past which a belt goes on by more than a window in one scan.
        """
        for part in [p for p in self.parts if p.at + GATE <= self.at]:
            self.parts.remove(part)
            self.checked += opened
            own = by_key or part.part_id in self.passes
            if opened and move <= WINDOW and (part.unknown or not own):
                raise EscapedError(f"part {part.part_id}, which was at the photo-eye at {part.at}, passed at {self.at}")
