"""Lists of other programs put into a map: grouping, names, conflicts, and the map's other bytes left alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.core.errors import ConfigError
from gateway.interchange.foreign import Imported, plain_name
from gateway.interchange.load import import_file
from gateway.plc.maps import load_map

REPO = Path(__file__).resolve().parents[3]
HEADER = "Name,Data type,Address,Unit,Comment\n"


@pytest.fixture
def s7(tmp_path: Path) -> Path:
    return Path(shutil.copy(REPO / "plc_maps" / "demo_s7.yaml", tmp_path / "map.yaml"))


@pytest.fixture
def modbus(tmp_path: Path) -> Path:
    return Path(shutil.copy(REPO / "plc_maps" / "demo_modbus.yaml", tmp_path / "map.yaml"))


def put(into: Path, rows: str, header: str = HEADER) -> Imported:
    table = into.with_name("tags.csv")
    table.write_text(header + rows, encoding="utf-8")
    return import_file(table, "csv", into=into, out=None)


def errors(into: Path, rows: str, header: str = HEADER) -> list[str]:
    before = into.read_bytes()
    with pytest.raises(ConfigError) as caught:
        put(into, rows, header)
    assert into.read_bytes() == before, "something was written although something is wrong"
    assert [f.name for f in into.parent.iterdir() if f.name.startswith(".")] == []
    return [str(p).replace(f"{into.parent}/", "") for p in caught.value.problems]


def test_tags_become_blocks_a_data_block_each_and_every_other_line_stays(s7: Path) -> None:
    before = s7.read_text().splitlines()
    done = put(s7, "Temp,Real,DB300.DBD8,°C,Oil\nOn,Bool,DB300.DBX12.3,,\nFar,Int,DB300.DBW400,,\nOther,Word,DB7.DBW0,,\n")
    assert (done.tags, done.blocks, done.left_out) == (4, ("DB300", "DB300_2", "DB7"), ())
    after = s7.read_text().splitlines()
    assert after[: len(before)] == before and len(after) > len(before)
    extra = {b.name: b for b in load_map(s7).map.extra}
    assert [(t.name, t.offset, t.bit, t.unit) for t in extra["DB300"].tags] == [("Temp", 0, 0, "°C"), ("On", 4, 3, "")]
    assert done.loaded.checksum == load_map(s7).checksum


def test_a_tag_within_a_block_goes_into_it(s7: Path) -> None:
    put(s7, "A,Real,DB300.DBD0,,\nB,Real,DB300.DBD40,,\n")
    assert put(s7, "C,Real,DB300.DBD20,,\n").blocks == ()
    assert [t.name for t in load_map(s7).map.extra[0].tags] == ["A", "B", "C"]


def test_what_is_there_already_is_told_and_not_doubled(s7: Path) -> None:
    rows = "A,Real,DB300.DBD0,,\n"
    put(s7, rows)
    once = s7.read_bytes()
    done = put(s7, rows)
    assert (done.tags, done.notes) == (0, ("1 tags are in the map already, unchanged: A",))
    assert s7.read_bytes() == once


def test_every_conflict_is_named_and_nothing_written(s7: Path) -> None:
    rows = "PartId,UDInt,DB300.DBD0,,\nOil temp,Real,DB300.DBD4,,\nOil.temp,Real,DB300.DBD8,,\nX,Real,400101,,\n"
    assert [e.split("; ")[0] for e in errors(s7, rows)] == [
        "tags.csv:5:3: Address: '400101' is no S7 address",
    ]
    assert [e.split("; ")[0] for e in errors(s7, rows.replace("400101", "DB300.DBD12"))] == [
        "tags.csv:2:1: Name: PartId is in the map already, another tag (map.yaml:20)",
        "tags.csv:4:1: Name: Oil.temp and Oil temp (row 3) are both Oil_temp in the map",
    ]


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("A,Real,DBD8,,", "tags.csv:2:3: Address: DBD8 does not say which data block; write DB300.DBD8"),
        ("A,Reall,DB3.DBD8,,", "tags.csv:2:2: Data type: unknown type 'Reall', did you mean 'Real'?"),
        ("A,Real,,,", "tags.csv:2:3: Address: name the block (column Block), or give an address"),
        (",Real,DB3.DBD8,,", "tags.csv:2:1: Name: a tag needs a name"),
        ("A,Real,DB3.DBW8,,", "tags.csv:2:3: Address: A: DB3.DBW8 is no place"),
        ("A,Real,DB3.DBD9,,", "tags.csv:2:3: Address: A: "),
        ("A,Real,DB101.DBD200,,", "tags.csv:2:3: Address: both blocks lie in DB101"),
        ("A,Real,DB100.DBD8,,", "tags.csv:2:3: Address: A: overlaps PartId at byte 8"),
        ("A,Real,DB3.DBD8,a unit that is far too long,", "tags.csv:2:4: Unit: String should have at most 16"),
        ("A,Real,DB3.DBD8,,\nB,Int,DB3.DBW10,,", "tags.csv:3:3: Address: B: overlaps A"),
    ],
)
def test_what_cannot_lie_there_is_said_at_its_cell(s7: Path, row: str, error: str) -> None:
    found = errors(s7, row + "\n")
    assert any(e.startswith(error) for e in found), "\n".join(found)


def test_tags_may_name_their_block_and_hold_all_columns(s7: Path) -> None:
    header = "Block,Name,Data type,Role,Unit,Range low,Range high,Step,Rate per min\n"
    done = put(s7, "DB_VisionUp,Stroke,Real,param,mm,1,9,0.5,3\n", header)
    (force, stroke) = done.loaded.map.params()
    assert (force.name, stroke.name, stroke.range, stroke.step) == ("PressForce", "Stroke", (1.0, 9.0), 0.5)
    assert "    tags:\n" in s7.read_text() and load_map(s7).map.params()[1] == stroke
    assert errors(s7, "DB_Up,A,Int,,,,,,\n", header)[0].startswith(
        "tags.csv:2:1: Block: there is no block DB_Up; the map has DB_V"
    )


def test_a_whole_map_is_not_put_into_another(s7: Path) -> None:
    (error,) = errors(s7, "A,1,,,\n[Blocks]\nBlock,DB\nUp,1\n")
    assert error.startswith("tags.csv: holds a whole map; write it as a new one with -o")


def test_registers_in_reach_become_one_block_and_the_handshakes_are_gone_round(modbus: Path) -> None:
    rows = "A,Real,HR:190,,\nB,Int,400198,,\nC,Bool,HR:300.3,,\nD,Real,302,,\nE,Int,IR:5,,\nF,Bool,00017,,\nG,Bool,CO:30,,\n"
    done = put(modbus, rows.replace("302", "HR:302"))
    assert done.blocks == ("CO16", "HR190", "HR300", "IR5")
    extra = {b.name: b for b in load_map(modbus).map.extra}
    assert [t.name for t in extra["HR190"].tags] == ["A", "B"] and extra["CO16"].bits == 15


def test_a_register_that_could_be_read_as_a_classic_address_is_written_so_that_it_cannot(modbus: Path) -> None:
    put(modbus, "A,Int,HR:40100,,\n")
    assert "at: HR:40100\n" in modbus.read_text()
    assert load_map(modbus).map.extra[0].base.register == 40100  # type: ignore[union-attr]


def test_a_new_file_leaves_the_template_alone_and_is_never_over_another(s7: Path, tmp_path: Path) -> None:
    table, before = tmp_path / "tags.csv", s7.read_bytes()
    table.write_text(HEADER + "A,Real,DB300.DBD0,,\n")
    import_file(table, "csv", into=s7, out=tmp_path / "new.yaml")
    assert s7.read_bytes() == before and load_map(tmp_path / "new.yaml").map.extra
    with pytest.raises(ConfigError, match="new.yaml: is there already"):
        import_file(table, "csv", into=s7, out=tmp_path / "new.yaml")


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("tail", ["", "# the end", "more"])
def test_comments_line_ends_and_a_missing_last_line_end_are_kept(s7: Path, ending: str, tail: str) -> None:
    text = s7.read_text().rstrip("\n") + "   # last" + (f"\n{tail}" if tail.startswith("#") else "")
    if tail == "more":  # the blocks are not the last section
        head, _, blocks = text.partition("blocks:")
        plc = next(line for line in head.splitlines() if line.startswith("plc:"))
        text = head.replace(plc + "\n", "") + "blocks:" + blocks.rstrip() + "\n\n# the PLC\n" + plc
    s7.write_bytes(text.replace("\n", ending).encode())
    put(s7, "A,Real,DB300.DBD0,,\n")
    after = s7.read_bytes().decode()
    kept = after.split(ending)
    assert all(line in kept for line in text.split("\n"))
    assert "\r" not in after.replace("\r\n", "") and ("\r\n" in after) == (ending == "\r\n")
    assert [b.name for b in load_map(s7).map.extra] == ["DB300"]


def test_a_map_in_one_line_is_refused(s7: Path) -> None:
    import json

    from gateway.yaml_source import read_yaml

    s7.write_text(json.dumps(read_yaml(s7).data))
    with pytest.raises(ConfigError, match=r"stand in one line \(\[…\]\); write them one a line"):
        put(s7, "A,Real,DB300.DBD0,,\n")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Öl Temperatur.1", "Oel_Temperatur_1"),
        ("1. Achse", "_1_Achse"),
        ("naïve", "naive"),
        ("a" * 80, "a" * 64),
        ("日本", "Tag"),
        ("Ok_1", "Ok_1"),
    ],
)
def test_names_are_made_plain(name: str, plain: str) -> None:
    assert plain_name(name) == plain
