"""gateway.yaml: the whole configuration, validated once and fully, every error with file:line:column.

Paths are relative to the file. What a process needs is handed to it as JSON by :func:`make_plan`; no child reads this file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from gateway.actions.adjust import AdjustRule
from gateway.control.config import ControlConfig, LineConfig, Strict
from gateway.core.errors import ConfigError, GatewayError, Problem
from gateway.frames import ring_folder
from gateway.plc.maps import LoadedMap, load_map
from gateway.plc.yaml_source import YamlSource, read_yaml
from gateway.services.config import OpcUaConfig, PicturesConfig, ServicesConfig
from gateway.vision.package import Package, load_package


class LineSection(LineConfig):
    """A line as a person writes it: what control needs, and the rules that services apply to it."""

    adjust: list[AdjustRule] = Field(default_factory=list)
    """Guarded adjustments; each names a parameter of the tag map."""


class GatewayConfig(Strict):
    """The root of gateway.yaml."""

    data: Path
    """Folder for journals, ops.db, pictures and keys."""
    lines: list[LineSection] = Field(min_length=1, max_length=16)
    opcua: OpcUaConfig = Field(default_factory=OpcUaConfig)
    pictures: PicturesConfig = Field(default_factory=PicturesConfig)

    @model_validator(mode="after")
    def _names_differ(self) -> GatewayConfig:
        names = [line.name for line in self.lines]
        if len(set(names)) != len(names):
            raise ValueError(f"lines: the name {max(names, key=names.count)!r} is used twice; records are kept by line name")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What each process gets as its first line of stdin (JSON), and the ring files to remove at the end."""

    controls: tuple[tuple[str, str], ...]
    captures: tuple[tuple[str, str], ...]
    services: str
    rings: tuple[Path, ...]


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of gateway.yaml."""
    return GatewayConfig.model_json_schema()


def load_config(path: Path) -> GatewayConfig:
    """Read, validate and cross-check; ConfigError lists every problem found."""
    source = read_yaml(path)
    try:
        config = GatewayConfig.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError([_problem(source, e["loc"], e["msg"]) for e in error.errors()]) from None
    base = path.resolve().parent
    config.data = base / config.data
    problems: list[Problem] = []
    for i, line in enumerate(config.lines):
        line.plc, line.model = base / line.plc, base / line.model
        for camera in line.cameras:
            if hasattr(camera, "path"):
                camera.path = base / camera.path
        _check_line(source, i, line, problems)
    if problems:
        raise ConfigError(problems)
    return config


def _check_line(source: YamlSource, i: int, line: LineSection, problems: list[Problem]) -> None:
    at: tuple[str | int, ...] = ("lines", i)
    loaded: LoadedMap | None = None
    package: Package | None = None
    try:
        loaded = load_map(line.plc)
    except ConfigError as error:
        problems.extend(error.problems or [_problem(source, (*at, "plc"), str(error))])
    try:
        package = load_package(line.model)
    except GatewayError as error:
        problems.append(_problem(source, (*at, "model"), str(error)))
    if package is not None:
        want = package.manifest.input.channels
        for j, camera in enumerate(line.cameras):
            if camera.channels != want:
                message = f"the camera gives {camera.channels} channel(s), the model {package.manifest.id} wants {want}"
                problems.append(_problem(source, (*at, "cameras", j, "channels"), message))
    if loaded is not None:
        params = {t.name: t for t in loaded.map.params()}
        for j, rule in enumerate(line.adjust):
            if rule.tag not in params:
                known = ", ".join(params) or "none"
                message = f"{rule.tag} is no parameter (role: param) of {line.plc.name}; it has: {known}"
                problems.append(_problem(source, (*at, "adjust", j, "tag"), message))
                continue
            step = params[rule.tag].step
            if step is not None and abs(rule.step) > step:
                message = f"a step of {rule.step:g} exceeds the map's limit of {step:g} for {rule.tag}"
                problems.append(_problem(source, (*at, "adjust", j, "step"), message))


def _problem(source: YamlSource, loc: Sequence[str | int], message: str) -> Problem:
    line, column = source.locate(loc)
    path = ".".join(str(p) for p in loc)
    return Problem(file=str(source.path), line=line, column=column, path=path, message=message.removeprefix("Value error, "))


def make_plan(config: GatewayConfig, runtime: Path) -> Plan:
    """Lay out sockets (in ``runtime``, a private folder with a short path) and rings; return every process's configuration."""
    controls, captures, lines, rings = [], [], [], []
    tag = hashlib.sha256(str(config.data).encode()).hexdigest()[:8]
    for line in config.lines:
        folder = config.data / line.name
        folder.mkdir(parents=True, exist_ok=True)
        ring = {c.name: ring_folder() / f"vg-{tag}-{line.name}-{c.name}" for c in line.cameras}
        rings.extend(ring.values())
        own = {c.name: runtime / f"{line.name}.{c.name}.trigger" for c in line.cameras}
        control = ControlConfig(
            line=LineConfig.model_validate(line.model_dump(exclude={"adjust"})),
            journal=folder / "journal.db",
            records_socket=runtime / f"{line.name}.records",
            commands_socket=runtime / f"{line.name}.commands",
            frames_socket=runtime / f"{line.name}.frames",
            rings=ring,
            capture_sockets=own,
        )
        controls.append((line.name, control.model_dump_json()))
        for c in line.cameras:
            capture = {
                "camera": json.loads(c.model_dump_json()),
                "ring": str(ring[c.name]),
                "control_socket": str(control.frames_socket),
                "own_socket": str(own[c.name]),
            }
            captures.append((f"{line.name}.{c.name}", json.dumps(capture)))
        lines.append(_services_line(line, control))
    services = ServicesConfig.model_validate(
        {
            "data_dir": config.data,
            "lines": lines,
            "opcua": config.opcua.model_dump(),
            "pictures": config.pictures.model_dump(),
        }
    )
    return Plan(controls=tuple(controls), captures=tuple(captures), services=services.model_dump_json(), rings=tuple(rings))


def _services_line(line: LineSection, control: ControlConfig) -> dict[str, Any]:
    loaded, package = load_map(line.plc), load_package(line.model)
    baseline = package.manifest.imaging_baseline
    return {
        "name": line.name,
        "cameras": [c.name for c in line.cameras],
        "journal": control.journal,
        "records_socket": control.records_socket,
        "commands_socket": control.commands_socket,
        "rings": control.rings,
        "params": [
            {"name": t.name, "unit": t.unit, "range": t.range, "step": t.step} for t in loaded.map.params()
        ],
        "process_tags": [leaf.name for t in loaded.map.process_tags() if t.role != "param" for leaf in t.leaves()],
        "model_id": package.manifest.id,
        "adjust": [r.model_dump() for r in line.adjust],
        "imaging_baseline": baseline.model_dump() if baseline is not None else None,
    }
