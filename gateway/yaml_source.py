"""YAML with places: the plain data of a file, and the line and column of everything in it.

Used for every file that a person writes, so that every error can name its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from gateway.core.errors import ConfigError, Problem

MAX_BYTES = 4 << 20


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
        raise fail(f"is not YAML: {error}") from None
    if tree is None:
        raise fail("the file is empty")
    if not isinstance(tree, CommentedMap):
        raise fail("the file must hold a mapping of keys and values", 1, 1)
    return YamlSource(path=path, data=_plain(tree), tree=tree)


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(k): _plain(v) for k, v in node.items()}
    if isinstance(node, list):
        return [_plain(v) for v in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node
