"""The graph of a package: u8 picture → imaging quantities, embedding, probabilities; OpenVINO operations around a backbone.

One graph serves training (up to the embedding) and the line (with the head behind it), so both see the same features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

from gateway.core.errors import ConfigError
from gateway.learning.backbone import Backbone

Doubles = npt.NDArray[np.float64]

GREY_OF_BGR = (0.114, 0.587, 0.299)
"""ITU-R BT.601 luma, the weights of OpenCV's BGR → grey."""
LOCAL = 4
"""Side of the neighbourhood of a local mean, in cells of the map."""
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
LEAST_CONTRAST2 = 1e-3
"""Keeps the sharpness of an even picture finite (and 0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadWeights:
    """A linear head: ``softmax(((embedding - mean) / scale) @ weights.T + bias)``, one row of weights a label."""

    mean: Doubles
    scale: Doubles
    weights: Doubles
    bias: Doubles


def build_graph(backbone: Backbone, size: int, head: HeadWeights | None = None) -> ov.Model:
    """Return the model: u8[1, size, size, C] → ``stats`` f32[1, 3], ``embedding`` f32[1, D], ``probabilities`` f32[1, L].

    The probabilities need a head. ConfigError when the backbone does not have the outputs it should have.
    """
    image = ops.parameter([1, size, size, backbone.channels], np.uint8, name="image")
    image.output(0).set_names({"image"})
    pixels = ops.transpose(ops.convert(image, "f32"), [0, 3, 1, 2])
    mean = 255 * np.array(backbone.mean, np.float32).reshape(1, -1, 1, 1)
    std = 255 * np.array(backbone.std, np.float32).reshape(1, -1, 1, 1)
    embedding = _embedding(backbone, size, ops.divide(ops.subtract(pixels, mean), std))
    results = [_result(_stats(pixels, backbone.channels), "stats"), _result(embedding, "embedding")]
    if head is not None:
        even = ops.divide(ops.subtract(embedding, _row(head.mean)), _row(head.scale))
        logits = ops.add(ops.matmul(even, np.float32(head.weights), False, True), _row(head.bias))
        results.append(_result(ops.softmax(logits, 1), "probabilities"))
    return ov.Model(results, [image], "gateway")


def _row(values: Doubles) -> npt.NDArray[np.float32]:
    return np.float32(values).reshape(1, -1)


def _result(node: ov.Node, name: str) -> ov.Node:
    node.output(0).set_names({name})
    return ops.result(node, name=name)


def _embedding(backbone: Backbone, size: int, pixels: ov.Node) -> ov.Node:
    """Features, and maxima of the map's cells and local means: a small defect vanishes in a mean over the whole part."""
    network = backbone.model(size)
    named = {name: output for output in network.outputs for name in output.get_names()}
    if "features" not in named or len(network.inputs) != 1:
        raise ConfigError(f"{backbone.xml}: needs one input and an output named features")
    network.inputs[0].get_node().output(0).replace(pixels.output(0))
    found = [named["features"].get_node().input_value(0)]
    if "map" in named:
        map_ = named["map"].get_node().input_value(0)
        side = [LOCAL, LOCAL]
        local = ops.avg_pool(map_, [1, 1], [0, 0], [0, 0], side, exclude_pad=True, rounding_type="floor")
        found += [ops.reduce_max(node, [2, 3], False).output(0) for node in (map_, local)]
    return ops.concat(found, 1)


def _stats(pixels: ov.Node, channels: int) -> ov.Node:
    """Mean, standard deviation, and Laplacian variance ÷ contrast² of the grey picture (0–255), before normalisation."""
    grey = pixels
    if channels == 3:
        grey = ops.reduce_sum(ops.multiply(pixels, np.array(GREY_OF_BGR, np.float32).reshape(1, 3, 1, 1)), [1], True)
    level, variance = _moments(grey)
    kernel = np.array(LAPLACIAN, np.float32).reshape(1, 1, 3, 3)
    edges = ops.convolution(grey, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    _, edge_variance = _moments(edges)
    sharpness = ops.divide(edge_variance, ops.maximum(variance, np.float32(LEAST_CONTRAST2)))
    return ops.concat([level, ops.sqrt(variance), sharpness], 1)


def _moments(plane: ov.Node) -> tuple[ov.Node, ov.Node]:
    """Mean and variance of f32[1, 1, H, W], each f32[1, 1]."""
    mean = ops.reduce_mean(plane, [2, 3], True)
    away = ops.subtract(plane, mean)
    variance = ops.reduce_mean(ops.multiply(away, away), [2, 3], False)
    return ops.reshape(mean, [1, 1], False), variance
