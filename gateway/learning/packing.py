"""Writing a model package: the graph, its golden pictures and its manifest, whole or not at all.

Everything is written into a folder with a hidden name and tried out there; only then does it get its version number as a name.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
from ruamel.yaml import YAML

from gateway.core.errors import ConfigError, ModelError
from gateway.core.frame import Pixels
from gateway.vision.engine import RT_INFO, brief, identity
from gateway.vision.manifest import Manifest
from gateway.vision.package import MANIFEST, Package, load_package, versions

GOLDEN_SIDE = 512
"""Longest side of a golden picture, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A package being written: ``folder`` is hidden until it is finished."""

    out: Path
    folder: Path
    name: str
    version: int


def check_out(out: Path) -> None:
    """Refuse with ConfigError a place where no package could be written."""
    name = out.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name) or name.isdecimal():
        raise ConfigError(f"--out {out}: {name!r} is no name for a model; use letters, digits and - _ . as in models/steel")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: is a file; give a folder, as in models/steel")
    if (out / MANIFEST).exists():
        raise ConfigError(f"--out {out}: is a version of a model; give the folder above it, a new version is made in there")


@contextmanager
def drafting(out: Path) -> Iterator[Draft]:
    """Give a hidden folder for the next version; whatever ends the block without :func:`finish` leaves nothing behind."""
    existed = out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = out / f".draft-{secrets.token_hex(4)}"
        folder.mkdir()
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written: {error.strerror}") from None
    try:
        yield Draft(out=out, folder=folder, name=out.resolve().name, version=max(versions(out), default=0) + 1)
    except OSError as error:
        raise ModelError(f"{out}: cannot be written: {error.strerror}; make room or choose another --out") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not existed and not any(out.iterdir()):
            out.rmdir()


def write_model(draft: Draft, model: ov.Model, labels: tuple[str, ...]) -> None:
    """Save the graph with full precision; it says itself which package it belongs to."""
    model.set_rt_info(identity(f"{draft.name}/{draft.version}", labels), RT_INFO)
    try:
        ov.save_model(model, draft.folder / "model.xml", compress_to_fp16=False)
    except RuntimeError as error:
        raise ModelError(f"{draft.out}: the model cannot be written: {brief(error)}; is the disk full?") from None
    (draft.folder / "golden").mkdir()


def write_golden(draft: Draft, label: str, number: int, image: Pixels) -> tuple[str, Pixels]:
    """Save a golden picture u8[H, W, C], scaled down if it is large; return its name and what was saved."""
    longest = max(image.shape[:2])
    if longest > GOLDEN_SIDE:
        share = GOLDEN_SIDE / longest
        size = (max(1, round(image.shape[1] * share)), max(1, round(image.shape[0] * share)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        image = np.asarray(small, np.uint8).reshape(size[1], size[0], image.shape[2])
    # The number makes names differ even if the labels differ only in characters that a file name cannot have.
    name = f"golden/{number}-{re.sub(r'[^A-Za-z0-9_-]', '_', label)[:60]}.png"
    if not cv2.imwrite(str(draft.folder / name), image):
        raise ModelError(f"{draft.folder / name}: cannot be written; is the disk full?")
    return name, image


def write_manifest(draft: Draft, manifest: dict[str, Any]) -> Package:
    """Write the manifest, which lacks name, version and sha256; return the draft as the line would load it."""
    files = sorted(p.relative_to(draft.folder).as_posix() for p in draft.folder.rglob("*") if p.is_file())
    digests = {name: hashlib.sha256((draft.folder / name).read_bytes()).hexdigest() for name in files}
    head = {"schema_version": 1, "name": draft.name, "version": draft.version}
    whole = Manifest.model_validate({**head, **manifest, "sha256": digests})
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    with (draft.folder / MANIFEST).open("w", encoding="utf-8") as file:
        yaml.dump(whole.model_dump(mode="json", exclude_none=True), file)
    return load_package(draft.folder)


def finish(draft: Draft) -> Path:
    """Give the draft its version's name; return its place."""
    final = draft.out / str(draft.version)
    try:
        os.rename(draft.folder, final)
    except OSError as error:
        raise ModelError(f"{final}: cannot be made: {error.strerror}; did another training just do so? run again") from None
    return final
