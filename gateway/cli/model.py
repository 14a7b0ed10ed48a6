"""``gateway model check PACKAGE`` and ``gateway model evaluate PACKAGE DIR``: may a model serve, and what is it worth."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from gateway.cli.progress import ProgressLine
from gateway.core.errors import ModelError


def add(subparsers: Any) -> None:
    """Add ``model``."""
    parser = subparsers.add_parser("model", help="check a model package, or evaluate it on pictures")
    actions = parser.add_subparsers(dest="action", required=True)
    check = actions.add_parser("check", help="check every file of a package and its golden pictures")
    check.add_argument("package", type=Path, metavar="PACKAGE", help="models/<name> or models/<name>/<version>")
    check.set_defaults(func=run_check)
    judge = actions.add_parser("evaluate", help="judge the pictures of a folder a class")
    judge.add_argument("package", type=Path, metavar="PACKAGE", help="models/<name> or models/<name>/<version>")
    judge.add_argument("folder", type=Path, metavar="DIR", help="a folder with one sub-folder a class")
    judge.add_argument("--json", action="store_true", help="print one JSON object at the end; other lines go to stderr")
    judge.set_defaults(func=run_evaluate)


def run_check(args: argparse.Namespace) -> int:
    """Check; 2 when the package may not serve."""
    from gateway.vision.engine import Engine
    from gateway.vision.package import load_package

    try:
        package = load_package(args.package)
        Engine(package).smoke_test()
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    manifest = package.manifest
    print(f"{package.path}: ok, {manifest.id}, {len(manifest.golden)} golden pictures as recorded")
    print(f"  input    {manifest.input.width} × {manifest.input.height}, {manifest.input.channels} channel(s)")
    for entry in manifest.labels:
        least = f" from {manifest.thresholds[entry.name]:.2f}" if entry.name in manifest.thresholds else ""
        print(f"  {entry.disposition:<8} {entry.name}{least}")
    if (measured := manifest.accuracy) is not None:
        print(f"  accuracy {100 * measured.accuracy:.2f} % of {measured.pictures}: {measured.method}")
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Evaluate; 2 when package or pictures are wrong."""
    from gateway.learning.evaluate import evaluate  # heavy: OpenVINO

    with ProgressLine() as progress:
        try:
            report = evaluate(args.package, args.folder, progress.show)
        except ModelError as error:
            progress.say_aside(str(error))
            return 2
        say = progress.say_aside if args.json else progress.say
        say(f"{report.model_id} on {args.folder}, {report.seconds:.1f} s:")
        for line in report.score.lines():
            say(line)
    if args.json:
        found = {
            "accuracy": report.score.accuracy,
            "recall": report.score.recall,
            "counts": report.score.counts(),
            "escapes": report.score.escapes,
            "false_rejects": report.score.false_rejects,
            "confusion": report.score.confusion,
            "model": report.model_id,
            "seconds": round(report.seconds, 3),
        }
        print(json.dumps(found))
    return 0
