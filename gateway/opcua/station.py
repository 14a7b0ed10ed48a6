"""One station: records in, tag values out, in the order in which they are to be written. Pure: no server, no clock.

The tags of one result carry one source time, the capture time, and ``CommitSeq`` comes last. Quality is true: what is not
known yet, or no longer fed, says so. It must not know the server.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gateway.core.events import LineState, PartJudged, PartOutcome, ProcessValues, Record
from gateway.core.handshake import ErrorCode, Mode, Outcome
from gateway.core.tags import Quality
from gateway.opcua.counters import Counters as Counters
from gateway.opcua.flat import TAGS, Param
from gateway.opcua.quality import Why

FPS_WINDOW_NS = 10 * 10**9
BUSY_NS = 10**9
REMEMBERED_PARTS = 1024
MAX_FLOAT = 3.4e38
"""The tags are 32 bit; a PLC's 64-bit value may be larger."""
OTHER_ERROR = 99

Value = bool | int | float | str | datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One tag's new value; ``value`` is ignored when the quality is BAD."""

    tag: str
    value: Value = None
    quality: Quality = Quality.GOOD
    why: Why = ""
    t_utc_ns: int


def capture_time_ns(record: PartJudged) -> int:
    """Return when the picture was taken (UTC ns): the record's time less the monotonic time since the exposure.

    The record is made right after the last monotonic time in it. Without a frame it is the record's own time.
    """
    if not record.t_exposed_mono_ns:
        return record.t_utc_ns
    last = max(record.t_acked_mono_ns, record.t_frame_mono_ns, record.t_trigger_mono_ns)
    return record.t_utc_ns - max(0, last - record.t_exposed_mono_ns)


class Station:
    """What a line's tags are to show."""

    def __init__(self, params: tuple[Param, ...] = (), counters: Counters | None = None) -> None:
        """Take the line's parameters and the counts so far."""
        self.counters = counters or Counters()
        self._params = {p.name: f"Params.{p.node_name}" for p in params}
        self._result: list[Update] = []
        self._result_blind: Why = ""
        self._plc: dict[str, Update] = {}
        self._line: LineState | None = None
        self._alive = True
        self._judged: OrderedDict[int, int] = OrderedDict()
        self._shown: dict[str, float | None] = {}
        self._times: deque[int] = deque(maxlen=10_000)
        self._beat = 0

    def initial(self, now_ns: int) -> list[Update]:
        """Return the value of every tag before anything is known."""
        names = [t.name for t in TAGS] + list(self._params.values())
        unsupported = {"Plc.TimeSync", "Health.Drift", "Health.Audit"}
        self._shown.clear()
        known = [Update(tag="Status.Heartbeat", value=0, t_utc_ns=now_ns), *self._status(now_ns), *self._counts(now_ns)]
        told = {u.tag for u in known}
        return [_bad(n, "unsupported" if n in unsupported else "never", now_ns) for n in names if n not in told] + known

    def apply(self, record: Record) -> list[Update]:
        """Return what ``record`` changes. Counting is separate: see :meth:`Counters.count`."""
        match record:
            case PartJudged():
                return self._part(record)
            case PartOutcome():
                return self._outcome(record)
            case ProcessValues():
                return self._process(record)
            case LineState():
                self._line = record
                return [*self._status(record.t_utc_ns), *self._requalified(record.t_utc_ns)]
            case _:
                return []

    def alive(self, alive: bool, now_ns: int) -> list[Update]:
        """Take note whether the line's control process answers; return what that changes."""
        if alive == self._alive:
            return []
        self._alive = alive
        return [*self._status(now_ns), *self._requalified(now_ns)]

    def tick(self, now_ns: int) -> list[Update]:
        """Return what passes with time: the heartbeat (call twice a second), Busy and Fps."""
        self._beat = (self._beat + 1) & 0xFFFFFFFF
        while self._times and self._times[0] < now_ns - FPS_WINDOW_NS:
            self._times.popleft()
        busy = bool(self._times) and self._times[-1] > now_ns - BUSY_NS
        return [
            Update(tag="Status.Heartbeat", value=self._beat, t_utc_ns=now_ns),
            Update(tag="Status.Busy", value=busy, t_utc_ns=now_ns),
            Update(tag="Status.Fps", value=len(self._times) * 1e9 / FPS_WINDOW_NS, t_utc_ns=now_ns),
        ]

    def health(self, imaging: int | None, now_ns: int, *, certain: bool = True) -> list[Update]:
        """Return the imaging health (index in :data:`gateway.opcua.flat.HEALTH`); None while it is not known.

        ``certain`` is False for a value that stands for want of evidence, not for evidence.
        """
        if imaging is None:
            return [_bad("Health.Imaging", "never", now_ns)]
        quality = Quality.GOOD if certain else Quality.UNCERTAIN
        return [Update(tag="Health.Imaging", value=imaging, quality=quality, t_utc_ns=now_ns)]

    # --- one kind of record each -------------------------------------------------------------------------------------------

    def _part(self, r: PartJudged) -> list[Update]:
        self._judged[r.part_id] = r.t_utc_ns
        while len(self._judged) > REMEMBERED_PARTS:
            self._judged.popitem(last=False)
        self._times.append(r.t_utc_ns)
        t = capture_time_ns(r)
        inspected = r.disposition in ("PASS", "FAIL")
        labels = list(r.scores)
        defect = r.defect if r.disposition == "FAIL" else ""
        blind = self._result_blind = self._blind()

        def good(tag: str, value: Value) -> Update:
            return Update(tag=f"Result.{tag}", value=value, t_utc_ns=t)

        def maybe(tag: str, value: Value, why: Why = "absent") -> Update:
            return good(tag, value) if value is not None else _bad(f"Result.{tag}", why, t)

        def seen(tag: str, value: Value) -> Update:
            # Of a part that was not inspected the picture has told nothing: not even that there is no defect.
            return maybe(tag, value) if inspected else _bad(f"Result.{tag}", blind or "fault", t)

        self._result = [
            good("Seq", r.seq & 0xFFFFFFFF),
            good("PartId", r.part_id),
            good("Evaluation", {"PASS": 1, "FAIL": 2}.get(r.disposition, 3)),
            good("Ok", r.disposition == "PASS"),
            good("NotOk", r.disposition == "FAIL"),
            seen("DefectCode", 0 if not defect else labels.index(defect) + 1 if defect in labels else None),
            seen("DefectName", defect),
            seen("DefectCount", int(bool(defect))),
            seen("Score", r.scores.get(r.label)),
            maybe("LatencyMs", r.latency_ms),
            maybe("CaptureTime", datetime.fromtimestamp(t // 1000 / 1e6, UTC) if r.t_exposed_mono_ns else None),
            good("ResultId", f"{r.line}-{r.epoch:08X}-{r.part_id}"),
            good("CommitSeq", r.seq & 0xFFFFFFFF),
        ]
        return [*self._result[:-1], *self._counts(r.t_utc_ns), self._result[-1]]

    def _outcome(self, r: PartOutcome) -> list[Update]:
        judged = self._judged.pop(r.part_id, None)
        code = Outcome[r.outcome].value if r.outcome in Outcome.__members__ else len(Outcome)
        t = r.t_utc_ns
        latency = _bad("Plc.RejectLatencyMs", "absent", t)
        if judged is not None:
            latency = Update(tag="Plc.RejectLatencyMs", value=(t - judged) / 1e6, t_utc_ns=t)
        return [
            *self._fed(
                Update(tag="Plc.LastPartId", value=r.part_id, t_utc_ns=t),
                Update(tag="Plc.RejectOutcome", value=code, t_utc_ns=t),
                latency,
            ),
            *self._counts(t),
        ]

    def _process(self, r: ProcessValues) -> list[Update]:
        t = r.t_utc_ns
        mode = Mode[r.mode].value if r.mode in Mode.__members__ else None
        updates = []
        for name, value in r.values.items():
            if (tag := self._params.get(name)) is not None:
                fits = abs(value) <= MAX_FLOAT
                updates.append(Update(tag=tag, value=float(value), t_utc_ns=t) if fits else _bad(tag, "range", t))
        if mode is not None:
            updates.append(Update(tag="Plc.Mode", value=mode, t_utc_ns=t))
        return self._fed(*updates)

    def _fed(self, *updates: Update) -> list[Update]:
        """Remember values that come from the PLC: when the link goes they are no longer known."""
        self._plc.update({u.tag: u for u in updates})
        return list(updates)

    # --- the state of the line ---------------------------------------------------------------------------------------------

    def _status(self, t: int) -> list[Update]:
        s = self._line
        if s is None and self._alive:
            return [_bad(tag, "never", t) for tag in _STATUS]
        up = self._alive and s is not None and s.link == "up"
        ready = up and s is not None and s.ready
        code, text = self._error()
        if not self._alive:
            state = 4
        elif s is not None and s.offline_reason == "STARTING":
            state = 0
        else:
            state = 1 if ready else 3 if code else 2
        values: tuple[Value, ...] = (up, ready, code != 0, state, code, text, up)
        out = [Update(tag=tag, value=v, t_utc_ns=t) for tag, v in zip(_STATUS, values, strict=False)]
        model = s.model_id if s is not None else ""
        if not model:
            return out + [_bad(tag, "never" if s is None else "model", t) for tag in _MODEL]
        name, _, version = model.rpartition("/") if "/" in model else (model, "", "")
        recipe = [Update(tag=tag, value=v, t_utc_ns=t) for tag, v in zip(_MODEL, (name, version), strict=True)]
        return out + (recipe if self._alive else [_held(u) for u in recipe])

    def _error(self) -> tuple[int, str]:
        """Return what is wrong: a code, 0 for nothing, and a text."""
        s = self._line
        if not self._alive:
            return OTHER_ERROR, "the line's control process does not answer; the PLC rejects every part"
        if s is None:
            return 0, ""
        if s.error:
            code = ErrorCode[s.error].value if s.error in ErrorCode.__members__ else OTHER_ERROR
        else:
            code = {"readonly": ErrorCode.NOT_OWNER.value, "refused": OTHER_ERROR}.get(s.link, 0)
        return code, s.detail or s.error

    def _blind(self) -> Why:
        """Return why nothing is seen now: no control process or camera, or no model; '' when something is."""
        s = self._line
        if not self._alive or (s is not None and not s.camera_up):
            return "link"
        return "model" if s is not None and not s.model_id else ""

    def _requalified(self, t: int) -> list[Update]:
        """Return the last result and the PLC's values with the quality that they have now."""
        s, blind = self._line, self._blind()
        out = self._result
        # A part that went by unseen is a fact, and stays one while still nothing is seen.
        if blind and blind != self._result_blind:
            out = [_bad(u.tag, blind, u.t_utc_ns) for u in out]
        elif s is not None and not (s.ready and s.link == "up"):
            out = [_held(u) for u in out]
        linked = self._alive and s is not None and s.link in ("up", "readonly")
        if linked:
            return [*out, *self._plc.values()]
        # Known again when the link brings them again, not when the link is back.
        self._plc = {tag: _held(u) for tag, u in self._plc.items()}
        return [*out, *(_bad(tag, "link", t) for tag in self._plc)]

    def _counts(self, t: int) -> list[Update]:
        """Return the counters that have changed: of twenty writes a part, most would say nothing new."""
        c = self.counters
        counts: dict[str, float | None] = {
            "Counters.Total": c.total & 0xFFFFFFFF,
            "Counters.Ok": c.ok & 0xFFFFFFFF,
            "Counters.NotOk": c.not_ok & 0xFFFFFFFF,
            "Counters.NotInspected": c.not_inspected & 0xFFFFFFFF,
            "Counters.Missed": c.missed & 0xFFFFFFFF,
            "Counters.ResultTimeout": c.result_timeout & 0xFFFFFFFF,
            "Counters.Bypassed": c.bypassed & 0xFFFFFFFF,
            "Counters.YieldPct": 100 * c.ok / c.total if c.total else None,
            "Plc.RejectNotConfirmed": c.reject_not_confirmed & 0xFFFFFFFF,
        }
        new = {tag: v for tag, v in counts.items() if tag not in self._shown or self._shown[tag] != v}
        self._shown = counts
        return [_bad(tag, "never", t) if v is None else Update(tag=tag, value=v, t_utc_ns=t) for tag, v in new.items()]


_STATUS = (
    "Status.Online",
    "Status.Ready",
    "Status.Fault",
    "Status.State",
    "Status.ErrorCode",
    "Status.ErrorText",
    "Plc.LinkUp",
    "Status.RecipeName",
    "Status.ModelVersion",
)
_MODEL = _STATUS[-2:]


def _bad(tag: str, why: Why, t_utc_ns: int) -> Update:
    return Update(tag=tag, quality=Quality.BAD, why=why, t_utc_ns=t_utc_ns)


def _held(update: Update) -> Update:
    """Return the update as the last usable value, unless there was none."""
    return update if update.quality is Quality.BAD else replace(update, quality=Quality.UNCERTAIN, why="held")
