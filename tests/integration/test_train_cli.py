"""``gateway train`` and ``gateway model``: exit status, what is printed where, and the JSON at the end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import main
from tests.model_stand import SIZE, edit, package_folder, surfaces, trained, write_surfaces

__all__ = ["package_folder", "surfaces", "trained"]


def test_train_evaluate_and_check(surfaces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "models" / "surface"
    assert main(["train", str(surfaces), "--out", str(out), "--pass", "good", "--size", str(SIZE), "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["package"] == str(out / "1")
    assert set(found["recall"]) == {"dot", "good", "line"}
    assert found["counts"]["dot"]["pictures"] == 8
    assert found["seconds"] > 0
    assert 0.9 <= found["accuracy"] <= 1
    assert "parity with scikit-learn" in printed.err
    assert "\r" not in printed.err  # no progress where there is no terminal

    folder = write_surfaces(tmp_path / "test", each=3, seed=7)
    assert main(["model", "evaluate", str(out), str(folder), "--json"]) == 0
    judged = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"accuracy", "recall", "counts", "seconds", "escapes", "false_rejects", "confusion"} <= set(judged)
    assert sum(judged["confusion"]["good"].values()) == 3

    assert main(["model", "evaluate", str(out), str(folder)]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert main(["model", "check", str(out)]) == 0
    text = capsys.readouterr().out
    assert "ok, surface/1, 3 golden pictures as recorded" in text
    assert "pass     good from" in text


def test_spoilt_package(package_folder: Path, surfaces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(package_folder, "disposition: pass", "disposition: passes")
    for command in (["model", "check", str(package_folder)], ["model", "evaluate", str(package_folder), str(surfaces)]):
        assert main(command) == 2
        printed = capsys.readouterr()
        assert "manifest.yaml:" in printed.err
        assert "labels.1.disposition" in printed.err
        assert printed.out == ""


def test_bad_input_of_train(surfaces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m"
    one_class = tmp_path / "one"
    shutil.copytree(surfaces / "good", one_class / "good")
    (tmp_path / "empty").mkdir()
    for arguments, says in (
        ([str(tmp_path / "empty"), "--pass", "good"], "is empty"),
        ([str(one_class), "--pass", "good"], "one class only"),
        ([str(surfaces), "--pass", "fine"], "--pass fine: no such class"),
        ([str(surfaces)], "--pass is missing"),
        ([str(tmp_path / "absent"), "--pass", "good"], "there is no such folder"),
    ):
        assert main(["train", *arguments, "--out", str(out), "--json"]) == 2
        printed = capsys.readouterr()
        assert says in printed.err
        assert printed.out == ""
        assert not out.exists()


def test_unreadable_pictures_of_evaluate(package_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_surfaces(tmp_path / "test", each=2)
    (folder / "dot" / "dot_0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "good" / "huge.pgm").write_bytes(b"P5 90000 90000 255\n")
    assert main(["model", "evaluate", str(package_folder), str(folder), "--json"]) == 2
    printed = capsys.readouterr()
    assert "dot_0.png" in printed.err
    assert "huge.pgm" in printed.err
    assert printed.out == ""


def test_absent_package(surfaces: Path, tmp_path: Path) -> None:
    """As a program of its own, as a user runs it."""
    command = [sys.executable, "-m", "gateway.cli", "model", "evaluate", str(tmp_path / "none"), str(surfaces)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "there is no such model package; train one with" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.shared
def test_steel(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Six classes of real steel surfaces, 200 pictures each."""
    out = tmp_path / "steel"
    assert (
        main(["train", str(shared_data / "neu" / "train"), "--out", str(out), "--pass", "patches", "--size", "160", "--json"])
        == 0
    )
    capsys.readouterr()
    assert main(["model", "evaluate", str(out), str(shared_data / "neu" / "test"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] >= 0.99
