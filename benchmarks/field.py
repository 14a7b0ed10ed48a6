"""What faults cost at the rate at which they come in a plant: one link loss an hour, one kill of the gateway a day.

Storms of one kind of fault, in virtual time, give the production that each fault costs: the good parts lost by the rate at
which they come. A link loss is any of those that a cable or a switch makes, the mean of them; what it costs does not depend on
how often it comes, as long as one is over before the next. What a line loses without any fault is measured as well.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence

from report import RELIABILITY, write_section

from simulators.storm.episode import PROTOCOLS, Result
from simulators.storm.tally import plan, run_tasks

LINK = ("reset", "cut_in_the_middle", "half_open", "port_closed")
KILL = ("kill",)
LINK_PER_S, KILL_PER_S = 1 / 3600, 1 / 86400
TARGET = 0.001


def storm(parts: int, seed: int, every: float, kinds: tuple[str, ...]) -> list[Result]:
    """Run a storm on both protocols; SystemExit when anything in it fails."""
    outcomes = list(run_tasks(plan(PROTOCOLS, seed, parts, every_parts=every, kinds=kinds), os.cpu_count() or 1))
    for outcome in outcomes:
        if outcome.failed:
            sys.exit(f"the storm itself failed: {outcome.task.command()}\n{outcome.bug}")
    return [o.result for o in outcomes if o.result is not None]


def lost_s(results: Sequence[Result]) -> float:
    """Return the production lost, in s: a good part stands for all that come in its time."""
    return sum(r.good_lost / (r.parts_per_s * r.good / r.parts) for r in results if r.good)


def main() -> int:
    """Measure and print; 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=20_000, help="parts for each kind of fault, both protocols (20000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    args = parser.parse_args()
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    costs: dict[str, tuple[int, float]] = {}
    for kind in (*LINK, *KILL):
        results = storm(args.parts, args.seed, 150, (kind,))
        faults = sum(r.faults.get(kind, 0) for r in results)
        costs[kind] = faults, lost_s(results) / faults
    quiet = storm(args.parts, args.seed, 1e12, ())
    idle = sum(r.good_lost for r in quiet) / sum(r.good for r in quiet)
    link = sum(costs[kind][1] for kind in LINK) / len(LINK)
    kill = costs[KILL[0]][1]
    share = idle + link * LINK_PER_S + kill * KILL_PER_S
    table = ["| fault | how many | production lost by each, s |", "|---|---|---|"]
    table += [f"| `{kind}` | {count} | {cost:.3f} |" for kind, (count, cost) in costs.items()]
    table.append("")
    table.append(
        f"No fault: {idle:.4%} of the good parts lost. At one link loss an hour (mean of the four: {link:.3f} s) and one "
        f"kill a day: **{share:.4%}** (target {TARGET:.1%})."
    )
    if args.json:
        print(json.dumps({"lost_s": {k: c for k, (_, c) in costs.items()}, "idle": idle, "share": share, "target": TARGET}))
    else:
        print("\n".join(table))
    if args.write:
        command = f"python benchmarks/field.py --parts {args.parts} --seed {args.seed}"
        write_section(RELIABILITY, "field", "\n".join(table), command)
    return 0 if share <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
