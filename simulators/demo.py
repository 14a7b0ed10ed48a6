"""The demo: two simulated factories, one gateway between them, a live scoreboard, and the score against hidden truth.

Started by ``gateway demo``. It reads what the gateway has recorded and what really happened, and compares the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from simulators.demo_score import failures, final_score
from simulators.records import JournalTail
from simulators.scenario import ScenarioError, load_scenario
from simulators.scoreboard import Scoreboard
from simulators.stand import Stand, StandError, StandOptions


class Demo:
    """One run of the demo."""

    def __init__(self, options: dict[str, Any], folder: Path) -> None:
        """``options`` as gateway/cli/demo.py gives them; ``folder`` takes every file of the run."""
        self._faults = bool(load_scenario(options["scenario"]).faults)
        self._stand = Stand(
            StandOptions(
                folder=folder,
                scenario=options["scenario"],
                parts=options["parts"],
                parts_per_s=options["rate"],
                seed=options["seed"],
                images=Path(options["images"]) if options["images"] else None,
                model=Path(options["model"]) if options["model"] else None,
                opcua_port=options["opcua_port"],
            )
        )
        self._board = Scoreboard(json_lines=options["json"], terminal=sys.stdout.isatty())
        self._journals = {name: JournalTail(self._stand.journal(name)) for name in self._stand.factories}

    async def run(self) -> int:
        """Run until the parts are through or Ctrl-C; print the score; return the exit status."""
        stop = asyncio.Event()
        for sig in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(sig, stop.set)
        trouble = ""
        starting = asyncio.create_task(self._stand.start())
        try:
            await _either(starting, stop)
            if starting.done():
                self._board.started(starting.result())
                trouble = await self._watch(stop)
        except StandError as error:
            trouble = str(error)
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await self._stand.stop()
        result = final_score(self._stand)
        found = failures(result, faults=self._faults)
        self._board.final(result, [*([trouble] if trouble else []), *found])
        return 1 if trouble or found else 0

    async def _watch(self, stop: asyncio.Event) -> str:
        """Show the score until all parts are through; return what went wrong, or ''."""
        started = time.monotonic()
        while not stop.is_set():
            await _either(asyncio.create_task(asyncio.sleep(1.0)), stop)
            for tail in self._journals.values():
                tail.read()
            lines = {n: (p.said.get(":progress", {}), self._journals[n]) for n, p in self._stand.factories.items()}
            self._board.show(time.monotonic() - started, lines, self._stand.ops)
            if fallen := self._stand.fallen():
                return fallen
            if self._stand.done():
                await asyncio.sleep(0.5)  # the last outcomes are on their way into the journal
                break
        return ""


async def _either(task: asyncio.Task[Any], stop: asyncio.Event) -> None:
    """Wait for the task or the stop, whichever comes first."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()


def main() -> int:
    """Run with the options that gateway/cli/demo.py passes as JSON; 2 when they are wrong."""
    options = json.loads(sys.argv[1])
    for name in ("images", "model"):
        if options[name] and not Path(options[name]).is_dir():
            print(f"--{name} {options[name]}: there is no such folder", file=sys.stderr)
            return 2
    with contextlib.ExitStack() as stack:
        if options["data"]:
            folder = Path(options["data"])
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                print(f"--data {folder}: not an empty folder; name a new one", file=sys.stderr)
                return 2
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vision-gateway-demo-")))
        try:
            return asyncio.run(Demo(options, folder).run())
        except (StandError, ScenarioError) as error:
            print(error, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
