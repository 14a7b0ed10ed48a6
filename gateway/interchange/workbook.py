"""XLSX workbooks in and out. What Excel makes of cells (dates, formulas, errors) is refused by name of the cell, never guessed.

Each table is a sheet with a header row. It knows no tag maps.
"""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import Cell
from openpyxl.styles import Font, PatternFill
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.formula import ArrayFormula, DataTableFormula
from openpyxl.worksheet.worksheet import Worksheet

from gateway.core.errors import ConfigError, Problem
from gateway.interchange.cells import MAX_ROWS, Book, Odd, Row, Section, Sheet, Value, cell_text, letters, number_text
from gateway.interchange.delimited import read_bytes

MAX_BYTES = 16 << 20
MAX_UNPACKED = 64 << 20
MAX_COLUMNS = 200
_OLD = b"\xd0\xcf\x11\xe0"
#: What openpyxl, zipfile and the XML parsers raise on a mangled workbook.
BROKEN = (
    InvalidFileException,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    SyntaxError,  # XML parsers raise its subclasses
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
)


def read_xlsx(path: Path) -> Book:
    """Read a workbook: each visible sheet that is not empty is a table. ConfigError says what is wrong with the file."""
    data = read_bytes(path, MAX_BYTES)
    if data.startswith(_OLD):
        raise _fail(path, "is an old (.xls) or password-protected workbook; save it as .xlsx without a password")
    if not data.startswith(b"PK"):
        raise _fail(path, "is no XLSX workbook; save it as .xlsx, or say --from csv if it is text")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            unpacked = sum(i.file_size for i in packed.infolist())
        if unpacked > MAX_UNPACKED:
            raise _fail(path, f"unpacks to more than {MAX_UNPACKED >> 20} MiB; this is not the file you mean")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's about styles and extensions that it drops; no cell is lost by them
            book = load_workbook(io.BytesIO(data), data_only=False, keep_links=False)
        sheets: list[Worksheet] = list(book.worksheets)
    except BROKEN as error:
        raise _fail(path, f"is damaged or no XLSX workbook ({type(error).__name__}); save it anew from Excel") from None
    notes: list[str] = []
    sections = []
    for sheet in sheets:
        rows = list(_rows(path, sheet, notes))
        if rows:
            sections.append(Section(file=path, name=str(sheet.title), header=rows[0], rows=tuple(rows[1:]), sheet=True))
            if sheet.sheet_state != "visible":
                notes.append(f"the sheet {sheet.title} is hidden and was read")
    return Book(file=path, sections=tuple(sections), notes=tuple(notes))


def write_xlsx(path: Path, sheets: Sequence[Sheet]) -> None:
    """Write the tables as a workbook; ConfigError when a text is too long for a cell."""
    book = Workbook()
    book.remove(book.active)
    for sheet in sheets:
        _write(path, book.create_sheet(sheet.name), sheet)
    out = io.BytesIO()
    book.save(out)
    path.write_bytes(out.getvalue())


def _write(path: Path, into: Worksheet, sheet: Sheet) -> None:
    for column, label in enumerate(sheet.header, 1):
        cell = into.cell(1, column, label)
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="DDDDDD")
    for number, row in enumerate(sheet.rows, 2):
        for column, value in enumerate(row, 1):
            if value is None:
                continue
            if isinstance(value, float) and float(f"{value:.16g}") != value:
                value = number_text(value)  # a workbook's numbers are written with 16 digits
            if isinstance(value, str):
                try:
                    value = cell_text(value)
                except ValueError as error:
                    raise ConfigError(f"{path}:{sheet.name}!{letters(column - 1)}{number}: {error}") from None
            cell = into.cell(number, column, value)
            if isinstance(value, str):
                # As text, so that Excel does not look for a number or a formula in it when somebody edits the cell.
                cell.data_type, cell.number_format = "s", "@"
    for column, texts in enumerate(sheet.choices):
        if texts:
            allowed = DataValidation(type="list", formula1=f'"{",".join(texts)}"', allow_blank=True)
            allowed.add(f"{letters(column)}2:{letters(column)}{max(len(sheet.rows) + 1, 1000)}")
            into.add_data_validation(allowed)
    for column in range(len(sheet.header)):
        widest = max((len(str(r[column])) for r in sheet.rows if r[column] is not None), default=0)
        into.column_dimensions[letters(column)].width = min(48, max(widest, len(sheet.header[column])) + 2)
    into.freeze_panes = "A2"


def _rows(path: Path, sheet: Worksheet, notes: list[str]) -> Iterator[Row]:
    if sheet.max_column > MAX_COLUMNS or sheet.max_row > MAX_ROWS:
        # A stray cell far out; openpyxl would make every cell up to it.
        far = [c for row in _cells_there(sheet) for c in row if c.row > MAX_ROWS or c.column > MAX_COLUMNS]
        raise ConfigError(
            [
                _at(path, sheet, c, f"lies beyond {MAX_ROWS} rows or {MAX_COLUMNS} columns; delete its row or column")
                for c in far[:3]
            ]
            or [Problem(file=f"{path}:{sheet.title}", line=0, column=0, path="", message="is too large; delete unused rows")]
        )
    hidden = []
    for cells in sheet.iter_rows():
        values = tuple(_value(c) for c in cells)
        if all(v is None or (isinstance(v, str) and not v.strip()) for v in values):
            continue
        number = cells[0].row
        if sheet.row_dimensions[number].hidden:
            hidden.append(str(number))
        yield Row(number=number, cells=values)
    if hidden:
        notes.append(
            f"{sheet.title}: hidden rows were read as well: {', '.join(hidden[:20])}{' …' if len(hidden) > 20 else ''}"
        )


def _cells_there(sheet: Worksheet) -> Iterator[list[Cell]]:
    yield [c for c in sheet._cells.values() if c.value is not None]  # noqa: SLF001  (no other way lists only what is there)


def _value(cell: Any) -> Value:
    value = cell.value
    if cell.data_type == "f" or isinstance(value, (ArrayFormula, DataTableFormula)):
        return Odd(why=f"holds a formula ({str(value)[:40]}); copy the cell and paste its value")
    if cell.data_type == "e":
        return Odd(why=f"holds Excel's error {value}; correct it")
    if isinstance(value, (datetime, date, time, timedelta)):
        return Odd(why=f"Excel made a date of it ({value}); format the cell as text and type it again")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return Odd(why=f"holds a {type(value).__name__}; type plain text or a number")


def _fail(path: Path, message: str) -> ConfigError:
    return ConfigError([Problem(file=str(path), line=0, column=0, path="", message=message)])


def _at(path: Path, sheet: Worksheet, cell: Cell, message: str) -> Problem:
    file = f"{path}:{sheet.title}!{cell.coordinate}"
    return Problem(file=file, line=0, column=0, path="", message=message)
