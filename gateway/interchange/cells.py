"""Cells with places: what CSV and XLSX have in common, and how a text stands in a cell so that no spreadsheet changes it.

It stands below both file forms and knows neither, nor what a tag map is. A text that a spreadsheet would take for a number, a
date or a formula, or that a cell cannot hold, is written as a JSON string (``"=A1"``, ``"MAR1"``, ``""``) and read back as one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.core.errors import Problem

MAX_TEXT = 32_767
"""Characters that a spreadsheet's cell holds."""
MAX_ROWS = 100_000
_MONTHS = "jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez"
_RISKY = re.compile(
    r"""[=+\-@"'\[#].*                          # a formula, our own marks
    | (?!\d+(\.\d+){3}$)(?=\D*\d)[\d.,:/\-\s+eE%$€£]+  # a number, a date, a time, money; not 10.0.0.1
    | (\d{1,2}[-/.\ ]?)?(MONTHS)[a-zä]*\.?[-/.\ ]?\d{0,4}
    | \d{1,2}(:\d\d)*\s*[ap]m?
    | true|false|wahr|falsch
    | .*_x[0-9a-f]{4}_.*                         # XLSX's own escape
    """.replace("MONTHS", _MONTHS),
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_UNHOLDABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """A cell that holds no plain value; ``why`` says what and the remedy."""

    why: str


Value = str | int | float | bool | Odd | None
Plain = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row; ``number`` is its line (CSV) or row (XLSX), from 1."""

    number: int
    cells: tuple[Value, ...]

    def cell(self, column: int) -> Value:
        """Return the value in ``column`` (from 0), None where there is none."""
        value = self.cells[column] if column < len(self.cells) else None
        return None if isinstance(value, str) and not value.strip() else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table: an XLSX sheet, or a part of a CSV file; ``header`` has number 0 when there is none."""

    file: Path
    name: str
    header: Row
    rows: tuple[Row, ...]
    sheet: bool
    """Whether places read ``Sheet!C7`` rather than line:column."""
    decimal_comma: bool = False
    """Whether its numbers are written 1,5."""

    def problem(self, row: int, column: int, message: str) -> Problem:
        """Return the problem at ``row`` (from 1) and ``column`` (from 0; counted in cells)."""
        label = self.header.cell(column)
        path = label.strip() if isinstance(label, str) and row != self.header.number else ""
        file = f"{self.file}:{self.name}!{letters(column)}{row}" if self.sheet else str(self.file)
        line, place = (0, 0) if self.sheet else (row, column + 1)
        return Problem(file=file, line=line, column=place, path=path, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A file's tables, and what is to be said about how it was read."""

    file: Path
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    def section(self, name: str) -> Section | None:
        """Return the table of that name, in any case of its letters."""
        return next((s for s in self.sections if s.name.strip().lower() == name.lower()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table to be written."""

    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[Plain]]
    choices: Sequence[Sequence[str]] = ()
    """The texts a column is chosen from, column by column; empty where any will do."""


def letters(column: int) -> str:
    """Return a spreadsheet's name of the column (from 0): A, Z, AA."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def cell_text(text: str) -> str:
    """Return ``text`` as it stands in a cell; ValueError when it is too long for one."""
    risky = text != text.strip() or not text or _RISKY.fullmatch(text) or _UNHOLDABLE.search(text)
    held = json.dumps(text, ensure_ascii=bool(_UNHOLDABLE.search(text))) if risky else text
    if len(held) > MAX_TEXT:
        raise ValueError(f"a text of {len(text)} characters is too long for a spreadsheet's cell ({MAX_TEXT})")
    return held


def text_of(held: str) -> str:
    """Return the text that a cell means: the inverse of :func:`cell_text`, and the stripped text otherwise."""
    held = held.strip()
    if held.startswith('"'):
        try:
            text = json.loads(held, strict=False)
        except ValueError:
            return held  # a person's text that begins with a quotation mark
        if isinstance(text, str):
            return text
    return held


_WHOLE = re.compile(r"[+-]?\d{1,18}")
_POINT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?")
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d{1,4})?")


def is_comma_number(value: Value) -> bool:
    """Tell whether the cell is a text such as 1,5."""
    return isinstance(value, str) and _COMMA.fullmatch(value.strip()) is not None


def as_text(value: Value, *, address: bool = False) -> str:
    """Return a cell's text; ValueError says why there is none.

    A number in an ``address`` must be whole: 400101.1 and 400101.10 are the same number and not the same bit.
    """
    match value:
        case str():
            return text_of(value)
        case bool():
            return str(value).upper()
        case int():
            return str(value)
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case float() if address:
            raise ValueError(f"the number {value!r} does not tell bit .1 from .10; format the cell as text and type it again")
        case float():
            return repr(value)
        case Odd():
            raise ValueError(value.why)
    raise ValueError("is empty")


def as_whole(value: Value) -> int:
    """Return a cell's whole number; ValueError says why there is none."""
    if isinstance(value, str) and _WHOLE.fullmatch(text_of(value)):
        return int(text_of(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(value.why if isinstance(value, Odd) else f"{_said(value)} is no whole number")


def as_number(value: Value, *, decimal_comma: bool) -> float:
    """Return a cell's number; ValueError says why there is none. With ``decimal_comma`` a text must be written so."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        text = text_of(value)
        if decimal_comma and _COMMA.fullmatch(text):
            return float(text.replace(",", "."))
        if decimal_comma and not _WHOLE.fullmatch(text) and _POINT.fullmatch(text):
            raise ValueError(f"{text!r} has a point where others in this file have a decimal comma; write one or the other")
        if _POINT.fullmatch(text):
            return float(text)
        if _COMMA.fullmatch(text):
            raise ValueError(f"{text!r} is no number here; write {text.replace(',', '.')}, with a point")
    raise ValueError(value.why if isinstance(value, Odd) else f"{_said(value)} is no number")


def as_flag(value: Value) -> bool:
    """Return a cell's truth; ValueError says why there is none."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and text_of(value).lower() in ("true", "false"):
        return text_of(value).lower() == "true"
    raise ValueError(value.why if isinstance(value, Odd) else f"{_said(value)} is neither true nor false")


def number_text(value: float) -> str:
    """Return the shortest text of a number that reads back as the same one: 80, 0.1, 1e+300."""
    text = repr(float(value))
    return text.removesuffix(".0")


def header_columns(section: Section) -> Iterator[tuple[int, str]]:
    """Yield (column, label) of each column that has a label."""
    for column in range(len(section.header.cells)):
        label = section.header.cell(column)
        if isinstance(label, str):
            yield column, label.strip()


def _said(value: Value) -> str:
    return repr(value if not isinstance(value, str) or len(value) < 60 else value[:60] + "…")
