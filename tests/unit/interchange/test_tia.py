"""TIA Portal's tag tables: what can be taken is taken, all else is named with its cell and the remedy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from gateway.core.errors import ConfigError
from gateway.interchange.load import import_file
from gateway.interchange.tia import read_tia
from gateway.interchange.workbook import read_xlsx
from gateway.plc.maps import load_map

REPO = Path(__file__).resolve().parents[3]
ENGLISH = ["Name", "Path", "Data Type", "Logical Address", "Comment", "Hmi Visible", "Hmi Accessible", "Hmi Writeable"]
GERMAN = ["Name", "Pfad", "Datentyp", "Logische Adresse", "Kommentar [de-DE]"]


def table(path: Path, *rows: list[Any], header: list[str] = ENGLISH, sheet: str = "PLC Tags") -> Path:
    book = Workbook()
    book.active.title = sheet
    for row in (header, *rows):
        book.active.append(row)
    book.create_sheet("TagTable Properties").append(["Path", "BelongsToUnit", "Accessibility"])
    book.save(path)
    return path


def test_a_tag_table_goes_into_a_map(tmp_path: Path) -> None:
    into = Path(shutil.copy(REPO / "plc_maps" / "demo_s7.yaml", tmp_path / "map.yaml"))
    file = table(
        tmp_path / "PLCTags.xlsx",
        ["Öl Temperatur", "Default tag table", "Real", "%DB100.DBD180", "Oil", "True", "True", "True"],
        ["Druck", "Default tag table", "Int", "%DB300.DBW2", None],
        ["Tuer", "Default tag table", "Bool", "%DB300.DBX0.3", ""],
        ["Merker", "Default tag table", "Word", "%MW20", ""],
        ["Eingang", "Default tag table", "Int", "%IW64:P", ""],
        ["Symbol", "Default tag table", "Real", None, ""],
    )
    done = import_file(file, "tia", into=into, out=None)
    assert done.tags == 3 and done.blocks == ("DB100", "DB300")
    assert [str(p).removeprefix(f"{tmp_path}/") for p in done.left_out] == [
        "PLCTags.xlsx:PLC Tags!D5: Logical Address: Merker: %MW20 is a marker; only data blocks are read: "
        "copy it into a data block that is not optimised, and import that address",
        "PLCTags.xlsx:PLC Tags!D6: Logical Address: Eingang: %IW64:P is an input; only data blocks are read: "
        "copy it into a data block that is not optimised, and import that address",
        "PLCTags.xlsx:PLC Tags!D7: Logical Address: Symbol: has no address; a symbol of an optimised block cannot be read: "
        "copy it into a data block that is not optimised, and import that address",
    ]
    assert done.notes == ("the sheets TagTable Properties hold no tags and were not read",)
    tags = {t.name: t for b in load_map(into).map.extra for t in b.tags}
    assert (tags["Oel_Temperatur"].description, tags["Oel_Temperatur"].role) == ("Öl Temperatur: Oil", "process")
    assert (tags["Tuer"].offset, tags["Tuer"].bit, tags["Druck"].offset) == (0, 3, 2)


def test_german_labels_and_addresses(tmp_path: Path) -> None:
    rows = (
        ["A", "Tabelle", "Time_Of_Day", "%DB3.DBD0", "Zeit"],
        ["B", "Tabelle", "Bool", "%E0.0", ""],
        ["C", "T", "Bool", "%A1.2"],
    )
    taken = read_tia(read_xlsx(table(tmp_path / "t.xlsx", *rows, header=GERMAN, sheet="PLC-Variablen")))
    assert [(t.name, t.type, t.more["description"]) for t in taken.tags] == [("A", "TOD", "Zeit")]
    assert [p.message.split(";")[0] for p in taken.left_out] == ["B: %E0.0 is an input", "C: %A1.2 is an output"]


@pytest.mark.parametrize(
    ("datatype", "address", "ours"),
    [
        ("Bool", "%DB1.DBX0.3", "Bool"),
        ("real", "%DB1.DBD4", "Real"),
        ("LReal", "%DB1.DBX8.0", "LReal"),
        ("String", "%DB1.DBX8.0", "String[254]"),
        ("string[ 20 ]", "%DB1.DBX8.0", "String[20]"),
        ("Array[0..7] of Real", "%DB1.DBX8.0", "Array[0..7] of Real"),
        ("Date_And_Time", "P#DB1.DBX8.0", "DT"),
    ],
)
def test_types_have_our_names(tmp_path: Path, datatype: str, address: str, ours: str) -> None:
    taken = read_tia(read_xlsx(table(tmp_path / "t.xlsx", ["A", "T", datatype, address])))
    assert [t.type for t in taken.tags] == [ours], taken.left_out


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (["A", "T", '"MyUdt"', "%DB1.DBX0.0"], "t.xlsx:PLC Tags!C2: Data Type: A: unknown type 'MyUdt'"),
        (["A", "T", "S5Time", "%DB1.DBW0"], "t.xlsx:PLC Tags!C2: Data Type: A: unknown type 'S5Time'"),
        (["A", "T", "Bool", "%DB1.DBW0"], "t.xlsx:PLC Tags!D2: Logical Address: A: %DB1.DBW0 is no place for a Bool"),
        (["A", "T", "Real", "%DBD0"], "t.xlsx:PLC Tags!D2: Logical Address: A: %DBD0 does not say which data block"),
        (["A", "T", "Real", "nonsense"], "t.xlsx:PLC Tags!D2: Logical Address: A: 'nonsense' is no S7 address"),
        ([None, "T", "Real", "%DB1.DBD0"], "t.xlsx:PLC Tags!A2: a row without a name"),
        (["=1+1", "T", "Real", "%DB1.DBD0"], "t.xlsx:PLC Tags!A2: Name: holds a formula"),
        (["T0", "T", "Timer", "%T0"], "t.xlsx:PLC Tags!C2: Data Type: T0: unknown type 'Timer'"),
    ],
)
def test_rows_that_cannot_be_taken_are_named(tmp_path: Path, row: list[Any], error: str) -> None:
    taken = read_tia(read_xlsx(table(tmp_path / "t.xlsx", row)))
    assert taken.tags == ()
    (problem,) = taken.left_out
    assert str(problem).removeprefix(f"{tmp_path}/").startswith(error.replace("A2: a row", "A2: Name: a row"))


def test_another_workbook_is_no_tag_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no a?.*Name, Data Type and Logical Address"):
        read_tia(read_xlsx(table(tmp_path / "t.xlsx", ["x"], header=["Some", "thing"])))


def test_tags_alone_make_no_map(tmp_path: Path) -> None:
    file = table(tmp_path / "t.xlsx", ["A", "T", "Real", "%DB1.DBD0"])
    with pytest.raises(ConfigError, match="holds tags and no whole map; name the map that they are for with --into"):
        import_file(file, "tia", into=None, out=tmp_path / "new.yaml")
    assert not (tmp_path / "new.yaml").exists()


def test_a_double_name_does_not_hide_an_odd_address(tmp_path: Path) -> None:
    into = Path(shutil.copy(REPO / "plc_maps" / "demo_s7.yaml", tmp_path / "map.yaml"))
    rows = (["A", "T", "Int", "%DB300.DBW0", ""], ["A", "T", "Int", "%DB300.DBW2", ""], ["B", "T", "Real", "%DB300.DBD5", ""])
    with pytest.raises(ConfigError) as caught:
        import_file(table(tmp_path / "t.xlsx", *rows), "tia", into=into, out=None)
    said = [str(p).removeprefix(f"{tmp_path}/") for p in caught.value.problems]
    assert said[0].startswith("t.xlsx:PLC Tags!A3: Name: A and A (row 2) are both A in the map")
    assert said[1].startswith("t.xlsx:PLC Tags!D4: Logical Address: ") and "odd" in said[1]
