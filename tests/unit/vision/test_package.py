"""A package is loaded whole and unaltered, or refused with the file's name and a remedy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.core.errors import ModelError
from gateway.vision.package import load_package
from tests.model_stand import edit


def test_version_folder_and_name_folder(package_folder: Path) -> None:
    loaded = load_package(package_folder)
    assert loaded.manifest.id == "surface/1"
    assert load_package(package_folder.parent).path == package_folder
    rule = loaded.rule()
    assert rule.labels == ("dot", "good", "line")
    assert rule.passes == {"good"}
    assert 0.5 <= rule.thresholds["good"] < 1


def test_highest_version_is_a_number_not_a_text(package_folder: Path) -> None:
    for version in (2, 10):
        other = Path(shutil.copytree(package_folder, package_folder.parent / str(version)))
        edit(other, "\nversion: 1\n", f"\nversion: {version}\n")
    assert load_package(package_folder.parent).manifest.version == 10


def _absent(name: str) -> object:
    return lambda p: (p / name).unlink()


def _altered(name: str) -> object:
    def alter(package: Path) -> None:
        content = bytearray((package / name).read_bytes())
        content[len(content) // 2] ^= 1
        (package / name).write_bytes(content)

    return alter


def _edited(old: str, new: str) -> object:
    return lambda p: edit(p, old, new)


def _linked(package: Path) -> None:
    (package / "model.bin").rename(package.parent.parent / "elsewhere.bin")
    os.symlink(package.parent.parent / "elsewhere.bin", package / "model.bin")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_absent("model.xml"), r"1/model.xml: is absent; copy the package again"),
        (_absent("model.bin"), r"1/model.bin: is absent; copy the package again"),
        (_absent("golden/1-good.png"), r"golden/1-good.png: is absent"),
        (_absent("manifest.yaml"), r"holds neither manifest.yaml nor a version folder"),
        (_altered("model.xml"), r"model.xml: is not the file that was packed \(sha256 \w{12}…, the manifest says"),
        (_altered("model.bin"), r"model.bin: is not the file that was packed"),
        (_altered("golden/0-dot.png"), r"golden/0-dot.png: is not the file that was packed"),
        (lambda p: (p / "notes.txt").write_text("x"), r"notes.txt: is not named in manifest.yaml; remove it"),
        (lambda p: (p / "golden" / ".hidden").write_text("x"), r"golden/.hidden: is not named"),
        (lambda p: (p / "more").mkdir(), r"more: does not belong to the package"),
        (_linked, r"model.bin: is a link"),
        (lambda p: (p / "manifest.yaml").write_text("labels: [\n"), r"manifest.yaml:\d+:\d+: is not YAML"),
        (lambda p: (p / "manifest.yaml").write_text(""), r"manifest.yaml: the file is empty"),
        (_edited("channels: 1", "channels: 2"), r"manifest.yaml:6:\d+: input.channels"),
        (_edited("schema_version: 1", "schema_version: 2"), r"manifest.yaml:1:\d+: schema_version"),
        (_edited("disposition: pass", "disposition: maybe"), r"manifest.yaml:\d+:\d+: labels.1.disposition"),
        (_edited("disposition: pass", "disposition: reject"), r"manifest.yaml:\d+:\d+: labels: .*at least one .* pass"),
        (_edited("name: line", "name: dot"), r"'dot' is used twice"),
        (_edited("thresholds:\n  good:", "thresholds:\n  line:"), r"manifest.yaml:\d+:\d+: thresholds.* \(good\)"),
        (_edited("thresholds:\n  good: 0.", "thresholds:\n  good: 5."), r"manifest.yaml:\d+:\d+: thresholds.good"),
        (_edited("thresholds:\n  good: 0.", "thresholds:\n  good: .nan # "), r"thresholds.good"),
        (_edited("layout: NHWC", "layout: NHWC\n  colour: red"), r"input.colour"),
        (_edited("  model.bin:", "  ../model.bin:"), r"sha256"),
        (_edited("  model.bin:", "  /etc/passwd:"), r"sha256"),
        (_edited("- file: golden/0-dot.png", "- file: ../0-dot.png"), r"golden.0.file"),
        (_edited("\nversion: 1\n", "\nversion: 2\n"), r"says version 2, but the folder is 1"),
    ],
)
def test_spoilt_package_is_refused(package_folder: Path, spoil: object, says: str) -> None:
    spoil(package_folder)  # type: ignore[operator]
    with pytest.raises(ModelError, match=says):
        load_package(package_folder)


def test_no_package_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such model package; train one with `gateway train"):
        load_package(tmp_path / "models" / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="is a file; give the folder"):
        load_package(tmp_path / "file")
    with pytest.raises(ModelError, match="holds neither"):
        load_package(tmp_path)


def test_what_changes_after_loading_is_noticed_when_read(package_folder: Path) -> None:
    loaded = load_package(package_folder)
    (package_folder / "model.bin").write_bytes(b"another model")
    with pytest.raises(ModelError, match="is not the file that was packed"):
        loaded.read("model.bin")
