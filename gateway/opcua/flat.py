"""Which flat tags a station has: names, types and meanings, as data.

A tag's NodeId is ``ns=2;s=<Line>.<Camera>.Tags.<Folder>.<Name>`` and is never reused or renamed (a golden file holds them).
PLC-facing types only. Nothing here knows the server library or a record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Type = Literal["Boolean", "Int32", "UInt32", "Float", "String", "DateTime"]

STATES = ("Starting", "Ready", "NotReady", "Fault", "Offline")
MODES = ("Automatic", "Manual", "MonitorOnly", "Bypass")
EVALUATIONS = ("Undefined", "OK", "NotOK", "NotDecidable")
OUTCOMES = ("None", "Passed", "Rejected", "RejectNotConfirmed", "ChallengeRecovered", "AuditDiverted", "Bypassed", "Unknown")
HEALTH = ("Normal", "Failure", "CheckFunction", "OffSpec", "MaintenanceRequired")
"""The order of DeviceHealthEnumeration (OPC 10000-100)."""

#: Common code (UN/ECE Recommendation 20) of the units that tag maps use; its id is the code's bytes as a number.
UNIT_CODES: dict[str, str] = {
    "%": "P1",
    "ms": "C26",
    "s": "SEC",
    "min": "MIN",
    "mm": "MMT",
    "m": "MTR",
    "um": "4H",
    "µm": "4H",
    "°C": "CEL",
    "degC": "CEL",
    "K": "KEL",
    "bar": "BAR",
    "mbar": "MBR",
    "Pa": "PAL",
    "kPa": "KPA",
    "N": "NEW",
    "kN": "B47",
    "Nm": "NU",
    "kg": "KGM",
    "g": "GRM",
    "l/min": "L2",
    "m/s": "MTS",
    "m/min": "2X",
    "mm/s": "C16",
    "rpm": "RPM",
    "1/min": "RPM",
    "Hz": "HTZ",
    "V": "VLT",
    "A": "AMP",
    "mA": "4K",
    "W": "WTT",
    "kW": "KWT",
    "°": "DD",
    "deg": "DD",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatTag:
    """One tag below ``Tags``: ``name`` is ``Folder.Name``."""

    name: str
    type: Type
    about: str
    enum: tuple[str, ...] = ()
    """Texts of the values 0, 1, …, given as EnumStrings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """An adjustable parameter of the line: read-only here, with its unit and range."""

    name: str
    unit: str = ""
    range: tuple[float, float] | None = None

    @property
    def node_name(self) -> str:
        """Return the last part of its NodeId: ASCII letters, digits and underscores."""
        return re.sub(r"[^A-Za-z0-9_]", "_", self.name)


def unit_id(unit: str) -> int:
    """Return the UN/CEFACT unit id of ``unit`` (P1 → 20529), -1 for one without a known common code."""
    code = UNIT_CODES.get(unit)
    return int.from_bytes(code.encode(), "big") if code else -1


def _tag(name: str, type: Type, about: str, enum: tuple[str, ...] = ()) -> FlatTag:
    return FlatTag(name=name, type=type, about=about, enum=enum)


TAGS: tuple[FlatTag, ...] = (
    _tag("Status.Online", "Boolean", "The line's control process runs and holds the link to its PLC."),
    _tag("Status.Ready", "Boolean", "The next part will be inspected."),
    _tag("Status.Busy", "Boolean", "A part was judged within the last second."),
    _tag("Status.Fault", "Boolean", "ErrorCode is not 0."),
    _tag("Status.State", "UInt32", "State of the station; Offline when its control process does not answer.", STATES),
    _tag("Status.Heartbeat", "UInt32", "Counts up twice a second while this server is fed."),
    _tag(
        "Status.ErrorCode",
        "Int32",
        "0 none, 1 not owner, 2 interface checksum, 3 byte order, 4 camera, 5 journal, 99 other, such as no control process.",
    ),
    _tag("Status.ErrorText", "String", "What is wrong and what to do."),
    _tag("Status.RecipeName", "String", "Name of the model package that judges."),
    _tag("Status.ModelVersion", "String", "Version of the model package that judges."),
    _tag("Status.Fps", "Float", "Parts judged per second, over the last ten seconds."),
    _tag("Result.Seq", "UInt32", "Journal number of this result; consistent with the rest when CommitSeq is equal."),
    _tag("Result.PartId", "UInt32", "Part id given by the PLC."),
    _tag("Result.Evaluation", "UInt32", "0 undefined, 1 OK, 2 not OK, 3 not decidable (not inspected).", EVALUATIONS),
    _tag("Result.Ok", "Boolean", "The part passed."),
    _tag("Result.NotOk", "Boolean", "The part was judged defective."),
    _tag("Result.DefectCode", "Int32", "Place of the defect's label in the model's labels, from 1; 0 without a defect."),
    _tag("Result.DefectName", "String", "Label of the defect."),
    _tag("Result.DefectCount", "UInt32", "Defects named in this result."),
    _tag("Result.Score", "Float", "The model's score of its label, 0-1; not a probability of being right."),
    _tag("Result.LatencyMs", "Float", "Trigger seen and frame available to token acknowledged by the PLC, in ms."),
    _tag("Result.CaptureTime", "DateTime", "When the picture was taken."),
    _tag("Result.ResultId", "String", "Unique id of this result."),
    _tag("Result.CommitSeq", "UInt32", "Written last: the result is whole when it equals Seq."),
    _tag("Counters.Total", "UInt32", "Parts judged."),
    _tag("Counters.Ok", "UInt32", "Parts passed."),
    _tag("Counters.NotOk", "UInt32", "Parts judged defective."),
    _tag("Counters.NotInspected", "UInt32", "Parts without an inspection; the PLC rejects them."),
    _tag("Counters.Missed", "UInt32", "Parts whose token is not known to have reached the PLC."),
    _tag("Counters.ResultTimeout", "UInt32", "Parts whose token reached the PLC after its deadline."),
    _tag("Counters.Bypassed", "UInt32", "Parts that the PLC let through in bypass."),
    _tag("Counters.YieldPct", "Float", "Ok / Total in percent."),
    _tag("Plc.LinkUp", "Boolean", "The link to the PLC is up."),
    _tag("Plc.Mode", "UInt32", "Operating mode, set by the PLC.", MODES),
    _tag("Plc.LastPartId", "UInt32", "Part of the last outcome at the reject station."),
    _tag("Plc.RejectOutcome", "UInt32", "Last outcome at the reject station.", OUTCOMES),
    _tag("Plc.RejectLatencyMs", "Float", "From the verdict's record to the outcome's, in ms."),
    _tag("Plc.RejectNotConfirmed", "UInt32", "Rejects that the PLC could not confirm."),
    _tag("Plc.TimeSync", "Boolean", "The PLC's clock is in step."),
    _tag("Health.Imaging", "UInt32", "Health of the pictures.", HEALTH),
    _tag("Health.Drift", "UInt32", "Drift of the model's input.", HEALTH),
    _tag("Health.Audit", "UInt32", "State of the accuracy audit.", HEALTH),
)
