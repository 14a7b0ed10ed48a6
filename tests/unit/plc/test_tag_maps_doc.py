"""docs/tag-maps.md: every map in it is one, and what it says of types and the shown error is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.core.errors import ConfigError
from gateway.core.tags import ELEMENTARY
from gateway.plc.maps import load_map

REPO = Path(__file__).resolve().parents[3]
DOC = (REPO / "docs" / "tag-maps.md").read_text()
SNIPPETS = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_every_map_is_right(number: int, tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(SNIPPETS[number])
    loaded = load_map(file)
    assert loaded.map.extra


def test_both_protocols_are_shown() -> None:
    assert [re.search(r"driver: (\w+)", s)[1] for s in SNIPPETS] == ["s7", "modbus"]  # type: ignore[index]


def test_every_type_is_named() -> None:
    table = DOC.split("## Types")[1].split("##")[0]
    assert [t for t in ELEMENTARY if not re.search(rf"\b{t}\b", table)] == []


def test_the_shown_mistake_is_told_in_these_words(tmp_path: Path) -> None:
    shown = re.search(r"press\.yaml:(\S+ .*)", DOC)
    assert shown is not None
    file = tmp_path / "press.yaml"
    file.write_text((REPO / "plc_maps" / "demo_s7.yaml").read_text().replace("ToolWear, type: Real", "ToolWear, type: Reall"))
    with pytest.raises(ConfigError) as caught:
        load_map(file)
    assert str(caught.value) == f"{tmp_path}/press.yaml:{shown[1]}"
