"""``gateway map import FILE --from FORM``: a table, a TIA tag table or a Kepware list becomes a tag map, or goes into one."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError

FORMS = ("csv", "kepware", "tia", "xlsx")
LEFT_OUT = 1
"""Exit status when the map was written but rows were left out."""


def add(actions: Any) -> None:
    """Add ``map import``."""
    parser = actions.add_parser("import", help="make a map from a table, or put the tags of other programs' lists into one")
    parser.add_argument("file", type=Path)
    parser.add_argument("--from", dest="form", required=True, choices=FORMS, help="the file's form")
    parser.add_argument("--into", type=Path, metavar="MAP", help="the map to put the tags into; all else in it stays as it is")
    parser.add_argument("-o", "--output", type=Path, metavar="MAP", help="the new map; with --into, that one is left alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(func=import_map)


def import_map(args: argparse.Namespace) -> int:
    """Import; 1 when rows were left out, 2 when nothing was written because something is wrong."""
    from gateway.interchange.load import import_file

    out = args.output or args.into
    try:
        done = import_file(args.file, args.form, into=args.into, out=args.output)
    except ConfigError as error:
        if not args.json:
            raise
        print(json.dumps({"ok": False, "errors": [str(p) for p in error.problems] or [str(error)]}))
        return 2
    left_out = [str(p) for p in done.left_out]
    if args.json:
        said = {"ok": not left_out, "written": str(out), "tags": done.tags, "blocks": list(done.blocks)}
        said |= {"left_out": left_out, "notes": list(done.notes), "checksum": f"16#{done.loaded.checksum:08X}"}
        print(json.dumps(said))
        return LEFT_OUT if left_out else 0
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    print(f"{out}: {done.tags} tags, blocks {', '.join(done.blocks) or 'as before'}; {len(left_out)} rows left out")
    print(f"  InterfaceChecksum: 16#{done.loaded.checksum:08X}")
    return LEFT_OUT if left_out else 0
