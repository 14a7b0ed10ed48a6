"""Judge a backbone on real pictures it has never seen: linear probes, anomaly scores, time an inference. No torch.

A folder holds one sub-folder a class. Pictures are read grey, resized (bilinear) to a square, normalised in the graph.

    evaluate.py MODEL probe --train DIR --test DIR --each 10 50 200
    evaluate.py MODEL probe --train DIR --group '_num_([0-9]+)'       # no test folder: cross-validation over groups
    evaluate.py MODEL anomaly --train DIR --good free --group '_num_([0-9]+)'
    evaluate.py MODEL time --size 224 128 96
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
from describe import MEAN, STD, record
from numpy.typing import NDArray
from openvino.preprocess import PrePostProcessor
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

Pictures = tuple[list[Path], NDArray[np.str_]]
SUFFIXES = {".jpg", ".jpeg", ".bmp", ".tif"}
"""PNG is left out: some sets keep their masks as PNG beside the pictures."""


def compiled(path: Path, size: int) -> ov.CompiledModel:
    """Compile for grey u8[1, 1, size, size]: normalisation stitched in, f32, tuned for latency."""
    model = ov.Core().read_model(path)
    model.reshape({"image": [1, 1, size, size]})
    steps = PrePostProcessor(model)
    steps.input("image").tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NCHW"))
    steps.input("image").model().set_layout(ov.Layout("NCHW"))
    chain = steps.input("image").preprocess().convert_element_type(ov.Type.f32)
    chain.mean(255 * MEAN).scale(255 * STD)
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    return ov.Core().compile_model(steps.build(), "CPU", options)


def listed(folder: Path) -> Pictures:
    """Every picture of a folder-a-class directory, sorted, and its class."""
    paths = sorted(p for p in folder.glob("*/*") if p.suffix.lower() in SUFFIXES)
    return paths, np.array([p.parent.name for p in paths])


def outputs(path: Path, size: int, pictures: list[Path], name: str) -> NDArray[np.float32]:
    """One output of the model for every picture, f32[n, ...]."""
    request = compiled(path, size).create_infer_request()
    rows = []
    for picture in pictures:
        grey = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise ValueError(f"not a readable picture: {picture}")
        request.infer([cv2.resize(grey, (size, size), interpolation=cv2.INTER_LINEAR)[None, None]])
        rows.append(request.get_tensor(name).data[0].copy())
    return np.stack(rows)


def linear(strength: float) -> Pipeline:
    """Make the probe: standardised features and logistic regression; `strength` is scikit-learn's C."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))


def probe(args: argparse.Namespace, size: int) -> list[str]:
    """Measure the accuracy of linear probes at one input size; one line a result."""
    paths, labels = listed(args.train)
    x = outputs(args.model, size, paths, "features")
    if args.test is None:
        return [_cross_validated(args, size, x, labels, _groups(paths, args.group))]
    test_paths, test_labels = listed(args.test)
    test_x = outputs(args.model, size, test_paths, "features")
    lines = []
    for each in args.each:
        scores = []
        for seed in range(args.seeds):
            rng = np.random.default_rng(seed)
            chosen = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:each] for c in np.unique(labels)])
            scores.append(linear(args.strength).fit(x[chosen], labels[chosen]).score(test_x, test_labels))
        listing = " ".join(f"{100 * s:.2f}" for s in scores)
        lines.append(f"size {size}, {each} a class: {100 * np.mean(scores):.2f} % ({listing}) of {len(test_labels)}")
    return lines


def _groups(paths: list[Path], pattern: str) -> NDArray[np.str_]:
    found = [re.search(pattern, p.name) for p in paths]
    return np.array([p.name if m is None else m.group(m.re.groups) for p, m in zip(paths, found, strict=True)])


def _cross_validated(
    args: argparse.Namespace,
    size: int,
    x: NDArray[np.float32],
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
) -> str:
    plain, balanced = [], []
    for seed in range(args.seeds):
        predicted = np.empty_like(labels)
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        for fit, rest in folds.split(x, labels, groups):
            predicted[rest] = linear(args.strength).fit(x[fit], labels[fit]).predict(x[rest])
        plain.append(accuracy_score(labels, predicted))
        balanced.append(balanced_accuracy_score(labels, predicted))
    return (
        f"size {size}, 5 folds of {len(labels)} pictures in {len(set(groups))} groups: "
        f"accuracy {100 * np.mean(plain):.2f} %, balanced {100 * np.mean(balanced):.2f} % ({args.seeds} seeds)"
    )


def anomaly(args: argparse.Namespace, size: int) -> list[str]:
    """Measure the image AUROC of Mahalanobis (features) and PaDiM (map) fitted on good pictures only."""
    paths, labels = listed(args.train)
    groups = _groups(paths, args.group)
    x = outputs(args.model, size, paths, "features")
    grid = outputs(args.model, size, paths, "map")
    grid = grid.transpose(0, 2, 3, 1)
    found: dict[str, list[float]] = {"Mahalanobis": [], "PaDiM": []}
    for seed in range(args.seeds):
        good = np.unique(groups[labels == args.good])
        fitting = np.random.default_rng(seed).permutation(good)[: len(good) // 2]
        fit = np.isin(groups, fitting) & (labels == args.good)
        rest = ~np.isin(groups, fitting)
        bad = labels[rest] != args.good
        found["Mahalanobis"].append(roc_auc_score(bad, _mahalanobis(x[fit], x[rest])))
        channels = np.random.default_rng(seed).permutation(grid.shape[3])[:100]
        found["PaDiM"].append(roc_auc_score(bad, _padim(grid[fit][..., channels], grid[rest][..., channels])))
    lines = []
    for name, scores in found.items():
        listing = " ".join(f"{s:.3f}" for s in scores)
        lines.append(f"size {size}, {name}: AUROC {np.mean(scores):.3f} ({listing})")
    return lines


def _mahalanobis(fit: NDArray[np.float32], rest: NDArray[np.float32]) -> NDArray[np.float64]:
    scale = StandardScaler().fit(fit)
    distances: NDArray[np.float64] = LedoitWolf().fit(scale.transform(fit)).mahalanobis(scale.transform(rest))
    return distances


def _padim(fit: NDArray[np.float32], rest: NDArray[np.float32]) -> NDArray[np.float64]:
    """Fit a Gaussian a place of the map; the score is the mean distance of the farthest 1 % of places."""
    n, h, w, c = fit.shape
    distances = np.empty((len(rest), h * w))
    for k in range(h * w):
        i, j = divmod(k, w)
        here = fit[:, i, j]
        middle = here.mean(0)
        covariance = np.cov(here, rowvar=False) + 0.01 * np.eye(c)
        away = rest[:, i, j] - middle
        distances[:, k] = np.sqrt(np.einsum("nc,nc->n", away @ np.linalg.inv(covariance), away))
    top = max(1, h * w // 100)
    scores: NDArray[np.float64] = np.sort(distances, axis=1)[:, -top:].mean(1)
    return scores


def timed(args: argparse.Namespace, size: int) -> list[str]:
    """Measure one inference in milliseconds: median, 99th percentile and minimum."""
    request = compiled(args.model, size).create_infer_request()
    picture = ov.Tensor(np.random.default_rng(0).integers(0, 255, (1, 1, size, size), np.uint8))
    request.set_input_tensor(picture)
    taken = []
    for _ in range(args.repeats + 50):
        start = time.perf_counter()
        request.infer()
        taken.append(1e3 * (time.perf_counter() - start))
    p50, p99 = np.percentile(taken[50:], [50, 99])
    return [f"size {size}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, least {min(taken[50:]):.2f} ms"]


def main() -> None:
    """Read the command line and run one measurement at every size asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the IR's .xml")
    kinds = {"probe": probe, "anomaly": anomaly, "time": timed}
    parser.add_argument("measure", choices=sorted(kinds))
    parser.add_argument("--train", type=Path, help="folder-a-class directory")
    parser.add_argument("--test", type=Path, help="the same, held out; without it, cross-validation")
    parser.add_argument("--each", type=int, nargs="+", default=[10, 50, 200], help="pictures a class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, nargs="+", default=[224], help="input sizes, pixels")
    parser.add_argument("--strength", type=float, default=1.0, help="C of the logistic regression")
    parser.add_argument("--group", default="$^", help="expression for the part of a name that pictures of a part share")
    parser.add_argument("--good", default="good", help="the class of good parts")
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--record", action="store_true", help="add command and result to the model's .yaml")
    args = parser.parse_args()
    if args.measure != "time" and args.train is None:
        parser.error("--train is needed")
    result = []
    for size in args.size:
        lines = kinds[args.measure](args, size)
        print("\n".join(lines), flush=True)
        result += lines
    if args.record:
        words = [args.model.name, *sys.argv[2:]]
        record(args.model.with_suffix(".yaml"), "evaluate.py " + shlex.join(w for w in words if w != "--record"), result)


if __name__ == "__main__":
    main()
