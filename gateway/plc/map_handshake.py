"""The handshake's fixed part of every map: which roles, named and typed how, lie where. Read from plc_maps/handshake.yaml.

Apart from the map's checks because the exporters and the PLC programs build on it too.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.core.tags import Block
from gateway.plc.map_file import MapFile
from gateway.plc.map_problems import Loc, Report, near
from gateway.yaml_source import read_yaml

ROLES_WITHOUT_PLACE = ("", "param", "process")
#: Optional roles of measured blocks, with their type; n in String[n] is the map's choice.
TRACE_ROLES: Mapping[str, str] = {
    "trace.part": "UDInt",
    "trace.serial": "String[n]",
    "trace.lot": "String[n]",
    "trace.product": "String[n]",
    "trace.carrier": "String[n]",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One role of the handshake: what its tag must be."""

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


def handshake_layout() -> dict[str, dict[str, Wanted]]:
    """Return the fixed layout: ``up`` and ``down``, each role → name, type, byte offset and section."""
    data = _handshake_file()
    return {
        block: {
            t["role"]: Wanted(name=t["name"], type=t["type"], at=t["at"], section=t.get("section", "up")) for t in data[block]
        }
        for block in ("up", "down")
    }


def handshake_types() -> dict[str, list[tuple[str, str]]]:
    """Return the UDTs that the handshake fixes, as (member, type)."""
    return {k: [(m["name"], m["type"]) for m in v] for k, v in _handshake_file()["types"].items()}


def find_up(file: MapFile) -> int:
    """Return the index of the handshake's plc->gw block: the first that plays a role of it, else the first plc->gw block."""
    upward = [i for i, b in enumerate(file.blocks) if b.dir == "plc->gw"]
    roles = handshake_layout()["up"]
    return next((i for i in upward if any(t.role in roles for t in file.blocks[i].tags)), upward[0])


def check_handshake(file: MapFile, report: Report, placed: Mapping[int, Block], up: int, down: int) -> None:
    """Report every role that is missing, or is not what and where the handshake wants it. ``placed``: blocks by index."""
    wanted = handshake_layout()
    for key, i in (("up", up), ("down", down)):
        lines: dict[str, int] = {}
        for j, t in enumerate(file.blocks[i].tags):
            lines.setdefault(t.role, j)
        tags = {t.role: t for t in reversed(placed[i].tags)}
        for role, want in wanted[key].items():
            nameless = [j for j, t in enumerate(file.blocks[i].tags) if t.name == want.name and not t.role]
            if role not in lines and nameless:
                report.say(("blocks", i, "tags", nameless[0], "role"), f"{want.name} lacks `role: {role}`; add it")
                continue
            if role not in lines:
                where = f"{{name: {want.name}, type: {want.type}, role: {role}}} at byte {want.at}"
                report.say(("blocks", i), f"the handshake's role {role} is missing; add {where}")
                continue
            at: Loc = ("blocks", i, "tags", lines[role])
            tag, line = tags.get(role), file.blocks[i].tags[lines[role]]
            if line.type.replace(" ", "") != want.type.replace(" ", ""):
                report.say((*at, "type"), f"role {role} has type {want.type}, not {line.type}")
            if line.name != want.name:
                report.say((*at, "name"), f"role {role} is named {want.name}, not {line.name}")
            if tag is not None and tag.offset != want.at:
                report.say(at, f"role {role} must lie at byte {want.at}, it lies at {tag.offset}")
            if tag is not None and tag.order is not None:
                report.say((*at, "order"), f"role {role} lies as plc.order says; remove its own order")
    _roles(file, report, up, down)
    for name, members in handshake_types().items():
        have = {k: [(m.name, m.type) for m in v] for k, v in file.types.items()}
        if name in have and have[name] != members:
            wanted_members = ", ".join(f"{member}: {datatype}" for member, datatype in members)
            report.say(("types", name), f"the handshake's {name} has the members {wanted_members}")


def _roles(file: MapFile, report: Report, up: int, down: int) -> None:
    wanted = handshake_layout()
    for i, block in enumerate(file.blocks):
        known = [*ROLES_WITHOUT_PLACE[1:], *(TRACE_ROLES if i != down else ())]
        known += wanted["up"] if i == up else wanted["down"] if i == down else ()
        for j, t in enumerate(block.tags):
            at: Loc = ("blocks", i, "tags", j, "role")
            if not t.role or t.role in known:
                continue
            if t.role in wanted["up"] and i != down:
                report.say(at, f"role {t.role} belongs to the handshake's block {file.blocks[up].name}")
            else:
                report.say(at, f"unknown role {t.role!r} in a {block.dir} block{near(t.role, known)}")
