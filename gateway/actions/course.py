"""The course of one rule: watch → ask → (read back) → settle → watch again until the step is seen to have helped.

A table of facts in and decisions out, without I/O, so that it can be kept in a database and go on after a kill in any state.
A request has exactly one ending; one whose answer was lost is read back from the PLC's value, never repeated blindly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from scipy.special import bdtrc

from gateway.actions.adjust import PAUSE_NS, AdjustRule, Block, Parameter, Situation, Step, decide
from gateway.core.commands import Answer

#: Parts for which an alarm that could not be answered stands; after that only new evidence raises it again.
STANDING_PARTS = 100
#: The same obstacle is written down once in this time, however long the alarm lasts.
REPEAT_NS = 300 * 10**9
DELAY_NS = 60 * 10**9
READ_BACK_NS = 5 * 10**9
READ_BACK_LIMIT_NS = 60 * 10**9
SIGNIFICANCE = 0.05

Phase = Literal["watching", "asked", "reading back", "settling"]
Ended = Literal["confirmed", "blocked", "refused", "unknown", "expired"]


@dataclass(slots=True, kw_only=True)
class Request:
    """The open request: ``old`` → ``target`` under ``id``."""

    id: str
    old: float
    target: float
    sent_ns: int = 0
    """UTC; 0 while it was certainly not sent."""
    written: bool = False
    """Whether it was handed to control, which happens once."""
    since_ns: int = 0
    """Since when it is read back."""
    shown_ns: int = 0
    """When the PLC first showed a value after that; 0 while it has not."""
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a request ended: its last state and result in the operations database, and whether the value moved or may have."""

    id: str
    state: Ended
    result: str
    moved: bool
    holds: float
    """What the PLC should hold now."""
    also: float | None
    """What it may show besides without anybody else's doing: the old value for a while, or with ``unknown`` the target."""


@dataclass(slots=True, kw_only=True)
class _State:
    phase: Phase = "watching"
    request: Request | None = None
    attempts: int = 0
    escalated: bool = False
    standing: int = 0
    settled_from_ns: int = 0
    settle_left: int = 0
    verified: int = 0
    verified_defects: int = 0
    pause_until_ns: int = 0
    blocked_ns: dict[str, int] = field(default_factory=dict)


class Course:
    """One rule's course on one line."""

    def __init__(self, rule: AdjustRule, parameter: Parameter, p0: float) -> None:
        """``p0`` is the tolerated defect probability (0-1) that the rule's trend is held against."""
        self._rule = rule
        self._parameter = parameter
        self._p0 = p0
        self._s = _State()

    @property
    def phase(self) -> Phase:
        """Return where it stands."""
        return self._s.phase

    @property
    def request(self) -> Request | None:
        """Return the open request."""
        return self._s.request

    @property
    def attempts(self) -> int:
        """Return the steps taken without recovery so far."""
        return self._s.attempts

    @property
    def pause_until_ns(self) -> int:
        """Return until when (UTC) a refusal keeps the rule quiet."""
        return self._s.pause_until_ns

    @property
    def trying(self) -> bool:
        """Return whether a step is under way or not yet proven, so that no other rule of the line may act."""
        return self._s.phase != "watching" or (self._s.attempts > 0 and not self._s.escalated)

    # -- parts --------------------------------------------------------------------------------------------------------------

    def in_flight(self, t_utc_ns: int) -> bool:
        """Take a judged part of any disposition; return True if it was made before a step took hold and so is no evidence."""
        s = self._s
        if s.phase != "settling":
            return s.phase != "watching"
        # Times further apart than any delay come from a clock that was set; then the count of parts alone decides.
        if 0 <= s.settled_from_ns - t_utc_ns <= DELAY_NS:
            return True
        if s.settle_left > 0:
            s.settle_left -= 1
            return True
        s.phase = "watching"
        return False

    def answer_alarm(self, situation: Situation) -> tuple[Step | Block, bool]:
        """Return what to do about an alarm, and whether it is worth writing down: an obstacle is, once in five minutes."""
        s = self._s
        found = decide(self._rule, self._parameter, situation)
        if isinstance(found, Step):
            return found, True
        s.escalated = s.escalated or found.why == "escalated"
        if found.why == "pause":
            return found, False  # the refusal itself is on record
        last = s.blocked_ns.get(found.why)
        if last is not None and 0 <= situation.now_ns - last < REPEAT_NS:
            return found, False
        s.blocked_ns[found.why] = situation.now_ns
        return found, True

    def counted(self, *, alarm: bool, defect: bool, block: Block | None) -> Literal["", "rearm", "recovered"]:
        """Take a part that is evidence, after an alarm was answered by ``block`` or with no alarm.

        ``rearm``: the alarm has stood long enough, or cannot be acted upon; only new evidence may raise it again.
        ``recovered``: no alarm for ``verify_parts`` and no more defects among them than ``p0`` explains.
        """
        s = self._s
        if alarm:
            s.standing = max(1, s.standing)
            s.verified = s.verified_defects = 0
        if s.standing:
            s.standing += 1
            if s.standing > STANDING_PARTS or (block is not None and block.why in ("stale", "escalated")):
                s.standing = 0
                return "rearm"
            return ""
        if not s.attempts:
            return ""
        s.verified += 1
        s.verified_defects += defect
        if s.verified < self._rule.verify_parts:
            return ""
        # No alarm alone proves little: a small rise takes the trend longer than this to find.
        tail = bdtrc(s.verified_defects - 1, s.verified, self._p0) if s.verified_defects else 1.0
        s.verified = s.verified_defects = 0
        if tail < SIGNIFICANCE:
            return ""
        s.attempts, s.escalated = 0, False
        return "recovered"

    # -- the request --------------------------------------------------------------------------------------------------------

    def ask(self, id: str, step: Step) -> None:
        """Open a request for ``step``; it is to be written down, then sent."""
        self._s.phase, self._s.standing = "asked", 0
        self._s.verified = self._s.verified_defects = 0
        self._s.request = Request(id=id, old=step.expected_old, target=step.value)

    def sent(self, now_ns: int) -> None:
        """Take note that from now on the request may be on its way; to be kept durably before it is."""
        if self._s.request is not None:
            self._s.request.sent_ns = now_ns

    def written(self) -> None:
        """Take note that the request goes to control now."""
        if self._s.request is not None:
            self._s.request.written = True

    def drop(self, why: str) -> Ending | None:
        """Give up a request that was certainly not sent."""
        request = self._s.request
        if request is None or request.sent_ns:
            return None
        return self._end("expired", f"not sent: {why}", now_ns=0)

    def resume(self, now_ns: int) -> None:
        """After a restart: a request that may have been sent is read back, never sent again.

        Control may have been restarted too and then knows of no first copy; its record of the answer, if there is one, comes
        by the journal.
        """
        if self._s.phase == "asked":
            self._read_back("services restarted before the answer came", now_ns)

    def answered(self, answer: Answer, now_ns: int) -> Ending | None:
        """Take control's answer, by whichever way it came; None if it ends nothing yet."""
        request = self._s.request
        if request is None or answer.id != request.id or not request.sent_ns:
            return None
        if answer.result == "confirmed":
            holds = answer.new if answer.new is not None else request.target
            return self._end("confirmed", "confirmed", now_ns=now_ns, holds=holds)
        if answer.result.startswith("unknown"):
            self._read_back(answer.result, now_ns)
            return None
        state: Ended = "refused" if answer.result.startswith("refused") else "blocked"
        moved = answer.new is not None and not self._parameter.same(answer.new, request.old)
        return self._end(state, answer.result, now_ns=now_ns, holds=answer.new if moved else None)

    def silent(self, now_ns: int) -> Ending | None:
        """Take note that no answer came in time. What never went to control ends here; anything else is read back."""
        request = self._s.request
        if request is None or self._s.phase != "asked":
            return None
        if not request.written:
            return self._end("blocked", "blocked: control does not answer", now_ns=now_ns)
        self._read_back("control did not answer", now_ns)
        return None

    def shown(self, value: float | None, t_utc_ns: int) -> Ending | None:
        """Take the parameter's value as the PLC showed it at ``t_utc_ns``: it ends a request that is being read back."""
        request = self._s.request
        if request is None or self._s.phase != "reading back" or value is None or t_utc_ns <= request.since_ns:
            return None
        if self._parameter.same(value, request.target):
            words = f"confirmed: read back {value:g} ({request.trouble})"
            return self._end("confirmed", words, now_ns=t_utc_ns, holds=value)
        request.shown_ns = request.shown_ns or t_utc_ns
        if t_utc_ns - request.shown_ns < READ_BACK_NS:
            return None
        words = f"unknown: {request.trouble}; the PLC holds {value:g}"
        moved = not self._parameter.same(value, request.old)
        return self._end("unknown", words, now_ns=t_utc_ns, holds=value if moved else None)

    def tick(self, now_ns: int) -> Ending | None:
        """Give up reading back when the PLC shows nothing for a minute."""
        request = self._s.request
        if request is None or self._s.phase != "reading back" or abs(now_ns - request.since_ns) < READ_BACK_LIMIT_NS:
            return None
        words = f"unknown: {request.trouble}; the PLC showed no value to read back"
        return self._end("unknown", words, now_ns=now_ns, holds=request.target)

    def _read_back(self, trouble: str, now_ns: int) -> None:
        if self._s.request is not None and self._s.phase != "reading back":
            self._s.phase = "reading back"
            self._s.request.since_ns, self._s.request.trouble = now_ns, trouble

    def _end(self, state: Ended, result: str, *, now_ns: int, holds: float | None = None) -> Ending:
        """End the open request; ``holds`` is the value that it (possibly) moved to, None when it moved nothing."""
        s, request = self._s, self._s.request
        assert request is not None  # noqa: S101 - every caller holds it
        moved = holds is not None
        s.request = None
        if moved:
            s.phase, s.settled_from_ns, s.settle_left = "settling", now_ns, self._rule.settle_parts
            s.attempts += 1
        else:
            s.phase = "watching"
            s.pause_until_ns = now_ns + PAUSE_NS if state != "expired" else s.pause_until_ns
        ending = Ending(id=request.id, state=state, result=result, moved=moved, holds=request.old, also=None)
        if state == "unknown" or (state == "refused" and not moved):
            # A value that is neither the old one nor the target is somebody else's doing; the target may have shown for a
            # moment also when the PLC applied it too late and was asked back.
            return replace(ending, also=request.target)
        return ending if holds is None else replace(ending, holds=holds, also=request.old)

    # -- across restarts ----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return everything needed to go on after a restart, as JSON values."""
        return asdict(self._s)

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Go on from :meth:`state`."""
        if state is not None:
            request = state["request"]
            self._s = _State(**{**state, "request": Request(**request) if request else None})
