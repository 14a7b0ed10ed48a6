"""A package against pictures whose class is known, through the engine that serves on the line."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.core.frame import Pixels
from gateway.learning.dataset import read_samples
from gateway.learning.score import Score, score
from gateway.vision.class_folder import list_known
from gateway.vision.engine import Engine
from gateway.vision.package import load_package


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateReport:
    """What a package is worth on these pictures."""

    model_id: str
    score: Score
    seconds: float


def evaluate(package: Path, folder: Path, progress: Callable[[str, int, int], None]) -> EvaluateReport:
    """Judge every picture of a folder a class (classes of the model, not necessarily all of them).

    ``progress`` gets what, how many are done, of how many. Raises ModelError for the package, ConfigError for the pictures:
    every one that cannot be read, every class unknown to the model.
    """
    began = time.monotonic()
    loaded = load_package(package)
    engine = Engine(loaded, threads=len(os.sched_getaffinity(0)))
    engine.smoke_test()
    rule = loaded.rule()
    dataset = list_known(folder, rule.labels, loaded.manifest.id)
    answers = []

    def take(i: int, image: Pixels) -> None:
        answers.append(engine.infer_sync(image).probabilities)
        progress("judging", i + 1, len(dataset.samples))

    read_samples(dataset, loaded.manifest.input.channels, take)
    measured = score([s.label for s in dataset.samples], answers, rule)
    return EvaluateReport(model_id=loaded.manifest.id, score=measured, seconds=time.monotonic() - began)
