"""Any picture to the model's input: one function for training and serving, so that both see the same pixels."""

from __future__ import annotations

import cv2
import numpy as np

from gateway.core.errors import ModelError
from gateway.core.frame import Pixels
from gateway.vision.manifest import Input


def input_array(spec: Input) -> Pixels:
    """Return an array to fit pictures into: u8[1, H, W, C] or u8[1, C, H, W]."""
    plane = (spec.height, spec.width)
    return np.zeros((1, *plane, spec.channels) if spec.layout == "NHWC" else (1, spec.channels, *plane), np.uint8)


def fit_picture(image: Pixels, spec: Input, array: Pixels) -> None:
    """Resize u8[H, W, C] into ``array`` (see :func:`input_array`).

    ModelError when dtype, shape or channels do not fit.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or 0 in image.shape:
        raise ModelError(f"a picture must be u8[H, W, C], not {image.dtype}{list(image.shape)}")
    channels = image.shape[2]
    if channels != spec.channels:
        said = f"the picture has {channels} channel(s), the model wants {spec.channels}"
        raise ModelError(f"{said}; set the camera's `channels` to {spec.channels}")
    small = cv2.resize(image, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR)
    small = small.reshape(spec.height, spec.width, channels)
    # Assigned, not written by OpenCV in place: if shapes ever differed, it would write elsewhere and the last picture stay.
    array[0] = small if spec.layout == "NHWC" else small.transpose(2, 0, 1)
