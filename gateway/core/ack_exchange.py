"""The classic exchange at work: one line's walk through the tables of :mod:`gateway.core.ack`.

Apart from the tables because here is the memory that they need: which parts wait for a Trigger, which results wait to be
shown. Sans-I/O: reads of the PLC's control word go in, bits of Status1 and the result to show come out; times are monotonic ns
given by the caller. Knows no link and no picture.
"""

from __future__ import annotations

import functools
import operator
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.ack import (
    ERROR,
    EXPOSURE,
    MISSED,
    RESULT,
    SHOWN,
    TRIGGER,
    ErrorEvent,
    Exposing,
    ExposureEvent,
    Failing,
    MissEvent,
    Missing,
    ResultEvent,
    Showing,
    TriggerEvent,
    Triggering,
)
from gateway.core.events import PartJudged
from gateway.core.handshake import SLOTS, Control, ErrorCode, Status1

QUEUE = SLOTS
"""Results that may wait, the one shown included: no more than there are slots for their tokens."""
NO_TRIGGER = "no Trigger of its own came for it"
OWN_BITS = functools.reduce(operator.or_, SHOWN.values(), Status1.BUSY)
"""The bits of Status1 that the exchange alone decides about."""


@dataclass(slots=True, kw_only=True)
class _Fresh:
    """A part without a Trigger yet: where it was triggered, when first seen, and whether its frames are there already."""

    place: int
    since_ns: int
    exposed: bool = False


class AckExchange:
    """One line's exchange. The first read is to be a :meth:`baseline`."""

    def __init__(self, *, scan_ns: int, positions: int = 1) -> None:
        """``scan_ns`` is the PLC's scan: so far apart a part and its Trigger may show, and so long it takes to see a result.

        ``positions`` is the number of parts in one picture, which one Trigger stands for.
        """
        self._patience_ns = 2 * scan_ns
        self._positions = positions
        self._trigger = Triggering.DISARMED
        self._missing = Missing.NONE
        self._exposing = Exposing.IDLE
        self._showing = Showing.EMPTY
        self._failing = Failing.NONE
        self._changed_at = {"trigger": 0, "result": 0}
        """The number of the change by which that one came into its state."""
        self._before = Control(0)
        self._awaiting_since_ns = 0
        self._missed_ns = 0
        self._fresh: dict[int, _Fresh] = {}
        self._open: dict[int, bool] = {}
        """Parts without a result yet: whether a Trigger of theirs was taken."""
        self._queue: deque[PartJudged] = deque()
        self._shown_ns: int | None = None
        """Since when the PLC has had the valid result; None as long as it has not."""
        self._code = ErrorCode.NONE
        self.changes = 0
        """Counts up with everything that is to be written."""
        self.acquisition_id = 0
        self.overrun = False
        """A result was discarded for want of room; until ClearError."""
        self.result: PartJudged | None = None
        """The result whose payload is to be shown, whether or not it is valid."""

    # -- what is to be written ------------------------------------------------------------------------------------------

    @property
    def bits(self) -> Status1:
        """Return the bits of :data:`OWN_BITS` as they are to be shown now, and BufferOverrun."""
        bits = Status1.BUSY if any(self._open.values()) else Status1(0)
        if self.overrun:
            bits |= Status1.BUFFER_OVERRUN
        for state in (self._trigger, self._missing, self._exposing, self._showing, self._failing):
            bits |= SHOWN.get(state, Status1(0))
        return bits

    @property
    def error(self) -> ErrorCode:
        """Return the code that stands beside Error: the first since the last ClearError."""
        return self._code

    @property
    def remaining(self) -> int:
        """Return how many more results there is room for."""
        return QUEUE - len(self._queue)

    def written(self, changes: int, now_ns: int) -> None:
        """Say that the PLC has everything up to that number of :attr:`changes`; what waited for that becomes valid."""
        if self._changed_at["trigger"] <= changes:
            self._fire_trigger(TriggerEvent.WRITTEN)
        if self._changed_at["result"] <= changes:
            if self._showing is Showing.VALID and self._shown_ns is None:
                self._shown_ns = now_ns
            self._fire_result(ResultEvent.WRITTEN)
        self._go_on(now_ns)

    # -- what the PLC says ------------------------------------------------------------------------------------------------

    def baseline(self, control: int) -> list[int]:
        """Take the first read after a (re)connect; return the parts that can have no Trigger any more."""
        now = Control(control)
        lost = self._give_up()
        if not now & Control.TRIGGER:
            self._fire_trigger(TriggerEvent.FALL)
        elif self._trigger not in (Triggering.TAKEN, Triggering.ACKED):
            for event in (TriggerEvent.AMISS, TriggerEvent.DISARM, TriggerEvent.RISE):
                self._fire_trigger(event)
            self._miss(MissEvent.MISS)
        if not now & Control.TRIGGER_ENABLE:
            self._miss(MissEvent.DISABLE)
        if now & Control.BUFFER_RESULTS_ENABLE and now & Control.INSPECTION_RESULTS_ACK:
            self._fire_result(ResultEvent.ACK)
        self._clear_exposure(now)
        self._before = now
        return lost

    def read(self, control: int, parts: Sequence[tuple[int, int]], *, ready: bool, error: ErrorCode, now_ns: int) -> list[int]:
        """Take a cyclic read; return the parts that are lost by it: they are to become NOT_INSPECTED.

        ``parts`` are those that it shows for the first time (PartId, encoder), ``ready`` says whether the line takes parts,
        ``error`` what it lacks.
        """
        now, before, self._before = Control(control), self._before, Control(control)
        rose, fell = now & ~before, before & ~now
        for part_id, encoder in parts:
            self._fresh[part_id] = _Fresh(place=encoder, since_ns=now_ns)
            self._open[part_id] = False
        seen = not now & (Control.TRIGGER_ENABLE | Control.TRIGGER) and now_ns - self._missed_ns >= self._patience_ns
        if fell & Control.TRIGGER_ENABLE or seen:
            self._miss(MissEvent.DISABLE)
        armed = ready and bool(now & Control.TRIGGER_ENABLE)
        if not armed:
            self._fire_trigger(TriggerEvent.DISARM)
        lost: list[int] = []
        if fell & Control.TRIGGER:
            self._fire_trigger(TriggerEvent.FALL)
        if rose & Control.TRIGGER:
            self._awaiting_since_ns = now_ns
            self._fire_trigger(TriggerEvent.RISE)
            if self._trigger is not Triggering.AWAITING:
                lost += self._give_up()
                self._missed(now_ns)
        lost += self._match(now_ns)
        if armed:
            self._fire_trigger(TriggerEvent.ARM)
        if now & Control.BUFFER_RESULTS_ENABLE and rose & Control.INSPECTION_RESULTS_ACK:
            self._fire_result(ResultEvent.ACK)
        self._clear_exposure(now)
        self._take_errors(error, cleared=bool(rose & Control.CLEAR_ERROR))
        self._go_on(now_ns)
        return lost

    def lost(self) -> None:
        """Forget parts and results: the PLC was restarted, or another gateway owns the line."""
        self._fresh.clear()
        self._open.clear()
        self._queue.clear()
        self._trigger, self._missing, self._exposing = Triggering.DISARMED, Missing.NONE, Exposing.IDLE
        self._showing, self.result, self._shown_ns, self._before = Showing.EMPTY, None, None, Control(0)
        self.changes += 1

    # -- what the line says -----------------------------------------------------------------------------------------------

    def triggered(self, part_id: int) -> bool | None:
        """Return whether a Trigger was taken for this part; None while one may still come."""
        return None if part_id in self._fresh else self._open.get(part_id, False)

    def exposed(self, part_id: int) -> None:
        """Take note that all frames of a part are there; told only once a Trigger was taken for it, which may come later."""
        if part_id in self._fresh:
            self._fresh[part_id].exposed = True
        elif self._open.get(part_id):
            self._expose(ExposureEvent.EXPOSED)

    def has_room(self, part_id: int, now_ns: int) -> bool:
        """Return whether its token would take no slot that the PLC still needs for a result; if it would, that is noted."""
        waiting = list(self._queue)[1:] if self._was_seen(now_ns) else self._queue
        free = all(waits.part_id % SLOTS != part_id % SLOTS for waits in waiting)
        if not free and not self.overrun:
            self.overrun = True
            self.changes += 1
        return free

    def show(self, record: PartJudged, now_ns: int) -> None:
        """Take the result of a part whose token the PLC has; without room it is discarded, and BufferOverrun says so."""
        self.over(record.part_id)
        if len(self._queue) >= QUEUE:
            self.overrun = True
        else:
            self._queue.append(record)
        self.changes += 1
        self._go_on(now_ns)

    def over(self, part_id: int) -> None:
        """Forget a part that has its record: no Trigger is waited for, and nothing is busy with it."""
        self._fresh.pop(part_id, None)
        if self._open.pop(part_id, False):
            self.changes += 1

    # -- the tables at work -------------------------------------------------------------------------------------------------

    def _match(self, now_ns: int) -> list[int]:
        """Find the part or group of a Trigger that is up, and give up what has waited too long."""
        if self._trigger is Triggering.AWAITING:
            places = {part.place for part in self._fresh.values()}
            if len(self._fresh) == self._positions and len(places) == 1:
                self._open.update(dict.fromkeys(self._fresh, True))
                exposed = any(part.exposed for part in self._fresh.values())
                self._fresh.clear()
                self.acquisition_id = self.acquisition_id % 0xFFFFFFFF + 1
                self._fire_trigger(TriggerEvent.PART)
                self._miss(MissEvent.GOOD)
                if exposed:
                    self._expose(ExposureEvent.EXPOSED)
            elif len(self._fresh) >= self._positions or now_ns - self._awaiting_since_ns > self._patience_ns:
                self._fire_trigger(TriggerEvent.AMISS)
                self._missed(now_ns)
                return self._give_up()
        elif any(now_ns - part.since_ns > self._patience_ns for part in self._fresh.values()):
            self._missed(now_ns)
            return self._give_up()
        return []

    def _give_up(self) -> list[int]:
        lost = list(self._fresh)
        self._fresh.clear()
        return lost

    def _was_seen(self, now_ns: int) -> bool:
        """Return whether the PLC must have seen the result that is shown: it does not acknowledge, but had its time."""
        buffered = self._before & Control.BUFFER_RESULTS_ENABLE
        return not buffered and self._shown_ns is not None and now_ns - self._shown_ns >= self._patience_ns

    def _go_on(self, now_ns: int) -> None:
        """Withdraw what was shown long enough, and load what waits, as far as the PLC lets it."""
        if len(self._queue) > 1 and self._was_seen(now_ns):
            self._fire_result(ResultEvent.NEXT)
        acknowledging = Control.BUFFER_RESULTS_ENABLE | Control.INSPECTION_RESULTS_ACK
        if self._queue and self._before & acknowledging != acknowledging and self._showing is Showing.EMPTY:
            self.result = self._queue[0]
            self._fire_result(ResultEvent.LOAD)

    def _clear_exposure(self, now: Control) -> None:
        held = now & Control.CLEAR_EXPOSURE_COMPLETE
        self._expose(ExposureEvent.CLEAR if held else ExposureEvent.RELEASE)

    def _take_errors(self, error: ErrorCode, *, cleared: bool) -> None:
        if cleared:
            self._fail(ErrorEvent.CLEAR)
            self._code, self.overrun = ErrorCode.NONE, False
            self.changes += 1
        if error and not self._code:
            self._code = error
            self._fail(ErrorEvent.FAULT)

    def _fire_trigger(self, event: TriggerEvent) -> None:
        if (new := TRIGGER.get((self._trigger, event))) is not None:
            self._trigger = new
            self.changes += 1
            self._changed_at["trigger"] = self.changes

    def _missed(self, now_ns: int) -> None:
        self._missed_ns = now_ns
        self._miss(MissEvent.MISS)

    def _miss(self, event: MissEvent) -> None:
        if (new := MISSED.get((self._missing, event))) is not None:
            self._missing = new
            self.changes += 1

    def _expose(self, event: ExposureEvent) -> None:
        if (new := EXPOSURE.get((self._exposing, event))) is not None:
            self._exposing = new
            self.changes += 1

    def _fire_result(self, event: ResultEvent) -> None:
        if (new := RESULT.get((self._showing, event))) is not None:
            if new is Showing.WITHDRAWN:
                self._queue.popleft()
                self._shown_ns = None
            self._showing = new
            self.changes += 1
            self._changed_at["result"] = self.changes

    def _fail(self, event: ErrorEvent) -> None:
        if (new := ERROR.get((self._failing, event))) is not None:
            self._failing = new
            self.changes += 1
