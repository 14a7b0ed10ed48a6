"""``gateway opcua export``: what the OPC UA server serves, for whoever plans a client: a tag list, a NodeSet2, Ignition's tags.

Made from the configuration alone: no gateway need run, and none is asked.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.opcua_files import add_config
from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from gateway.opcua.snapshot import Snapshot

FORMATS = ("csv", "ignition", "nodeset2")


def add(actions: Any) -> None:
    """Add ``opcua export``."""
    export = actions.add_parser("export", help="write what is served: a tag list, a NodeSet2, or Ignition's tags")
    export.add_argument("--format", required=True, choices=FORMATS, help="the form to write")
    export.add_argument("-o", "--output", type=Path, metavar="FILE", help="file to write (default: print it)")
    export.add_argument("--force", action="store_true", help="replace a file that is there already")
    export.set_defaults(func=run_export)
    add_config(export)


def run_export(args: argparse.Namespace) -> int:
    """Export; 2 when the configuration is wrong or the file cannot be written."""
    out: Path | None = args.output
    if out is not None and not args.force and out.exists():
        raise ConfigError(f"{out}: is there already; name another, or replace it with --force")
    snapshot = _snapshot(args.config)
    match args.format:
        case "csv":
            from gateway.interchange.tag_list import tag_list
            from gateway.opcua.served_tags import served_tags

            text = tag_list(served_tags(snapshot))
        case "ignition":
            from gateway.interchange.ignition import served_ignition
            from gateway.opcua.served_tags import served_tags

            text = served_ignition(served_tags(snapshot))
        case _:
            text = _nodeset(snapshot)
    if out is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
        return 0
    try:
        # Excel takes a CSV without the mark for an old code page.
        out.write_bytes((b"\xef\xbb\xbf" if args.format == "csv" else b"") + text.encode())
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written: {error.strerror}") from None
    print(out)
    return 0


def _nodeset(snapshot: Snapshot) -> str:
    import importlib.metadata
    from datetime import UTC, datetime

    from gateway.opcua.nodeset_writer import nodeset

    return nodeset(snapshot, version=importlib.metadata.version("vision-gateway"), published=datetime.now(UTC))


def _snapshot(config_file: Path) -> Snapshot:
    import asyncio
    import logging

    import structlog

    from gateway.config import load_config, make_plan
    from gateway.opcua.snapshot import take
    from gateway.process import log_to_stderr
    from gateway.services.config import ServicesConfig
    from gateway.services.line import nodes_of

    log_to_stderr(process="export")
    # What it would say of keys and users is about some that nobody will ever have.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    config = load_config(config_file)
    with tempfile.TemporaryDirectory(prefix="gateway-export-") as name:
        # The plan makes folders for the data; those of a plant that may be running are not touched.
        folder = Path(name)
        plan = make_plan(config.model_copy(update={"data": folder}), folder)
    services = ServicesConfig.model_validate_json(plan.services)
    return asyncio.run(take([nodes_of(line) for line in services.lines], services.opcua.nodesets))
