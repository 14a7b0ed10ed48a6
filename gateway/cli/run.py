"""``gateway run CONFIG``: run the gateway until Ctrl-C or SIGTERM. ``gateway config check|schema`` looks before you leap."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from gateway import last_good
from gateway.cli import config_show
from gateway.config import config_schema, load_config
from gateway.core.errors import ConfigError


def add(subparsers: Any) -> None:
    """Add ``run`` and ``config``."""
    parser = subparsers.add_parser("run", help="run the gateway", description=__doc__)
    parser.add_argument("config", type=Path, help="gateway.yaml")
    parser.add_argument(
        "--monitor-only",
        action="store_true",
        help="claim nothing and write nothing to any PLC, but judge, record, and report where the existing inspection decides "
        "otherwise",
    )
    parser.set_defaults(func=run)
    config = subparsers.add_parser("config", help="check or show a gateway.yaml, or print its JSON Schema")
    actions = config.add_subparsers(dest="action", required=True)
    check = actions.add_parser("check", help="check a gateway.yaml with its tag maps and models")
    check.add_argument("config", type=Path, help="gateway.yaml")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(func=check_config)
    config_show.add(actions)
    actions.add_parser("schema", help="print the JSON Schema").set_defaults(func=print_schema)


def run(args: argparse.Namespace) -> int:
    """Run the gateway, with the last good configuration when this one is wrong; 2 when there is none."""
    import structlog

    from gateway import app
    from gateway.process import log_to_stderr

    log_to_stderr(process="supervisor")
    log = structlog.get_logger()
    try:
        config = load_config(args.config)
    except ConfigError as error:
        kept = _last_good(args.config, error)
        rejected = [str(p) for p in error.problems] or [str(error)]
        log.error("configuration rejected; the last good one runs", errors=rejected, kept=str(kept.written), of=kept.kept_utc)
        return app.run(kept.config, monitor_only=args.monitor_only, rejected=rejected)

    taken = last_good.snapshot(args.config, config)

    def keep() -> None:
        try:
            last_good.keep(taken)
        except OSError as error:
            log.warning("the last good configuration is not kept", error=f"{error.filename}: {error.strerror}")

    return app.run(config, monitor_only=args.monitor_only, came_up=keep)


def _last_good(path: Path, error: ConfigError) -> last_good.Restored:
    """Return what may run in the stead of a configuration that is wrong; ConfigError with both reasons when nothing may."""
    try:
        kept = last_good.restore(path)
    except ConfigError as why:
        raise ConfigError(f"{error}\nthe last good configuration cannot run either: {why}") from None
    if kept is None:
        raise error
    return kept


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
