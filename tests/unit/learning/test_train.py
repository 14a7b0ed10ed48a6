"""Training as a whole, on a handful of small pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from gateway.core.errors import ConfigError, ModelError
from gateway.learning import train as training
from gateway.learning.evaluate import evaluate
from gateway.learning.train import TrainOptions, TrainReport, train
from gateway.vision.engine import Engine
from gateway.vision.package import load_package
from tests.model_stand import LABELS, SIZE, surface, write_surfaces


def test_package_tells_all(trained: TrainReport) -> None:
    manifest = load_package(trained.package).manifest
    assert trained.package.name == "1"
    assert manifest.id == "surface/1"
    assert (manifest.input.height, manifest.input.width, manifest.input.channels) == (SIZE, SIZE, 1)
    assert manifest.passes == {"good"}
    assert manifest.thresholds == {"good": trained.threshold}
    assert manifest.training.counts == dict.fromkeys(LABELS, 8)
    assert manifest.training.backbone.name == "surface-v1"
    assert "all pictures" in manifest.training.final_head
    assert manifest.accuracy is not None
    assert manifest.accuracy.pictures == 24
    assert manifest.accuracy.accuracy == trained.score.accuracy >= 0.9
    assert manifest.imaging_baseline is not None
    assert 110 < manifest.imaging_baseline.level.median < 140
    assert {g.label for g in manifest.golden} == set(LABELS)


def test_package_knows_pictures_it_has_not_seen(trained: TrainReport) -> None:
    engine = Engine(load_package(trained.package))
    rng = np.random.default_rng(99)
    answers = [(label, engine.infer_sync(surface(label, rng)).label) for label in LABELS for _ in range(5)]
    assert sum(true == given for true, given in answers) >= 14


def test_next_version_and_same_pictures_same_answers(trained: TrainReport, surfaces: Path, tmp_path: Path) -> None:
    out = tmp_path / "surface"
    shutil.copytree(trained.package, out / "3")
    said: list[str] = []
    report = train(TrainOptions(folder=surfaces, out=out, passing=("good",), size=SIZE), said.append)
    assert report.package == out / "4"
    first, again = load_package(trained.package).manifest, load_package(report.package).manifest
    assert again.id == "surface/4"
    assert again.training.data_sha256 == first.training.data_sha256
    assert report.score == trained.score
    for one, other in zip(first.golden, again.golden, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
    assert any("24 pictures: dot 8, good 8, line 8" in line for line in said)
    assert sorted(p.name for p in out.iterdir()) == ["3", "4"]


def test_size_is_chosen_and_progress_is_told(surfaces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SIZES", (32, SIZE))
    seen: set[str] = set()
    said: list[str] = []
    options = TrainOptions(folder=surfaces, out=tmp_path / "m", passing=("good", "line"), mirror=False)
    report = train(options, said.append, lambda what, done, of: seen.add(what) if done == of else None)
    losses = [float(line.split()[-1]) for line in said if "log loss" in line]
    assert report.size == (SIZE if losses[1] < training.SIZE_GAIN * losses[0] else 32)
    assert {"reading", "features at 32", "features at 96", "features of copy 1"} == seen
    assert load_package(report.package).manifest.passes == {"good", "line"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": 100}, "--size 100"),
        ({"size": 0}, "--size 0"),
        ({"passing": ("fine",)}, "no such class"),
        ({"group": "_num_"}, "finds nothing"),
        ({"backbone": Path("no.xml")}, "no such backbone"),
        ({"out": Path("1")}, "'1' is no name for a model"),
        ({"out": Path("a b")}, "is no name for a model"),
    ],
)
def test_mistakes_leave_nothing_behind(
    surfaces: Path, tmp_path: Path, changes: dict[str, object], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"folder": surfaces, "out": Path("models/m"), "passing": ("good",), "size": SIZE, **changes}
    with pytest.raises(ConfigError, match=says):
        train(TrainOptions(**options))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_out_that_cannot_be(trained: TrainReport, surfaces: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out, says in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "m", "cannot be written"),
        (Path(shutil.copytree(trained.package, tmp_path / "surface")), "is a version of a model"),
    ):
        with pytest.raises(ConfigError, match=says):
            train(TrainOptions(folder=surfaces, out=out, passing=("good",), size=SIZE))


def test_bad_pictures_are_all_listed_and_nothing_is_written(tmp_path: Path) -> None:
    folder = write_surfaces(tmp_path / "pictures")
    for name in ("dot/dot_1.png", "line/line_2.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:100])
    with pytest.raises(ConfigError) as caught:
        train(TrainOptions(folder=folder, out=tmp_path / "m", passing=("good",), size=SIZE))
    assert [Path(p.file).name for p in caught.value.problems] == ["dot_1.png", "line_2.png"]
    assert not (tmp_path / "m").exists()


def test_package_that_answers_otherwise_is_not_kept(surfaces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "PARITY", 1e-12)
    with pytest.raises(ModelError, match="differ from the training's by .* so it was not kept"):
        train(TrainOptions(folder=surfaces, out=tmp_path / "m", passing=("good",), size=SIZE))
    assert not (tmp_path / "m").exists()


def test_evaluate(trained: TrainReport, tmp_path: Path) -> None:
    folder = write_surfaces(tmp_path / "test", each=4, seed=5)
    shutil.rmtree(folder / "line")
    shown: list[int] = []
    found = evaluate(trained.package.parent, folder, lambda _what, done, _of: shown.append(done))
    assert found.model_id == "surface/1"
    assert found.score.pictures == 8
    assert set(found.score.recall) == {"dot", "good"}
    assert found.score.accuracy >= 0.8
    assert shown == list(range(1, 9))
    json.dumps(found.score.confusion)


def test_evaluate_names_unknown_classes(trained: TrainReport, tmp_path: Path) -> None:
    folder = write_surfaces(tmp_path / "test", each=1)
    (folder / "dot").rename(folder / "blob")
    with pytest.raises(ConfigError, match="blob: no class of the model surface/1, which knows: dot, good, line"):
        evaluate(trained.package, folder, lambda _what, _done, _of: None)
