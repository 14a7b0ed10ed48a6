"""Every part's way from trigger to outcome, as a table: exactly one disposition for each, whatever comes in what order.

Sans-I/O: facts go in with the time they were seen, effects come out. Parts are keyed by PartId, never by count or timing.
A frame is bound to a part only if exactly one group of parts and one frame lie within ± window of each other; anything else
in the window ends as NOT_INSPECTED. Nothing here knows pixels, sockets or clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from gateway.core.binding import Arrival, Arrivals, By, exposure_distance, frame_distance
from gateway.core.errors import PartIdJump
from gateway.core.frame import FrameStamp
from gateway.core.handshake import SLOTS, Outcome
from gateway.core.inspection import Inspection
from gateway.core.lifecycle import TABLE, Action, Closed, Doubt, Effect, Event, Inspect, Judge, Reject, State
from gateway.core.part import Part, Trigger, View, encoder_delta, next_part_id, part_id_distance
from gateway.core.verdict import not_inspected

MAX_GAP = 1024
"""A jump of the PartId beyond this is no gap but another counter: the PLC was restarted."""
MAX_OPEN = 4096
MAX_BEHIND = 2 * SLOTS
"""After so many parts in a row that lie behind the last place, the encoder has been set anew, or counts the other way."""


@dataclass(slots=True)
class _Entry:
    part: Part
    known_place: bool
    state: State = State.WAITING
    stamps: dict[str, FrameStamp] = field(default_factory=dict)
    """By camera."""
    bound_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """``window`` in encoder counts, or ns when binding by time; less than half the least part spacing."""

    cameras: tuple[tuple[str, int], ...]
    """(camera, offset from photo-eye to exposure, in the window's unit), all of them required."""
    positions: int = 1
    """Parts in one picture (consecutive PartIds triggered at one encoder value)."""
    by: By = "encoder"
    window: int
    deadline_ns: int
    """From trigger seen and all frames available to the token's acknowledgement."""
    frame_wait_ns: int
    """How long after the trigger a frame may come."""
    outcome_wait_ns: int = 120_000_000_000
    trigger_lag_ns: int = 0
    """How much later than the photo-eye's edge the PLC may show a trigger (its scan); counts when binding by time."""


class Tracker:
    """The line's parts in flight. All times are monotonic ns given by the caller."""

    def __init__(self, config: TrackerConfig) -> None:
        """Start without a baseline: nothing is admitted before :meth:`baseline`."""
        self._config = config
        self._parts: dict[int, _Entry] = {}
        """In the order of their triggers."""
        self._undecided: dict[int, _Entry] = {}
        """Those of them that wait for frames or for their inspection."""
        self._arrivals = Arrivals((camera for camera, _ in config.cameras), config.frame_wait_ns + config.deadline_ns)
        self._head: int | None = None
        self._last_place: int | None = None
        """Encoder of the newest part that came in its order."""
        self._forward = 1
        """1 or -1: the way that the encoder counts."""
        self._behind: list[int] = []
        """Encoders of the parts in a row that lie behind the last place."""
        self.admitted = 0
        self.missed_triggers = 0

    @property
    def open_parts(self) -> int:
        """Return how many parts wait for frames or for their inspection."""
        return len(self._undecided)

    def open_before(self, t_mono_ns: int) -> int:
        """Return how many parts triggered up to then wait for frames or for their inspection."""
        return sum(1 for e in self._undecided.values() if e.part.trigger.t_mono_ns <= t_mono_ns)

    def baseline(self, head: int, now_ns: int, *, encoder: int | None = None) -> list[Effect]:
        """Take ``head`` as seen after a (re)connect: parts up to it get no token; those missed are recorded.

        ``encoder`` is where ``head`` passed the photo-eye, if that is known. Raises PartIdJump when ``head`` does not follow
        what was known before: the caller treats the PLC as restarted.
        """
        effects: list[Effect] = []
        if self._head is None:
            # What was exposed before the baseline shows parts that get no token, or was counted by another encoder.
            self._arrivals.clear()
        else:
            _check_follows(self._head, head)
            while self._head != head:
                self._head = next_part_id(self._head)
                entry = self._admit(self._head, None, now_ns, effects, known_place=False)
                self._fire(entry, Event.LEAVE, effects, "passed the photo-eye while the link was down")
        self._head = head
        if encoder is not None:
            self._moves_on(encoder)
        return effects

    def poll(self, head: int, ring: Sequence[tuple[int, int]], now_ns: int, *, since_ns: int | None = None) -> list[Effect]:
        """Take the trigger head and the 8 ring entries (PartId, Encoder) as read from the PLC; admit what is new.

        ``since_ns`` is when the read before this one was asked: what is new here happened later. Without it nothing can be
        bound by time. Raises PartIdJump when the head moved by more than a gap: the caller treats the PLC as restarted.
        """
        if self._head is None:
            raise RuntimeError("poll before baseline")
        self._arrivals.forget_old(now_ns)
        _check_follows(self._head, head)
        effects: list[Effect] = []
        arrived: list[_Entry] = []
        timed = since_ns is not None and now_ns - since_ns + self._config.trigger_lag_ns <= self._config.window
        while self._head != head:
            self._head = next_part_id(self._head)
            ring_id, encoder = ring[self._head % SLOTS]
            known = ring_id == self._head
            in_order = known and (self._config.by == "time" or self._moves_on(encoder))
            placed = in_order and (self._config.by == "encoder" or timed)
            entry = self._admit(self._head, encoder if in_order else None, now_ns, effects, known_place=placed)
            if not known:
                self.missed_triggers += 1
                self._fire(entry, Event.FAULT, effects, "its trigger was overwritten before it was read")
            elif not in_order:
                self._fire(entry, Event.FAULT, effects, "its encoder lies behind that of the part before it")
            elif not placed:
                self._fire(entry, Event.FAULT, effects, "the link was too slow to tell when it passed the photo-eye")
            else:
                self._check_spacing(entry, effects)
                arrived.append(entry)
        # Only now: whether a frame is certain depends on every part that this read has shown.
        for entry in arrived:
            self._bind_waiting_frames(entry, now_ns, effects)
        return effects

    def _moves_on(self, encoder: int) -> bool:
        """Return whether the belt can have moved from the last part's place to this one's, but for the window.

        A read that meets the PLC's writing may show a slot's new PartId with the encoder of the part 8 before it. Such places
        rise from part to part, as those of an encoder that was set anew; where each lies behind the one before, it counts down.
        """
        if self._last_place is not None and self._forward * encoder_delta(encoder, self._last_place) < -self._config.window:
            if len(self._behind) < MAX_BEHIND:
                self._behind.append(encoder)
                return False
            if all(self._forward * encoder_delta(b, a) < 0 for a, b in pairwise((*self._behind, encoder))):
                self._forward = -self._forward
        self._last_place = encoder
        self._behind.clear()
        return True

    def frame(self, stamp: FrameStamp, now_ns: int) -> list[Effect]:
        """Take a frame that became available; bind it if that is unambiguous. KeyError for a camera the line does not have."""
        effects: list[Effect] = []
        self._arrivals.forget_old(now_ns)
        self._place(self._arrivals.add(stamp), now_ns, effects)
        return effects

    def inspected(self, part: Part, inspection: Inspection, now_ns: int) -> list[Effect]:
        """Take the engine's answer for ``part`` as :class:`Inspect` gave it; after the part's disposition it changes nothing.

        A PLC that was restarted gives the same ids again: the answer for an earlier admission is no evidence for a later one.
        """
        entry = self._parts.get(part.part_id)
        effects: list[Effect] = []
        if entry is None or entry.part is not part or entry.state is not State.INSPECTING or inspection.part_id != part.part_id:
            return effects
        if now_ns > part.due_mono_ns:
            self._fire(entry, Event.FAULT, effects, "the inspection ended after the deadline", late=True)
        else:
            self._fire(entry, Event.INSPECTED, effects, inspection=inspection)
        return effects

    def outcomes(self, ring: Iterable[tuple[int, int]]) -> list[Effect]:
        """Take the outcome ring (PartId, Outcome); close the parts it names."""
        effects: list[Effect] = []
        for part_id, code in ring:
            entry = self._parts.get(part_id)
            if entry is not None and code in _OUTCOMES:
                self._fire(entry, Event.OUTCOME, effects, "reached the reject station without a verdict", outcome=Outcome(code))
        return effects

    def tick(self, now_ns: int) -> list[Effect]:
        """Let time pass: parts beyond their deadline become NOT_INSPECTED, judged ones without an outcome are closed."""
        effects: list[Effect] = []
        for entry in [e for e in self._undecided.values() if now_ns > e.part.due_mono_ns]:
            late = entry.state is State.INSPECTING
            reason = "the inspection is not back at the deadline" if late else "no frame came"
            self._fire(entry, Event.FAULT, effects, reason, late=late)
        while (oldest := next(iter(self._parts.values()), None)) is not None and self._is_over(oldest, now_ns):
            self._fire(oldest, Event.LEAVE, effects)
        return effects

    def _is_over(self, entry: _Entry, now_ns: int) -> bool:
        return entry.state is State.JUDGED and now_ns - entry.part.trigger.t_mono_ns > self._config.outcome_wait_ns

    def fault(self, part_id: int, reason: str) -> list[Effect]:
        """Say that no evidence can come for this part any more."""
        entry = self._parts.get(part_id)
        effects: list[Effect] = []
        if entry is not None:
            self._fire(entry, Event.FAULT, effects, reason)
        return effects

    def void(self, reason: str) -> list[Effect]:
        """Drop all parts in flight: another owner, a restarted PLC or the end of the process. No token is sent."""
        effects: list[Effect] = []
        for entry in list(self._parts.values()):
            self._fire(entry, Event.LEAVE, effects, reason)
        self._head = self._last_place = None
        return effects

    # -- the table at work ------------------------------------------------------------------------------------------

    def _fire(
        self,
        entry: _Entry,
        event: Event,
        effects: list[Effect],
        reason: str = "",
        *,
        inspection: Inspection | None = None,
        outcome: Outcome | None = None,
        late: bool = False,
    ) -> None:
        entry.state, action = TABLE[entry.state, event]
        part = entry.part
        stamps = tuple(entry.stamps[v.camera] for v in part.views if v.camera in entry.stamps)
        if action is Action.INSPECT:
            effects.append(Inspect(part=part, stamps=stamps))
        elif action is Action.JUDGE and inspection is not None:
            effects.append(Judge(part=part, stamps=stamps, inspection=inspection))
        elif action is Action.REJECT:
            verdict = not_inspected(part.part_id, reason)
            effects.append(Reject(part=part, stamps=stamps, verdict=verdict, send=True, late=late))
        elif action is Action.REJECT_AND_CLOSE:
            effects.append(Reject(part=part, stamps=stamps, verdict=not_inspected(part.part_id, reason), send=False))
        elif action is Action.DOUBT:
            effects.append(Doubt(part_id=part.part_id, reason=reason))
        if entry.state not in (State.WAITING, State.INSPECTING):
            self._undecided.pop(part.part_id, None)
        if entry.state is State.CLOSED:
            del self._parts[part.part_id]
            effects.append(Closed(part_id=part.part_id, outcome=outcome))

    def _admit(self, part_id: int, encoder: int | None, now_ns: int, effects: list[Effect], *, known_place: bool) -> _Entry:
        self.admitted += 1
        if len(self._parts) >= MAX_OPEN:
            self._fire(next(iter(self._parts.values())), Event.LEAVE, effects, "too many parts in flight")
        position = self._position(encoder, now_ns)
        views = tuple(View(camera=c, offset=o, position=position) for c, o in self._config.cameras)
        due = now_ns + self._config.frame_wait_ns + self._config.deadline_ns
        trigger = Trigger(part_id=part_id, encoder=encoder, t_mono_ns=now_ns)
        entry = _Entry(part=Part(part_id=part_id, trigger=trigger, views=views, due_mono_ns=due), known_place=known_place)
        self._parts[part_id] = self._undecided[part_id] = entry
        return entry

    def _position(self, encoder: int | None, now_ns: int) -> int:
        """Return how many parts were triggered at this place before; by time, a PLC may have no encoder to tell them by."""
        same = [e.part.trigger for e in self._parts.values() if e.known_place and e.part.trigger.encoder == encoder]
        if self._config.by == "time":
            same = [t for t in same if now_ns - t.t_mono_ns <= self._config.window]
        return len(same)

    # -- binding ------------------------------------------------------------------------------------------------------

    def _near(self, stamp: FrameStamp) -> list[_Entry]:
        """Return every part (judged ones too) within the window of the frame."""
        return [
            e
            for e in self._parts.values()
            if e.known_place
            for v in e.part.views
            if v.camera == stamp.camera and self._in_window(e, v, stamp)
        ]

    def _in_window(self, entry: _Entry, view: View, stamp: FrameStamp) -> bool:
        return exposure_distance(self._config.by, entry.part.trigger, view, stamp) <= self._config.window

    def _same_group(self, entries: list[_Entry]) -> bool:
        # By position, not by number: once three stood at one place it is not certain which two a picture shows.
        places = {e.part.trigger.encoder for e in entries}
        return len(places) == 1 and [e.part.views[0].position for e in entries] == list(range(self._config.positions))

    def _check_spacing(self, entry: _Entry, effects: list[Effect]) -> None:
        """Two photo-eye edges closer than the window: a bounce or two parts at once; neither can be told apart."""
        if self._config.by == "time":
            return
        mine = entry.part.trigger.encoder
        close = [e for e in self._parts.values() if e is not entry and self._too_near(mine, e.part.trigger.encoder)]
        if self._config.positions > 1:
            close = [e for e in close if e.part.trigger.encoder != mine]
        if close:
            for e in (*close, entry):
                self._fire(e, Event.FAULT, effects, "two triggers within the binding window")

    def _too_near(self, a: int | None, b: int | None) -> bool:
        return a is not None and b is not None and abs(encoder_delta(a, b)) <= self._config.window

    def _place(self, arrival: Arrival, now_ns: int, effects: list[Effect]) -> None:
        stamp, near = arrival.stamp, self._near(arrival.stamp)
        if len(near) < self._config.positions:
            return
        arrival.used = True
        others = (a.stamp for a in self._arrivals.of(stamp.camera) if a is not arrival)
        rival = any(frame_distance(self._config.by, stamp, other) <= self._config.window for other in others)
        if rival or any(stamp.camera in e.stamps for e in near) or not self._same_group(near):
            self._doubt(near, effects)
            return
        for e in near:
            self._bind(e, stamp, now_ns, effects)

    def _bind_waiting_frames(self, entry: _Entry, now_ns: int, effects: list[Effect]) -> None:
        if entry.stamps:
            return  # bound a moment ago with another part of the picture
        for view in entry.part.views:
            near = [a for a in self._arrivals.of(view.camera) if self._in_window(entry, view, a.stamp)]
            if len(near) > 1 or any(a.used for a in near):
                group = {id(e): e for a in near for e in self._near(a.stamp)}
                self._doubt(group.values(), effects)
                for a in near:
                    a.used = True
            elif near:
                self._place(near[0], now_ns, effects)

    def _doubt(self, entries: Iterable[_Entry], effects: list[Effect]) -> None:
        for e in entries:
            self._fire(e, Event.FAULT, effects, "more than one part or frame within the binding window")

    def _bind(self, entry: _Entry, stamp: FrameStamp, now_ns: int, effects: list[Effect]) -> None:
        if entry.state is not State.WAITING:
            return
        part = entry.part
        entry.stamps[stamp.camera] = stamp
        # A frame is not available before it is announced; a time beyond that would stretch the deadline.
        entry.bound_ns = max(entry.bound_ns, min(stamp.t_available_ns, now_ns))
        if len(entry.stamps) == len(part.views):
            due = max(part.trigger.t_mono_ns, entry.bound_ns) + self._config.deadline_ns
            entry.part = replace(part, due_mono_ns=due)
            self._fire(entry, Event.BOUND, effects)


def _check_follows(before: int, head: int) -> None:
    if head != before and (head == 0 or part_id_distance(before, head) > MAX_GAP):
        raise PartIdJump(before, head)


_OUTCOMES = frozenset(o.value for o in Outcome if o is not Outcome.NONE)
