"""The gateway's side of the classic exchange (``handshake: ack``), as tables: trigger, exposure, results, errors.

Apart from the machine that walks through them (:class:`gateway.core.ack_exchange.AckExchange`) so that the whole exchange can
be read, drawn and tested at one glance. It opens no gate: a part passes by its token alone. Knows no link, no clock, no part.

**Trigger and PartId.** Parts are admitted from the trigger ring, as ever; Trigger says which of them the PLC waits for. A
Trigger stands for the one part (or group, for a multi-up picture) that is new in the ring when it rises, or within a scan
of that. Where the two disagree nothing passes: a part without a Trigger of its own is lost and becomes
NOT_INSPECTED, as do all parts in question when more than one could be meant; a Trigger without a new part is
not acknowledged. Each of these, and a Trigger while TriggerReady is off, is a missed trigger: AcquisitionError.

**Edges** exist only between two reads. The first read after a (re)connect is a baseline: a Trigger found there that was not
taken before is a missed one; InspectionResultsAck found there beside a valid result takes it, for a result is only loaded
while the PLC was read not to acknowledge.

**Payload first, validity last**: TriggerAck and ResultsValid follow only when what they stand for has been written, and the
payload changes only after a write that has taken ResultsValid away. One write would not do: Status1 lies before the payload in
the block, so a PLC that reads while the write is being stored could see ResultsValid beside the result before.

**To draw it**: ``TABLES`` holds one table for each signal group, each ``(state, event) → next state``, all of them enums whose
values are words; the first state of each enum is where it starts. ``SHOWN`` holds the bits of Status1 that a state shows,
where it shows any. An event that is not in the table of a state changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from gateway.core.handshake import Status1


class Triggering(Enum):
    """How far the PLC's Trigger has come."""

    DISARMED = "TriggerEnable is off, or the line is not ready"
    ARMED = "waits for Trigger"
    AWAITING = "Trigger is up, its part is not known yet"
    TAKEN = "AcquisitionId is assigned, and being written"
    ACKED = "acknowledged, until Trigger drops"
    REFUSED = "not taken, until Trigger drops"


class TriggerEvent(Enum):
    """What can happen to it."""

    ARM = "TriggerEnable is on and the line is ready"
    DISARM = "TriggerEnable is off, or the line is not ready"
    RISE = "Trigger was raised"
    PART = "its part is known"
    AMISS = "no part is there for it, or more than one"
    WRITTEN = "AcquisitionId has been written"
    FALL = "Trigger has dropped"


class Missing(Enum):
    """Whether a trigger was missed."""

    NONE = "no trigger missed"
    MISSED = "a trigger was missed"


class MissEvent(Enum):
    """What makes and ends it."""

    MISS = "a trigger was missed"
    GOOD = "a trigger was taken"
    DISABLE = "TriggerEnable was taken away, or is off and the PLC had its time to see it"


class Exposing(Enum):
    """Whether the PLC is told of an exposure."""

    IDLE = "no exposure to tell of"
    COMPLETE = "exposed, until ClearExposureComplete"
    CLEARING = "cleared, until ClearExposureComplete drops"
    OWED = "exposed again while ClearExposureComplete is held"


class ExposureEvent(Enum):
    """What can happen to it."""

    EXPOSED = "all frames of a part are there"
    CLEAR = "ClearExposureComplete is up"
    RELEASE = "ClearExposureComplete is down"


class Showing(Enum):
    """How far the result at the head of the queue has come."""

    EMPTY = "no result, or none that counts any more"
    LOADED = "its payload is being written"
    VALID = "the PLC may take it"
    WITHDRAWN = "done with, and ResultsValid being taken away"


class ResultEvent(Enum):
    """What can happen to it."""

    LOAD = "a result waits, and the PLC acknowledges none"
    WRITTEN = "what it shows has been written"
    ACK = "InspectionResultsAck was raised (buffered)"
    NEXT = "another result waits, and this one was shown long enough (not buffered)"


class Failing(Enum):
    """Whether an error is shown."""

    NONE = "no error"
    LATCHED = "an error, until ClearError"


class ErrorEvent(Enum):
    """What can happen to it."""

    FAULT = "the line has an error"
    CLEAR = "ClearError was raised"


T, M, E, R, F = Triggering, Missing, Exposing, Showing, Failing

TRIGGER: dict[tuple[Triggering, TriggerEvent], Triggering] = {
    (T.DISARMED, TriggerEvent.ARM): T.ARMED,
    (T.DISARMED, TriggerEvent.RISE): T.REFUSED,
    (T.ARMED, TriggerEvent.DISARM): T.DISARMED,
    (T.ARMED, TriggerEvent.RISE): T.AWAITING,
    (T.AWAITING, TriggerEvent.PART): T.TAKEN,
    (T.AWAITING, TriggerEvent.AMISS): T.REFUSED,
    (T.AWAITING, TriggerEvent.FALL): T.DISARMED,
    (T.TAKEN, TriggerEvent.WRITTEN): T.ACKED,
    (T.TAKEN, TriggerEvent.FALL): T.DISARMED,
    (T.ACKED, TriggerEvent.FALL): T.DISARMED,
    (T.REFUSED, TriggerEvent.FALL): T.DISARMED,
}
MISSED: dict[tuple[Missing, MissEvent], Missing] = {
    (M.NONE, MissEvent.MISS): M.MISSED,
    (M.MISSED, MissEvent.GOOD): M.NONE,
    (M.MISSED, MissEvent.DISABLE): M.NONE,
}
EXPOSURE: dict[tuple[Exposing, ExposureEvent], Exposing] = {
    (E.IDLE, ExposureEvent.EXPOSED): E.COMPLETE,
    (E.IDLE, ExposureEvent.CLEAR): E.CLEARING,
    (E.COMPLETE, ExposureEvent.CLEAR): E.CLEARING,
    (E.CLEARING, ExposureEvent.EXPOSED): E.OWED,
    (E.CLEARING, ExposureEvent.RELEASE): E.IDLE,
    (E.OWED, ExposureEvent.RELEASE): E.COMPLETE,
}
RESULT: dict[tuple[Showing, ResultEvent], Showing] = {
    (R.EMPTY, ResultEvent.LOAD): R.LOADED,
    (R.LOADED, ResultEvent.WRITTEN): R.VALID,
    (R.VALID, ResultEvent.ACK): R.WITHDRAWN,
    (R.VALID, ResultEvent.NEXT): R.WITHDRAWN,
    (R.WITHDRAWN, ResultEvent.WRITTEN): R.EMPTY,
}
ERROR: dict[tuple[Failing, ErrorEvent], Failing] = {
    (F.NONE, ErrorEvent.FAULT): F.LATCHED,
    (F.LATCHED, ErrorEvent.CLEAR): F.NONE,
}
TABLES: Mapping[str, Mapping[tuple[Any, Any], Enum]] = {
    "trigger": TRIGGER,
    "missed trigger": MISSED,
    "exposure": EXPOSURE,
    "results": RESULT,
    "error": ERROR,
}
SHOWN: Mapping[Enum, Status1] = {
    T.ARMED: Status1.TRIGGER_READY,
    T.ACKED: Status1.TRIGGER_ACK,
    M.MISSED: Status1.ACQUISITION_ERROR,
    E.COMPLETE: Status1.EXPOSURE_COMPLETE,
    R.VALID: Status1.RESULTS_VALID,
    F.LATCHED: Status1.ERROR,
}
