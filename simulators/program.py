"""A program of the stand: a process that announces JSON lines on stdout and ends in order when its stdin ends.

So the death of whoever started it, however sudden, ends it too. It must not know what the program is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

START_PATIENCE_S = 60.0
STOP_PATIENCE_S = 30.0
WRONG_INPUT = 2
"""Exit status of a program that was asked for something impossible."""


class StandError(Exception):
    """The stand cannot be set up or go on; the message says why and what to do."""


class WrongInputError(StandError):
    """What was asked for cannot be had: an option, a scenario, pictures or a package is wrong."""


class Program:
    """A process that announces JSON lines on stdout; what it says last is kept by event."""

    def __init__(self, name: str) -> None:
        """Not started yet."""
        self.name = name
        self.said: dict[str, dict[str, Any]] = {}
        self.times: Counter[str] = Counter()
        """How often each event was announced."""
        self.changed = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self._log: Path
        self._reader: asyncio.Task[None] | None = None

    async def start(self, command: list[str], log: Path, first_line: str = "") -> None:
        """Start it in a session of its own, so that Ctrl-C reaches the demo alone; stderr goes to ``log``."""
        self._log = log
        with log.open("ab") as stderr:
            self.process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                limit=1 << 20,
            )
        if first_line:
            await self.tell(first_line)
        self._reader = asyncio.create_task(self._read())

    async def tell(self, line: str) -> None:
        """Write one line to its stdin; nothing happens when it is gone."""
        assert self.process is not None and self.process.stdin is not None  # noqa: S101 - a pipe was asked for
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(line.encode() + b"\n")
            await self.process.stdin.drain()

    async def _read(self) -> None:
        assert self.process is not None and self.process.stdout is not None  # noqa: S101
        while line := await self.process.stdout.readline():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            # The supervisor puts a child's name before what the child said; a factory speaks for itself.
            name = said.get("process")
            key = f"{name if isinstance(name, str) else ''}:{said.get('event', '')}"
            self.said[key] = said
            self.times[key] += 1
            self.changed.set()
        self.changed.set()

    @property
    def ended(self) -> bool:
        """Return whether the process is gone."""
        return self.process is None or self.process.returncode is not None

    def why_ended(self, how: str) -> StandError:
        """Return the error of a process that is gone: what it was, and the reason that it left in its log."""
        status = self.process.returncode if self.process is not None else None
        if status == WRONG_INPUT:
            return WrongInputError(f"{self.name} {how}:\n{reasons(self._log)}")
        with_what = f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"
        return StandError(f"{self.name} {how} with {with_what}:\n{reasons(self._log)}")

    async def expect(self, key: str, patience_s: float = START_PATIENCE_S) -> dict[str, Any]:
        """Wait for an announcement; StandError with the reason when the process ends, gives up on it, or takes too long."""
        assert self.process is not None  # noqa: S101 - started
        given_up = f"{key.rpartition(':')[0]}:stays down"
        try:
            async with asyncio.timeout(patience_s):
                while key not in self.said:
                    if self._reader is not None and self._reader.done():
                        await self.process.wait()
                        raise self.why_ended("ended before it was ready")
                    if given_up in self.said:
                        raise StandError(f"{self.name}: a process fell too often and stays down:\n{reasons(self._log)}")
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise StandError(f"{self.name} was not ready within {patience_s:.0f} s:\n{reasons(self._log)}") from None
        return self.said[key]

    async def stop(self) -> None:
        """End its stdin, wait, and end it hard if it does not listen; whatever it left behind ends with it."""
        process = self.process
        if process is None:
            return
        assert process.stdin is not None  # noqa: S101
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_PATIENCE_S):
                await process.wait()
                await _end_group(process.pid)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its session is its own: see start()
            await process.wait()
        if self._reader is not None:
            await self._reader


async def _end_group(group: int) -> None:
    """Interrupt whoever is left of a process group, and wait: a leash that was killed leaves its gateway behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGINT)
        while True:
            await asyncio.sleep(0.05)
            os.killpg(group, 0)


def reasons(log: Path, lines: int = 12) -> str:
    """Return the last errors in a log of JSON lines, each once; the log's last lines when it names none."""
    text = log.read_text(errors="replace").splitlines()[-200:] if log.exists() else []
    errors = []
    for line in text:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "critical"):
            more = {k: v for k, v in entry.items() if k not in ("event", "level", "timestamp", "process")}
            errors.append(f"{entry.get('process', '')}: {entry.get('event', '')} {json.dumps(more)}")
    found = list(dict.fromkeys(errors))[-lines:] or text[-lines:]
    return "\n".join(found) if found else f"({log}: nothing there)"
