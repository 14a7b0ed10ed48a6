"""Which columns a line of a tag map has as a table, derived from its pydantic model, so that no new field can be forgotten.

A pair of numbers makes two columns, a place makes two as well (a number is an offset, a text an address), a section within
makes those of its fields. It knows the models' shape, not what the fields mean.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from gateway.interchange.cells import Plain, Value, as_flag, as_number, as_text, as_whole

Kind = Literal["text", "whole", "number", "flag"]
Path = tuple[str | int, ...]

#: The field's usual words; a field without one here is called by its name.
LABELS: Mapping[str, Mapping[str, str]] = {
    "TagLine": {
        "name": "Name",
        "type": "Data type",
        "at:whole": "Offset",
        "at:text": "Address",
        "range.0": "Range low",
        "range.1": "Range high",
        "scale.raw.0": "Raw low",
        "scale.raw.1": "Raw high",
        "scale.eng.0": "Eng low",
        "scale.eng.1": "Eng high",
        "description": "Comment",
    },
    "BlockLine": {
        "name": "Block",
        "db": "DB",
        "at:whole": "Start",
        "at:text": "Address",
        "dir": "Direction",
        "description": "Comment",
    },
    "MemberLine": {"name": "Name", "type": "Data type", "description": "Comment"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: where its value stands in the line (``("range", 0)``) and of which kind it is."""

    label: str
    path: Path
    kind: Kind
    choices: tuple[str, ...] = ()
    """The texts that a value is chosen from; empty when any will do."""

    def of(self, line: Any) -> Plain:
        """Return this column's value of a dumped line (nested dict), None where it has none."""
        for key in self.path:
            if line is None:
                return None
            line = line[key]
        value: Plain = line
        # A place is one field with two columns.
        if (self.kind == "whole" and isinstance(value, str)) or (self.kind == "text" and isinstance(value, int)):
            return None
        return value

    def read(self, value: Value, *, decimal_comma: bool) -> Plain:
        """Return the value that a cell means; ValueError says what is wrong with it."""
        match self.kind:
            case "text":
                text = as_text(value, address=self.path == ("at",))
                same = [c for c in self.choices if c.lower() == text.lower()]
                return same[0] if same else text
            case "whole":
                return as_whole(value)
            case "number":
                return as_number(value, decimal_comma=decimal_comma)
            case "flag":
                return as_flag(value)


@functools.cache
def columns_of(model: type[BaseModel], without: tuple[str, ...] = ()) -> tuple[Column, ...]:
    """Return the columns of a model in the order of its fields; TypeError for a field that no cell can hold."""
    found: list[Column] = []
    for name, field in model.model_fields.items():
        if name not in without:
            found += _columns(model.__name__, (name,), field.annotation)
    return tuple(found)


def _columns(model: str, path: Path, annotation: Any) -> list[Column]:
    origin, args = get_origin(annotation), [a for a in get_args(annotation) if a is not type(None)]
    if origin in (Union, types.UnionType):
        if set(args) == {int, str}:
            return [_column(model, path, kind, f":{kind}") for kind in ("whole", "text")]
        if len(args) == 1:
            return _columns(model, path, args[0])
    if origin is Literal:
        kind: Kind = "whole" if all(isinstance(a, int) for a in args) else "text"
        return [_column(model, path, kind, choices=tuple(a for a in args if isinstance(a, str)))]
    if origin is tuple and ... not in args:
        return [c for i, a in enumerate(args) for c in _columns(model, (*path, i), a)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = annotation.model_fields.items()
        return [c for name, field in inner for c in _columns(model, (*path, name), field.annotation)]
    kinds: Mapping[Any, Kind] = {str: "text", int: "whole", float: "number", bool: "flag"}
    if annotation in kinds:
        return [_column(model, path, kinds[annotation])]
    raise TypeError(
        f"{model}.{'.'.join(map(str, path))}: {annotation} has no place in a table; say in columns.py how it lies there"
    )


def _column(model: str, path: Path, kind: Kind, suffix: str = "", choices: tuple[str, ...] = ()) -> Column:
    key = ".".join(map(str, path)) + suffix
    label = LABELS.get(model, {}).get(key) or " ".join(str(p) for p in path).replace("_", " ").capitalize()
    return Column(label=label, path=path, kind=kind, choices=choices)
