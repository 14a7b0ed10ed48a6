"""TIA Portal's tag tables as it exports them (XLSX, sheet ``PLC Tags``): rows with a place in a data block become tags.

Inputs, outputs, markers, timers and counters are no places that a gateway's blocks can lie in; such rows are left out by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.core.errors import ConfigError, Problem
from gateway.core.tags import ELEMENTARY
from gateway.interchange.cells import Book, Row, Section, as_text, header_columns
from gateway.interchange.foreign import ForeignTag, NotTakenError, Taken, fitting
from gateway.plc.address import S7Place, parse_s7
from gateway.plc.layout import parse_type

#: Column labels by language of the TIA Portal, in lower case.
LABELS: Mapping[str, tuple[str, ...]] = {
    "name": ("name",),
    "type": ("data type", "datentyp"),
    "at": ("logical address", "logische adresse", "address", "adresse"),
    "description": ("comment", "kommentar"),
    "path": ("path", "pfad"),
}
AREAS = {
    "I": "an input",
    "E": "an input",
    "Q": "an output",
    "A": "an output",
    "M": "a marker",
    "T": "a timer",
    "C": "a counter",
    "Z": "a counter",
}
_OTHER_AREA = re.compile(r"([IEQAMTCZ])[XBWD]?\d+(\.\d+)?(:P)?", re.IGNORECASE)
_TYPES = {t.lower(): t for t in ELEMENTARY} | {"time_of_day": "TOD", "date_and_time": "DT", "string": "String[254]"}
_PARTS = re.compile(r"(array\s*\[[^]]*\]\s*of\s+)?(.+)", re.IGNORECASE | re.DOTALL)
_REMEDY = "copy it into a data block that is not optimised, and import that address"


def read_tia(book: Book) -> Taken:
    """Return the tags of a tag table; ConfigError when the workbook is no tag table."""
    found = [(s, at) for s in book.sections if {"name", "type", "at"} <= (at := _columns(s)).keys()]
    if not found:
        known = "a sheet with the columns Name, Data Type and Logical Address (TIA Portal calls it PLC Tags)"
        raise ConfigError([Problem(file=str(book.file), line=0, column=0, path="", message=f"has no {known}")])
    tags: list[ForeignTag] = []
    left_out: list[Problem] = []
    for section, at in found:
        for row in section.rows:
            try:
                tags.append(_tag(section, row, at))
            except NotTakenError as error:
                left_out.append(section.problem(row.number, at[error.key], error.args[0]))
    others = [s.name for s in book.sections if s not in [f for f, _ in found]]
    notes = (f"the sheets {', '.join(others)} hold no tags and were not read",) if others else ()
    return Taken(tags=tuple(tags), left_out=tuple(left_out), notes=(*book.notes, *notes))


def _columns(section: Section) -> dict[str, int]:
    at: dict[str, int] = {}
    for column, label in header_columns(section):
        # Comments are exported once a language: "Comment [en-US]".
        plain = re.sub(r"\s*\[.*\]$", "", label).lower()
        for key, labels in LABELS.items():
            if plain in labels:
                at.setdefault(key, column)
    return at


def _tag(section: Section, row: Row, at: Mapping[str, int]) -> ForeignTag:
    cells = {}
    for key, column in at.items():
        try:
            cells[key] = "" if row.cell(column) is None else as_text(row.cell(column), address=key == "at")
        except ValueError as error:
            raise NotTakenError(key, str(error)) from None
    if not cells["name"]:
        raise NotTakenError("name", "a row without a name; give it one")
    datatype = _datatype(cells["name"], cells["type"])
    try:
        place = fitting(_place(cells["name"], cells["at"]), datatype)
    except ValueError as error:
        raise NotTakenError("at", f"{cells['name']}: {cells['at']} {error}") from None
    return ForeignTag(
        section=section,
        row=row,
        at=at,
        name=cells["name"],
        type=datatype,
        place=place,
        more={"role": "process", "description": cells.get("description", "").strip()},
    )


def _datatype(name: str, text: str) -> str:
    match = _PARTS.fullmatch(text.strip().strip('"'))
    array, base = (match[1] or "", match[2].strip()) if match else ("", "")
    base = re.sub(r"^(w?string)\s*\[\s*(\d+)\s*\]$", lambda m: f"{_STRINGS[m[1].lower()]}[{m[2]}]", base, flags=re.IGNORECASE)
    base = _TYPES.get(base.lower(), base)
    bounds = re.sub(r"^array\s*", "Array", re.sub(r"\s+", " ", array), flags=re.IGNORECASE)
    try:
        parse_type(bounds + base, {})
    except ValueError as error:
        raise NotTakenError("type", f"{name}: {error}; or give each of its members a row") from None
    return bounds + base


_STRINGS = {"string": "String", "wstring": "WString"}


def _place(name: str, text: str) -> S7Place:
    plain = text.strip().removeprefix("%")
    if not plain:
        raise NotTakenError("at", f"{name}: has no address; a symbol of an optimised block cannot be read: {_REMEDY}")
    if other := _OTHER_AREA.fullmatch(plain):
        raise NotTakenError("at", f"{name}: {text} is {AREAS[other[1].upper()]}; only data blocks are read: {_REMEDY}")
    try:
        place = parse_s7(plain)
    except ValueError as error:
        raise NotTakenError("at", f"{name}: {error}") from None
    if place.db is None:
        raise NotTakenError("at", f"{name}: {text} does not say which data block; write %DB100.{plain}")
    return place
