"""``gateway map check FILE``: every mistake of a tag map at once; ``gateway map schema``: its JSON Schema for editors."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from gateway.cli import map_commission, map_conformance, map_export, map_import, map_probe
from gateway.core.errors import ConfigError
from gateway.plc.maps import load_map, map_schema


def add(subparsers: Any) -> None:
    """Add ``map``."""
    parser = subparsers.add_parser("map", help="tag maps: check, import, export, probe, commission, test against a PLC")
    actions = parser.add_subparsers(dest="action", required=True)
    check = actions.add_parser("check", help="print every mistake with file:line:column, or what the map holds")
    check.add_argument("file", type=Path)
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(func=check_map)
    map_probe.add(actions)
    map_commission.add(actions)
    map_import.add(actions)
    map_export.add(actions)
    actions.add_parser("schema", help="print the JSON Schema of a tag map").set_defaults(func=print_schema)
    map_conformance.add(actions)


def check_map(args: argparse.Namespace) -> int:
    """Check; 2 when the map is wrong."""
    try:
        loaded = load_map(args.file)
    except ConfigError as error:
        if args.json:
            print(json.dumps({"ok": False, "errors": [str(p) for p in error.problems]}))
        else:
            print(error, file=sys.stderr)
        return 2
    blocks = [
        {"name": b.name, "dir": b.direction, "bytes": b.size, "tags": [t.name for t in b.tags]} for b in loaded.map.blocks
    ]
    params = [t.name for t in loaded.map.params()]
    checksum = f"16#{loaded.checksum:08X}"
    if args.json:
        print(json.dumps({"ok": True, "plc": loaded.plc.name, "blocks": blocks, "params": params, "checksum": checksum}))
        return 0
    print(f"{args.file}: ok, PLC {loaded.plc.name} ({loaded.plc.driver})")
    for b in loaded.map.blocks:
        print(f"  {b.name:<16} {b.direction}  {b.size:>4} bytes  {len(b.tags)} tags")
    print(f"  parameters: {', '.join(params) or 'none'}")
    print(f"  InterfaceChecksum: {checksum}")
    return 0


def print_schema(args: argparse.Namespace) -> int:
    """Print the schema."""
    print(json.dumps(map_schema(), indent=2))
    return 0
