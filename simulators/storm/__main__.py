"""``python -m simulators.storm``: parts through a storm of faults, and what became of them.

The exit status is 1 when a defective part passed, a part was judged by another part's picture, got two dispositions, passed
without a token, or is on record otherwise than it went; or when anything in the gateway broke. Then the line that replays
it is printed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from pathlib import Path

from simulators.storm.broken import BROKEN
from simulators.storm.episode import NEVER, PROTOCOLS, Protocol, Result
from simulators.storm.faults import KINDS
from simulators.storm.tally import Outcome, State, StateError, add_up, plan, run_tasks


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.storm", description="Parts through a storm of faults.")
    parser.add_argument("--parts", type=_at_least_1, default=20_000, help="parts in all (default 20000)")
    parser.add_argument("--seed", type=int, default=1, help="first seed; one for each thousand parts of a protocol")
    parser.add_argument("--protocol", choices=("both", *PROTOCOLS), default="both")
    parser.add_argument("--every", type=float, default=400, metavar="PARTS", help="parts between two faults on average")
    parser.add_argument("--only", default="", metavar="KINDS", help=f"faults to draw from: {','.join(KINDS)}")
    parser.add_argument("--broken", choices=sorted(BROKEN), default="", help="take one defence away, to see it found")
    parser.add_argument("--jobs", type=_at_least_1, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--state", type=Path, help="keep results in this file, and go on with those it holds")
    parser.add_argument("--json", action="store_true", help="print the tally as one JSON object")
    arguments = parser.parse_args(argv)
    arguments.kinds = tuple(k for k in arguments.only.split(",") if k)
    if unknown := [k for k in arguments.kinds if k not in KINDS]:
        parser.error(f"--only: there is no fault {unknown[0]!r}; take from {', '.join(KINDS)}")
    if not arguments.every > 0:
        parser.error("--every: give a number of parts above 0")
    return arguments


def _at_least_1(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 on")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    """Run; return the exit status."""
    arguments = _arguments(argv)
    # What the Modbus library would log of every broken connection, with packet dumps, is no news here.
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    protocols: tuple[Protocol, ...] = PROTOCOLS if arguments.protocol == "both" else (arguments.protocol,)
    tasks = plan(
        protocols,
        arguments.seed,
        arguments.parts,
        every_parts=arguments.every,
        kinds=arguments.kinds,
        broken=arguments.broken,
    )
    try:
        state = State(arguments.state) if arguments.state else None
    except StateError as error:
        print(error, file=sys.stderr)
        return 2
    begun = time.monotonic()
    results: dict[str, Result] = {}
    failures: list[Outcome] = []
    todo = []
    for task in tasks:
        known = state.done(task) if state is not None else None
        if known is None:
            todo.append(task)
            continue
        results[task.command()] = known
        if known.failed:
            failures.append(Outcome(task=task, result=known))
    for outcome in run_tasks(todo, arguments.jobs):
        if state is not None:
            state.keep(outcome)
        if outcome.result is not None:
            results[outcome.task.command()] = outcome.result
        if outcome.failed:
            failures.append(outcome)
            _show(outcome)
    tally = add_up(results[t.command()] for t in tasks if t.command() in results)
    tally |= {"seed": arguments.seed, "episodes": len(results), "bugs": sum(f.result is None for f in failures)}
    seconds = time.monotonic() - begun
    if arguments.json:
        print(json.dumps(tally))
    else:
        _print(tally, seconds, len(todo))
    return 1 if failures else 0


def _show(outcome: Outcome) -> None:
    if outcome.bug:
        print(outcome.bug, file=sys.stderr)
    elif (result := outcome.result) is not None:
        found = ", ".join(f"{name} {getattr(result, name)}" for name in NEVER if getattr(result, name))
        print(f"{result.protocol} seed {result.seed}: {found}", file=sys.stderr)
    print(f"replay: {outcome.task.command()}", file=sys.stderr, flush=True)


def _print(tally: dict[str, object], seconds: float, episodes: int) -> None:
    for name, value in tally.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        print(f"{name:21} {value}")
    print(f"{'time':21} {seconds:.0f} s for {episodes} episodes")


if __name__ == "__main__":
    sys.exit(main())
