"""Kepware's tag lists (CSV of the Siemens TCP/IP and Modbus TCP drivers), in and out.

In: rows with an address become measured values. Out: the elementary values of a map, for a Kepware channel that reads the same
PLC; read-only, since each byte has its one writer already. What the other side cannot say is left out by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gateway.core.errors import ConfigError, Problem
from gateway.core.tags import Block, Leaf, ModbusAddress, Tag, size_of
from gateway.interchange.cells import Book, Plain, Row, Section, Sheet, as_number, as_text, header_columns
from gateway.interchange.delimited import write_csv
from gateway.interchange.foreign import ForeignTag, NotTakenError, Taken
from gateway.plc.address import BIT_AREAS, ModbusPlace, S7Place, parse_modbus
from gateway.plc.maps import LoadedMap

HEADER = (
    *("Tag Name", "Address", "Data Type", "Respect Data Type", "Client Access", "Scan Rate", "Scaling", "Raw Low", "Raw High"),
    *("Scaled Low", "Scaled High", "Scaled Data Type", "Clamp Low", "Clamp High", "Eng Units", "Description", "Negate Value"),
)
KNOWN = {label.lower() for label in HEADER}
NUMBERS = {"raw low", "raw high", "scaled low", "scaled high"}
_KEYS = {
    "tag name": "name",
    "address": "at",
    "data type": "type",
    "scaling": "scaling",
    "eng units": "unit",
    "description": "description",
    "negate value": "negate",
    "clamp low": "clamp",
    **{label: label for label in NUMBERS},
}
SCAN_MS = 1000
_AREA_DIGIT = {"CO": 0, "DI": 1, "IR": 3, "HR": 4}

#: Kepware's type → ours.
TYPES: Mapping[str, str] = {
    "boolean": "Bool",
    "char": "SInt",
    "byte": "USInt",
    "short": "Int",
    "word": "UInt",
    "long": "DInt",
    "dword": "UDInt",
    "float": "Real",
    "double": "LReal",
    "llong": "LInt",
    "qword": "ULInt",
}
#: Ours → Kepware's. The types of bits and of counted time have no word of their own there.
NAMES: Mapping[str, str] = {
    **{ours: theirs.capitalize() for theirs, ours in TYPES.items()},
    "LInt": "LLong",
    "ULInt": "QWord",
    "UDInt": "DWord",
    "Byte": "Byte",
    "Word": "Word",
    "DWord": "DWord",
    "LWord": "QWord",
    "Time": "Long",
    "LTime": "LLong",
}
#: The type in a Siemens address → bytes and our type, taken when the list's data type is Default.
CODES: Mapping[str, tuple[int, str]] = {
    "X": (0, "Bool"),
    "B": (1, "Byte"),
    "BYTE": (1, "Byte"),
    "C": (1, "SInt"),
    "CHAR": (1, "SInt"),
    "W": (2, "Word"),
    "WORD": (2, "Word"),
    "I": (2, "Int"),
    "INT": (2, "Int"),
    "D": (4, "DWord"),
    "DWORD": (4, "DWord"),
    "DI": (4, "DInt"),
    "DINT": (4, "DInt"),
    "R": (4, "Real"),
    "REAL": (4, "Real"),
    "LREAL": (8, "LReal"),
}
_S7 = re.compile(r"(?:S7:\[[^]]*\])?DB(\d+)[,.](?:DB)?([A-Z]+?)(\d+)(?:\.(\d+))?", re.IGNORECASE)


def read_kepware(book: Book) -> Taken:
    """Return the tags of a list; ConfigError when the file is none."""
    section = book.sections[0] if book.sections else None
    at = {_KEYS[label.lower()]: c for c, label in header_columns(section) if label.lower() in _KEYS} if section else {}
    if section is None or not {"name", "at"} <= at.keys():
        message = "has no columns Tag Name and Address; export the device's tags from Kepware as CSV"
        raise ConfigError([Problem(file=str(book.file), line=0, column=0, path="", message=message)])
    tags: list[ForeignTag] = []
    left_out: list[Problem] = []
    clamped = 0
    for row in section.rows:
        try:
            tags.append(_tag(section, row, at))
            clamped += _text(row, at, "clamp") not in ("", "0")
        except NotTakenError as error:
            left_out.append(section.problem(row.number, at.get(error.key, 0), error.args[0]))
    notes = (f"{clamped} tags are clamped in Kepware; the gateway shows their values as they are",) if clamped else ()
    return Taken(tags=tuple(tags), left_out=tuple(left_out), notes=(*book.notes, *notes))


def _text(row: Row, at: Mapping[str, int], key: str) -> str:
    if key not in at or (value := row.cell(at[key])) is None:
        return ""
    try:
        return as_text(value)
    except ValueError as error:
        raise NotTakenError(key, str(error)) from None


def _tag(section: Section, row: Row, at: Mapping[str, int]) -> ForeignTag:
    name, address = _text(row, at, "name"), _text(row, at, "at")
    if not name or not address:
        raise NotTakenError("at" if name else "name", "a row without a name or an address; complete it")
    kind = _text(row, at, "type").lower()
    place, datatype = _s7(name, address, kind) if address.upper().startswith(("DB", "S7:")) else _modbus(name, address, kind)
    if _text(row, at, "negate") not in ("", "0"):
        raise NotTakenError("negate", f"{name}: a negated value is not known here; swap the scaled limits instead")
    return ForeignTag(
        section=section,
        row=row,
        at=at,
        name=name,
        type=datatype,
        place=place,
        more={
            "role": "process",
            "unit": _text(row, at, "unit"),
            "scale": _scale(section, row, at, name),
            "description": _text(row, at, "description"),
        },
    )


def _scale(section: Section, row: Row, at: Mapping[str, int], name: str) -> dict[str, list[float]] | None:
    scaling = _text(row, at, "scaling").lower()
    if scaling in ("", "none"):
        return None
    if scaling != "linear":
        raise NotTakenError("scaling", f"{name}: scaling {scaling!r} is not known here, only Linear; linearise it in the PLC")
    numbers = {}
    for key in ("raw low", "raw high", "scaled low", "scaled high"):
        try:
            numbers[key] = as_number(row.cell(at[key]) if key in at else None, decimal_comma=section.decimal_comma)
        except ValueError as error:
            raise NotTakenError(key if key in at else "scaling", f"{name}: {key}: {error}") from None
    return {"raw": [numbers["raw low"], numbers["raw high"]], "eng": [numbers["scaled low"], numbers["scaled high"]]}


def _s7(name: str, address: str, kind: str) -> tuple[S7Place, str]:
    match = _S7.fullmatch(address.strip())
    if match is None:
        said = "is none of DB100,REAL8 and DB100.DBD8 (no arrays, no other areas); give each value a row with such an address"
        raise NotTakenError("at", f"{name}: {address} {said}")
    db, code, byte, after = int(match[1]), match[2].upper(), int(match[3]), match[4]
    if code in ("STRING", "S"):
        length = int(after) if after else 0
        if not 1 <= length <= 254 or kind not in ("", "default", "string"):
            raise NotTakenError("at", f"{name}: {address} has no length (DB100,STRING8.20 has 20 characters), or is no string")
        return S7Place(db=db, byte=byte, bit=None, width=0), f"String[{length}]"
    if code not in CODES:
        raise NotTakenError("at", f"{name}: {code} in {address} is not taken; known are {', '.join(CODES)} and STRING")
    width, own = CODES[code]
    datatype = own if kind in ("", "default") else TYPES.get(kind)
    if datatype is None or size_of(datatype) != width or (after is not None) != (code == "X"):
        raise NotTakenError("type", f"{name}: {address} is no place for a {kind or own}; correct the address or the data type")
    if after is not None and int(after) > 7:
        raise NotTakenError("at", f"{name}: {address}: a byte has the bits 0 to 7")
    return S7Place(db=db, byte=byte, bit=int(after) if after else None, width=width), datatype


def _modbus(name: str, address: str, kind: str) -> tuple[ModbusPlace, str]:
    try:
        place = parse_modbus(address)
    except ValueError:
        said = "is neither a Modbus address such as 400101 nor one of a data block such as DB100,REAL8"
        raise NotTakenError("at", f"{name}: {address} {said}; give each value a row with such an address") from None
    bit = place.bit is not None or place.area in BIT_AREAS
    datatype = ("Bool" if bit else "UInt") if kind in ("", "default") else TYPES.get(kind)
    if datatype is None or bit != (datatype == "Bool") or (not bit and size_of(datatype) < 2):
        raise NotTakenError("type", f"{name}: {address} is no place for a {kind}; correct the address or the data type")
    return place, datatype


def write_kepware(loaded: LoadedMap, out: Path) -> tuple[list[Path], list[str]]:
    """Write the values of a map as a list; return the file, and what Kepware cannot be told."""
    rows: list[list[Plain]] = []
    notes: list[str] = []
    for block in loaded.map.blocks:
        for tag in block.tags:
            for leaf in tag.leaves():
                try:
                    rows.append(_row(block, tag, leaf, swapped=loaded.map.order in ("BADC", "DCBA")))
                except ValueError as error:
                    notes.append(f"{leaf.name}: left out, {error}")
    if isinstance(loaded.map.up.base, ModbusAddress):
        order = loaded.map.order
        low, swap = order in ("CDAB", "DCBA"), order in ("BADC", "DCBA")
        notes.append(
            f"order {order}: in the device's settings set First Word Low {'on' if low else 'off'}, "
            f"Modbus Byte Order {'off' if swap else 'on'}, zero-based addressing on"
        )
        notes += [f"{t.name}: has the order {t.order} of its own" for b in loaded.map.blocks for t in b.tags if t.order]
    # No escapes: Kepware would take them for a part of the text.
    write_csv(out, [Sheet(name="Tags", header=HEADER, rows=rows)], marks=False, escape=False)
    return [out], notes


def _row(block: Block, tag: Tag, leaf: Leaf, *, swapped: bool) -> list[Plain]:
    address, kind = _address(block, leaf, swapped=swapped)
    scale = tag.scale
    scaling: list[Plain] = ["None", None, None, None, None, None]
    if scale is not None:
        scaling = ["Linear", *scale.raw, *scale.eng, "Double"]
    name = re.sub(r"[^A-Za-z0-9]+", "_", leaf.name).strip("_")
    clamp: list[Plain] = [0, 0] if scale is not None else [None, None]
    return [name, address, kind, 1, "RO", SCAN_MS, *scaling, *clamp, tag.unit, " ".join(tag.description.split()), 0]


def _address(block: Block, leaf: Leaf, *, swapped: bool) -> tuple[str, str]:
    """Return Kepware's address and type of a value; ValueError when it has none."""
    datatype, base = leaf.datatype, block.base
    string = re.fullmatch(r"String\[(\d+)\]", datatype)
    if isinstance(base, ModbusAddress):
        digit = _AREA_DIGIT[base.area]
        if base.area in BIT_AREAS:
            return f"{digit}{base.register + 8 * leaf.offset + leaf.bit + 1:05}", "Boolean"
        first = f"{digit}{base.register + leaf.offset // 2 + 1:05}"
        if datatype == "Bool":
            high = leaf.offset % 2 == (1 if swapped else 0)
            return f"{first}.{leaf.bit + 8 * high}", "Boolean"
        if datatype not in NAMES or size_of(datatype) < 2:
            raise ValueError(f"{datatype} in registers has no word in Kepware")
        return first, NAMES[datatype]
    byte = base.byte + leaf.offset
    if datatype == "Bool":
        return f"DB{base.db},X{byte}.{leaf.bit}", "Boolean"
    if string:
        return f"DB{base.db},STRING{byte}.{string[1]}", "String"
    code = {"Boolean": "X", "Char": "CHAR", "Byte": "BYTE", "Short": "INT", "Word": "WORD", "Long": "DINT", "DWord": "DWORD"}
    kind = NAMES.get(datatype, "")
    code |= {"Float": "REAL"}
    if kind not in code:
        raise ValueError(f"{datatype} has no word in Kepware's Siemens addresses")
    return f"DB{base.db},{code[kind]}{byte}", kind
