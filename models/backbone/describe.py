"""The description beside the IR, `surface-v1.yaml`: what a consumer needs to feed the model and to trust the file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from openvino import Core
from ruamel.yaml import YAML

MEAN = 0.5
"""Subtracted from grey / 255."""

STD = 0.25
"""Divides what is left."""


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_description(folder: Path, name: str, training: dict[str, Any], pretext: dict[str, float]) -> None:
    """Write `<name>.yaml` beside the IR in `folder`; shapes and digests are read from the files themselves."""
    xml, weights = folder / f"{name}.xml", folder / f"{name}.bin"
    model = Core().read_model(xml)
    image, features, grid = model.input("image"), model.output("features"), model.output("map")
    height, width = list(image.shape)[2:]
    document = {
        "name": name,
        "version": 1,
        "licence": "Apache-2.0",
        "input": {
            "name": "image",
            "channels": 1,
            "size": [height, width],
            "multiple_of": 16,
            "normalisation": {"formula": "(grey / 255 - mean) / std", "mean": [MEAN], "std": [STD]},
        },
        "outputs": {
            "features": {"dimension": features.shape[1]},
            "map": {"channels": grid.shape[1], "stride": height // grid.shape[2]},
        },
        "sha256": {xml.name: sha256(xml), weights.name: sha256(weights)},
        "training": training,
        "pretext": pretext,
    }
    _write(folder / f"{name}.yaml", document)


def record(path: Path, command: str, result: list[str]) -> None:
    """Put a measurement into the description at `path`; the same command's earlier result is replaced."""
    document = YAML().load(path)
    earlier = [m for m in document.get("measured", []) if m["command"] != command]
    document["measured"] = [*earlier, {"command": command, "result": result}]
    _write(path, document)


def _write(path: Path, document: dict[str, Any]) -> None:
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)
