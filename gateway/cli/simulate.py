"""``gateway simulate MAP``: the line of a tag map without hardware: a PLC, a belt and a camera that a gateway may connect to.

Only a launcher: the line stands in the simulators package, which the gateway does not import (decision record 8).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

WHAT = """Be the line of a tag map without hardware: a PLC where the map says, a belt with parts, and a camera. A gateway whose
gateway.yaml names the map, and the camera as this prints it, inspects them as it would on the real line."""


def add(subparsers: Any) -> None:
    """Add ``simulate``."""
    parser = subparsers.add_parser("simulate", help="be the PLC, belt and camera of a tag map's line", description=WHAT)
    parser.add_argument("map", metavar="MAP", type=Path, help="the line's tag map; the PLC listens where it says")
    parser.add_argument("--camera-port", type=int, default=9001, metavar="P", help="port of the simulated camera (9001)")
    parser.add_argument("--rate", type=float, default=5.0, metavar="R", help="parts per second (5)")
    parser.add_argument("--parts", type=int, default=0, metavar="N", help="parts to feed; 0 = until Ctrl-C (0)")
    parser.add_argument("--scenario", default="steady", metavar="NAME", help="scenario name or file (steady)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="seed of the line (1)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(func=lambda args: become("simulators.simulate", args))


def become(module: str, args: argparse.Namespace) -> int:
    """Become this program of the simulators, with the options as its one argument; its exit status is the command's."""
    options = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items() if k not in ("func", "command", "action")}
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, json.dumps(options)])  # noqa: S606 - no shell
