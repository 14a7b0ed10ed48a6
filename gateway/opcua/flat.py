"""Which flat tags a station has: names, types and meanings, as data.

A tag's NodeId is ``ns=2;s=<Line>.<Camera>.Tags.<Folder>.<Name>`` and is never reused or renamed (a golden file holds them).
PLC-facing types only, and a picture. Nothing here knows the server library or a record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from gateway.opcua.access import Role

Type = Literal["Boolean", "Int32", "UInt32", "Float", "String", "DateTime", "ImageJPG"]
MAX_DEFECTS = 16
"""Length of the arrays of Defects."""
MAX_THUMB = 64 * 1024
"""Bytes of a picture."""

STATES = ("Starting", "Ready", "NotReady", "Fault", "Offline")
MODES = ("Automatic", "Manual", "MonitorOnly", "Bypass")
EVALUATIONS = ("Undefined", "OK", "NotOK", "NotDecidable")
OUTCOMES = ("None", "Passed", "Rejected", "RejectNotConfirmed", "ChallengeRecovered", "AuditDiverted", "Bypassed", "Unknown")
HEALTH = ("Normal", "Failure", "CheckFunction", "OffSpec", "MaintenanceRequired")
"""The order of DeviceHealthEnumeration (OPC 10000-100)."""
CMD_RESULTS = ("Running", "Done", "Refused", "NoAnswer")

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
    length: int = 0
    """Of a one-dimensional array; 0 for a scalar."""
    role: Role | None = None
    """From which role on clients may write it; None for nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """An adjustable parameter of the line, in engineering units. The tag shows what the PLC holds, whoever moved it."""

    name: str
    unit: str = ""
    range: tuple[float, float] | None = None
    step: float | None = None
    """How far it may be moved at once."""
    rate_per_min: float | None = None
    """How often it may be moved in a minute."""

    @property
    def writable(self) -> bool:
        """Return whether an engineer may write it: only with all its limits."""
        return self.range is not None and self.step is not None and self.rate_per_min is not None

    @property
    def node_name(self) -> str:
        """Return the last part of its NodeId: ASCII letters, digits and underscores."""
        return re.sub(r"[^A-Za-z0-9_]", "_", self.name)


def unit_id(unit: str) -> int:
    """Return the UN/CEFACT unit id of ``unit`` (P1 → 20529), -1 for one without a known common code."""
    code = UNIT_CODES.get(unit)
    return int.from_bytes(code.encode(), "big") if code else -1


def _tag(
    name: str, type: Type, about: str, enum: tuple[str, ...] = (), *, length: int = 0, role: Role | None = None
) -> FlatTag:
    return FlatTag(name=name, type=type, about=about, enum=enum, length=length, role=role)


def _defects(name: str, type: Type, about: str) -> FlatTag:
    return _tag(f"Defects.{name}", type, f"{about} Only the first Count elements mean anything.", length=MAX_DEFECTS)


def _request(name: str, about: str, role: Role = Role.OPERATOR) -> FlatTag:
    return _tag(f"Cmd.{name}", "Boolean", f"Request by True; False again when it has ended: {about}", role=role)


_KEPT = ("Result.", "Defects.", "Counters.", "Params.")
_KEPT_ALONE = frozenset(
    f"Plc.{name}" for name in ("Mode", "LastPartId", "RejectOutcome", "RejectNotConfirmed", "Hold", "Disagrees")
) | {"Health.Imaging"}


def has_past(name: str) -> bool:
    """Return whether the past of this tag (``Folder.Name``) can be read: whether what it shows is recorded."""
    return name.startswith(_KEPT) or name in _KEPT_ALONE


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
    _tag("Status.RecipeName", "String", "Name of the recipe in force; on a line without recipes of the model package."),
    _tag("Status.ModelVersion", "String", "Version of the model package that judges."),
    _tag("Status.Fps", "Float", "Parts judged per second, over the last ten seconds."),
    _tag("Status.MonitorOnly", "Boolean", "The gateway only watches and gives the PLC no verdicts."),
    _tag("Status.Commissioning", "Boolean", "Anybody may read this server without security just now, by the operator's wish."),
    _tag("Status.AlarmCount", "UInt32", "Active alarms."),
    _tag("Status.Alarms", "String", "Codes of the active alarms, the oldest first, divided by a comma and a space."),
    _tag(
        "Result.Seq",
        "UInt32",
        "Journal number of this result, written first. Read it together with the rest and CommitSeq, or CommitSeq first and"
        " this last: when both are equal, all is of one result.",
    ),
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
    _tag("Result.Serial", "String", "Serial number of the part, from the PLC."),
    _tag("Result.Lot", "String", "Lot of the part, from the PLC."),
    _tag("Result.Product", "String", "Product, from the PLC."),
    _tag("Result.Carrier", "String", "Carrier of the part, from the PLC."),
    _tag("Result.RecipeName", "String", "Recipe that the part was triggered under."),
    _tag("Result.RecipeNumber", "Int32", "Number of that recipe."),
    _tag("Result.Mode", "UInt32", "Operating mode of the PLC when the part was judged.", MODES),
    _tag("Result.Reasons", "String", "Why it was judged so, or not inspected; divided by a semicolon and a space."),
    _tag("Result.CommitSeq", "UInt32", "Written last: result and Defects are whole when it equals Seq."),
    _tag("Defects.Count", "UInt32", "Defects of this result, at most 16. Seq and CommitSeq of the result hold for them, too."),
    _defects("Class", "String", "Label of each defect."),
    _defects("Score", "Float", "The model's score of each defect, 0-1."),
    _defects("X", "Float", "Left edge of each defect, in pixels of the camera's picture."),
    _defects("Y", "Float", "Upper edge of each defect, in pixels of the camera's picture."),
    _defects("W", "Float", "Width of each defect, in pixels of the camera's picture."),
    _defects("H", "Float", "Height of each defect, in pixels of the camera's picture."),
    _tag("Counters.Total", "UInt32", "Parts judged."),
    _tag("Counters.Ok", "UInt32", "Parts passed."),
    _tag("Counters.NotOk", "UInt32", "Parts judged defective."),
    _tag("Counters.NotInspected", "UInt32", "Parts without an inspection; the PLC rejects them."),
    _tag("Counters.Missed", "UInt32", "Parts whose token is not known to have reached the PLC."),
    _tag("Counters.ResultTimeout", "UInt32", "Parts whose token reached the PLC after its deadline."),
    _tag("Counters.Bypassed", "UInt32", "Parts that the PLC let through in bypass."),
    _tag("Counters.YieldPct", "Float", "Ok / Total in percent."),
    _tag("Counters.ResetTime", "DateTime", "When the counters were reset last; without data they count from the beginning."),
    _request("TestRun", "judge the golden pictures of the recipe in force; no part is looked at meanwhile."),
    _request("ErrorReset", "acknowledge every latched alarm, as the PLC's ClearError does."),
    _request("CounterReset", "let the counters begin at 0; the journal keeps every part."),
    _request("RecipeSelect", "set the recipe RecipeNo.", Role.ENGINEER),
    _request("Acknowledge", "acknowledge the latched alarm AckCode."),
    _tag("Cmd.RecipeNo", "Int32", "Argument of RecipeSelect.", role=Role.ENGINEER),
    _tag("Cmd.AckCode", "String", "Argument of Acknowledge: one of Status.Alarms.", role=Role.OPERATOR),
    _tag("Cmd.CmdSeq", "UInt32", "Number of the command; write CmdSeqDone + 1 before its request.", role=Role.OPERATOR),
    _tag("Cmd.CmdResult", "UInt32", "How the command CmdSeqDone ended; Running while one is carried out.", CMD_RESULTS),
    _tag("Cmd.CmdText", "String", "What came of it, in words."),
    _tag("Cmd.CmdSeqDone", "UInt32", "Echo of CmdSeq, written last: that command has ended."),
    _tag("Plc.LinkUp", "Boolean", "The link to the PLC is up."),
    _tag("Plc.Mode", "UInt32", "Operating mode, set by the PLC.", MODES),
    _tag("Plc.LastPartId", "UInt32", "Part of the last outcome at the reject station."),
    _tag("Plc.RejectOutcome", "UInt32", "Last outcome at the reject station.", OUTCOMES),
    _tag("Plc.RejectLatencyMs", "Float", "From the verdict's record to the outcome's, in ms."),
    _tag("Plc.RejectNotConfirmed", "UInt32", "Rejects that the PLC could not confirm."),
    _tag("Plc.TimeSync", "Boolean", "The PLC's clock is in step."),
    _tag("Plc.Hold", "Boolean", "The part of the last outcome passed uninspected, or may have: it is to be held back."),
    _tag("Plc.Disagrees", "Boolean", "The existing inspection decided otherwise about that part than was judged here."),
    _tag("Plc.Disagreements", "UInt32", "How often it did so since the gateway's start."),
    _tag("Health.Imaging", "UInt32", "Health of the pictures.", HEALTH),
    _tag("Health.Drift", "UInt32", "Drift of the model's input.", HEALTH),
    _tag("Health.Audit", "UInt32", "State of the accuracy audit.", HEALTH),
    _tag("Image.Seq", "UInt32", "As Result.Seq, of the picture: written first. Thumb is of one result when ThumbSeq is equal."),
    _tag("Image.Thumb", "ImageJPG", "A small picture of a recent part, JPEG of at most 64 KB, twice a second at most."),
    _tag("Image.ThumbSeq", "UInt32", "Written last: Result.Seq of the part that Thumb shows."),
)
