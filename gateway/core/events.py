"""What happened, as frozen facts with a JSON form: the one stream from control to everybody else.

Every record carries ``line`` and a ``seq`` that control counts up without gaps; the journal holds all of them.
Times: ``t_utc_ns`` is UTC ns since 1970; fields named ``*_mono_ns`` are this machine's monotonic clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar


class TokenFate(StrEnum):
    """What is known of a verdict token's way to the PLC."""

    ACKED = "acked"
    """The PLC took it in time."""
    LATE = "late"
    """The PLC took it after the part's deadline."""
    UNKNOWN = "unknown"
    """It was sent, but no acknowledgement came: the PLC may have it."""
    VOID = "void"
    """It was never sent."""
    WITHHELD = "withheld"
    """It was not to be sent: ``gateway run --monitor-only`` gives no tokens, whatever it finds."""


class Alarm(StrEnum):
    """What a person must look at. The first ones stand as long as they are so; the others until the PLC's ClearError."""

    PLC_LINK = "PLC_LINK"
    """The PLC does not answer, or its heartbeat stands still: it is in STOP."""
    PLC_REFUSED = "PLC_REFUSED"
    """The PLC's block is not the one of the map, or it refuses access: the detail names the tag."""
    CAMERA = "CAMERA"
    """A camera is not there."""
    JOURNAL = "JOURNAL"
    """Records cannot be kept, so no part may pass."""
    SELF_CHECK = "SELF_CHECK"
    """A stage on the way from picture to token does not work: the heartbeat is withheld, and the PLC rejects."""
    CLOCK = "CLOCK"
    """The wall clock was set: records are marked until it has run evenly for a minute."""
    BYPASS = "BYPASS"
    """The PLC's key switch lets parts pass uninspected."""
    CONFIG_REJECTED = "CONFIG_REJECTED"
    """gateway.yaml is wrong, and the last good configuration runs in its stead: until a start with a right one."""
    RECIPE = "RECIPE"
    """No recipe is in force, so no part may pass: the detail says what was wrong with the last one."""
    OWNER_LOST = "OWNER_LOST"
    """The PLC was restarted or another gateway took over: the tokens in flight were void."""
    MISSED_TRIGGER = "MISSED_TRIGGER"
    """A gap in PartId: a trigger was overwritten before it was read."""
    REJECT_NOT_CONFIRMED = "REJECT_NOT_CONFIRMED"
    """A part was to be rejected, and the reject station could not confirm it."""
    NOT_APPLIED = "NOT_APPLIED"
    """The PLC accepted a parameter's value and did not apply it."""
    OVERLOAD = "OVERLOAD"
    """Parts came faster than they could be looked at: so many were refused, and rejected."""
    NOT_NOMINAL = "NOT_NOMINAL"
    """After a change of recipe a parameter could not be brought to the recipe's nominal value."""
    CONSECUTIVE_LATE = "CONSECUTIVE_LATE"
    """So many inspections in a row were late that a stop was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Base of all records; ``seq`` is 0 until the journal has numbered it."""

    kind: ClassVar[str] = ""
    line: str
    t_utc_ns: int
    seq: int = 0
    synchronised: bool = True
    """False while the wall clock had been set a short time ago: ``t_utc_ns`` cannot be compared with that of other records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartJudged(Record):
    """A part got its disposition, and its token's fate on the wire is known."""

    kind: ClassVar[str] = "part"
    part_id: int
    epoch: int
    disposition: str
    """PASS, FAIL or NOT_INSPECTED."""
    defect: str = ""
    reasons: tuple[str, ...] = ()
    token: str = TokenFate.VOID
    """What became of its token, see :class:`TokenFate`; never void for a PASS."""
    encoder: int | None = None
    label: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    stats: dict[str, float] | None = None
    """level, contrast, sharpness of the picture, see ImageStats."""
    model_id: str = ""
    camera: str = ""
    frame_counter: int = -1
    """The first view's camera and its frame counter; -1 when no frame was bound."""
    frame_slot: int = -1
    frame_generation: int = -1
    frame_shape: tuple[int, int, int] = (0, 0, 0)
    """Height, width and channels of that frame's picture, with which it can be read from the ring."""
    t_exposed_mono_ns: int = 0
    t_trigger_mono_ns: int = 0
    t_frame_mono_ns: int = 0
    """When the frame was available in the ring; 0 when none."""
    t_acked_mono_ns: int = 0
    """When the PLC acknowledged the token; 0 when it did not."""
    infer_ms: float = 0.0
    serial: str = ""
    """Serial number from the PLC's trace block, like the next three; empty means unknown."""
    lot: str = ""
    product: str = ""
    carrier: str = ""
    recipe: str = ""
    """Name of the recipe that it was triggered under; empty on a line without recipes, or while none was in force."""
    recipe_number: int = 0
    mode: str = ""
    """AUTOMATIC, MANUAL, MONITOR_ONLY or BYPASS, as the PLC said when it was judged; empty means unknown. In MONITOR_ONLY, and
    where ``token`` is withheld, another inspection decides about the part: its disposition is no more than an opinion."""

    @property
    def latency_ms(self) -> float | None:
        """Return max(trigger seen, frame available) → token acknowledged in ms, None if there was no frame or no ack."""
        if not self.t_frame_mono_ns or not self.t_acked_mono_ns:
            return None
        return (self.t_acked_mono_ns - max(self.t_trigger_mono_ns, self.t_frame_mono_ns)) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOutcome(Record):
    """The reject station's outcome for a part (:class:`gateway.core.handshake.Outcome` by name, or UNKNOWN when lost)."""

    kind: ClassVar[str] = "outcome"
    part_id: int
    outcome: str
    epoch: int = 0
    """OwnerEpoch that the part was admitted under: PartIds come again when the PLC starts anew."""
    disagrees_with: str = ""
    """The disposition that this outcome of the existing inspection contradicts, where that one decides; otherwise empty."""
    hold: bool = False
    """It passed uninspected by Bypass, or may have: the part is to be held back until it has been checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessValues(Record):
    """The mapped process tags, in engineering units, when they changed (at most ten times a second)."""

    kind: ClassVar[str] = "process"
    values: dict[str, float | int | bool]
    permit: bool = False
    """AdjustPermit of the PLC at that moment."""
    mode: str = "AUTOMATIC"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState(Record):
    """The line's state changed: one record a change, not one a cycle."""

    kind: ClassVar[str] = "line"
    link: str
    """up · down · readonly (another gateway owns the line) · refused (the map or byte order is wrong)."""
    ready: bool
    offline_reason: str
    error: str = ""
    detail: str = ""
    camera_up: bool = False
    model_id: str = ""
    recipe: str = ""
    """Name of the recipe in force."""
    monitor_only: bool = False
    """This gateway only watches: it owns nothing and writes nothing to the PLC (``gateway run --monitor-only``)."""
    disagreements: int = 0
    """How often, since control's start, the existing inspection decided otherwise than was judged here; brought up to date at
    most once a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterWritten(Record):
    """How control answered an AdjustParameter command, with what the PLC said."""

    kind: ClassVar[str] = "parameter"
    command_id: str
    tag: str
    requested: float
    old: float | None = None
    new: float | None = None
    """Read back from the PLC; None when it could not be read."""
    result: str = ""
    """confirmed, or why not: blocked:…, refused:…, unknown:…"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnded(Record):
    """A command was carried out, or could not be: SET_RECIPE, TEST_RUN, GO_ONLINE, GO_OFFLINE, CLEAR_ERROR, ACKNOWLEDGE."""

    kind: ClassVar[str] = "command"
    command: str
    """See :class:`gateway.core.plc_command.Command`; the bare number of one that is unknown. CLEAR_ERROR and ACKNOWLEDGE
    are an operator's: the PLC's ClearError is a bit, no command."""
    by: str
    """plc, mes or operator."""
    done: bool
    arg: int = 0
    """The recipe's number."""
    detail: str = ""
    """Why not; of a test run what the golden pictures said, of ACKNOWLEDGE which alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmChanged(Record):
    """An alarm came or went: one record a change, however often it happens in between."""

    kind: ClassVar[str] = "alarm"
    code: str
    """See :class:`Alarm`."""
    active: bool
    """Whether it came, or went."""
    detail: str = ""
    """What happened when it came; how it ended when it went."""
    count: int = 1
    """How often it has happened since it came."""
    all_active: tuple[str, ...] = ()
    """Every alarm that is active after this change: the last record says it all, whatever was lost before it."""


_KINDS: dict[str, type[Record]] = {
    c.kind: c for c in (PartJudged, PartOutcome, ProcessValues, LineState, ParameterWritten, CommandEnded, AlarmChanged)
}


_TUPLES = {"reasons", "frame_shape", "all_active"}
"""Fields that JSON turns into lists."""


def to_json(record: Record) -> str:
    """Return the record as one line of JSON with its ``kind``."""
    # Not asdict, which copies deeply and takes 20 times as long: after a lost link control records a hundred parts at once.
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return json.dumps({"kind": record.kind, **values}, separators=(",", ":"), allow_nan=False)


def from_json(text: str | bytes) -> Record:
    """Return the record that :func:`to_json` wrote. Unknown keys are ignored, for older readers.

    Raises ValueError when it is none, or one of a kind that this program does not know: a newer one may have written it.
    """
    raw: Any = json.loads(text)
    kind = raw.get("kind") if isinstance(raw, dict) else None
    cls = _KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValueError(f"unknown record kind {kind!r}")
    known = {f.name for f in fields(cls)}
    values = {k: v for k, v in raw.items() if k in known}
    try:
        for name in _TUPLES & values.keys():
            values[name] = tuple(values[name])
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"no whole record of kind {kind!r}: {error}") from error
