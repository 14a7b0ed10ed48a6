"""How pictures vary: the imaging faults that a head must bear, and the limits within which a station's imaging is as it was.

Works on pictures already at the model's size; it must not know classes.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gateway.core.frame import Pixels
from gateway.vision.manifest import ImagingBaseline, Limits

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BLUR_SIGMA = (0.3, 1.0)
"""Pixels of the model's input."""
GAIN = (0.8, 1.25)
OFFSET = 20.0
"""Grey levels, either way."""
NOISE_SIGMA = (1.0, 5.0)
"""Grey levels."""
LIMIT_MARGIN = 0.1
"""Share of the span by which the limits lie outside the classes' percentiles."""


def with_fault(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Return u8[H, W, C] as a camera a little out of order would have shown it: blur, gain, offset, noise."""
    x: npt.NDArray[Any] = image.astype(np.float32)
    if rng.random() < 0.5:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(*BLUR_SIGMA)).reshape(image.shape)
    x = (x - 128) * rng.uniform(*GAIN) + 128 + rng.uniform(-OFFSET, OFFSET)
    if rng.random() < 0.5:
        x = x + rng.normal(0, rng.uniform(*NOISE_SIGMA), x.shape)
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def imaging_baseline(stats: Doubles, labels: Ints) -> ImagingBaseline:
    """Return median and limits of ``stats`` f64[n, 3] (level, contrast, sharpness) of training pictures of classes i64[n].

    The limits are for the median of a window of parts: they hold the middle 90 % of *each* class, so that no mix of the classes
    seen in training, not even a run of one class, leaves them.
    """
    return ImagingBaseline(
        level=_limits(stats[:, 0], labels, 255.0),
        contrast=_limits(stats[:, 1], labels, 127.5),
        sharpness=_limits(stats[:, 2], labels, float("inf")),
    )


def _limits(values: Doubles, labels: Ints, most: float) -> Limits:
    spans = np.array([np.percentile(values[labels == k], [5, 95]) for k in np.unique(labels)])
    low, high = float(spans[:, 0].min()), float(spans[:, 1].max())
    margin = LIMIT_MARGIN * (high - low)
    median = float(np.median(values))
    return Limits(median=median, low=min(median, max(0.0, low - margin)), high=max(median, min(most, high + margin)))
