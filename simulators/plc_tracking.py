"""The PLC's shift register: parts between photo-eye and gate, the verdict tokens latched for them, and the gate's rule.

Stands apart because escapes are made or prevented here. It knows encoder counts, tokens and the granted epoch; it does not
know who the owner is, nor how the gate is driven, nor whether a part is good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from simulators.plant import Mode
from simulators.plc_memory import BlockMemory

#: Words of the token's Verdict; 0 and 16#FFFF never mean anything.
VERDICTS = {0xA55A: "PASS", 0x5AA5: "FAIL", 0x3CC3: "NOT_INSPECTED"}


def counts_between(earlier: int, later: int) -> int:
    """Return the signed encoder counts from ``earlier`` to ``later`` on the 32-bit circle."""
    counts = (later - earlier) & 0xFFFFFFFF
    return counts - 0x100000000 if counts & 0x80000000 else counts


def expected_check(part_id: int, verdict: int, epoch: int) -> int:
    """Return the ⊕ of the 16-bit words of PartId, Verdict and OwnerEpoch."""
    check = verdict
    for value in (part_id, epoch):
        check ^= value >> 16 & 0xFFFF
        check ^= value & 0xFFFF
    return check


class Decision(Enum):
    """What the parts in front of the gate ask of it."""

    NOBODY = "nobody"
    OPEN = "open"
    RECHECK = "recheck"
    CLOSED = "closed"


@dataclass(slots=True)
class TrackedPart:
    """One part under way, with its latched verdict ("" = none)."""

    part_id: int
    encoder: int
    """Encoder at the photo-eye."""
    verdict: str = ""
    gate_set: bool = False
    """The part has entered its gate window: its verdict is final."""
    exit: Decision = Decision.CLOSED
    """How the gate is to stand for it."""
    arrived: bool = False
    mode: Mode = Mode.AUTOMATIC
    """What the key switch said at the photo-eye."""
    challenge: bool = False
    audit: bool = False
    external_reject: bool = False
    simulated: bool = False
    """Its verdict is about simulated pictures."""
    unverified: bool = False
    """Its verdict comes from a model that was not verified."""
    let_by: Mode = Mode.AUTOMATIC
    """Why it may pass: Bypass or MonitorOnly alone, or (Automatic) its token."""
    why: str = ""
    """What beside its verdict decides about its exit."""


def by_token(part: TrackedPart) -> Decision:
    """Return the exit of a part by its token alone."""
    return Decision.OPEN if part.verdict == "PASS" else Decision.CLOSED


class ShiftRegister:
    """The parts under way in the order of the belt; as many as there are."""

    def __init__(
        self,
        down: BlockMemory,
        *,
        camera_to_gate: int,
        gate_window: int,
        exit_of: Callable[[TrackedPart], Decision] = by_token,
    ) -> None:
        """Take the block with the token ring and the geometry in encoder counts; ``exit_of`` is asked once for each part."""
        self._slots = down.ring("ring.token")
        self._camera_to_gate = camera_to_gate
        self._gate_window = gate_window
        self._exit_of = exit_of
        self._parts: deque[TrackedPart] = deque()
        self._by_id: dict[int, TrackedPart] = {}

    def __len__(self) -> int:
        """Return how many parts are under way, those still in the gate's window included."""
        return len(self._parts)

    def __iter__(self) -> Iterator[TrackedPart]:
        """Return the parts under way, the one farthest down the belt first."""
        return iter(self._parts)

    def clear(self) -> None:
        """Forget every part, as at a first scan or when the counts by which they are followed are lost."""
        self._parts.clear()
        self._by_id.clear()

    def admit(self, part: TrackedPart) -> None:
        """Take a new part at the photo-eye."""
        self._parts.append(part)
        self._by_id[part.part_id] = part

    def waiting(self, part_id: int) -> TrackedPart | None:
        """Return the part of that number if a verdict can still be latched for it."""
        part = self._by_id.get(part_id)
        return part if part is not None and not part.verdict and not part.gate_set else None

    def latch_tokens(self, epoch: int) -> list[TrackedPart]:
        """Read the token ring once and return the parts that got their verdict by it.

        The first valid token wins, and none counts once the gate has been set for the part.
        """
        latched: list[TrackedPart] = []
        for index, slot in enumerate(self._slots):
            part = self.waiting(slot["PartId"].integer())
            if part is None or part.part_id % len(self._slots) != index:
                continue
            if verdict := self.verdict(part.part_id, epoch):
                part.verdict = verdict
                latched.append(part)
        return latched

    def verdict(self, part_id: int, epoch: int) -> str:
        """Return the verdict of a valid token for the part, "" if there is none.

        Valid is a token of exactly this PartId in slot PartId mod 8, with a known verdict and a right check under ``epoch``.
        """
        slot = self._slots[part_id % len(self._slots)]
        word = slot["Verdict"].integer()
        valid = epoch != 0 and slot["PartId"].integer() == part_id and word in VERDICTS
        return VERDICTS[word] if valid and slot["Check"].integer() == expected_check(part_id, word, epoch) else ""

    def arrived(self, encoder: int) -> list[TrackedPart]:
        """Return the parts that have reached the gate since the last call; drop those that have left its window.

        None is taken to be there because one behind it is, nor to be under way because one before it is.
        """
        reached = [part for part in self._parts if not part.arrived and self._past_gate(part, encoder) >= 0]
        for part in reached:
            part.arrived = True
        for part in [part for part in self._parts if self._past_gate(part, encoder) > self._gate_window]:
            self._parts.remove(part)
            del self._by_id[part.part_id]
        return reached

    def at_gate(self, encoder: int) -> Decision:
        """Return what the gate must do now; a part's exit is decided as it enters its window, and only rejecting can follow.

        The gate turns to an exit only if the window is entered before the part is at the gate, and never while a part for
        another exit is in its own window too: when windows overlap, rejecting wins.
        """
        decision = Decision.NOBODY
        for part in self._parts:
            past = self._past_gate(part, encoder)
            if past < -self._gate_window:
                continue  # not break: a belt that creeps back may give two edges in the wrong order
            if not part.gate_set:
                part.gate_set = True
                part.exit = self._exit_of(part) if past < 0 else Decision.CLOSED
            if part.exit is Decision.CLOSED or decision not in (Decision.NOBODY, part.exit):
                return Decision.CLOSED
            decision = part.exit
        return decision

    def _past_gate(self, part: TrackedPart, encoder: int) -> int:
        return counts_between(part.encoder, encoder) - self._camera_to_gate
