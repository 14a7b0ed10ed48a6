"""One station: records in, tag values out, in the order in which they are to be written. Pure: no server, no clock.

The tags of one result carry one source time, the capture time, and ``CommitSeq`` comes last. Quality is true: a value that is
no longer fed says so.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.core.events import LineState, PartJudged, PartOutcome, ProcessValues, Record
from gateway.core.handshake import ErrorCode, Mode, Outcome
from gateway.core.tags import Quality
from gateway.opcua.flat import TAGS, Param
from gateway.opcua.quality import Why

FPS_WINDOW_NS = 10 * 10**9
BUSY_NS = 10**9
REMEMBERED_PARTS = 1024

Value = bool | int | float | str | datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One tag's new value; ``value`` is ignored when the quality is BAD."""

    tag: str
    value: Value = None
    quality: Quality = Quality.GOOD
    why: Why = ""
    t_utc_ns: int


@dataclass(slots=True, kw_only=True)
class Counters:
    """Counts of one line since its operations database was made."""

    total: int = 0
    ok: int = 0
    not_ok: int = 0
    not_inspected: int = 0
    missed: int = 0
    result_timeout: int = 0
    bypassed: int = 0
    reject_not_confirmed: int = 0

    def count(self, record: Record) -> None:
        """Take one record into account; each must come exactly once."""
        match record:
            case PartJudged():
                self.total += 1
                self.ok += record.disposition == "PASS"
                self.not_ok += record.disposition == "FAIL"
                self.not_inspected += record.disposition == "NOT_INSPECTED"
                self.missed += record.token in ("void", "unknown")
                self.result_timeout += record.token == "late"  # noqa: S105 - the fate of a verdict token
            case PartOutcome():
                self.bypassed += record.outcome == "BYPASSED"
                self.reject_not_confirmed += record.outcome == "REJECT_NOT_CONFIRMED"
            case _:
                pass


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
        self._plc: dict[str, Update] = {}
        self._line: LineState | None = None
        self._alive = True
        self._judged: OrderedDict[int, int] = OrderedDict()
        self._times: deque[int] = deque()
        self._beat = 0

    def initial(self, now_ns: int) -> list[Update]:
        """Return the value of every tag before anything is known."""
        names = [t.name for t in TAGS] + list(self._params.values())
        unsupported = {"Plc.TimeSync", "Health.Drift", "Health.Audit"}
        first = [
            Update(tag=n, quality=Quality.BAD, why="unsupported" if n in unsupported else "never", t_utc_ns=now_ns)
            for n in names
        ]
        status = [Update(tag="Status.Heartbeat", value=0, t_utc_ns=now_ns), *self._status(now_ns)]
        return first + status + self._counts(now_ns)

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

    def health(self, imaging: int | None, now_ns: int) -> list[Update]:
        """Return the imaging health (index in :data:`gateway.opcua.flat.HEALTH`); None while it is not known."""
        if imaging is None:
            return [Update(tag="Health.Imaging", quality=Quality.BAD, why="never", t_utc_ns=now_ns)]
        return [Update(tag="Health.Imaging", value=imaging, t_utc_ns=now_ns)]

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

        def good(tag: str, value: Value) -> Update:
            return Update(tag=f"Result.{tag}", value=value, t_utc_ns=t)

        def maybe(tag: str, value: float | None, why: Why) -> Update:
            if value is None:
                return Update(tag=f"Result.{tag}", quality=Quality.BAD, why=why, t_utc_ns=t)
            return good(tag, value)

        self._result = [
            good("Seq", r.seq & 0xFFFFFFFF),
            good("PartId", r.part_id),
            good("Evaluation", {"PASS": 1, "FAIL": 2}.get(r.disposition, 3)),
            good("Ok", r.disposition == "PASS"),
            good("NotOk", r.disposition == "FAIL"),
            good("DefectCode", labels.index(defect) + 1 if defect in labels else 0),
            good("DefectName", defect),
            good("DefectCount", int(bool(defect))),
            maybe("Score", r.scores.get(r.label) if inspected else None, "fault"),
            maybe("LatencyMs", r.latency_ms, "absent"),
            good("CaptureTime", datetime.fromtimestamp(t // 1000 / 1e6, UTC)),
            good("ResultId", f"{r.line}-{r.epoch:08X}-{r.part_id}"),
            good("CommitSeq", r.seq & 0xFFFFFFFF),
        ]
        before, commit = self._qualify(self._result[:-1]), self._qualify(self._result[-1:])
        return [*before, *self._counts(r.t_utc_ns), *commit]

    def _outcome(self, r: PartOutcome) -> list[Update]:
        judged = self._judged.pop(r.part_id, None)
        code = Outcome[r.outcome].value if r.outcome in Outcome.__members__ else len(Outcome)
        t = r.t_utc_ns
        latency = Update(tag="Plc.RejectLatencyMs", quality=Quality.BAD, why="absent", t_utc_ns=t)
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
        updates = [Update(tag=self._params[k], value=float(v), t_utc_ns=t) for k, v in r.values.items() if k in self._params]
        if mode is not None:
            updates.append(Update(tag="Plc.Mode", value=mode, t_utc_ns=t))
        return self._fed(*updates)

    def _fed(self, *updates: Update) -> list[Update]:
        """Remember values that come from the PLC: when the link goes they are no longer known."""
        self._plc.update({u.tag: u for u in updates})
        return list(updates)

    # --- the state of the line ---------------------------------------------------------------------------------------------

    def _status(self, t: int) -> list[Update]:
        s = self._line if self._alive else None
        up = s is not None and s.link == "up"
        code, text = 0, ""
        if s is not None and s.error:
            code = ErrorCode[s.error].value if s.error in ErrorCode.__members__ else 99
        if s is not None:
            text = s.detail or s.error
        ready = up and s is not None and s.ready
        if not self._alive:
            state, text = 4, "the line's control process does not answer; the PLC rejects every part"
        elif s is None or s.offline_reason == "STARTING":
            state = 0
        else:
            state = 1 if ready else 3 if code else 2
        updates: dict[str, Any] = {
            "Status.Online": up,
            "Status.Ready": ready,
            "Status.Fault": code != 0,
            "Status.State": state,
            "Status.ErrorCode": code,
            "Status.ErrorText": text,
            "Plc.LinkUp": up,
        }
        out = [Update(tag=k, value=v, t_utc_ns=t) for k, v in updates.items()]
        model = self._line.model_id if self._line is not None else ""
        if model:
            name, _, version = model.rpartition("/") if "/" in model else (model, "", "")
            out.append(Update(tag="Status.RecipeName", value=name, t_utc_ns=t))
            out.append(Update(tag="Status.ModelVersion", value=version, t_utc_ns=t))
        else:
            why: Why = "never" if self._line is None else "model"
            bad = [Update(tag=f"Status.{n}", quality=Quality.BAD, why=why, t_utc_ns=t) for n in ("RecipeName", "ModelVersion")]
            out.extend(bad)
        return out

    def _requalified(self, t: int) -> list[Update]:
        """Return the last result and the PLC's values with the quality that they have now."""
        out = self._qualify(self._result)
        s = self._line
        if s is not None and not (s.ready and s.link == "up"):
            out = [_with(u, Quality.UNCERTAIN, "held") if u.quality is Quality.GOOD else u for u in out]
        linked = self._alive and self._line is not None and self._line.link in ("up", "readonly")
        for update in self._plc.values():
            out.append(update if linked else Update(tag=update.tag, quality=Quality.BAD, why="link", t_utc_ns=t))
        return out

    def _qualify(self, updates: list[Update]) -> list[Update]:
        """Return the result's values, taken away when there is no control process, no camera or no model."""
        s = self._line
        if not self._alive or (s is not None and not s.camera_up):
            return [_with(u, Quality.BAD, "link") for u in updates]
        if s is not None and not s.model_id:
            return [_with(u, Quality.BAD, "model") for u in updates]
        return updates

    def _counts(self, t: int) -> list[Update]:
        c = self.counters
        named = {
            "Counters.Total": c.total,
            "Counters.Ok": c.ok,
            "Counters.NotOk": c.not_ok,
            "Counters.NotInspected": c.not_inspected,
            "Counters.Missed": c.missed,
            "Counters.ResultTimeout": c.result_timeout,
            "Counters.Bypassed": c.bypassed,
            "Plc.RejectNotConfirmed": c.reject_not_confirmed,
        }
        out = [Update(tag=k, value=v & 0xFFFFFFFF, t_utc_ns=t) for k, v in named.items()]
        if c.total:
            out.append(Update(tag="Counters.YieldPct", value=100 * c.ok / c.total, t_utc_ns=t))
        else:
            out.append(Update(tag="Counters.YieldPct", quality=Quality.BAD, why="never", t_utc_ns=t))
        return out


def _with(update: Update, quality: Quality, why: Why) -> Update:
    return Update(tag=update.tag, value=update.value, quality=quality, why=why, t_utc_ns=update.t_utc_ns)
