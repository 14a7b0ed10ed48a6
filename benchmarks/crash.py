"""Nothing acknowledged is lost: kills of the writer, simulated power cuts and failing disks, for both databases.

    .venv/bin/python benchmarks/crash.py --kills 10000 --cuts 10000 --seed 1 [--errors] [--json]

Half of the kills and cuts go to the journal and half to the operations database; ``--errors`` also fails every write, sync,
truncation, creation and deletion of a session: once, together with all that follow, and as the last before a kill. The exit
status is 1 on any loss; each is printed with the line that replays it. A cut replays exactly; for a kill the moments are the
same, the scheduler is not. How a disk is simulated stands in ``crash_disk.py``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import apsw

from benchmarks.crash_cuts import CUTS_PER_CHAIN, SCRATCH, Tally, run_chain, sweep
from benchmarks.crash_kills import KILLS_PER_FILE, run_file

NAMES = ("journal", "ops")
SWEEP = {"journal": 60, "ops": 8}
"""Records or transactions of the sessions whose every operation fails once."""


def main() -> int:
    """Run what is asked for and print the tally."""
    parser = argparse.ArgumentParser(description="Kill, cut and fail the databases' writers; exit status 1 on any loss.")
    parser.add_argument("--kills", type=int, default=10_000, help="processes to kill (default %(default)s)")
    parser.add_argument("--cuts", type=int, default=10_000, help="power cuts to simulate (default %(default)s)")
    parser.add_argument("--errors", action="store_true", help="fail every operation of a session once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=NAMES, help="one database alone")
    parser.add_argument("--chain", type=int, help="one sequence alone: the number that a loss was printed with")
    parser.add_argument("--folder", type=Path, default=SCRATCH, help="where the files to kill are (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the tally as JSON")
    args = parser.parse_args()
    names = (args.only,) if args.only else NAMES
    tally = Tally()
    begin = time.monotonic()
    for name in names:
        # Kills first: no thread may have run in the process that forks.
        kill = partial(run_file, name, args.seed, tally=tally, within=args.folder)
        _share(args.kills // len(names), KILLS_PER_FILE, args.chain, kill)
    for name in names:
        _share(args.cuts // len(names), CUTS_PER_CHAIN, args.chain, partial(run_chain, name, args.seed, tally=tally))
    if args.errors:
        for name in names:
            for error in (apsw.IOError, apsw.FullError):
                for how, new in itertools.product(("once", "on", "last"), (True, False)):
                    sweep(name, error, how, tally, count=SWEEP[name], new=new)
    minutes = (time.monotonic() - begin) / 60
    if args.json:
        print(json.dumps({**asdict(tally), "seed": args.seed, "minutes": round(minutes, 2)}))
    else:
        print(
            f"{tally.kills} kills, {tally.cuts} power cuts, {tally.deaths} simulated deaths, {tally.errors} failed operations: "
            f"{tally.acknowledged} acknowledged records and transactions looked for, {tally.asked} requests sent once, "
            f"{len(tally.losses)} losses (seed {args.seed}, {minutes:.1f} min)"
        )
    for loss in tally.losses:
        print(loss, file=sys.stderr)
    return 1 if tally.losses else 0


def _share(total: int, each: int, chain: int | None, run: Callable[[int, int], None]) -> None:
    """Call ``run(number, count)`` for consecutive numbers until ``total`` is reached, or for ``chain`` alone."""
    if chain is not None:
        if total:
            run(chain, min(total, each))
        return
    for number, done in enumerate(range(0, total, each)):
        run(number, min(each, total - done))


if __name__ == "__main__":
    sys.exit(main())
