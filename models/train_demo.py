"""Train the model of the demo on rendered pictures: ``python models/train_demo.py``.

Renders a folder a class (the simulators' own pictures, with another seed than any line of the demo has), trains with
``gateway train``'s own code and leaves the next version in models/demo_surface.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from gateway.core.errors import GatewayError
from gateway.learning.train import TrainOptions, train
from simulators.render import GOOD, write_pictures

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Render and train; 2 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-class", type=int, default=600, help="pictures of each class (600)")
    parser.add_argument("--size", type=int, default=160, help="side of the model's input (160)")
    parser.add_argument("--seed", type=int, default=20_000, help="seed of the pictures (20000)")
    parser.add_argument("--out", type=Path, default=HERE / "demo_surface", help="name folder (models/demo_surface)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vision-gateway-pictures-") as folder:
        print(f"{write_pictures(Path(folder), args.per_class, args.seed)} pictures rendered", flush=True)
        options = TrainOptions(folder=Path(folder), out=args.out, passing=(GOOD,), size=args.size)
        try:
            train(options, say=print)
        except GatewayError as error:
            print(error, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
