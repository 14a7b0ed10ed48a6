"""The backbone is found, whole and described, or refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.core.errors import ConfigError
from gateway.learning.backbone import load_backbone, shipped_backbone


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for suffix in (".xml", ".bin", ".yaml"):
        shutil.copy(shipped_backbone().with_suffix(suffix), tmp_path)
    return tmp_path / "surface-v1.xml"


def test_copy_is_as_good_as_the_original(copied: Path) -> None:
    found = load_backbone(copied)
    assert (found.name, found.channels, found.multiple_of) == ("surface-v1", 1, 16)
    assert (found.mean, found.std) == ((0.5,), (0.25,))
    assert found.sha256 == load_backbone().sha256


def test_absent_altered_undescribed(copied: Path) -> None:
    with pytest.raises(ConfigError, match=r"no.xml: there is no such backbone; give the .xml"):
        load_backbone(copied.with_name("no.xml"))
    copied.with_suffix(".bin").write_bytes(b"0")
    with pytest.raises(ConfigError, match=r"surface-v1.yaml:\d+:\d+: sha256.surface-v1.bin: .*altered"):
        load_backbone(copied)
    copied.with_suffix(".bin").unlink()
    with pytest.raises(ConfigError, match="surface-v1.bin is absent"):
        load_backbone(copied)
    copied.with_suffix(".yaml").write_text("name: x\n")
    with pytest.raises(ConfigError, match="input: Field required"):
        load_backbone(copied)
    copied.with_suffix(".yaml").unlink()
    with pytest.raises(ConfigError, match="surface-v1.yaml: there is no such file"):
        load_backbone(copied)


def test_one_mean_and_std_a_channel(copied: Path) -> None:
    described = copied.with_suffix(".yaml")
    described.write_text(described.read_text().replace("channels: 1", "channels: 3", 1))
    with pytest.raises(ConfigError, match="one mean and one std for each"):
        load_backbone(copied)


@pytest.mark.parametrize("size", [0, -16, 100, 16, 2048])
def test_size_that_it_cannot_take(size: int) -> None:
    with pytest.raises(ConfigError, match=f"--size {size}: surface-v1 takes multiples of 16, from 32 to 1024"):
        load_backbone().model(size)
