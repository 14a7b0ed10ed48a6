"""The inference engine: one model package, one picture at a time, on OpenVINO's CPU plug-in.

A picture goes in as u8; conversion and normalisation are in the graph, and so are the imaging quantities. An inference that
fails, answers nonsense or was never started raises: it never answers zeros. It must not know parts, verdicts or cameras.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from gateway.core.errors import ModelError, PictureError
from gateway.core.frame import Pixels
from gateway.core.inspection import ImageStats
from gateway.vision.fit import fit_picture, input_array
from gateway.vision.manifest import Input
from gateway.vision.package import Package
from gateway.vision.pictures import read_picture

RT_INFO = ["vision_gateway", "model"]
"""Where the IR itself says, as JSON, which package it belongs to."""
GOLDEN_TOLERANCE = 1e-3
PROBE_S = 0.05
"""How often an inference under way is asked whether it failed: OpenVINO calls back only when it did not."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says of one picture."""

    label: str
    probabilities: Mapping[str, float]
    """By label, 0–1, summing to 1."""
    stats: ImageStats
    embedding: Floats
    """f32[D], the features that the head saw."""
    infer_ms: float
    """OpenVINO's own time of this inference."""


def compile_options(threads: int) -> dict[str, Any]:
    """Return the options of every compilation: f32, because bf16 moves scores, and one stream for latency."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }


class _Slot:
    """An inference request with an input of its own, which is never written while the request runs."""

    def __init__(self, compiled: ov.CompiledModel, spec: Input) -> None:
        self.array = input_array(spec)
        self.tensor = ov.Tensor(self.array, shared_memory=True)
        self.request = compiled.create_infer_request()
        self.request.set_input_tensor(self.tensor)
        self.running = False

    def ended(self) -> bool:
        """Whether the request no longer reads its input."""
        if self.running:
            try:
                self.running = not self.request.wait_for(0)
            except RuntimeError:  # it ended in an error, or as cancelled
                self.running = False
        return not self.running


class Engine:
    """Serves one package. ``load_input`` then ``infer``, alternately: an input is inferred once.

    The picture is resized by OpenCV into a tensor that OpenVINO reads in place. Measured from 1280 × 1024 to 160 (224), one
    thread on a shared two-core machine, medians: 0.04 (0.06) ms in OpenCV; resizing in the graph makes the whole 1.2 (0.7) ms
    slower.
    """

    def __init__(self, package: Package, *, threads: int = 1) -> None:
        """Compile the model; ModelError when the files do not hold the model that the manifest describes."""
        self._package = package
        self._manifest = package.manifest
        self._spec = package.manifest.input
        self._labels = tuple(entry.name for entry in package.manifest.labels)
        self._compiled = self._compile(threads)
        # A second request takes over while the first, given up by its caller, is still ending.
        self._slots = (_Slot(self._compiled, self._spec), _Slot(self._compiled, self._spec))
        self._loaded: _Slot | None = None

    def _compile(self, threads: int) -> ov.CompiledModel:
        package, folder = self._package, self._package.path
        core = ov.Core()
        try:
            model = core.read_model(package.read("model.xml"), package.read("model.bin"))
            self._check_model(model)
            return core.compile_model(model, "CPU", compile_options(threads))
        except RuntimeError as error:
            raise ModelError(f"{folder}/model.xml: OpenVINO cannot use it: {brief(error)}; train the package again") from None

    def _check_model(self, model: ov.Model) -> None:
        """Refuse a model that is not the one described: shapes, outputs, and what the IR itself says it is."""
        where = f"{self._package.path}/model.xml"
        shape = list(input_array(self._spec).shape)
        found = [(port.get_element_type().get_type_name(), _shape(port)) for port in model.inputs]
        if found != [("u8", shape)]:
            raise ModelError(f"{where}: does not take one u8{shape} as the manifest says; train the package again")
        outputs = {name: _shape(port) for port in model.outputs for name in port.get_names()}
        for name, want in (("probabilities", [1, len(self._labels)]), ("stats", [1, 3])):
            if outputs.get(name) != want:
                raise ModelError(f"{where}: has no output {name} of shape {want}; train the package again")
        if not outputs.get("embedding"):
            raise ModelError(f"{where}: has no output embedding of a fixed shape; train the package again")
        if not fixed_shapes(model):
            raise ModelError(f"{where}: holds shapes that depend on the picture; train the package again")
        said = model.get_rt_info(RT_INFO).astype(str) if model.has_rt_info(RT_INFO) else ""
        mine = identity(self._manifest.id, self._labels)
        if said != mine:
            raise ModelError(f"{where}: is {said or 'nameless'}, the manifest says {mine}; copy the package again as a whole")

    @property
    def model_id(self) -> str:
        """``name/version``."""
        return self._manifest.id

    @property
    def compiled(self) -> ov.CompiledModel:
        """The compiled model, for benchmarks of the raw inference."""
        return self._compiled

    def check_channels(self, channels: int) -> None:
        """Raise ModelError when a camera of ``channels`` does not fit."""
        want = self._spec.channels
        if channels != want:
            raise ModelError(
                f"the camera gives {channels} channel(s), the model {self.model_id} wants {want}; set the camera's `channels`"
            )

    @property
    def golden_count(self) -> int:
        """How many golden pictures the package has."""
        return len(self._manifest.golden)

    def golden_faults(self) -> list[str]:
        """Infer the golden pictures; return each that does not get its recorded label and probabilities (± 1e-3), in words.

        ModelError when an inference fails.
        """
        faults = []
        for golden in self._manifest.golden:
            path = self._package.path / golden.file
            try:
                answer = self.infer_sync(read_picture(path, self._spec.channels))
            except PictureError as error:
                faults.append(f"{error}; copy the package again as a whole")
                continue
            worst = max(abs(answer.probabilities[k] - v) for k, v in golden.probabilities.items())
            if answer.label != golden.label or worst > GOLDEN_TOLERANCE:
                faults.append(
                    f"{path}: the model says {answer.label} where {golden.label} was recorded (probabilities differ by up to "
                    f"{worst:.4f}); this machine does not compute what was trained: train the package again here"
                )
        return faults

    def smoke_test(self) -> None:
        """Raise ModelError unless every golden picture is answered as recorded."""
        if faults := self.golden_faults():
            raise ModelError("\n".join(faults))

    def load_input(self, image: Pixels) -> None:
        """Copy u8[H, W, C] into a free input, resized; ModelError when it does not fit or both inputs are still being read."""
        self._loaded = None
        slot = next((s for s in self._slots if s.ended()), None)
        if slot is None:
            raise ModelError("the inferences before this one have not ended; the machine is overloaded")
        fit_picture(image, self._spec, slot.array)
        self._loaded = slot

    async def infer(self) -> Answer:
        """Infer what was loaded last.

        Cancelling the wait abandons the inference, whose input stays untouched until it has ended. Raises ModelError when
        nothing new was loaded, the inference fails, or its answer is no answer.
        """
        slot = self._take()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        slot.request.set_callback(_tell, (loop, done))
        probe = _Probe(loop, slot.request, done)
        try:
            slot.running = True
            slot.request.start_async()
            await done
            slot.request.wait()  # the callback runs a moment before OpenVINO lets go of the request
        except asyncio.CancelledError:
            slot.request.cancel()
            raise
        except RuntimeError as error:
            slot.running = False
            raise ModelError(f"model {self.model_id}: the inference failed: {brief(error)}") from None
        finally:
            probe.stop()
        slot.running = False
        return self._answer(slot.request)

    def infer_sync(self, image: Pixels) -> Answer:
        """Load and infer one picture u8[H, W, C], blocking; for use without an event loop."""
        self.load_input(image)
        slot = self._take()
        try:
            slot.request.start_async()  # not infer(), which was seen to return without an error and without an answer
            slot.request.wait()
        except RuntimeError as error:
            raise ModelError(f"model {self.model_id}: the inference failed: {brief(error)}") from None
        return self._answer(slot.request)

    def _take(self) -> _Slot:
        slot, self._loaded = self._loaded, None
        if slot is None:
            raise ModelError("no picture was loaded since the last inference")
        return slot

    def _answer(self, request: ov.InferRequest) -> Answer:
        probabilities, stats, embedding = (request.get_tensor(n).data[0] for n in ("probabilities", "stats", "embedding"))
        if not (np.isfinite(probabilities).all() and np.isfinite(stats).all() and np.isfinite(embedding).all()):
            raise ModelError(f"model {self.model_id}: the answer is not finite")
        if probabilities.min() < -1e-3 or abs(float(probabilities.sum()) - 1) > 1e-2:
            raise ModelError(f"model {self.model_id}: the answer is no set of probabilities")
        level, contrast, sharpness = map(float, stats)
        return Answer(
            label=self._labels[int(probabilities.argmax())],
            probabilities=dict(zip(self._labels, map(float, probabilities), strict=True)),
            stats=ImageStats(level=level, contrast=contrast, sharpness=sharpness),
            embedding=embedding.copy(),
            infer_ms=float(request.latency),
        )


def identity(model_id: str, labels: Sequence[str]) -> str:
    """Return what an IR says of itself: its package's id and its labels in order, as JSON."""
    return json.dumps({"id": model_id, "labels": list(labels)})


def fixed_shapes(model: ov.Model) -> bool:
    """Return whether every shape within is static.

    Where one is not, OpenVINO 2026.4 was seen to answer with the last picture's result after an inference that failed.
    """
    return all(port.get_partial_shape().is_static for node in model.get_ops() for port in node.outputs())


def _shape(port: Any) -> list[int]:
    """Return the shape of a model's port, [] when it is not static."""
    shape = port.get_partial_shape()
    return list(shape.to_shape()) if shape.is_static else []


class _Probe:
    """Looks now and then whether a request failed, since OpenVINO calls back only when it did not."""

    def __init__(self, loop: asyncio.AbstractEventLoop, request: ov.InferRequest, done: asyncio.Future[None]) -> None:
        self._loop, self._request, self._done = loop, request, done
        self._timer = loop.call_later(PROBE_S, self._look)

    def _look(self) -> None:
        if self._done.done():
            return
        try:
            ended = self._request.wait_for(0)
        except RuntimeError as error:
            self._done.set_exception(error)
            return
        if ended:
            self._done.set_result(None)
        else:
            self._timer = self._loop.call_later(PROBE_S, self._look)

    def stop(self) -> None:
        self._timer.cancel()


def _tell(where: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]) -> None:
    """Run on OpenVINO's thread: wake the loop that waits, if it still runs."""
    loop, done = where
    with contextlib.suppress(RuntimeError):  # the loop was closed
        loop.call_soon_threadsafe(_settle, done)


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def brief(error: Exception) -> str:
    """Return the last line of OpenVINO's message: the cause, without the places in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
