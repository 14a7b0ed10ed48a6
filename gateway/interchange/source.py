"""A map that was read from tables: its data as a YAML file would give it, and the cell of everything in it.

It has the interface of :class:`gateway.yaml_source.Source`, so that the checks of a map name cells. It knows no columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import ErrorDetails

from gateway.core.errors import Problem
from gateway.interchange.cells import Section
from gateway.yaml_source import error_text

Loc = tuple[str | int, ...]


@dataclass(slots=True, kw_only=True)
class TableSource:
    """A map read from tables: ``data`` as a YAML file would give it, and the cell of everything in it.

    It has the interface of :class:`gateway.yaml_source.YamlSource` that checks use.
    """

    path: Path
    data: dict[str, Any] = field(default_factory=dict)
    cells: dict[Loc, tuple[Section, int, int]] = field(default_factory=dict)

    def locate(self, loc: Sequence[str | int]) -> tuple[int, int]:
        """Return the row and column (from 1) of the cell at ``loc`` or nearest to it."""
        found = self._nearest(tuple(loc))
        return (found[1], found[2] + 1) if found else (0, 0)

    def problem(self, loc: Sequence[str | int], message: str) -> Problem:
        """Return the problem at ``loc``, in the cell nearest to it."""
        found = self._nearest(tuple(loc))
        if found is None:
            return Problem(file=str(self.path), line=0, column=0, path=".".join(map(str, loc)), message=message)
        section, row, column = found
        return section.problem(row, column, message)

    def problems(self, errors: Iterable[ErrorDetails]) -> list[Problem]:
        """Return pydantic's errors as problems of the cells, without pydantic's own path elements."""
        return [self.problem(self._place(e), error_text(e)) for e in errors]

    def _place(self, error: ErrorDetails) -> Loc:
        node: Any = self.data
        place: list[str | int] = []
        for i, key in enumerate(error["loc"]):
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and isinstance(key, int) and key < len(node):
                node = node[key]
            elif i < len(error["loc"]) - 1:
                continue  # the tag of a union, which stands in no cell
            place.append(key)
        if error["type"].startswith("union_tag"):
            place.append(str(error["ctx"]["discriminator"]).strip("'"))
        return tuple(place)

    def _nearest(self, loc: Loc) -> tuple[Section, int, int] | None:
        while loc and loc not in self.cells:
            loc = loc[:-1]
        return self.cells.get(loc)
