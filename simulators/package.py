"""What the stand must know of a model package: its labels, which of them may pass, the channels of its pictures.

Read from the manifest as any other program would. Whether the package is sound is the gateway's affair, which says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from gateway.core.errors import ConfigError
from gateway.yaml_source import read_yaml
from simulators.program import WrongInputError

_REMEDY = "copy the package again as a whole, or train it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """What passes for the model is what is good in the score."""

    labels: list[str]
    passes: list[str]
    channels: int


class _Label(BaseModel):
    name: str
    disposition: str


class _Input(BaseModel):
    channels: int


class _Manifest(BaseModel):
    labels: list[_Label] = Field(min_length=1)
    input: _Input


def package_folder(model: Path) -> Path:
    """Return the version folder: ``model`` itself, or the highest version in it. WrongInputError when there is none."""
    if (model / "manifest.yaml").is_file():
        return model
    versions = [p.parent for p in model.glob("*/manifest.yaml") if p.parent.name.isdigit()]
    if not versions:
        raise WrongInputError(f"{model}: no manifest.yaml there; name a model package (models/NAME or models/NAME/VERSION)")
    return max(versions, key=lambda p: int(p.name))


def read_package(model: Path) -> PackageFacts:
    """Return the facts of a package; WrongInputError when there is none or its manifest does not tell them."""
    path = package_folder(model) / "manifest.yaml"
    try:
        found = _Manifest.model_validate(read_yaml(path).data)
    except ConfigError as error:
        raise WrongInputError(f"{error}; {_REMEDY}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise WrongInputError(
            f"{path}: {where}: {first['msg']}; copy the package again as a whole, or train it again"
        ) from None
    passes = [label.name for label in found.labels if label.disposition == "pass"]
    if not passes:
        raise WrongInputError(f"{path}: labels: none has the disposition pass; train the package again with --pass CLASS")
    return PackageFacts(labels=[label.name for label in found.labels], passes=passes, channels=found.input.channels)
