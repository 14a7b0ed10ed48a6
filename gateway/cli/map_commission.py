"""``gateway map commission MAP``: try a live PLC's program step by step and write a report.

Nobody else may own the line meanwhile. The reject station is tried only after a person has typed the word for it; without
that, or without a terminal, it is left out. Exit status: 0 no step has failed, 1 one has, 2 the map or an option is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError, GatewayError
from gateway.doctor.commission import Commission, Step
from gateway.doctor.finding import in_thread
from gateway.plc.maps import LoadedMap, load_map

MARKS = {"passed": "ok", "failed": "FAILED", "left out": "left out"}


def add(actions: Any) -> None:
    """Add ``map commission``."""
    parser = actions.add_parser("commission", help="try a live PLC's program step by step", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--yes", action="store_true", help="begin without asking; the reject station is asked for all the same")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a report: .md or .json")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Commission."""
    loaded = load_map(args.file)
    if args.report is not None:
        _check_report(args.report)
    print(f"{loaded.plc.name} ({where(loaded)}): each step is tried through the link that control uses.")
    print("This claims the line. No other gateway may run, and parts that come meanwhile are turned away: empty the belt.")
    commission = Commission(loaded, lambda step: print(line(step), flush=True), ask)
    begun = datetime.now(UTC)
    if not args.yes and asyncio.run(ask("Enter begins, Ctrl-C ends: ")) is None:
        raise GatewayError("nobody is there to begin; --yes begins without asking")
    steps = asyncio.run(commission.run())
    print(verdict(steps, commission.passed))
    if args.report is not None:
        _write_report(args.report, loaded, args.file, begun, steps, commission.passed)
        print(f"report: {args.report}")
    return 0 if commission.passed else 1


async def ask(question: str) -> str | None:
    """Return what the person types, None at the end of the input; the link lives on meanwhile."""
    print(question, end="", flush=True)
    typed: list[str] = []
    await in_thread(lambda: typed.append(sys.stdin.readline()))
    return typed[0] or None


def line(step: Step) -> str:
    """Return a step as one line."""
    return f"{MARKS[step.result]:<9} {step.name}: {step.words}"


def verdict(steps: Sequence[Step], passed: bool) -> str:
    """Return the whole in one line."""
    count = {kind: [s.name for s in steps if s.result == kind] for kind in MARKS}
    left = f"; left out: {', '.join(count['left out'])}" if count["left out"] else ""
    if not passed:
        return f"NOT commissioned: {', '.join(count['failed'])} failed{left}"
    return f"commissioned as far as tried: {len(count['passed'])} steps passed{left}"


def where(loaded: LoadedMap) -> str:
    """Return the PLC's address in words."""
    plc = loaded.plc
    return plc.driver if plc.driver == "memory" else f"{plc.driver}, {plc.host}:{plc.port}"


def _check_report(path: Path) -> None:
    if path.suffix not in (".md", ".json"):
        raise ConfigError(f"--report {path}: name a .md or a .json file")
    if not path.parent.is_dir():
        raise ConfigError(f"--report {path}: there is no folder {path.parent}")


def _write_report(path: Path, loaded: LoadedMap, file: Path, begun: datetime, steps: Sequence[Step], passed: bool) -> None:
    head = {
        "plc": loaded.plc.name,
        "address": where(loaded),
        "map": str(file),
        "interface_checksum": f"16#{loaded.checksum:08X}",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "verdict": verdict(steps, passed),
    }
    if path.suffix == ".json":
        text = json.dumps({**head, "passed": passed, "steps": [asdict(s) for s in steps]}, indent=2) + "\n"
    else:
        text = f"# Commissioning of {loaded.plc.name}\n\n"
        text += "".join(f"- {key.replace('_', ' ')}: {value}\n" for key, value in head.items() if key != "plc")
        text += "\n| step | result | what was seen | figures |\n|---|---|---|---|\n"
        for s in steps:
            figures = ", ".join(f"{k} {v:g}" for k, v in s.figures.items())
            text += f"| {s.name} | {s.result} | {s.words.replace('|', '/')} | {figures} |\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GatewayError(f"{path}: {error.strerror}; the report could not be written") from None
