"""The last configuration with which every process came up: kept beside gateway.yaml, and run when that file is wrong.

Kept is what the file named and what a person can change: its text, each line's tag map, and of each model package its place, id
and the sha256 of its manifest, which holds those of all its files. The pointer ``index.json`` is replaced last and whole, so
that a crash leaves the old one or the new one. It must not know processes, or what a configuration means.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from gateway.config import GatewayConfig, load_config
from gateway.control.config import Strict
from gateway.core.errors import ConfigError, GatewayError
from gateway.vision.package import MANIFEST, load_package

INDEX = "index.json"


class KeptModel(Strict):
    """A model package as it was."""

    path: Path
    """Its version folder."""
    id: str
    manifest_sha256: str


class Index(Strict):
    """What ``index.json`` holds."""

    format: Literal[1]
    kept_utc: str
    config: str
    """Name of the kept configuration: every path absolute, the maps those beside it."""
    written: str
    """Name of the copy of gateway.yaml as a person wrote it, for comparing."""
    sha256: dict[str, str] = Field(min_length=2)
    """Digest of every kept file by name."""
    models: list[KeptModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A configuration as it was loaded, not on disk yet."""

    folder: Path
    index: Index
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A kept configuration that may run."""

    config: GatewayConfig
    written: Path
    kept_utc: str


def folder_of(path: Path) -> Path:
    """Return where the last good configuration of this gateway.yaml is kept."""
    return path.with_name(f"{path.name}.last-good")


def snapshot(path: Path, config: GatewayConfig) -> Snapshot:
    """Return all that is to be kept of the file at ``path``, which was just loaded as ``config``.

    Raises GatewayError when a file has gone meanwhile.
    """
    files: dict[str, bytes] = {}

    def take(name: str, suffix: str, content: bytes) -> str:
        name = f"{name}-{hashlib.sha256(content).hexdigest()[:12]}{suffix}"
        files[name] = content
        return name

    models: dict[Path, KeptModel] = {}

    def pin(model: Path) -> str:
        package = load_package(model)
        digest = hashlib.sha256(_read(package.path / MANIFEST)).hexdigest()
        models[package.path] = KeptModel(path=package.path, id=package.manifest.id, manifest_sha256=digest)
        return str(package.path)

    written = take(path.stem, path.suffix, _read(path))
    data = config.model_dump(mode="json")
    for line, section in zip(config.lines, data["lines"], strict=True):
        section["plc"] = take(line.plc.stem, line.plc.suffix, _read(line.plc))
        section["model"] = pin(line.model)
        for recipe, entry in zip(line.recipes, section["recipes"], strict=True):
            entry["model"] = pin(recipe.model)
    data["opcua"]["nodesets"] = [take(nodes.stem, nodes.suffix, _read(nodes)) for nodes in config.opcua.nodesets]
    config_name = take("config", ".json", json.dumps(data, ensure_ascii=False, indent=2).encode())
    index = Index(
        format=1,
        kept_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        config=config_name,
        written=written,
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        models=list(models.values()),
    )
    return Snapshot(folder=folder_of(path), index=index, files=files)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GatewayError(f"{path}: {error.strerror}; it was there a moment ago") from None


def keep(taken: Snapshot) -> None:
    """Write it in the place of the one before; OSError when the folder cannot be written."""
    folder = taken.folder
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, content in taken.files.items():
        _write(folder / name, content)
    _write(folder / INDEX, taken.index.model_dump_json(indent=2).encode())
    for path in folder.iterdir():
        if path.name != INDEX and path.name not in taken.files:
            path.unlink()


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def restore(path: Path) -> Restored | None:
    """Return the last good configuration of this gateway.yaml, None when none was kept.

    Raises ConfigError when it is there and may not run: altered, or a model that it names is another one now.
    """
    folder = folder_of(path)
    try:
        index = Index.model_validate_json((folder / INDEX).read_bytes())
        altered = [name for name, digest in index.sha256.items() if _digest(folder / name) != digest]
        altered += [name for name in (index.config, index.written) if name not in index.sha256]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigError(f"{folder / INDEX}: {error.errors()[0]['msg']}; remove the folder") from None
    if altered:
        raise ConfigError(f"{folder}: {', '.join(altered)} was altered or removed since it was kept; remove the folder")
    for model in index.models:
        if _digest(model.path / MANIFEST) != model.manifest_sha256:
            raise ConfigError(f"{model.path}: is not the model {model.id} that was kept; put that one back")
    return Restored(config=load_config(folder / index.config), written=folder / index.written, kept_utc=index.kept_utc)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
