"""The tags of one result, out of the part's record: folders Result and Defects, all with the capture time. Pure.

``Seq`` comes first and ``CommitSeq`` last. What the record does not hold has no value: never a zero that was not measured.
"""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.core.events import PartJudged
from gateway.core.handshake import Mode
from gateway.opcua.flat import MAX_DEFECTS
from gateway.opcua.quality import Why
from gateway.opcua.result_id import result_id
from gateway.opcua.update import Update, Value, bad

POSITIONS = ("X", "Y", "W", "H")


def capture_time_ns(record: PartJudged) -> int:
    """Return when the picture was taken (UTC ns): the record's time less the monotonic time since the exposure.

    The record is made right after the last monotonic time in it. Without a frame it is the record's own time.
    """
    if not record.t_exposed_mono_ns:
        return record.t_utc_ns
    last = max(record.t_acked_mono_ns, record.t_frame_mono_ns, record.t_trigger_mono_ns)
    return record.t_utc_ns - max(0, last - record.t_exposed_mono_ns)


def result_of(r: PartJudged, blind: Why) -> list[Update]:
    """Return the result's tags; ``blind`` says why nothing is seen now, '' when something is."""
    t = capture_time_ns(r)
    inspected = r.disposition in ("PASS", "FAIL")
    defect = r.defect if r.disposition == "FAIL" else ""
    labels = list(r.scores)
    unseen: Why = blind or "fault"

    def tag(name: str, value: Value) -> Update:
        return Update(tag=name, value=value, t_utc_ns=t)

    def maybe(name: str, value: Value) -> Update:
        return tag(name, value) if value is not None else bad(name, "absent", t)

    def seen(name: str, value: Value) -> Update:
        # Of a part that was not inspected the picture has told nothing: not even that there is no defect.
        return maybe(name, value) if inspected else bad(name, unseen, t)

    score = r.scores.get(defect) if defect else 0.0
    return [
        tag("Result.Seq", r.seq & 0xFFFFFFFF),
        tag("Result.PartId", r.part_id),
        tag("Result.Evaluation", {"PASS": 1, "FAIL": 2}.get(r.disposition, 3)),
        tag("Result.Ok", r.disposition == "PASS"),
        tag("Result.NotOk", r.disposition == "FAIL"),
        seen("Result.DefectCode", 0 if not defect else labels.index(defect) + 1 if defect in labels else None),
        seen("Result.DefectName", defect),
        seen("Result.DefectCount", int(bool(defect))),
        seen("Result.Score", r.scores.get(r.label)),
        maybe("Result.LatencyMs", r.latency_ms),
        maybe("Result.CaptureTime", datetime.fromtimestamp(t // 1000 / 1e6, UTC) if r.t_exposed_mono_ns else None),
        tag("Result.ResultId", result_id(r)),
        maybe("Result.Serial", r.serial or None),
        maybe("Result.Lot", r.lot or None),
        maybe("Result.Product", r.product or None),
        maybe("Result.Carrier", r.carrier or None),
        maybe("Result.RecipeName", r.recipe or None),
        maybe("Result.RecipeNumber", r.recipe_number if r.recipe else None),
        maybe("Result.Mode", Mode[r.mode].value if r.mode in Mode.__members__ else None),
        tag("Result.Reasons", "; ".join(r.reasons)),
        seen("Defects.Count", int(bool(defect))),
        seen("Defects.Class", _padded(defect, "")),
        seen("Defects.Score", None if score is None else _padded(score, 0.0)),
        # A classifier does not know where.
        *(seen(f"Defects.{name}", None) for name in POSITIONS),
        tag("Result.CommitSeq", r.seq & 0xFFFFFFFF),
    ]


def _padded(first: str | float, rest: str | float) -> tuple[str | float, ...]:
    return (first, *(rest,) * (MAX_DEFECTS - 1))
