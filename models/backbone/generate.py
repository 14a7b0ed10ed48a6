"""Seeded pictures of procedural surfaces, with a texture label, a defect label and the defect's place.

A class is a family (`textures.py`) with fixed parameters. For every class a few large textures are drawn once; a
picture is a crop of one of them with a synthetic defect (half of the time) and the faults of a camera: light, gain,
gamma, blur, noise. No real picture is involved. Run it to write a contact sheet:

    python models/backbone/generate.py --sheet sheet.png
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from textures import FAMILIES, Field, noise, unit

DEFECTS = ("none", "scratch", "dent", "stain", "crack", "hole", "blob")
PER_FAMILY = 16
CLASSES = len(FAMILIES) * PER_FAMILY
PARAMETERS = 7


def class_parameters(seed: int) -> NDArray[np.float64]:
    """Draw the parameters of every class, f64[CLASSES, PARAMETERS] in 0..1, a Latin hypercube within each family."""
    rng = np.random.default_rng([seed, 1])
    rows = [np.stack([(rng.permutation(PER_FAMILY) + 0.5) / PER_FAMILY for _ in range(PARAMETERS)], axis=1) for _ in FAMILIES]
    return np.concatenate(rows)


def texture(seed: int, label: int, index: int, size: int) -> NDArray[np.uint8]:
    """Draw texture number `index` of a class, u8[size, size]."""
    u = class_parameters(seed)[label]
    rng = np.random.default_rng([seed, 2, label, index])
    field = list(FAMILIES.values())[label // PER_FAMILY](u, rng, size)
    field = unit(field + np.float32(0.25) * noise(rng, size, 1.0, 0.003, 0.02))
    contrast = 18 + 30 * u[5] * np.exp(rng.normal(0, 0.15))
    return np.clip(90 + 80 * u[6] + contrast * field, 0, 255).astype(np.uint8)


def _blob(rng: np.random.Generator, side: int, radius: float, rough: float) -> Field:
    """Draw a closed irregular shape, soft mask f32[side, side] in 0..1, radius in pixels."""
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    waves = sum(rng.normal(0, rough / k) * np.cos(k * turn + rng.uniform(0, 6)) for k in range(1, 5))
    r = radius * np.clip(1 + waves, 0.3, 2)
    squeeze, tilt = rng.uniform(0.35, 1), rng.uniform(0, np.pi)
    x, y = r * np.cos(turn), r * np.sin(turn) * squeeze
    outline = np.stack([x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)], 1) + side / 2
    canvas = np.zeros((side, side), np.uint8)
    cv2.fillPoly(canvas, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return canvas.astype(np.float32) / 255


def _path(rng: np.random.Generator, side: int, wander: float) -> Field:
    """Draw a line through the middle, straight or wandering, soft mask f32[side, side] in 0..1."""
    canvas = np.zeros((side, side), np.uint8)
    steps = int(rng.integers(4, 14)) if wander else 2
    length = rng.uniform(14, 80) / steps
    turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, wander + 0.02, steps))
    points = np.cumsum(np.stack([np.cos(turn), np.sin(turn)], 1) * length, 0)
    points += side / 2 - points.mean(0)
    thick = int(rng.integers(1, 4 if not wander else 3))
    cv2.polylines(canvas, [np.round(points * 16).astype(np.int32)], False, 255, thick, cv2.LINE_AA, 4)
    return canvas.astype(np.float32) / 255


def defect(kind: str, rng: np.random.Generator, side: int) -> tuple[Field, NDArray[np.bool_]]:
    """Draw a defect in the middle of a square: the change of grey f32[side, side] in -1..1 and its mask."""
    sign = np.float32(rng.choice([-1, 1], p=[0.65, 0.35]))
    if kind in ("scratch", "crack"):
        soft = _path(rng, side, 0.45 if kind == "crack" else 0.0)
        return soft * (-1 if kind == "crack" else sign), soft > 0.2
    small = kind in ("hole", "blob")
    mask = _blob(rng, side, rng.uniform(2.5, 9) if small else rng.uniform(8, 30), 0.06 if kind == "hole" else 0.25)
    if kind == "hole":
        rim = cv2.GaussianBlur(mask, (0, 0), 1.5) - mask
        return np.clip(-mask + rng.uniform(0, 1.5) * rim, -1, 1), mask > 0.3
    if kind == "blob":
        return mask * sign, mask > 0.3
    if kind == "stain":
        mottle = 1 + 0.4 * noise(rng, side, 1.0, 0.02, 0.15)
        return 0.6 * sign * cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.6, 4)) * mottle.clip(0, 2), mask > 0.3
    height = cv2.GaussianBlur(mask, (0, 0), rng.uniform(2, 5))
    gy, gx = np.gradient(height)
    light = rng.uniform(0, 2 * np.pi)
    shade = gx * np.cos(light) + gy * np.sin(light)
    return (shade / (np.abs(shade).max() + 1e-6)).astype(np.float32), mask > 0.3


@dataclass(frozen=True)
class Batch:
    """Pictures u8[n, side, side], texture labels i64[n], defect labels i64[n], defect maps f32[n, side/8, side/8]."""

    pictures: NDArray[np.uint8]
    textures: NDArray[np.int64]
    defects: NDArray[np.int64]
    maps: NDArray[np.float32]


class Surfaces:
    """The pictures of one seed: textures and defects drawn once, batches cropped from them."""

    def __init__(self, seed: int, side: int = 96, each: int = 6, size: int = 320, bank: int = 400, first: int = 0) -> None:
        """Draw `each` textures of `size` pixels a class, from number `first`, and `bank` defects a kind.

        Pictures get `side` pixels.
        """
        self.side = side
        self._textures = [[texture(seed, c, first + k, size) for k in range(each)] for c in range(CLASSES)]
        rng = np.random.default_rng([seed, 3, first])
        self._defects = [[defect(kind, rng, side) for _ in range(bank)] for kind in DEFECTS[1:]]
        self._grain = rng.standard_normal((side * 8, side * 8), dtype=np.float32)
        self._axis = np.linspace(-1, 1, side, dtype=np.float32)

    def picture(self, label: int, kind: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Draw one picture u8[side, side] and its defect map f32[side/8, side/8] in 0..1."""
        side = self.side
        source = self._textures[label][int(rng.integers(len(self._textures[label])))]
        crop = int(side * np.exp(rng.uniform(-0.2, 0.2)))
        y, x = rng.integers(0, source.shape[0] - crop, 2)
        grey = cv2.resize(source[y : y + crop, x : x + crop], (side, side), interpolation=cv2.INTER_LINEAR)
        image = _turned(grey, int(rng.integers(8))).astype(np.float32)
        coarse = np.zeros((side // 8, side // 8), np.float32)
        if kind:
            change, mask = self._defects[kind - 1][int(rng.integers(len(self._defects[kind - 1])))]
            turn, shift = int(rng.integers(8)), rng.integers(-side * 2 // 5, side * 2 // 5 + 1, 2)
            strength = np.float32(max(float(image.std()), 8) * rng.uniform(1.5, 4))
            image += _shifted(_turned(change, turn), shift) * strength
            placed = _shifted(_turned(mask, turn).astype(np.float32), shift)
            coarse = np.minimum(cv2.resize(placed, coarse.shape, interpolation=cv2.INTER_AREA) * 4, 1)
        return self._filmed(image, rng), coarse

    def _filmed(self, image: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Film it as a camera would: light from one side, gain, offset, blur, noise, rounding."""
        slope = rng.normal(0, 0.15, 2).astype(np.float32)
        image *= 1 + slope[0] * self._axis[:, None] + slope[1] * self._axis[None, :]
        middle = float(image.mean())
        image = (image - middle) * np.float32(np.exp(rng.normal(0, 0.3))) + np.float32(middle + rng.normal(0, 22))
        blur = rng.random()
        if blur < 0.4:
            image = cv2.GaussianBlur(image, (0, 0), 0.4 + 2 * blur)
        if rng.random() < 0.7:
            y, x = rng.integers(0, self._grain.shape[0] - self.side, 2)
            sigma = np.float32(abs(rng.normal(0, 6)))
            image += self._grain[y : y + self.side, x : x + self.side] * sigma
        return np.clip(image, 0, 255).astype(np.uint8)

    def batch(self, count: int, rng: np.random.Generator) -> Batch:
        """Draw `count` pictures, classes evenly, half of them with a defect."""
        labels = rng.integers(0, CLASSES, count)
        kinds = np.where(rng.random(count) < 0.5, rng.integers(1, len(DEFECTS), count), 0)
        drawn = [self.picture(int(c), int(k), rng) for c, k in zip(labels, kinds, strict=True)]
        return Batch(np.stack([d[0] for d in drawn]), labels, kinds, np.stack([d[1] for d in drawn]))


def _turned(image: NDArray[Any], turn: int) -> NDArray[Any]:
    """One of the eight turns and mirrors of a square."""
    if turn & 4:
        image = image.T
    return image[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]


def _shifted(image: NDArray[np.float32], shift: NDArray[np.int64]) -> NDArray[np.float32]:
    """Shift by whole pixels (y, x), zeros moving in."""
    out = np.zeros_like(image)
    h, w = image.shape
    dy, dx = int(shift[0]), int(shift[1])
    out[max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = image[
        max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
    ]
    return out


def main() -> None:
    """Time the generator and write a contact sheet, a row of pictures a family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    start = time.perf_counter()
    surfaces = Surfaces(args.seed, each=1)
    print(f"{CLASSES} textures in {time.perf_counter() - start:.1f} s")
    rng = np.random.default_rng(args.seed)
    start = time.perf_counter()
    surfaces.batch(2000, rng)
    print(f"{2000 / (time.perf_counter() - start):.0f} pictures a second")
    rows = [
        np.hstack([surfaces.picture(f * PER_FAMILY + c, c % len(DEFECTS), rng)[0] for c in range(PER_FAMILY)])
        for f in range(len(FAMILIES))
    ]
    cv2.imwrite(str(args.sheet), np.vstack(rows))


if __name__ == "__main__":
    main()
