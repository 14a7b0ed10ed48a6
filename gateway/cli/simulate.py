"""``gateway simulate MAP``: the line of a tag map without hardware: a PLC, a belt and a camera that a gateway may connect to.

Only a launcher: the line stands in the simulators package, which the gateway does not import (decision record 8).
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

WHAT = """Be the line of a tag map without hardware: a PLC where the map says, a belt with parts, and a camera. A gateway whose
gateway.yaml names the map, and the camera as this prints it, inspects them as it would on the real line."""


def add(subparsers: Any) -> None:
    """Add ``simulate``."""
    parser = subparsers.add_parser("simulate", help="be the PLC, belt and camera of a tag map's line", description=WHAT)
    parser.add_argument("map", metavar="MAP", help="the line's tag map; the PLC listens where it says")
    parser.add_argument("--camera-port", metavar="P", help="port of the simulated camera (9001)")
    parser.add_argument("--rate", metavar="R", help="parts per second (5)")
    parser.add_argument("--parts", metavar="N", help="parts to feed; 0 = until Ctrl-C (0)")
    parser.add_argument("--scenario", metavar="NAME", help="scenario name or file (steady)")
    parser.add_argument("--seed", metavar="S", help="seed of the line (1)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Become the simulated line; its exit status is 0 when it ended as asked, 1 when it fell, 2 for wrong input."""
    argv = [args.map]
    for option in ("camera_port", "rate", "parts", "scenario", "seed"):
        if (value := getattr(args, option)) is not None:
            argv += [f"--{option.replace('_', '-')}", value]
    argv += ["--json"] if args.json else []
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "simulators.simulate", *argv])  # noqa: S606 - no shell
