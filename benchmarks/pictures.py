"""The loop with real pictures: train, evaluate on pictures held back, and show exactly these to the gateway over S7 and Modbus.

    .venv/bin/python benchmarks/pictures.py --data FOLDER [--write]

FOLDER holds ``neu`` (steel, six classes, a train and a test split) and ``magnetic_tile`` (split here by a seed: 70 % of the
pictures of each class train, 30 % test). The pictures belong to other people and are no part of the product. Every step is the
command that a user would type. ``--write`` puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from report import DOCS, write_section

TEST_SHARE = 0.3


def gateway(*arguments: str) -> dict[str, Any]:
    """Run ``gateway …``; return the JSON object on its last line."""
    done = subprocess.run([sys.executable, "-m", "gateway.cli", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def split_tiles(source: Path, out: Path) -> None:
    """Copy the tiles' pictures (no masks) into ``out/train`` and ``out/test``, a folder a class."""
    for folder in sorted(p for p in source.iterdir() if p.is_dir()):
        pictures = sorted(folder.glob("*.jpg"))
        random.Random(1).shuffle(pictures)
        tests = round(TEST_SHARE * len(pictures))
        for i, picture in enumerate(pictures):
            target = out / ("test" if i < tests else "train") / folder.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, target / picture.name)


def measure(name: str, train: Path, test: Path, passing: str, work: Path, *options: str) -> list[str]:
    """Train, evaluate and run the loop; return the rows of the table."""
    model = work / name
    trained = gateway("train", str(train), "--out", str(model), "--pass", passing, "--json", *options)
    tested = gateway("model", "evaluate", str(model), str(test), "--json")
    count = sum(c["pictures"] for c in tested["counts"].values())
    loop = gateway("demo", "--images", str(test), "--model", str(model), "--parts", str(count), "--json")
    training = f"{name}: training, {trained['seconds']:.0f} s, input {trained['size']}"
    rows = [
        f"| {training} | held back | {100 * trained['accuracy']:.2f} % | {trained['escapes']} | {trained['false_rejects']} | |",
        f"| {name}: evaluated, {count} pictures | test split | {100 * tested['accuracy']:.2f} % "
        f"| {tested['escapes']} | {tested['false_rejects']} | |",
    ]
    for line in loop["lines"].values():
        what = f"{name}: the loop over {line['protocol']}, {line['parts']} parts"
        rows.append(
            f"| {what} | test split | {100 * line['label_accuracy']:.2f} % "
            f"| {line['escapes']} of {line['defective']} | {line['false_rejects']} of {line['parts'] - line['defective']} "
            f"| mis-tracked {line['mis_tracked']}, not inspected {line['not_inspected']} |"
        )
    return rows


def main() -> int:
    """Measure both sets and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with neu and magnetic_tile")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    args = parser.parse_args()
    rows = ["| | on | accuracy over the classes | escapes | false rejects | |", "|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="vision-gateway-pictures-") as folder:
        work = Path(folder)
        rows += measure("steel", args.data / "neu" / "train", args.data / "neu" / "test", "patches", work)
        split_tiles(args.data / "magnetic_tile", work / "split")
        rows += measure("tiles", work / "split" / "train", work / "split" / "test", "free", work)
    text = "\n".join(rows)
    print(text)
    if args.write:
        write_section(DOCS / "benchmarks.md", "pictures", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
