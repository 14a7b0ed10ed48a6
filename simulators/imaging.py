"""What light, lens and sensor do to a picture: gain, blur, dust, shift and noise, as pure functions of a state.

Stands apart from the rendering of parts, because an imaging fault is no defect of the part: a scenario ramps these
quantities while the truth stays what it is. It must not know labels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imaging:
    """The state of light, lens and camera. The defaults are those of a healthy station."""

    light: float = 1.0
    """Gain of the lighting; 1 = as commissioned."""
    blur: float = 0.0
    """Standard deviation of defocus in px, on top of the lens's own."""
    dust: int = 0
    """Spots on the lens; they stay where they are from picture to picture."""
    shift: float = 0.0
    """Displacement of the camera along x in px."""
    noise: float = 2.0
    """Standard deviation of the sensor's noise in grey levels."""


HEALTHY = Imaging()


def expose(scene: Grey, imaging: Imaging, rng: np.random.Generator) -> Pixels:
    """Return the picture u8[H, W] that the camera takes of ``scene`` (f32[H, W], grey levels); ``rng`` draws the noise."""
    image = scene
    if imaging.shift:
        move = np.array([[1, 0, imaging.shift], [0, 1, 0]], dtype=np.float32)
        image = np.asarray(
            cv2.warpAffine(image, move, (scene.shape[1], scene.shape[0]), borderMode=cv2.BORDER_REFLECT_101), dtype=np.float32
        )
    if imaging.blur:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), imaging.blur), dtype=np.float32)
    if imaging.dust:
        image = image * _dust(scene.shape[0], scene.shape[1], imaging.dust)
    noise = rng.standard_normal(scene.shape, dtype=np.float32)
    noise *= np.float32(imaging.noise)
    noise += image * np.float32(imaging.light) if imaging.light != 1.0 else image
    noise += np.float32(0.5)
    return np.clip(noise, 0, 255, out=noise).astype(np.uint8)


def degrade(picture: Pixels, imaging: Imaging, rng: np.random.Generator) -> Pixels:
    """Return a stored picture u8[H, W, C] as a station in this state would show it; unaltered by a healthy one.

    The picture has noise of its own, so that only what exceeds a healthy sensor's is added.
    """
    if imaging == HEALTHY:
        return picture
    extra = float(np.sqrt(max(0.0, imaging.noise**2 - HEALTHY.noise**2)))
    state = Imaging(light=imaging.light, blur=imaging.blur, dust=imaging.dust, shift=imaging.shift, noise=extra)
    planes = [expose(picture[:, :, c].astype(np.float32), state, rng) for c in range(picture.shape[2])]
    return np.stack(planes, axis=2)


@functools.lru_cache(maxsize=16)
def _dust(height: int, width: int, spots: int) -> Grey:
    """Return the transmission f32[H, W] of a lens with this many spots; more spots keep those that were there."""
    rng = np.random.default_rng(20_011)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    lens = np.ones((height, width), dtype=np.float32)
    for _ in range(spots):
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        radius, depth = rng.uniform(0.012, 0.035) * width, rng.uniform(0.08, 0.3)
        distance = np.hypot(x - cx, y - cy)
        lens *= 1 - np.float32(depth) / (1 + np.exp(np.clip((distance - radius) / (0.25 * radius), -30, 30)))
    return lens
