"""The real command line, run as a person runs it: ``gateway demo --json`` in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LINE_KEYS = {
    "protocol",
    "parts",
    "passed",
    "rejected",
    "defective",
    "escapes",
    "escapes_by_fault",
    "false_rejects",
    "mis_tracked",
    "not_inspected",
    "good_lost",
    "accuracy",
    "latency_ms",
}


class DemoRun:
    """A running demo: what it says, line by line, and its score at the end."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Start it; ``folder`` keeps its files."""
        self.folder = folder
        command = [sys.executable, "-m", "gateway.cli", "demo", "--json", "--data", str(folder), *options]
        self.errors = folder.with_suffix(".stderr").open("w+")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.last: dict[str, Any] = {}

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects as they come."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.last = json.loads(text)
            yield self.last

    def wait_for_parts(self, parts: int) -> None:
        """Read on until every line has that many parts through its gate."""
        for said in self.lines():
            if said.get("event") == "score" and said["lines"]:
                if all(line.get("parts", 0) >= parts for line in said["lines"].values()):
                    return
        raise AssertionError(f"the demo ended before {parts} parts: {self.stderr()}")

    def pids(self) -> dict[str, int]:
        """Return the process ids of the gateway, by process name."""
        pids: dict[str, int] = json.loads((self.folder / "data" / "pids.json").read_text())
        return pids

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self.process.kill()
        self.process.wait()

    def stop_reading(self) -> None:
        """Close the pipe, as ``| head`` does."""
        assert self.process.stdout is not None
        self.process.stdout.close()

    def finish(self) -> tuple[int, dict[str, Any]]:
        """Read to the end; return the exit status and the last object."""
        for _ in self.lines():
            pass
        return self.process.wait(60), self.last

    def stderr(self) -> str:
        """Return what it wrote to stderr, its score, and the end of the gateway's log."""
        log = self.folder / "log.jsonl"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else ""
        return f"{Path(self.errors.name).read_text()}\n{json.dumps(self.last)}\n{tail}"


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[DemoRun]:
    """Run the demo; whatever happens, it is ended in the end."""
    run = DemoRun(folder, *options)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGINT)
            try:
                run.process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                run.process.kill()
                run.process.communicate()
        if run.process.stdout is not None:
            run.process.stdout.close()
        run.errors.close()
