"""CSV as people and their spreadsheets make it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.errors import ConfigError
from gateway.interchange.cells import MAX_TEXT, Book, Sheet, cell_text, text_of
from gateway.interchange.delimited import read_csv, write_csv

KNOWN, NUMBERS = {"name", "low", "comment"}, {"low"}


def book(tmp_path: Path, data: bytes) -> Book:
    (tmp_path / "f.csv").write_bytes(data)
    return read_csv(tmp_path / "f.csv", KNOWN, NUMBERS)


def rows(tmp_path: Path, data: bytes) -> list[list[object]]:
    return [list(r.cells) for r in book(tmp_path, data).sections[0].rows]


def error_of(tmp_path: Path, data: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        book(tmp_path, data)
    (problem,) = caught.value.problems
    return str(problem).removeprefix(f"{tmp_path}/")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_separators_line_ends_and_byte_order_marks(tmp_path: Path, separator: str, ending: str, mark: bytes) -> None:
    text = ending.join(separator.join(r) for r in (["Name", "Low"], ["A", "1"], ["B", '"x,y;z\t"'])) + ending
    assert rows(tmp_path, mark + text.encode()) == [["A", "1"], ["B", "x,y;z\t"]]


def test_a_line_that_tells_the_separator_is_heeded_and_is_no_row(tmp_path: Path) -> None:
    assert rows(tmp_path, b"sep=;\nName;Low\nA,b;1\n") == [["A,b", "1"]]
    assert rows(tmp_path, b"sep=\t\nName\tLow\nA,b\t1\n") == [["A,b", "1"]]
    assert (
        error_of(tmp_path, b"sep=|\nName|Low\n") == "f.csv:1:1: separator '|' is not known; use one of commas, semicolons, tabs"
    )


def test_quoted_cells_hold_newlines_and_the_rows_behind_them_know_their_lines(tmp_path: Path) -> None:
    section = book(tmp_path, b'Name,Comment\nA,"one\ntwo\nthree"\n\nB,x\n').sections[0]
    assert [(r.number, r.cells) for r in section.rows] == [(2, ("A", "one\ntwo\nthree")), (6, ("B", "x"))]


def test_a_decimal_comma_counts_where_no_comma_separates_and_it_is_said(tmp_path: Path) -> None:
    read = book(tmp_path, b"Name;Low\nA;1,5\n")
    assert read.sections[0].decimal_comma
    assert read.notes == ("read with semicolons between the cells", "read with a decimal comma (1,5 is one and a half)")
    assert not book(tmp_path, b"Name;Low;Comment\nA;1.5;1,5\n").sections[0].decimal_comma  # a comment is no number
    assert not book(tmp_path, b'Name,Low\nA,"1,5"\n').sections[0].decimal_comma


def test_windows_1252_is_read_and_said(tmp_path: Path) -> None:
    read = book(tmp_path, "Name;Comment\nA;Öltür °C €\n".encode("cp1252"))
    assert read.sections[0].rows[0].cells == ("A", "Öltür °C €")
    assert read.notes[0].startswith("read as Windows-1252, for byte 15 (line 2) is not UTF-8")


def test_utf_16_of_excels_unicode_text_is_read(tmp_path: Path) -> None:
    read = book(tmp_path, "Name\tLow\nÄ\t1,5\n".encode("utf-16"))
    assert read.sections[0].rows[0].cells == ("Ä", "1,5") and "read as UTF-16" in read.notes


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"Name,Low\nA,\x81\xff\n", "f.csv:2:1: is neither UTF-8 nor Windows-1252 text"),
        (b"\xff\xfea", "f.csv: begins like UTF-16 text and is none"),
        (b'Name,Low\nA,1\nB,"open\nC,2\n', "f.csv:3:1: a quotation mark is never closed"),
        (b'Name,Low\nA,"x"y\n', "f.csv:2:1: is not CSV: "),
        (b"PK\x03\x04", "f.csv: is an XLSX workbook (or another ZIP file), no CSV; say --from xlsx"),
        (b"\xd0\xcf\x11\xe0", "f.csv: is an old or password-protected workbook, no CSV"),
    ],
)
def test_what_is_no_csv_is_said_with_its_line(tmp_path: Path, data: bytes, error: str) -> None:
    assert error_of(tmp_path, data).startswith(error)


def test_files_that_are_not_there_or_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_csv(tmp_path / "none.csv", KNOWN)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_csv(tmp_path, KNOWN)


def test_parts_begin_with_their_name_in_brackets_also_with_the_commas_that_excel_adds(tmp_path: Path) -> None:
    read = book(tmp_path, b"[One],,\nName,Low,\nA,1,\n\n[Two],,\nName,,\nB,,\n")
    assert [(s.name, s.rows[0].cells[0]) for s in read.sections] == [("One", "A"), ("Two", "B")]
    assert read.section("TWO") is read.sections[1]


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_every_text_comes_back_from_a_cell(text: str) -> None:
    assert text_of(cell_text(text)) == text


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(1)", "\tx", "007", "1-2", "MAR1", "true", "1,5", "Sep 5"]
)
def test_what_a_spreadsheet_would_change_or_run_is_no_bare_cell(tmp_path: Path, text: str) -> None:
    held = cell_text(text)
    assert held.startswith('"') and held.endswith('"')
    write_csv(tmp_path / "f.csv", [Sheet(name="T", header=["Name"], rows=[[text]])])
    assert f'\r\n"""{text}'[:5].encode() in (tmp_path / "f.csv").read_bytes()


@pytest.mark.parametrize(
    "text", ["PressForce", "DB100.DBD8", "m/min", "10.0.0.5", "Array[0..7] of Token", "plc->gw", "°C", "%"]
)
def test_plain_texts_stand_as_they_are(text: str) -> None:
    assert cell_text(text) == text


def test_a_persons_quotation_marks_are_left_alone() -> None:
    assert text_of('"Left" press') == '"Left" press'


def test_a_text_that_no_cell_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="T, A: a text of 32768 characters is too long"):
        write_csv(tmp_path / "f.csv", [Sheet(name="T", header=["Name", "Comment"], rows=[["A", "x" * (MAX_TEXT + 1)]])])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text(alphabet='Name,;\t"\n[]sep=Low1.', max_size=80).map(str.encode))
def test_any_bytes_are_a_book_or_a_plain_error(tmp_path: Path, data: bytes) -> None:
    try:
        book(tmp_path, data)
    except ConfigError as error:
        assert all(p.file.endswith("f.csv") for p in error.problems) and error.problems
