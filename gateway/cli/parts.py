"""``gateway parts``: the newest parts of the journals with verdict, outcome and reason: why was this good part rejected?

Reads only, and may run beside the gateway. It must not know what a reason means.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError
from gateway.core.events import PartJudged, PartOutcome, from_json
from gateway.record.journal import JournalReader
from gateway.record.search import PartQuery, find_parts

WHICH = {
    "pass": ("PASS",),
    "fail": ("FAIL",),
    "not_inspected": ("NOT_INSPECTED",),
    "reject": ("FAIL", "NOT_INSPECTED"),
}
PATIENCE_S = 30.0
CHUNK = 10_000
Row = dict[str, Any]


def add(subparsers: Any) -> None:
    """Add ``parts``."""
    parser = subparsers.add_parser("parts", help="show the last parts: verdict, outcome and reason", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data: of gateway.yaml (data)")
    parser.add_argument("--line", metavar="NAME", help="this line alone")
    parser.add_argument("--last", type=_count, default=20, metavar="N", help="how many, newest last (20)")
    parser.add_argument("--disposition", choices=list(WHICH), help="these alone; reject: all that did not pass")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(func=run)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100_000):
        raise argparse.ArgumentTypeError(f"{text!r}: give a number from 1 to 100000")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Print the parts; 2 when there is no journal."""
    found: list[PartJudged] = []
    outcomes: dict[tuple[str, int, int], str] = {}
    complete = True
    for path in journals(args.data, args.line):
        dispositions = WHICH[args.disposition] if args.disposition else None
        here = find_parts(path, PartQuery(dispositions=dispositions), limit=args.last, limit_s=PATIENCE_S)
        # Not to be complete is as it should be when there are more than were asked for.
        complete &= here.complete or len(here.parts) == args.last
        found += here.parts
        outcomes |= outcomes_of(path, here.parts)
    newest = sorted(found, key=lambda part: part.t_utc_ns)[-args.last :]
    rows = [as_row(part, outcomes) for part in newest]
    if args.json:
        print(json.dumps({"ok": True, "complete": complete, "parts": rows}))
        return 0
    for text in table(rows):
        print(text)
    if not complete:
        print(f"the journal is long: what could not be looked at within {PATIENCE_S:g} s is left out")
    return 0


def journals(data: Path, line: str | None) -> list[Path]:
    """Return the journals of a data folder, or that of one line; ConfigError names the lines that there are."""
    if not data.is_dir():
        raise ConfigError(f"--data {data}: there is no such folder; name the one that gateway.yaml has as data:")
    found = {path.parent.name: path for path in sorted(data.glob("*/journal.db"))}
    if not found:
        raise ConfigError(f"--data {data}: no line has a journal here; name the folder that gateway.yaml has as data:")
    if line is None:
        return list(found.values())
    if line not in found:
        raise ConfigError(f"--line {line}: has no journal in {data}; there are: {', '.join(found)}")
    return [found[line]]


def outcomes_of(path: Path, parts: Iterable[PartJudged]) -> dict[tuple[str, int, int], str]:
    """Return what the reject station did with these parts, by line, epoch and PartId; each stands behind its part."""
    wanted = {(p.line, p.epoch, p.part_id): p.seq for p in parts}
    outcomes: dict[tuple[str, int, int], str] = {}
    seq = min(wanted.values(), default=0)
    reader = JournalReader(path)
    try:
        while len(outcomes) < len(wanted) and (rows := reader.rows(seq, CHUNK)):
            seq = rows[-1][0]
            for _, body in rows:
                if '"kind":"outcome"' not in body:
                    continue
                record = from_json(body)
                if isinstance(record, PartOutcome) and (key := (record.line, record.epoch, record.part_id)) in wanted:
                    outcomes[key] = record.outcome
    finally:
        reader.close()
    return outcomes


def as_row(part: PartJudged, outcomes: Mapping[tuple[str, int, int], str]) -> Row:
    """Return what is shown of a part; ``outcome`` is None while the reject station has not told any."""
    return {
        "line": part.line,
        "part_id": part.part_id,
        "time": datetime.fromtimestamp(part.t_utc_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        "verdict": part.disposition,
        "outcome": outcomes.get((part.line, part.epoch, part.part_id)),
        "reasons": list(part.reasons),
        "token": part.token,
        "recipe": part.recipe,
        "mode": part.mode,
        "serial": part.serial,
        "seq": part.seq,
    }


def table(rows: Iterable[Row]) -> list[str]:
    """Return the rows for a person, with a head; one line that says so when there are none."""
    cells = [
        (r["time"], r["line"], str(r["part_id"]), r["verdict"], r["outcome"] or "-", "; ".join(r["reasons"]) or "-")
        for r in rows
    ]
    if not cells:
        return ["no such part is recorded"]
    cells.insert(0, ("time", "line", "part", "verdict", "outcome", "reason"))
    widths = [max(len(c[i]) for c in cells) for i in range(5)]
    return ["  ".join([*(f"{c[i]:<{widths[i]}}" for i in range(5)), c[5]]) for c in cells]
