"""The camera station: takes a part's picture when the part is in view, and what can go wrong with that.

Pictures are made on a worker thread while the part travels from the press to the camera. The station knows which part each
frame shows, for the ledger; to the camera's port it hands pixels and latches alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from simulators.camera import CameraServer, frame_bytes
from simulators.imaging import Imaging, Pixels
from simulators.ledger import Ledger
from simulators.pictures import PictureFolder, Renderer
from simulators.scenario import BadPictures
from simulators.world import Moment, Part


class Station:
    """Between the world's exposures and the camera's port; needs a running loop."""

    def __init__(
        self,
        pictures: Renderer | PictureFolder,
        camera: CameraServer,
        ledger: Ledger,
        *,
        transfer_ms: float,
        first_counter: int,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """``first_counter`` is the frame counter to begin with; ``on_failure`` is told when a picture cannot be made."""
        self._pictures = pictures
        self._camera = camera
        self._ledger = ledger
        self._transfer_ms = transfer_ms
        self._counter = first_counter
        self._on_failure = on_failure
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pictures")
        self._shots: dict[int, asyncio.Future[Pixels]] = {}
        self._last: tuple[asyncio.Future[Pixels], int] | None = None
        self._fault: BadPictures | None = None
        self._fault_left = 0
        self.late_frames = 0
        """Frames that left later than ``transfer_ms`` because their picture was not ready."""

    def prepare(self, part: Part, imaging: Imaging) -> None:
        """Begin with the picture of a part that was just made."""
        shot = self._pictures.shot(part.n, part.truth)
        self._shots[part.n] = asyncio.get_running_loop().run_in_executor(self._worker, shot, imaging)

    def spoil(self, fault: BadPictures) -> None:
        """Let the camera go wrong for the next parts."""
        self._fault, self._fault_left = fault, fault.for_parts

    def expose(self, exposure: Moment) -> None:
        """Take the picture: the frame leaves ``transfer_ms`` after the exposure, or as soon as it is ready."""
        n = exposure.part.n
        self._counter = self._counter % 0xFFFFFFFF + 1
        shot, shows = self._what_the_camera_sees(self._shots.pop(n), n)
        self._ledger.write("frame", exposure.t_ms, frame_counter=self._counter, n=shows, in_view=n)
        header = (self._counter, round(exposure.t_ms * 1e6), exposure.encoder)
        due_s = (exposure.t_ms + self._transfer_ms) / 1e3
        asyncio.get_running_loop().call_later(max(0.0, due_s - time.monotonic()), self._send, shot, header, shows == 0)

    def stop(self) -> None:
        """End the worker; pictures not yet made are given up."""
        self._worker.shutdown(wait=True, cancel_futures=True)
        for shot in self._shots.values():
            shot.cancel()

    def _what_the_camera_sees(self, shot: asyncio.Future[Pixels], n: int) -> tuple[asyncio.Future[Pixels], int]:
        """Return the picture that leaves the camera and the part that it shows, 0 for none (black)."""
        fault, last = self._fault, self._last
        if fault is None or self._fault_left == 0:
            self._last = (shot, n)
            return shot, n
        self._fault_left -= 1
        if fault.kind == "camera_off_by_one":
            self._last = (shot, n)
        if fault.kind == "camera_black" or last is None:
            return shot, 0
        return last

    def _send(self, shot: asyncio.Future[Pixels], header: tuple[int, int, int], black: bool) -> None:
        if not shot.done():
            self.late_frames += 1
            shot.add_done_callback(lambda done: self._send(done, header, black))
        elif shot.cancelled():
            return
        elif (error := shot.exception()) is not None:
            self._on_failure(error)
        else:
            picture = shot.result()
            self._camera.send(frame_bytes(*header, np.zeros_like(picture) if black else picture))
