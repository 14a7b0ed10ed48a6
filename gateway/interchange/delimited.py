"""CSV files in and out, as people and their spreadsheets make them: separators, quotes, byte order mark, old code pages.

Parts of a file begin with a line ``[Name]``; a file without such a line is one part. A cell's place is the line where its row
begins, and its number in the row. It knows no tag maps.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

from gateway.core.errors import ConfigError, Problem
from gateway.interchange.cells import MAX_ROWS, Book, Plain, Row, Section, Sheet, cell_text, is_comma_number, number_text

MAX_BYTES = 16 << 20
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_MAGIC = {
    b"PK": "is an XLSX workbook (or another ZIP file), no CSV; say --from xlsx, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "is an old or password-protected workbook, no CSV; save it as CSV UTF-8",
}


def read_csv(path: Path, known: Collection[str], numbers: Collection[str] = ()) -> Book:
    """Read a CSV file; ``known`` labels (lower case) tell the separator, ``numbers`` the columns where a decimal comma may be.

    ConfigError names the line of what is wrong.
    """
    text, notes = _text(path)
    lines = text.splitlines()[:MAX_ROWS]
    hint = lines[0].strip().strip('"').lower() if lines else ""
    told = hint[4:5] if hint.startswith("sep=") and len(hint) == 5 else ""
    if lines and lines[0].lower().startswith("sep=\t"):
        told = "\t"
    if told and told not in SEPARATORS:
        raise ConfigError([_problem(path, 1, f"separator {told!r} is not known; use one of {', '.join(SEPARATORS.values())}")])
    separator = told or max(SEPARATORS, key=lambda s: _hits(lines, s, known))
    rows = _rows(path, text, separator)
    if told:
        rows = [r for r in rows if r.number != 1]
    if separator != ",":
        notes.append(f"read with {SEPARATORS[separator]} between the cells")
    sections = _sections(path, rows)
    if separator != "," and any(_comma_in(s, numbers) for s in sections):
        notes.append("read with a decimal comma (1,5 is one and a half)")
        sections = [
            Section(file=s.file, name=s.name, header=s.header, rows=s.rows, sheet=False, decimal_comma=True) for s in sections
        ]
    return Book(file=path, sections=tuple(sections), notes=tuple(notes))


def write_csv(path: Path, sheets: Sequence[Sheet], *, marks: bool = True, escape: bool = True) -> None:
    """Write the tables as UTF-8 with a byte order mark (Excel wants one), each behind ``[Name]`` when ``marks``.

    ConfigError when a text is too long for a cell; OSError when the file cannot be written.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    for i, sheet in enumerate(sheets):
        if marks:
            writer.writerows([[]] * bool(i) + [[f"[{sheet.name}]"]])
        writer.writerow(sheet.header)
        for row in sheet.rows:
            try:
                writer.writerow([_written(v, escape=escape) for v in row])
            except ValueError as error:
                raise ConfigError(f"{path}: {sheet.name}, {row[0]}: {error}") from None
    path.write_bytes(b"\xef\xbb\xbf" + out.getvalue().encode())


def read_bytes(path: Path, most: int) -> bytes:
    """Return the file's bytes; ConfigError when it is absent, unreadable or larger than ``most``."""
    try:
        if path.stat().st_size > most:
            raise ConfigError([_problem(path, 0, f"has more than {most >> 20} MiB; this is not the file you mean")])
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError([_problem(path, 0, "there is no such file")]) from None
    except OSError as error:
        raise ConfigError([_problem(path, 0, f"cannot be read: {error.strerror}")]) from None


def _written(value: Plain, *, escape: bool) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return number_text(value) if isinstance(value, float) else str(value)
        case str():
            return cell_text(value) if escape else value


def _text(path: Path) -> tuple[str, list[str]]:
    data = read_bytes(path, MAX_BYTES)
    for magic, message in _MAGIC.items():
        if data.startswith(magic):
            raise ConfigError([_problem(path, 0, message)])
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16"), ["read as UTF-16"]
        except UnicodeDecodeError:
            raise ConfigError([_problem(path, 0, "begins like UTF-16 text and is none; save it as CSV UTF-8")]) from None
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        bad, line = error.start, data.count(b"\n", 0, error.start) + 1
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([_problem(path, line, "is neither UTF-8 nor Windows-1252 text; save it as CSV UTF-8")]) from None
    return text, [
        f"read as Windows-1252, for byte {bad} (line {line}) is not UTF-8; look at its umlauts, or save it as CSV UTF-8"
    ]


def _hits(lines: Sequence[str], separator: str, known: Collection[str]) -> int:
    """Count the column labels that show when the lines are cut at ``separator``."""
    return sum(cell.strip().strip('"').strip().lower() in known for line in lines for cell in line.split(separator))


def _rows(path: Path, text: str, separator: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    begin = 1
    try:
        for cells in reader:
            if any(c.strip() for c in cells):
                rows.append(Row(number=begin, cells=tuple(cells)))
            if len(rows) > MAX_ROWS:
                raise ConfigError([_problem(path, begin, f"has more than {MAX_ROWS} rows; this is not the file you mean")])
            begin = reader.line_num + 1
    except csv.Error as error:
        said = {
            "unexpected end of data": 'a quotation mark is never closed; close it, or double it (""), if it is part of the text'
        }
        message = said.get(str(error), f'is not CSV: {error}; double (""), what is part of a quoted text')
        raise ConfigError([_problem(path, begin, message)]) from None
    return rows


def _sections(path: Path, rows: Sequence[Row]) -> list[Section]:
    parts: list[tuple[str, list[Row]]] = []
    for row in rows:
        first = row.cells[0].strip() if isinstance(row.cells[0], str) else ""
        alone = not any(isinstance(c, str) and c.strip() for c in row.cells[1:])
        if first.startswith("[") and first.endswith("]") and alone:
            parts.append((first[1:-1].strip(), []))
        else:
            if not parts:
                parts.append(("", []))
            parts[-1][1].append(row)
    nothing = Row(number=0, cells=())
    return [
        Section(file=path, name=name, header=part[0] if part else nothing, rows=tuple(part[1:]), sheet=False)
        for name, part in parts
    ]


def _comma_in(section: Section, numbers: Collection[str]) -> bool:
    labels = [c.strip().lower() if isinstance(c, str) else "" for c in section.header.cells]
    columns = [i for i, label in enumerate(labels) if label in numbers]
    return any(is_comma_number(row.cell(c)) for row in section.rows for c in columns)


def _problem(path: Path, line: int, message: str) -> Problem:
    return Problem(file=str(path), line=line, column=1 if line else 0, path="", message=message)
