"""What the stand reads of a model package, and what it says of one that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.package import package_folder, read_package
from simulators.program import WrongInputError

MANIFEST = """\
labels:
- {name: crack, disposition: reject}
- {name: free, disposition: pass}
input: {channels: 3, height: 224}
"""


def package(folder: Path, text: str = MANIFEST) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.yaml").write_text(text)
    return folder


def test_labels_passes_and_channels(tmp_path: Path) -> None:
    facts = read_package(package(tmp_path))
    assert (facts.labels, facts.passes, facts.channels) == (["crack", "free"], ["free"], 3)


def test_a_name_folder_stands_for_its_highest_version(tmp_path: Path) -> None:
    for version in ("9", "10", "draft"):
        package(tmp_path / version)
    assert package_folder(tmp_path) == tmp_path / "10"
    assert package_folder(tmp_path / "9") == tmp_path / "9"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("{a: [", r":2:1: is not YAML"),
        ("- a", "must hold a mapping"),
        ("labels: []\ninput: {channels: 1}\n", "labels: List should have at least 1 item"),
        ("labels: [{name: a, disposition: pass}]\n", "input: Field required"),
        (MANIFEST.replace("pass", "hold"), "none has the disposition pass"),
    ],
)
def test_a_damaged_manifest_is_named_with_a_remedy(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(WrongInputError, match=f"manifest.yaml.*{says}.*train"):
        read_package(package(tmp_path, text))


def test_no_package(tmp_path: Path) -> None:
    with pytest.raises(WrongInputError, match="no manifest.yaml there; name a model package"):
        read_package(tmp_path)
