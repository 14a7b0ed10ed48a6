"""The table form of a map: nothing is lost on the way through CSV, XLSX and YAML, and every error names its cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import BaseModel

from gateway.core.errors import ConfigError
from gateway.interchange.cells import Book
from gateway.interchange.columns import columns_of
from gateway.interchange.delimited import read_csv, write_csv
from gateway.interchange.source import TableSource
from gateway.interchange.table import LABELS, NUMBERS, PLC_MODELS, read_map, read_tables, sheets_of
from gateway.interchange.workbook import read_xlsx, write_xlsx
from gateway.interchange.yaml_file import map_text
from gateway.plc.map_file import BlockLine, MapFile, MemberLine, TagLine
from gateway.plc.maps import check_map, load_map
from gateway.yaml_source import read_yaml
from tests.unit.interchange.map_files import MAP_FILES, MODELS

REPO = Path(__file__).resolve().parents[3]
SHIPPED = [REPO / "plc_maps" / "demo_s7.yaml", REPO / "plc_maps" / "demo_modbus.yaml"]
anything = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


def csv_book(path: Path, parsed: MapFile) -> Book:
    write_csv(path, sheets_of(parsed))
    return read_csv(path, LABELS, NUMBERS)


def xlsx_book(path: Path, parsed: MapFile) -> Book:
    write_xlsx(path, sheets_of(parsed))
    return read_xlsx(path)


def back(source: TableSource) -> MapFile:
    return MapFile.model_validate(source.data)


@anything
@given(parsed=MAP_FILES)
def test_every_map_comes_back_from_csv_as_it_was(tmp_path: Path, parsed: MapFile) -> None:
    assert back(read_tables(csv_book(tmp_path / "m.csv", parsed))) == parsed


@settings(anything, max_examples=20)
@given(parsed=MAP_FILES)
def test_every_map_comes_back_from_xlsx_as_it_was(tmp_path: Path, parsed: MapFile) -> None:
    assert back(read_tables(xlsx_book(tmp_path / "m.xlsx", parsed))) == parsed


@anything
@given(parsed=MAP_FILES)
def test_every_map_comes_back_from_yaml_as_it_was(tmp_path: Path, parsed: MapFile) -> None:
    (tmp_path / "m.yaml").write_text(map_text(parsed), encoding="utf-8", newline="")
    assert MapFile.model_validate(read_yaml(tmp_path / "m.yaml").data) == parsed


@pytest.mark.parametrize("file", SHIPPED, ids=lambda f: f.stem)
def test_shipped_maps_keep_their_checksum(tmp_path: Path, file: Path) -> None:
    parsed, checksum = read_map(file), load_map(file).checksum
    for book in (csv_book(tmp_path / "m.csv", parsed), xlsx_book(tmp_path / "m.xlsx", parsed)):
        assert check_map(read_tables(book)).checksum == checksum
        assert book.notes == ()


@pytest.mark.parametrize(("model", "strategy"), MODELS, ids=lambda m: getattr(m, "__name__", ""))
def test_every_field_of_the_models_is_tried(model: type[BaseModel], strategy: dict[str, object]) -> None:
    """A new field has its column by itself; here is what says that it must be tried as well."""
    assert set(strategy) == set(model.model_fields)


@pytest.mark.parametrize("model", [TagLine, BlockLine, MemberLine, *PLC_MODELS], ids=lambda m: m.__name__)
def test_columns_have_names_of_their_own_and_empty_means_absent(model: type[BaseModel]) -> None:
    columns = columns_of(model, without=("tags",))
    assert {c.path[0] for c in columns} == set(model.model_fields) - {"tags"}
    assert len({c.label.lower() for c in columns}) == len(columns)
    if model not in PLC_MODELS:
        defaults = [f.default for f in model.model_fields.values() if not f.is_required()]
        assert all(d in (None, "") for d in defaults), "an empty cell would not mean the default"


def test_a_field_that_no_cell_can_hold_is_refused_at_once() -> None:
    class Odd(BaseModel):
        things: dict[str, int]

    with pytest.raises(TypeError, match="Odd.things"):
        columns_of(Odd)


def test_two_blocks_of_one_name_are_no_table() -> None:
    parsed = read_map(SHIPPED[0])
    parsed.blocks[1].name = parsed.blocks[0].name
    with pytest.raises(ConfigError, match="two blocks are named DB_VisionUp"):
        sheets_of(parsed)


GOOD = """[PLC]
Setting,Value
tagmap,1
plc.driver,s7
plc.name,press
plc.host,10.0.0.5

[Blocks]
DB,Block,Direction
100,Up,plc->gw
101,Down,gw->plc

[Tags]
Block,Name,Data type,Range low,Range high
Up,A,Real,1,2
Down,B,Int,,
"""


def errors_of(tmp_path: Path, text: str) -> list[str]:
    """Return the errors, each without the folder."""
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(ConfigError) as caught:
        check_map(read_tables(read_csv(tmp_path / "m.csv", LABELS, NUMBERS)))
    return [str(p).removeprefix(f"{tmp_path}/") for p in caught.value.problems]


def test_the_good_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(GOOD)
    parsed = back(read_tables(read_csv(tmp_path / "m.csv", LABELS, NUMBERS)))
    assert parsed.blocks[0].tags == [TagLine(name="A", type="Real", range=(1, 2))]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("Up,A,Real,1,2", "Up,A,Real,1,", "m.csv:15:5: Range high: is empty; fill in all of Range low, Range high, or none"),
        ("Up,A,Real,1,2", "Up,A,Real,x,2", "m.csv:15:4: Range low: 'x' is no number"),
        ("Up,A,Real,1,2", 'Up,A,Real,"1,5",2', "m.csv:15:4: Range low: '1,5' is no number here; write 1.5, with a point"),
        ("Up,A,Real", "Upp,A,Real", "m.csv:15:1: Block: there is no block Upp, did you mean Up?"),
        ("Up,A,Real", ",A,Real", "m.csv:15:1: Block: is empty; give the block's name"),
        ("Data type,Range", "Date type,Range", "m.csv:14:3: unknown column 'Date type'; did you mean Data type?"),
        ("Range low,Range high", "Range low,Range low", "m.csv:14:5: a second column 'Range low'; remove one"),
        ("Down,B,Int,,", "Down,B,Int,,,7", "m.csv:16:6: a value below no label; give the column one or remove it"),
        ("[Blocks]", "[Block]", "m.csv:9:1: unknown table 'Block'; a map has the tables PLC, Types, Blocks, Tags: rename"),
        ("[Blocks]", "[Tags]", "m.csv:14:1: a second table 'Tags'; put its rows into the first"),
        ("100,Up", "DB100,Up", "m.csv:10:1: DB: 'DB100' is no whole number"),
        ("101,Down", "101,Up", "m.csv:11:2: Block: Up is the name of another block; give each its own"),
        ("plc.host,10.0.0.5", "plc.host,10.0.0.5\nplc.rack,9", "m.csv:7:2: Value: Input should be less than or equal to 7"),
        ("plc.host,10.0.0.5", "plc.hots,10.0.0.5", "m.csv:6:2: Value: unknown key 'hots', did you mean 'host'?"),
        ("plc.driver,s7", "plc.driver,s8", "m.csv:4:2: Value: Input tag 's8'"),
        ("plc.name,press", "plc.name,press\nplc.name,x", "m.csv:6:1: Setting: plc.name stands in row 5 already"),
        ("Up,A,Real", "Up,A,Reall", "m.csv:15:3: Data type: unknown type 'Reall', did you mean 'Real'?"),
    ],
)
def test_what_is_wrong_is_said_with_its_cell(tmp_path: Path, old: str, new: str, error: str) -> None:
    assert GOOD.count(old) == 1
    found = errors_of(tmp_path, GOOD.replace(old, new))
    assert any(e.startswith(error) for e in found), "\n".join(found)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("Up,A,Real,1,2", "Up,A,Real,x,y").replace("101,Down", "x,Down")
    found = [e.split(": ")[0] for e in errors_of(tmp_path, text)]
    assert {"m.csv:11:1", "m.csv:15:4", "m.csv:15:5"} <= set(found)


def test_a_table_of_tags_alone_is_no_map(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, "Block,Name,Data type\nUp,A,Real\n")[-1:]
    assert error.startswith("m.csv: has no table PLC, Blocks, Tags; add it") and "--into" in error


def test_the_check_of_the_map_names_cells_too(tmp_path: Path) -> None:
    parsed = read_map(SHIPPED[0])
    parsed.blocks[0].tags[-1].unit = ""
    parsed.blocks[0].tags[-3].range = (120, 80)
    with pytest.raises(ConfigError) as caught:
        check_map(read_tables(xlsx_book(tmp_path / "m.xlsx", parsed)))
    assert [str(p).removeprefix(f"{tmp_path}/") for p in caught.value.problems] == [
        "m.xlsx:Tags!H17: Range low: the range must rise, 120 … 80 does not"
    ]


def test_a_wrong_number_does_not_hide_what_is_wrong_in_other_rows(tmp_path: Path) -> None:
    text = GOOD.replace("Up,A,Real,1,2", "Up,A,Real,x,2\nUp,C,Real,5,4")
    found = errors_of(tmp_path, text)
    assert [e for e in found if e.startswith("m.csv:15")] == ["m.csv:15:4: Range low: 'x' is no number"]
    assert any("the range must rise, 5 … 4 does not" in e for e in found)


def test_an_empty_role_is_said_at_its_cell(tmp_path: Path) -> None:
    parsed = read_map(SHIPPED[0])
    [tag] = [t for b in parsed.blocks for t in b.tags if t.role == "status2"]
    tag.role = ""
    with pytest.raises(ConfigError) as caught:
        check_map(read_tables(xlsx_book(tmp_path / "m.xlsx", parsed)))
    [said] = [str(p).removeprefix(f"{tmp_path}/") for p in caught.value.problems]
    assert said == "m.xlsx:Tags!F21: Role: Status2 lacks `role: status2`; add it"
