"""Deliberately broken gateways and PLC programs, to show that the storm finds what it is there to find.

An oracle that has never been seen to fail proves nothing. Each entry takes one defence away, in this process and for the time
of a ``with`` block; ``python -m simulators.storm --broken NAME`` runs a storm on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from gateway.control.line import Line
from gateway.control.pending import Pending
from gateway.core.frame import FrameStamp
from gateway.core.lifecycle import State
from gateway.core.part import PART_ID_MODULUS
from gateway.core.tracker import Tracker
from gateway.plc.listener import UpImage
from simulators.plc_tracking import Decision, ShiftRegister


def _pulse(patches: ExitStack) -> None:
    """Reject on command only, as a reject coil does: whatever no command came for passes."""

    def at_gate(register: ShiftRegister, encoder: int) -> Decision:
        decision = Decision.NOBODY
        for part in register._parts:  # noqa: SLF001 - a defect is put in from outside
            past = register._past_gate(part, encoder)  # noqa: SLF001
            if past < -register._gate_window:  # noqa: SLF001
                break
            if not part.gate_set:
                part.gate_set = True
                part.exit = Decision.OPEN if part.verdict in ("", "PASS") and past < 0 else Decision.CLOSED
            if part.exit is Decision.CLOSED:
                return Decision.CLOSED
            decision = Decision.OPEN
        return decision

    patches.enter_context(patch.object(ShiftRegister, "at_gate", at_gate))


def _binding(patches: ExitStack) -> None:
    """Give each frame to the part that has waited longest, as one does who counts instead of measuring."""

    def near(tracker: Tracker, stamp: FrameStamp) -> list[Any]:
        waiting = [e for e in tracker._parts.values() if e.state is State.WAITING and not e.stamps]  # noqa: SLF001
        return waiting[:1]

    patches.enter_context(patch.object(Tracker, "_near", near))


def _stale_epoch(patches: ExitStack) -> None:
    """Leave the epoch out of the check, on both sides, and keep the ring when the line is lost."""

    def words(part_id: int, verdict: int, _epoch: int) -> int:
        return (part_id >> 16) ^ (part_id & 0xFFFF) ^ verdict

    abandon: Callable[[Pending, str], None] = Pending.abandon

    def keep(pending: Pending, reason: str) -> None:
        with patch.object(pending._ring, "clear", lambda: None), patch.object(pending._ring, "drop", lambda _part: None):  # noqa: SLF001
            abandon(pending, reason)

    patches.enter_context(patch("gateway.core.handshake.check_word", words))
    patches.enter_context(patch("simulators.plc_tracking.expected_check", words))
    patches.enter_context(patch.object(Pending, "abandon", keep))


def _no_check(patches: ExitStack) -> None:
    """Take every token whose PartId and verdict look right, torn or not."""

    class Whatever:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    patches.enter_context(patch("simulators.plc_tracking.expected_check", lambda *_words: Whatever()))


def _first_read(patches: ExitStack) -> None:
    """Take the first read after a connect for edges: what stands in the trigger ring is admitted."""

    def on_baseline(line: Line, up: UpImage) -> None:
        tracker = line._tracker  # noqa: SLF001
        if tracker._head is None:  # noqa: SLF001
            known: Sequence[int] = [p for p, _ in up.triggers if p]
            back = max(((up.part_id - p) % (PART_ID_MODULUS - 1) for p in known), default=-1)
            tracker._head = max(0, up.part_id - min(7, back) - 1)  # noqa: SLF001
        line._up, line._epoch = up, line._writer.epoch  # noqa: SLF001
        line.on_up(up)

    patches.enter_context(patch.object(Line, "on_baseline", on_baseline))


BROKEN: dict[str, Callable[[ExitStack], None]] = {
    "pulse": _pulse,
    "binding": _binding,
    "stale_epoch": _stale_epoch,
    "no_check": _no_check,
    "first_read": _first_read,
}
"""What can be broken, by name."""


@contextmanager
def broken(name: str) -> Iterator[None]:
    """Break one thing; '' breaks nothing. KeyError for a name that is unknown."""
    with ExitStack() as patches:
        if name:
            BROKEN[name](patches)
        yield
