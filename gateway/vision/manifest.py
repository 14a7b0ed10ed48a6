"""manifest.yaml of a model package: everything a person or a program may want to know of a model without running it.

Pure description, validated once and fully; it must not know OpenVINO, and reads no other file (``package.py`` does).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A sha256 in hexadecimal."""
LABEL = r"^[^\x00-\x1f\x7f/\\]{1,64}$"
Label = Annotated[str, Field(pattern=LABEL)]
FileName = Annotated[str, Field(pattern=r"^(model\.(xml|bin)|golden/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.png)$")]
"""A file of the package, relative to its folder: the model, or a golden picture. Nothing else may lie in it."""
GoldenName = Annotated[str, Field(pattern=r"^golden/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.png$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A section that refuses unknown keys, infinities and NaN."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Normalisation(Part):
    """What the graph does to a pixel 0–255 before the network: ``(pixel / 255 - mean) / std``, a value a channel."""

    mean: list[float] = Field(min_length=1, max_length=3)
    std: list[Annotated[float, Field(gt=0)]] = Field(min_length=1, max_length=3)


class Input(Part):
    """The picture that the model takes: u8, grey (1) or BGR (3)."""

    layout: Literal["NHWC", "NCHW"]
    channels: Literal[1, 3]
    height: int = Field(ge=16, le=4096)
    width: int = Field(ge=16, le=4096)
    resize: Literal["linear"] = "linear"
    """How a picture of another size is brought to this one (outside the graph, OpenCV's INTER_LINEAR)."""
    normalisation: Normalisation


class LabelEntry(Part):
    """One output of the model and what it means for a part."""

    name: Label
    disposition: Literal["pass", "reject"]


class Golden(Part):
    """A picture whose answer is known; a model that answers otherwise on this machine may not serve."""

    file: GoldenName
    label: Label
    probabilities: dict[Label, Share]


class Hints(Part):
    """What the engine asks OpenVINO for."""

    inference_precision: Literal["f32"]
    performance: Literal["LATENCY"]


class Backbone(Part):
    """The frozen network whose features the head sees."""

    name: str
    sha256: dict[str, Digest]


class Training(Part):
    """What the model was made from, so that it can be made again."""

    data_sha256: Digest
    """Over content and label of every picture; file names do not count."""
    counts: dict[Label, Count]
    """Pictures a class."""
    backbone: Backbone
    recipe: dict[str, str | int | float | bool]
    seed: int
    final_head: str
    """On which pictures the head in this package was fitted."""
    gateway: str
    """Version of the gateway that trained it."""
    created: str
    """UTC."""


class Accuracy(Part):
    """Measured on pictures held back from the heads that judged them."""

    method: str
    """How pictures were held back."""
    pictures: Count
    accuracy: Share
    recall: dict[Label, Share]
    confusion: dict[Label, dict[Label, Count]]
    """True label → given label → pictures."""
    escapes: Count
    """Pictures of rejecting classes that would have passed, at the thresholds below."""
    false_rejects: Count
    """Pictures of passing classes that would have been rejected."""


class Limits(Part):
    """A quantity's usual value and the limits outside which the imaging is suspect."""

    median: float
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Limits:
        if not self.low <= self.median <= self.high:
            raise ValueError("low, median and high must be in ascending order")
        return self


class ImagingBaseline(Part):
    """How pictures of this station look when the imaging is right (see ``core.inspection.ImageStats``)."""

    level: Limits
    contrast: Limits
    sharpness: Limits


class Manifest(Part):
    """The root of manifest.yaml."""

    schema_version: Literal[1]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    version: int = Field(ge=1, le=0x7FFFFFFF)
    input: Input
    labels: list[LabelEntry] = Field(min_length=2, max_length=1000)
    """In the order of the model's outputs."""
    thresholds: dict[Label, Share]
    """Least probability at which a passing label passes; one for each passing label."""
    threshold_rule: str
    """How the thresholds were chosen."""
    hints: Hints
    accuracy: Accuracy | None = None
    imaging_baseline: ImagingBaseline | None = None
    training: Training
    golden: list[Golden] = Field(min_length=1, max_length=100)
    sha256: dict[FileName, Digest]
    """Of every file but this one."""

    @property
    def id(self) -> str:
        """``name/version``."""
        return f"{self.name}/{self.version}"

    @property
    def passes(self) -> frozenset[str]:
        """The labels that may pass."""
        return frozenset(entry.name for entry in self.labels if entry.disposition == "pass")

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        names = [entry.name for entry in self.labels]
        if len(set(names)) != len(names):
            raise ValueError(f"labels: the name {max(names, key=names.count)!r} is used twice")
        if not self.passes or self.passes == set(names):
            raise ValueError("labels: at least one label must have the disposition pass and at least one reject")
        if set(self.thresholds) != self.passes:
            wanted = ", ".join(sorted(self.passes))
            raise ValueError(f"thresholds: must hold exactly one value for each passing label ({wanted})")
        norm = self.input.normalisation
        if {len(norm.mean), len(norm.std)} != {self.input.channels}:
            raise ValueError(f"input: normalisation needs one mean and one std for each of {self.input.channels} channel(s)")
        wanted_files = {"model.xml", "model.bin", *(g.file for g in self.golden)}
        if set(self.sha256) != wanted_files:
            odd = ", ".join(sorted(set(self.sha256) ^ wanted_files))
            raise ValueError(f"sha256: must name model.xml, model.bin and every golden picture, no more and no less; see {odd}")
        for golden in self.golden:
            if set(golden.probabilities) != set(names) or golden.label not in names:
                raise ValueError(f"golden: {golden.file} needs its label and a probability for each of the model's labels")
        return self
