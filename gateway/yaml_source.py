"""YAML with places: the plain data of a file, and the line and column of everything in it.

Used for every file that a person writes, so that every error can name its place. libyaml scans, since a scanner in Python takes
a second for a large tag map; what a scalar means is decided here, by YAML 1.2's core schema: ``on`` and ``yes`` are words,
``010`` is ten, and ``1:30``, ``1_000`` and ``2026-01-31`` are texts. It knows no file's meaning.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml
from pydantic_core import ErrorDetails
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
)

from gateway.core.errors import ConfigError, Problem

MAX_BYTES = 4 << 20
MAX_VALUES = 100_000
"""Values in a file, each use of an alias counted: a few lines of aliases to aliases can stand for billions."""
MAX_DEPTH = 100
"""Mappings and lists within each other."""
_TAG = "tag:yaml.org,2002:"
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_BEGINS = frozenset("0123456789+-.")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class Source(Protocol):
    """Plain data and the place of everything in it, from whatever it was read: what checks of a file need."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def data(self) -> Any:
        """Plain dict, list, str, int, float, bool and None."""

    def locate(self, loc: Sequence[str | int]) -> tuple[int, int]:
        """Return the 1-based line and column of the value at ``loc``, or of the nearest parent that exists."""

    def problem(self, loc: Sequence[str | int], message: str) -> Problem:
        """Return the problem at ``loc``."""

    def problems(self, errors: Iterable[ErrorDetails]) -> list[Problem]:
        """Return pydantic's errors as problems of this file."""


@dataclass(slots=True)
class Node:
    """A value and where it begins, from 1; a mapping's value is a dict of nodes, a list's a list of them."""

    line: int
    column: int
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlSource:
    """A parsed file: ``data`` is plain (dict, list, str, int, float, bool, None), with each key as the text that is written."""

    path: Path
    data: Any
    tree: Node

    def locate(self, loc: Sequence[str | int]) -> tuple[int, int]:
        """Return the 1-based line and column of the value at ``loc``, or of the nearest parent that exists."""
        node, place = self.tree, (1, 1)
        for key in loc:
            if (child := _child(node, key)) is not None:  # pydantic's union tags stand in the path but not in the file
                node, place = child, (child.line, child.column)
        return place

    def problem(self, loc: Sequence[str | int], message: str) -> Problem:
        """Return the problem at ``loc``."""
        line, column = self.locate(loc)
        path = ".".join(str(p) for p in loc)
        return Problem(file=str(self.path), line=line, column=column, path=path, message=message)

    def problems(self, errors: Iterable[ErrorDetails]) -> list[Problem]:
        """Return pydantic's errors as problems of this file, in words of the file and without pydantic's own path elements."""
        return [self.problem(self._place(e), error_text(e)) for e in errors]

    def _place(self, error: ErrorDetails) -> tuple[str | int, ...]:
        node, loc = self.tree, error["loc"]
        place: list[str | int] = []
        for i, key in enumerate(loc):
            child = _child(node, key)
            if child is not None:
                node = child
            elif i < len(loc) - 1:
                continue  # the tag of a union, which stands in no file
            place.append(key)
        if error["type"].startswith("union_tag"):
            place.append(str(error["ctx"]["discriminator"]).strip("'"))
        elif error["type"] == "value_error" and isinstance(node.value, dict):
            # A check across fields stands at the section; our messages begin with the field meant.
            named = error_text(error).split(":")[0]
            place += [named] if named in node.value else []
        return tuple(place)


def error_text(error: ErrorDetails) -> str:
    """Return what pydantic found wrong in words of the file and with the remedy."""
    if error["type"] == "extra_forbidden":
        return "unknown key; correct its spelling or remove it"
    if error["type"] in ("missing", "union_tag_not_found"):
        return "is missing; add it"
    return error["msg"].removeprefix("Value error, ")


def read_yaml(path: Path) -> YamlSource:
    """Read one YAML document that is a mapping; ConfigError names the place of what is wrong."""

    def fail(message: str, line: int = 0, column: int = 0) -> ConfigError:
        return ConfigError([Problem(file=str(path), line=line, column=column, path="", message=message)])

    try:
        if path.stat().st_size > MAX_BYTES:
            raise fail(f"the file has more than {MAX_BYTES >> 20} MiB; this is not the file you mean")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise fail("there is no such file") from None
    except OSError as error:
        raise fail(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise fail(f"is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    composer = _Composer()
    collects = gc.isenabled()
    gc.disable()  # ten thousands of nodes that all live: to look for dead ones among them costs a sixth of the time
    try:
        tree = composer.compose(text)
        if not composer.wrong and tree is not None and not isinstance(tree.value, dict):
            composer.wrong.append((1, 1, "the file must hold a mapping of keys and values"))
        if composer.wrong:
            raise ConfigError([p for wrong in composer.wrong for p in fail(wrong[2], *wrong[:2]).problems])
        if tree is None:
            raise fail("the file is empty")
        return YamlSource(path=path, data=_Plain().of(tree, 0), tree=tree)
    except _WrongError as error:
        raise fail(str(error), error.line, error.column) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = "; YAML wants spaces, not tabs, for indentation" if mark and text[mark.index : mark.index + 1] == "\t" else ""
        raise fail(f"is not YAML: {error.problem}{hint}", *_place(mark)) from None
    except yaml.YAMLError as error:
        raise fail(f"is not YAML: {' '.join(str(error).split())}") from None
    finally:
        if collects:
            gc.enable()


def _place(mark: Any) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)


def _child(node: Node, key: str | int) -> Node | None:
    if isinstance(node.value, dict):
        return node.value.get(str(key))
    if isinstance(node.value, list) and isinstance(key, int) and 0 <= key < len(node.value):
        child: Node = node.value[key]
        return child
    return None


def plain_scalar(text: str) -> Any:
    """Return what a scalar without quotes means in the core schema; ValueError for a number of thousands of digits."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_BEGINS:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL_HEX.fullmatch(text):
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "")) if _NO_NUMBER.fullmatch(text) else text


_Some = AliasEvent | ScalarEvent | CollectionStartEvent


class _WrongError(Exception):
    """Something ends the reading, at this line and column."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line, self.column = line, column


@dataclass(slots=True)
class _Open:
    """A mapping or list that has not ended; ``key`` is None where a mapping's next key is due."""

    node: Node
    key: str | None = None
    merged: list[Node] = field(default_factory=list)


class _Composer:
    """Makes nodes of libyaml's events; without recursion, which a file of brackets would exhaust."""

    def __init__(self) -> None:
        self.wrong: list[tuple[int, int, str]] = []
        """Line, column and message of what is wrong without ending the reading."""
        self._anchors: dict[str, Node] = {}
        self._open: list[_Open] = []
        self._root: Node | None = None

    def compose(self, text: str) -> Node | None:
        """Return the document; None when there is none, or nothing in it."""
        documents = nodes = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, CollectionEndEvent):
                self._end(self._open.pop())
                continue
            line, column = _place(event.start_mark)
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _WrongError("is not YAML: a second document begins here; keep one", line, column)
            elif isinstance(event, _Some):
                nodes += 1
                if nodes > 2 * MAX_VALUES:
                    raise _WrongError(f"the file holds more than {MAX_VALUES} values; this is not the file you mean")
                self._take(event, line, column)
        return None if self._root is None or self._root.value is None else self._root

    def _take(self, event: _Some, line: int, column: int) -> None:
        into = self._open[-1] if self._open else None
        if into is not None and into.key is None and isinstance(into.node.value, dict):
            into.key = self._key(event, into, line, column)
            return
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise _WrongError(f"is not YAML: found undefined alias {event.anchor!r}", line, column)
            node = self._anchors[event.anchor]
        else:
            node = Node(line, column, self._value(event, line, column))
            if event.anchor is not None:
                self._anchors[event.anchor] = node
        if into is None:
            self._root = node
        elif isinstance(into.node.value, list):
            into.node.value.append(node)
        else:
            if into.key == "<<":
                into.merged.append(node)
            else:
                into.node.value[into.key] = node
            into.key = None
        if isinstance(event, CollectionStartEvent):
            if len(self._open) >= MAX_DEPTH:
                raise _WrongError("is nested too deeply; this is not the file you mean", line, column)
            self._open.append(_Open(node))

    def _key(self, event: _Some, into: _Open, line: int, column: int) -> str:
        if not isinstance(event, ScalarEvent):
            raise _WrongError("a key must be text; no list, mapping or alias", line, column)
        key: str = event.value
        if key in into.node.value:
            first = into.node.value[key].line
            self.wrong.append((line, column, f'found duplicate key "{key}", whose value stands in line {first}; remove one'))
        return key

    def _value(self, event: ScalarEvent | CollectionStartEvent, line: int, column: int) -> Any:
        tag = event.tag.removeprefix(_TAG) if event.tag and event.tag != "!" else None
        if isinstance(event, ScalarEvent):
            try:
                core = event.implicit[0] or tag in ("int", "float", "bool", "null")
                value = plain_scalar(event.value) if core else event.value
            except ValueError:
                raise _WrongError("a number has too many digits", line, column) from None
            fits = {None: True, "str": True, "int": type(value) is int, "bool": type(value) is bool, "null": value is None}
            if tag == "float" and type(value) in (int, float):
                return float(value)
        else:
            value = {} if isinstance(event, MappingStartEvent) else []
            fits = {None: True, "map": value == {}, "seq": value == []}
        if not fits.get(tag, False):
            self.wrong.append((line, column, f"the tag {event.tag} does not fit or is not known here; remove it"))
        return value

    def _end(self, ended: _Open) -> None:
        """Put in what ``<<`` names: what the mapping has itself comes first, then the earlier of several."""
        for node in ended.merged:
            for one in node.value if isinstance(node.value, list) else [node]:
                if not isinstance(one.value, dict):
                    self.wrong.append((one.line, one.column, "<< takes a mapping, or a list of mappings"))
                    continue
                for key, value in list(one.value.items()):
                    ended.node.value.setdefault(key, value)


class _Plain:
    """Turns nodes into plain data, each use of an alias into its own, with an eye on how much that becomes."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, node: Node, depth: int) -> Any:
        """Return the plain data of a node within ``depth`` others; _WrongError when it is too much of it."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise _WrongError(f"its aliases stand for more than {MAX_VALUES} values; write out what is meant")
        if depth > MAX_DEPTH:
            raise _WrongError("an alias refers to what it stands in, or the file is nested too deeply", node.line, node.column)
        if isinstance(node.value, dict):
            return {key: self.of(value, depth + 1) for key, value in node.value.items()}
        if isinstance(node.value, list):
            return [self.of(value, depth + 1) for value in node.value]
        return node.value
