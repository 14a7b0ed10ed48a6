"""What is wrong with a line's recipes as they stand in gateway.yaml, before anything is started: numbers, packages, pictures.

It loads no model into an engine, so that a configuration can be checked on any machine. It must not know the line's life.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from gateway.control.config import LineConfig, Recipe
from gateway.core.errors import GatewayError
from gateway.core.tags import Tag
from gateway.vision.class_folder import list_known
from gateway.vision.package import load_package

Mistake = tuple[tuple[str | int, ...], str]
"""The place within the line's section, and what is wrong there with its remedy."""


def mistakes(line: LineConfig, params: Mapping[str, Tag] | None) -> Iterator[Mistake]:
    """Yield every mistake; ``params`` are the tag map's parameters, None when the map itself could not be read."""
    if line.recipes and line.model not in {r.model for r in line.recipes}:
        known = ", ".join(str(r.model) for r in line.recipes)
        yield ("model",), f"is the model of no recipe; give the one that the first start begins with: {known}"
    numbers, names = Counter(r.number for r in line.recipes), Counter(r.name for r in line.recipes)
    for i, recipe in enumerate(line.recipes):
        at = ("recipes", i)
        if numbers[recipe.number] > 1:
            yield (
                (*at, "number"),
                f"the number {recipe.number} is given twice, and the PLC names a recipe by it; change one",
            )
        if names[recipe.name] > 1:
            yield (*at, "name"), f"the name {recipe.name!r} is given twice, and records name a recipe by it; change one"
        yield from (((*at, *loc), words) for loc, words in _package(line, recipe))
        if params is not None:
            yield from (((*at, "params", name), words) for name, words in _nominal(recipe, params))


def _package(line: LineConfig, recipe: Recipe) -> Iterator[Mistake]:
    try:
        manifest = load_package(recipe.model).manifest
    except GatewayError as error:
        yield ("model",), str(error)
        return
    want = manifest.input.channels
    for camera in line.cameras:
        if camera.channels != want:
            yield ("model",), f"{manifest.id} wants {want} channel(s), the camera {camera.name} gives {camera.channels}"
    if recipe.golden is None:
        return
    try:
        list_known(recipe.golden, [entry.name for entry in manifest.labels], manifest.id)
    except GatewayError as error:
        yield ("golden",), str(error)


def _nominal(recipe: Recipe, params: Mapping[str, Tag]) -> Iterator[tuple[str, str]]:
    for name, value in recipe.params.items():
        tag = params.get(name)
        if tag is None:
            yield name, f"is no parameter (role: param) of the tag map; it has: {', '.join(params) or 'none'}"
        elif tag.range is not None and not tag.range[0] <= value <= tag.range[1]:
            yield name, f"{value:g} is outside {tag.range[0]:g} … {tag.range[1]:g} {tag.unit}, the map's range"
