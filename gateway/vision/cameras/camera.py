"""What a camera is: it opens, gives frames in order, and closes; all calls may block, for capture is a process of its own.

One attempt each: no retry and no reconnect here, the capture process alone does that. A camera must not know parts, the ring,
or who looks at its pictures.
"""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from gateway.core.frame import Frame

Pixel = Annotated[int, Field(ge=0, lt=1 << 16)]
Extent = Annotated[int, Field(ge=1, lt=1 << 16)]


class Camera(Protocol):
    """Raises only DeviceUnavailable, DeviceProtocolError and PictureError; after the first two: close, and open again.

    A PictureError costs that one picture (the counter goes on); the camera stays usable.
    """

    def open(self) -> None:
        """Connect once, within a few seconds; what was asked for or begun before is forgotten."""

    def read(self, timeout: float) -> Frame | None:
        """Return the next frame with the configured channels, or None when none came within ``timeout`` seconds."""

    def trigger(self) -> None:
        """Take a picture now, if this camera waits for a trigger by software. Never blocks; may come from another thread."""

    def close(self) -> None:
        """Let go of the device; never raises, safe twice."""


class CameraBase(BaseModel):
    """What the configuration of every kind has."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$")
    channels: Literal[1, 3] = 1
    """1 = grey, 3 = BGR; the model's manifest says which it wants."""
    offset: float = Field(default=0, allow_inf_nan=False)
    """From the photo-eye to the exposure: encoder counts, or ms when frames are bound by time."""
    positions: list[tuple[Pixel, Pixel, Extent, Extent]] = Field(default_factory=list, max_length=64)
    """x, y, width, height (pixels) of each part in a multi-up picture; empty: the whole picture shows one part."""
