"""docs/running-a-line.md: its configuration is one, and the numbers in it are those of the handshake."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import TypeAdapter
from ruamel.yaml import YAML

from gateway.control.config import LineConfig, Recipe
from gateway.core.handshake import ErrorCode, Mode, OfflineReason
from gateway.core.plc_command import Command

DOC = (Path(__file__).parents[2] / "docs" / "running-a-line.md").read_text()


def test_the_recipes_are_recipes() -> None:
    snippet = re.search(r"```yaml\n(.*?)```", DOC, re.DOTALL)
    assert snippet is not None
    said = YAML(typ="safe").load(snippet[1])
    recipes = TypeAdapter(list[Recipe]).validate_python(said.pop("recipes"))
    assert [r.number for r in recipes] == [1, 2]
    assert set(said) <= set(LineConfig.model_fields)


def test_the_numbers_are_those_of_the_handshake() -> None:
    modes = {int(n): name for n, name in re.findall(r"^\| (\d) (Automatic|Manual|MonitorOnly|Bypass)", DOC, re.MULTILINE)}
    assert modes == {m.value: "".join(w.title() for w in m.name.split("_")) for m in Mode}
    commands = {
        int(n): name for n, name in re.findall(r"^\| (\d) \| (GoOnline|GoOffline|SetRecipe|TestRun)", DOC, re.MULTILINE)
    }
    assert commands == {c.value: "".join(w.title() for w in c.name.split("_")) for c in Command}
    assert (OfflineReason.NO_MODEL, ErrorCode.RECIPE, OfflineReason.CONFIG_REJECTED, ErrorCode.CONFIG) == (3, 9, 6, 8)
    assert "OfflineReason 3, ErrorCode 9" in DOC
    assert "OfflineReason 6 and ErrorCode 8" in DOC
