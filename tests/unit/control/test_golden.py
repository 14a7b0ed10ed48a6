"""Golden pictures through the real engine, and what a start begins with."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from gateway.control.config import LineConfig
from gateway.control.golden import first_serving, load_model, load_recipe, remember_in
from gateway.control.recipes import Golden
from gateway.core.errors import ConfigError, GatewayError, ModelError
from tests.model_stand import edit, surface


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """Two pictures of each class of the test model."""
    rng = np.random.default_rng(5)
    for label in ("dot", "good", "line"):
        folder = tmp_path / "golden" / label
        folder.mkdir(parents=True)
        for k in range(2):
            cv2.imwrite(str(folder / f"{k}.png"), surface(label, rng))
    return tmp_path / "golden"


def line(package: Path, golden: Path | None = None, **changes: object) -> LineConfig:
    recipe = {"number": 7, "name": "surface", "model": package, "golden": golden}
    return LineConfig.model_validate(
        {
            "name": "press",
            "plc": "map.yaml",
            "cameras": [{"kind": "simulated", "name": "top", "port": 5000, "channels": 1}],
            "model": package,
            "bind": {"window": 300},
            "rate": {"parts_per_s": 20},
            "recipes": [recipe] if golden is not None else [],
        }
        | changes
    )


def judged(config: LineConfig) -> Golden:
    made = load_recipe(config, config.recipes[0])
    assert (made.number, made.name) == (7, "surface")
    assert made.test is not None
    return made.test()


def test_every_picture_gets_the_disposition_of_its_class(package_folder: Path, golden: Path) -> None:
    found = judged(line(package_folder, golden))
    own = len(list((package_folder / "golden").iterdir()))
    assert (found.pictures, found.wrong) == (own + 6, ())


def test_another_defect_is_still_a_reject(package_folder: Path, golden: Path) -> None:
    (golden / "line" / "0.png").rename(golden / "dot" / "line.png")
    assert judged(line(package_folder, golden)).wrong == ()


def test_each_picture_that_is_judged_otherwise_is_counted_and_named(package_folder: Path, golden: Path) -> None:
    (golden / "line" / "0.png").rename(golden / "good" / "line.png")
    (golden / "good" / "0.png").rename(golden / "dot" / "good.png")
    (golden / "dot" / "0.png").write_bytes(b"no picture")
    wrong = judged(line(package_folder, golden)).wrong
    assert [w.split(":")[0] for w in wrong] == [str(golden / p) for p in ("dot/0.png", "dot/good.png", "good/line.png")]
    assert "PASS (good at" in wrong[1]
    assert wrong[1].endswith("FAIL was due")
    assert "PASS was due" in wrong[2]


def test_the_packages_own_pictures_must_be_answered_as_recorded(package_folder: Path, golden: Path) -> None:
    edit(package_folder, "file: golden/1-good.png\n  label: good", "file: golden/1-good.png\n  label: line")
    [wrong] = judged(line(package_folder, golden)).wrong
    assert "golden/1-good.png: the model says good where line was recorded" in wrong


def test_a_class_that_the_model_does_not_know(package_folder: Path, golden: Path) -> None:
    (golden / "line").rename(golden / "lines")
    with pytest.raises(ConfigError, match="lines: no class of the model .*, which knows: dot, good, line"):
        judged(line(package_folder, golden))


def test_a_package_of_other_channels_is_refused(package_folder: Path, golden: Path) -> None:
    cameras = [{"kind": "simulated", "name": "top", "port": 5000, "channels": 3}]
    with pytest.raises(ModelError, match="gives 3 channel"):
        load_model(line(package_folder, cameras=cameras), package_folder)


# -- the start ----------------------------------------------------------------------------------------------------------------


def test_without_recipes_the_model_serves_or_nothing_starts(package_folder: Path, tmp_path: Path) -> None:
    serving, why = first_serving(line(package_folder), tmp_path / "recipe")
    assert serving is not None
    assert (serving.number, serving.name, why) == (0, "", "")
    edit(package_folder, "file: golden/1-good.png\n  label: good", "file: golden/1-good.png\n  label: line")
    with pytest.raises(GatewayError, match="the model says good where line was recorded"):
        first_serving(line(package_folder), tmp_path / "recipe")


def test_the_first_start_begins_with_the_recipe_of_model_later_ones_with_the_last(package_folder: Path, golden: Path) -> None:
    file = golden.parent / "recipe"
    other = Path(shutil.copytree(package_folder, golden.parent / "other" / "1"))
    recipes = [
        {"number": 1, "name": "a", "model": other},
        {"number": 7, "name": "b", "model": package_folder},
    ]
    config = line(package_folder, golden, recipes=recipes)
    serving, _ = first_serving(config, file)
    assert serving is not None
    assert serving.number == 7
    remember_in(file)(1)
    serving, _ = first_serving(config, file)
    assert serving is not None
    assert (serving.number, serving.name) == (1, "a")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("0\n", "no recipe is set: its last change did not succeed"),
        ("9\n", "recipe 9 was in force, which gateway.yaml does not have; set another one"),
        ("", "recipe ? was in force"),
        ("²", "recipe ² was in force"),
        ("\ufffd\n", "was in force"),
    ],
)
def test_what_is_not_certain_begins_with_none(package_folder: Path, golden: Path, said: str, why: str) -> None:
    file = golden.parent / "recipe"
    file.write_text(said)
    serving, words = first_serving(line(package_folder, golden), file)
    assert serving is None
    assert why in words


def test_a_file_that_cannot_be_read_or_a_recipe_that_cannot_be_loaded(package_folder: Path, golden: Path) -> None:
    file = golden.parent / "recipe"
    file.mkdir()
    serving, words = first_serving(line(package_folder, golden), file)
    assert serving is None
    assert "cannot be read" in words
    file.rmdir()
    file.write_bytes(b"\xff\xfe")
    serving, words = first_serving(line(package_folder, golden), file)
    assert serving is None
    assert "cannot be read" in words
    file.write_text("7")
    (package_folder / "model.bin").unlink()
    serving, words = first_serving(line(package_folder, golden), file)
    assert serving is None
    assert words.startswith("recipe 7 could not be set: ")


def test_what_is_remembered_is_whole_or_refused(tmp_path: Path) -> None:
    remember = remember_in(tmp_path / "recipe")
    remember(3)
    remember(12)
    assert (tmp_path / "recipe").read_text() == "12\n"
    assert [p.name for p in tmp_path.iterdir()] == ["recipe"]
    with pytest.raises(GatewayError, match="a restart must find its recipe|free the disk"):
        remember_in(tmp_path / "none" / "recipe")(1)
