"""What is wrong with a map file, collected: places, follow-ups kept out, and near spellings of unknown keys.

Apart from the checks so that each of them is one sentence. Knows the file's models and no tag.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.core.errors import Problem
from gateway.plc.map_file import BlockLine, MapFile, MemberLine, MemoryConfig, ModbusConfig, S7Config, ScaleLine, TagLine
from gateway.yaml_source import Source

Loc = tuple[str | int, ...]
_PLCS: dict[str, type[BaseModel]] = {"s7": S7Config, "modbus": ModbusConfig, "memory": MemoryConfig}
_DROPPED = ("unit", "range", "step", "rate_per_min", "scale", "order", "description", "at")
"""What can be left out of a tag while the rest is checked."""


class Report:
    """Problems of one file; ``say`` adds one, but none beneath what was complained about before."""

    def __init__(self, source: Source) -> None:
        """Begin with none."""
        self._source = source
        self._spoilt: list[Loc] = []
        self.problems: list[Problem] = []

    def say(self, loc: Loc, message: str) -> None:
        """Add what is wrong at ``loc``."""
        if not self.is_spoilt(loc):
            self.problems.append(self._source.problem(loc, message))

    def is_spoilt(self, loc: Loc) -> bool:
        """Return whether what stands at ``loc`` could not be taken, which was said already."""
        return any(loc[: len(spoilt)] == spoilt for spoilt in self._spoilt)

    def line(self, loc: Loc) -> int:
        """Return the line of ``loc``."""
        return self._source.locate(loc)[0]

    def sorted(self) -> list[Problem]:
        """Return the problems in the order of the file."""
        return sorted(self.problems, key=lambda p: (p.line, p.column))

    def validate(self) -> MapFile | None:
        """Return the file's model, without what is wrong in it and said; None when too much is wrong to go on."""
        try:
            return MapFile.model_validate(self._source.data)
        except ValidationError as error:
            found = error.errors()
        for each, problem in zip(found, self._source.problems(found), strict=True):
            hint = _near_key(each, self._source.data) if each["type"] == "extra_forbidden" else ""
            self.problems.append(problem if not hint else _with(problem, hint))
        data = copy.deepcopy(self._source.data)
        if not all([self._mend(data, each) for each in found]):
            return None
        try:
            return MapFile.model_validate(data)
        except ValidationError:
            return None

    def _mend(self, data: Any, error: ErrorDetails) -> bool:
        """Take out of ``data`` what the error is about; False when the rest could not be checked without it."""
        node, at = data, list(error["loc"])
        if self.is_spoilt(tuple(at)):
            return True
        kept: list[str | int] = []
        for i, key in enumerate(at):
            inside = (
                isinstance(node, dict) and key in node or isinstance(node, list) and isinstance(key, int) and key < len(node)
            )
            if not inside:
                continue  # the tag of a union
            kept.append(key)
            in_tag = len(kept) > 4 and kept[0] == "blocks" and kept[2] == "tags"
            if error["type"] == "extra_forbidden" and i == len(at) - 1:
                del node[key]
                return True
            if in_tag and key in _DROPPED:
                del node[key]
                self._spoilt.append(tuple(kept))
                return True
            if in_tag and key == "name":
                node[key] = f"_{kept[1]}_{kept[3]}"
                self._spoilt.append(tuple(kept))
                return True
            node = node[key]
        return False


def near(word: str, known: Sequence[str]) -> str:
    """Return ``, did you mean 'x'?``, or '' when nothing is near."""
    found = difflib.get_close_matches(word, known, 1, 0.6)
    return f", did you mean {found[0]!r}?" if found else ""


def _with(problem: Problem, message: str) -> Problem:
    return Problem(file=problem.file, line=problem.line, column=problem.column, path=problem.path, message=message)


def _near_key(error: ErrorDetails, data: Any) -> str:
    *parents, key = (k for k in error["loc"] if k not in _PLCS)
    model: type[BaseModel] = MapFile
    if parents[:1] == ["plc"]:
        model = _PLCS.get(str(data["plc"].get("driver")), S7Config)
    elif parents[:1] == ["types"]:
        model = MemberLine
    elif parents[:1] == ["blocks"]:
        model = ScaleLine if "scale" in parents else TagLine if "tags" in parents else BlockLine
    hint = near(str(key), list(model.model_fields))
    return f"unknown key {key!r}{hint}" if hint else ""
