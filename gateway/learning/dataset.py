"""The pictures of a folder as a data set: read and hashed, what belongs together, and whether a model can be made of them.

Which files are pictures, and of which class, ``vision.class_folder`` says.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from gateway.core.errors import ConfigError, PictureError, Problem
from gateway.core.frame import Pixels
from gateway.vision.class_folder import Dataset, Sample, problem, refused
from gateway.vision.pictures import read_picture

LEAST_A_CLASS = 5
"""Fewer pictures say nothing about a class."""


def read_samples(dataset: Dataset, channels: int, take: Callable[[int, Pixels], None]) -> list[str]:
    """Read every picture, hand it over with its index, and return the sha256 of each file's content.

    ConfigError lists every picture that cannot be used, and every picture that lies in two classes.
    """
    problems: list[Problem] = []
    digests: list[str] = []
    for i, sample in enumerate(dataset.samples):
        try:
            take(i, read_picture(sample.path, channels))
            digests.append(hashlib.sha256(sample.path.read_bytes()).hexdigest())
        except PictureError as error:
            problems.append(problem(sample.path, str(error).removeprefix(f"{sample.path}: ")))
            digests.append("")
    owner: dict[str, Sample] = {}
    for sample, digest in zip(dataset.samples, digests, strict=True):
        first = owner.setdefault(digest, sample) if digest else sample
        if first.label != sample.label:
            problems.append(problem(sample.path, f"is the same picture as {first.path} of another class; keep one of them"))
    if problems:
        raise ConfigError(problems)
    return digests


def data_hash(dataset: Dataset, digests: Sequence[str]) -> str:
    """Return the sha256 over content and label of every picture, whatever the files are called."""
    lines = sorted(f"{s.label}\0{d}\n" for s, d in zip(dataset.samples, digests, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def group_ids(dataset: Dataset, digests: Sequence[str], pattern: str) -> list[int]:
    """Return a number for each picture, the same for pictures that must stay together when some are held back.

    Those are pictures whose names share what ``pattern`` finds (a regular expression; its last group, if it has one), and files
    of equal content. ConfigError when the pattern is no expression or finds nothing.
    """
    try:
        expression = re.compile(pattern) if pattern else None
    except re.error as error:
        raise ConfigError(f"--group {pattern!r} is no regular expression: {error}") from None
    parent = list(range(len(dataset.samples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    keys: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for i, (sample, digest) in enumerate(zip(dataset.samples, digests, strict=True)):
        keys["content", digest].append(i)
        found = expression.search(sample.path.name) if expression else None
        if found and found.group(found.re.groups):
            keys["name", found.group(found.re.groups)].append(i)
    if expression and not any(kind == "name" for kind, _ in keys):
        raise ConfigError(f"--group {pattern!r} finds nothing in any file name, for example {dataset.samples[0].path.name}")
    for together in keys.values():
        for i in together[1:]:
            parent[root(i)] = root(together[0])
    return [root(i) for i in range(len(dataset.samples))]


def check_classes(dataset: Dataset, passing: Iterable[str]) -> None:
    """Refuse with ConfigError what no model can be trained on: one class, too few pictures, passes that are not there."""
    known = set(dataset.labels)
    chosen = set(passing)
    listed = ", ".join(dataset.labels)
    if len(known) < 2:
        raise refused(dataset.folder, f"holds one class only ({listed}); a model needs one that passes and one that does not")
    if not chosen:
        raise ConfigError(f"--pass is missing: name the class or classes whose parts may pass, out of: {listed}")
    if unknown := sorted(chosen - known):
        raise ConfigError(f"--pass {', '.join(unknown)}: no such class in {dataset.folder}; it has: {listed}")
    if chosen == known:
        raise ConfigError(f"--pass names every class of {dataset.folder}, so nothing could ever be rejected; leave out defects")
    few = {label: n for label, n in dataset.counts.items() if n < LEAST_A_CLASS}
    if few:
        message = f"picture(s) are too few, a class needs at least {LEAST_A_CLASS}"
        raise ConfigError([problem(dataset.folder / k, f"{n} {message}") for k, n in few.items()])
