"""``gateway map export MAP.yaml --to FORM -o PATH``: the map as a table, for SCADA systems, or as the PLC's own programs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError
from gateway.plc.maps import LoadedMap, load_map

Exporter = Callable[[Path, LoadedMap, Path], list[Path]]
"""(the map's file, the checked map, where to write: a file, or a folder for forms of several files) → the files written.

ConfigError when the form cannot hold the map, OSError when nothing can be written there; what is merely left out is said on
stderr. Imports stand inside, so that the command line starts without them."""


def _csv(file: Path, loaded: LoadedMap, out: Path) -> list[Path]:
    from gateway.interchange.delimited import write_csv
    from gateway.interchange.table import read_map, sheets_of

    write_csv(out, sheets_of(read_map(file)))
    return [out]


def _xlsx(file: Path, loaded: LoadedMap, out: Path) -> list[Path]:
    from gateway.interchange.table import read_map, sheets_of
    from gateway.interchange.workbook import write_xlsx

    write_xlsx(out, sheets_of(read_map(file)))
    return [out]


def _kepware(file: Path, loaded: LoadedMap, out: Path) -> list[Path]:
    from gateway.interchange.kepware import write_kepware

    written, notes = write_kepware(loaded, out)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return written


def _ignition(file: Path, loaded: LoadedMap, out: Path, *, line: str = "", camera: str = "") -> list[Path]:
    from gateway.interchange.ignition import write_ignition

    return write_ignition(loaded, out, line=line, camera=camera)


def _tia(file: Path, loaded: LoadedMap, out: Path) -> list[Path]:
    from gateway.interchange.program.tia import write_tia

    return write_tia(file, loaded, out)


def _codesys(file: Path, loaded: LoadedMap, out: Path) -> list[Path]:
    from gateway.interchange.program.iec import write_iec

    return write_iec(file, loaded, out)


EXPORTERS: Mapping[str, Exporter] = {
    "codesys": _codesys,
    "csv": _csv,
    "ignition": _ignition,
    "kepware": _kepware,
    "tia": _tia,
    "xlsx": _xlsx,
}


def add(actions: Any) -> None:
    """Add ``map export``."""
    export = actions.add_parser("export", help="write the map as a table, for SCADA, or as the PLC's programs")
    export.add_argument("file", type=Path)
    export.add_argument("--to", dest="form", required=True, choices=sorted(EXPORTERS), help="the form to write")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="PATH", help="file; for tia and codesys a folder")
    export.add_argument("--force", action="store_true", help="replace a file, or files in a folder, that are there already")
    export.add_argument("--line", default="", help="ignition: the line as gateway.yaml names it")
    export.add_argument("--camera", default="", help="ignition: the line's camera as gateway.yaml names it")
    export.add_argument("--json", action="store_true", help="print one JSON object")
    export.set_defaults(func=export_map)


def export_map(args: argparse.Namespace) -> int:
    """Export; 2 when the map is wrong or the form cannot hold it."""
    exporter = EXPORTERS[args.form]
    if exporter is _ignition:
        exporter = partial(_ignition, line=args.line, camera=args.camera)
    try:
        written = _written(exporter, args.file, args.output, force=args.force)
    except ConfigError as error:
        if not args.json:
            raise
        print(json.dumps({"ok": False, "errors": [str(p) for p in error.problems] or [str(error)]}))
        return 2
    if args.json:
        print(json.dumps({"ok": True, "written": [str(p) for p in written]}))
        return 0
    for path in written:
        print(path)
    return 0


def _written(exporter: Exporter, file: Path, out: Path, *, force: bool) -> list[Path]:
    loaded = load_map(file)
    if out.resolve() == file.resolve():
        raise ConfigError(f"{out}: is the map itself; name another file")
    if not force and _holds_something(out):
        raise ConfigError(f"{out}: is there already, and may have been edited; name another, or replace it with --force")
    try:
        return exporter(file, loaded, out)
    except OSError as error:
        raise ConfigError(f"{error.filename or out}: cannot be written: {error.strerror}") from None


def _holds_something(out: Path) -> bool:
    """Return whether writing to ``out`` may replace what somebody wrote."""
    try:
        return any(out.iterdir()) if out.is_dir() else out.is_file() and out.stat().st_size > 0
    except OSError as error:
        raise ConfigError(f"{out}: cannot be read: {error.strerror}") from None
