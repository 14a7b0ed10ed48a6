"""XLSX: what Excel makes of cells must neither damage nor inject; any mangled workbook ends in a plain error."""

from __future__ import annotations

import datetime
import io
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from gateway.core.errors import ConfigError
from gateway.interchange.cells import Book, Odd, Sheet, as_number, as_text, as_whole
from gateway.interchange.table import read_map, read_tables, sheets_of
from gateway.interchange.workbook import read_xlsx, write_xlsx

REPO = Path(__file__).resolve().parents[3]


def made(tmp_path: Path, *rows: list[Any]) -> Book:
    book = Workbook()
    book.active.title = "Tags"
    for row in [["Name", "Value"], *rows]:
        book.active.append(row)
    book.save(tmp_path / "f.xlsx")
    return read_xlsx(tmp_path / "f.xlsx")


def only(tmp_path: Path, value: Any) -> Any:
    return made(tmp_path, ["A", value]).sections[0].rows[0].cells[1]


def test_numbers_come_as_floats_and_are_whole_where_they_are(tmp_path: Path) -> None:
    assert as_whole(only(tmp_path, 100.0)) == 100
    assert as_text(only(tmp_path, 400101.0), address=True) == "400101"
    assert as_number(only(tmp_path, 0.1), decimal_comma=False) == 0.1
    with pytest.raises(ValueError, match=r"100\.5 is no whole number"):
        as_whole(only(tmp_path, 100.5))


def test_a_bit_address_that_excel_took_for_a_number_is_refused(tmp_path: Path) -> None:
    """400101.10 has become 400101.1, which is another bit."""
    with pytest.raises(ValueError, match="does not tell bit .1 from .10; format the cell as text"):
        as_text(only(tmp_path, 400101.10), address=True)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (datetime.datetime(2026, 3, 1), "Excel made a date of it"),
        (datetime.time(12, 30), "Excel made a date of it"),
        ("=A1*2", "holds a formula"),
        ("#REF!", "holds Excel's error #REF!"),
    ],
)
def test_what_is_no_value_is_refused_with_the_remedy(tmp_path: Path, value: Any, why: str) -> None:
    cell = only(tmp_path, value)
    assert isinstance(cell, Odd) and why in cell.why
    for read in (as_text, as_whole):
        with pytest.raises(ValueError, match=why.split()[0]):
            read(cell)


def test_booleans_are_no_numbers(tmp_path: Path) -> None:
    for read in (as_whole, lambda v: as_number(v, decimal_comma=False)):
        with pytest.raises(ValueError, match="True is no"):
            read(only(tmp_path, True))


def test_blank_rows_are_skipped_and_hidden_rows_read_aloud(tmp_path: Path) -> None:
    book = Workbook()
    book.active.title = "Tags"
    for row in (["Name"], ["A"], [None], ["  "], ["B"]):
        book.active.append(row)
    book.active.row_dimensions[5].hidden = True
    book.create_sheet("Empty")
    book.create_sheet("Old").append(["x"])
    book["Old"].sheet_state = "hidden"
    book.save(tmp_path / "f.xlsx")
    read = read_xlsx(tmp_path / "f.xlsx")
    assert [(r.number, r.cells[0]) for r in read.sections[0].rows] == [(2, "A"), (5, "B")]
    assert [s.name for s in read.sections] == ["Tags", "Old"]
    assert read.notes == ("Tags: hidden rows were read as well: 5", "the sheet Old is hidden and was read")


def test_a_stray_cell_far_out_is_named_and_costs_nothing(tmp_path: Path) -> None:
    book = Workbook()
    book.active["A1"] = "Name"
    book.active["XFD900000"] = "x"
    book.save(tmp_path / "f.xlsx")
    with pytest.raises(ConfigError, match=r"f.xlsx:Sheet!XFD900000: lies beyond"):
        read_xlsx(tmp_path / "f.xlsx")


def test_texts_are_written_as_text_and_never_as_formulas(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@x", "=cmd|' /C calc'!A0", "007", "MAR1"]
    write_xlsx(tmp_path / "f.xlsx", [Sheet(name="T", header=["Name"], rows=[[t] for t in texts])])
    cells = [row[0] for row in load_workbook(tmp_path / "f.xlsx")["T"].iter_rows(min_row=2)]
    assert {c.data_type for c in cells} == {"s"} and {c.number_format for c in cells} == {"@"}
    assert [as_text(r.cells[0]) for r in read_xlsx(tmp_path / "f.xlsx").sections[0].rows] == texts


def test_a_second_reader_sees_the_same_cells(tmp_path: Path) -> None:
    calamine = pytest.importorskip("python_calamine")
    sheets = sheets_of(read_map(REPO / "plc_maps" / "demo_s7.yaml"))
    write_xlsx(tmp_path / "f.xlsx", sheets)
    book = calamine.CalamineWorkbook.from_path(str(tmp_path / "f.xlsx"))
    assert book.sheet_names == ["PLC", "Types", "Blocks", "Tags"]
    for sheet in sheets:
        seen = book.get_sheet_by_name(sheet.name).to_python()
        assert seen[0] == list(sheet.header)
        assert [[None if v == "" else v for v in row] for row in seen[1:]] == [list(row) for row in sheet.rows]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "is no XLSX workbook"),
        (b"Name,Type\n", "is no XLSX workbook; save it as .xlsx, or say --from csv"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old (.xls) or password-protected workbook"),
        (b"PK\x03\x04", "is damaged or no XLSX workbook"),
    ],
)
def test_what_is_no_workbook(tmp_path: Path, data: bytes, error: str) -> None:
    (tmp_path / "f.xlsx").write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_xlsx(tmp_path / "f.xlsx")
    assert str(caught.value).startswith(f"{tmp_path}/f.xlsx: {error}")


def test_a_workbook_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f.xlsx", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * (65 << 20))
    with pytest.raises(ConfigError, match="unpacks to more than 64 MiB"):
        read_xlsx(tmp_path / "f.xlsx")


def good() -> dict[str, bytes]:
    out = io.BytesIO()
    book = Workbook()
    book.active.title = "Tags"
    for row in (["Block", "Name", "Data type", "Comment"], ["Up", "A", "Real", "x"], ["Up", "B", "Int", 1.5]):
        book.active.append(row)
    book.save(out)
    with zipfile.ZipFile(out) as packed:
        return {i.filename: packed.read(i) for i in packed.infolist()}


def read_or_error(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        read_tables(read_xlsx(path))
    except ConfigError as error:
        assert str(error).startswith(str(path))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), how=st.sampled_from(["flip", "cut", "drop", "member", "word"]))
def test_mangled_workbooks_end_in_plain_errors(tmp_path: Path, seed: int, how: str) -> None:
    """Also what the checksums of the ZIP would not notice: its members are mangled and packed anew."""
    chance = random.Random(seed)
    members = good()
    name = chance.choice(sorted(members))
    text = bytearray(members[name])
    if how == "member":
        for _ in range(chance.randint(1, 4)):
            text[chance.randrange(len(text))] = chance.choice(b'<>"/&=09aZ\x00\xff')
    elif how == "word":
        words = [b"<v>", b't="s"', b"A1", b'r="', b"Type=", b"sheet", b"</row>", b"xml", b'count="', b'Id="', b"<c ", b"<font"]
        text = bytearray(bytes(text).replace(chance.choice(words), chance.choice([b"", b'"', b"999999999999", b"-1", b"\xc3"])))
    elif how == "drop":
        del members[name]
    if how in ("member", "word"):
        members[name] = bytes(text)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for each, content in members.items():
            packed.writestr(each, content)
    data = bytearray(out.getvalue())
    if how == "cut":
        data = data[: chance.randrange(len(data))]
    elif how == "flip":
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    read_or_error(tmp_path / "f.xlsx", bytes(data))
