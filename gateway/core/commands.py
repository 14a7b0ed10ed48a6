"""Commands from services to control: typed, idempotent by id, each answered once.

The wire form is one JSON object a line on control's local socket, the answer one JSON object a line with the same id.
Whoever may open that socket (file mode 0600) is authorised; what may be written is decided by control's writer alone.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

By = Literal["mes", "operator"]
"""Who asks besides the PLC: ``operator`` is whoever has logged in as one, at an HMI or over OPC UA."""


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
class SetRecipe:
    """Ask for a recipe to be set, by somebody else than the PLC; to ask twice is to set it twice, which changes nothing."""

    id: str
    line: str
    recipe: int
    by: By


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTest:
    """Ask for the golden pictures of the recipe in force to be judged; no part is looked at meanwhile."""

    id: str
    line: str
    by: By


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearError:
    """Acknowledge all that has happened and is latched, as the PLC's ClearError does."""

    id: str
    line: str
    by: By


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """Acknowledge the one latched alarm ``code`` (see :class:`gateway.core.events.Alarm`)."""

    id: str
    line: str
    code: str
    by: By


Command = AdjustParameter | SetRecipe | RunTest | ClearError | Acknowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a command: ``result`` is ``confirmed``, or ``blocked: …``, ``refused: …``, ``unknown: …`` and why.

    A test run that succeeded says what it saw: ``confirmed: …``.
    """

    id: str
    result: str
    old: float | None = None
    new: float | None = None


_KINDS: dict[str, type[Command]] = {
    "adjust": AdjustParameter,
    "recipe": SetRecipe,
    "test": RunTest,
    "clear": ClearError,
    "acknowledge": Acknowledge,
}


def command_to_json(command: Command) -> str:
    """Return the command as one line of JSON."""
    (kind,) = (kind for kind, cls in _KINDS.items() if type(command) is cls)
    return json.dumps({"kind": kind, **asdict(command)}, allow_nan=False)


def command_from_json(text: str | bytes) -> Command:
    """Return the command; ValueError names the field that is wrong."""
    raw = json.loads(text)
    kind = raw.pop("kind", None) if isinstance(raw, dict) else None
    cls = _KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValueError(f"kind: only {', '.join(map(repr, _KINDS))} are commands")
    _check_texts(raw, ("id", "line"))
    if cls is AdjustParameter:
        _check_texts(raw, ("tag",))
        for name in ("value", "expected_old"):
            if isinstance(raw.get(name), bool) or not isinstance(raw.get(name), int | float) or not _finite(raw[name]):
                raise ValueError(f"{name}: a finite number is needed")
    elif raw.get("by") not in ("mes", "operator"):
        raise ValueError("by: 'mes' or 'operator' is needed")
    if cls is SetRecipe and (isinstance(raw.get("recipe"), bool) or not isinstance(raw.get("recipe"), int)):
        raise ValueError("recipe: a whole number is needed")
    if cls is Acknowledge:
        _check_texts(raw, ("code",))
    _check_known(raw, {f.name for f in fields(cls)})
    return cls(**raw)


def _check_texts(raw: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if not isinstance(raw.get(name), str) or not raw[name]:
            raise ValueError(f"{name}: a non-empty text is needed")


def _check_known(raw: dict[str, Any], names: set[str]) -> None:
    if extra := set(raw) - names:
        raise ValueError(f"{sorted(extra)[0]}: unknown field")


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
