"""``gateway map probe MAP``: every tag of a live PLC with address, bytes and value; with ``--expect`` where a value stands.

Reads only, and needs neither the right byte order nor the right checksum: it is what finds them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError, DeviceUnavailable, GatewayError
from gateway.doctor.plc import meaning
from gateway.doctor.probe import Place, Probe, Reading, probe
from gateway.doctor.search import Expected, expected
from gateway.doctor.wire import reading
from gateway.plc.maps import LoadedMap, load_map

MOST_PLACES = 20
MOST_UNREAD = 8


def add(actions: Any) -> None:
    """Add ``map probe``."""
    parser = actions.add_parser("probe", help="show every tag as the PLC holds it now; writes nothing", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tag", action="append", default=[], metavar="NAME", help="only this tag; may be given again")
    parser.add_argument("--expect", metavar="VALUE", help="what a display shows: search all word orders and the neighbours")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Probe; 1 when the PLC is not there or --expect is not as mapped, 2 when the map or an option is wrong."""
    loaded = load_map(args.file)
    try:
        wanted = expected(args.expect) if args.expect is not None else None
    except ValueError as error:
        raise ConfigError(f"--expect: {error}") from None
    try:
        found, round_trip_ms = asyncio.run(_probe(loaded, args.tag, wanted))
    except KeyError as error:
        names = ", ".join(t.name for b in loaded.map.blocks for t in b.tags)
        raise ConfigError(f"--tag {error.args[0]}: there is no such tag in {args.file}; it has: {names}") from None
    except DeviceUnavailable as error:
        if error.op == "connect":
            raise  # with its own remedy
        _, remedy = meaning(loaded.plc.driver, str(error), refused=False)
        raise GatewayError(f"{error}; {remedy}") from None
    as_mapped = wanted is None or bool(found.places and not found.places[0].remedy)
    if args.json:
        print(json.dumps(_as_json(found, round_trip_ms, as_mapped=as_mapped if wanted is not None else None)))
    else:
        _print(loaded, found, round_trip_ms, wanted)
    return 0 if as_mapped else 1


async def _probe(loaded: LoadedMap, tags: Sequence[str], wanted: Expected | None) -> tuple[Probe, float]:
    async with reading(loaded) as reader:
        found = await probe(loaded, reader, tags, wanted)
        return found, statistics.median(reader.round_trips_ms) if reader.round_trips_ms else 0.0


def _as_json(found: Probe, round_trip_ms: float, *, as_mapped: bool | None) -> dict[str, Any]:
    tags = [{**asdict(r), "raw": r.raw.hex()} for r in found.readings]
    said: dict[str, Any] = {"round_trip_ms": round(round_trip_ms, 3), "sentinels": found.sentinels, "checksum": found.checksum}
    if as_mapped is not None:
        said |= {"as_mapped": as_mapped, "places": [asdict(p) for p in found.places], "unread": found.unread}
    return {**said, "tags": tags}


def _print(loaded: LoadedMap, found: Probe, round_trip_ms: float, wanted: Expected | None) -> None:
    print(f"PLC {loaded.plc.name} ({loaded.plc.driver}): connected, a request takes {round_trip_ms:.1f} ms")
    for block in loaded.map.blocks:
        rows = [r for r in found.readings if r.block == block.name]
        if rows:
            print(f"{block.name}  {block.direction}  {block.size} bytes")
        troubles = {r.trouble for r in rows}
        if len(troubles) == 1 and "" not in troubles:
            trouble = troubles.pop()
            print(f"  not readable: {trouble}")
            print(f"  remedy: {meaning(loaded.plc.driver, trouble, refused=True)[1]}")
            continue
        for r in rows:
            raw = r.raw.hex(" ") if len(r.raw) <= 8 else f"{r.raw[:7].hex(' ')} …"
            print(f"  {r.address:<14} {r.name:<24} {r.datatype:<10} {raw:<24} {shown(r)}".rstrip())
    print(f"sentinels: {found.sentinels or f'right, the byte order is {loaded.map.order}'}")
    print(f"InterfaceChecksum: {found.checksum or f'16#{loaded.checksum:08X}, as the map'}")
    if wanted is not None:
        _print_places(found, wanted)


def shown(r: Reading) -> str:
    """Return a value as a person reads it."""
    if r.value is None:
        return f"({r.trouble})"
    if r.datatype in ("Byte", "Word", "DWord", "LWord") and isinstance(r.value, int):
        return f"16#{r.value:0{2 * len(r.raw)}X}"
    text = f"{r.value:.7g}" if isinstance(r.value, float) else repr(r.value) if isinstance(r.value, str) else str(r.value)
    return f"{text} {r.unit}".rstrip()


def _print_places(found: Probe, wanted: Expected) -> None:
    places: Sequence[Place] = found.places
    if not places and found.unread:
        names = ", ".join(found.unread[:MOST_UNREAD]) + (" …" if len(found.unread) > MOST_UNREAD else "")
        print(f"{wanted.text} stands at no tag and at no neighbour that could be read, in no word order; not read: {names}")
        return
    if not places:
        print(f"{wanted.text} stands at no tag, in no word order and at no neighbour: another block, type or scale?")
        return
    if not places[0].remedy:
        places = [p for p in places if not p.remedy]
    for p in places[:MOST_PLACES]:
        how = f"with {p.remedy}: reads {p.value:.7g}" if p.remedy else f"as mapped, at {p.address}"
        print(f"{wanted.text} is {p.name} ({p.datatype}) {how}")
    if len(places) > 1:
        more = ", the likeliest first" if places[0].remedy else ""
        print(f"{len(places)} places fit{more}; --tag NAME, or a value that stands nowhere else, tells which one is meant")
