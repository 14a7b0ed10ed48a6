"""A whole stand: one simulated factory a line and one gateway, each a process of its own, with their files in one folder.

Used by the demo, the benchmark and the system tests. It takes no part in the loop: when it dies, the lines go on until their
pipes close.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from simulators.demo_files import BASELINE, LINES, DemoLine, default_model, gateway_command, shipped, write_gateway, write_map

START_PATIENCE_S = 60.0
STOP_PATIENCE_S = 30.0


class StandError(Exception):
    """The stand cannot be set up or go on; the message says why and what to do."""


class Program:
    """A process that announces JSON lines on stdout; what it says is kept by event."""

    def __init__(self, name: str) -> None:
        """Not started yet."""
        self.name = name
        self.said: dict[str, dict[str, Any]] = {}
        self.changed = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self, command: list[str], log: Path, first_line: str = "") -> None:
        """Start it in a session of its own, so that Ctrl-C reaches the demo alone; stderr goes to ``log``."""
        with log.open("ab") as stderr:
            self.process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                limit=1 << 20,
            )
        assert self.process.stdin is not None  # noqa: S101 - a pipe was asked for
        if first_line:
            self.process.stdin.write(first_line.encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                await self.process.stdin.drain()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process is not None and self.process.stdout is not None  # noqa: S101
        while line := await self.process.stdout.readline():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            # The supervisor puts a child's name before what the child said; a factory speaks for itself.
            name = said.get("process")
            self.said[f"{name if isinstance(name, str) else ''}:{said.get('event', '')}"] = said
            self.changed.set()
        self.changed.set()

    @property
    def ended(self) -> bool:
        """Return whether the process is gone."""
        return self.process is None or self.process.returncode is not None

    async def expect(self, key: str, log: Path, patience_s: float = START_PATIENCE_S) -> dict[str, Any]:
        """Wait for an announcement; StandError with the end of the log when it does not come."""
        try:
            async with asyncio.timeout(patience_s):
                while key not in self.said:
                    if self._reader is not None and self._reader.done():
                        raise StandError(f"{self.name} ended before it was ready:\n{_tail(log)}")
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise StandError(f"{self.name} was not ready within {patience_s:.0f} s:\n{_tail(log)}") from None
        return self.said[key]

    async def stop(self, *, interrupt: bool) -> None:
        """Ask it to end (SIGINT, or the end of its stdin), wait, and end it hard if it does not listen."""
        process = self.process
        if process is None:
            return
        if process.returncode is None:
            assert process.stdin is not None  # noqa: S101
            if interrupt:
                process.send_signal(signal.SIGINT)
            else:
                process.stdin.close()
            try:
                async with asyncio.timeout(STOP_PATIENCE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._reader is not None:
            await self._reader


@dataclass(frozen=True, slots=True, kw_only=True)
class StandOptions:
    """What to set up."""

    folder: Path
    """Takes every file of the run; empty at the start."""
    scenario: str
    """Name of a shipped scenario, or a file."""
    parts: int
    """Parts fed to each line; 0 = without end."""
    parts_per_s: float = 20.0
    seed: int = 1
    lines: Sequence[DemoLine] = LINES
    scan_ms: float | None = None
    """Scan time of the PLCs; the scenario's when None."""
    images: Path | None = None
    """Pictures from a folder a class instead of rendered ones."""
    model: Path | None = None
    """Model package; the shipped one when None."""
    opcua_port: int = 0


class Stand:
    """Factories and gateway of one run."""

    def __init__(self, options: StandOptions) -> None:
        """Nothing is started yet."""
        self.options = options
        self.data = options.folder / "data"
        self.log = options.folder / "log.jsonl"
        self.model = options.model or default_model()
        self.gateway = Program("gateway")
        self.factories = {line.name: Program(f"factory of {line.name}") for line in options.lines}

    async def start(self) -> dict[str, Any]:
        """Start everything; return where it listens. Raises StandError when something does not come up."""
        await asyncio.gather(*(self._start_factory(line) for line in self.options.lines))
        ready = {line.name: self.factories[line.name].said[":ready"] for line in self.options.lines}
        sections = [self._section(line, ready[line.name]) for line in self.options.lines]
        config = write_gateway(self.options.folder, sections, self.options.opcua_port)
        await self.gateway.start(gateway_command(config), self.log)
        for line in self.options.lines:
            await self.gateway.expect(f"control:{line.name}:ready", self.log)
        services = await self.gateway.expect("services:ready", self.log)
        return {
            "event": "started",
            "folder": str(self.options.folder),
            "config": str(config),
            "pids": str(self.data / "pids.json"),
            "opcua": services["opcua"],
            "opcua_user": "viewer",
            "opcua_password_file": services["viewer_password_file"],
            "lines": {
                line.name: {
                    "protocol": line.protocol,
                    "plc": f"127.0.0.1:{ready[line.name]['plc_port']}",
                    "camera": f"127.0.0.1:{ready[line.name]['camera_port']}",
                }
                for line in self.options.lines
            },
            "scenario": self.options.scenario,
            "seed": self.options.seed,
        }

    def done(self) -> bool:
        """Return whether every part of every line has left its gate."""
        return all(":done" in f.said for f in self.factories.values())

    def fallen(self) -> str:
        """Return which program has ended by itself and the end of the log, or ''."""
        for program in (self.gateway, *self.factories.values()):
            if program.ended:
                return f"{program.name} ended by itself:\n{_tail(self.log)}"
        return ""

    def ledger(self, line: str) -> Path:
        """Return the line's ledger of the truth."""
        return self.options.folder / f"{line}.ledger.jsonl"

    def journal(self, line: str) -> Path:
        """Return the line's journal."""
        return self.data / line / "journal.db"

    @property
    def ops(self) -> Path:
        """Return the operations database."""
        return self.data / "ops.db"

    async def stop(self) -> None:
        """Stop the gateway, which stops in order, then the factories, which complete their ledgers."""
        await self.gateway.stop(interrupt=True)
        for program in self.factories.values():
            await program.stop(interrupt=False)

    def factory_config(self, line: DemoLine) -> dict[str, Any]:
        """Return what the line's factory is told."""
        options = self.options
        return {
            "line": line.name,
            "map": str(shipped("plc_maps", line.map)),
            "protocol": line.protocol,
            "plc_host": "127.0.0.1",
            "plc_port": 0,
            "camera_port": 0,
            "scenario": options.scenario,
            "seed": options.seed,
            "parts": options.parts,
            "parts_per_s": options.parts_per_s,
            "scan_ms": options.scan_ms,
            "images": str(options.images) if options.images else None,
            "passes": passing_labels(self.model),
            "ledger": str(self.ledger(line.name)),
        }

    async def _start_factory(self, line: DemoLine) -> None:
        program = self.factories[line.name]
        command = [sys.executable, "-m", "simulators.factory"]
        await program.start(command, self.log, json.dumps(self.factory_config(line)))
        await program.expect(":ready", self.log)

    def _section(self, line: DemoLine, ready: dict[str, Any]) -> dict[str, Any]:
        geometry = ready["geometry"]
        section: dict[str, Any] = {
            "name": line.name,
            "plc": write_map(line, self.options.folder, ready["plc_port"]).name,
            "model": str(self.model),
            "cameras": [
                {
                    "kind": "simulated",
                    "name": "Cam1",
                    "host": "127.0.0.1",
                    "port": ready["camera_port"],
                    "channels": 1,
                    "offset": geometry["camera_offset"],
                }
            ],
            "gate_deadline_ms": 150,
            "bind": {"by": "encoder", "window": geometry["bind_window"]},
            "rate": {"parts_per_s": geometry["most_parts_per_s"], "plc_scan_ms": geometry["scan_ms"]},
        }
        if self.options.images is None:
            # Foreign pictures do not depend on the simulated process: adjusting it would mean nothing.
            section["adjust"] = [{"tag": line.tag, "step": line.step, "baseline": dict(BASELINE)}]
        return section


def passing_labels(model: Path) -> list[str]:
    """Return the labels that pass, from the package's manifest: what passes for the model is what is good in the score.

    Raises StandError when there is no package.
    """
    manifests = sorted(model.glob("*/manifest.yaml"), key=lambda p: int(p.parent.name) if p.parent.name.isdigit() else -1)
    path = model / "manifest.yaml" if (model / "manifest.yaml").exists() else manifests[-1] if manifests else None
    if path is None:
        raise StandError(f"{model}: no manifest.yaml there; name a model package (models/NAME or models/NAME/VERSION)")
    labels = YAML(typ="safe").load(path).get("labels", [])
    return [label["name"] for label in labels if label["disposition"] == "pass"]


def _tail(log: Path, lines: int = 12) -> str:
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
