"""One station: records in, tag values out, in the order in which they are to be written. Pure: no server, no clock.

The tags of one result carry one source time, the capture time, and ``CommitSeq`` comes last. Quality is true: what is not
known yet, or no longer fed, says so. It must not know the server.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.core.events import AlarmChanged, LineState, PartJudged, PartOutcome, ProcessValues, Record
from gateway.core.handshake import ErrorCode, Mode, Outcome
from gateway.core.tags import Quality
from gateway.opcua.counters import Counters as Counters
from gateway.opcua.flat import TAGS, Param
from gateway.opcua.quality import Why
from gateway.opcua.result import capture_time_ns as capture_time_ns
from gateway.opcua.result import result_of
from gateway.opcua.update import MAX_FLOAT, Value, bad, held
from gateway.opcua.update import Update as Update

FPS_WINDOW_NS = 10 * 10**9
BUSY_NS = 10**9
REMEMBERED_PARTS = 1024
OTHER_ERROR = 99


class Station:
    """What a line's tags are to show."""

    def __init__(
        self,
        params: tuple[Param, ...] = (),
        counters: Counters | None = None,
        *,
        base: Counters | None = None,
        reset_ns: int = 0,
    ) -> None:
        """Take the line's parameters and the counts so far; those shown began at ``base``, at ``reset_ns`` (UTC)."""
        self.counters = counters or Counters()
        self._base, self._reset_ns = base or Counters(), reset_ns
        self._params = {p.name: f"Params.{p.node_name}" for p in params}
        self._result: list[Update] = []
        self._result_blind: Why = ""
        self._image: list[Update] = []
        self._alarms: list[Update] = []
        self._plc: dict[str, Update] = {}
        self._line: LineState | None = None
        self._alive = True
        self._judged: OrderedDict[int, int] = OrderedDict()
        self._shown: dict[str, float | None] = {}
        self._times: deque[int] = deque(maxlen=10_000)
        self._beat = 0

    def initial(self, now_ns: int) -> list[Update]:
        """Return the value of every tag before anything is known, but for those of commands and of the server itself."""
        elsewhere = {t.name for t in TAGS if t.name.startswith("Cmd.")} | {"Status.Commissioning"}
        names = [t.name for t in TAGS if t.name not in elsewhere] + list(self._params.values())
        unsupported = {"Plc.TimeSync", "Health.Drift", "Health.Audit"}
        self._shown.clear()
        known = [Update(tag="Status.Heartbeat", value=0, t_utc_ns=now_ns), *self._status(now_ns), *self._counts(now_ns)]
        told = {u.tag for u in known}
        known.append(self._reset_time(now_ns))
        told.add("Counters.ResetTime")
        return [bad(n, "unsupported" if n in unsupported else "never", now_ns) for n in names if n not in told] + known

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
            case AlarmChanged():
                return self.active_alarms(record.all_active, record.t_utc_ns)
            case _:
                return []

    def active_alarms(self, codes: Sequence[str], t_utc_ns: int) -> list[Update]:
        """Return what shows these alarms as the active ones."""
        self._alarms = [
            Update(tag="Status.AlarmCount", value=len(codes), t_utc_ns=t_utc_ns),
            Update(tag="Status.Alarms", value=", ".join(codes), t_utc_ns=t_utc_ns),
        ]
        return self._alarms if self._alive else [held(u) for u in self._alarms]

    def thumb(self, jpeg: bytes, seq: int, t_utc_ns: int) -> list[Update]:
        """Return what shows the picture of result ``seq``, taken at that time."""
        number = seq & 0xFFFFFFFF
        self._image = [
            Update(tag="Image.Seq", value=number, t_utc_ns=t_utc_ns),
            Update(tag="Image.Thumb", value=jpeg, t_utc_ns=t_utc_ns),
            Update(tag="Image.ThumbSeq", value=number, t_utc_ns=t_utc_ns),
        ]
        return self._image

    def counters_reset(self, base: Counters, now_ns: int) -> list[Update]:
        """Let the counters shown begin at ``base``; return what that changes."""
        self._base, self._reset_ns = base, now_ns
        return [*self._counts(now_ns), self._reset_time(now_ns)]

    def holds(self, param: str) -> tuple[float, int] | None:
        """Return what the PLC holds of a parameter, and since when that is known (UTC ns); None while it is not."""
        update = self._plc.get(self._params.get(param, ""))
        if update is None or update.quality is not Quality.GOOD or not isinstance(update.value, float):
            return None
        return update.value, update.t_utc_ns

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
            return [bad("Health.Imaging", "never", now_ns)]
        quality = Quality.GOOD if certain else Quality.UNCERTAIN
        return [Update(tag="Health.Imaging", value=imaging, quality=quality, t_utc_ns=now_ns)]

    # --- one kind of record each -------------------------------------------------------------------------------------------

    def _part(self, r: PartJudged) -> list[Update]:
        self._judged[r.part_id] = r.t_utc_ns
        while len(self._judged) > REMEMBERED_PARTS:
            self._judged.popitem(last=False)
        self._times.append(r.t_utc_ns)
        self._result_blind = self._blind()
        self._result = result_of(r, self._result_blind)
        if not self._alive:  # read from the journal of a control that is gone: the last value, and not one of now
            self._result = [held(u) for u in self._result]
        return [*self._result[:-1], *self._counts(r.t_utc_ns), self._result[-1]]

    def _outcome(self, r: PartOutcome) -> list[Update]:
        judged = self._judged.pop(r.part_id, None)
        code = Outcome[r.outcome].value if r.outcome in Outcome.__members__ else len(Outcome)
        t = r.t_utc_ns
        latency = bad("Plc.RejectLatencyMs", "absent", t)
        if judged is not None:
            latency = Update(tag="Plc.RejectLatencyMs", value=(t - judged) / 1e6, t_utc_ns=t)
        return [
            *self._fed(
                Update(tag="Plc.LastPartId", value=r.part_id, t_utc_ns=t),
                Update(tag="Plc.RejectOutcome", value=code, t_utc_ns=t),
                latency,
                Update(tag="Plc.Hold", value=r.hold, t_utc_ns=t),
                Update(tag="Plc.Disagrees", value=bool(r.disagrees_with), t_utc_ns=t),
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
                updates.append(Update(tag=tag, value=float(value), t_utc_ns=t) if fits else bad(tag, "range", t))
        if mode is not None:
            updates.append(Update(tag="Plc.Mode", value=mode, t_utc_ns=t))
        return self._fed(*updates)

    def _fed(self, *updates: Update) -> list[Update]:
        """Remember values that come from the PLC: when the link goes, or control, they are no longer known."""
        if self._alive:
            self._plc.update({u.tag: u for u in updates})
            return list(updates)
        self._plc.update({u.tag: held(u) for u in updates})
        return [bad(u.tag, "link", u.t_utc_ns) for u in updates]

    # --- the state of the line ---------------------------------------------------------------------------------------------

    def _status(self, t: int) -> list[Update]:
        s = self._line
        if s is None and self._alive:
            return [bad(tag, "never", t) for tag in (*_STATUS, *_SAID, *_MODEL)]
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
        out = [Update(tag=tag, value=v, t_utc_ns=t) for tag, v in zip(_STATUS, values, strict=True)]
        if s is None:
            return out + [bad(tag, "never", t) for tag in (*_SAID, *_MODEL)]
        said = [Update(tag=tag, value=v, t_utc_ns=t) for tag, v in zip(_SAID, (s.monitor_only, s.disagreements), strict=True)]
        if s.model_id and s.offline_reason != "NO_MODEL":
            name, _, version = s.model_id.rpartition("/") if "/" in s.model_id else (s.model_id, "", "")
            names = (s.recipe or name, version)
            said += [Update(tag=tag, value=v, t_utc_ns=t) for tag, v in zip(_MODEL, names, strict=True)]
        else:
            said += [bad(tag, "model", t) for tag in _MODEL]
        return out + (said if self._alive else [held(u) for u in said])

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
        out, image = self._result, self._image
        alarms = self._alarms if self._alive else [held(u) for u in self._alarms]
        # A part that went by unseen is a fact, and stays one while still nothing is seen.
        if blind and blind != self._result_blind:
            out = [bad(u.tag, blind, u.t_utc_ns) for u in out]
        elif s is not None and not (s.ready and s.link == "up"):
            out = [held(u) for u in out]
        if blind == "link":
            image = [bad(u.tag, blind, u.t_utc_ns) for u in image]
        out = [*out, *image, *alarms]
        linked = self._alive and s is not None and s.link in ("up", "readonly")
        if linked:
            return [*out, *self._plc.values()]
        # Known again when the link brings them again, not when the link is back.
        self._plc = {tag: held(u) for tag, u in self._plc.items()}
        return [*out, *(bad(tag, "link", t) for tag in self._plc)]

    def _counts(self, t: int) -> list[Update]:
        """Return the counters that have changed: of twenty writes a part, most would say nothing new."""
        c = self.counters.since(self._base)
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
        return [bad(tag, "never", t) if v is None else Update(tag=tag, value=v, t_utc_ns=t) for tag, v in new.items()]

    def _reset_time(self, now_ns: int) -> Update:
        if not self._reset_ns:
            return bad("Counters.ResetTime", "absent", now_ns)
        when = datetime.fromtimestamp(self._reset_ns // 1000 / 1e6, UTC)
        return Update(tag="Counters.ResetTime", value=when, t_utc_ns=self._reset_ns)


_STATUS = (
    "Status.Online",
    "Status.Ready",
    "Status.Fault",
    "Status.State",
    "Status.ErrorCode",
    "Status.ErrorText",
    "Plc.LinkUp",
)
_SAID = ("Status.MonitorOnly", "Plc.Disagreements")
_MODEL = ("Status.RecipeName", "Status.ModelVersion")
