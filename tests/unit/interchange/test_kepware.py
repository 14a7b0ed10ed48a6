"""Kepware's lists: addresses and types of both drivers, scaling, what is left out, and the way back."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from gateway.core.errors import ConfigError
from gateway.interchange.delimited import read_csv
from gateway.interchange.foreign import Taken, address_text
from gateway.interchange.kepware import HEADER, KNOWN, NUMBERS, read_kepware, write_kepware
from gateway.interchange.load import import_file
from gateway.plc.maps import load_map

REPO = Path(__file__).resolve().parents[3]


def taken(tmp_path: Path, *rows: str, header: str = "Tag Name,Address,Data Type") -> Taken:
    (tmp_path / "k.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return read_kepware(read_csv(tmp_path / "k.csv", KNOWN, NUMBERS))


@pytest.mark.parametrize(
    ("address", "kind", "ours", "type"),
    [
        ("DB100.DBD8", "Float", "DB100.DBD8", "Real"),
        ('"DB1,REAL8"', "Float", "DB1.DBD8", "Real"),
        ("DB1.REAL8", "Default", "DB1.DBD8", "Real"),
        ('"DB1,X0.3"', "Boolean", "DB1.DBX0.3", "Bool"),
        ("DB1.DBX0.3", "Boolean", "DB1.DBX0.3", "Bool"),
        ('"DB1,INT4"', "Short", "DB1.DBW4", "Int"),
        ("DB1.DBW4", "Word", "DB1.DBW4", "UInt"),
        ('"DB1,DBB3"', "Byte", "DB1.DBB3", "USInt"),
        ('"DB1,CHAR3"', "Char", "DB1.DBB3", "SInt"),
        ('"DB1,DINT4"', "Long", "DB1.DBD4", "DInt"),
        ('"DB1,STRING20.10"', "String", "DB1.DBX20.0", "String[10]"),
        ('"S7:[PLC]DB1,W6"', "", "DB1.DBW6", "Word"),
        ("400101", "Float", "HR:100", "Real"),
        ("40101", "Short", "HR:100", "Int"),
        ("400101.3", "Boolean", "HR:100.3", "Bool"),
        ("300001", "DWord", "IR:0", "UDInt"),
        ("000017", "Boolean", "CO:16", "Bool"),
        ("100001", "Default", "DI:0", "Bool"),
        ("400101", "", "HR:100", "UInt"),
    ],
)
def test_addresses_and_types(tmp_path: Path, address: str, kind: str, ours: str, type: str) -> None:
    read = taken(tmp_path, f"A,{address},{kind}")
    assert not read.left_out, read.left_out
    (tag,) = read.tags
    assert tag.place is not None and (address_text(tag.place, tag.type), tag.type) == (ours, type)


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("A,M20.0,Boolean", "k.csv:2:2: Address: A: M20.0 is neither a Modbus address"),
        ('A,"DB1,REAL8",Short', "k.csv:2:3: Data Type: A: DB1,REAL8 is no place for a short"),
        (
            'A,"DB1,REAL8[4]",Float Array',
            "k.csv:2:2: Address: A: DB1,REAL8[4] is none of DB100,REAL8 and DB100.DBD8 (no arrays",
        ),
        ('A,"DB1,DT8",Date', "k.csv:2:2: Address: A: DT in DB1,DT8 is not taken"),
        ('A,"DB1,X0.9",Boolean', "k.csv:2:2: Address: A: DB1,X0.9: a byte has the bits 0 to 7"),
        ('A,"DB1,STRING8",String', "k.csv:2:2: Address: A: DB1,STRING8 has no length"),
        ("A,400101,Boolean", "k.csv:2:3: Data Type: A: 400101 is no place for a boolean"),
        ("A,400101.20H,String", "k.csv:2:2: Address: A: 400101.20H is neither a Modbus address"),
        ("A,400101,BCD", "k.csv:2:3: Data Type: A: 400101 is no place for a bcd"),
        ("A,,Short", "k.csv:2:2: Address: a row without a name or an address"),
        (",400101,Short", "k.csv:2:1: Tag Name: a row without a name or an address"),
    ],
)
def test_rows_that_cannot_be_taken_are_named(tmp_path: Path, row: str, error: str) -> None:
    read = taken(tmp_path, row)
    assert read.tags == ()
    (problem,) = read.left_out
    assert str(problem).removeprefix(f"{tmp_path}/").startswith(error)


FULL = "Tag Name;Address;Data Type;Scaling;Raw Low;Raw High;Scaled Low;Scaled High;Clamp Low;Eng Units;Negate Value"


def test_scaling_is_taken_over_and_what_differs_is_said(tmp_path: Path) -> None:
    read = taken(
        tmp_path,
        "A;DB1.DBW0;Short;Linear;0;27648;-1,5;10;1;bar;0",
        "B;DB1.DBW2;Short;Square Root;0;1;0;1;0;;0",
        "C;DB1.DBW4;Short;Linear;0;x;0;1;0;;0",
        "D;DB1.DBW6;Short;None;;;;;0;;1",
        header=FULL,
    )
    assert [(t.name, t.more["scale"], t.more["unit"]) for t in read.tags] == [
        ("A", {"raw": [0, 27648], "eng": [-1.5, 10]}, "bar")
    ]
    assert read.notes[-1] == "1 tags are clamped in Kepware; the gateway shows their values as they are"
    assert [p.message.split(";")[0] for p in read.left_out] == [
        "B: scaling 'square root' is not known here, only Linear",
        "C: raw high: 'x' is no number",
        "D: a negated value is not known here",
    ]


def test_another_csv_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="k.csv: has no columns Tag Name and Address"):
        taken(tmp_path, "A,B", header="x,y")
    with pytest.raises(ConfigError, match="has no columns Tag Name and Address"):
        (tmp_path / "k.csv").write_text("")
        read_kepware(read_csv(tmp_path / "k.csv", KNOWN, NUMBERS))


@pytest.mark.parametrize("name", ["demo_s7", "demo_modbus"])
def test_a_list_of_ours_reads_back_with_the_same_places(tmp_path: Path, name: str) -> None:
    loaded = load_map(REPO / "plc_maps" / f"{name}.yaml")
    ((file,), notes) = write_kepware(loaded, tmp_path / "k.csv")
    with file.open(encoding="utf-8-sig", newline="") as opened:
        header, *rows = list(csv.reader(opened))
    leaves = [leaf for b in loaded.map.blocks for t in b.tags for leaf in t.leaves()]
    assert tuple(header) == HEADER and len(rows) == len(leaves)
    assert {r[4] for r in rows} == {"RO"}, "every byte has its one writer already"
    read = read_kepware(read_csv(file, KNOWN, NUMBERS))
    assert not read.left_out and len(read.tags) == len(leaves)
    assert notes == [] or notes[0].startswith(
        "order CDAB: in the device's settings set First Word Low on, Modbus Byte Order on"
    )
    own = {t.name: address_text(t.place, t.type) for t in read.tags if t.place is not None}
    assert own["PartId"] == ("DB100.DBD8" if name == "demo_s7" else "HR:4")
    assert own["Tokens_7_Check"] == ("DB101.DBW126" if name == "demo_s7" else "HR:263")


def test_scales_units_bits_and_texts_go_out_and_the_rest_is_named(tmp_path: Path) -> None:
    into = Path(shutil.copy(REPO / "plc_maps" / "demo_s7.yaml", tmp_path / "map.yaml"))
    header = "Name,Data type,Address,Unit,Raw low,Raw high,Eng low,Eng high,Comment\n"
    rows = "P,Int,DB5.DBW0,bar,0,27648,0,10,Pressure\nB,Bool,DB5.DBX2.5,,,,,,\nS,String[8],DB5.DBX4.0,,,,,,\n"
    (tmp_path / "t.csv").write_text(header + rows + "L,LReal,DB5.DBX14.0,,,,,,\nD,DTL,DB5.DBX22.0,,,,,,\n")
    loaded = import_file(tmp_path / "t.csv", "csv", into=into, out=None).loaded
    _, notes = write_kepware(loaded, tmp_path / "k.csv")
    lines = (tmp_path / "k.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[-3:] == [
        'P,"DB5,INT0",Short,1,RO,1000,Linear,0,27648,0,10,Double,0,0,bar,Pressure,0',
        'B,"DB5,X2.5",Boolean,1,RO,1000,None,,,,,,,,,,0',
        'S,"DB5,STRING4.8",String,1,RO,1000,None,,,,,,,,,,0',
    ]
    assert [n.split(",")[0] for n in notes] == ["L: left out", "D: left out"]
