"""Tag maps: from a YAML file that a controls engineer edits to a checked :class:`TagMap`, and the driver it names.

All errors are collected and name file, line, column and the remedy. What is an address is computed here; what a byte means is
the codec's affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError
from gateway.core.tags import TagMap, interface_checksum
from gateway.plc.map_blocks import Blocks
from gateway.plc.map_file import MapFile, MemoryConfig, ModbusConfig, S7Config
from gateway.plc.map_handshake import ROLES_WITHOUT_PLACE, check_handshake, find_up, handshake_layout, handshake_types
from gateway.plc.map_problems import Report
from gateway.plc.map_rules import check_limits, check_names_and_roles, check_sizes, check_trace, check_writers
from gateway.yaml_source import Source, read_yaml

__all__ = ["MAX_ACK_PARTS_PER_S", "LoadedMap", "check_map", "handshake_layout", "handshake_types", "load_map", "map_schema"]

MAX_ACK_PARTS_PER_S = 15.0
"""The classic exchange has several turns for each part; the token ring has none."""


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
    return check_map(read_yaml(Path(path)))


def check_map(source: Source) -> LoadedMap:
    """Check a tag map that was read; ConfigError lists everything that is wrong with it."""
    report = Report(source)
    file = report.validate()
    loaded = _checked(file, report, str(source.path)) if file is not None else None
    if report.problems or loaded is None:
        raise ConfigError(report.sorted())
    return loaded


def _checked(file: MapFile, report: Report, path: str) -> LoadedMap | None:
    laid_out = Blocks(file, report)
    blocks = laid_out.blocks
    downward = [i for i, b in enumerate(file.blocks) if b.dir == "gw->plc"]
    check_names_and_roles(file, report)
    if len(downward) in (0, len(file.blocks)):
        report.say(("blocks", 1, "dir"), "one block must be plc->gw and the other gw->plc: each byte has one writer")
        return None
    for i in downward[1:]:
        report.say(("blocks", i, "dir"), "a second gw->plc block; the gateway writes one, all others are plc->gw")
    up, down = find_up(file), downward[0]
    for i, line in enumerate(file.blocks):
        for j, tag in enumerate(line.tags):
            at = ("blocks", i, "tags", j)
            if at in laid_out.shapes:
                modbus = file.plc.driver != "s7"
                check_limits(
                    at, tag, laid_out.shapes[at], in_up=i == up, upward=line.dir == "plc->gw", modbus=modbus, report=report
                )
    check_handshake(file, report, dict(enumerate(blocks)), up, down)
    check_trace(file, blocks, report)
    check_sizes(file, blocks, up, down, report)
    check_writers(blocks, laid_out.addressed, down, report)
    if report.problems:
        return None
    roles = {t.role: t for b in blocks for t in b.tags if t.role not in ROLES_WITHOUT_PLACE}
    tag_map = TagMap(
        name=file.plc.name,
        order=file.plc.order,
        up=blocks[up],
        down=blocks[down],
        extra=tuple(b for i, b in enumerate(blocks) if i not in (up, down)),
        handshake=file.handshake,
        file=path,
        roles=roles,
    )
    return LoadedMap(map=tag_map, plc=file.plc, checksum=interface_checksum(*tag_map.blocks))
