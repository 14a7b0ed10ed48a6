"""Families of procedural grey surfaces.

Every family is one function `(u, rng, size) -> f32[size, size]`: `u` holds the class's own parameters, each in 0..1
(the same for every picture of the class), `rng` draws what differs from picture to picture. The result has mean 0
and standard deviation 1; grey levels, light, defects and camera faults belong to `generate.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Family = Callable[[NDArray[np.float64], np.random.Generator, int], Field]

_RADIUS_CACHE: dict[int, tuple[Field, Field]] = {}


def unit(field: NDArray[np.floating]) -> Field:
    """Shift and scale a field to mean 0 and standard deviation 1."""
    out = field.astype(np.float32)
    out -= out.mean()
    return out / (out.std() + np.float32(1e-6))


def between(u: float, low: float, high: float) -> float:
    """Map u in 0..1 geometrically onto low..high (both > 0)."""
    return float(low * (high / low) ** u)


def noise(
    rng: np.random.Generator,
    size: int,
    slope: float,
    low: float,
    high: float,
    angle: float = 0.0,
    stretch: float = 1.0,
) -> Field:
    """Gaussian noise with a power-law spectrum between two frequencies.

    `slope` is the exponent of the amplitude's fall, `low` and `high` the band in cycles a pixel, `stretch` >= 1 the
    elongation of the grain along `angle` (radians).
    """
    if size not in _RADIUS_CACHE:
        fy = np.fft.fftfreq(size).astype(np.float32)[:, None] * np.ones((1, size // 2 + 1), np.float32)
        fx = np.fft.rfftfreq(size).astype(np.float32)[None, :] * np.ones((size, 1), np.float32)
        _RADIUS_CACHE[size] = (fy, fx)
    fy, fx = _RADIUS_CACHE[size]
    along = fx * np.cos(angle) + fy * np.sin(angle)
    across = fy * np.cos(angle) - fx * np.sin(angle)
    r2 = np.maximum((along * stretch) ** 2 + across**2, np.float32(1e-6))
    gain = r2 ** (-slope / 2) * np.exp(-r2 / (2 * high**2)) * (1 - np.exp(-r2 / (2 * low**2)))
    white = rng.standard_normal((size, size), dtype=np.float32)
    return unit(np.fft.irfft2(np.fft.rfft2(white) * gain, s=(size, size)))


def warp(field: Field, rng: np.random.Generator, reach: float, scale: float) -> Field:
    """Displace a field by smooth noise: `reach` in pixels, `scale` the noise's frequency in cycles a pixel."""
    size = field.shape[0]
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    dx, dy = (noise(rng, size, 1.0, scale / 3, scale) * np.float32(reach) for _ in range(2))
    return cv2.remap(field, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def cells(rng: np.random.Generator, size: int, pitch: float, jitter: float) -> tuple[NDArray[np.int32], Field]:
    """Voronoi cells on a jittered grid: cell labels and each pixel's distance (pixels) from its cell's edge."""
    grid = np.arange(-pitch, size + pitch, pitch)
    centres = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    centres = centres + rng.uniform(-0.5, 0.5, centres.shape) * pitch * jitter
    inside = np.clip(np.round(centres).astype(int), 0, size - 1)
    seeds = np.full((size, size), 255, np.uint8)
    seeds[inside[:, 1], inside[:, 0]] = 0
    _, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    edge = np.full((size, size), 255, np.uint8)
    edge[:, 1:][labels[:, 1:] != labels[:, :-1]] = 0
    edge[1:][labels[1:] != labels[:-1]] = 0
    return labels, cv2.distanceTransform(edge, cv2.DIST_L2, 5)


def stamps(
    rng: np.random.Generator, size: int, count: int, radius: float, spread: float, elongation: float, angle: float
) -> Field:
    """Overlapping filled ellipses of random grey, radius in pixels; 0 where there is none."""
    canvas = np.full((size, size), 128, np.uint8)
    for _ in range(count):
        r = radius * np.exp(rng.normal(0, spread))
        axes = (max(1, round(8 * r * elongation)), max(1, round(8 * r)))
        centre = (int(rng.integers(0, size * 8)), int(rng.integers(0, size * 8)))
        turn = np.degrees(angle + rng.normal(0, 0.15))
        grey = int(rng.integers(0, 255))
        cv2.ellipse(canvas, centre, axes, turn, 0, 360, grey, -1, cv2.LINE_AA, 3)
    return canvas.astype(np.float32) / 128 - 1


def _angle(u: float, rng: np.random.Generator) -> float:
    return float(u * np.pi + rng.normal(0, 0.08))


def spectral(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Isotropic noise of a class's own spectrum."""
    return noise(rng, size, 0.2 + 2.2 * u[0], between(u[1], 0.004, 0.05), between(u[2], 0.08, 0.4))


def brushed(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Fine parallel grain."""
    return noise(rng, size, 0.8 * u[0], 0.01, between(u[1], 0.08, 0.4), _angle(u[3], rng), between(u[2], 4, 40))


def rolled(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Long low bands with a finer elongated grain over them."""
    angle = _angle(u[3], rng)
    bands = noise(rng, size, 1.2, 0.003, between(u[0], 0.02, 0.12), angle, 30)
    grain = noise(rng, size, 0.5, 0.02, between(u[1], 0.1, 0.4), angle, between(u[2], 1.5, 8))
    return unit(bands + np.float32(0.3 + u[4]) * grain)


def cast(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Light a bumpy height field from one side."""
    height = noise(rng, size, 0.8 + 1.4 * u[0], between(u[1], 0.005, 0.04), between(u[2], 0.06, 0.25))
    light = rng.uniform(0, 2 * np.pi)
    gy, gx = np.gradient(height)
    slope = gx * np.cos(light) + gy * np.sin(light)
    return unit(np.tanh(unit(slope) * np.float32(0.4 + 1.4 * u[3])) + np.float32(0.6 * u[4]) * height)


def granular(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Packed grains, each of its own grey, rounded by shading."""
    labels, depth = cells(rng, size, between(u[0], 4, 18), 0.3 + 0.7 * u[1])
    greys = rng.standard_normal(int(labels.max()) + 1).astype(np.float32)
    dome = np.minimum(depth / np.float32(between(u[2], 1.5, 6)), 1)
    return unit(greys[labels] * np.float32(u[3]) + dome * 2)


def woven(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Warp and weft threads, over and under."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    a, period = _angle(u[3], rng), between(u[0], 5, 24)
    s, t = (x * np.cos(a) + y * np.sin(a)) / period, (y * np.cos(a) - x * np.sin(a)) / period
    over = np.sin(np.pi * (np.floor(s) + np.floor(t * (1 + u[2]))) + np.pi / 2)
    threads = np.where(over > 0, np.abs(np.sin(np.pi * s)), np.abs(np.sin(np.pi * t * (1 + u[2]))) * (0.3 + u[1]))
    return warp(unit(threads), rng, 0.5 + 3 * u[4], 0.03)


def rings(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Draw turning marks: rings round a far or near centre, with an uneven profile."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    reach = size * between(u[0], 0.3, 4)
    turn = rng.uniform(0, 2 * np.pi)
    radius = np.hypot(x - size / 2 - reach * np.cos(turn), y - size / 2 - reach * np.sin(turn))
    profile = noise(rng, 512, 0.6, 0.004, between(u[2], 0.05, 0.3))[0]
    phase = 2 * np.pi * radius / between(u[1], 4, 20)
    return unit(np.sin(phase) * np.float32(u[3] * 1.5) + profile[radius.astype(np.int32) % 512])


def cellular(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Flat cells with thick or thin borders."""
    labels, depth = cells(rng, size, between(u[0], 10, 48), 0.4 + 0.6 * u[1])
    greys = rng.standard_normal(int(labels.max()) + 1).astype(np.float32)
    border = np.exp(-depth / np.float32(between(u[2], 0.8, 5)))
    return warp(unit(greys[labels] * np.float32(u[3]) + border * np.float32(np.sign(u[4] - 0.5) * 3)), rng, 1.5, 0.05)


def speckle(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Multiplicative speckle: heavy-tailed bright or dark grains."""
    band = between(u[0], 0.05, 0.35)
    power = noise(rng, size, 0, 0.01, band) ** 2 + noise(rng, size, 0, 0.01, band) ** 2
    slow = noise(rng, size, 1.5, 0.004, between(u[3], 0.02, 0.1))
    grains = unit(power ** np.float32(between(u[1], 0.4, 1.6))) * np.float32(1 if u[2] > 0.5 else -1)
    return unit(grains * np.exp(np.float32(u[4] * 0.8) * slow))


def scratched(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Many straight or slightly bent scratches on a plain field."""
    canvas = np.zeros((size, size), np.uint8)
    main, length = _angle(u[3], rng), between(u[0], 12, size)
    for _ in range(int(between(u[1], 15, 160))):
        a = main + rng.normal(0, 0.02 + 1.2 * u[2] ** 2)
        x, y = rng.uniform(-20, size + 20, 2)
        step = np.exp(rng.normal(0, 0.4)) * length / 2
        ends = [(round(float(x + k * step * np.cos(a)) * 8), round(float(y + k * step * np.sin(a)) * 8)) for k in (-1, 1)]
        thick = 1 if rng.random() > u[4] else 2
        cv2.line(canvas, ends[0], ends[1], int(rng.integers(60, 255)), thick, cv2.LINE_AA, 3)
    sign = np.float32(1 if u[4] > 0.3 else -1)
    return unit(sign * cv2.GaussianBlur(canvas, (0, 0), 0.7).astype(np.float32) / 60 + 0.7 * noise(rng, size, 0.6, 0.01, 0.2))


def cracked(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Dry-mud cracks: thin warped dark borders, partly missing."""
    _, depth = cells(rng, size, between(u[0], 14, 60), 1.0)
    lines = np.exp(-depth / np.float32(between(u[1], 0.7, 2.5)))
    gate = 1 / (1 + np.exp(-3 * (noise(rng, size, 1, 0.004, 0.03) + np.float32(1.5 * u[2]))))
    network = warp((lines * gate).astype(np.float32), rng, 2 + 6 * u[3], 0.06)
    return unit(noise(rng, size, 1.0, 0.01, 0.2) * np.float32(0.5) - unit(network))


def patches(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Large areas of two tones with hard or soft borders."""
    shape = noise(rng, size, 0.8 + u[4], 0.004, between(u[0], 0.012, 0.06), rng.uniform(0, np.pi), 1 + 2 * u[3])
    mask = np.tanh((shape - np.float32(1.6 * u[1] - 0.8)) * np.float32(between(u[2], 1.5, 12)))
    return unit(mask + np.float32(0.35) * noise(rng, size, 0.6, 0.01, 0.3))


def pitted(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Small dark pits, scattered or in clusters, on fine grain."""
    high = between(u[0], 0.05, 0.25)
    pits = noise(rng, size, 0.3, 0.02, high, _angle(u[4], rng), 1 + 3 * u[1] ** 2)
    crowd = noise(rng, size, 1.2, 0.004, 0.03) * np.float32(u[2])
    depth = np.maximum(pits + crowd - np.float32(0.8 + 1.4 * u[3]), 0)
    return unit(noise(rng, size, 0.6, 0.01, 0.35) * np.float32(0.5) - unit(np.sqrt(depth)))


def crazing(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Fine ridged networks, isotropic or drawn out."""
    a, stretch, high = _angle(u[3], rng), 1 + 3 * u[1], between(u[0], 0.02, 0.12)
    ridges = [1 - np.abs(noise(rng, size, 0.5, high / 4, high, a, stretch)) for _ in range(2)]
    sharp = np.maximum(ridges[0], ridges[1] * np.float32(0.4 + 0.6 * u[4])).clip(0, 1) ** np.float32(between(u[2], 2, 12))
    return unit(noise(rng, size, 1, 0.01, 0.2) * np.float32(0.6) - unit(sharp))


def scale(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Blotches of adhering scale: ragged dark islands at two sizes, drawn along one direction."""
    a, stretch = _angle(u[3], rng), 1 + 4 * u[1]
    big = noise(rng, size, 1.0 + u[4], 0.006, between(u[0], 0.05, 0.2), a, stretch)
    small = noise(rng, size, 0.4, 0.03, 0.3, a, 1 + stretch / 3)
    islands = np.tanh(np.maximum(big + 0.4 * small - np.float32(u[2]), 0) * 3)
    return unit(np.float32(0.45) * noise(rng, size, 0.5, 0.01, 0.3) - unit(islands))


def studded(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Repeat a regular pattern of dots or ribs, as knurled, perforated or printed."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    a, period = _angle(u[3], rng), between(u[0], 5, 30)
    s = np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / period + rng.uniform(0, 6))
    t = np.cos(2 * np.pi * (y * np.cos(a) - x * np.sin(a)) / (period * (1 + u[1])) + rng.uniform(0, 6))
    dots = np.tanh((s + t * np.float32(u[4] > 0.25)) * np.float32(between(u[2], 0.8, 6)) - np.float32(u[1]))
    return unit(warp(unit(dots), rng, 1.0, 0.03) + np.float32(0.4) * noise(rng, size, 0.5, 0.01, 0.3))


def flakes(u: NDArray[np.float64], rng: np.random.Generator, size: int) -> Field:
    """Overlapping flat flakes, round or drawn out."""
    radius, elongation = between(u[0], 2.5, 14), between(u[1], 1, 5)
    count = int(min(2500, (0.4 + 1.2 * u[2]) * size * size / (3.1 * radius * radius * elongation)))
    field = stamps(rng, size, count, radius, 0.2 + 0.5 * u[4], elongation, _angle(u[3], rng))
    return unit(unit(field) + np.float32(0.35) * noise(rng, size, 0.6, 0.01, 0.3))


FAMILIES: dict[str, Family] = {
    f.__name__: f
    for f in (
        spectral, brushed, rolled, cast, granular, woven, rings, cellular, speckle,
        scratched, cracked, patches, pitted, crazing, scale, studded, flakes,
    )
}  # fmt: skip
