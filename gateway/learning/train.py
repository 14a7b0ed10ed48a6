"""Training: from a folder a class to a model package, told top to bottom in :func:`train`.

What the package claims was measured on pictures held back; what it contains was fitted on all of them; and what it answers was
compared with what scikit-learn answers before it got its name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.core.errors import ConfigError, ModelError
from gateway.core.frame import Pixels
from gateway.core.verdict import JudgeRule
from gateway.learning.backbone import Backbone, load_backbone
from gateway.learning.dataset import check_classes, data_hash, group_ids, read_samples
from gateway.learning.extract import Extractor
from gateway.learning.graph import build_graph
from gateway.learning.head import ESCAPE_COST, STRENGTH, Features, Head, choose_threshold, held_back, log_loss
from gateway.learning.imaging import imaging_baseline, with_fault
from gateway.learning.packing import Draft, check_out, drafting, finish, write_golden, write_manifest, write_model
from gateway.learning.score import Score, as_answers, score
from gateway.vision.class_folder import Dataset, list_dataset
from gateway.vision.engine import Engine
from gateway.vision.fit import fit_picture, input_array
from gateway.vision.manifest import Input, Normalisation
from gateway.vision.package import Package
from gateway.vision.pictures import read_picture

SIZES = (160, 224)
"""Input sizes tried when none is asked for, the cheapest first."""
SIZE_GAIN = 0.95
"""A larger input must bring the held-back log loss below this share of the smaller one's."""
THRESHOLD_RULE = (
    f"least {ESCAPE_COST} × share of defects passed + share of good parts rejected, over the held-back pictures; from 0.5"
)
PARITY = 1e-4
PARITY_PICTURES = 200

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


def _silent(*_: object) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What to train and where to put it."""

    folder: Path
    """A folder a class."""
    out: Path
    """``models/<name>``; the version within is the next whole number."""
    passing: tuple[str, ...]
    """Classes whose parts may pass."""
    size: int | None = None
    """Side of the model's input in pixels; None chooses by cross-validation."""
    backbone: Path | None = None
    """The .xml of a backbone; None takes the shipped one."""
    group: str = ""
    """Regular expression for what the names of pictures of one part share; they are held back together."""
    mirror: bool = True
    """Whether a mirrored picture is of the same class; false for parts that are handed."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What came out."""

    package: Path
    """The version folder."""
    score: Score
    """Of pictures held back."""
    size: int
    threshold: float
    seconds: float


def train(options: TrainOptions, say: Say = _silent, progress: Progress = _silent) -> TrainReport:
    """Train and write a package; ``say`` gets lines for a person, ``progress`` (what, done, of how many) goes to a terminal.

    Raises ConfigError for anything wrong with the options or pictures, all mistakes at once, and ModelError when the package
    does not answer as the training did. Nothing is left behind then.
    """
    began = time.monotonic()
    check_out(options.out)
    dataset = list_dataset(options.folder)
    check_classes(dataset, options.passing)
    backbone = load_backbone(options.backbone)
    sizes = (options.size,) if options.size is not None else tuple(s for s in SIZES if s % backbone.multiple_of == 0)
    if not sizes:
        raise ConfigError(f"{backbone.name} takes multiples of {backbone.multiple_of}; choose one with --size")
    extractors = {size: Extractor(backbone, size) for size in sizes}
    say(_described(dataset))

    pictures, digests = _read(dataset, backbone, sizes, progress)
    groups = group_ids(dataset, digests, options.group)
    labels = np.array([dataset.labels.index(s.label) for s in dataset.samples], np.int64)
    size, plain, stats = _choose_size(extractors, pictures, labels, groups, options.seed, say, progress)
    shown = pictures[size]
    copies = _copies(extractors[size], shown, options, progress)
    features = Features(plain=plain, copies=copies, labels=labels)

    probabilities, folds = held_back(features, groups, options.seed)
    passing = np.array([dataset.labels.index(k) for k in options.passing], np.int64)
    threshold = choose_threshold(probabilities, labels, passing)
    rule = JudgeRule(
        passes=frozenset(options.passing), thresholds=dict.fromkeys(options.passing, threshold), labels=dataset.labels
    )
    measured = score([s.label for s in dataset.samples], as_answers(probabilities.tolist(), dataset.labels), rule)
    say(f"held back ({folds} folds of {len(set(groups))} groups), threshold {threshold:.2f}:")
    for line in measured.lines():
        say(line)

    head = Head(features)
    with drafting(options.out) as draft:
        write_model(draft, build_graph(backbone, size, head.weights()), dataset.labels)
        golden = _golden(draft, dataset, backbone, extractors[size], head, features, size)
        package = write_manifest(
            draft,
            {
                "input": _input(backbone, size).model_dump(),
                "labels": [{"name": k, "disposition": "pass" if k in options.passing else "reject"} for k in dataset.labels],
                "thresholds": dict(rule.thresholds),
                "threshold_rule": THRESHOLD_RULE,
                "hints": {"inference_precision": "f32", "performance": "LATENCY"},
                "accuracy": _accuracy(measured, folds, len(set(groups)), options.group),
                "imaging_baseline": imaging_baseline(stats, labels).model_dump(),
                "training": _provenance(options, dataset, digests, backbone),
                "golden": golden,
            },
        )
        _check_parity(package, shown, head.probabilities(plain), say)
        final = finish(draft)
    seconds = time.monotonic() - began
    say(f"{final}: {draft.name}/{draft.version}, input {size} × {size}, {seconds:.1f} s")
    return TrainReport(package=final, score=measured, size=size, threshold=threshold, seconds=seconds)


def _described(dataset: Dataset) -> str:
    counts = ", ".join(f"{k} {n}" for k, n in dataset.counts.items())
    left = [f"{dataset.masks} masks"] if dataset.masks else []
    left += [f"files that are no pictures ({', '.join(dataset.others)})"] if dataset.others else []
    return f"{len(dataset.samples)} pictures: {counts}" + (f"; left out: {', '.join(left)}" if left else "")


def _input(backbone: Backbone, size: int) -> Input:
    norm = Normalisation(mean=list(backbone.mean), std=list(backbone.std))
    return Input.model_validate(
        {"layout": "NHWC", "channels": backbone.channels, "height": size, "width": size, "normalisation": norm.model_dump()}
    )


def _read(
    dataset: Dataset, backbone: Backbone, sizes: Sequence[int], progress: Progress
) -> tuple[dict[int, Pixels], list[str]]:
    """Return the pictures at each size, u8[n, size, size, C], and the sha256 of each file."""
    specs = {size: _input(backbone, size) for size in sizes}
    count = len(dataset.samples)
    fitted = {size: np.zeros((count, size, size, backbone.channels), np.uint8) for size in sizes}

    def take(i: int, image: Pixels) -> None:
        for size, spec in specs.items():
            fit_picture(image, spec, fitted[size][i : i + 1])
        progress("reading", i + 1, count)

    return fitted, read_samples(dataset, backbone.channels, take)


def _choose_size(
    extractors: dict[int, Extractor],
    pictures: dict[int, Pixels],
    labels: Ints,
    groups: Sequence[int],
    seed: int,
    say: Say,
    progress: Progress,
) -> tuple[int, Doubles, Doubles]:
    """Return the size with its features and imaging quantities; a larger one only if it pays."""
    best: tuple[int, Doubles, Doubles] | None = None
    least = 0.0
    for size, extractor in extractors.items():
        plain, stats = extractor.run(pictures[size], partial(progress, f"features at {size}"))
        if len(extractors) == 1:
            return size, plain, stats
        loss = log_loss(held_back(Features(plain=plain, labels=labels), groups, seed)[0], labels)
        say(f"input {size} × {size}: held-back log loss {loss:.4f}")
        if best is None or loss < SIZE_GAIN * least:
            best, least = (size, plain, stats), loss
    if best is None:
        raise ConfigError("no input size to try; choose one with --size")
    return best


def _copies(extractor: Extractor, pictures: Pixels, options: TrainOptions, progress: Progress) -> tuple[Doubles, ...]:
    """Return the features of altered copies: mirrored in three ways, and as a camera a little out of order would show them."""
    rng = np.random.default_rng(options.seed)
    mirrors: tuple[tuple[int, ...], ...] = ((0,), (1,), (0, 1)) if options.mirror else ()
    kinds = [partial(np.flip, axis=axes) for axes in mirrors] + [partial(with_fault, rng=rng)]
    result = []
    for number, alter in enumerate(kinds, 1):
        result.append(extractor.run(pictures, partial(progress, f"features of copy {number}"), alter)[0])
    return tuple(result)


def _golden(
    draft: Draft, dataset: Dataset, backbone: Backbone, extractor: Extractor, head: Head, features: Features, size: int
) -> list[dict[str, Any]]:
    """Write a typical picture of each class, with what scikit-learn says of it."""
    spec = _input(backbone, size)
    answers = head.probabilities(features.plain)
    entries = []
    for k, label in enumerate(dataset.labels):
        rows = np.flatnonzero(features.labels == k)
        right = rows[answers[rows].argmax(1) == k]
        ranked = sorted(right if len(right) else rows, key=lambda i: answers[i, k])
        chosen = dataset.samples[ranked[len(ranked) // 2]]
        name, image = write_golden(draft, label, k, read_picture(chosen.path, backbone.channels))
        array = input_array(spec)
        fit_picture(image, spec, array)
        said = head.probabilities(extractor.run(array, _silent)[0])[0]
        answer = {n: round(float(p), 6) for n, p in zip(dataset.labels, said, strict=True)}
        entries.append({"file": name, "label": dataset.labels[int(said.argmax())], "probabilities": answer})
    return entries


def _accuracy(measured: Score, folds: int, groups: int, pattern: str) -> dict[str, Any]:
    together = f"grouped by {pattern!r} and by equal content" if pattern else "files of equal content together"
    return {
        "method": f"{folds}-fold stratified, {groups} groups ({together}): each picture judged by a head that never saw it; "
        "the thresholds were chosen on the same pictures",
        "pictures": measured.pictures,
        "accuracy": measured.accuracy,
        "recall": measured.recall,
        "confusion": measured.confusion,
        "escapes": measured.escapes,
        "false_rejects": measured.false_rejects,
    }


def _provenance(options: TrainOptions, dataset: Dataset, digests: Sequence[str], backbone: Backbone) -> dict[str, Any]:
    return {
        "data_sha256": data_hash(dataset, digests),
        "counts": dataset.counts,
        "backbone": {"name": backbone.name, "sha256": backbone.sha256},
        "recipe": {
            "head": "standardised features, logistic regression",
            "strength": STRENGTH,
            "copies": "mirrored in three ways, with imaging faults" if options.mirror else "with imaging faults",
            "group": options.group,
        },
        "seed": options.seed,
        "final_head": "fitted on all pictures, those held back for the figures included",
        "gateway": version("vision-gateway"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _check_parity(package: Package, pictures: Pixels, expected: Doubles, say: Say) -> None:
    """Compare what the package answers with what scikit-learn does; ModelError when they differ by more than 1e-4."""
    engine = Engine(package)
    engine.smoke_test()
    rows = np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), PARITY_PICTURES)).astype(int))
    answers = np.array([list(engine.infer_sync(pictures[i]).probabilities.values()) for i in rows])
    worst = float(np.abs(answers - expected[rows]).max())
    if worst > PARITY:
        raise ModelError(
            f"the package's probabilities differ from the training's by {worst:.2g} (allowed {PARITY:g}), so it was not kept; "
            "this is a fault of the gateway or of OpenVINO on this machine, please report it"
        )
    say(f"parity with scikit-learn over {len(rows)} pictures: {worst:.1e}")
