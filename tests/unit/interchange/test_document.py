"""The page on interchange: its examples do what they say, and it names every column."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.interchange.table import BLOCK, BLOCK_NAME, MEMBER, TAG

REPO = Path(__file__).resolve().parents[3]
PAGE = (REPO / "docs" / "interchange.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_example_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPO / "plc_maps" / "demo_s7.yaml", "press.yaml")
    commands = 0
    for kind, name, text in FENCE.findall(PAGE):
        if kind == "csv":
            Path(name).write_text(text, encoding="utf-8")
            continue
        for example in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, said = example.partition("\n")
            program, *arguments = shlex.split(command)
            assert program == "gateway"
            status = main(arguments)
            told = capsys.readouterr()
            assert told.err + told.out == said, command
            assert status == (1 if "left out: " in said else 0)
            commands += 1
    assert commands >= 6


def test_the_page_names_every_column() -> None:
    for row, columns in (("Types", MEMBER), ("Blocks", BLOCK), ("Tags", (BLOCK_NAME, *TAG))):
        (named,) = re.findall(rf"^\| {row} \|.*\| (.*) \|$", PAGE, re.MULTILINE)
        labels = [c.label for c in columns]
        assert named.removeprefix("Type, ").split(", ") == labels
