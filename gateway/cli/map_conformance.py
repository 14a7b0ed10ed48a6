"""``gateway map conformance MAP``: a PLC for a live gateway to connect to, which tries everything that the handshake promises.

Only a launcher: the PLC stands in the simulators package, which the gateway does not import (decision record 8).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.cli.simulate import become

WHAT = """Be the PLC of a running gateway and try everything that the handshake promises. Start this where the map's host and
port are yours, then the gateway with the map. It ends with one line a check; exit status 0 when all passed."""


def add(actions: Any) -> None:
    """Add ``conformance`` to ``map``."""
    parser = actions.add_parser(
        "conformance", help="be the PLC of a running gateway and try the whole handshake", description=WHAT
    )
    parser.add_argument("map", metavar="MAP", type=Path, help="the tag map that the gateway under test runs with")
    parser.add_argument("--listen", default="", metavar="HOST:PORT", help="where to serve the PLC (where the map says)")
    parser.add_argument("--only", action="append", default=[], metavar="CHECK", help="run this check alone; may be repeated")
    parser.add_argument("--recipe", type=int, default=0, metavar="NO", help="a recipe that the gateway has: try recipe changes")
    parser.add_argument("--golden", action="store_true", help="the gateway has golden pictures: try the test run")
    parser.add_argument("--rate", type=float, default=5.0, metavar="R", help="most parts per second (5)")
    parser.add_argument("--part-s", type=float, default=2.0, metavar="S", help="longest way from photo-eye to token (2)")
    parser.add_argument("--ready-s", type=float, default=20.0, metavar="S", help="longest time to TriggerReady (20)")
    parser.add_argument("--list", action="store_true", help="print the checks and their requirements, and run none")
    parser.add_argument("--json", action="store_true", help="print one JSON object a check, and a summary")
    parser.set_defaults(func=lambda args: become("simulators.conformance", args))
