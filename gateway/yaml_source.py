"""YAML with places: the plain data of a file, and the line and column of everything in it.

Used for every file that a person writes, so that every error can name its place.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.parser import Parser
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scanner import Scanner

from gateway.core.errors import ConfigError, Problem

MAX_BYTES = 4 << 20
MAX_VALUES = 100_000
"""Values in a file, each use of an alias counted: a few lines of aliases to aliases can stand for billions."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlSource:
    """A parsed file: ``data`` is plain (dict, list, str, int, float, bool, None)."""

    path: Path
    data: Any
    tree: Any

    def locate(self, loc: Sequence[str | int]) -> tuple[int, int]:
        """Return the 1-based line and column of the value at ``loc``, or of the nearest parent that exists."""
        node, place = self.tree, (1, 1)
        for key in loc:
            try:
                if isinstance(node, CommentedMap):
                    line, column = node.lc.value(key)
                elif isinstance(node, CommentedSeq) and isinstance(key, int):
                    line, column = node.lc.item(key)
                else:
                    break
                node, place = node[key], (line + 1, column + 1)
            except (KeyError, IndexError, TypeError):
                # Pydantic's union tags stand in the path but not in the file.
                continue
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
            if isinstance(node, CommentedMap) and key in node:
                node = node[key]
            elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
                node = node[key]
            elif i < len(loc) - 1:
                continue  # the tag of a union, which stands in no file
            place.append(key)
        if error["type"].startswith("union_tag"):
            place.append(str(error["ctx"]["discriminator"]).strip("'"))
        elif error["type"] == "value_error" and isinstance(node, CommentedMap):
            # A check across fields stands at the section; our messages begin with the field meant.
            field = error_text(error).split(":")[0]
            place += [field] if field in node else []
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
    loader = YAML(typ="rt", pure=True)
    loader.Scanner, loader.Parser = Scanner, Parser  # without gathering comments, which nobody asks for here
    collects = gc.isenabled()
    gc.disable()  # ten thousands of nodes that all live: to look for dead ones among them costs a sixth of the time
    try:
        tree = loader.load(text)
    except DuplicateKeyError as error:
        mark = error.problem_mark
        raise fail((error.problem or "duplicate key").split("\n")[0], mark.line + 1, mark.column + 1) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = "; YAML wants spaces, not tabs, for indentation" if "\\t" in str(error.problem) else ""
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise fail(f"is not YAML: {error.problem}{hint}", *place) from None
    except YAMLError as error:
        raise fail(f"is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise fail("is nested too deeply; this is not the file you mean") from None
    finally:
        if collects:
            gc.enable()
    if tree is None:
        raise fail("the file is empty")
    if not isinstance(tree, CommentedMap):
        raise fail("the file must hold a mapping of keys and values", 1, 1)
    try:
        return YamlSource(path=path, data=_Plain().of(tree), tree=tree)
    except RecursionError:
        raise fail("an alias refers to what it stands in, or the file is nested too deeply") from None
    except OverflowError:
        raise fail(f"its aliases stand for more than {MAX_VALUES} values; write out what is meant") from None


class _Plain:
    """Turns ruamel's nodes into plain data, with an eye on how much that becomes."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, node: Any) -> Any:
        """Return the plain data; OverflowError when it is too much of it."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise OverflowError
        if isinstance(node, dict):
            return {str(k): self.of(v) for k, v in node.items()}
        if isinstance(node, list):
            return [self.of(v) for v in node]
        if isinstance(node, bool) or node is None:
            return node
        if isinstance(node, ScalarBoolean):
            return bool(node)
        for kind in (int, float, str):
            if isinstance(node, kind):
                return kind(node)
        return node
