"""Which cameras are there, as far as control knows: capture says so every second, and silence means no.

It must not know frames or parts; a camera that is there proves nothing about any picture.
"""

from __future__ import annotations

from collections.abc import Sequence

SILENT_NS = 3_000_000_000
"""Without a word from its capture process for so long, a camera is down: the process may be gone."""


class CameraWatch:
    """The configured cameras, each up from its first sign of life until it says otherwise or falls silent."""

    def __init__(self, cameras: Sequence[str]) -> None:
        """Start with every camera down."""
        self._heard: dict[str, int | None] = dict.fromkeys(cameras)

    def hear(self, camera: str, up: bool, now_ns: int) -> None:
        """Take a camera's word, or a frame from it; KeyError for a camera that the line does not have."""
        if camera not in self._heard:
            raise KeyError(f"unknown camera {camera}")
        self._heard[camera] = now_ns if up else None

    def down(self, now_ns: int) -> list[str]:
        """Return the cameras that are not there, in the configuration's order."""
        return [c for c, heard in self._heard.items() if heard is None or now_ns - heard > SILENT_NS]
