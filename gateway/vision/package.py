"""A model package on disk: ``models/<name>/<version>/{model.xml, model.bin, manifest.yaml, golden/*.png}``.

What is loaded is what was packed: every file is named in the manifest with its sha256, and a file more, less or altered refuses
the whole package. Reads files only; it must not know OpenVINO, so that a configuration can be checked without it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gateway.core.errors import ConfigError, ModelError, Problem
from gateway.core.verdict import JudgeRule
from gateway.vision.manifest import Manifest
from gateway.yaml_source import read_yaml

MANIFEST = "manifest.yaml"
MAX_FILE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package whose files were checked when it was loaded."""

    path: Path
    """The version folder."""
    manifest: Manifest

    def rule(self) -> JudgeRule:
        """Return how this model's labels become dispositions."""
        manifest = self.manifest
        return JudgeRule(
            passes=manifest.passes,
            thresholds=dict(manifest.thresholds),
            labels=tuple(entry.name for entry in manifest.labels),
        )

    def read(self, name: str) -> bytes:
        """Return the bytes of a file of the package, checked against its sha256, so that what is used is what was checked."""
        return _read_checked(self.path, name, self.manifest.sha256[name])


def load_package(path: Path) -> Package:
    """Load a version folder, or the highest version in a name folder.

    Raises ModelError that names the file and the remedy.
    """
    folder = _version_folder(Path(path))
    manifest = _read_manifest(folder / MANIFEST)
    if folder.name.isdecimal() and int(folder.name) != manifest.version:
        said = f"says version {manifest.version}, but the folder is {folder.name}"
        raise ModelError(f"{folder / MANIFEST}: {said}; name the folder after the version")
    _check_files(folder, set(manifest.sha256))
    for name, digest in manifest.sha256.items():
        _read_checked(folder, name, digest)
    return Package(path=folder, manifest=manifest)


def versions(folder: Path) -> list[int]:
    """Return the version numbers in a name folder, ascending; empty when there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(int(p.name) for p in folder.iterdir() if p.is_dir() and p.name.isdecimal())


def _version_folder(path: Path) -> Path:
    if not path.exists():
        raise ModelError(
            f"{path}: there is no such model package; train one with `gateway train DIR --out {path} --pass CLASS`"
        )
    if not path.is_dir():
        raise ModelError(f"{path}: is a file; give the folder of the package, models/<name> or models/<name>/<version>")
    if (path / MANIFEST).exists():
        return path
    found = versions(path)
    if found:
        return path / str(found[-1])
    raise ModelError(f"{path}: holds neither {MANIFEST} nor a version folder (1, 2, …); give models/<name> or a version in it")


def _read_manifest(path: Path) -> Manifest:
    if not path.exists():
        raise ModelError(f"{path}: is absent; copy the package again as a whole, or train it again")
    try:
        source = read_yaml(path)
        try:
            return Manifest.model_validate(source.data)
        except ValidationError as error:
            raise ConfigError([source.problem(_place(e["loc"], e["msg"]), _said(e["msg"])) for e in error.errors()]) from None
    except ConfigError as error:
        raise ModelError(f"{error}\n{path.parent}: copy the package again as a whole, or train it again") from None


def _place(loc: tuple[str | int, ...], message: str) -> tuple[str | int, ...]:
    """Pydantic puts a check across fields at the root; our messages begin with the section meant."""
    section = message.removeprefix("Value error, ").split(":")[0]
    return loc or ((section,) if section in Manifest.model_fields else ())


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")


def _check_files(folder: Path, known: set[str]) -> None:
    problems = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            problems.append(_problem(path, "is a link; a package holds its files itself: copy the file here"))
        elif path.is_dir():
            if name != "golden":
                problems.append(_problem(path, "does not belong to the package; remove it"))
        elif name not in known and name != MANIFEST:
            problems.append(_problem(path, f"is not named in {MANIFEST}; remove it"))
    problems += [
        _problem(folder / name, "is absent; copy the package again as a whole, or train it again")
        for name in sorted(known)
        if not (folder / name).exists()
    ]
    if problems:
        raise ModelError("\n".join(str(p) for p in problems))


def _problem(path: Path, message: str) -> Problem:
    return Problem(file=str(path), line=0, column=0, path="", message=message)


def _read_checked(folder: Path, name: str, digest: str) -> bytes:
    path = folder / name
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"{path}: has more than {MAX_FILE_BYTES >> 30} GiB; this is not the file that was packed")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}; copy the package again as a whole") from None
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ModelError(
            f"{path}: is not the file that was packed (sha256 {found[:12]}…, the manifest says {digest[:12]}…); "
            "copy the package again as a whole, or train it again"
        )
    return content
