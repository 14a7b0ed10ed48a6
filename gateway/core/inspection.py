"""What the engine saw on one part; a fault means that nothing was seen, never that nothing was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A place on the picture: ``xyxy_px`` = left, top, right, bottom in pixels of the camera's frame."""

    label: str
    score: float
    xyxy_px: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStats:
    """Imaging quantities computed in the graph on the model's input.

    ``level`` mean grey (0–255) · ``contrast`` standard deviation of grey · ``sharpness`` Laplacian variance ÷ contrast².
    """

    level: float
    contrast: float
    sharpness: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The engine's answer for one part. ``fault`` is empty only if every view was inferred without error."""

    part_id: int
    label: str
    scores: Mapping[str, float] = field(default_factory=dict)
    """Class probabilities by label, 0–1, summing to 1."""
    regions: tuple[Region, ...] = ()
    anomaly: float | None = None
    stats: ImageStats | None = None
    model_id: str = ""
    infer_ms: float = 0.0
    fault: str = ""


def faulted(part_id: int, fault: str) -> Inspection:
    """Return the inspection of a part that could not be inspected, with the reason."""
    if not fault:
        raise ValueError("a faulted inspection needs a reason")
    return Inspection(part_id=part_id, label="", fault=fault)
