"""From frame stamps to one inspection: pixels out of the rings, through the engine, views and positions joined.

It must not know the PLC. Whatever goes wrong here is a fault in the inspection, never a missing one.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
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
        engine: InferenceEngine | None,
        model_id: str,
        rings: Mapping[str, Path],
        rois: Mapping[str, Sequence[Sequence[int]]],
        passes: frozenset[str],
        *,
        mono_ns: Callable[[], int],
        saw: Callable[[FrameStamp, str], None] = lambda stamp, fault: None,
    ) -> None:
        """Take all that it looks with; without an ``engine`` nothing is seen until one is to :meth:`serve`.

        ``rois`` holds x, y, width, height of each position by camera; empty = the whole picture. ``saw`` is told of each
        picture that was looked at what is wrong with it, '' when it can be relied upon.
        """
        self.model_id = model_id
        self._engine = engine
        self._paths = rings
        self._rings: dict[str, tuple[FrameRing, tuple[int, int]]] = {}
        self._rois = rois
        self._passes = passes
        self._mono_ns = mono_ns
        self._saw = saw
        self._turn = asyncio.Lock()
        self._last_print: dict[tuple[str, int], int] = {}

    def serve(self, engine: InferenceEngine, model_id: str, passes: frozenset[str]) -> None:
        """Look with another model from now on; nothing may be under way."""
        self._engine, self.model_id, self._passes = engine, model_id, passes

    async def inspect(self, part: Part, stamps: Sequence[FrameStamp]) -> Inspection:
        """Return the inspection of the part's views; the view least likely to pass decides."""
        worst: Inspection | None = None
        for view, stamp in zip(part.views, stamps, strict=True):
            async with self._turn:
                if self._mono_ns() > part.due_mono_ns:
                    # Looking would only make the parts behind it late as well.
                    return faulted(part.part_id, "its turn came after the deadline")
                seen = await self._look(part.part_id, stamp, view.position)
            if seen.fault:
                return seen
            if worst is None or self._passing(seen) < self._passing(worst):
                worst = seen
        return worst if worst is not None else faulted(part.part_id, "the part has no views")

    async def _look(self, part_id: int, stamp: FrameStamp, position: int) -> Inspection:
        try:
            if (engine := self._engine) is None:
                return faulted(part_id, "no model is in force")
            ring = self._ring(stamp.camera)
            image = ring.view(stamp.slot, (stamp.height, stamp.width, stamp.channels))
            rois = self._rois.get(stamp.camera, ())
            if rois:
                x, y, w, h = rois[position]
                if x + w > stamp.width or y + h > stamp.height:
                    return faulted(part_id, f"position {position} lies outside the {stamp.width}×{stamp.height} picture")
                image = image[y : y + h, x : x + w]
            frozen = self._is_frozen(stamp.camera, position, image)
            engine.load_input(image)
            # Only now is it certain that the pixels copied were those of this frame.
            if not ring.valid(stamp.slot, stamp.generation):
                return faulted(part_id, "the frame was overwritten before it was read")
            if frozen:
                return self._bad(part_id, stamp, "the camera is frozen: the picture repeats the last one bit for bit")
            answer = await engine.infer()
        except GatewayError as error:
            return faulted(part_id, str(error))
        if not answer.stats.contrast >= BLANK_CONTRAST:  # NaN shows nothing either
            return self._bad(part_id, stamp, "the picture is blank")
        self._saw(stamp, "")
        return Inspection(
            part_id=part_id,
            label=answer.label,
            scores=answer.probabilities,
            stats=answer.stats,
            model_id=self.model_id,
            infer_ms=answer.infer_ms,
        )

    def _bad(self, part_id: int, stamp: FrameStamp, fault: str) -> Inspection:
        self._saw(stamp, fault)
        return faulted(part_id, fault)

    def _passing(self, inspection: Inspection) -> float:
        return sum(p for label, p in inspection.scores.items() if label in self._passes)

    def _ring(self, camera: str) -> FrameRing:
        """Return the ring that now lies at the camera's path: a restarted capture may have had to make another."""
        path = self._paths[camera]
        ring, inode = self._rings.get(camera, (None, None))
        there = _inode(path)
        if ring is None or there != inode:
            if ring is not None:
                del self._rings[camera]
                ring.close()
            ring = FrameRing.attach(path)
            self._rings[camera] = (ring, there)
        return ring

    def _is_frozen(self, camera: str, position: int, image: Pixels) -> bool:
        """Real pictures carry noise: two looks at one place alike to the last bit come from a camera that repeats itself."""
        fingerprint = zlib.crc32(image[:: max(1, image.shape[0] // 64)].tobytes())
        last = self._last_print.get((camera, position))
        self._last_print[camera, position] = fingerprint
        return last == fingerprint

    def close(self) -> None:
        """Detach from the rings."""
        for ring, _ in self._rings.values():
            ring.close()
        self._rings.clear()


def _inode(path: Path) -> tuple[int, int]:
    """Return which file lies at ``path``; (0, 0) when there is none."""
    try:
        there = os.stat(path)
    except OSError:
        return 0, 0
    return there.st_dev, there.st_ino
