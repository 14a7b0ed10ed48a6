"""gateway.yaml: the whole configuration, validated once and fully, every error with file:line:column.

Paths are relative to the file. What a process needs is handed to it as JSON by :func:`make_plan`; no child reads this file.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from gateway.actions.adjust import AdjustRule
from gateway.control.config import ControlConfig, LineConfig, Strict, config_checksum
from gateway.control.recipe_check import mistakes
from gateway.core.errors import ConfigError, GatewayError, Problem
from gateway.core.tags import Address
from gateway.core.texts import is_text
from gateway.plc.map_problems import near
from gateway.plc.maps import MAX_ACK_PARTS_PER_S, LoadedMap, load_map
from gateway.services.config import OpcUaConfig, PicturesConfig, ServicesConfig
from gateway.vision.package import Package, load_package
from gateway.yaml_source import YamlSource, read_yaml

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path on Linux."""


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
    """What each process gets as its first line of stdin (JSON)."""

    controls: tuple[tuple[str, str], ...]
    captures: tuple[tuple[str, str], ...]
    services: str


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of gateway.yaml."""
    return GatewayConfig.model_json_schema()


def load_config(path: Path) -> GatewayConfig:
    """Read, validate and cross-check; ConfigError lists every problem found."""
    source = read_yaml(path)
    try:
        config = GatewayConfig.model_validate(source.data)
    except ValidationError as error:
        found = error.errors()
        said = [_spelled(p, e) for p, e in zip(source.problems(found), found, strict=True)]
        raise ConfigError(sorted(said, key=lambda p: (p.line, p.column))) from None
    base = path.resolve().parent
    config.data = base / config.data
    opcua, pictures = config.opcua, config.pictures
    opcua.pki, opcua.users = opcua.pki and base / opcua.pki, opcua.users and base / opcua.users
    opcua.nodesets = [base / path for path in opcua.nodesets]
    pictures.dir = pictures.dir and base / pictures.dir
    for line in config.lines:
        line.plc, line.model = base / line.plc, base / line.model
        for recipe in line.recipes:
            recipe.model, recipe.golden = base / recipe.model, recipe.golden and base / recipe.golden
        for camera in line.cameras:
            if camera.kind == "folder":
                camera.path = base / camera.path
            elif camera.kind == "video" and isinstance(camera.source, str):
                camera.source = str(base / camera.source)
    problems = _Check(source, config).problems()
    if problems:
        raise ConfigError(problems)
    return config


def _spelled(problem: Problem, error: ErrorDetails) -> Problem:
    """Return the problem with the key that was probably meant, when it is about an unknown one."""
    if error["type"] != "extra_forbidden":
        return problem
    *parents, key = error["loc"]
    models: list[type[BaseModel]] = [GatewayConfig]
    for name in parents:
        fields = [m.model_fields[name].annotation for m in models if name in m.model_fields]
        if fields:
            models = [m for field in fields for m in _models(field)]
        elif isinstance(name, str):  # the tag of a union
            models = [m for m in models if any(name in get_args(f.annotation) for f in m.model_fields.values())]
    hint = near(str(key), [name for m in models for name in m.model_fields])
    return replace(problem, message=f"unknown key {key!r}{hint}") if hint else problem


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections that a field may hold, also in a list, a union or beside None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in get_args(annotation) for m in _models(part)]


def nearest_folder(folder: Path) -> tuple[Path, str]:
    """Return the nearest parent of ``folder`` that exists, and why nothing can be made in it, '' when it can."""
    parent = next(p for p in folder.absolute().parents if p.exists())
    if not parent.is_dir():
        return parent, "is a file"
    if not os.access(parent, os.W_OK | os.X_OK):
        return parent, "cannot be written by this user"
    # Root may everything, and yet /proc or a read-only mount takes no folder: only a try tells.
    try:
        Path(tempfile.mkdtemp(prefix=".gateway-", dir=parent)).rmdir()
    except OSError as error:
        return parent, f"takes no folder: {error.strerror}"
    return parent, ""


class _Check:
    """What one section's model cannot see: the files that it names, and the other sections."""

    def __init__(self, source: YamlSource, config: GatewayConfig) -> None:
        self._source = source
        self._config = config
        self._problems: list[Problem] = []

    def _say(self, loc: tuple[str | int, ...], message: str) -> None:
        self._problems.append(self._source.problem(loc, message))

    def problems(self) -> list[Problem]:
        """Return every problem, those of the tag maps in their own files."""
        if self._config.data.exists() and not self._config.data.is_dir():
            self._say(("data",), "is a file; name a folder")
        elif not self._config.data.exists():
            parent, why = nearest_folder(self._config.data)
            if why:
                self._say(("data",), f"cannot be made: {parent} {why}; make the folder, or name another")
        maps = [self._line(i, line) for i, line in enumerate(self._config.lines)]
        self._one_owner(maps)
        self._nodesets(self._config.opcua.nodesets)
        return self._problems

    def _nodesets(self, paths: list[Path]) -> None:
        if not paths:
            return
        from gateway.opcua.nodeset_file import read_nodesets  # with them the OPC UA library, half a second
        from gateway.opcua.server import NAMESPACE

        try:
            read_nodesets(paths, NAMESPACE)
        except ConfigError as error:
            named = {str(path): i for i, path in reversed([*enumerate(paths)])}
            for p in error.problems:
                if p.line:
                    self._problems.append(p)
                else:  # the file as a whole: what is wrong is that it is named here
                    self._say(("opcua", "nodesets", named[p.file]), str(p))

    def _line(self, i: int, line: LineSection) -> LoadedMap | None:
        at = ("lines", i)
        loaded: LoadedMap | None = None
        try:
            loaded = load_map(line.plc)
        except ConfigError as error:
            known = set(map(str, self._problems))  # two lines may share a map
            for p in error.problems:
                if not p.line and p.file == str(line.plc):  # the file as a whole: what is wrong is that it is named here
                    self._say((*at, "plc"), str(p))
                elif str(p) not in known:
                    self._problems.append(p)
        try:
            self._channels(at, line, load_package(line.model))
        except GatewayError as error:
            self._say((*at, "model"), str(error))
        params = {t.name: t for t in loaded.map.params()} if loaded is not None else None
        for loc, words in mistakes(line, params):
            self._say((*at, *loc), words)
        if loaded is not None:
            self._rules(at, line, loaded)
            self._handshake(at, line, loaded)
        return loaded

    def _channels(self, at: tuple[str | int, ...], line: LineSection, package: Package) -> None:
        want = package.manifest.input.channels
        for j, camera in enumerate(line.cameras):
            if camera.channels != want:
                message = f"the camera gives {camera.channels} channel(s), the model {package.manifest.id} wants {want}"
                self._say((*at, "cameras", j, "channels"), message)

    def _rules(self, at: tuple[str | int, ...], line: LineSection, loaded: LoadedMap) -> None:
        params = {t.name: t for t in loaded.map.params()}
        uses = Counter(rule.tag for rule in line.adjust)
        for j, rule in enumerate(line.adjust):
            here = (*at, "adjust", j)
            if rule.tag not in params:
                known = ", ".join(params) or "none"
                self._say((*here, "tag"), f"{rule.tag} is no parameter (role: param) of {line.plc.name}; it has: {known}")
                continue
            if uses[rule.tag] > 1:
                self._say((*here, "tag"), f"two rules move {rule.tag}; each would take the other for a stranger: keep one")
            step = params[rule.tag].step
            if step is not None and abs(rule.step) > step:
                self._say((*here, "step"), f"a step of {rule.step:g} exceeds the map's limit of {step:g} for {rule.tag}")

    def _handshake(self, at: tuple[str | int, ...], line: LineSection, loaded: LoadedMap) -> None:
        rate = line.rate.parts_per_s
        if loaded.map.handshake == "ack" and rate > MAX_ACK_PARTS_PER_S:
            why = f"{line.plc.name} says handshake: ack, which serves at most {MAX_ACK_PARTS_PER_S:g} parts/s; use ring"
            self._say((*at, "rate", "parts_per_s"), f"{rate:g} parts/s: {why}")

    def _one_owner(self, maps: list[LoadedMap | None]) -> None:
        """Refuse two lines on one pair of blocks: each would find the line owned by the other."""
        seen: dict[tuple[str, Address], int] = {}
        for i, loaded in enumerate(maps):
            if loaded is None:
                continue
            device = loaded.plc.model_dump_json(exclude={"name", "order"} if loaded.plc.driver != "memory" else set())
            for block in (loaded.map.up, loaded.map.down):
                first = seen.setdefault((device, block.base), i)
                if first != i:
                    name = self._config.lines[first].name
                    self._say(("lines", i, "plc"), f"{block.name} of this PLC belongs to line {name}; a block serves one line")
                    break


def make_plan(config: GatewayConfig, runtime: Path, rejected: str = "", *, monitor_only: bool = False) -> Plan:
    """Lay out sockets and frame rings in ``runtime``, a private folder; return every process's configuration.

    ``rejected`` says what is wrong with gateway.yaml, when ``config`` is the last good one that runs in its stead.
    ``monitor_only``: nothing is to be written to a PLC, so that no rule adjusts anything either.
    GatewayError when a path is too long for a socket.
    """
    controls, captures, lines = [], [], []
    for line in config.lines:
        folder = config.data / line.name
        folder.mkdir(parents=True, exist_ok=True)
        ring = {c.name: runtime / f"{line.name}.{c.name}.ring" for c in line.cameras}
        own = {c.name: runtime / f"{line.name}.{c.name}.trigger" for c in line.cameras}
        control = ControlConfig(
            line=LineConfig.model_validate(line.model_dump(exclude={"adjust"})),
            journal=folder / "journal.db",
            records_socket=runtime / f"{line.name}.records",
            commands_socket=runtime / f"{line.name}.commands",
            frames_socket=runtime / f"{line.name}.frames",
            rings=ring,
            capture_sockets=own,
            rejected=rejected,
            monitor_only=monitor_only,
        )
        for path in (*own.values(), control.commands_socket):
            if len(str(path).encode()) > MAX_SOCKET_PATH:
                raise GatewayError(f"{path}: too long for a socket; shorten the names of line and camera")
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
    return Plan(controls=tuple(controls), captures=tuple(captures), services=services.model_dump_json())


def _services_line(line: LineSection, control: ControlConfig) -> dict[str, Any]:
    loaded, package = load_map(line.plc), load_package(line.model)
    baseline = package.manifest.imaging_baseline
    recipes = [(r, load_package(r.model).manifest) for r in line.recipes]
    return {
        "name": line.name,
        "cameras": [c.name for c in line.cameras],
        "journal": control.journal,
        "records_socket": control.records_socket,
        "commands_socket": control.commands_socket,
        "rings": control.rings,
        "params": [
            {"name": t.name, "unit": t.unit, "range": t.range, "step": t.step, "rate_per_min": t.rate_per_min}
            for t in loaded.map.params()
        ],
        "process_tags": [
            leaf.name
            for t in loaded.map.process_tags()
            if t.role != "param"
            for leaf in t.leaves()
            if not is_text(leaf.datatype)  # what services show and trend are numbers
        ],
        "model_id": package.manifest.id,
        "adjust": [] if control.monitor_only else [r.model_dump() for r in line.adjust],
        "imaging_baseline": baseline.model_dump() if baseline is not None else None,
        "recipe_baselines": {m.id: m.imaging_baseline and m.imaging_baseline.model_dump() for _, m in recipes},
        "recipes": [{"number": r.number, "name": r.name, "model_id": m.id} for r, m in recipes],
        "config_checksum": config_checksum(control.line),
    }
