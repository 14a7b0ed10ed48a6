"""``gateway opcua export``: from the configuration alone, touching nothing of the plant."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from lxml import etree

from gateway.cli import main
from tests.unit.test_config import TEXT

NODES = "{http://opcfoundation.org/UA/2011/03/UANodeSet.xsd}"


@pytest.fixture(autouse=True)
def _log_as_before() -> object:
    yield
    structlog.reset_defaults()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "gateway.yaml").write_text(TEXT)
    return tmp_path / "gateway.yaml"


def test_a_tag_list_into_a_file_that_is_not_replaced_unasked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = config.parent / "tags.csv"
    command = ["opcua", "export", "--config", str(config), "--format", "csv", "-o", str(out)]
    assert main(command) == 0
    assert capsys.readouterr() == (f"{out}\n", "")
    assert out.read_bytes().startswith(b"\xef\xbb\xbfNodeId,BrowsePath,")
    assert "ns=2;s=Molding.top.Tags.Result.Seq,Molding.top/Tags/Result/Seq,UInt32,-1," in out.read_text("utf-8-sig")
    out.write_text("mine")
    assert main(command) == 2
    assert "is there already; name another, or replace it with --force" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert {p.name for p in config.parent.iterdir()} == {"gateway.yaml", "pictures", "tags.csv"}, "no data folder, no keys"


def test_a_node_set_on_the_terminal(config: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["opcua", "export", "--config", str(config), "--format", "nodeset2"]) == 0
    told, said = capfdbinary.readouterr()
    assert said == b""
    root = etree.fromstring(told)
    ids = {n.get("NodeId") for n in root.iter(f"{NODES}UAObject")}
    assert {"ns=1;s=Press.top", "ns=1;s=Press.top.Tags", "ns=1;s=Molding.top"} <= ids


def test_a_wrong_configuration_and_a_place_that_is_none(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(TEXT.replace("parts_per_s: 20", "parts_per_s: x"))
    assert main(["opcua", "export", "--config", str(config), "--format", "ignition"]) == 2
    assert "gateway.yaml:" in capsys.readouterr().err
    config.write_text(TEXT)
    nowhere = config.parent / "no" / "tags.json"
    assert main(["opcua", "export", "--config", str(config), "--format", "ignition", "-o", str(nowhere)]) == 2
    assert f"{nowhere}: cannot be written: No such file or directory" in capsys.readouterr().err
