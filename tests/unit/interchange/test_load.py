"""Import of anything at all: a map, or an error that names its place; never anything else, and nothing half-written."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.core.errors import ConfigError
from gateway.interchange.delimited import write_csv
from gateway.interchange.load import import_file
from gateway.interchange.table import read_map, sheets_of
from gateway.interchange.workbook import write_xlsx
from gateway.plc.maps import load_map

REPO = Path(__file__).resolve().parents[3]
MAP = REPO / "plc_maps" / "demo_s7.yaml"
fuzz = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("name", ["demo_s7", "demo_modbus"])
def test_a_map_goes_out_and_comes_back_the_same(tmp_path: Path, form: str, name: str) -> None:
    file = REPO / "plc_maps" / f"{name}.yaml"
    {"csv": write_csv, "xlsx": write_xlsx}[form](tmp_path / "m", sheets_of(read_map(file)))
    done = import_file(tmp_path / "m", form, into=None, out=tmp_path / "back.yaml")
    assert read_map(tmp_path / "back.yaml") == read_map(file)
    assert done.loaded.checksum == load_map(file).checksum == load_map(tmp_path / "back.yaml").checksum


def test_a_map_with_errors_is_not_written(tmp_path: Path) -> None:
    parsed = read_map(MAP)
    parsed.blocks[0].tags[3].name = "Other"
    write_csv(tmp_path / "m.csv", sheets_of(parsed))
    with pytest.raises(ConfigError, match=r"m.csv:34:2: Name: role command.arg is named CommandArg, not Other"):
        import_file(tmp_path / "m.csv", "csv", into=None, out=tmp_path / "back.yaml")
    assert not (tmp_path / "back.yaml").exists()


def test_where_to_must_be_said(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", sheets_of(read_map(MAP)))
    with pytest.raises(ConfigError, match="where to"):
        import_file(tmp_path / "m.csv", "csv", into=None, out=None)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", sheets_of(read_map(MAP)))
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        import_file(tmp_path / "m.csv", "csv", into=None, out=tmp_path / "none" / "back.yaml")


@fuzz
@given(seed=st.integers(0, 2**32), form=st.sampled_from(["csv", "kepware"]))
@example(seed=1323854, form="csv")  # a setting named plc, with a value
def test_mangled_tables_are_maps_or_plain_errors(tmp_path: Path, seed: int, form: str) -> None:
    chance = random.Random(seed)
    write_csv(tmp_path / "good.csv", sheets_of(read_map(MAP)))
    text = (tmp_path / "good.csv").read_text(encoding="utf-8-sig")
    if form == "kepware":
        text = 'Tag Name,Address,Data Type,Scaling,Raw Low\nA,"DB300,REAL8",Float,None,\nB,DB300.DBX12.3,Boolean,,\n'
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(text))
        piece = chance.choice(["", "\n", ",", '"', ";", "=", "-", "9" * 30, "[", "\x00", "\r", "ü", "Bool", "DB1.DBX1.1", " "])
        text = text[:at] + piece + text[at + chance.randint(0, 3) :]
    (tmp_path / "bad.csv").write_text(text, encoding="utf-8")
    into = Path(shutil.copy(MAP, tmp_path / "map.yaml")) if form == "kepware" else None
    out = tmp_path / "out.yaml"
    out.unlink(missing_ok=True)
    try:
        import_file(tmp_path / "bad.csv", form, into=into, out=out)
    except ConfigError as error:
        assert not out.exists() and "bad.csv" in str(error)
    else:
        assert load_map(out if out.exists() else MAP)


@fuzz
@given(data=st.binary(max_size=300), form=st.sampled_from(["csv", "kepware", "tia", "xlsx"]), into=st.booleans())
def test_any_bytes_end_in_a_plain_error(tmp_path: Path, data: bytes, form: str, into: bool) -> None:
    (tmp_path / "any").write_bytes(data)
    map = Path(shutil.copy(MAP, tmp_path / "map.yaml")) if into else None
    with pytest.raises(ConfigError) as caught:
        import_file(tmp_path / "any", form, into=map, out=tmp_path / "out.yaml")
    assert "any" in str(caught.value) and not (tmp_path / "out.yaml").exists()
