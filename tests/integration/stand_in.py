"""A child process for tests of the supervisor: it writes down what happens to it and behaves as its configuration says.

Started as ``python -m tests.integration.stand_in``; the first line of stdin is its configuration.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> int:
    config = json.loads(sys.stdin.readline())
    diary = Path(config["diary"])

    def note(what: str) -> None:
        with diary.open("a") as f:
            f.write(f"{config['name']} {what} {os.getpid()}\n")

    if not config.get("mute"):
        print(json.dumps({"event": "ready"}), flush=True)
    note("started")  # behind the words: a test that has read it may kill whoever listens
    if config.get("says"):
        print(config["says"], flush=True)
    if "falls" in config and diary.read_text().count(f"{config['name']} started") <= config["falls"]:
        note("falls")
        return int(config.get("status", 3))
    if config.get("deaf"):
        signal.signal(signal.SIGTERM, lambda *_: note("heard SIGTERM"))
        while True:
            time.sleep(0.05)
    sys.stdin.read()
    note("stopping")
    time.sleep(config.get("slow_s", 0))
    note("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
