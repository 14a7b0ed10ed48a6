"""``gateway demo``: two simulated lines, one on S7 and one on Modbus, run by this gateway and scored against hidden truth.

Only a launcher: the program stands in the simulators package, which the gateway does not import (decision record 8).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError


def add(subparsers: Any) -> None:
    """Add ``demo``."""
    parser = subparsers.add_parser("demo", help="run the gateway on two simulated lines", description=__doc__)
    parser.add_argument("--parts", type=int, default=2000, metavar="N", help="parts on each line, 0 = until Ctrl-C (2000)")
    parser.add_argument("--rate", type=float, default=20.0, metavar="R", help="parts per second on each line (20)")
    parser.add_argument("--scenario", default="process_drift", metavar="NAME", help="scenario name or file (process_drift)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="seed of the simulated factories (1)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="pictures from a folder a class instead of rendered ones")
    parser.add_argument(
        "--model", type=Path, metavar="PACKAGE", help="model package (with --images: one trained on such pictures)"
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="keep configuration, journals, pictures and ledgers here")
    parser.add_argument("--opcua-port", type=int, default=0, metavar="P", help="port of the OPC UA server (a free one)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line; the last one is the score")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Become the demo program; its exit status is 1 when parts escaped by a fault, were mis-tracked or not inspected.

    2 when an option, a picture or the package is wrong. ConfigError when there is nowhere to speak.
    """
    options = {
        k: str(v.absolute()) if isinstance(v, Path) else v for k, v in vars(args).items() if k not in ("func", "command")
    }
    if sys.stdout is None:
        raise ConfigError("stdout is closed, and the demo speaks there; send it to a file or to /dev/null")
    sys.stdout.flush()
    # A Ctrl-C that comes while one program takes the other's place waits until the demo can stop in order.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    os.execv(sys.executable, [sys.executable, "-m", "simulators.demo", json.dumps(options)])  # noqa: S606 - no shell
