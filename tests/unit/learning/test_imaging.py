"""Imaging faults and the baseline of a station's imaging."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.learning.imaging import imaging_baseline, with_fault


@pytest.mark.parametrize("channels", [1, 3])
def test_faults_keep_kind_and_shape_and_follow_the_seed(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, channels), np.uint8)
    first, again, other = (with_fault(image, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.dtype, first.shape) == (np.uint8, image.shape)
    assert (first == again).all()
    assert (first != image).any()
    assert (first != other).any()


def test_limits_hold_every_class_alone() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [500, 20, 20])
    centre = np.array([[100, 20, 1.0], [140, 30, 2.0], [60, 25, 0.5]])
    stats = rng.normal(centre[labels], [3, 1, 0.05])
    found = imaging_baseline(stats, labels)
    for k, name in enumerate(("level", "contrast", "sharpness")):
        limits = getattr(found, name)
        assert limits.median == pytest.approx(np.median(stats[:, k]))
        for label in range(3):  # a run of one class
            assert limits.low < np.median(stats[labels == label, k]) < limits.high
        assert limits.low > centre[:, k].min() - 8 * (3, 1, 0.05)[k]
        assert limits.high < centre[:, k].max() + 8 * (3, 1, 0.05)[k]


def test_limits_stay_possible() -> None:
    found = imaging_baseline(np.array([[0.0, 0.0, 0.0], [255.0, 127.0, 9.0]] * 3), np.array([0, 1] * 3))
    assert (found.level.low, found.level.high) == (0, 255)
    assert found.sharpness.low == 0
