"""How soon a line works again: the PLC accepts TCP again → its program latches the first token of a part that came after that.

    .venv/bin/python benchmarks/recovery.py [--count 200] [--restarts 50] [--json] [--write]

The whole gateway runs on a simulated S7 and a simulated Modbus line at 30 parts/s, as in the demo. Both PLCs' ports are taken
away together (a switch fails) for a time between 0.3 and 3 s drawn from the seed, ``--count`` times: every other time the port
refuses, every other time it answers nobody. Only PASS and FAIL tokens count, and only those of parts that passed the photo-eye
after the port was there again; waiting for that part is part of the time. Besides: the PLC restarts with its port open, and
comes back from a restart; then the gateway must first claim the line again. All times come from the ledger of the simulated
line; when the link was up comes from the gateway's own record.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from report import RELIABILITY, machine, write_section
from watch import given_up

from simulators.demo_files import LINES
from simulators.ledger import Event, read_ledger
from simulators.program import StandError
from simulators.records import read_journal
from simulators.score import score_line
from simulators.stand import Stand, StandOptions

PARTS_PER_S = 30.0
OUTAGE_MS = (300.0, 3000.0)
SETTLE_S = 1.5
"""From the end of one fault to the next: a recovery that takes longer counts as none."""
TARGET_MS = 500.0
KINDS = {
    "refused": "link lost, port closed",
    "dark": "link lost, port answers nobody",
    "restart": "PLC restarted, port open",
    "power": "PLC restarted while its port answered nobody",
}
LOST = ("refused", "dark")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """One fault that was survived, ms from the moment at which the PLC could be reached (or began) again."""

    protocol: str
    kind: str
    total: float | None
    """To the first latched PASS or FAIL; None when none came before the next fault."""
    linked: float = math.nan
    """To the gateway's record that the link is up."""
    waited: float = math.nan
    """From then until the part that got that token passed the photo-eye; 0 for one that passed while the link came up."""
    token: float = math.nan
    """From the photo-eye to the latch."""


def schedule(count: int, restarts: int, seed: int) -> list[tuple[str, float, int]]:
    """Return (kind, outage in ms, at part) of every fault, in order; the kinds are mixed."""
    draw = random.Random(seed)
    kinds = [LOST[i % 2] for i in range(count)] + ["restart", "power"] * restarts
    draw.shuffle(kinds)
    plan, at_s = [], 3.0
    for kind in kinds:
        outage_ms = 0.0 if kind == "restart" else draw.uniform(*OUTAGE_MS)
        at_s += draw.uniform(0, 0.1)
        plan.append((kind, outage_ms, int(at_s * PARTS_PER_S)))
        at_s += outage_ms / 1e3 + SETTLE_S
    return plan


def scenario(plan: Sequence[tuple[str, float, int]]) -> str:
    """Return the scenario file of a schedule."""
    lines = ["scenario: 1", "about: the link is lost and comes back, the PLC restarts", "faults:"]
    for kind, outage_ms, part in plan:
        if kind != "restart":
            where = "link_down" if kind == "refused" else "link_dark"
            lines.append(f"  - {{at_part: {part}, kind: {where}, for_ms: {outage_ms:.0f}}}")
        if kind in ("restart", "power"):
            lines.append(f"  - {{at_part: {part + (3 if kind == 'power' else 0)}, kind: plc_restart}}")
    return "\n".join(lines) + "\n"


def recoveries(
    protocol: str, kinds: Sequence[str], events: Sequence[Event], up_ms: Sequence[float]
) -> tuple[list[Recovery], int]:
    """Return what followed each fault of one line, and how many faults did not happen as planned."""
    eye = {e["n"]: e["t_ms"] for e in events if e["kind"] == "part"}
    tokens = [e for e in events if e["kind"] == "latched" and e["verdict"] in ("PASS", "FAIL")]
    begins: list[float] = []
    planned = list(kinds)
    for event in events:
        kind = planned[len(begins)] if len(begins) < len(planned) else ""
        if event["kind"] == "link_back" and kind in (*LOST, "power"):
            begins.append(event["t_ms"])
        elif event["kind"] == "fault" and event["fault"] == "plc_restart" and kind == "restart":
            begins.append(event["t_ms"])
    found = []
    ends = [b for _, b in pairwise(begins)] + [math.inf]
    for kind, begin, end in zip(planned, begins, ends, strict=False):
        first = next((e for e in tokens if begin <= eye[e["n"]] and e["t_ms"] < end), None)
        linked = next((t for t in up_ms if begin <= t < end), None)
        if first is None or linked is None:
            found.append(Recovery(protocol=protocol, kind=kind, total=None))
            continue
        at_eye = eye[first["n"]]
        found.append(
            Recovery(
                protocol=protocol,
                kind=kind,
                total=first["t_ms"] - begin,
                linked=linked - begin,
                waited=max(0.0, at_eye - linked),
                token=first["t_ms"] - at_eye,
            )
        )
    return found, len(planned) - len(begins)


async def measure(plan: Sequence[tuple[str, float, int]], seed: int, folder: Path) -> dict[str, Any]:
    """Run the whole schedule once; StandError when something falls."""
    file = folder / "recovery.yaml"
    file.write_text(scenario(plan), encoding="utf-8")
    run = folder / "run"
    run.mkdir()
    last = plan[-1]
    parts = last[2] + int((last[1] / 1e3 + SETTLE_S + 1) * PARTS_PER_S)
    stand = Stand(StandOptions(folder=run, scenario=str(file), parts=parts, parts_per_s=PARTS_PER_S, seed=seed))
    try:
        await stand.start()
        while not stand.done():
            await asyncio.sleep(1)
            if fallen := stand.fallen() or given_up(stand):
                raise fallen
    finally:
        await stand.stop()
    found: list[Recovery] = []
    result: dict[str, Any] = {"missed_faults": 0, "escapes_by_fault": 0, "mis_tracked": 0, "double_disposition": 0}
    utc_ahead_ms = (time.time_ns() - time.monotonic_ns()) / 1e6
    for line in LINES:
        events, records = list(read_ledger(stand.ledger(line.name))), read_journal(stand.journal(line.name))
        up_ms = [r["t_utc_ns"] / 1e6 - utc_ahead_ms for r in _comings(records)]
        of_line, missed = recoveries(line.protocol, [kind for kind, _, _ in plan], events, up_ms)
        found += of_line
        result["missed_faults"] += missed
        score = score_line(line.protocol, events, records)
        for key in ("escapes_by_fault", "mis_tracked", "double_disposition"):
            result[key] += score[key]
    result["recoveries"] = found
    return result


def _comings(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records with which the link came up."""
    states = [r for r in records if r["kind"] == "line"]
    return [b for a, b in pairwise(states) if b["link"] == "up" != a["link"]]


def summary(found: Sequence[Recovery]) -> list[dict[str, Any]]:
    """Return one row a protocol and kind, and one for every lost link of a protocol."""
    groups = [(p, (k,), text) for p in _protocols(found) for k, text in KINDS.items()]
    groups += [(p, LOST, "link lost, both ways") for p in _protocols(found)]
    rows = [_row(protocol, kinds, text, found) for protocol, kinds, text in groups]
    return [row for row in rows if row["faults"]]


def _protocols(found: Sequence[Recovery]) -> list[str]:
    return sorted({r.protocol for r in found}, reverse=True)


def _row(protocol: str, kinds: Sequence[str], text: str, found: Sequence[Recovery]) -> dict[str, Any]:
    mine = [r for r in found if r.protocol == protocol and r.kind in kinds]
    done = [r for r in mine if r.total is not None]
    row: dict[str, Any] = {"protocol": protocol, "what": text, "faults": len(mine), "none": len(mine) - len(done)}
    for name in ("total", "linked", "waited", "token"):
        values = [getattr(r, name) for r in done]
        p50, p99, most = np.percentile(values, (50, 99, 100)) if values else (math.nan,) * 3
        row[name] = {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "max": round(float(most), 1)}
    return row


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table in Markdown."""
    text = [
        "| first token after it can be reached again, ms | faults | p50 | p99 | max | of it: link up p50 / p99 "
        "| next part at the photo-eye p50 / p99 | photo-eye to latch p50 / p99 | no token |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        total = row["total"]
        shares = " | ".join(f"{row[name]['p50']:.0f} / {row[name]['p99']:.0f}" for name in ("linked", "waited", "token"))
        text.append(
            f"| {row['protocol']}: {row['what']} | {row['faults']} "
            f"| {total['p50']:.0f} | {total['p99']:.0f} | {total['max']:.0f} | {shares} | {row['none']} |"
        )
    return "\n".join(text)


def main() -> int:
    """Measure and print; 1 when a fault let a part through, did not happen, or was not survived in time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="link losses on each protocol (200)")
    parser.add_argument("--restarts", type=int, default=50, help="PLC restarts of each of two kinds (50)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of the lines (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--keep", type=Path, help="leave ledgers, journals and logs in this new folder")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    args = parser.parse_args()
    if args.count < 1 or args.restarts < 0:
        parser.error("--count must be at least 1, --restarts at least 0")
    plan = schedule(args.count, args.restarts, args.seed)
    print(f"{len(plan)} faults on each line: about {plan[-1][2] / PARTS_PER_S / 60:.0f} minutes", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="vision-gateway-recovery-") as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            result = asyncio.run(measure(plan, args.seed, folder))
        except StandError as error:
            print(error, file=sys.stderr)
            return 1
    rows = summary(result.pop("recoveries"))
    lost = [row for row in rows if row["what"] == "link lost, both ways"]
    result |= {"target_ms": TARGET_MS, "reached": all(r["total"]["p99"] <= TARGET_MS and not r["none"] for r in lost)}
    wrong = sum(result[key] for key in ("missed_faults", "escapes_by_fault", "mis_tracked", "double_disposition"))
    wrong += sum(row["none"] for row in rows)
    if args.json:
        print(json.dumps({"machine": machine(), "seed": args.seed, **result, "rows": rows}))
    else:
        print(table(rows))
        print(json.dumps(result))
    if args.write:
        command = "python benchmarks/recovery.py " + " ".join(a for a in sys.argv[1:] if a not in ("--write", "--json"))
        write_section(RELIABILITY, "recovery", table(rows), command.strip())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
