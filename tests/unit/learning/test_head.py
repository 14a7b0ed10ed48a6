"""Heads, what they say of pictures held back, and the threshold that follows from it."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.core.errors import ConfigError
from gateway.learning.head import Features, Head, choose_threshold, held_back, log_loss


def _features(classes: int, each: int = 12, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    plain = rng.normal(size=(len(labels), 6)) + 2 * np.eye(classes, 6)[labels]
    return Features(plain=plain, copies=(plain + 0.1 * rng.normal(size=plain.shape),), labels=labels)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_weights_say_what_scikit_learn_says(classes: int) -> None:
    features = _features(classes)
    head = Head(features)
    w = head.weights()
    logits = (features.plain - w.mean) / w.scale @ w.weights.T + w.bias
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert softmax == pytest.approx(head.probabilities(features.plain), abs=1e-12)
    assert w.weights.shape == (classes, 6)


def test_a_feature_that_never_varies_does_no_harm() -> None:
    features = _features(2)
    features.plain[:, 0] = 3.0
    features.copies[0][:, 0] = 3.0
    assert np.isfinite(Head(features).probabilities(features.plain)).all()


def test_held_back_pictures_are_judged_by_heads_that_never_saw_their_group() -> None:
    """Noise with a mark of its own for each group: a head that saw the group would know the label by heart."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 3)
    labels = np.repeat(rng.permutation(np.repeat([0, 1], 20)), 3)
    features = Features(plain=10 * np.eye(40)[groups] + 0.01 * rng.normal(size=(120, 40)), copies=(), labels=labels)
    seen = Head(features).probabilities(features.plain)
    assert (seen.argmax(1) == labels).all()
    unseen, folds = held_back(features, groups.tolist(), seed=0)
    assert folds == 5
    assert np.isfinite(unseen).all()
    assert (unseen.argmax(1) == labels).mean() < 0.75


def test_fewer_groups_give_fewer_folds_and_one_gives_none() -> None:
    features = _features(2, each=6)
    assert held_back(features, [0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8], seed=0)[1] == 3
    with pytest.raises(ConfigError, match="pictures of one group only"):
        held_back(features, [0] * 6 + [1, 2, 3, 4, 5, 6], seed=0)


def test_a_label_that_a_head_never_saw_gets_nothing() -> None:
    features = _features(3)
    found = Head(features, np.flatnonzero(features.labels != 1)).probabilities(features.plain)
    assert found.shape == (36, 3)
    assert (found[:, 1] == 0).all()
    assert found.sum(1) == pytest.approx(1)


def test_threshold_is_the_lowest_of_the_cheapest() -> None:
    labels = np.array([0] * 100 + [1] * 100)
    sure = np.where(labels == 0, 0.95, 0.05)
    both = np.stack([sure, 1 - sure], 1)
    assert choose_threshold(both, labels, np.array([0])) == 0.5
    both[100] = 0.70, 0.30  # a defect that looks good: 0.71 rejects it and no good part
    assert choose_threshold(both, labels, np.array([0])) == 0.71
    both[:50, 0], both[:50, 1] = 0.65, 0.35  # now that would cost half of the good parts
    assert choose_threshold(both, labels, np.array([0])) == 0.5


def test_log_loss() -> None:
    assert log_loss(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])) == pytest.approx((np.log(2) - np.log(0.75)) / 2)
    assert np.isfinite(log_loss(np.array([[0.0, 1.0]]), np.array([0])))
