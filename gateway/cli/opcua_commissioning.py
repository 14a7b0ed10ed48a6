"""``gateway opcua commissioning --minutes 30``: let anybody read without security for a while; ``--off`` ends it.

For bringing a line up before certificates are exchanged. Nobody can write that way, it ends by itself, and a restart ends it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from gateway.cli.opcua_files import add_config, services_of
from gateway.core.errors import ConfigError, GatewayError
from gateway.opcua.commissioning import MAX_MINUTES, ask, running_until, switch_off, taken_back, waiting

PATIENCE_S = 5.0


def add(actions: Any) -> None:
    """Add ``opcua commissioning``."""
    parser = actions.add_parser("commissioning", help="for some minutes let anybody read without security", description=__doc__)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--minutes", type=float, help=f"for how long, at most {MAX_MINUTES:.0f}; without it, says whether it is on"
    )
    how.add_argument("--off", action="store_true", help="end it now")
    add_config(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Switch; 1 when no running gateway took it up, or when it is off and was only asked about."""
    pki = services_of(args).pki
    if args.off:
        print("commissioning ends within a second" if switch_off(pki) else "commissioning was off")
        return 0
    if args.minutes is None:
        until = running_until(pki)
        print(f"commissioning is on until {until}" if until else "commissioning is off")
        return 0 if until else 1
    if not 0 < args.minutes <= MAX_MINUTES:
        raise ConfigError(f"--minutes {args.minutes:g}: more than 0, at most {MAX_MINUTES:.0f}")
    return _begin(pki, args.minutes)


def _begin(pki: Path, minutes: float) -> int:
    ask(pki, minutes)
    deadline = time.monotonic() + PATIENCE_S
    while waiting(pki):
        if time.monotonic() > deadline and taken_back(pki):
            raise GatewayError("no gateway is running that could take it up: start it first (a restart always ends the mode)")
        time.sleep(0.05)
    while not (until := running_until(pki)) and time.monotonic() < deadline:
        time.sleep(0.05)  # it is just being written
    if not until:
        raise GatewayError("the gateway refused the request; its log says why")
    print(f"anybody may read without security until {until}; nobody can write that way")
    print("gateway opcua commissioning --off ends it")
    return 0
