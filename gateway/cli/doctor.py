"""``gateway doctor [CONFIG]``: what is wrong with this installation, why it matters, and what to do.

Reads only and may run beside the gateway. Exit status: 0 nothing is wrong (there may be warnings), 1 something is, 2 the
configuration is wrong (the rest was looked at all the same). Without CONFIG it looks at the machine alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import textwrap
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.doctor.doctor import examine
from gateway.doctor.finding import Finding


def add(subparsers: Any) -> None:
    """Add ``doctor``."""
    parser = subparsers.add_parser("doctor", help="find what is wrong with this installation", description=__doc__)
    parser.add_argument("config", type=Path, nargs="?", help="gateway.yaml; without it the machine alone is looked at")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Examine."""
    findings = asyncio.run(_examine(args.config, quiet=args.json))
    counts = Counter(f.severity for f in findings)
    wrong_config = any(f.check == "config" and f.severity == "error" for f in findings)
    if args.json:
        print(json.dumps({"ok": not counts["error"], "findings": [asdict(f) for f in findings]}))
    else:
        print(f"{counts['error']} error(s), {counts['warning']} warning(s), {counts['ok']} ok")
    return 2 if wrong_config else 1 if counts["error"] else 0


async def _examine(config: Path | None, *, quiet: bool) -> list[Finding]:
    findings = []
    async for finding in examine(config):
        findings.append(finding)
        if not quiet:
            print(_text(finding), flush=True)
    return findings


def _text(f: Finding) -> str:
    name = f"{f.check} {f.subject}".rstrip()
    lines = [f"{f.severity:<8} {name}: {f.what}"]
    for label, text in (("why", f.why), ("do", f.remedy)):
        if text:
            lines.append(textwrap.fill(f"{label}: {text}", 120, initial_indent=" " * 9, subsequent_indent=" " * 14))
    return "\n".join(lines)
