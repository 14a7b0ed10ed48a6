"""Pictures to features, through the same graph that will serve on the line, several at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import openvino as ov

from gateway.core.frame import Pixels
from gateway.learning.backbone import Backbone
from gateway.learning.graph import build_graph

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


class Extractor:
    """A backbone at one input size."""

    def __init__(self, backbone: Backbone, size: int) -> None:
        """Compile for as many pictures at a time as the machine has cores."""
        self._cores = len(os.sched_getaffinity(0))
        options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": self._cores}
        self._compiled = ov.Core().compile_model(build_graph(backbone, size), "CPU", options)

    def run(
        self, pictures: Pixels, tick: Callable[[int, int], None], alter: Callable[[Pixels], Pixels] | None = None
    ) -> tuple[Doubles, Doubles]:
        """Return embeddings f64[n, D] and imaging quantities f64[n, 3] of u8[n, H, W, C] at the model's size.

        ``alter`` changes each picture u8[H, W, C] first; ``tick`` gets how many of how many are done.
        """
        count = len(pictures)
        embeddings: list[Floats | None] = [None] * count
        stats: list[Floats | None] = [None] * count

        def keep(request: ov.InferRequest, i: int) -> None:
            embeddings[i] = request.get_tensor("embedding").data[0].copy()
            stats[i] = request.get_tensor("stats").data[0].copy()

        queue = ov.AsyncInferQueue(self._compiled, self._cores)
        queue.set_callback(keep)
        for i in range(count):
            picture = alter(pictures[i]) if alter else pictures[i]
            queue.start_async([np.ascontiguousarray(picture[None])], i)
            tick(i + 1, count)
        queue.wait_all()
        return _stacked(embeddings), _stacked(stats)


def _stacked(rows: Sequence[Floats | None]) -> Doubles:
    missing = sum(row is None for row in rows)
    if missing:
        raise RuntimeError(f"{missing} pictures were not inferred")
    return np.array(rows, np.float64)
