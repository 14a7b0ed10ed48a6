"""Tags from other programs' lists (TIA Portal, Kepware), put into a tag map as measured values.

A list has addresses and no blocks: its tags become further plc->gw blocks, one a data block or a run of registers, or go into
an existing block that spans their place. Every row is taken, told to be there already, or left out with its reason.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError, Problem
from gateway.core.tags import Area
from gateway.interchange.cells import Row, Section
from gateway.interchange.source import Loc, TableSource
from gateway.interchange.yaml_file import added, plain_block, plain_tag, write_map
from gateway.plc.address import BIT_AREAS, ModbusPlace, S7Place, looks_classic
from gateway.plc.layout import Shape, parse_type
from gateway.plc.map_blocks import space_of
from gateway.plc.maps import LoadedMap, check_map
from gateway.yaml_source import YamlSource, read_yaml

REACH = {"s7": 64, "register": 16, "bit": 256}
"""Bytes, registers or bits that may lie between two tags of one block; a wider gap begins a new block."""
MAX_NAME = 64
_LETTERS = {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"}


class NotTakenError(Exception):
    """A row cannot be taken; ``key`` tells the cell."""

    def __init__(self, key: str, message: str) -> None:
        """Take the field and what is wrong with it, with the remedy."""
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignTag:
    """One row that can be taken; ``name`` is still that of the list."""

    section: Section
    row: Row
    at: Mapping[str, int]
    """The column (from 0) of each of ``name``, ``type``, ``at`` …, for places in errors."""
    name: str
    type: str
    place: S7Place | ModbusPlace | None
    """Where it lies; None for a tag that names its block."""
    block: str = ""
    """An existing block that the tag is for; empty when its place decides."""
    more: Mapping[str, Any]
    """Further fields of a tag's line; those that are empty are left away."""

    def problem(self, key: str, message: str) -> Problem:
        """Return the problem in the cell of ``key``."""
        return self.section.problem(self.row.number, self.at.get(key, 0), message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A list read: what can be taken, and what is left out, each with its place, the reason and the remedy."""

    tags: tuple[ForeignTag, ...]
    left_out: tuple[Problem, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did."""

    loaded: LoadedMap
    tags: int
    blocks: tuple[str, ...]
    """Names of the new blocks."""
    left_out: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Run:
    """Tags that become one block."""

    space: int | Area
    first: int
    end: int
    tags: list[tuple[ForeignTag, dict[str, Any]]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Merged(TableSource):
    """The map as it will be: old parts have their places in the template, new ones in the list."""

    template: YamlSource

    def problem(self, loc: Sequence[str | int], message: str) -> Problem:
        """Return the problem at ``loc``, in the list or in the template."""
        listed = self._nearest(tuple(loc)) is not None
        return TableSource.problem(self, loc, message) if listed else self.template.problem(loc, message)

    def locate(self, loc: Sequence[str | int]) -> tuple[int, int]:
        """Return the row and column in the list, or line and column in the template."""
        here = TableSource.locate(self, loc)
        return here if here[0] else self.template.locate(loc)


def merge(taken: Taken, into: Path, out: Path) -> Imported:
    """Put the tags into the map ``into`` and write it to ``out``; ConfigError lists all conflicts, and nothing is written."""
    template = read_yaml(into)
    loaded = check_map(template)
    known, problems = _same_or_new(taken, loaded, template)
    notes = list(taken.notes)
    fresh = [(tag, line) for tag, line, same in known if not same]
    if same := [tag.name for tag, _, same in known if same]:
        notes.append(
            f"{len(same)} tags are in the map already, unchanged: {', '.join(same[:5])}{' …' if len(same) > 5 else ''}"
        )
    if not fresh and not problems:
        return Imported(loaded=loaded, tags=0, blocks=(), left_out=taken.left_out, notes=tuple(notes))
    blocks, inner = _grouped(fresh, loaded, template)
    merged = _Merged(path=template.path, data=_plain(template.data), template=template)
    for number, tags in inner.items():
        listed = merged.data["blocks"][number]["tags"]
        for tag, line in tags:
            _place(merged, ("blocks", number, "tags", len(listed)), tag)
            listed.append(plain_tag(line))
    for block, tags in blocks:
        at: Loc = ("blocks", len(merged.data["blocks"]))
        merged.cells[at] = (tags[0][0].section, tags[0][0].row.number, tags[0][0].at.get("at", 0))
        for j, (tag, _) in enumerate(tags):
            _place(merged, (*at, "tags", j), tag)
        merged.data["blocks"].append(plain_block(block))
    try:
        loaded = check_map(merged)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    text = added(into, [b for b, _ in blocks], {i: [line for _, line in tags] for i, tags in inner.items()})
    write_map(out, text, merged.data.__eq__)
    names = tuple(b["name"] for b, _ in blocks)
    return Imported(loaded=loaded, tags=len(fresh), blocks=names, left_out=taken.left_out, notes=tuple(notes))


def plain_name(name: str) -> str:
    """Return ``name`` as a map can hold it: letters, digits and underscores, not beginning with a digit."""
    spelled = "".join(_LETTERS.get(c, c) for c in name.strip())
    ascii_only = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", ascii_only).strip("_") or "Tag"
    return ("_" + plain if plain[0].isdigit() else plain)[:MAX_NAME]


def _same_or_new(
    taken: Taken, loaded: LoadedMap, template: YamlSource
) -> tuple[list[tuple[ForeignTag, dict[str, Any], bool]], list[Problem]]:
    """Return each tag without conflict, with its line and whether it stands in the map already; and every conflict."""
    problems: list[Problem] = []
    old = {str(t.get("name")): (i, j, t) for i, b in enumerate(template.data["blocks"]) for j, t in enumerate(b["tags"])}
    blocks = [str(b["name"]) for b in template.data["blocks"]]
    seen: dict[str, ForeignTag] = {}
    result = []
    s7 = loaded.plc.driver != "modbus"
    for tag in taken.tags:
        if tag.place is not None and isinstance(tag.place, S7Place) != s7:
            message = f"is {'a Modbus' if s7 else 'an S7'} address; the map's PLC speaks {loaded.plc.driver}: name its own map"
            problems.append(tag.problem("at", message))
            continue
        name = plain_name(tag.name)
        line = _line(tag, name)
        if name in seen:
            first = seen[name]
            message = f"{tag.name} and {first.name} (row {first.row.number}) are both {name} in the map; rename one in the list"
            problems.append(tag.problem("name", message))
        elif tag.block and tag.block not in blocks:
            known = f"there is no block {tag.block}; the map has {', '.join(blocks)}"
            problems.append(tag.problem("block", known))
        elif name in old:
            i, j, there = old[name]
            types = [str(t.get("type")).replace(" ", "") for t in (there, line)]
            same = there.get("at") == line.get("at") and types[0] == types[1]
            if not same:
                place = template.problem(("blocks", i, "tags", j), "")
                message = f"{name} is in the map already, another tag ({place.file}:{place.line}); rename or remove one of them"
                problems.append(tag.problem("name", message))
            else:
                result.append((tag, line, True))
        else:
            result.append((tag, line, False))
        seen.setdefault(name, tag)
    return result, problems


def _line(tag: ForeignTag, name: str) -> dict[str, Any]:
    more = {k: v for k, v in tag.more.items() if v not in (None, "")}
    if name != tag.name.strip():
        said = more.get("description")
        more["description"] = f"{tag.name.strip()}: {said}" if said else tag.name.strip()
    at = {"at": address_text(tag.place, tag.type)} if tag.place is not None else {}
    return {"name": name, "type": tag.type, **at, **more}


def fitting(place: S7Place | ModbusPlace, datatype: str) -> S7Place | ModbusPlace:
    """Return the place of a value of the type; ValueError when the address cannot be meant for it."""
    shape = parse_type(datatype, {})
    lone_bit = shape.base == "Bool" and not shape.count
    if isinstance(place, ModbusPlace):
        bits = place.area in BIT_AREAS
        if (bits and shape.base != "Bool") or (not bits and lone_bit != (place.bit is not None)):
            raise ValueError(f"is no place for a {datatype}; " + ("write HR:100.3" if lone_bit else "name a register"))
        return place
    if lone_bit and place.bit is None:
        raise ValueError("is no place for a Bool; a bit is written DB100.DBX4.3")
    if lone_bit:
        return place
    if place.bit or place.width not in (0, shape.size):
        raise ValueError(f"is no place for a {datatype}, which has {shape.size} bytes; correct the address or the type")
    return replace(place, bit=None)


def address_text(place: S7Place | ModbusPlace, datatype: str) -> str:
    """Return the absolute address as a map writes it."""
    if isinstance(place, ModbusPlace):
        return f"{place.area}:{place.number}" + (f".{place.bit}" if place.bit is not None else "")
    if place.bit is not None:
        return f"DB{place.db}.DBX{place.byte}.{place.bit}"
    letter = {1: "DBB{}", 2: "DBW{}", 4: "DBD{}"}.get(parse_type(datatype, {}).size, "DBX{}.0")
    return f"DB{place.db}.{letter.format(place.byte)}"


def _spans(tag: ForeignTag) -> tuple[int | Area, int, int]:
    """Return the space, the first and the last + 1 of the bytes, registers or bits of the tag."""
    shape: Shape = parse_type(tag.type, {})
    assert tag.place is not None  # noqa: S101  (those without one name their block)
    if isinstance(tag.place, S7Place):
        return tag.place.db or 0, tag.place.byte, tag.place.byte + max(1, shape.size)
    length = max(1, shape.count) if tag.place.area in BIT_AREAS else max(1, (shape.size + 1) // 2)
    return tag.place.area, tag.place.number, tag.place.number + length


Grouped = list[tuple[ForeignTag, dict[str, Any]]]


def _grouped(
    fresh: Grouped, loaded: LoadedMap, template: YamlSource
) -> tuple[list[tuple[dict[str, Any], Grouped]], dict[int, Grouped]]:
    """Return the new blocks with their tags, and the tags that go into existing blocks by the block's number."""
    number_of = {b["name"]: i for i, b in enumerate(template.data["blocks"])}
    old = [(space_of(b), b) for b in loaded.map.blocks]
    inner: dict[int, Grouped] = {}
    runs: list[_Run] = []
    for tag, line in [f for f in fresh if f[0].block]:
        inner.setdefault(number_of[tag.block], []).append((tag, line))
    for tag, line in sorted((f for f in fresh if not f[0].block), key=lambda f: _order(f[0])):
        space, first, end = _spans(tag)
        within = [b for (s, f, e), b in old if s == space and f <= first < e and b.direction == "plc->gw"]
        if within:
            inner.setdefault(number_of[within[0].name], []).append((tag, line))
            continue
        reach = REACH["s7" if isinstance(space, int) else "bit" if space in BIT_AREAS else "register"]
        run = runs[-1] if runs and runs[-1].space == space and first - runs[-1].end <= reach else None
        if run is None or any(s == space and run.end <= f < first for (s, f, _), _ in old):
            run = _Run(space=space, first=first, end=end)
            runs.append(run)
        run.end = max(run.end, end)
        run.tags.append((tag, line))
    names = {str(b["name"]) for b in template.data["blocks"]}
    blocks = []
    for run in runs:
        block = _block(run, names)
        names.add(block["name"])
        blocks.append((block, run.tags))
    return blocks, inner


def _order(tag: ForeignTag) -> tuple[str, int, int]:
    space, first, _ = _spans(tag)
    return str(space), first, (tag.place.bit if tag.place is not None else None) or 0


def _block(run: _Run, names: set[str]) -> dict[str, Any]:
    if isinstance(run.space, int):
        base, first = f"DB{run.space}", run.first - run.first % 2
        block: dict[str, Any] = {"db": run.space, "at": first or None}
    else:
        base = f"{run.space}{run.first}"
        block = {"area": run.space, "at": f"{run.space}:{run.first}" if looks_classic(run.space, run.first) else run.first}
    number = 2
    name = base
    while name in names:
        name, number = f"{base}_{number}", number + 1
    return {**block, "name": name, "dir": "plc->gw", "tags": [line for _, line in run.tags]}


def _place(merged: _Merged, loc: Loc, tag: ForeignTag) -> None:
    merged.cells[loc] = (tag.section, tag.row.number, tag.at.get("at", 0))
    for key, column in tag.at.items():
        merged.cells[(*loc, key)] = (tag.section, tag.row.number, column)


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {k: _plain(v) for k, v in data.items()}
    return [_plain(v) for v in data] if isinstance(data, list) else data
