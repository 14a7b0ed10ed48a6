"""The loop's latency beside its floor: trigger and frame seen → token acknowledged, and photo-eye edge → token used by a scan.

    make bench                      # or: .venv/bin/python benchmarks/loop.py [--repeat 3] [--seconds 30] [--write]

Every case runs the whole gateway on simulated factories, as the demo does. The floor (``floor.py``: the same model alone plus
one raw write over the same protocol) is measured in the same run, over the same seconds, which begin a while after everything
that makes the load has started. ``--write`` puts the tables into docs/benchmarks.md. Ratios and differences within a run are
what counts: the machine is shared and noisy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from report import DOCS, write_section

from simulators.demo_files import LINES, DemoLine
from simulators.ledger import read_ledger
from simulators.package import package_folder
from simulators.program import Program
from simulators.records import latency_ms, read_journal
from simulators.stand import Stand, StandOptions

HERE = Path(__file__).resolve().parent
PERCENTILES = (50, 95, 99, 100)
BY_PROTOCOL = {line.protocol: line for line in LINES}
DEADLINE_MS = 150.0
#: PLC scan in ms, and parts per second: a gate cannot be set between parts within one scan, so 40 ms means a slower belt.
SCANS = ((2.0, 30.0), (10.0, 30.0), (40.0, 10.0))
WARM_UP_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One configuration to measure."""

    lines: Sequence[DemoLine]
    scan_ms: float = 10.0
    parts_per_s: float = 30.0
    clients: int = 0
    """OPC UA clients with 100 monitored items each at 10 Hz."""

    @property
    def name(self) -> str:
        """Return the case's name in the tables."""
        protocols = " + ".join(line.protocol for line in self.lines)
        clients = f", {self.clients} OPC UA clients" if self.clients else ""
        return f"{protocols}, {self.parts_per_s:g} parts/s, scan {self.scan_ms:g} ms{clients}"


@dataclass(slots=True)
class Result:
    """What one run of a case gave, ms."""

    loop: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    reaction: list[float] = field(default_factory=list)
    parts: int = 0
    misses: int = 0
    """Parts without a PASS or FAIL token that the PLC acknowledged within the deadline."""
    notifications_per_s: float = 0.0


def percentiles(values: Sequence[float]) -> list[float]:
    """Return p50, p95, p99 and the maximum; NaN when there are no values."""
    return [float(np.percentile(values, p)) for p in PERCENTILES] if values else [float("nan")] * 4


async def measure(case: Case, seconds: float, seed: int) -> Result:
    """Run one case once."""
    with tempfile.TemporaryDirectory(prefix="vision-gateway-bench-") as name:
        folder = Path(name)
        options = StandOptions(
            folder=folder,
            scenario="steady",
            parts=0,
            parts_per_s=case.parts_per_s,
            seed=seed,
            lines=case.lines,
            scan_ms=case.scan_ms,
        )
        stand = Stand(options)
        floors = {line.name: (Program(f"floor of {line.name}"), Program(f"PLC of {line.name}'s floor")) for line in case.lines}
        scada = Program("scada")
        try:
            where = await stand.start()
            for line in case.lines:
                await start_floor(line, stand, folder, *floors[line.name])
            if case.clients:
                await _start_scada(case, where, folder, scada)
            await let_pass(WARM_UP_S, stand)
            begin_ns = time.monotonic_ns()
            await let_pass(seconds, stand)
            end_ns = time.monotonic_ns()
            await stand.clear(10)
        finally:
            for program in (scada, *(p for pair in floors.values() for p in pair)):
                await program.stop()
            await stand.stop()
        result = Result()
        for line in case.lines:
            take_line(result, stand, line, begin_ns, end_ns)
            take_floor(result, floors[line.name][0], begin_ns, end_ns)
        if case.clients:
            measured = scada.said[":measured"]
            result.notifications_per_s = measured["notifications"] / measured["seconds"]
        return result


async def let_pass(seconds: float, stand: Stand) -> None:
    """Let time pass; StandError when something falls."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(0.5, left))
        if fallen := stand.fallen():
            raise fallen


async def start_floor(line: DemoLine, stand: Stand, folder: Path, probe: Program, target: Program) -> None:
    """Start the floor's probe on a PLC simulator of its own."""
    config = stand.factory_config(line) | {"ledger": str(folder / f"{line.name}.floor.ledger.jsonl"), "parts": 1}
    log = folder / "floor.log"
    await target.start([sys.executable, "-m", "simulators.factory"], log, json.dumps(config))
    port = (await target.expect(":ready"))["plc_port"]
    options = {"package": str(package_folder(stand.model)), "threads": 1, "protocol": line.protocol, "port": port}
    await probe.start([sys.executable, str(HERE / "floor.py")], log, json.dumps(options))
    await probe.expect(":ready")


async def _start_scada(case: Case, where: dict[str, Any], folder: Path, scada: Program) -> None:
    options = {
        "url": where["opcua"],
        "user": where["opcua_user"],
        "password": Path(where["opcua_password_file"]).read_text().strip(),
        "folder": str(folder),
        "clients": case.clients,
        "items": 100,
    }
    await scada.start([sys.executable, str(HERE / "scada.py")], folder / "scada.log", json.dumps(options))
    await scada.expect(":ready")


def take_line(result: Result, stand: Stand, line: DemoLine, begin_ns: int, end_ns: int) -> None:
    """Take the parts that passed the photo-eye in the window: those of the world, whether or not a record tells of them."""
    events = list(read_ledger(stand.ledger(line.name)))
    eye_ms = {e["n"]: e["t_ms"] for e in events if e["kind"] == "part" and begin_ns <= e["t_ms"] * 1e6 < end_ns}
    result.reaction += [e["t_ms"] - eye_ms[e["n"]] for e in events if e["kind"] == "latched" and e["n"] in eye_ms]
    records = {r["part_id"]: r for r in read_journal(stand.journal(line.name)) if r["kind"] == "part"}
    for event in (e for e in events if e["kind"] == "assigned" and e["n"] in eye_ms):
        result.parts += 1
        record = records.get(event["part_id"])
        latency = latency_ms(record) if record is not None and record["disposition"] != "NOT_INSPECTED" else None
        result.misses += latency is None or latency > DEADLINE_MS
        if latency is not None:
            result.loop.append(latency)


def take_floor(result: Result, probe: Program, begin_ns: int, end_ns: int) -> None:
    """Take the floor's samples of the window."""
    result.floor += [i + w for t, i, w in probe.said[":measured"]["samples"] if begin_ns <= t < end_ns]


def table(cases: Sequence[tuple[Case, list[Result]]]) -> str:
    """Return both tables in Markdown; each figure is the median over the runs."""
    rows = [
        "| case | | p50 | p95 | p99 | max | misses of parts |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, results in cases:
        loop, floor = _median(results, "loop"), _median(results, "floor")
        ours = [statistics.median(d) for d in zip(*(_ours(r) for r in results), strict=True)]
        share = 100 * ours[0] / loop[0]
        misses, parts = sum(r.misses for r in results), sum(r.parts for r in results)
        rows.append(f"| {case.name} | loop | {_row(loop)} | {misses} of {parts} |")
        rows.append(f"| | floor: inference + write | {_row(floor)} | |")
        rows.append(f"| | ours: loop − floor ({share:.0f} % of the loop at p50) | {_row(ours)} | |")
    rows += ["", "| photo-eye edge → token used by a PLC scan, ms | p50 | p95 | p99 | max |", "|---|---|---|---|---|"]
    rows += [f"| {case.name} | {_row(_median(results, 'reaction'))} |" for case, results in cases]
    served = [(c, r) for c, r in cases if c.clients]
    for case, results in served:
        rate = statistics.median(r.notifications_per_s for r in results)
        rows += ["", f"{case.name}: {rate:.0f} notifications a second delivered to the clients."]
    return "\n".join(rows)


def _ours(result: Result) -> list[float]:
    return [a - b for a, b in zip(percentiles(result.loop), percentiles(result.floor), strict=True)]


def _median(results: Sequence[Result], name: str) -> list[float]:
    return [statistics.median(column) for column in zip(*(percentiles(getattr(r, name)) for r in results), strict=True)]


def _row(values: Sequence[float]) -> str:
    return " | ".join(f"{v:.2f}" for v in values)


def main() -> int:
    """Measure every case and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="measured time of a run, 5 s after everything runs (30)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each case; tables show medians (3)")
    parser.add_argument("--only", choices=["s7", "modbus", "both", "scada"], help="measure these cases alone")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    args = parser.parse_args()
    if args.seconds < 1 or args.repeat < 1:
        parser.error("--seconds and --repeat must be at least 1")
    s7, modbus = BY_PROTOCOL["s7"], BY_PROTOCOL["modbus"]
    cases = {
        "s7": [Case(lines=[s7], scan_ms=scan, parts_per_s=rate) for scan, rate in SCANS],
        "modbus": [Case(lines=[modbus], scan_ms=scan, parts_per_s=rate) for scan, rate in SCANS],
        "both": [Case(lines=[s7, modbus])],
        "scada": [Case(lines=[s7], clients=10), Case(lines=[modbus], clients=10)],
    }
    done: list[tuple[Case, list[Result]]] = []
    for case in [c for group, members in cases.items() if args.only in (None, group) for c in members]:
        results = [asyncio.run(measure(case, args.seconds, seed)) for seed in range(1, args.repeat + 1)]
        done.append((case, results))
        print(f"{case.name}: done", file=sys.stderr, flush=True)
    text = table(done)
    print(text)
    if args.write:
        command = "python benchmarks/loop.py " + " ".join(a for a in sys.argv[1:] if a != "--write")
        write_section(DOCS / "benchmarks.md", "loop", text, command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
