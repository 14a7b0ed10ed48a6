"""The table form of a tag map: sheets PLC, Types, Blocks and Tags, one row a tag; without loss in both directions.

Both directions walk the columns that the models have, see :mod:`gateway.interchange.columns`. It knows nothing of files: CSV
and XLSX come in as cells with places and go out as rows.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from gateway.core.errors import ConfigError, Problem
from gateway.interchange.cells import Book, Plain, Row, Section, Sheet, as_text, header_columns
from gateway.interchange.columns import Column, columns_of
from gateway.interchange.source import Loc, TableSource
from gateway.plc.map_file import BlockLine, MapFile, MemberLine, PlcConfig, TagLine
from gateway.plc.maps import check_map
from gateway.yaml_source import read_yaml

SECTIONS = ("PLC", "Types", "Blocks", "Tags")
SETTING, VALUE = "Setting", "Value"
_PARTS = ("plc", "types", "blocks")
"""The fields of a map that are sections of their own; all others are settings."""

PLC_MODELS: tuple[type[BaseModel], ...] = get_args(get_args(PlcConfig)[0])
SETTINGS = columns_of(MapFile, without=_PARTS)
MEMBER = columns_of(MemberLine)
BLOCK = columns_of(BlockLine, without=("tags",))
TAG = columns_of(TagLine)
BLOCK_NAME = next(c for c in BLOCK if c.path == ("name",))
_TYPE_NAME = Column(label="Type", path=("",), kind="text")
LABELS = {c.label.lower() for c in (*MEMBER, *BLOCK, *TAG, _TYPE_NAME)} | {SETTING.lower(), VALUE.lower()}
"""Every column's label in lower case."""
NUMBERS = {c.label.lower() for c in (*MEMBER, *BLOCK, *TAG) if c.kind == "number"}
_ASIDE = {c.label for c in TAG if c.path[0] in ("unit", "range", "step", "rate_per_min", "scale", "order", "description")}
"""Columns that do not say what or where a tag is: the rest can be checked without them."""


def read_map(file: Path) -> MapFile:
    """Return the model of a map file that was checked before."""
    return MapFile.model_validate(read_yaml(file).data)


def sheets_of(parsed: MapFile) -> list[Sheet]:
    """Return the map as tables; ConfigError when two blocks have one name, which rows could not tell apart."""
    data = parsed.model_dump()
    names = [b.name for b in parsed.blocks]
    if doubles := sorted({n for n in names if names.count(n) > 1}):
        raise ConfigError(f"two blocks are named {', '.join(doubles)}: a table's rows name their block; give each its own name")
    settings = [[c.path[0], c.of(data)] for c in SETTINGS]
    settings += [[f"plc.{'.'.join(map(str, c.path))}", c.of(data["plc"])] for c in columns_of(type(parsed.plc))]
    members = [[name, *(c.of(m) for c in MEMBER)] for name, lines in data["types"].items() for m in lines]
    blocks = [[c.of(b) for c in BLOCK] for b in data["blocks"]]
    tags = [[b["name"], *(c.of(t) for c in TAG)] for b in data["blocks"] for t in b["tags"]]
    return [
        Sheet(name="PLC", header=(SETTING, VALUE), rows=[r for r in settings if r[1] is not None]),
        _sheet("Types", (_TYPE_NAME, *MEMBER), members),
        _sheet("Blocks", BLOCK, blocks),
        _sheet("Tags", (BLOCK_NAME, *TAG), tags),
    ]


def _sheet(name: str, columns: Sequence[Column], rows: Sequence[Sequence[Plain]]) -> Sheet:
    # A text that is empty by default is shown as an empty cell; only where it must be given does it need a mark of its own.
    shown = [[row[0], *(None if v == "" else v for v in row[1:])] for row in rows]
    return Sheet(name=name, header=[c.label for c in columns], rows=shown, choices=[c.choices for c in columns])


def read_tables(book: Book) -> TableSource:
    """Return the map that the tables hold, as data; ConfigError lists every cell that is no value and every column unknown."""
    return _Reader(book).read()


class _Reader:
    def __init__(self, book: Book) -> None:
        self._book = book
        self._problems: list[Problem] = []
        self._source = TableSource(path=book.file)

    def read(self) -> TableSource:
        seen: set[str] = set()
        for section in self._book.sections:
            name = section.name.strip().lower()
            if name not in (s.lower() for s in SECTIONS):
                message = f"unknown table {section.name!r}; a map has the tables {', '.join(SECTIONS)}: rename or remove it"
                self._say(section, section.header.number or 1, 0, message)
            elif name in seen:
                self._say(
                    section, section.header.number or 1, 0, f"a second table {section.name!r}; put its rows into the first"
                )
            seen.add(name)
        if missing := [s for s in SECTIONS if s.lower() not in seen and s != "Types"]:
            file, message = str(self._book.file), f"has no table {', '.join(missing)}"
            remedy = "add it (export a map to see its form), or give the map to add the tags to with --into"
            self._problems.append(Problem(file=file, line=0, column=0, path="", message=f"{message}; {remedy}"))
        if not self._problems:
            self._settings()
            self._types()
            self._blocks_and_tags()
            self._go_on()
        if self._problems:
            raise ConfigError(self._problems)
        return self._source

    def _go_on(self) -> None:
        """Check the map also when cells are wrong that nothing else depends on, so that all is said at once."""
        if not self._problems or any(p.path not in _ASIDE for p in self._problems):
            return
        said = {_row_of(p) for p in self._problems}
        try:
            check_map(self._source)
        except ConfigError as error:
            self._problems += [p for p in error.problems if _row_of(p) not in said]
            self._problems.sort(key=lambda p: (p.line, p.column))

    def _say(self, section: Section, row: int, column: int, message: str) -> None:
        self._problems.append(section.problem(row, column, message))

    def _settings(self) -> None:
        section = self._section("PLC")
        at = columns_at(section, (SETTING, VALUE), self._problems)
        rows: dict[str, tuple[Row, int]] = {}
        for row in section.rows:
            try:
                key = as_text(row.cell(at.get(SETTING, 0)))
            except ValueError as error:
                self._say(section, row.number, at.get(SETTING, 0), f"{error}; name the setting")
                continue
            if key in rows:
                self._say(section, row.number, at.get(SETTING, 0), f"{key} stands in row {rows[key][0].number} already")
            rows.setdefault(key, (row, at.get(VALUE, 1)))
        driver = rows.get("plc.driver")
        chosen = driver[0].cell(driver[1]) if driver else None
        model = next((m for m in PLC_MODELS if chosen in get_args(m.model_fields["driver"].annotation)), None)
        columns = {str(c.path[0]): c for c in SETTINGS}
        columns |= {f"plc.{'.'.join(map(str, c.path))}": c for c in (columns_of(model) if model else ())}
        data: dict[str, Any] = {"plc": {}}
        for key, (row, column) in rows.items():
            target, loc = (data["plc"], ("plc", key[4:])) if key.startswith("plc.") else (data, (key,))
            self._source.cells[loc] = (section, row.number, column)
            if row.cell(column) is None:
                continue
            if key == "plc":
                self._say(section, row.number, at.get(SETTING, 0), "plc is no setting; name one of it, such as plc.host")
                continue
            known = columns.get(key, Column(label=key, path=(loc[-1],), kind="text"))
            try:
                _put(target, known.path, known.read(row.cell(column), decimal_comma=section.decimal_comma))
            except ValueError as error:
                self._say(section, row.number, column, str(error))
        self._source.cells.setdefault(("plc",), (section, section.header.number, 0))
        self._source.cells.setdefault((), (section, section.header.number, 0))
        self._source.data |= data

    def _types(self) -> None:
        types: dict[str, list[dict[str, Any]]] = {}
        section = self._book.section("Types")
        for row, name, line in self._lines(section, _TYPE_NAME, MEMBER):
            members = types.setdefault(name, [])
            self._record(("types", name, len(members)), section, row, MEMBER)
            members.append(line)
        if types:
            self._source.data["types"] = types

    def _blocks_and_tags(self) -> None:
        blocks: list[dict[str, Any]] = []
        section = self._section("Blocks")
        index: dict[str, int] = {}
        for row, name, line in self._lines(section, BLOCK_NAME, tuple(c for c in BLOCK if c is not BLOCK_NAME)):
            if name in index:
                at = columns_at(section, [c.label for c in BLOCK], [])
                self._say(section, row.number, at[BLOCK_NAME.label], f"{name} is the name of another block; give each its own")
            index.setdefault(name, len(blocks))
            self._record(("blocks", len(blocks)), section, row, BLOCK)
            blocks.append({"name": name, **line, "tags": []})
        tags = self._section("Tags")
        for row, name, line in self._lines(tags, BLOCK_NAME, TAG):
            if name not in index:
                near = difflib.get_close_matches(name, index, 1, 0.5)
                hint = f", did you mean {near[0]}?" if near else "; add it to the table Blocks"
                at = dict((label, column) for column, label in header_columns(tags))
                self._say(tags, row.number, at[BLOCK_NAME.label], f"there is no block {name}{hint}")
                continue
            into = blocks[index[name]]["tags"]
            self._record(("blocks", index[name], "tags", len(into)), tags, row, TAG)
            into.append(line)
        self._source.data["blocks"] = blocks
        self._source.cells.setdefault(("blocks",), (section, section.header.number, 0))

    def _section(self, name: str) -> Section:
        section = self._book.section(name)
        assert section is not None  # noqa: S101  (read() looked for it)
        return section

    def _lines(
        self, section: Section | None, key: Column, columns: tuple[Column, ...]
    ) -> Iterator[tuple[Row, str, dict[str, Any]]]:
        """Yield each row with its key and its line; what is no value is said, and the row left out."""
        if section is None:
            return
        at = columns_at(section, [c.label for c in (key, *columns)], self._problems)
        if key.label not in at:
            self._say(section, section.header.number or 1, 0, f"has no column {key.label}; add it")
            return
        for row in section.rows:
            before = len(self._problems)
            try:
                name = as_text(row.cell(at[key.label]))
            except ValueError as error:
                self._say(section, row.number, at[key.label], f"{error}; give the {key.label.lower()}'s name")
            line = read_line(section, row, at, columns, self._problems)
            wrong = {p.path for p in self._problems[before:]}
            if wrong <= _ASIDE:
                gone = {c.path[0] for c in columns if c.label in wrong}
                yield row, name, {k: v for k, v in line.items() if k not in gone}

    def _record(self, loc: Loc, section: Section | None, row: Row, columns: Iterable[Column]) -> None:
        if section is not None:
            self._source.cells |= cells_of(loc, section, row, columns)


def _row_of(problem: Problem) -> tuple[str, int]:
    """Return what tells the row of a problem: in a workbook the cell without its column, else the line."""
    return re.sub(r"![A-Z]+(\d+)$", r"!\1", problem.file), problem.line


def columns_at(section: Section, labels: Iterable[str], problems: list[Problem]) -> dict[str, int]:
    """Return where each of the labels stands; a column that is not known, or twice there, is a problem."""
    known = {label.lower(): label for label in labels}
    at: dict[str, int] = {}
    for column, label in header_columns(section):
        if label.lower() not in known:
            near = difflib.get_close_matches(label.lower(), known, 1, 0.5)
            hint = (
                f"did you mean {known[near[0]]}?" if near else "remove it, or name it as one of: " + ", ".join(known.values())
            )
            problems.append(section.problem(section.header.number, column, f"unknown column {label!r}; {hint}"))
        elif known[label.lower()] in at:
            problems.append(section.problem(section.header.number, column, f"a second column {label!r}; remove one"))
        else:
            at[known[label.lower()]] = column
    width = len(section.header.cells)
    for row in section.rows:
        for column in range(max(width, len(row.cells))):
            if row.cell(column) is not None and section.header.cell(column) is None:
                problems.append(section.problem(row.number, column, "a value below no label; give the column one or remove it"))
    return at


def read_line(
    section: Section, row: Row, at: dict[str, int], columns: Iterable[Column], problems: list[Problem]
) -> dict[str, Any]:
    """Return the row as a nested line; every cell that is no value becomes a problem."""
    line: dict[str, Any] = {}
    empty: dict[Loc, list[Column]] = defaultdict(list)
    given: dict[Loc, list[Column]] = defaultdict(list)
    for column in columns:
        value = row.cell(at[column.label]) if column.label in at else None
        (empty if value is None else given)[column.path[:1]].append(column)
        if value is None:
            continue
        try:
            if column.path in ((c.path) for c in given[column.path[:1]] if c is not column):
                raise ValueError("is given as a number and as an address; keep one of them")
            _put(line, column.path, column.read(value, decimal_comma=section.decimal_comma))
        except ValueError as error:
            problems.append(section.problem(row.number, at[column.label], str(error)))
    for path, missing in empty.items():
        whole = [c for c in missing if len(c.path) > 1]
        if whole and given[path]:
            labels = ", ".join(c.label for c in (*given[path], *whole))
            where = at.get(whole[0].label, at[given[path][0].label])
            problems.append(section.problem(row.number, where, f"is empty; fill in all of {labels}, or none"))
    return line


def cells_of(loc: Loc, section: Section, row: Row, columns: Iterable[Column]) -> dict[Loc, tuple[Section, int, int]]:
    """Return the cell of each value of a line at ``loc``, also of those that are empty."""
    at = {label.lower(): column for column, label in header_columns(section)}
    cells = {loc: (section, row.number, 0)}
    for column in columns:
        if (place := at.get(column.label.lower())) is None:
            continue
        here = (section, row.number, place)
        for end in range(1, len(column.path) + 1):
            cells.setdefault((*loc, *column.path[:end]), here)
        if row.cell(place) is not None:
            cells[(*loc, *column.path)] = here
    return cells


def _put(line: dict[str, Any], path: Loc, value: Plain) -> None:
    """Set a nested value; the numbers of a pair come in order."""
    node: Any = line
    for key, after in zip(path, (*path[1:], None), strict=True):
        if after is None:
            if isinstance(node, list):
                node.append(value)
            else:
                node[key] = value
        else:
            node = node.setdefault(key, [] if isinstance(after, int) else {})
