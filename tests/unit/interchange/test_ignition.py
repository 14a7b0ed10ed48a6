"""Ignition's tags are the nodes that the server really has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import ConfigError
from gateway.interchange.ignition import TYPES, write_ignition
from gateway.plc.maps import load_map

REPO = Path(__file__).resolve().parents[3]
NODES = REPO / "tests" / "golden" / "opcua_nodes.txt"


def leaves(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for child in node.get("tags", ()):
        yield from leaves(child)
    if node["tagType"] == "AtomicTag":
        yield node


def test_every_tag_of_a_station_is_there_with_its_type(tmp_path: Path) -> None:
    golden, writable = {}, set()
    for line in NODES.read_text(encoding="utf-8").splitlines():
        id, kind, _, definition, *more = line.split(" | ")
        if kind == "Variable" and definition != "PropertyType" and ";s=Line1.Cam1.Tags." in id:
            golden[id.partition(";s=")[2]] = TYPES[more[0]] + ("Array" if more[1].startswith("rank 1 ") else "")
            writable |= {id.partition(";s=")[2]} if "access 3" in more[2] else set()
    write_ignition(load_map(REPO / "plc_maps" / "demo_s7.yaml"), tmp_path / "i.json", line="Line1", camera="Cam1")
    tree = json.loads((tmp_path / "i.json").read_text(encoding="utf-8"))
    tags = {t["opcItemPath"].removeprefix("ns=2;s="): t["dataType"] for t in leaves(tree)}
    own = {id: kind for id, kind in tags.items() if ".Params." not in id}
    assert own == {id: kind for id, kind in golden.items() if ".Params." not in id} and len(own) > 40
    assert {id for id in tags if ".Params." in id} == {"Line1.Cam1.Tags.Params.PressForce"}
    assert all(t["valueSource"] == "opc" for t in leaves(tree))
    written = {id for id in (t["opcItemPath"].removeprefix("ns=2;s=") for t in leaves(tree) if not t["readOnly"])}
    assert written - {"Line1.Cam1.Tags.Params.PressForce"} == {id for id in writable if ".Params." not in id} != set()


def test_parameters_have_their_range_and_unit(tmp_path: Path) -> None:
    write_ignition(load_map(REPO / "plc_maps" / "demo_s7.yaml"), tmp_path / "i.json", line="L", camera="C")
    tree = json.loads((tmp_path / "i.json").read_text(encoding="utf-8"))
    (force,) = (t for t in leaves(tree) if t["name"] == "PressForce")
    assert (force["engUnit"], force["engLow"], force["engHigh"], force["dataType"]) == ("kN", 80, 120, "Float4")


@pytest.mark.parametrize(("line", "camera", "option"), [("", "C", "--line"), ("L", "", "--camera"), ("L.C", "C", "--line")])
def test_line_and_camera_must_be_names(tmp_path: Path, line: str, camera: str, option: str) -> None:
    map = Path(shutil.copy(REPO / "plc_maps" / "demo_s7.yaml", tmp_path))
    with pytest.raises(ConfigError, match=f"^{option}: '.*' is no name"):
        write_ignition(load_map(map), tmp_path / "i.json", line=line, camera=camera)
