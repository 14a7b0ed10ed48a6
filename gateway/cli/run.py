"""``gateway run CONFIG``: run the gateway until Ctrl-C or SIGTERM. ``gateway config check|schema`` looks before you leap."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from gateway.config import config_schema, load_config
from gateway.core.errors import ConfigError


def add(subparsers: Any) -> None:
    """Add ``run`` and ``config``."""
    parser = subparsers.add_parser("run", help="run the gateway", description=__doc__)
    parser.add_argument("config", type=Path, help="gateway.yaml")
    parser.set_defaults(func=run)
    config = subparsers.add_parser("config", help="check a gateway.yaml or print its JSON Schema")
    actions = config.add_subparsers(dest="action", required=True)
    check = actions.add_parser("check", help="check a gateway.yaml with its tag maps and models")
    check.add_argument("config", type=Path, help="gateway.yaml")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(func=check_config)
    actions.add_parser("schema", help="print the JSON Schema").set_defaults(func=print_schema)


def run(args: argparse.Namespace) -> int:
    """Run the gateway; 2 when the configuration is wrong."""
    from gateway import app
    from gateway.process import log_to_stderr

    config = load_config(args.config)
    log_to_stderr(process="supervisor")
    return app.run(config)


def check_config(args: argparse.Namespace) -> int:
    """Say whether the configuration could be run; 2 when not."""
    try:
        config = load_config(args.config)
    except ConfigError as error:
        if not args.json:
            raise
        print(json.dumps({"ok": False, "errors": [str(p) for p in error.problems]}))
        return 2
    names = [line.name for line in config.lines]
    if args.json:
        print(json.dumps({"ok": True, "lines": names}))
    else:
        print(f"{args.config}: ok, {len(names)} line(s): {', '.join(names)}")
    return 0


def print_schema(args: argparse.Namespace) -> int:
    """Print the JSON Schema of gateway.yaml."""
    print(json.dumps(config_schema(), indent=2))
    return 0
