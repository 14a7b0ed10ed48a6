"""A recipe's package loaded into an engine, and the golden pictures that it must judge rightly before any part passes by it.

Everything here blocks and is called in a thread. Golden pictures are those of the package, whose very probabilities are known,
and those of the recipe's folder, a folder a class as for training. It must not know parts or the PLC.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gateway.control.config import LineConfig, Recipe
from gateway.control.recipes import Golden, Serving
from gateway.core.errors import GatewayError, PictureError
from gateway.core.inspection import Inspection
from gateway.core.verdict import Disposition, JudgeRule, judge
from gateway.vision.class_folder import Dataset, list_known
from gateway.vision.engine import Engine
from gateway.vision.package import load_package
from gateway.vision.pictures import read_picture

NONE_SET = "no recipe is set: its last change did not succeed"


def load_model(line: LineConfig, model: Path, golden: Path | None = None) -> Serving:
    """Load a package for this line; GatewayError when it cannot serve here.

    Its pictures are not judged yet: that is the test of what is returned.
    """
    package = load_package(model)
    rule = package.rule()
    engine = Engine(package, threads=line.inference_threads)
    for camera in line.cameras:
        engine.check_channels(camera.channels)
    pictures = list_known(golden, rule.labels, package.manifest.id) if golden is not None else None
    return Serving(
        model_id=package.manifest.id,
        version=package.manifest.version,
        rule=rule,
        engine=engine,
        test=lambda: judge_golden(engine, rule, package.manifest.input.channels, pictures),
    )


def load_recipe(line: LineConfig, recipe: Recipe) -> Serving:
    """Load a recipe's package, as :func:`load_model` does."""
    return replace(load_model(line, recipe.model, recipe.golden), number=recipe.number, name=recipe.name)


def judge_golden(engine: Engine, rule: JudgeRule, channels: int, pictures: Dataset | None) -> Golden:
    """Judge the package's golden pictures and those of the folder, each by the line's own rule."""
    wrong = engine.golden_faults()
    count = engine.golden_count
    for sample in pictures.samples if pictures is not None else ():
        count += 1
        try:
            answer = engine.infer_sync(read_picture(sample.path, channels))
        except PictureError as error:
            wrong.append(str(error))
            continue
        seen = Inspection(part_id=0, label=answer.label, scores=answer.probabilities, model_id=engine.model_id)
        verdict = judge(seen, rule)
        due = Disposition.PASS if sample.label in rule.passes else Disposition.FAIL
        if verdict.disposition is not due:
            said = f"{answer.label} at {answer.probabilities[answer.label]:.3f}"
            wrong.append(f"{sample.path}: {verdict.disposition.name} ({said}), {due.name} was due")
    return Golden(pictures=count, wrong=tuple(wrong))


# -- what a restart begins with ---------------------------------------------------------------------------------------------


def remember_in(file: Path) -> Callable[[int], None]:
    """Return what writes a recipe's number into ``file``, whole or not at all; GatewayError when it cannot be written."""

    def remember(number: int) -> None:
        new = file.with_suffix(".new")
        try:
            with new.open("w") as out:
                out.write(f"{number}\n")
                out.flush()
                os.fsync(out.fileno())
            new.replace(file)
        except OSError as error:
            raise GatewayError(
                f"{file}: {error.strerror}; free the disk: it holds which recipe a restart begins with"
            ) from None

    return remember


def remember_offline_in(file: Path) -> Callable[[bool], None]:
    """Return what makes ``file`` exist while the line is offline by command; GatewayError when it cannot."""

    def remember(offline: bool) -> None:
        try:
            if offline:
                with file.open("w") as out:
                    os.fsync(out.fileno())
            else:
                file.unlink(missing_ok=True)
            folder = os.open(file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise GatewayError(f"{file}: {error.strerror}; it holds whether a restart begins offline") from None

    return remember


def first_serving(line: LineConfig, file: Path) -> tuple[Serving | None, str]:
    """Return what serves from the start on: the recipe that ``file`` names, or at the first start of all that of ``model``.

    Without recipes GatewayError when the model cannot serve; with them, and with a file that names none of them, nobody serves
    and the second value says why.
    """
    if not line.recipes:
        return _tested(load_model(line, line.model)), ""
    table = {r.number: r for r in line.recipes}
    try:
        said = file.read_text().strip()
    except FileNotFoundError:
        said = next((str(r.number) for r in line.recipes if r.model == line.model), "")
    except (OSError, UnicodeDecodeError) as error:
        return None, f"{file}: cannot be read ({error}); set a recipe"
    if said == "0":
        return None, NONE_SET
    recipe = table.get(int(said)) if said.isdecimal() else None
    if recipe is None:
        return None, f"recipe {said or '?'} was in force, which gateway.yaml does not have; set another one"
    try:
        return _tested(load_recipe(line, recipe)), ""
    except GatewayError as error:
        return None, f"recipe {recipe.number} could not be set: {error}"


def _tested(serving: Serving) -> Serving:
    if serving.test is not None and (golden := serving.test()).wrong:
        raise GatewayError("\n".join(golden.wrong))
    return serving
