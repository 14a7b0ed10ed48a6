"""The engine answers for the picture it was given, or raises; it never answers for another one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import cv2
import numpy as np
import pytest
from openvino import opset13 as ops

from gateway.core.errors import ModelError
from gateway.vision.engine import Engine
from gateway.vision.fit import fit_picture, input_array
from gateway.vision.package import load_package
from gateway.vision.pictures import read_picture
from tests.model_stand import SIZE, custom_package, edit, graph, surface


@pytest.fixture
def engine(package_folder: Path) -> Engine:
    return Engine(load_package(package_folder))


def test_golden_pictures_pass(engine: Engine) -> None:
    engine.smoke_test()


@pytest.mark.parametrize("what", ["probability", "label"])
def test_other_answer_on_a_golden_picture_is_refused(package_folder: Path, what: str) -> None:
    manifest = load_package(package_folder).manifest
    golden = manifest.golden[1]
    if what == "label":
        edit(package_folder, f"file: {golden.file}\n  label: good", f"file: {golden.file}\n  label: line")
    else:
        edit(package_folder, f"good: {golden.probabilities['good']}", f"good: {golden.probabilities['good'] - 0.01:.6f}")
    with pytest.raises(ModelError, match=r"golden/1-good.png: the model says good where \w+ was recorded"):
        Engine(load_package(package_folder)).smoke_test()


def test_answer(engine: Engine, package_folder: Path) -> None:
    image = read_picture(package_folder / "golden" / "0-dot.png", 1)
    answer = engine.infer_sync(image)
    assert answer.label == "dot" == max(answer.probabilities, key=lambda k: answer.probabilities[k])
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert answer.infer_ms > 0
    seen = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR).astype(float)
    edges = cv2.Laplacian(seen, cv2.CV_64F)[1:-1, 1:-1]
    assert answer.stats.level == pytest.approx(seen.mean(), rel=1e-4)
    assert answer.stats.contrast == pytest.approx(seen.std(), rel=1e-4)
    assert answer.stats.sharpness == pytest.approx(edges.var() / seen.var(), rel=1e-3)


def test_even_picture_has_no_contrast_and_no_sharpness(engine: Engine) -> None:
    stats = engine.infer_sync(np.full((50, 50, 1), 77, np.uint8)).stats
    assert (stats.level, stats.contrast, stats.sharpness) == pytest.approx((77, 0, 0), abs=1e-3)


async def test_asynchronous_answer_is_the_synchronous_one(engine: Engine) -> None:
    rng = np.random.default_rng(1)
    for label in ("dot", "good", "line", "good"):
        image = surface(label, rng)
        engine.load_input(image)
        answer = await engine.infer()
        assert answer.probabilities == engine.infer_sync(image).probabilities
        assert answer.label == label


async def test_a_picture_is_inferred_once(engine: Engine) -> None:
    with pytest.raises(ModelError, match="no picture was loaded"):
        await engine.infer()
    engine.load_input(np.zeros((8, 8, 1), np.uint8))
    await engine.infer()
    with pytest.raises(ModelError, match="no picture was loaded"):
        await engine.infer()


async def test_a_refused_picture_leaves_none_loaded(engine: Engine) -> None:
    engine.load_input(np.zeros((8, 8, 1), np.uint8))
    with pytest.raises(ModelError, match="3 channel"):
        engine.load_input(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ModelError, match="no picture was loaded"):
        await engine.infer()


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 1), np.float32), np.zeros((0, 8, 1), np.uint8), np.zeros((8, 8, 4), np.uint8)],
)
def test_what_is_no_picture_is_refused(engine: Engine, image: np.ndarray) -> None:
    with pytest.raises(ModelError, match="picture"):
        engine.load_input(image)


def test_channels(engine: Engine) -> None:
    engine.check_channels(1)
    with pytest.raises(ModelError, match="gives 3 channel.*wants 1"):
        engine.check_channels(3)


def test_part_of_a_read_only_picture_is_taken(engine: Engine) -> None:
    whole = np.zeros((100, 200, 1), np.uint8)
    whole[20:80, 50:150] = surface("dot", np.random.default_rng(3))[:60, :80].repeat(2, 1)[:, :100]
    whole.flags.writeable = False
    part = whole[20:80, 50:150]
    assert engine.infer_sync(part).probabilities == engine.infer_sync(part.copy()).probabilities


async def test_cancelled_wait_does_not_touch_the_next_inference(engine: Engine) -> None:
    rng = np.random.default_rng(2)
    pictures = {label: surface(label, rng) for label in ("dot", "line")}
    expected = {label: engine.infer_sync(image).probabilities for label, image in pictures.items()}
    for turn in range(40):
        abandoned, kept = ("dot", "line") if turn % 2 else ("line", "dot")
        engine.load_input(pictures[abandoned])
        task = asyncio.create_task(engine.infer())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        engine.load_input(pictures[kept])
        assert (await engine.infer()).probabilities == expected[kept]


async def test_inputs_still_being_read_are_not_overwritten(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    for slot in engine._slots:
        monkeypatch.setattr(slot, "ended", lambda: False)
    with pytest.raises(ModelError, match="have not ended"):
        engine.load_input(np.zeros((8, 8, 1), np.uint8))
    with pytest.raises(ModelError, match="no picture was loaded"):
        await engine.infer()


@pytest.fixture
def fragile_package(tmp_path: Path) -> Path:
    """A model whose inference fails while it runs unless pixel 0 is 6, and answers NaN if pixel 1 is 0."""
    image = ops.parameter([1, 16, 16, 1], np.uint8, name="image")
    pixels = ops.reshape(ops.convert(image, "i64"), [256], False)
    first, second = (ops.gather(pixels, [k], 0) for k in (0, 1))
    shape = ops.concat([first, np.array([4], np.int64)], 0)
    total = ops.reduce_sum(ops.reshape(np.ones(24, np.float32), shape, False), [0, 1], False)
    part = ops.convert(second, "f32")
    half = ops.reshape(ops.divide(ops.multiply(part, ops.divide(total, np.float32(48))), part), [1, 1], False)
    model = graph(image, ops.concat([half, half], 1))
    return custom_package(tmp_path / "fragile", model, channels=1, size=16, layout="NHWC", labels=("good", "bad"))


@pytest.fixture
def fragile(fragile_package: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine that was made to take that model: it takes a shape that is not fixed to make OpenVINO fail while it runs."""
    monkeypatch.setattr("gateway.vision.engine.fixed_shapes", lambda _: True)
    return Engine(load_package(fragile_package))


def test_shapes_that_are_not_fixed_are_refused(fragile_package: Path) -> None:
    with pytest.raises(ModelError, match="shapes that depend on the picture"):
        Engine(load_package(fragile_package))


def _pixels(first: int, second: int) -> np.ndarray:
    image = np.zeros((16, 16, 1), np.uint8)
    image[0, :2, 0] = first, second
    return image


async def test_inference_that_fails_raises_and_the_next_works(fragile: Engine) -> None:
    for wrong in (7, 8, 9):
        fragile.load_input(_pixels(wrong, 1))
        with pytest.raises(ModelError, match="fragile/1: the inference failed: .*conflicts with the reshape pattern"):
            await fragile.infer()
        fragile.load_input(_pixels(6, 1))
        assert (await fragile.infer()).probabilities == pytest.approx({"good": 0.5, "bad": 0.5})
        with pytest.raises(ModelError, match="fragile/1: the inference failed"):
            fragile.infer_sync(_pixels(wrong + 10, 1))


async def test_answer_that_is_no_number_raises(fragile: Engine) -> None:
    fragile.load_input(_pixels(6, 0))
    with pytest.raises(ModelError, match="not finite"):
        await fragile.infer()


def test_smoke_test_refuses_a_model_that_gives_no_answer(fragile: Engine) -> None:
    with pytest.raises(ModelError, match="fragile/1"):
        fragile.smoke_test()


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_colour_planes_keep_their_order(tmp_path: Path, layout: str) -> None:
    shape = [1, 32, 32, 3] if layout == "NHWC" else [1, 3, 32, 32]
    image = ops.parameter(shape, np.uint8, name="image")
    planes = ops.reduce_mean(ops.convert(image, "f32"), [1, 2] if layout == "NHWC" else [2, 3], False)
    model = graph(image, ops.softmax(planes, 1))
    labels = ("blue", "green", "red")
    folder = custom_package(tmp_path / "planes", model, channels=3, size=32, layout=layout, labels=labels)
    engine = Engine(load_package(folder))
    engine.smoke_test()
    for k, label in enumerate(labels):
        image = np.zeros((20, 50, 3), np.uint8)
        image[..., k] = 200
        assert engine.infer_sync(image).label == label


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": 48}, "does not take one u8"),
        ({"layout": "NCHW"}, "does not take one u8"),
        ({"labels": ("good", "bad", "ugly")}, "no output probabilities"),
    ],
)
def test_model_that_is_not_the_one_described(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    image = ops.parameter([1, 32, 32, 1], np.uint8, name="image")
    means = ops.reduce_mean(ops.convert(image, "f32"), [2, 3], False)
    model = graph(image, ops.softmax(ops.slice(means, [0], [2], [1], [1]), 1))
    described = {"channels": 1, "size": 32, "layout": "NHWC", "labels": ("good", "bad"), **changes}
    folder = custom_package(tmp_path / "other", model, **described)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=says):
        Engine(load_package(folder))


def test_labels_in_another_order_are_refused(package_folder: Path) -> None:
    """Nothing in the files' sizes and shapes gives such a manifest away: the IR itself names its labels."""
    edit(package_folder, "name: dot\n  disposition: reject\n- name: good", "name: good\n  disposition: reject\n- name: dot")
    edit(package_folder, "thresholds:\n  good:", "thresholds:\n  dot:")
    with pytest.raises(ModelError, match="the manifest says"):
        Engine(load_package(package_folder))


def test_fitting_replaces_all_of_the_last_picture(engine: Engine) -> None:
    spec = engine._spec
    array = input_array(spec)
    array[:] = 255
    fit_picture(np.zeros((3, 200, 1), np.uint8), spec, array)
    assert not array.any()


def test_precision_and_hint_are_what_the_manifest_promises(engine: Engine) -> None:
    assert engine.compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert str(engine.compiled.get_property("PERFORMANCE_HINT")).endswith("LATENCY")
