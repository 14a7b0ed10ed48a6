"""The graph computes what it says, for grey and for colour."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from gateway.core.errors import ConfigError
from gateway.learning.backbone import Backbone, load_backbone
from gateway.learning.graph import HeadWeights, build_graph
from gateway.vision.engine import compile_options, fixed_shapes


def _run(model: ov.Model, image: np.ndarray) -> dict[str, np.ndarray]:
    request = ov.Core().compile_model(model, "CPU", compile_options(1)).create_infer_request()
    request.infer([image[None]])
    return {name: request.get_tensor(name).data[0].copy() for port in model.outputs for name in port.get_names()}


def test_shipped_backbone_in_the_graph() -> None:
    """The embedding is the backbone's own output on normalised pixels, and maxima of its map."""
    backbone = load_backbone()
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 1), np.uint8)
    model = build_graph(backbone, 96)
    assert fixed_shapes(model)
    found = _run(model, image)["embedding"]
    network = backbone.model(96)
    request = ov.Core().compile_model(network, "CPU", compile_options(1)).create_infer_request()
    request.infer([((image / 255 - 0.5) / 0.25).astype(np.float32).reshape(1, 1, 96, 96)])
    features, grid = request.get_tensor("features").data[0], request.get_tensor("map").data[0]
    local = np.stack([cv2.blur(plane, (4, 4), anchor=(0, 0))[:-3, :-3] for plane in grid])
    expected = np.concatenate([features, grid.max((1, 2)), local.max((1, 2))])
    assert found == pytest.approx(expected, abs=2e-4)


@pytest.fixture
def colour_backbone(tmp_path: Path) -> Backbone:
    """Features: the mean of each normalised plane."""
    image = ops.parameter([1, 3, -1, -1], np.float32, name="image")
    image.output(0).set_names({"image"})
    mean = ops.reduce_mean(image, [2, 3], False)
    mean.output(0).set_names({"features"})
    ov.save_model(ov.Model([ops.result(mean)], [image]), tmp_path / "mean.xml")
    return Backbone(
        name="mean",
        xml=tmp_path / "mean.xml",
        channels=3,
        multiple_of=1,
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.25, 1.0),
        input_name="image",
        sha256={},
    )


def test_colour_planes_normalisation_and_head(colour_backbone: Backbone) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    head = HeadWeights(
        mean=np.array([1.0, 2, 3]),
        scale=np.array([2.0, 1, 4]),
        weights=np.array([[1.0, 0, -1], [0, 2, 0]]),
        bias=np.array([0.5, 0]),
    )
    found = _run(build_graph(colour_backbone, 32, head), image)
    planes = ((image / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.25, 1.0]).mean((0, 1))
    assert found["embedding"] == pytest.approx(planes, abs=1e-4)
    logits = head.weights @ ((planes - head.mean) / head.scale) + head.bias
    assert found["probabilities"] == pytest.approx(np.exp(logits) / np.exp(logits).sum(), abs=1e-5)
    grey = image @ [0.114, 0.587, 0.299]
    edges = cv2.Laplacian(grey, cv2.CV_64F)[1:-1, 1:-1]
    assert found["stats"] == pytest.approx([grey.mean(), grey.std(), edges.var() / grey.var()], rel=1e-3)


def test_backbone_without_features(colour_backbone: Backbone) -> None:
    text = colour_backbone.xml.read_text().replace('names="features"', 'names="logits"')
    colour_backbone.xml.write_text(text)
    with pytest.raises(ConfigError, match="an output named features"):
        build_graph(colour_backbone, 32)
