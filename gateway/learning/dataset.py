"""A folder a class: which files are pictures, which class each belongs to, and which of them belong together.

The rule: every direct sub-folder is a class named after it, every file in it with a picture's suffix is a picture. A PNG beside
a JPEG or BMP of the same stem is that picture's mask; masks and files of other suffixes are left out, and it is said. Names
that begin with a dot do not count. A folder within a class folder is a mistake, and so is a picture in a format not read.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.core.errors import ConfigError, PictureError, Problem
from gateway.core.frame import Pixels
from gateway.vision.manifest import LABEL
from gateway.vision.pictures import KINDS, SUFFIXES, read_picture

MASKED = {".jpg", ".jpeg", ".bmp"}
"""A PNG of the same stem beside one of these is a mask."""
UNREADABLE = {".tif", ".tiff", ".webp", ".gif", ".heic", ".avif", ".jp2"}
"""Pictures all the same: to leave them out silently would train on less than the user believes."""
LEAST_A_CLASS = 5
"""Fewer pictures say nothing about a class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One picture file."""

    path: Path
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The pictures of a folder, sorted by class and name."""

    folder: Path
    samples: tuple[Sample, ...]
    masks: int
    others: tuple[str, ...]
    """Left out: how many masks, and the suffixes of files that are no pictures."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({s.label for s in self.samples}))

    @property
    def counts(self) -> dict[str, int]:
        """Pictures a class."""
        return dict(sorted(Counter(s.label for s in self.samples).items()))


def list_dataset(folder: Path) -> Dataset:
    """List a folder's pictures; ConfigError with every mistake when it is not a folder a class."""
    if not folder.is_dir():
        said = "is no folder" if folder.exists() else "there is no such folder"
        raise _refused(folder, f"{said}; give one with a sub-folder a class")
    problems: list[Problem] = []
    samples: list[Sample] = []
    masks, others = 0, set()
    classes = [p for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    for place in classes:
        if not re.fullmatch(LABEL, place.name):
            problems.append(_problem(place, "is no name for a class; at most 64 characters, none of them \\ or invisible"))
        found = []
        files = [p for p in sorted(place.iterdir()) if not p.name.startswith(".")]
        stems = {p.stem for p in files if p.suffix.lower() in MASKED}
        for path in files:
            suffix = path.suffix.lower()
            if path.is_dir():
                message = "a class folder holds pictures only; give the folder whose sub-folders are the classes"
                problems.append(_problem(path, message))
            elif suffix in UNREADABLE:
                problems.append(_problem(path, f"is in a format that is not read; save it as {KINDS}"))
            elif suffix not in SUFFIXES:
                others.add(suffix or path.name)
            elif suffix == ".png" and path.stem in stems:
                masks += 1
            else:
                found.append(Sample(path=path, label=place.name))
        if not found and not problems:
            problems.append(_problem(place, "holds no picture; remove the folder or put the class's pictures into it"))
        samples += found
    if not classes:
        stray = any(p.suffix.lower() in SUFFIXES for p in folder.iterdir())
        said = "its pictures lie in no class" if stray else "is empty"
        raise _refused(folder, f"{said}; make a sub-folder a class and put each class's pictures into it")
    if problems:
        raise ConfigError(problems)
    return Dataset(folder=folder, samples=tuple(samples), masks=masks, others=tuple(sorted(others)))


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
            problems.append(_problem(sample.path, str(error).removeprefix(f"{sample.path}: ")))
            digests.append("")
    owner: dict[str, Sample] = {}
    for sample, digest in zip(dataset.samples, digests, strict=True):
        first = owner.setdefault(digest, sample) if digest else sample
        if first.label != sample.label:
            problems.append(_problem(sample.path, f"is the same picture as {first.path} of another class; keep one of them"))
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
        raise _refused(dataset.folder, f"holds one class only ({listed}); a model needs one that passes and one that does not")
    if not chosen:
        raise ConfigError(f"--pass is missing: name the class or classes whose parts may pass, out of: {listed}")
    if unknown := sorted(chosen - known):
        raise ConfigError(f"--pass {', '.join(unknown)}: no such class in {dataset.folder}; it has: {listed}")
    if chosen == known:
        raise ConfigError(f"--pass names every class of {dataset.folder}, so nothing could ever be rejected; leave out defects")
    few = {label: n for label, n in dataset.counts.items() if n < LEAST_A_CLASS}
    if few:
        message = f"picture(s) are too few, a class needs at least {LEAST_A_CLASS}"
        raise ConfigError([_problem(dataset.folder / k, f"{n} {message}") for k, n in few.items()])


def _problem(path: Path, message: str) -> Problem:
    return Problem(file=str(path), line=0, column=0, path="", message=message)


def _refused(path: Path, message: str) -> ConfigError:
    return ConfigError([_problem(path, message)])
