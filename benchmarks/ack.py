"""What the classic exchange (``handshake: ack``) costs beside its floor: trigger and frame seen → result acknowledged.

    .venv/bin/python benchmarks/ack.py [--repeat 3] [--seconds 20] [--write]

The whole gateway on a simulated factory whose PLC buffers results and acknowledges each; built as ``loop.py`` is, whose floor
is measured in the same run over the same seconds. A result needs several turns with the PLC (Trigger, TriggerAck, token,
payload, ResultsValid), each of which waits for a scan: that is what its figure shows beside that of the token alone.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from loop import BY_PROTOCOL, WARM_UP_S, Result, let_pass, percentiles, start_floor, take_floor
from report import DOCS, write_section

from simulators.demo_files import shipped
from simulators.ledger import read_ledger
from simulators.program import Program
from simulators.records import latency_ms, read_journal
from simulators.stand import Stand, StandOptions

PARTS_PER_S = 10.0
SCANS_MS = (2.0, 10.0)
SCENARIO = "scenario: 1\nabout: a process in order, results buffered by the PLC\nack_buffered: true\n"


@dataclass(slots=True)
class Run:
    """What one run gave, ms; a figure a part."""

    result: list[float] = field(default_factory=list)
    """Trigger and frame seen → the PLC took the result in a scan and acknowledged it."""
    token: list[float] = field(default_factory=list)
    """Trigger and frame seen → the PLC acknowledged the write of the token."""
    floor: list[float] = field(default_factory=list)
    parts: int = 0


async def measure(protocol: str, scan_ms: float, seconds: float, seed: int) -> Run:
    """Run one case once."""
    with tempfile.TemporaryDirectory(prefix="vision-gateway-bench-") as name:
        folder = Path(name)
        demo = BY_PROTOCOL[protocol]
        line = replace(demo, map=str(folder / demo.map))
        text = shipped("plc_maps", demo.map).read_text()
        Path(line.map).write_text(text.replace("handshake: ring", "handshake: ack"))
        scenario = folder / "buffered.yaml"
        scenario.write_text(SCENARIO)
        stand = Stand(
            StandOptions(
                folder=folder,
                scenario=str(scenario),
                parts=0,
                parts_per_s=PARTS_PER_S,
                seed=seed,
                lines=[line],
                scan_ms=scan_ms,
            )
        )
        probe, target = Program("floor"), Program("PLC of the floor")
        try:
            await stand.start()
            await start_floor(line, stand, folder, probe, target)
            await let_pass(WARM_UP_S, stand)
            begin_ns = time.monotonic_ns()
            await let_pass(seconds, stand)
            end_ns = time.monotonic_ns()
            await stand.clear(10)
        finally:
            for program in (probe, target):
                await program.stop()
            await stand.stop()
        return _taken(stand, line.name, probe, begin_ns, end_ns)


def _taken(stand: Stand, line: str, probe: Program, begin_ns: int, end_ns: int) -> Run:
    """Return the figures of the parts that passed the photo-eye in the window."""
    events = list(read_ledger(stand.ledger(line)))
    in_window = {e["n"] for e in events if e["kind"] == "part" and begin_ns <= e["t_ms"] * 1e6 < end_ns}
    acknowledged = {e["part_id"]: e["t_ms"] for e in events if e["kind"] == "result"}
    records = {r["part_id"]: r for r in read_journal(stand.journal(line)) if r["kind"] == "part"}
    run = Run()
    for part_id in (e["part_id"] for e in events if e["kind"] == "assigned" and e["n"] in in_window):
        run.parts += 1
        record = records.get(part_id)
        token = latency_ms(record) if record is not None and record["disposition"] != "NOT_INSPECTED" else None
        if record is not None and token is not None and part_id in acknowledged:
            run.token.append(token)
            run.result.append(acknowledged[part_id] - max(record["t_trigger_mono_ns"], record["t_frame_mono_ns"]) / 1e6)
    floor = Result()
    take_floor(floor, probe, begin_ns, end_ns)
    run.floor = floor.floor
    return run


def table(cases: Sequence[tuple[str, list[Run]]]) -> str:
    """Return the table in Markdown; each figure is the median over the runs."""
    rows = ["| case | ms | p50 | p95 | p99 | max | results of parts |", "|---|---|---|---|---|---|---|"]
    for case, runs in cases:
        taken = f"{sum(len(r.result) for r in runs)} of {sum(r.parts for r in runs)}"
        rows.append(f"| {case} | trigger and frame seen → result acknowledged | {_row(runs, 'result')} | {taken} |")
        rows.append(f"| | trigger and frame seen → token acknowledged | {_row(runs, 'token')} | |")
        rows.append(f"| | floor: inference + write | {_row(runs, 'floor')} | |")
    return "\n".join(rows)


def _row(runs: Sequence[Run], name: str) -> str:
    columns = zip(*(percentiles(getattr(run, name)) for run in runs), strict=True)
    return " | ".join(f"{statistics.median(column):.2f}" for column in columns)


def main() -> int:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="measured time of a run, 5 s after everything runs (20)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each case; the table shows medians (3)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    args = parser.parse_args()
    if args.seconds < 1 or args.repeat < 1:
        parser.error("--seconds and --repeat must be at least 1")
    cases: list[tuple[str, list[Run]]] = []
    for protocol in BY_PROTOCOL:
        for scan_ms in SCANS_MS:
            runs = [asyncio.run(measure(protocol, scan_ms, args.seconds, seed)) for seed in range(1, args.repeat + 1)]
            cases.append((f"{protocol}, {PARTS_PER_S:g} parts/s, scan {scan_ms:g} ms", runs))
            print(f"{cases[-1][0]}: done", file=sys.stderr, flush=True)
    text = table(cases)
    print(text)
    if args.write:
        command = " ".join(["python benchmarks/ack.py", *(a for a in sys.argv[1:] if a != "--write")])
        write_section(DOCS / "benchmarks.md", "ack", text, command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
