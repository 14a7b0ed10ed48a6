"""From frame stamps to one inspection: pixels out of the rings, through the engine, views and positions joined.

It must not know the PLC. Whatever goes wrong here is a fault in the inspection, never a missing one.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from gateway.core.errors import GatewayError
from gateway.core.frame import FrameStamp, Pixels
from gateway.core.inspection import ImageStats, Inspection, faulted
from gateway.core.part import Part
from gateway.frames import FrameRing

BLANK_CONTRAST = 0.5
"""Grey levels of standard deviation below which a picture shows nothing at all."""


class Inference(Protocol):
    """What the engine answers for one picture."""

    @property
    def label(self) -> str:
        """The most probable label."""

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Probability by label."""

    @property
    def stats(self) -> ImageStats:
        """Imaging quantities of the picture."""

    @property
    def infer_ms(self) -> float:
        """Time of the inference itself."""


class InferenceEngine(Protocol):
    """What the eye needs of an engine: one picture at a time."""

    def load_input(self, image: Pixels) -> None:
        """Copy u8[H, W, C] into the input, resized; ModelError when the channels do not fit."""

    async def infer(self) -> Inference:
        """Infer what was loaded; raises on failure, never answers zeros."""


class Eye:
    """Looks at parts, one picture at a time; ``passes`` are the labels that may pass (the worst view decides)."""

    def __init__(
        self,
        engine: InferenceEngine,
        model_id: str,
        rings: Mapping[str, Path],
        rois: Mapping[str, Sequence[Sequence[int]]],
        passes: frozenset[str],
    ) -> None:
        """``rois`` holds x, y, width, height of each position by camera; empty = the whole picture."""
        self.model_id = model_id
        self._engine = engine
        self._paths = rings
        self._rings: dict[str, FrameRing] = {}
        self._rois = rois
        self._passes = passes
        self._turn = asyncio.Lock()
        self._last_print: dict[str, tuple[int, int]] = {}

    async def inspect(self, part: Part, stamps: Sequence[FrameStamp]) -> Inspection:
        """Return the inspection of the part's views; the view least likely to pass decides."""
        worst: Inspection | None = None
        for view, stamp in zip(part.views, stamps, strict=True):
            async with self._turn:
                seen = await self._look(part.part_id, stamp, view.position)
            if seen.fault:
                return seen
            if worst is None or self._passing(seen) < self._passing(worst):
                worst = seen
        return worst if worst is not None else faulted(part.part_id, "the part has no views")

    async def _look(self, part_id: int, stamp: FrameStamp, position: int) -> Inspection:
        try:
            ring = self._ring(stamp.camera)
            image = ring.view(stamp.slot, (stamp.height, stamp.width, stamp.channels))
            rois = self._rois.get(stamp.camera, ())
            if rois:
                x, y, w, h = rois[position]
                if x + w > stamp.width or y + h > stamp.height:
                    return faulted(part_id, f"position {position} lies outside the {stamp.width}×{stamp.height} picture")
                image = image[y : y + h, x : x + w]
            frozen = self._is_frozen(stamp, image)
            self._engine.load_input(image)
            # Only now is it certain that the pixels copied were those of this frame.
            if not ring.valid(stamp.slot, stamp.generation):
                return faulted(part_id, "the frame was overwritten before it was read")
            if frozen:
                return faulted(part_id, "the camera is frozen: the picture repeats the last one bit for bit")
            answer = await self._engine.infer()
        except GatewayError as error:
            return faulted(part_id, str(error))
        if answer.stats.contrast < BLANK_CONTRAST:
            return faulted(part_id, "the picture is blank")
        return Inspection(
            part_id=part_id,
            label=answer.label,
            scores=answer.probabilities,
            stats=answer.stats,
            model_id=self.model_id,
            infer_ms=answer.infer_ms,
        )

    def _passing(self, inspection: Inspection) -> float:
        return sum(p for label, p in inspection.scores.items() if label in self._passes)

    def _ring(self, camera: str) -> FrameRing:
        if camera not in self._rings:
            self._rings[camera] = FrameRing.attach(self._paths[camera])
        return self._rings[camera]

    def _is_frozen(self, stamp: FrameStamp, image: Pixels) -> bool:
        """Real pictures carry noise: two frames alike to the last bit come from a camera that repeats itself."""
        fingerprint = zlib.crc32(image[:: max(1, image.shape[0] // 64)].tobytes())
        last = self._last_print.get(stamp.camera)
        self._last_print[stamp.camera] = (stamp.frame_counter, fingerprint)
        return last is not None and last[0] != stamp.frame_counter and last[1] == fingerprint

    def close(self) -> None:
        """Detach from the rings."""
        for ring in self._rings.values():
            ring.close()
        self._rings.clear()
