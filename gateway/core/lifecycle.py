"""The life of a part as a table, and the effects that its steps have: exactly one way to a disposition.

Apart from the tracker, so that the whole behaviour can be read, drawn and tested at one glance. Knows no frame's place, no
clock and no PLC.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gateway.core.frame import FrameStamp
from gateway.core.handshake import Outcome
from gateway.core.inspection import Inspection
from gateway.core.part import Part
from gateway.core.verdict import Verdict


class State(Enum):
    """Where a part stands."""

    WAITING = "waiting for its frames"
    INSPECTING = "being inspected"
    JUDGED = "has its one disposition"
    CLOSED = "left the line"


class Event(Enum):
    """What can happen to a part."""

    BOUND = "all frames are bound"
    INSPECTED = "the inspection came back"
    FAULT = "no evidence can come any more"
    OUTCOME = "the reject station reported"
    LEAVE = "no outcome will come"


class Action(Enum):
    """What a transition does."""

    INSPECT = "send the pictures to the engine"
    JUDGE = "give the verdict of the inspection"
    REJECT = "give NOT_INSPECTED"
    CLOSE = "record the outcome"
    REJECT_AND_CLOSE = "record NOT_INSPECTED without a token, then the outcome"
    DOUBT = "take its token back if it is not out yet"


#: The whole behaviour: (state, event) → (next state, action). What is not listed is a bug of the tracker.
TABLE: dict[tuple[State, Event], tuple[State, Action]] = {
    (State.WAITING, Event.BOUND): (State.INSPECTING, Action.INSPECT),
    (State.WAITING, Event.FAULT): (State.JUDGED, Action.REJECT),
    (State.WAITING, Event.OUTCOME): (State.CLOSED, Action.REJECT_AND_CLOSE),
    (State.WAITING, Event.LEAVE): (State.CLOSED, Action.REJECT_AND_CLOSE),
    (State.INSPECTING, Event.INSPECTED): (State.JUDGED, Action.JUDGE),
    (State.INSPECTING, Event.FAULT): (State.JUDGED, Action.REJECT),
    (State.INSPECTING, Event.OUTCOME): (State.CLOSED, Action.REJECT_AND_CLOSE),
    (State.INSPECTING, Event.LEAVE): (State.CLOSED, Action.REJECT_AND_CLOSE),
    (State.JUDGED, Event.OUTCOME): (State.CLOSED, Action.CLOSE),
    (State.JUDGED, Event.LEAVE): (State.CLOSED, Action.CLOSE),
    (State.JUDGED, Event.FAULT): (State.JUDGED, Action.DOUBT),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """Effect: infer these frames (one a view, in the order of the part's views) for this part."""

    part: Part
    """The very object that the answer must be given back with: ids come again, admissions do not."""
    stamps: tuple[FrameStamp, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Effect: this inspection is the part's evidence; the caller judges it and issues the token."""

    part: Part
    stamps: tuple[FrameStamp, ...]
    inspection: Inspection


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Effect: NOT_INSPECTED for this part; ``send`` is False when no token may be sent any more (record only)."""

    part: Part
    stamps: tuple[FrameStamp, ...]
    verdict: Verdict
    send: bool
    late: bool = False
    """The engine's answer did not come in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Effect: what came after the verdict throws doubt on it, a second trigger or frame in its window; once out it stands."""

    part_id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Effect: the part left the line with this outcome, None when it was lost."""

    part_id: int
    outcome: Outcome | None


Effect = Inspect | Judge | Reject | Doubt | Closed
