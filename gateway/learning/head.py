"""The head: standardised features and logistic regression, and what heads say of pictures held back from them.

Works on numbers only; it must not know files, pictures or OpenVINO.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from gateway.core.errors import ConfigError
from gateway.learning.graph import HeadWeights

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STRENGTH = 0.3
"""scikit-learn's C."""
FOLDS = 5
ESCAPE_COST = 2
"""How much worse it is to pass a share of the defects than to reject the same share of the good parts."""
ITERATIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """``plain`` f64[n, D] of the pictures as they are, ``copies`` the same of altered copies of each, ``labels`` i64[n]."""

    plain: Doubles
    copies: tuple[Doubles, ...] = ()
    labels: Ints


class Head:
    """A fitted head: scikit-learn's own, and the same as weights for the graph."""

    def __init__(self, features: Features, chosen: Ints | None = None) -> None:
        """Fit on the chosen pictures (indices; default all) and their copies."""
        self._labels = int(features.labels.max()) + 1
        rows = np.arange(len(features.labels)) if chosen is None else chosen
        x = np.concatenate([part[rows] for part in (features.plain, *features.copies)])
        y = np.tile(features.labels[rows], 1 + len(features.copies))
        self._scaler = StandardScaler().fit(x)
        # BLAS threads that find the cores busy wait for each other: measured 0.4 s with one thread, 10–20 s with two.
        with threadpool_limits(1):
            self._model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS).fit(self._scaler.transform(x), y)

    def probabilities(self, x: Doubles) -> Doubles:
        """Return scikit-learn's probabilities f64[n, L]; 0 for a label that none of the chosen pictures has."""
        found = np.zeros((len(x), self._labels))
        found[:, self._model.classes_] = self._model.predict_proba(self._scaler.transform(x))
        return found

    def weights(self) -> HeadWeights:
        """Return the head as weights, one row a label; two classes become two rows, of which the first is zero."""
        weights, bias = self._model.coef_, self._model.intercept_
        if len(weights) == 1:
            weights = np.concatenate([np.zeros_like(weights), weights])
            bias = np.array([0.0, bias[0]])
        return HeadWeights(mean=self._scaler.mean_, scale=self._scaler.scale_, weights=weights, bias=bias)


def held_back(features: Features, groups: Sequence[int], seed: int) -> tuple[Doubles, int]:
    """Return f64[n, L]: each picture's probabilities from a head that saw neither it nor its group, and the number of folds.

    ConfigError when a class has a single group, so that nothing of it can be held back.
    """
    labels, grouped = features.labels, np.array(groups)
    least = min(len(set(grouped[labels == k])) for k in np.unique(labels))
    folds = min(FOLDS, least)
    if folds < 2:
        raise ConfigError("a class has pictures of one group only, so none can be held back; add pictures or change --group")
    result = np.full((len(labels), int(labels.max()) + 1), np.nan)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fit, rest in splitter.split(features.plain, labels, grouped):
        result[rest] = Head(features, fit).probabilities(features.plain[rest])
    return result, folds


def log_loss(probabilities: Doubles, labels: Ints) -> float:
    """Return the mean negative log-probability of the true labels: finer than accuracy when few are wrong."""
    given = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(given, 1e-12, 1)).mean())


def choose_threshold(probabilities: Doubles, labels: Ints, passing: Ints) -> float:
    """Return the least probability at which a passing label should pass, from held-back f64[n, L].

    Of the thresholds from 0.5 to 0.99 the one with the least ``ESCAPE_COST`` × share of the defects that pass + share of the
    good parts that are rejected; the lowest of equals. Shares, not counts: the mix in a folder says nothing about the line's.
    """
    given, best = probabilities.argmax(1), probabilities.max(1)
    may_pass, should_pass = np.isin(given, passing), np.isin(labels, passing)

    def cost(threshold: float) -> float:
        passes = may_pass & (best >= threshold)
        return float(ESCAPE_COST * passes[~should_pass].mean() + (~passes)[should_pass].mean())

    return min((round(0.5 + 0.01 * i, 2) for i in range(50)), key=cost)
