"""What happened, as frozen facts with a JSON form: the one stream from control to everybody else.

Every record carries ``line`` and a ``seq`` that control counts up without gaps; the journal holds all of them.
Times: ``t_utc_ns`` is UTC ns since 1970; fields named ``*_mono_ns`` are this machine's monotonic clock.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Base of all records; ``seq`` is 0 until the journal has numbered it."""

    kind: ClassVar[str] = ""
    line: str
    t_utc_ns: int
    seq: int = 0


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


_KINDS: dict[str, type[Record]] = {c.kind: c for c in (PartJudged, PartOutcome, ProcessValues, LineState, ParameterWritten)}


def to_json(record: Record) -> str:
    """Return the record as one line of JSON with its ``kind``."""
    return json.dumps({"kind": record.kind, **asdict(record)}, separators=(",", ":"), allow_nan=False)


def from_json(text: str | bytes) -> Record:
    """Return the record that :func:`to_json` wrote; ValueError when it is none. Unknown keys are ignored, for older readers."""
    raw: dict[str, Any] = json.loads(text)
    cls = _KINDS.get(raw.get("kind", ""))
    if cls is None:
        raise ValueError(f"unknown record kind {raw.get('kind')!r}")
    known = {f.name for f in fields(cls)}
    values = {k: v for k, v in raw.items() if k in known}
    for name in ("reasons", "frame_shape"):
        if name in values:
            values[name] = tuple(values[name])
    return cls(**values)
