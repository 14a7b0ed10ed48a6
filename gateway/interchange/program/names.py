"""Names of the map that a PLC's tools would refuse in the exported files, or take for another thing of the same name.

On a PLC ``Gate`` and ``GATE`` are one name. That tags, members, types and blocks differ among each other is a rule of the map
itself; here they meet what the exporter names on its own. It knows the map's file, for the places; it writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError
from gateway.core.tags import TagMap
from gateway.interchange.program.dialect import RESERVED
from gateway.interchange.program.members import udts_of
from gateway.yaml_source import read_yaml

Complaint = tuple[tuple[str, ...], str]
"""What it is about, (``tag``, name), (``block``, name), (``type``, name) or (``type``, name, member), and what is wrong."""

TIA_GLOBALS = ("FB_VisionGate", "VisionPart")
"""What the exported files name on their own, beside types and blocks of the map."""
ST_GLOBALS = (*TIA_GLOBALS, "VisionReal", "VisionLongReal", "GVL_Vision", "PRG_Vision", "Gate")

_ST_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")


def refuse(file: Path, complaints: Iterable[Complaint]) -> None:
    """ConfigError with the place in the map's file of every complaint, if there is one."""
    found = list(complaints)
    if not found:
        return
    source = read_yaml(file)
    problems = [source.problem(_place(source.data, about), message) for about, message in found]
    raise ConfigError(sorted(problems, key=lambda p: (p.line, p.column)))


def st_names(tag_map: TagMap, own: frozenset[str]) -> Iterator[Complaint]:
    """Yield names that are none in ST; ``own`` is what the function block declares itself."""
    udts = udts_of(tag_map.blocks)
    taken = {name.upper(): "the exported program's" for name in ST_GLOBALS}
    for block in tag_map.blocks:
        yield from _st_name(("block", block.name), block.name)
        copy = f"FB_{'Read' if block.direction == 'gw->plc' else 'Write'}_{block.name}"
        names = (block.name, f"{block.name}_Registers", f"ST_{block.name}", copy)
        yield from _taken(("block", block.name), names, taken)
        taken |= {name.upper(): f"block {block.name}'s in the exported program" for name in names}
        for tag in block.tags:
            yield from _st_name(("tag", tag.name), tag.name)
    inside = {name.upper(): "a variable's in FB_VisionGate" for name in own}
    for name, fields in udts.items():
        yield from _st_name(("type", name), name)
        yield from _taken(("type", name), (name,), inside | taken)
        for member in fields:
            yield from _st_name(("type", name, member.name), member.name)


def tia_names(tag_map: TagMap, data_blocks: Iterable[str]) -> Iterator[Complaint]:
    """Yield names that TIA Portal would find twice. A word of the language is no fault there: it is quoted."""
    taken = {name.upper(): "the exported program's" for name in TIA_GLOBALS}
    for name in data_blocks:
        yield from _taken(("block", name), (name,), taken)
        taken[name.upper()] = f"block {name}'s"
    for name in udts_of(tag_map.blocks):
        yield from _taken(("type", name), (name,), taken)


def _st_name(about: tuple[str, ...], name: str) -> Iterator[Complaint]:
    if name.upper() in RESERVED:
        yield about, f"{name} is a word of ST; choose another name"
    elif not _ST_NAME.fullmatch(name):
        rule = "letters, digits and single underscores between them, a letter first"
        yield about, f"{name} is no name in the exported ST, which takes {rule}; choose another"


def _taken(about: tuple[str, ...], names: Iterable[str], taken: dict[str, str]) -> Iterator[Complaint]:
    for name in names:
        if name.upper() in taken:
            yield about, f"{name} is {taken[name.upper()]} name already (capitals make no difference on a PLC); choose another"


def _place(data: Any, about: tuple[str, ...]) -> tuple[str | int, ...]:
    kind, name, *member = about
    if kind == "type":
        members = [m["name"] for m in data["types"][name]]
        return ("types", name, members.index(member[0]), "name") if member else ("types", name)
    for i, block in enumerate(data["blocks"]):
        if kind == "block" and block["name"] == name:
            return ("blocks", i, "name")
        for j, tag in enumerate(block["tags"]):
            if kind == "tag" and tag["name"] == name:
                return ("blocks", i, "tags", j, "name")
    return ("blocks",)
