"""The frozen backbone: a network as OpenVINO IR with a .yaml beside it, whose features every head is fitted on.

The default is the product's own, ``models/backbone/surface-v1``. It must not know classes or heads.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import openvino as ov
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.core.errors import ConfigError
from gateway.vision.engine import brief
from gateway.yaml_source import read_yaml

SHIPPED = "surface-v1"
MOST = 1024
"""Largest side of an input, in pixels: beyond it an inference takes longer than a part's deadline."""


class _Normalisation(BaseModel):
    mean: list[float] = Field(min_length=1, max_length=3)
    std: list[Annotated[float, Field(gt=0)]] = Field(min_length=1, max_length=3)


class _Input(BaseModel):
    name: str
    channels: int = Field(ge=1, le=3)
    multiple_of: int = Field(default=1, ge=1, le=64)
    normalisation: _Normalisation


class _Description(BaseModel):
    """What of the .yaml is needed here; the rest (recipe, figures) is for readers."""

    model_config = ConfigDict(extra="ignore")

    name: str
    input: _Input
    sha256: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """A backbone found whole: f32[1, C, H, W] → ``features`` f32[1, F] and, if it has one, ``map`` f32[1, M, h, w]."""

    name: str
    xml: Path
    channels: int
    multiple_of: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_name: str
    sha256: dict[str, str]

    def model(self, size: int) -> ov.Model:
        """Return the network for pictures of ``size`` × ``size``; ConfigError when it cannot take them."""
        least = 2 * self.multiple_of
        if size % self.multiple_of or not least <= size <= MOST:
            raise ConfigError(f"--size {size}: {self.name} takes multiples of {self.multiple_of}, from {least} to {MOST}")
        try:
            model = ov.Core().read_model(self.xml)
            model.reshape({self.input_name: [1, self.channels, size, size]})
        except RuntimeError as error:
            raise ConfigError(f"{self.xml}: OpenVINO cannot use it at {size} × {size}: {brief(error)}") from None
        return model


def shipped_backbone() -> Path:
    """Return the product's own backbone: beside this module in a wheel, in models/ in a checkout."""
    beside = Path(__file__).with_name(f"{SHIPPED}.xml")
    source = Path(__file__).resolve().parents[2] / "models" / "backbone" / f"{SHIPPED}.xml"
    return beside if beside.exists() else source


def load_backbone(path: Path | None = None) -> Backbone:
    """Load a backbone (default: the shipped one) with the .yaml beside it; ConfigError names what is wrong."""
    xml = path or shipped_backbone()
    if not xml.is_file():
        raise ConfigError(f"{xml}: there is no such backbone; give the .xml of an OpenVINO IR, or leave out --backbone")
    source = read_yaml(xml.with_suffix(".yaml"))
    try:
        found = _Description.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError([source.problem(e["loc"], e["msg"]) for e in error.errors()]) from None
    norm = found.input.normalisation
    if found.input.channels not in (1, 3) or {len(norm.mean), len(norm.std)} != {found.input.channels}:
        raise ConfigError([source.problem(("input",), "needs 1 or 3 channels, with one mean and one std for each")])
    for file in (xml, xml.with_suffix(".bin")):
        said = found.sha256.get(file.name)
        if not file.is_file() or said != hashlib.sha256(file.read_bytes()).hexdigest():
            message = f"{file.name} is absent, altered or not listed; copy the backbone again"
            raise ConfigError([source.problem(("sha256", file.name), message)])
    return Backbone(
        name=found.name,
        xml=xml,
        channels=found.input.channels,
        multiple_of=found.input.multiple_of,
        mean=tuple(norm.mean),
        std=tuple(norm.std),
        input_name=found.input.name,
        sha256=dict(found.sha256),
    )
