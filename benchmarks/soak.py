"""Whether anything grows: the whole gateway for minutes at a high part rate, with the faults of a day.

    .venv/bin/python benchmarks/soak.py --minutes 10 [--rate 30] [--json] [--write]

Both lines run at 30 parts/s. What a field line meets in 24 hours is pressed into the run: 24 link losses (cut, port closed,
port answering nobody), one ``kill -9`` of each control process (within the first quarter: a new process has a warm-up of its
own), two lost cameras and two PLC restarts. One OPC UA client watches 100 items at 10 Hz all the time, another one comes and
goes. Not pressed is the number of parts: it is what the rate gives.

Every second each gateway process is looked at from outside (/proc): resident memory (RSS), its own share of it (USS), open
descriptors, threads; every ten seconds it is asked by SIGUSR1 for its asyncio tasks (in services a subscription is one) and its
Python objects. The first quarter is warm-up. Growth is the median of the last quarter against that of the second one; the slope
is Theil-Sen's over the three quarters. Descriptors, threads and tasks are flat when the last quarter's median is not above all
that the second quarter saw.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from report import RELIABILITY, machine, write_section
from watch import Watch, given_up, grown, slope_per_hour

from simulators.demo_files import LINES
from simulators.ledger import read_ledger
from simulators.program import Program, StandError
from simulators.records import read_journal
from simulators.score import score_line
from simulators.stand import Stand, StandOptions

HERE = Path(__file__).resolve().parent
ASK_EVERY_S = 10
VISIT_S = 20.0
TARGET_PCT = 1.0
LINK_LOSSES = 24
PICTURES_MB = 10
"""So little that the picture store is full within the warm-up: it is to be seen forgetting pictures."""
FLAT = ("fds", "threads", "tasks")


def faults(seconds: float, rate: float) -> list[dict[str, Any]]:
    """Return the faults of a day, spread evenly over the parts of the run."""
    parts = seconds * rate
    ways: list[dict[str, Any]] = [
        {"kind": "link_cut"},
        {"kind": "link_down", "for_ms": 1000},
        {"kind": "link_dark", "for_ms": 2000},
    ]
    plan = [{"at_part": int(parts * (0.03 + 0.94 * i / LINK_LOSSES)), **ways[i % 3]} for i in range(LINK_LOSSES)]
    for share, kind in ((0.35, "camera_cut"), (0.55, "plc_restart"), (0.7, "camera_cut"), (0.85, "plc_restart")):
        plan.append({"at_part": int(parts * share) + 7, "kind": kind})
    return plan


async def run(minutes: float, rate: float, seed: int, folder: Path) -> dict[str, Any]:
    """Run once and return the report."""
    seconds = minutes * 60
    planned = faults(seconds, rate)
    scenario = folder / "soak.yaml"
    entries = "".join(f"  - {json.dumps(fault)}\n" for fault in planned)
    scenario.write_text(f"scenario: 1\nabout: the faults of a day\nfaults:\n{entries}", encoding="utf-8")
    home = folder / "run"
    home.mkdir()
    options = StandOptions(folder=home, scenario=str(scenario), parts=0, parts_per_s=rate, seed=seed, pictures_mb=PICTURES_MB)
    stand = Stand(options)
    client = Program("OPC UA client")
    trouble = ""
    try:
        where = await stand.start()
        await _attach(client, where, folder, items=100)
        watch = Watch(stand)
        visits = asyncio.create_task(_visit(where, folder))
        try:
            await _watch(watch, stand, client, seconds)
        except StandError as error:
            trouble = str(error)
        finally:
            visits.cancel()
            await asyncio.gather(visits, return_exceptions=True)
        if not trouble:
            await stand.clear(10)
    finally:
        await client.stop()
        await stand.stop()
    samples = {name: {"pid": series.pid, **series.seen} for name, series in watch.series.items()}
    (folder / "samples.json").write_text(json.dumps(samples))
    measured = client.said.get(":measured", {})
    return {
        "minutes": minutes,
        "parts_per_s": rate,
        "trouble": trouble,
        "notifications": measured.get("notifications"),
        "data_mb": {"end": round(watch.data_mb[-1][1], 1), "per_hour": round(slope_per_hour(watch.data_mb), 1)},
        "lines": _scores(stand),
        "processes": {name: grown(series, seconds) for name, series in sorted(watch.series.items())},
    }


async def _watch(watch: Watch, stand: Stand, client: Program, seconds: float) -> None:
    """Look every second until the time is over; kill the control processes in the first quarter."""
    kills = [(seconds * share, line.name) for share, line in zip((0.08, 0.12), LINES, strict=True)]
    ticks = 0
    while (now := time.monotonic() - watch.begun) < seconds:
        watch.once()
        watch.answers()
        if ticks % ASK_EVERY_S == 0:
            watch.ask()
        if kills and now >= kills[0][0]:
            _, name = kills.pop(0)
            with contextlib.suppress(ProcessLookupError):
                os.kill(watch.series[f"control:{name}"].pid, signal.SIGKILL)
        if fallen := stand.fallen() or given_up(stand):
            raise fallen
        if client.ended:
            raise client.why_ended("ended by itself")
        ticks += 1
        await asyncio.sleep(max(0.0, watch.begun + ticks - time.monotonic()))
    watch.answers()


async def _attach(client: Program, where: dict[str, Any], folder: Path, items: int) -> None:
    options = {
        "url": where["opcua"],
        "user": where["opcua_user"],
        "password": Path(where["opcua_password_file"]).read_text().strip(),
        "folder": str(folder),
        "clients": 1,
        "items": items,
    }
    await client.start([sys.executable, str(HERE / "scada.py")], folder / "scada.log", json.dumps(options))
    await client.expect(":ready")


async def _visit(where: dict[str, Any], folder: Path) -> None:
    """Let a client come, subscribe, stay a while and go, again and again."""
    while True:
        visitor = Program("visitor")
        try:
            await _attach(visitor, where, folder, items=20)
            await asyncio.sleep(VISIT_S / 2)
        finally:
            await visitor.stop()
        await asyncio.sleep(VISIT_S / 2)


def _scores(stand: Stand) -> dict[str, Any]:
    keys = ("parts", "escapes_by_fault", "mis_tracked", "double_disposition", "contradicted", "good_lost", "faults")
    found = {}
    for line in LINES:
        score = score_line(line.protocol, read_ledger(stand.ledger(line.name)), read_journal(stand.journal(line.name)))
        found[line.name] = {key: score[key] for key in keys} | {"control_restarts": stand.restarts(line.name)}
    return found


def failures(report: dict[str, Any]) -> list[str]:
    """Return what missed its target."""
    found = [report["trouble"]] if report["trouble"] else []
    for name, process in report["processes"].items():
        if process["since_s"] > report["minutes"] * 15:
            found.append(f"{name}: fell after the first quarter")
        if "rss" not in process:
            found.append(f"{name}: was not there in both quarters")
            continue
        if process["rss"]["growth_pct"] >= TARGET_PCT:
            found.append(f"{name}: RSS grew by {process['rss']['growth_pct']:.2f} %")
        found += [f"{name}: {q} grew by {process[q]['growth']:g}" for q in FLAT if q in process and not process[q]["flat"]]
    for name, line in report["lines"].items():
        wrong = ("escapes_by_fault", "mis_tracked", "double_disposition", "contradicted")
        found += [f"{name}: {line[key]} {key}" for key in wrong if line[key]]
    return found


def table(report: dict[str, Any]) -> str:
    """Return the report in Markdown."""
    rows = [
        "| process | RSS, MiB | growth | slope, MiB/h | USS, MiB | growth | descriptors | threads | tasks | Python objects |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, process in report["processes"].items():
        if "rss" not in process:
            rows.append(f"| {name} | not there in both quarters | | | | | | | | |")
            continue
        rss, uss = process["rss"], process["uss"]
        more = " | ".join(_from_to(process.get(key)) for key in ("fds", "threads", "tasks", "objects"))
        rows.append(
            f"| {name} | {rss['after']:.1f} | {rss['growth_pct']:+.2f} % | {rss['per_hour']:+.2f} "
            f"| {uss['after']:.1f} | {uss['growth_pct']:+.2f} % | {more} |"
        )
    lines = [
        f"{name}: {line['parts']} parts, {sum(line['faults'].values())} faults, {line['control_restarts']} kill of control; "
        f"escapes by fault {line['escapes_by_fault']}, mis-tracked {line['mis_tracked']}, judged twice "
        f"{line['double_disposition']}, good parts lost {line['good_lost']}."
        for name, line in report["lines"].items()
    ]
    data = report["data_mb"]
    said = f"The data folder held {data['end']:.0f} MB at the end (journal, pictures), {data['per_hour']:+.0f} MB an hour."
    missed = failures(report)
    verdict = "Every target was reached." if not missed else "Missed: " + "; ".join(missed) + "."
    return "\n".join([*rows, "", *lines, said, "", verdict])


def _from_to(quantity: dict[str, Any] | None) -> str:
    if quantity is None:
        return ""
    before, after = quantity["before"], quantity["after"]
    return f"{after:g}" if before == after else f"{before:g} → {after:g}"


def main() -> int:
    """Run and print; 1 when something fell or a part was let through by a fault, 0 otherwise, whatever grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the run (10)")
    parser.add_argument("--rate", type=float, default=30.0, help="parts per second on each line (30)")
    parser.add_argument("--seed", type=int, default=1, help="of the lines (1)")
    parser.add_argument("--keep", type=Path, help="leave every file of the run in this new folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    args = parser.parse_args()
    if args.minutes < 1:
        parser.error("--minutes must be at least 1")
    with tempfile.TemporaryDirectory(prefix="vision-gateway-soak-") as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            report = asyncio.run(run(args.minutes, args.rate, args.seed, folder))
        except StandError as error:
            print(error, file=sys.stderr)
            return 1
    report["missed"] = failures(report)
    print(json.dumps({"machine": machine(), **report}) if args.json else table(report))
    if args.write:
        command = "python benchmarks/soak.py " + " ".join(a for a in sys.argv[1:] if a not in ("--write", "--json"))
        write_section(RELIABILITY, "soak", table(report), command.strip())
    wrong = ("escapes_by_fault", "mis_tracked", "double_disposition", "contradicted")
    return 1 if report["trouble"] or any(line[key] for line in report["lines"].values() for key in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
