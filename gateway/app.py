"""The supervisor: starts the processes of a gateway, restarts them within bounds, and stops them in order.

One control process a line, one capture process a camera, one services process. It judges nothing and opens no device. A
process that falls five times within a minute stays down: its line then has no heartbeat and no tokens, so the PLC rejects.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway.config import GatewayConfig, Plan, make_plan

MAX_RESTARTS = 5
RESTART_WINDOW_S = 60.0
RESTART_PAUSE_S = 0.2
STOP_PATIENCE_S = 10.0

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Child:
    """One process: a module that takes its configuration as the first line of stdin and ends when stdin does."""

    name: str
    module: str
    config: str
    process: asyncio.subprocess.Process | None = None
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_RESTARTS + 1))
    stopping: bool = False


class Supervisor:
    """Runs all processes of one configuration."""

    def __init__(self, config: GatewayConfig) -> None:
        """Take the configuration, already checked."""
        self._config = config
        self._runtime = Path(tempfile.mkdtemp(prefix="vg-"))
        self._plan: Plan = make_plan(config, self._runtime)
        self._services = [Child(name="services", module="gateway.services.main", config=self._plan.services)]
        self._captures = [Child(name=f"capture:{n}", module="gateway.vision.capture", config=c) for n, c in self._plan.captures]
        self._controls = [Child(name=f"control:{n}", module="gateway.control.main", config=c) for n, c in self._plan.controls]

    async def run(self) -> int:
        """Run until SIGINT or SIGTERM; return 1 when a process stayed down, else 0."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sig, stop.set)
        everyone = [*self._services, *self._captures, *self._controls]
        tasks = {asyncio.create_task(self._keep_alive(child)): child for child in everyone}
        stopped = asyncio.create_task(stop.wait())
        try:
            await stopped
        finally:
            stopped.cancel()
            # Control first: it admits no more, lets due parts end and tells the PLC, while the others still serve it.
            for group in (self._controls, self._captures, self._services):
                await asyncio.gather(*(self._stop(child) for child in group))
            results = await asyncio.gather(*tasks)
            self._clean_up()
        return 0 if all(results) else 1

    async def _keep_alive(self, child: Child) -> bool:
        """Start and restart ``child`` until it is told to stop; return False when it stayed down."""
        while not child.stopping:
            child.starts.append(time.monotonic())
            if len(child.starts) > MAX_RESTARTS and child.starts[-1] - child.starts[0] < RESTART_WINDOW_S:
                log.error("process stays down: it fell too often", process_name=child.name, restarts=MAX_RESTARTS)
                return False
            child.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                child.module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops the others in order
            )
            assert child.process.stdin is not None and child.process.stdout is not None  # noqa: S101
            with contextlib.suppress(ConnectionError):
                child.process.stdin.write(child.config.encode() + b"\n")
                await child.process.stdin.drain()
            self._write_pids()
            await self._relay(child.name, child.process.stdout)
            code = await child.process.wait()
            if child.stopping:
                break
            log.warning("process ended and is restarted", process_name=child.name, code=code)
            await asyncio.sleep(RESTART_PAUSE_S)
        return True

    async def _relay(self, name: str, stdout: asyncio.StreamReader) -> None:
        """Pass on what a child announces, with its name, one JSON object a line."""
        while line := await stdout.readline():
            try:
                said = json.loads(line)
            except ValueError:
                said = {"event": "says", "text": line.decode(errors="replace").rstrip()}
            print(json.dumps({"process": name, **said}), flush=True)

    async def _stop(self, child: Child) -> None:
        child.stopping = True
        process = child.process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None  # noqa: S101
        process.stdin.close()
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                async with asyncio.timeout(STOP_PATIENCE_S):
                    await process.wait()
                    return
            except TimeoutError:
                log.error("process does not stop", process_name=child.name, next=sig.name)
                process.send_signal(sig)
        await process.wait()

    def _write_pids(self) -> None:
        """Leave ``pids.json`` in the data folder, for people and service tools."""
        pids = {
            c.name: c.process.pid
            for c in (*self._services, *self._captures, *self._controls)
            if c.process is not None and c.process.returncode is None
        }
        path = self._config.data / "pids.json"
        path.with_suffix(".tmp").write_text(json.dumps({"supervisor": os.getpid(), **pids}))
        os.replace(path.with_suffix(".tmp"), path)

    def _clean_up(self) -> None:
        shutil.rmtree(self._runtime, ignore_errors=True)
        for ring in self._plan.rings:
            ring.unlink(missing_ok=True)
        (self._config.data / "pids.json").unlink(missing_ok=True)


def run(config: GatewayConfig) -> int:
    """Run the gateway until it is stopped; the return value is the exit status."""
    config.data.mkdir(parents=True, exist_ok=True)
    return asyncio.run(Supervisor(config).run())


__all__: Sequence[str] = ("Supervisor", "run")
