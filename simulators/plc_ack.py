"""The PLC's side of the classic exchange (``handshake: ack``), and of commands, which every map has.

Stands apart because none of it can open the gate by itself: a result counts only with a valid token of exactly its PartId, and
the token's verdict is the one that is taken. It knows the gateway's status words and the wishes of operator and sequence; it
does not know the belt. Everything is a level that is held until it is answered: Trigger until TriggerAck, ExposureComplete's
clear until it has gone, InspectionResultsAck until ResultsValid has gone, ExecuteCommand until Completed or Failed. Its rules
where the classic exchange leaves a choice:

- A part that comes while an older trigger is not done with (Trigger or TriggerAck still up) gets none; the PLC notes it as
  missed, and the gateway sees it in the trigger ring. On AcquisitionError the PLC drops Trigger and takes TriggerEnable away
  until the error is gone.
- A result that waits for its token is left standing; once no token can count any more for its part, it is refused. A result
  that says another thing than the token is refused. Refused ones are acknowledged as well, or they would block the queue.
- Nothing of it is believed that does not stand beside the granted epoch; without an owner every bit but TriggerEnable drops.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from simulators.plant import AckInputs
from simulators.plc_memory import BlockMemory
from simulators.plc_tracking import ShiftRegister, TrackedPart

TRIGGER_ENABLE = 0x0001
TRIGGER = 0x0002
CLEAR_EXPOSURE_COMPLETE = 0x0004
BUFFER_RESULTS_ENABLE = 0x0008
INSPECTION_RESULTS_ACK = 0x0010
EXECUTE_COMMAND = 0x0020
CLEAR_ERROR = 0x0040
SET_OFFLINE = 0x0080

TRIGGER_ACK = 0x0002
EXPOSURE_COMPLETE = 0x0004
ACQUISITION_ERROR = 0x0008
BUFFER_OVERRUN = 0x0400
RESULTS_VALID = 0x0800
COMMAND_EXECUTING = 0x1000
COMMAND_COMPLETED = 0x2000
COMMAND_FAILED = 0x4000
ERROR = 0x8000

_SHOWN = {0x0001: "PASS", 0x0002: "FAIL", 0x0004: "NOT_INSPECTED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something that happened in the exchange, for an event of the program."""

    kind: Literal["missed", "exposed", "result", "refused", "overrun", "error", "command"]
    part_id: int = 0
    verdict: str = ""
    detail: str = ""


class CommandExchange:
    """Commands one after the other, ClearError and SetOffline."""

    def __init__(self, up: BlockMemory, down: BlockMemory) -> None:
        """Start with nothing to do."""
        self._command = up.role("command")
        self._arg = up.role("command.arg")
        self._status1 = down.role("status1")
        self._queue: deque[tuple[int, int]] = deque()
        self._wished: tuple[int, int] | None = None
        self._running: tuple[int, int] | None = None
        self._news: list[Said] = []

    def reset(self) -> None:
        """Forget every command, as at a first scan."""
        self._queue.clear()
        self._wished = self._running = None
        self._news.clear()

    def scan(self, wish: AckInputs, *, speaks: bool) -> int:
        """Return the bits of Control; ``speaks``: an owner whose heart beats has written Status1."""
        if wish.command is not None and wish.command != self._wished:
            self._queue.append(wish.command)
        self._wished = wish.command
        bits = self._status1.integer() if speaks else 0
        if self._running is not None:
            self._follow(self._running, bits, speaks=speaks)
        elif self._queue and speaks and not bits & (COMMAND_EXECUTING | COMMAND_COMPLETED | COMMAND_FAILED):
            self._running = self._queue.popleft()
            self._command.set(self._running[0])
            self._arg.set(self._running[1])
        word = EXECUTE_COMMAND if self._running is not None else 0
        return word | (CLEAR_ERROR if wish.clear_error else 0) | (SET_OFFLINE if wish.set_offline else 0)

    def news(self) -> list[Said]:
        """Return what happened since the last call."""
        news, self._news = self._news, []
        return news

    def _follow(self, running: tuple[int, int], bits: int, *, speaks: bool) -> None:
        if not speaks:
            end = "abandoned, for its gateway is gone"
        elif bits & COMMAND_FAILED:
            end = "failed"
        elif bits & COMMAND_COMPLETED:
            end = "completed"
        else:
            return
        self._running = None
        self._news.append(Said(kind="command", detail=f"{running[0]} {running[1]}: {end}"))


class AckExchange:
    """Trigger, exposure, results and errors of ``handshake: ack``."""

    def __init__(self, down: BlockMemory, tracking: ShiftRegister) -> None:
        """Take the gateway's block and the parts under way."""
        self._status1 = down.role("status1")
        self._status2 = down.role("status2")
        self._result_part = down.role("result.part.id")
        self._result_code = down.role("result.code")
        self._score = down.role("score")
        self._error = down.role("error.code")
        self._tracking = tracking
        self._news: list[Said] = []
        self._triggered = 0
        self._enabled = False
        self._disarmed = False
        self._clearing = False
        self._taken = 0
        self._overrun = False
        self._failing = False

    def reset(self) -> None:
        """Begin anew, as at a first scan."""
        self._news.clear()
        self._enabled = False
        self._let_go()

    def news(self) -> list[Said]:
        """Return what happened since the last call."""
        news, self._news = self._news, []
        return news

    def trigger(self, part_id: int, *, speaks: bool) -> None:
        """Raise Trigger for a part whose PartId and EncoderAtTrigger stand in the block, or note that it is missed."""
        if not speaks:
            why = "no gateway"
        elif not self._enabled:
            why = "triggers are not enabled"
        elif self._triggered or self._status1.integer() & TRIGGER_ACK:
            why = "the trigger before it is not done with"
        else:
            self._triggered = part_id
            return
        self._news.append(Said(kind="missed", part_id=part_id, detail=why))

    def results(self, epoch: int, *, speaks: bool) -> list[TrackedPart]:
        """Take a result that stands in the block; return the part that has got its verdict by it, if any."""
        if not speaks or not self._status1.integer() & RESULTS_VALID:
            self._taken = 0
            return []
        part_id = self._result_part.integer()
        if part_id == self._taken:
            return []
        part = self._tracking.waiting(part_id)
        verdict = self._tracking.verdict(part_id, epoch)
        if part is not None and not verdict:
            return []  # the token may still come
        shown = _SHOWN.get(self._status2.integer() & 0x0007, "none or several")
        self._taken = part_id
        if part is None or verdict != shown:
            why = "no part waits for it" if part is None else f"the token says {verdict}, the result {shown}"
            self._news.append(Said(kind="refused", part_id=part_id, detail=why))
            return []
        part.verdict = verdict
        detail = f"code {self._result_code.integer()}, score {float(self._score.get()):g}"
        self._news.append(Said(kind="result", part_id=part_id, verdict=verdict, detail=detail))
        return [part]

    def scan(self, wish: AckInputs, *, speaks: bool) -> int:
        """Return the bits of Control after this scan's trigger and results."""
        if speaks:
            self._follow(self._status1.integer())
        else:
            self._let_go()
        self._enabled = wish.trigger_enable and not self._disarmed
        word = TRIGGER_ENABLE if self._enabled else 0
        word |= TRIGGER if self._triggered else 0
        word |= CLEAR_EXPOSURE_COMPLETE if self._clearing else 0
        word |= BUFFER_RESULTS_ENABLE if wish.buffered else 0
        return word | (INSPECTION_RESULTS_ACK if wish.buffered and self._taken else 0)

    def _let_go(self) -> None:
        self._triggered = self._taken = 0
        self._disarmed = self._clearing = self._overrun = self._failing = False

    def _follow(self, bits: int) -> None:
        if bits & TRIGGER_ACK:
            self._triggered = 0
        if bits & ACQUISITION_ERROR and not self._disarmed:
            self._news.append(Said(kind="missed", part_id=self._triggered, detail="the gateway missed a trigger"))
            self._triggered = 0
        self._disarmed = bool(bits & ACQUISITION_ERROR)
        if bits & EXPOSURE_COMPLETE and not self._clearing:
            self._news.append(Said(kind="exposed"))
        self._clearing = bool(bits & EXPOSURE_COMPLETE)
        if bits & BUFFER_OVERRUN and not self._overrun:
            self._news.append(Said(kind="overrun"))
        self._overrun = bool(bits & BUFFER_OVERRUN)
        if bits & ERROR and not self._failing:
            self._news.append(Said(kind="error", detail=f"error {self._error.integer()}"))
        self._failing = bool(bits & ERROR)
