"""``gateway map import`` and ``gateway map export``: what they print, and their exit status."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.cli.map_export import EXPORTERS

REPO = Path(__file__).resolve().parents[3]
S7 = str(REPO / "plc_maps" / "demo_s7.yaml")
LIST = "Tag Name,Address,Data Type\nTemp,DB300.DBD8,Float\nMerker,M20.0,Boolean\n"


def as_json(capsys: pytest.CaptureFixture[str]) -> Any:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_out_and_in_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    table, back = str(tmp_path / f"m.{form}"), str(tmp_path / "back.yaml")
    assert main(["map", "export", S7, "--to", form, "-o", table]) == 0
    assert capsys.readouterr().out == f"{table}\n"
    assert main(["map", "import", table, "--from", form, "-o", back]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{back}: 42 tags, blocks DB_VisionUp, DB_VisionDown; 0 rows left out"
    assert lines[1].startswith("  InterfaceChecksum: 16#")
    assert main(["map", "check", back]) == 0


def test_rows_left_out_are_told_and_end_in_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = shutil.copy(S7, tmp_path / "map.yaml")
    (tmp_path / "k.csv").write_text(LIST)
    assert main(["map", "import", str(tmp_path / "k.csv"), "--from", "kepware", "--into", str(into)]) == 1
    told = capsys.readouterr()
    assert told.out.startswith(f"{into}: 1 tags, blocks DB300; 1 rows left out")
    assert told.err.startswith(f"left out: {tmp_path}/k.csv:3:2: Address: Merker: M20.0 is neither")


def test_json_of_an_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = shutil.copy(S7, tmp_path / "map.yaml")
    (tmp_path / "k.csv").write_text(LIST)
    assert main(["map", "import", str(tmp_path / "k.csv"), "--from", "kepware", "--into", str(into), "--json"]) == 1
    said = as_json(capsys)
    assert (said["ok"], said["written"], said["tags"], said["blocks"], said["notes"]) == (False, str(into), 1, ["DB300"], [])
    assert len(said["left_out"]) == 1 and said["checksum"].startswith("16#")


def test_errors_end_in_status_2_also_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none.csv")
    command = ["map", "import", missing, "--from", "csv", "-o", str(tmp_path / "x.yaml")]
    assert main(command) == 2
    assert capsys.readouterr().err == f"{missing}: there is no such file\n"
    assert main([*command, "--json"]) == 2
    assert as_json(capsys) == {"ok": False, "errors": [f"{missing}: there is no such file"]}
    assert main(["map", "export", S7, "--to", "ignition", "-o", missing, "--json"]) == 2
    assert as_json(capsys)["errors"][0].startswith("--line: '' is no name")
    assert main(["map", "export", missing, "--to", "csv", "-o", missing, "--json"]) == 2
    assert as_json(capsys)["errors"] == [f"{missing}: there is no such file"]


def test_json_of_an_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "i.json")
    assert main(["map", "export", S7, "--to", "ignition", "--line", "L", "--camera", "C", "-o", out, "--json"]) == 0
    assert as_json(capsys) == {"ok": True, "written": [out]}


def test_notes_of_an_export_are_told_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    modbus = str(REPO / "plc_maps" / "demo_modbus.yaml")
    assert main(["map", "export", modbus, "--to", "kepware", "-o", str(tmp_path / "k.csv"), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["ok"] and told.err.startswith("note: order CDAB: in the device's settings")


def test_a_map_is_never_written_over_by_its_own_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = shutil.copy(S7, tmp_path / "map.yaml")
    assert main(["map", "export", str(own), "--to", "csv", "-o", str(own)]) == 2
    assert capsys.readouterr().err == f"{own}: is the map itself; name another file\n"
    assert main(["map", "check", str(own)]) == 0


@pytest.mark.parametrize("form", sorted(EXPORTERS))
def test_a_place_that_cannot_be_written_is_a_plain_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    out = str(blocked / "below")
    assert main(["map", "export", S7, "--to", form, "-o", out, "--line", "L", "--camera", "C"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_what_somebody_may_have_edited_is_replaced_only_by_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form, out in (("csv", tmp_path / "m.csv"), ("tia", tmp_path / "tia")):
        command = ["map", "export", S7, "--to", form, "-o", str(out)]
        assert main(command) == 0
        edited = out if out.is_file() else next(p for p in sorted(out.iterdir()) if p.is_file())
        edited.write_text("mine")
        assert main(command) == 2
        assert f"{out}: is there already" in capsys.readouterr().err
        assert edited.read_text() == "mine"
        assert main([*command, "--force"]) == 0
        assert edited.read_bytes() != b"mine"
