"""The last good configuration: what comes back is what ran, or nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gateway.config import load_config
from gateway.core.errors import ConfigError, GatewayError
from gateway.last_good import INDEX, Restored, folder_of, keep, restore, snapshot
from tests.unit.opcua.test_nodeset_file import text as node_set
from tests.unit.test_config import MODEL, REPO, TEXT

NODE_SET = node_set()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a gateway.yaml whose map and model are copies beside it."""
    shutil.copy(REPO / "plc_maps" / "demo_s7.yaml", tmp_path / "press.yaml")
    shutil.copytree(MODEL, tmp_path / "model")
    text = TEXT.replace(f"{REPO}/plc_maps/demo_s7.yaml", "press.yaml").replace(f"{MODEL}\n", "model\n")
    path = tmp_path / "gateway.yaml"
    path.write_text(f"# our press\n{text}opcua: {{port: 0, pki: keys}}\n".replace("opcua: {port: 0}\n", ""))
    return path


def kept(path: Path) -> Restored:
    found = restore(path)
    assert found is not None
    return found


def test_what_comes_back_is_what_was_loaded_whatever_the_files_say_now(file: Path) -> None:
    config = load_config(file)
    map_text = (file.parent / "press.yaml").read_bytes()
    keep(snapshot(file, config))
    file.write_text("lines: [")
    (file.parent / "press.yaml").write_text("tagmap: 7")
    found = kept(file)
    assert found.config.lines[0].plc.read_bytes() == map_text
    assert found.written.read_text().startswith("# our press\n")
    assert found.config.lines[0].model == file.parent / "model" / "1", "the version that ran, not the highest there is now"
    for now, then in zip(found.config.lines, config.lines, strict=True):
        now.plc, now.model = then.plc, then.model
    assert found.config == config
    assert found.config.opcua.pki == file.parent / "keys", "a relative path is still one beside gateway.yaml"


def test_node_sets_are_kept_with_it(file: Path) -> None:
    nodes = file.parent / "plant.xml"
    nodes.write_text(NODE_SET)
    file.write_text(file.read_text().replace("pki: keys", "pki: keys, nodesets: [plant.xml]"))
    keep(snapshot(file, load_config(file)))
    nodes.unlink()
    with pytest.raises(ConfigError, match=r"opcua\.nodesets\.0.*cannot be read: No such file"):
        load_config(file)
    (found,) = kept(file).config.opcua.nodesets
    assert found.read_text() == NODE_SET


def test_nothing_was_kept(file: Path) -> None:
    assert restore(file) is None


def test_a_higher_version_that_does_not_load_does_not_matter(file: Path) -> None:
    keep(snapshot(file, load_config(file)))
    (file.parent / "model" / "2").mkdir()
    with pytest.raises(ConfigError):
        load_config(file)
    assert kept(file).config.lines[0].model.name == "1"


def test_the_models_of_recipes_are_pinned_too(file: Path) -> None:
    shutil.copytree(MODEL, file.parent / "other")
    one, two = "{number: 1, name: a, model: model}", "{number: 2, name: b, model: other}"
    file.write_text(file.read_text().replace("    model: model\n", f"    model: model\n    recipes: [{one}, {two}]\n", 1))
    keep(snapshot(file, load_config(file)))
    assert [r.model for r in kept(file).config.lines[0].recipes] == [file.parent / n / "1" for n in ("model", "other")]
    manifest = file.parent / "other" / "1" / "manifest.yaml"
    manifest.write_text(manifest.read_text() + "# retrained\n")
    with pytest.raises(ConfigError, match=r"other/1: is not the model"):
        restore(file)


def test_a_model_that_is_another_now_refuses(file: Path) -> None:
    keep(snapshot(file, load_config(file)))
    manifest = file.parent / "model" / "1" / "manifest.yaml"
    manifest.write_text(manifest.read_text() + "# retrained\n")
    with pytest.raises(ConfigError, match=r"model/1: is not the model demo_surface.* that was kept; put that one back"):
        restore(file)


def test_a_model_file_that_was_altered_refuses(file: Path) -> None:
    keep(snapshot(file, load_config(file)))
    (file.parent / "model" / "1" / "model.bin").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"model\.bin: is not the file that was packed"):
        restore(file)


@pytest.mark.parametrize("which", ["press", "config", "gateway"])
def test_a_kept_file_that_was_altered_or_removed_refuses(file: Path, which: str) -> None:
    keep(snapshot(file, load_config(file)))
    [victim] = folder_of(file).glob(f"{which}-*")
    victim.write_bytes(victim.read_bytes() + b" ")
    with pytest.raises(ConfigError, match=f"{victim.name} was altered or removed"):
        restore(file)
    victim.unlink()
    with pytest.raises(ConfigError, match=f"{victim.name} was altered or removed"):
        restore(file)


@pytest.mark.parametrize("index", [b"", b"{}", b'{"format": 2}', b"\xff"])
def test_an_index_that_is_none_refuses(file: Path, index: bytes) -> None:
    keep(snapshot(file, load_config(file)))
    (folder_of(file) / INDEX).write_bytes(index)
    with pytest.raises(ConfigError, match=f"{INDEX}: .*; remove the folder"):
        restore(file)


def test_a_newer_one_takes_the_place_and_leaves_nothing_behind(file: Path) -> None:
    keep(snapshot(file, load_config(file)))
    old = {p.name for p in folder_of(file).iterdir()}
    file.write_text(file.read_text().replace("window: 300", "window: 250"))
    keep(snapshot(file, load_config(file)))
    assert kept(file).config.lines[0].bind.window == 250
    new = {p.name for p in folder_of(file).iterdir()}
    assert len(new) == len(old) == 5, "index, configuration, text, two maps"
    assert old & new == {INDEX, *(n for n in old if n.startswith(("press-", "demo_modbus-")))}


def test_a_write_that_was_cut_off_leaves_the_old_one(file: Path) -> None:
    keep(snapshot(file, load_config(file)))
    file.write_text(file.read_text().replace("window: 300", "window: 250"))
    taken = snapshot(file, load_config(file))
    for name, content in taken.files.items():
        (folder_of(file) / name).write_bytes(content)
    (folder_of(file) / f".{INDEX}.part").write_text("{")
    assert kept(file).config.lines[0].bind.window == 300


def test_it_is_private_and_a_folder_that_cannot_be_made_is_told(file: Path) -> None:
    taken = snapshot(file, load_config(file))
    folder_of(file).write_text("")
    with pytest.raises(OSError, match="exists"):
        keep(taken)
    folder_of(file).unlink()
    keep(taken)
    assert folder_of(file).stat().st_mode & 0o77 == 0
    assert json.loads((folder_of(file) / INDEX).read_text())["format"] == 1


def test_a_file_that_goes_away_between_is_named(file: Path) -> None:
    config = load_config(file)
    (file.parent / "press.yaml").unlink()
    with pytest.raises(GatewayError, match=r"press\.yaml: No such file"):
        snapshot(file, config)
