"""Frames. Pixels live once, in the shared-memory ring; what travels is a :class:`FrameStamp`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameStamp:
    """All that is known of a frame but its pixels, and where the pixels lie. Never a part id: control binds."""

    camera: str
    frame_counter: int
    """The camera's own counter; a gap is a lost frame."""
    t_exposed_ns: int
    """Exposure time on this machine's monotonic clock (ns)."""
    t_available_ns: int
    """When the pixels were complete in the ring (monotonic, ns)."""
    encoder: int | None
    """Encoder counts latched at exposure; None when the camera has no latch."""
    slot: int
    generation: int
    """Ring slot and the slot's generation: the pixels are valid only while the generation still stands."""
    height: int
    width: int
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A picture with its stamp: u8[H, W, C], C = 1 (grey) or 3 (BGR)."""

    camera: str
    frame_counter: int
    image: Pixels
    t_exposed_ns: int
    encoder: int | None
