"""``gateway train DIR --out models/x --pass CLASS``: a model package from a folder a class."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from gateway.cli.progress import ProgressLine


def add(subparsers: Any) -> None:
    """Add ``train``."""
    parser = subparsers.add_parser(
        "train",
        help="train a model from a folder a class",
        description="Train a model from a folder a class. A PNG beside a JPEG or BMP of the same stem is its mask: left out.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder with one sub-folder a class")
    parser.add_argument("--out", type=Path, required=True, help="models/<name>; the next version is made in it")
    passes = "a class whose parts may pass; repeat it for more"
    parser.add_argument("--pass", dest="passing", action="append", default=[], metavar="CLASS", help=passes)
    parser.add_argument("--size", type=int, help="side of the model's input in pixels (160 or 224, by cross-validation)")
    parser.add_argument("--backbone", type=Path, help="the .xml of a backbone with its .yaml beside it (the shipped one)")
    group = "what file names of pictures of one part share, for example '_num_([0-9]+)'"
    parser.add_argument("--group", default="", metavar="REGEX", help=group)
    parser.add_argument("--no-mirror", dest="mirror", action="store_false", help="a mirrored part is another class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end; other lines go to stderr")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Train; 2 when options or pictures are wrong."""
    from gateway.learning.train import TrainOptions, train  # heavy: OpenVINO and scikit-learn

    options = TrainOptions(
        folder=args.folder,
        out=args.out,
        passing=tuple(dict.fromkeys(args.passing)),
        size=args.size,
        backbone=args.backbone,
        group=args.group,
        mirror=args.mirror,
        seed=args.seed,
    )
    with ProgressLine() as progress:
        report = train(options, say=progress.say if not args.json else progress.say_aside, progress=progress.show)
    if args.json:
        found = {
            "accuracy": report.score.accuracy,
            "recall": report.score.recall,
            "counts": report.score.counts(),
            "escapes": report.score.escapes,
            "false_rejects": report.score.false_rejects,
            "size": report.size,
            "threshold": report.threshold,
            "seconds": round(report.seconds, 3),
            "package": str(report.package),
        }
        print(json.dumps(found), file=sys.stdout)
    return 0
