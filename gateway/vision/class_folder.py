"""A folder a class: which files are pictures, and which class each belongs to. What is trained on and what is tested with.

The rule: every direct sub-folder is a class named after it, every file in it with a picture's suffix is a picture. A PNG beside
a JPEG or BMP of the same stem is that picture's mask; masks and files of other suffixes are left out, and it is said. Names
that begin with a dot do not count. A folder within a class folder is a mistake, and so is a picture in a format not read. It
reads no picture, and must not know what a model makes of one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.core.errors import ConfigError, Problem
from gateway.vision.manifest import LABEL
from gateway.vision.pictures import KINDS, SUFFIXES

MASKED = {".jpg", ".jpeg", ".bmp"}
"""A PNG of the same stem beside one of these is a mask."""
UNREADABLE = {".tif", ".tiff", ".webp", ".gif", ".heic", ".avif", ".jp2"}
"""Pictures all the same: to leave them out silently would train on less than the user believes."""


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
        raise refused(folder, f"{said}; give one with a sub-folder a class")
    problems: list[Problem] = []
    samples: list[Sample] = []
    masks, others = 0, set()
    classes = [p for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    for place in classes:
        if not re.fullmatch(LABEL, place.name):
            problems.append(problem(place, "is no name for a class; at most 64 characters, none of them \\ or invisible"))
        found = []
        files = [p for p in sorted(place.iterdir()) if not p.name.startswith(".")]
        stems = {p.stem for p in files if p.suffix.lower() in MASKED}
        for path in files:
            suffix = path.suffix.lower()
            if path.is_dir():
                message = "a class folder holds pictures only; give the folder whose sub-folders are the classes"
                problems.append(problem(path, message))
            elif suffix in UNREADABLE:
                problems.append(problem(path, f"is in a format that is not read; save it as {KINDS}"))
            elif suffix not in SUFFIXES:
                others.add(suffix or path.name)
            elif suffix == ".png" and path.stem in stems:
                masks += 1
            else:
                found.append(Sample(path=path, label=place.name))
        if not found and not problems:
            problems.append(problem(place, "holds no picture; remove the folder or put the class's pictures into it"))
        samples += found
    if not classes:
        stray = any(p.suffix.lower() in SUFFIXES for p in folder.iterdir())
        said = "its pictures lie in no class" if stray else "is empty"
        raise refused(folder, f"{said}; make a sub-folder a class and put each class's pictures into it")
    if problems:
        raise ConfigError(problems)
    return Dataset(folder=folder, samples=tuple(samples), masks=masks, others=tuple(sorted(others)))


def list_known(folder: Path, labels: Sequence[str], model_id: str) -> Dataset:
    """List a folder's pictures as :func:`list_dataset` does; ConfigError also for a class that the model does not know."""
    try:
        dataset = list_dataset(folder)
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read: {error.strerror}; check the folder's permissions") from None
    if unknown := sorted(set(dataset.labels) - set(labels)):
        raise ConfigError(f"{folder}: {', '.join(unknown)}: no class of the model {model_id}, which knows: {', '.join(labels)}")
    return dataset


def problem(path: Path, message: str) -> Problem:
    """Return what is wrong with a file or folder."""
    return Problem(file=str(path), line=0, column=0, path="", message=message)


def refused(path: Path, message: str) -> ConfigError:
    """Return the error of a folder that cannot be used."""
    return ConfigError([problem(path, message)])
