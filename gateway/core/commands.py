"""Commands from services to control: typed, idempotent by id, each answered once.

The wire form is one JSON object a line on control's local socket, the answer one JSON object a line with the same id.
Whoever may open that socket (file mode 0600) is authorised; what may be written is decided by control's writer alone.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustParameter:
    """Ask the PLC to move one whitelisted parameter to ``value`` (engineering units), if it still holds ``expected_old``."""

    id: str
    line: str
    tag: str
    value: float
    expected_old: float
    evidence: str = ""
    """One sentence for the audit record: why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a command: ``result`` is ``confirmed``, or ``blocked: …``, ``refused: …``, ``unknown: …`` and why."""

    id: str
    result: str
    old: float | None = None
    new: float | None = None


def command_to_json(command: AdjustParameter) -> str:
    """Return the command as one line of JSON."""
    return json.dumps({"kind": "adjust", **asdict(command)}, allow_nan=False)


def command_from_json(text: str | bytes) -> AdjustParameter:
    """Return the command; ValueError names the field that is wrong."""
    raw = json.loads(text)
    if not isinstance(raw, dict) or raw.pop("kind", None) != "adjust":
        raise ValueError("kind: only 'adjust' is a command")
    for name in ("id", "line", "tag"):
        if not isinstance(raw.get(name), str) or not raw[name]:
            raise ValueError(f"{name}: a non-empty text is needed")
    for name in ("value", "expected_old"):
        if isinstance(raw.get(name), bool) or not isinstance(raw.get(name), int | float) or not _finite(raw[name]):
            raise ValueError(f"{name}: a finite number is needed")
    extra = set(raw) - {"id", "line", "tag", "value", "expected_old", "evidence"}
    if extra:
        raise ValueError(f"{sorted(extra)[0]}: unknown field")
    return AdjustParameter(**raw)


def answer_to_json(answer: Answer) -> str:
    """Return the answer as one line of JSON."""
    return json.dumps(asdict(answer), allow_nan=False)


def answer_from_json(text: str | bytes) -> Answer:
    """Return the answer that :func:`answer_to_json` wrote."""
    return Answer(**json.loads(text))


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number too great for a float
        return False
