"""Tag maps: from a YAML file that a controls engineer edits to a checked :class:`TagMap`, and the driver it names.

All errors are collected and name file, line, column and the remedy. What is an address is computed here; what a byte means is
the codec's affair.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.core.errors import ConfigError, Problem
from gateway.core.tags import ELEMENTARY, Block, Direction, ModbusAddress, S7Address, Scale, Tag, TagMap, interface_checksum
from gateway.plc.layout import Cursor, Shape, Udt, element_type, layout_udt, parse_type
from gateway.plc.map_file import BlockLine, MapFile, MemoryConfig, ModbusConfig, S7Config, TagLine
from gateway.yaml_source import YamlSource, read_yaml

Loc = tuple[str | int, ...]
MAX_UP_BYTES = {"s7": 222, "modbus": 250, "memory": 250}
ROLES_WITHOUT_PLACE = ("", "param", "process")
MAX_REAL = 3.4e38
_INT_RANGES = {"SInt": (-128, 127), "USInt": (0, 255), "Byte": (0, 255), "Int": (-32768, 32767), "UInt": (0, 65535)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedMap:
    """A checked map, the PLC it belongs to, and its InterfaceChecksum."""

    map: TagMap
    plc: S7Config | ModbusConfig | MemoryConfig
    checksum: int


def map_schema() -> dict[str, Any]:
    """Return the JSON Schema of a tag map, for editors."""
    return MapFile.model_json_schema()


def load_map(path: Path | str) -> LoadedMap:
    """Load and check a tag map; ConfigError lists everything that is wrong with it."""
    source = read_yaml(Path(path))
    try:
        parsed = MapFile.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError(_sorted(source.problems(error.errors()))) from None
    return _Check(source, parsed).load()


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda p: (p.line, p.column))


class _Check:
    """Collects problems while the blocks are laid out."""

    def __init__(self, source: YamlSource, parsed: MapFile) -> None:
        self._source = source
        self._file = parsed
        self._problems: list[Problem] = []
        self._broken: set[str] = set()

    def _say(self, loc: Loc, message: str) -> None:
        self._problems.append(self._source.problem(loc, message))

    def load(self) -> LoadedMap:
        types = self._types()
        blocks = [self._block(i, line, types) for i, line in enumerate(self._file.blocks)]
        by_dir = {b.direction: b for b in blocks}
        if len(by_dir) != 2:
            self._say(("blocks", 1, "dir"), "one block must be plc->gw and the other gw->plc: each byte has one writer")
            raise ConfigError(_sorted(self._problems))
        up, down = by_dir["plc->gw"], by_dir["gw->plc"]
        self._names_and_roles()
        self._handshake(up, down)
        self._sizes(up, down)
        if self._problems:
            raise ConfigError(_sorted(self._problems))
        plc = self._file.plc
        roles = {t.role: t for b in (up, down) for t in b.tags if t.role not in ROLES_WITHOUT_PLACE}
        tag_map = TagMap(name=plc.name, order=plc.order, up=up, down=down, file=str(self._source.path), roles=roles)
        return LoadedMap(map=tag_map, plc=plc, checksum=interface_checksum(up, down))

    def _types(self) -> dict[str, Udt]:
        types: dict[str, Udt] = {}
        for name, members in self._file.types.items():
            try:
                if name in ELEMENTARY:
                    raise ValueError(f"{name} is the name of an elementary type; choose another for the UDT")
                types[name] = layout_udt([(m.name, m.type) for m in members])
            except ValueError as error:
                self._broken.add(name)
                self._say(("types", name), str(error))
        return types

    def _block(self, i: int, line: BlockLine, types: Mapping[str, Udt]) -> Block:
        at: Loc = ("blocks", i)
        base: S7Address | ModbusAddress
        if self._file.plc.driver == "modbus":
            if line.area is None or line.at is None:
                self._say(at, "a Modbus block needs area (HR) and at (first register, 0-based)")
            if line.db is not None:
                self._say((*at, "db"), "a Modbus block has no db; use area and at")
            base = ModbusAddress(area="HR", register=line.at or 0)
        else:
            if line.db is None:
                self._say(at, "an S7 block needs db (its number)")
            if line.area is not None or line.at is not None:
                self._say(at, "an S7 block has no area and at; use db")
            base = S7Address(db=line.db or 1, byte=0)
        cursor = Cursor()
        tags = [t for j, tag in enumerate(line.tags) if (t := self._tag((*at, "tags", j), tag, types, cursor, line.dir))]
        return Block(name=line.name, base=base, direction=line.dir, tags=tuple(tags), size=cursor.size)

    def _tag(self, at: Loc, line: TagLine, types: Mapping[str, Udt], cursor: Cursor, direction: Direction) -> Tag | None:
        try:
            shape = parse_type(line.type, types)
        except ValueError as error:
            if element_type(line.type) not in self._broken:  # what is wrong with it was said where it is defined
                self._say((*at, "type"), str(error))
            return None
        try:
            offset, bit, size = cursor.place(line.name, shape, line.at)
        except ValueError as error:
            self._say((*at, "at") if line.at is not None else at, f"{line.name}: {error}")
            return None
        self._limits(at, line, shape, direction)
        scale = Scale(raw=line.scale.raw, eng=line.scale.eng) if line.scale else None
        return Tag(
            name=line.name,
            datatype=shape.base,
            offset=offset,
            bit=bit,
            count=shape.count,
            fields=shape.fields,
            size=size,
            role=line.role,
            unit=line.unit,
            range=line.range,
            step=line.step,
            rate_per_min=line.rate_per_min,
            scale=scale,
        )

    def _limits(self, at: Loc, line: TagLine, shape: Shape, direction: Direction) -> None:
        if line.scale is not None and (line.scale.raw[0] == line.scale.raw[1] or shape.fields or shape.base == "Bool"):
            self._say((*at, "scale"), "scaling needs two different raw values and a number to scale")
        if line.scale is not None and line.role not in ROLES_WITHOUT_PLACE:
            self._say((*at, "scale"), f"role {line.role} is no measured value; remove its scaling")
        if line.range is not None:
            low, high = line.range
            if not low < high:
                self._say((*at, "range"), f"the range must rise, {low:g} … {high:g} does not")
            elif line.scale is None and shape.base in _INT_RANGES:
                least, most = _INT_RANGES[shape.base]
                if low < least or high > most:
                    self._say((*at, "range"), f"{low:g} … {high:g} does not fit into {shape.base} ({least} … {most})")
            if line.step is not None and low < high and line.step > high - low:
                self._say((*at, "step"), f"a step of {line.step:g} is larger than the range")
        if line.role == "process" and direction != "plc->gw":
            self._say((*at, "role"), "a measured value lies in the plc->gw block; the gateway writes none")
        if line.role == "param":
            missing = [k for k in ("unit", "range", "step", "rate_per_min") if not getattr(line, k)]
            if missing:
                self._say(at, f"{line.name}: a parameter needs {', '.join(missing)}")
            if line.range is not None and max(map(abs, line.range)) > MAX_REAL:
                self._say((*at, "range"), f"a request carries the value as a Real, which ends at {MAX_REAL:g}")
            if direction != "plc->gw":
                self._say((*at, "role"), "parameters lie in the plc->gw block: the PLC owns them, changes go by request")
            if shape.base == "Bool" or shape.count or shape.fields:
                self._say((*at, "type"), "a parameter is one number")

    def _names_and_roles(self) -> None:
        names: dict[str, Loc] = {}
        roles: dict[str, Loc] = {}
        for i, block in enumerate(self._file.blocks):
            for j, tag in enumerate(block.tags):
                at: Loc = ("blocks", i, "tags", j)
                if tag.name in names:
                    self._say((*at, "name"), f"{tag.name} is the name of another tag (line {self._line(names[tag.name])})")
                names.setdefault(tag.name, at)
                if tag.role in ROLES_WITHOUT_PLACE:
                    continue
                if tag.role in roles:
                    self._say((*at, "role"), f"{tag.role} is the role of another tag (line {self._line(roles[tag.role])})")
                roles.setdefault(tag.role, at)

    def _line(self, loc: Loc) -> int:
        return self._source.locate(loc)[0]

    def _handshake(self, up: Block, down: Block) -> None:
        wanted = handshake_layout()
        for key, block in (("up", up), ("down", down)):
            i = 0 if self._file.blocks[0].dir == block.direction else 1
            lines: dict[str, int] = {}
            for j, t in enumerate(self._file.blocks[i].tags):
                lines.setdefault(t.role, j)
            placed = {t.role: t for t in reversed(block.tags)}
            for role, want in wanted[key].items():
                if role not in lines:
                    where = f"{{name: {want.name}, type: {want.type}, role: {role}}} at byte {want.at}"
                    self._say(("blocks", i), f"the handshake's role {role} is missing; add {where}")
                    continue
                at: Loc = ("blocks", i, "tags", lines[role])
                tag, line = placed.get(role), self._file.blocks[i].tags[lines[role]]
                if line.type.replace(" ", "") != want.type.replace(" ", ""):
                    self._say((*at, "type"), f"role {role} has type {want.type}, not {line.type}")
                if line.name != want.name:
                    self._say((*at, "name"), f"role {role} is named {want.name}, not {line.name}")
                if tag is not None and tag.offset != want.at:
                    self._say(at, f"role {role} must lie at byte {want.at}, it lies at {tag.offset}")
            for role, j in lines.items():
                if role not in wanted[key] and role not in ROLES_WITHOUT_PLACE:
                    self._say(("blocks", i, "tags", j, "role"), f"unknown role {role!r} in a {block.direction} block")
        for name, members in handshake_types().items():
            have = {k: [(m.name, m.type) for m in v] for k, v in self._file.types.items()}
            if name in have and have[name] != members:
                wanted_members = ", ".join(f"{member}: {datatype}" for member, datatype in members)
                self._say(("types", name), f"the handshake's {name} has the members {wanted_members}")

    def _sizes(self, up: Block, down: Block) -> None:
        most = MAX_UP_BYTES[self._file.plc.driver]
        if up.size > most:
            i = 0 if self._file.blocks[0].dir == "plc->gw" else 1
            self._say(("blocks", i), f"{up.name} has {up.size} bytes, one request carries {most}; drop or move process tags")
        addressed = all(b.at is not None for b in self._file.blocks)
        if addressed and isinstance(up.base, ModbusAddress) and isinstance(down.base, ModbusAddress):
            ends = [(b.base.register, b.base.register + b.size // 2) for b in (up, down) if isinstance(b.base, ModbusAddress)]
            if ends[0][0] < ends[1][1] and ends[1][0] < ends[0][1]:
                self._say(
                    ("blocks", 1, "at"), f"the blocks overlap (registers {ends[0]} and {ends[1]}): two writers of one register"
                )
            if max(e for _, e in ends) > 65536:
                self._say(("blocks", 1, "at"), "the block ends beyond register 65535")
        if isinstance(up.base, S7Address) and isinstance(down.base, S7Address) and up.base.db == down.base.db:
            self._say(
                ("blocks", 1, "db"),
                f"both blocks lie in DB{up.base.db}: one block a direction, so that no byte has two writers",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    name: str
    type: str
    at: int
    section: str
    """Which part of the down block is written together; the up block is read as one."""


@functools.cache
def _handshake_file() -> dict[str, Any]:
    beside = Path(__file__).with_name("handshake.yaml")
    source = Path(__file__).resolve().parents[2] / "plc_maps" / "handshake.yaml"
    data: dict[str, Any] = read_yaml(beside if beside.exists() else source).data
    return data


def handshake_layout() -> dict[str, dict[str, _Wanted]]:
    """Return the fixed layout: ``up`` and ``down``, each role → name, type, byte offset and section."""
    data = _handshake_file()
    return {
        block: {
            t["role"]: _Wanted(name=t["name"], type=t["type"], at=t["at"], section=t.get("section", "up")) for t in data[block]
        }
        for block in ("up", "down")
    }


def handshake_types() -> dict[str, list[tuple[str, str]]]:
    """Return the UDTs that the handshake fixes, as (member, type)."""
    return {k: [(m["name"], m["type"]) for m in v] for k, v in _handshake_file()["types"].items()}
