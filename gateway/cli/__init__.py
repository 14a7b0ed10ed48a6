"""The command line: thin; each command is a module whose ``add(subparsers)`` says what it takes and which function runs it.

Exit status: 0 done, 1 the answer is no (or a device failed), 2 the input is wrong, 130 interrupted before there was anything to
stop in order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

INTERRUPTED = 130


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    # Here, so that main() sees a Ctrl-C that comes meanwhile.
    from gateway.cli import demo, doctor, map, model, opcua, parts, run, simulate, train

    parser = argparse.ArgumentParser(prog="gateway", description="The gateway between cameras and PLCs.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (run, demo, simulate, map, train, model, opcua, doctor, parts):
        command.add(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run the command."""
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(argv: Sequence[str] | None) -> int:
    from gateway.core.errors import ConfigError, GatewayError

    args = command_line().parse_args(argv)
    try:
        return int(args.func(args))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except GatewayError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
