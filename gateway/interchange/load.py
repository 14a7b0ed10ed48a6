"""From a file of any form to a map: whole maps from our own tables, measured values from all other lists.

The command line's one door to reading. It decides what a file is; each form is read in a module of its own.
"""

from __future__ import annotations

from pathlib import Path

from gateway.core.errors import ConfigError, Problem
from gateway.interchange import kepware, tia
from gateway.interchange.cells import Book, Row, Section, as_text
from gateway.interchange.delimited import read_csv
from gateway.interchange.foreign import ForeignTag, Imported, Taken, fitting, merge
from gateway.interchange.table import BLOCK_NAME, LABELS, NUMBERS, SECTIONS, TAG, columns_at, read_line, read_tables
from gateway.interchange.workbook import read_xlsx
from gateway.interchange.yaml_file import map_text, write_map
from gateway.plc.address import parse_modbus, parse_s7
from gateway.plc.layout import parse_type
from gateway.plc.map_file import MapFile
from gateway.plc.maps import check_map, load_map


def import_file(file: Path, form: str, *, into: Path | None, out: Path | None) -> Imported:
    """Read ``file`` and write the map to ``out``, or with its tags put into ``into``; ConfigError lists all that is wrong."""
    match form:
        case "tia":
            taken = tia.read_tia(read_xlsx(file))
        case "kepware":
            taken = kepware.read_kepware(read_csv(file, kepware.KNOWN, kepware.NUMBERS))
        case _:
            book = read_xlsx(file) if form == "xlsx" else read_csv(file, LABELS, NUMBERS)
            if into is None:
                return _whole(book, _target(None, out))
            taken = _rows(book, load_map(into).plc.driver)
    if into is None:
        raise ConfigError(f"{file}: holds tags and no whole map; name the map that they are for with --into")
    return merge(taken, into, _target(into, out))


def _target(into: Path | None, out: Path | None) -> Path:
    if out is None:
        if into is None:
            raise ConfigError("where to? name the new map with -o, or an existing one that the tags are for with --into")
        return into
    if out.exists():
        raise ConfigError(f"{out}: is there already; name another file, or put the tags into it with --into")
    return out


def _whole(book: Book, out: Path) -> Imported:
    source = read_tables(book)
    loaded = check_map(source)
    parsed = MapFile.model_validate(source.data)
    write_map(out, map_text(parsed), lambda data: MapFile.model_validate(data) == parsed)
    blocks = tuple(b.name for b in parsed.blocks)
    return Imported(loaded=loaded, tags=sum(len(b.tags) for b in parsed.blocks), blocks=blocks, notes=book.notes)


def _rows(book: Book, driver: str) -> Taken:
    """Return the tags of a table alone, in our columns: each names its block, or has an address that tells where it lies."""
    whole = [s for s in book.sections if s.name.strip().lower() in [name.lower() for name in SECTIONS if name != "Tags"]]
    if whole or len(book.sections) != 1:
        why = "holds a whole map; write it as a new one with -o, without --into"
        message = why if whole else "must hold one table of tags to be put into a map"
        raise ConfigError([Problem(file=str(book.file), line=0, column=0, path="", message=message)])
    section = book.sections[0]
    problems: list[Problem] = []
    at = columns_at(section, [c.label for c in (BLOCK_NAME, *TAG)], problems)
    tags = [tag for row in section.rows if (tag := _row(section, row, at, driver, problems))]
    if problems:
        raise ConfigError(problems)
    return Taken(tags=tuple(tags), left_out=(), notes=book.notes)


def _row(section: Section, row: Row, at: dict[str, int], driver: str, problems: list[Problem]) -> ForeignTag | None:
    before = len(problems)
    line = read_line(section, row, at, TAG, problems)
    columns = {str(c.path[0]): at[c.label] for c in reversed(TAG) if c.label in at and row.cell(at[c.label]) is not None}
    for key, label in (("name", "Name"), ("type", "Data type"), ("at", "Address")):
        columns.setdefault(key, at.get(label, 0))

    def say(key: str, message: str) -> None:
        problems.append(section.problem(row.number, columns.get(key, 0), message))

    block = ""
    if BLOCK_NAME.label in at and row.cell(at[BLOCK_NAME.label]) is not None:
        try:
            block = as_text(row.cell(at[BLOCK_NAME.label]))
            columns["block"] = at[BLOCK_NAME.label]
        except ValueError as error:
            problems.append(section.problem(row.number, at[BLOCK_NAME.label], str(error)))
    for key in ("name", "type"):
        if not line.get(key):
            say(key, f"a tag needs a {'name' if key == 'name' else 'data type'}")
    place = None
    if not block and len(problems) == before:
        if not isinstance(line.get("at"), str):
            say("at", "name the block (column Block), or give an address such as DB300.DBD8 or 400101 (column Address)")
            return None
        try:
            place = parse_modbus(line["at"]) if driver == "modbus" else parse_s7(line["at"])
            if driver != "modbus" and place.db is None:  # type: ignore[union-attr]
                say("at", f"{line['at']} does not say which data block; write DB300.{line['at']}")
            parse_type(line["type"], {})
        except ValueError as error:
            say("type" if place is not None else "at", str(error))
        else:
            try:
                place = fitting(place, line["type"])
            except ValueError as error:
                say("at", f"{line['name']}: {line['at']} {error}")
    if len(problems) > before:
        return None
    more = {k: v for k, v in line.items() if k not in ("name", "type") and (k != "at" or block)}
    return ForeignTag(
        section=section, row=row, at=columns, name=line["name"], type=line["type"], place=place, block=block, more=more
    )
