"""Pictures of simulated parts: a brushed metal plate with five holes, and the five ways in which it can be spoilt.

A pure function of a generator, a label and the imaging state; every picture has a surface, small tolerances and sensor noise
of its own. The plain surfaces are cut from a pool made once, because a line wants thirty pictures a second of a slow core.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from simulators.imaging import HEALTHY, Grey, Imaging, Pixels, expose
from simulators.process import GOOD

LABELS = (GOOD, "scratch", "dent", "stain", "crack", "missing_hole")
#: Centres of the holes and their radius, as shares of the edge.
_HOLES = ((0.22, 0.22), (0.78, 0.22), (0.22, 0.78), (0.78, 0.78), (0.5, 0.5))
_RADIUS = 0.065
_LEVEL = 138.0
_POOL = 5
_SCALE = 200


def render(rng: np.random.Generator, label: str, imaging: Imaging = HEALTHY, size: int = 200) -> Pixels:
    """Return the picture u8[size, size, 1] of a part with this ``label``; ValueError for a label that cannot be drawn."""
    if label not in LABELS:
        raise ValueError(f"no part can be rendered as {label!r}; the labels are {', '.join(LABELS)}")
    scene = _surface(rng, size)
    missing = int(rng.integers(len(_HOLES))) if label == "missing_hole" else -1
    if label in _DEFECTS:
        _DEFECTS[label](scene, rng)
    _drill(scene, rng, missing)
    scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), 0.003 * size), dtype=np.float32)
    return expose(scene, imaging, rng)[:, :, np.newaxis]


# -- the plain part ---------------------------------------------------------------------------------------------------------


def _surface(rng: np.random.Generator, size: int) -> Grey:
    """Return a fresh piece of brushed metal: a random cut of the pool, turned over at random, level and sheen of its own."""
    pool = _brushed(size)
    sheet = pool[int(rng.integers(len(pool)))]
    y, x = (int(v) for v in rng.integers(0, sheet.shape[0] - size, 2))
    cut = sheet[y : y + size, x : x + size]
    flip = int(rng.integers(4))
    cut = cut[:: -1 if flip & 1 else 1, :: -1 if flip & 2 else 1]
    return cut * np.float32(rng.uniform(0.8, 1.2)) + (_sheen(size) * np.float32(rng.uniform(0.85, 1.15)) + _level(rng))


def _level(rng: np.random.Generator) -> np.float32:
    return np.float32(_LEVEL + rng.normal(0, 1.5))


@functools.cache
def _brushed(size: int) -> tuple[Grey, ...]:
    """Return sheets of brushed texture around 0, f32[edge, edge], three times the edge of a picture."""
    rng = np.random.default_rng(7001)
    return tuple(_sheet(rng, size) for _ in range(_POOL))


def _sheet(rng: np.random.Generator, size: int) -> Grey:
    """Draw the wide structures at the scale of 200 px, where they cost little, and the grain at the picture's own."""
    wide = 3 * _SCALE
    fine = cv2.GaussianBlur(rng.standard_normal((wide, wide), dtype=np.float32), (0, 0), sigmaX=0.06 * _SCALE, sigmaY=0.6)
    coarse = cv2.GaussianBlur(rng.standard_normal((wide, wide), dtype=np.float32), (0, 0), 0.05 * _SCALE)
    lines = cv2.resize(5.0 * fine / fine.std() + 2.5 * coarse / coarse.std(), (3 * size, 3 * size))
    grain = cv2.GaussianBlur(rng.standard_normal((3 * size, 3 * size), dtype=np.float32), (0, 0), 1.0)
    return np.asarray(lines + 2.0 * grain / grain.std(), dtype=np.float32)


@functools.cache
def _sheen(size: int) -> Grey:
    """Return the lamp's fall-off over the field, f32[size, size] around 0."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / np.float32(size) - np.float32(0.5)
    sheen = 22 * np.exp(-((x + 0.1) ** 2 + (y - 0.06) ** 2) / 0.3)
    return np.asarray(sheen - sheen.mean(), dtype=np.float32)


def _drill(scene: Grey, rng: np.random.Generator, missing: int) -> None:
    """Put the holes in, but for the ``missing`` one; the plate lies a little askew and no hole is quite true."""
    size = scene.shape[0]
    turn = rng.normal(0, 0.008)
    dx, dy = rng.normal(0, 0.006, 2)
    for i, (hx, hy) in enumerate(_HOLES):
        jitter = rng.normal(0, 0.002, 2)
        radius = _RADIUS * (1 + rng.normal(0, 0.015))
        if i == missing:
            continue
        cx = 0.5 + (hx - 0.5) - turn * (hy - 0.5) + dx + jitter[0]
        cy = 0.5 + (hy - 0.5) + turn * (hx - 0.5) + dy + jitter[1]
        _hole(scene, cx * size, cy * size, radius * size)


def _hole(scene: Grey, cx: float, cy: float, radius: float) -> None:
    """Draw one hole: dark inside, a bright chamfer on the side that faces the lamp."""
    view, x, y = _window(scene, cx, cy, 1.6 * radius)
    if view.size == 0:
        return
    distance = np.hypot(x, y)
    inside = 1 / (1 + np.exp(np.clip((distance - np.float32(radius)) * np.float32(1.6), -30, 30)))
    chamfer = np.exp(-(((distance - np.float32(1.12 * radius)) / np.float32(0.12 * radius)) ** 2))
    view += chamfer * (18 - 26 * (x + y) / np.float32(2 * radius))
    view += (np.float32(24) - view) * inside


def _window(scene: Grey, cx: float, cy: float, reach: float) -> tuple[Grey, Grey, Grey]:
    """Return the view of ``scene`` within ``reach`` of a centre, and x, y from the centre (broadcastable)."""
    height, width = scene.shape
    x0, x1 = max(0, int(cx - reach)), min(width, int(cx + reach) + 1)
    y0, y1 = max(0, int(cy - reach)), min(height, int(cy + reach) + 1)
    x = np.arange(x0, max(x0, x1), dtype=np.float32)[np.newaxis, :] - np.float32(cx)
    y = np.arange(y0, max(y0, y1), dtype=np.float32)[:, np.newaxis] - np.float32(cy)
    return scene[y0 : max(y0, y1), x0 : max(x0, x1)], x, y


# -- what can be wrong with it ------------------------------------------------------------------------------------------------


def _place(rng: np.random.Generator, size: int, margin: float) -> tuple[float, float]:
    """Return a place at least ``margin`` (share of the edge) from the border and not inside a hole."""
    while True:
        x, y = rng.uniform(margin, 1 - margin, 2)
        if all(np.hypot(x - hx, y - hy) > 1.35 * _RADIUS for hx, hy in _HOLES):
            return x * size, y * size


def _stroke(scene: Grey, points: Sequence[tuple[float, float]], thickness: int, soft: float) -> Grey:
    """Return the coverage f32[H, W] (0 … 1) of a line through ``points`` (px)."""
    mask = np.zeros(scene.shape, dtype=np.uint8)
    fixed = np.array([[round(x * 16), round(y * 16)] for x, y in points], dtype=np.int32)
    cv2.polylines(mask, [fixed.reshape(-1, 1, 2)], False, 255, thickness, cv2.LINE_AA, 4)
    cover = cv2.GaussianBlur(mask, (0, 0), soft) if soft else mask
    return np.asarray(cover, dtype=np.float32) * np.float32(1 / 255)


def _scratch(scene: Grey, rng: np.random.Generator) -> None:
    """Score a long, nearly straight groove: bright on one flank, dark on the other."""
    size = scene.shape[0]
    x, y = _place(rng, size, 0.18)
    angle, length = rng.uniform(0, np.pi), rng.uniform(0.22, 0.55) * size
    bend = rng.normal(0, 0.06) * length
    along = np.linspace(-0.5, 0.5, 9)
    side = bend * (1 - 4 * along**2)
    dx, dy = np.cos(angle), np.sin(angle)
    points = [(x + a * length * dx - s * dy, y + a * length * dy + s * dx) for a, s in zip(along, side, strict=True)]
    strength = np.float32(rng.uniform(55, 90))
    bright = _stroke(scene, points, 1 + int(rng.random() < 0.35), 0.5)
    dark = _stroke(scene, [(px + 1.2 * dy + 0.3, py - 1.2 * dx + 0.3) for px, py in points], 1, 0.6)
    scene += strength * bright - np.float32(0.6) * strength * dark


def _crack(scene: Grey, rng: np.random.Generator) -> None:
    """Let a dark, jagged crack run across the plate, with a branch or two."""
    size = scene.shape[0]
    start = _place(rng, size, 0.15)
    heading = rng.uniform(0, 2 * np.pi)
    strength = np.float32(rng.uniform(55, 90))
    main = _jagged(rng, start, heading, rng.uniform(0.2, 0.45) * size, size)
    cover = _stroke(scene, main, 1, 0.45)
    for _ in range(int(rng.integers(1, 3))):
        at = main[int(rng.integers(1, len(main) - 1))]
        twig = _jagged(rng, at, heading + rng.choice((-1, 1)) * rng.uniform(0.5, 1.1), rng.uniform(0.06, 0.16) * size, size)
        cover = np.maximum(cover, np.float32(0.8) * _stroke(scene, twig, 1, 0.4))
    scene -= strength * cover * np.float32(1.4)


def _jagged(
    rng: np.random.Generator, start: tuple[float, float], heading: float, length: float, size: int
) -> list[tuple[float, float]]:
    step = 0.03 * size
    points = [start]
    for _ in range(max(3, round(length / step))):
        heading += rng.normal(0, 0.25)
        kink = heading + rng.normal(0, 0.5)
        points.append((points[-1][0] + step * np.cos(kink), points[-1][1] + step * np.sin(kink)))
    return points


def _dent(scene: Grey, rng: np.random.Generator) -> None:
    """Press a shallow dent: the flank towards the lamp dark, the other one bright."""
    size = scene.shape[0]
    x, y = _place(rng, size, 0.14)
    reach = rng.uniform(0.035, 0.075) * size
    view, u, v = _window(scene, x, y, 3.5 * reach)
    stretch, tilt = rng.uniform(0.75, 1.3), rng.uniform(0, np.pi)
    a = (u * np.float32(np.cos(tilt)) + v * np.float32(np.sin(tilt))) / np.float32(reach * stretch)
    b = (v * np.float32(np.cos(tilt)) - u * np.float32(np.sin(tilt))) / np.float32(reach / stretch)
    bowl = np.exp(-(a**2 + b**2) / 2)
    lamp = rng.normal(-2.2, 0.25)
    slope = (u * np.float32(np.cos(lamp)) + v * np.float32(np.sin(lamp))) / np.float32(reach)
    strength = np.float32(rng.uniform(42, 70))
    view += strength * bowl * (slope - np.float32(0.25))


def _stain(scene: Grey, rng: np.random.Generator) -> None:
    """Leave a drop of oil: an irregular, soft patch that is darker, with a darker rim."""
    size = scene.shape[0]
    x, y = _place(rng, size, 0.16)
    reach = rng.uniform(0.06, 0.13) * size
    view, u, v = _window(scene, x, y, 1.9 * reach)
    angle = np.arctan2(v, u)
    edge = np.full(angle.shape, 1.0, dtype=np.float32)
    for k in (2, 3, 5):
        edge += np.float32(rng.uniform(0.04, 0.22) / np.sqrt(k)) * np.cos(k * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    inside = (edge - np.hypot(u, v) / np.float32(reach)) * np.float32(9)
    patch = 1 / (1 + np.exp(np.clip(-inside, -30, 30)))
    rim = np.exp(-((inside - 1) ** 2) / 3)
    depth = np.float32(rng.uniform(0.18, 0.34))
    view *= 1 - depth * patch - np.float32(0.35) * depth * rim


_DEFECTS: dict[str, Callable[[Grey, np.random.Generator], None]] = {
    "scratch": _scratch,
    "dent": _dent,
    "stain": _stain,
    "crack": _crack,
}


# -- training pictures -------------------------------------------------------------------------------------------------------


def write_pictures(folder: Path, per_class: int, seed: int, size: int = 200) -> int:
    """Write ``per_class`` PNG pictures of each label into ``folder/<label>/``; return how many were written.

    Light, focus and noise vary as little as they do on a healthy station over a day. A picture's name says its label and
    number and nothing else.
    """
    written = 0
    for index, label in enumerate(LABELS):
        target = folder / label
        target.mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            rng = np.random.default_rng([seed, index, i, 3])
            imaging = Imaging(light=rng.normal(1, 0.008), blur=abs(rng.normal(0, 0.15)), noise=rng.uniform(1.8, 2.3))
            path = target / f"{label}_{i:05d}.png"
            if not cv2.imwrite(str(path), render(rng, label, imaging, size)):
                raise OSError(f"{path}: the picture could not be written; is the disk full?")
            written += 1
    return written


def main() -> None:
    """Write training pictures from the command line."""
    parser = argparse.ArgumentParser(prog="python -m simulators.render", description=write_pictures.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder that gets a folder a class")
    parser.add_argument("--per-class", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=200, help="edge of a picture in px")
    args = parser.parse_args()
    print(f"{write_pictures(args.out, args.per_class, args.seed, args.size)} pictures in {args.out}")


if __name__ == "__main__":
    main()
