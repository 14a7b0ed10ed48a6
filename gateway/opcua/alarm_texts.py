"""What each alarm of a line is to a person: how grave, of which class of OPC 40100-1, and what to do about it.

The numbers are given once and never again to another alarm: clients keep them. It must not know a node or a record's way here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.core.events import Alarm

Kind = Literal["Warning", "Error", "PersistentError"]
"""Warning: parts are still inspected · Error: parts may be lost to rejects, or worse, until it is over, perhaps by itself ·
PersistentError: nothing passes until somebody has done something about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmText:
    """One alarm's meaning."""

    number: int
    """ErrorCode of the condition."""
    kind: Kind
    severity: int
    """1 to 1000, as OPC UA counts."""
    title: str
    remedy: str
    stops: bool = False
    """Whether no part passes while it is so."""


def _alarm(number: int, kind: Kind, severity: int, title: str, remedy: str, *, stops: bool = False) -> AlarmText:
    return AlarmText(number=number, kind=kind, severity=severity, title=title, remedy=remedy, stops=stops)


_TEXTS: dict[Alarm, AlarmText] = {
    Alarm.PLC_LINK: _alarm(
        1, "Error", 800, "The PLC does not answer", "Check its power, the cable and whether it is in RUN.", stops=True
    ),
    Alarm.PLC_REFUSED: _alarm(
        2,
        "PersistentError",
        850,
        "The PLC's data block does not fit the tag map",
        "Load the block that belongs to this tag map, or allow access to it.",
        stops=True,
    ),
    Alarm.CAMERA: _alarm(3, "Error", 800, "A camera is missing", "Check its power and its cable.", stops=True),
    Alarm.JOURNAL: _alarm(
        4,
        "PersistentError",
        850,
        "Records cannot be kept",
        "Free the disk of the gateway; parts pass again once records are written.",
        stops=True,
    ),
    Alarm.SELF_CHECK: _alarm(
        5,
        "PersistentError",
        900,
        "A stage between picture and token does not work",
        "Restart the gateway; when it comes back, call service with the text above.",
        stops=True,
    ),
    Alarm.CLOCK: _alarm(
        6, "Warning", 200, "The wall clock was set", "Let it be synchronised; records are marked for a minute."
    ),
    Alarm.BYPASS: _alarm(
        7, "Warning", 700, "Parts pass uninspected", "Turn the PLC's key switch back, and hold the parts made meanwhile."
    ),
    Alarm.CONFIG_REJECTED: _alarm(
        8,
        "PersistentError",
        600,
        "The configuration file is wrong; the last good one runs",
        "Correct gateway.yaml as the text says, then restart the gateway.",
        stops=True,
    ),
    Alarm.RECIPE: _alarm(9, "PersistentError", 750, "No recipe is in force", "Set a recipe that passes its test.", stops=True),
    Alarm.OWNER_LOST: _alarm(
        10,
        "Error",
        700,
        "Tokens in flight were void",
        "Find out whether the PLC was restarted or a second gateway runs, then acknowledge.",
    ),
    Alarm.MISSED_TRIGGER: _alarm(
        11, "Warning", 500, "Triggers were missed", "Check trigger sensor and cycle time; those parts were rejected."
    ),
    Alarm.REJECT_NOT_CONFIRMED: _alarm(
        12,
        "Error",
        900,
        "A part that was to be rejected may not have left the line",
        "Find the part, and check ejector and confirmation sensor.",
    ),
    Alarm.NOT_APPLIED: _alarm(
        13, "Warning", 400, "The PLC did not apply a parameter", "Check the parameter's limits and mode in the PLC."
    ),
    Alarm.OVERLOAD: _alarm(
        14, "Warning", 600, "Parts came faster than they can be inspected", "Slow the line down; those parts were rejected."
    ),
    Alarm.NOT_NOMINAL: _alarm(
        15, "Warning", 400, "A parameter is not at the recipe's value", "Set it by hand, or allow the gateway to."
    ),
    Alarm.CONSECUTIVE_LATE: _alarm(
        16,
        "Error",
        750,
        "Inspections in a row came too late",
        "Check the load of the gateway; parts without a result were rejected.",
    ),
}
ALARMS: dict[str, AlarmText] = {alarm.value: meaning for alarm, meaning in _TEXTS.items()}
"""Every alarm that a line can have, by its code."""
