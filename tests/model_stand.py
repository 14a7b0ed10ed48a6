"""Synthetic surfaces, a package trained on them, and packages with a graph of the test's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from gateway.learning.packing import drafting, finish, write_manifest, write_model
from gateway.learning.train import TrainOptions, TrainReport, train

LABELS = ("dot", "good", "line")
SIZE = 96


def surface(label: str, rng: np.random.Generator) -> np.ndarray:
    """Return u8[64, 80, 1]: grey noise, with a dark disc or a bright stripe by label."""
    image = rng.normal(128, 8, (64, 80))
    if label == "dot":
        x, y = rng.integers(20, 60), rng.integers(20, 44)
        cv2.circle(image, (int(x), int(y)), 9, 40.0, -1)
    if label == "line":
        y = int(rng.integers(10, 54))
        image[y : y + 4] = 220
    return np.clip(image, 0, 255).astype(np.uint8)[:, :, None]


def write_surfaces(folder: Path, each: int = 8, seed: int = 0) -> Path:
    """Write a folder a class of ``each`` pictures and return it."""
    rng = np.random.default_rng(seed)
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for i in range(each):
            cv2.imwrite(str(folder / label / f"{label}_{i}.png"), surface(label, rng))
    return folder


@pytest.fixture(scope="session")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a class; do not write into it."""
    return write_surfaces(tmp_path_factory.mktemp("surfaces") / "train")


@pytest.fixture(scope="session")
def trained(surfaces: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainReport:
    """A package trained on them; do not write into it."""
    out = tmp_path_factory.mktemp("models") / "surface"
    return train(TrainOptions(folder=surfaces, out=out, passing=("good",), size=SIZE))


@pytest.fixture
def package_folder(trained: TrainReport, tmp_path: Path) -> Path:
    """A copy of the package, to be spoiled."""
    return Path(shutil.copytree(trained.package, tmp_path / "models" / "surface" / "1"))


def edit(package: Path, old: str, new: str) -> None:
    """Replace text that occurs in the package's manifest."""
    path = package / "manifest.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def custom_package(out: Path, model: ov.Model, *, channels: int, size: int, layout: str, labels: tuple[str, ...]) -> Path:
    """Write a package around any graph; the first label passes."""
    with drafting(out) as draft:
        write_model(draft, model, labels)
        name = "golden/0.png"
        cv2.imwrite(str(draft.folder / name), np.zeros((size, size, channels), np.uint8))
        manifest: dict[str, Any] = {
            "input": {
                "layout": layout,
                "channels": channels,
                "height": size,
                "width": size,
                "normalisation": {"mean": [0.0] * channels, "std": [1.0] * channels},
            },
            "labels": [{"name": k, "disposition": "reject" if i else "pass"} for i, k in enumerate(labels)],
            "thresholds": {labels[0]: 0.5},
            "threshold_rule": "none",
            "hints": {"inference_precision": "f32", "performance": "LATENCY"},
            "training": {
                "data_sha256": "0" * 64,
                "counts": {},
                "backbone": {"name": "none", "sha256": {}},
                "recipe": {},
                "seed": 0,
                "final_head": "none",
                "gateway": "0",
                "created": "never",
            },
            "golden": [{"file": name, "label": labels[0], "probabilities": dict.fromkeys(labels, 1 / len(labels))}],
        }
        write_manifest(draft, manifest)
        return finish(draft)


def graph(image: ov.Node, probabilities: ov.Node) -> ov.Model:
    """Return a model with these probabilities; stats and embedding are constants."""
    image.output(0).set_names({"image"})
    nodes = {
        "probabilities": probabilities,
        "stats": ops.add(ops.constant(np.zeros((1, 3), np.float32)), np.float32(1)),
        "embedding": ops.add(ops.constant(np.zeros((1, 4), np.float32)), np.float32(1)),
    }
    for name, node in nodes.items():
        node.output(0).set_names({name})
    return ov.Model([ops.result(node) for node in nodes.values()], [image], "test")
