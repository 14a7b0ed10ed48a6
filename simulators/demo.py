"""The demo: two simulated factories, one gateway between them, a live scoreboard, and the score against hidden truth.

Started by ``gateway demo``. It reads what the gateway has recorded and what really happened, and compares the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulators.demo_score import failures, final_score
from simulators.program import WRONG_INPUT, StandError, WrongInputError
from simulators.records import JournalTail
from simulators.scenario import ScenarioError, load_scenario
from simulators.scoreboard import Scoreboard
from simulators.stand import Stand, StandOptions

CLEAR_PATIENCE_S = 10.0
"""How long the parts under way may take to leave their belts after Ctrl-C."""
FIRST_PART_PATIENCE_S = 60.0
"""How long after the belt was ready for it the first part may take."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DemoOptions(BaseModel):
    """What the command line says."""

    model_config = ConfigDict(extra="forbid")

    parts: int = Field(ge=0)
    rate: float = Field(gt=0, le=200, allow_inf_nan=False)
    scenario: str
    seed: int = Field(ge=0)
    images: Path | None
    model: Path | None
    data: Path | None
    opcua_port: int = Field(ge=0, le=65535)
    json_lines: bool = Field(alias="json")


class Demo:
    """One run of the demo."""

    def __init__(self, options: DemoOptions, folder: Path) -> None:
        """``folder`` takes every file of the run; ScenarioError or WrongInputError when the options cannot be had."""
        scenario = load_scenario(options.scenario)
        try:
            scenario.belt.gate_window(options.rate * scenario.belt.spacing * scenario.scan_ms / 1e3)
        except ValueError as error:
            raise WrongInputError(f"--rate {options.rate:g}: {error}") from None
        self._faults = scenario.disturbed
        lead = scenario.belt.eye_to_gate / scenario.belt.spacing + scenario.belt.press_spacings + 2
        self._first_part_s = lead / options.rate + FIRST_PART_PATIENCE_S
        self._stand = Stand(
            StandOptions(
                folder=folder,
                scenario=options.scenario,
                parts=options.parts,
                parts_per_s=options.rate,
                seed=options.seed,
                images=options.images,
                model=options.model,
                opcua_port=options.opcua_port,
            )
        )
        self._board = Scoreboard(json_lines=options.json_lines, terminal=sys.stdout.isatty())
        self._journals = {name: JournalTail(self._stand.journal(name)) for name in self._stand.factories}
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        """Run until the parts are through or Ctrl-C; print the score; return the exit status.

        WrongInputError when nothing could be started because of what was asked for.
        """
        for sig in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(sig, self._interrupted)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # see gateway/cli/demo.py
        trouble: StandError | None = None
        try:
            where = await self._started()
            if where is not None:
                self._board.started(where)
                trouble = await self._watch()
        except WrongInputError:
            raise
        except StandError as error:
            trouble = error
        finally:
            await self._stand.stop()
        result = final_score(self._stand)
        found = failures(result, disturbed=self._faults or trouble is not None)
        self._board.final(result, [*([str(trouble)] if trouble else []), *found])
        return WRONG_INPUT if isinstance(trouble, WrongInputError) else 1 if trouble or found else 0

    def _interrupted(self) -> None:
        """Stop in order at the first Ctrl-C, at once at the second."""
        (self._hurry if self._stop.is_set() else self._stop).set()

    async def _started(self) -> dict[str, Any] | None:
        """Return where everything listens, None when it was stopped before."""
        starting = asyncio.create_task(self._stand.start())
        try:
            await _either(starting, self._stop)
            return starting.result() if starting.done() else None
        finally:
            await asyncio.gather(starting, return_exceptions=True)

    async def _watch(self) -> StandError | None:
        """Show the score until all parts are through or Ctrl-C; return what went wrong, if anything did."""
        started = time.monotonic()
        while not self._stop.is_set():
            await _either(asyncio.create_task(asyncio.sleep(1.0)), self._stop)
            seconds = time.monotonic() - started
            for tail in self._journals.values():
                tail.read()
            lines = {n: (p.said.get(":progress", {}), self._journals[n]) for n, p in self._stand.factories.items()}
            self._board.show(seconds, lines, self._stand.ops)
            if fallen := self._stand.fallen():
                return fallen
            if self._stand.done():
                await asyncio.sleep(0.5)  # the last outcomes are on their way into the journal
                return None
            idle = [name for name, (progress, _) in lines.items() if not progress.get("fed")]
            if idle and seconds > self._first_part_s:
                return StandError(
                    f"{', '.join(idle)}: no part in {seconds:.0f} s, for want of TriggerReady; see {self._stand.log}"
                )
        self._board.stopping()
        # The infeed stops first, as on a line: a part that finds no gateway any more would be held against it.
        await _either(asyncio.create_task(self._stand.clear(CLEAR_PATIENCE_S)), self._hurry)
        return None


async def _either(task: asyncio.Task[Any], stop: asyncio.Event) -> None:
    """Wait for the task or the stop, whichever comes first; the other is cancelled."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for loser in (task, stopped):
        loser.cancel()


def _options(text: str) -> DemoOptions:
    try:
        options = DemoOptions.model_validate_json(text)
    except ValidationError as error:
        said = (f"--{'-'.join(map(str, e['loc'])).replace('_', '-')} {e['input']}: {e['msg']}" for e in error.errors())
        raise WrongInputError("\n".join(said)) from None
    for name, folder in (("images", options.images), ("model", options.model)):
        if folder is not None and not folder.is_dir():
            raise WrongInputError(f"--{name} {folder}: there is no such folder")
    return options


def _data_folder(data: Path | None, stack: contextlib.ExitStack) -> Path:
    """Return the folder that takes the run's files, which is there and empty."""
    try:
        if data is None:
            return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vision-gateway-demo-")))
        if data.exists() and (not data.is_dir() or any(data.iterdir())):
            raise WrongInputError(f"--data {data}: not an empty folder; name a new one")
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "name a folder that can be made" if data is not None else "set TMPDIR, or use --data FOLDER"
        raise WrongInputError(f"--data {data or tempfile.gettempdir()}: {error.strerror}; {remedy}") from None
    if not os.access(data, os.W_OK):
        raise WrongInputError(f"--data {data}: cannot be written; name another folder")
    return data


def main() -> int:
    """Run with the options that gateway/cli/demo.py passes as JSON; 2 when they are wrong."""
    try:
        options = _options(sys.argv[1])
        with contextlib.ExitStack() as stack:
            return asyncio.run(Demo(options, _data_folder(options.data, stack)).run())
    except (StandError, ScenarioError) as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT
    except BrokenPipeError:
        # Nobody reads any more. Python flushes stdout once again at its end, which must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"the demo cannot go on: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
