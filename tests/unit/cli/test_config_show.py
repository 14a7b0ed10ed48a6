"""``gateway config show``: every value, whether it was written or not, and where it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli import main
from tests.unit.test_config import MODEL, TEXT, file_with


def shown(file: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[object, str]]:
    assert main(["config", "show", str(file), "--origin", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    return {v["key"]: (v["value"], v["origin"]) for v in said["values"]}


def test_written_values_name_their_place_and_the_others_are_defaults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = file_with(tmp_path, TEXT)
    values = shown(file, capsys)
    for key, (value, origin) in values.items():
        if origin == "default":
            continue
        name, line, column = origin.rsplit(":", 2)
        written = TEXT.splitlines()[int(line) - 1][int(column) - 1 :]
        assert name == str(file)
        if isinstance(value, str) and not key.endswith((".plc", ".model", ".path")) and key != "data":
            assert written.startswith(value), key
    assert values["lines.1.bind.window"] == (300.0, f"{file}:20:33")
    assert values["lines.0.gate_deadline_ms"] == (150.0, "default")
    assert values["opcua.port"][0] == 0
    assert values["opcua.host"] == ("127.0.0.1", "default")


def test_what_is_decided_by_looking_is_shown_as_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = shown(file_with(tmp_path, TEXT + "pictures: {dir: shots}\n"), capsys)
    assert values["lines.0.model"][0] == str(MODEL / "1")
    assert values["opcua.pki"] == (str(tmp_path / "data" / "pki"), "default")
    assert values["pictures.dir"][0] == str(tmp_path / "shots")


def test_the_text_is_one_line_a_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = file_with(tmp_path, TEXT)
    assert main(["config", "show", str(file)]) == 0
    plain = capsys.readouterr().out.splitlines()
    assert main(["config", "show", str(file), "--origin"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split("  #")[0].rstrip() for line in told] == plain
    assert "lines.0.adjust.0.baseline.parts: 400" in plain
    assert all("#" not in line for line in plain)


def test_a_wrong_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = file_with(tmp_path, TEXT.replace("window: 300", "window: 0"))
    assert main(["config", "show", str(file)]) == 2
    assert "bind.window" in capsys.readouterr().err
    assert main(["config", "show", str(file), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False
