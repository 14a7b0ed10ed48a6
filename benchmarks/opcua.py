"""OPC UA: what a notification costs beside other servers, how late it comes while a line runs, and how long the start takes.

    .venv/bin/python benchmarks/opcua.py [--repeat 3] [--seconds 10] [--only servers|line|start] [--write]

``servers``: our server, the plain library with one ``write_value`` a node, and node-opcua (npm ci in benchmarks/opcua_peer),
one after the other in each repetition, with the same 100 nodes, changes, clients and security. ``line``: the whole gateway on a
simulated S7 line with 10 parts a second, and clients whose items all change with every part; the load grows until notifications
come late. Everything shares the machine; ratios come from one repetition each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loop import BY_PROTOCOL, Result, take_line
from opcua_load import (
    INTERVAL_MS,
    SERVERS,
    Load,
    Outcome,
    ask_again_and_again,
    count,
    serve,
    start_clients,
    starting,
    why_no_peer,
)
from report import DOCS, write_section

from simulators.program import Program
from simulators.stand import Stand, StandOptions

LOADS = (Load(clients=5, items=100), Load(clients=20, items=100))
LADDER = (Load(clients=20, items=100), *(Load(clients=20, items=n) for n in (200, 400, 800, 1600)))
WANTED_INTERVALS = 1.5
WANTED_RATIO = 2.0
WANTED_START_S = 4.0
PARTS_PER_S = 10.0
CHANGING = (
    *(f"Result.{t}" for t in ("Seq", "PartId", "Score", "LatencyMs", "CaptureTime", "ResultId", "CommitSeq")),
    "Counters.Total",
    "Plc.LastPartId",
    "Plc.RejectLatencyMs",
)
"""Tags that are new with every part; an item each, again and again, until there are as many as asked for."""


@dataclass(slots=True, kw_only=True)
class Step:
    """One load beside a running line."""

    load: Load
    outcome: Outcome
    begin_ns: int
    end_ns: int
    trips_ms: list[float]
    """How long answers to single reads took meanwhile."""
    result: Result = field(default_factory=Result)

    @property
    def served(self) -> bool:
        """Return whether everything came in time and no part was missed."""
        in_time = self.outcome.age_ms(0.99) <= WANTED_INTERVALS * INTERVAL_MS
        whole = self.outcome.per_s >= 0.95 * self.load.asked_per_s
        return in_time and whole and self.result.parts > 0 and not self.result.misses


async def climb(seconds: float, seed: int) -> list[Step]:
    """Run a line and load its services more and more, until notifications come late."""
    with tempfile.TemporaryDirectory(prefix="vision-gateway-bench-") as name:
        folder, line = Path(name), BY_PROTOCOL["s7"]
        options = StandOptions(
            folder=folder, scenario="steady", parts=0, parts_per_s=PARTS_PER_S, seed=seed, lines=[line], scan_ms=10.0
        )
        stand, clients = Stand(options), Program("clients")
        steps: list[Step] = []
        try:
            where = await stand.start()
            services = int(json.loads(Path(where["pids"]).read_text())["services"])
            reach = {
                "url": where["opcua"],
                "user": where["opcua_user"],
                "password": Path(where["opcua_password_file"]).read_text().strip(),
                "nodes": [f"ns=2;s={line.name}.Cam1.Tags.{tag}" for tag in CHANGING],
            }
            for load in LADDER:
                clients = await start_clients(reach, folder, load)
                trips_ms: list[float] = []
                probe = asyncio.create_task(ask_again_and_again(reach, folder, trips_ms))
                begin_ns = time.monotonic_ns()
                outcome = await count(clients, services, seconds)
                end_ns = time.monotonic_ns()
                probe.cancel()
                await asyncio.wait([probe])
                steps.append(Step(load=load, outcome=outcome, begin_ns=begin_ns, end_ns=end_ns, trips_ms=sorted(trips_ms)))
                await clients.stop()
                if fallen := stand.fallen():
                    raise fallen
                if outcome.age_ms(0.99) > WANTED_INTERVALS * INTERVAL_MS:
                    break
            await stand.clear(10)
        finally:
            await clients.stop()
            await stand.stop()
        for step in steps:
            take_line(step.result, stand, line, step.begin_ns, step.end_ns)
        return steps


def line_table(runs: Sequence[Sequence[Step]]) -> str:
    """Return the table of the ladder: medians over the runs, and what all of them served."""
    rows = [
        "| clients × items | notifications/s | age p50 / p99, ms | p99 in intervals | a read p50 / p99, ms | CPU of services"
        " | missed parts |",
        "|---|---|---|---|---|---|---|",
    ]
    highest = "none"
    for n, load in enumerate(LADDER):
        steps = [run[n] for run in runs if len(run) > n]
        if not steps:
            break
        early, late = (_median(steps, lambda s, q=q: s.outcome.age_ms(q)) for q in (0.5, 0.99))
        rate = _median(steps, lambda s: s.outcome.per_s)
        missed, parts = sum(s.result.misses for s in steps), sum(s.result.parts for s in steps)
        quick, slow = (_median(steps, lambda s, q=q: s.trips_ms[int(q * len(s.trips_ms))]) for q in (0.5, 0.99))
        cpu = _median(steps, lambda s: s.outcome.cpu_s / s.outcome.seconds)
        rows.append(
            f"| {load.name} | {rate:.0f} | {early:.0f} / {late:.0f} | {late / INTERVAL_MS:.2f} | {quick:.1f} / {slow:.1f}"
            f" | {cpu:.0%} | {missed} of {parts} |"
        )
        if len(steps) == len(runs) and all(s.served for s in steps):
            highest = load.name
    wanted = f"p99 ≤ {WANTED_INTERVALS:g} publishing intervals of {INTERVAL_MS:g} ms, no part missed"
    return "\n".join([*rows, "", f"Highest load served in every one of {len(runs)} runs ({wanted}): {highest}."])


def servers_table(runs: Sequence[dict[tuple[str, str], Outcome]]) -> str:
    """Return the table of the servers, and the ratios to ours within each repetition."""
    rows = [
        "| clients × items | server | notifications/s | CPU | per CPU second | age p50 / p99, ms | loop late p99 / max, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for load in LOADS:
        for kind, title in SERVERS.items():
            outcomes = [run[load.name, kind] for run in runs if (load.name, kind) in run]
            if not outcomes:
                continue
            ages = " / ".join(f"{_median(outcomes, lambda o, q=q: o.age_ms(q)):.0f}" for q in (0.5, 0.99))
            lags = " / ".join(f"{_median(outcomes, lambda o, q=q: o.lag_ms(q)):.1f}" for q in (0.99, 1.0))
            rows.append(
                f"| {load.name} | {title} | {_median(outcomes, lambda o: o.per_s):.0f}"
                f" | {_median(outcomes, lambda o: o.cpu_s / o.seconds):.0%} | {_median(outcomes, lambda o: o.per_cpu_s):.0f}"
                f" | {ages} | {lags} |"
            )
    rows.append("")
    for load in LOADS:
        for kind in ("plain", "peer"):
            pairs = [(r[load.name, "ours"], r[load.name, kind]) for r in runs if (load.name, kind) in r]
            if pairs:
                ratios = sorted(a.per_cpu_s / b.per_cpu_s for a, b in pairs)
                wanted = f"; wanted: ≥ {WANTED_RATIO:g}" if kind == "plain" else ""
                rows.append(
                    f"{load.name}: ours ÷ {SERVERS[kind]} per CPU second: {statistics.median(ratios):.1f}"
                    f" ({ratios[0]:.1f} – {ratios[-1]:.1f}{wanted})."
                )
                rows.append("")
    if reason := why_no_peer():
        rows.append(f"node-opcua was not measured: {reason}.")
    return "\n".join(rows).rstrip()


def start_table(took: Sequence[Sequence[float]]) -> str:
    """Return how long the start takes."""
    cold, cold_cpu, warm, warm_cpu = (statistics.median(column) for column in zip(*took, strict=True))
    return (
        f"Start of our server with one station until it listens: {warm:.1f} s (CPU {warm_cpu:.1f} s); {cold:.1f} s (CPU"
        f" {cold_cpu:.1f} s) the first time, when key and certificate are made; wanted: ≤ {WANTED_START_S:g} s."
    )


def _median(of: Sequence[Any], what: Callable[..., float]) -> float:
    return statistics.median(what(one) for one in of)


async def compare(seconds: float) -> dict[tuple[str, str], Outcome]:
    """Measure every server under every load, once."""
    outcomes = {}
    for load in LOADS:
        for kind in SERVERS:
            if kind == "peer" and why_no_peer():
                continue
            with tempfile.TemporaryDirectory(prefix="vision-gateway-bench-") as name:
                outcomes[load.name, kind] = outcome = await serve(kind, Path(name), load, seconds)
            _tell(f"{load.name} {kind}: {outcome.per_s:.0f}/s, {outcome.per_cpu_s:.0f} per CPU second")
    return outcomes


async def once_started() -> list[float]:
    """Measure the start, cold and warm."""
    with tempfile.TemporaryDirectory(prefix="vision-gateway-bench-") as name:
        return await starting(Path(name))


def _tell(what: str) -> None:
    print(f"{what} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)


def main() -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="measured time of a run (10)")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions; tables show medians (3)")
    parser.add_argument("--only", choices=["servers", "line", "start"], help="measure this alone")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    args = parser.parse_args()
    if args.seconds < 1 or args.repeat < 1:
        parser.error("--seconds and --repeat must be at least 1")
    load_before = os.getloadavg()[0]
    texts: dict[str, str] = {}
    if args.only in (None, "start"):
        texts["start"] = start_table([asyncio.run(once_started()) for _ in range(args.repeat)])
    if args.only in (None, "servers"):
        texts["servers"] = servers_table([asyncio.run(compare(args.seconds)) for _ in range(args.repeat)])
    if args.only in (None, "line"):
        runs = []
        for seed in range(1, args.repeat + 1):
            runs.append(asyncio.run(climb(args.seconds, seed)))
            _tell(f"line: {len(runs[-1])} loads")
        texts["line"] = line_table(runs)
    command = "python benchmarks/opcua.py " + " ".join(a for a in sys.argv[1:] if a != "--write")
    for section, text in texts.items():
        text += f"\n\nLoad average when it began: {load_before:.1f}."
        print(text)
        if args.write:
            write_section(DOCS / "benchmarks.md", f"opcua-{section}", text, command.strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
