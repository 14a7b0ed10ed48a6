"""A whole stand: one simulated factory a line and one gateway, each a process of its own, with their files in one folder.

Used by the demo, the benchmark and the system tests. It takes no part in the loop. When it dies, its programs end in order,
because their stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.demo_files import BASELINE, LINES, DemoLine, default_model, gateway_command, shipped, write_gateway, write_map
from simulators.package import read_package
from simulators.program import Program, StandError


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
    pictures_mb: int = 200
    """What the gateway may keep of pictures."""


class Stand:
    """Factories and gateway of one run."""

    def __init__(self, options: StandOptions) -> None:
        """Nothing is started yet. WrongInputError when the model is no package."""
        self.options = options
        self.data = options.folder / "data"
        self.log = options.folder / "log.jsonl"
        self.model = options.model or default_model()
        self.package = read_package(self.model)
        self.gateway = Program("gateway")
        self.factories = {line.name: Program(f"factory of {line.name}") for line in options.lines}

    async def start(self) -> dict[str, Any]:
        """Start everything; return where it listens.

        Raises StandError when something does not come up, WrongInputError when that is because of what was asked for.
        """
        await asyncio.gather(*(self._start_factory(line) for line in self.options.lines))
        ready = {line.name: self.factories[line.name].said[":ready"] for line in self.options.lines}
        ports = {name: said["plc_port"] for name, said in ready.items()}
        config, services = await self._start_gateway(self.gateway, self.options.folder, ports, self.options.opcua_port)
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

    async def start_standby(self, plc_ports: Mapping[str, int]) -> tuple[Program, dict[str, Any]]:
        """Start a second gateway on the same lines, with data of its own in the folder ``standby``; the caller stops it.

        It reaches the PLC of each line at ``plc_ports``, where something may stand in between. Returns the program and what
        its services said.
        """
        folder = self.options.folder / "standby"
        folder.mkdir()
        standby = Program("standby gateway")
        _, services = await self._start_gateway(standby, folder, plc_ports, 0)
        return standby, services

    def done(self) -> bool:
        """Return whether every part of every line has left its gate."""
        return all(":done" in f.said for f in self.factories.values())

    def fallen(self) -> StandError | None:
        """Return why a program has ended by itself, if one has."""
        for program in (*self.factories.values(), self.gateway):
            if program.ended:
                return program.why_ended("ended by itself")
        return None

    def restarts(self, line: str) -> int:
        """Return how often the line's control process fell and was started again."""
        return max(0, self.gateway.times[f"control:{line}:ready"] - 1)

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

    async def clear(self, patience_s: float) -> None:
        """Let the presses make no more parts and wait until those on the belts have left, as long as ``patience_s``."""
        for program in self.factories.values():
            await program.tell("halt")
        left = (program.expect(":done", patience_s) for program in self.factories.values())
        await asyncio.gather(*left, return_exceptions=True)  # parts that stay are no error: see stop()

    async def stop(self) -> None:
        """Stop the gateway, which stops in order, then the factories, which complete their ledgers.

        With parts still on a belt the factories go first: what reached a gate while the gateway stops would be held against it.
        """
        order = (self.gateway, *self.factories.values()) if self.done() else (*self.factories.values(), self.gateway)
        for program in order:
            await program.stop()

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
            "passes": self.package.passes,
            "labels": self.package.labels,
            "channels": self.package.channels,
            "ledger": str(self.ledger(line.name)),
        }

    async def _start_factory(self, line: DemoLine) -> None:
        program = self.factories[line.name]
        command = [sys.executable, "-m", "simulators.factory"]
        await program.start(command, self.options.folder / f"{line.name}.factory.log", json.dumps(self.factory_config(line)))
        await program.expect(":ready")

    async def _start_gateway(
        self, program: Program, folder: Path, plc_ports: Mapping[str, int], opcua_port: int
    ) -> tuple[Path, dict[str, Any]]:
        """Start a gateway whose files lie in ``folder``; return its configuration and what its services said."""
        sections = [self._section(line, folder, plc_ports[line.name]) for line in self.options.lines]
        config = write_gateway(folder, sections, opcua_port, self.options.pictures_mb)
        await program.start(gateway_command(config), folder / self.log.name)
        for line in self.options.lines:
            await program.expect(f"control:{line.name}:ready")
        return config, await program.expect("services:ready")

    def _section(self, line: DemoLine, folder: Path, plc_port: int) -> dict[str, Any]:
        ready = self.factories[line.name].said[":ready"]
        geometry = ready["geometry"]
        section: dict[str, Any] = {
            "name": line.name,
            "plc": write_map(line, folder, plc_port).name,
            "model": str(self.model),
            "cameras": [
                {
                    "kind": "simulated",
                    "name": "Cam1",
                    "host": "127.0.0.1",
                    "port": ready["camera_port"],
                    "channels": self.package.channels,
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
