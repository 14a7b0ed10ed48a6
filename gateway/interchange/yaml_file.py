"""Tag maps to YAML files: a new one, or lines put into an existing one of which every other byte stays as it is.

What was written is read again and compared before it replaces anything. It knows the file's shape and no meaning.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from gateway.core.errors import ConfigError
from gateway.plc.map_file import BlockLine, MapFile, MemberLine, TagLine
from gateway.yaml_source import plain_scalar, read_yaml

Line = Mapping[str, Any]


def map_text(parsed: MapFile) -> str:
    """Return the map as YAML, one line a tag, without what is as by default."""
    data = parsed.model_dump()
    top = CommentedMap()
    for key, value in data.items():
        if key == "plc":
            top[key] = _flow({k: v for k, v in value.items() if v is not None})
        elif key == "types":
            if value:
                top[key] = CommentedMap({_short(name): _flows(MemberLine, members) for name, members in value.items()})
        elif key == "blocks":
            top[key] = CommentedSeq([_block(b) for b in value])
        elif value is not None:
            top[key] = value
    return _dump(top)


def write_map(path: Path, text: str, same: Callable[[Any], bool]) -> None:
    """Write the file whole, or not at all; ConfigError when it does not read back as the ``same``, or cannot be written."""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".yaml", dir=path.parent)
        beside = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            if not same(read_yaml(beside).data):
                raise ConfigError(f"{path}: lines cannot be put into it as it is written; write its blocks and tags one a line")
            beside.chmod(mode)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def added(path: Path, blocks: Sequence[Line], tags: Mapping[int, Sequence[Line]]) -> str:
    """Return the file's text with ``blocks`` behind its blocks, and ``tags`` behind those of the block of that number.

    The file was read and checked before. ConfigError when its lists are written in one line.
    """
    text = path.read_bytes().decode()
    root = YAML(typ="rt", pure=True).compose(text.removeprefix("\ufeff"))
    listed = _value(root, "blocks")
    inserted: list[tuple[int, int, str]] = []
    lines = text.splitlines(keepends=True)
    ending = "\r\n" if lines[0].endswith("\r\n") else "\n"

    def insert(order: int, into: Node | None, item: Any) -> None:
        if not isinstance(into, SequenceNode) or into.flow_style or not into.value:
            raise ConfigError(f"{path}: its blocks or tags stand in one line ([…]); write them one a line, then import again")
        first = lines[into.value[0].start_mark.line]
        indent = len(first) - len(first.lstrip())
        dumped = _dump(CommentedSeq([item])).splitlines()
        own = len(dumped[0]) - len(dumped[0].lstrip())
        new = "".join(" " * indent + line[own:] + ending for line in dumped)
        inserted.append((_end(into), order, new))

    for number, lines_of in tags.items():
        block = listed.value[number] if isinstance(listed, SequenceNode) and number < len(listed.value) else None
        for line in lines_of:
            insert(0, _value(block, "tags"), _of(TagLine, line))
    for block_line in blocks:
        insert(1, listed, _block(block_line))
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += ending
    for at, order, new in reversed(sorted(inserted, key=lambda i: i[:2])):
        del order
        lines.insert(at, new)
    return "".join(lines)


def plain_block(line: Line) -> dict[str, Any]:
    """Return a block as the YAML file will hold it, as plain data."""
    short = {k: _short(v) for k, v in _without_defaults(BlockLine, line).items() if k != "tags"}
    return {**short, "tags": [plain_tag(t) for t in line["tags"]]}


def plain_tag(line: Line) -> dict[str, Any]:
    """Return a tag as the YAML file will hold it, as plain data."""
    return {k: _short(v) for k, v in _without_defaults(TagLine, line).items()}


def _dump(node: Any) -> str:
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 1 << 20
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(node, out)
    return out.getvalue()


def _without_defaults(model: type[BaseModel], line: Line) -> dict[str, Any]:
    fields = model.model_fields
    order = [k for k in fields if k in line]
    return {k: line[k] for k in order if line[k] is not None and (fields[k].is_required() or line[k] != fields[k].default)}


def _of(model: type[BaseModel], line: Line) -> CommentedMap:
    node: CommentedMap = _flow(_without_defaults(model, line))
    return node


def _flows(model: type[BaseModel], lines: Sequence[Line]) -> CommentedSeq:
    seq = CommentedSeq([_of(model, line) for line in lines])
    seq.fa.set_flow_style()
    return seq


def _block(line: Line) -> CommentedMap:
    block = CommentedMap({k: _short(v) for k, v in _without_defaults(BlockLine, line).items() if k != "tags"})
    block["tags"] = CommentedSeq([_of(TagLine, t) for t in line["tags"]])
    return block


def _flow(value: Any) -> Any:
    if isinstance(value, Mapping):
        node = CommentedMap({k: _flow(v) for k, v in value.items() if v is not None})
        node.fa.set_flow_style()
        return node
    if isinstance(value, (list, tuple)):
        seq = CommentedSeq([_flow(v) for v in value])
        seq.fa.set_flow_style()
        return seq
    return _short(value)


def _short(value: Any) -> Any:
    """Return whole numbers as such, 80 for 80.0, and pairs as lists."""
    if isinstance(value, str) and (not value.isprintable() or value.startswith(("?", ":")) or _looks_other(value)):
        return DoubleQuotedScalarString(value)  # ruamel writes these bare otherwise: ?a and :a cannot be read again
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, (list, tuple)):
        return [_short(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _short(v) for k, v in value.items() if v is not None}
    return value


def _looks_other(text: str) -> bool:
    """Whether the text without quotes would be read as something else: .5e3 is a number, and no such to ruamel."""
    return len(text) > 1000 or plain_scalar(text) != text


def _value(node: Node | None, key: str) -> Node | None:
    if isinstance(node, MappingNode):
        for k, v in node.value:
            if isinstance(k, ScalarNode) and k.value == key:
                found: Node = v
                return found
    return None


def _end(node: Node) -> int:
    """Return the number of the line (from 0) before which something behind the node goes."""
    while isinstance(node, (SequenceNode, MappingNode)) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(node, MappingNode) else last
    line: int = node.end_mark.line
    folded = isinstance(node, ScalarNode) and node.style in ("|", ">") and node.end_mark.column == 0
    return line if folded else line + 1
