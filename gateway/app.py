"""The supervisor: starts the processes of a gateway, restarts them within bounds, and stops them in order.

One control process a line, one capture process a camera, one services process. It judges nothing and opens no device. A
process that falls again after five restarts within a minute stays down: its line then has no heartbeat and no tokens, so the
PLC rejects.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from gateway.config import GatewayConfig, Plan, make_plan
from gateway.core.errors import GatewayError
from gateway.frames import ring_folder
from gateway.frames.folder import run_folder

MAX_RESTARTS = 5
RESTART_WINDOW_S = 60.0
RESTART_PAUSE_S = 0.2
STOP_PATIENCE_S = 10.0
MISTAKEN = 2
"""Exit status of a process whose configuration is wrong: starting it again changes nothing."""
MAX_LINE = 1 << 20
"""Bytes of one line that a child may announce."""

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


def children(plan: Plan) -> Sequence[Sequence[Child]]:
    """Return the processes of a plan, in the groups and the order in which they are stopped.

    Control first: it admits no more, lets due parts end and tells the PLC, while the others still serve it.
    """
    return (
        [Child(name=f"control:{n}", module="gateway.control.main", config=c) for n, c in plan.controls],
        [Child(name=f"capture:{n}", module="gateway.vision.capture", config=c) for n, c in plan.captures],
        [Child(name="services", module="gateway.services.main", config=plan.services)],
    )


class Supervisor:
    """Runs groups of processes, and stops them group by group. ``data`` gets a ``pids.json`` while they run."""

    def __init__(
        self,
        groups: Sequence[Sequence[Child]],
        data: Path,
        *,
        inherited: Sequence[int] = (),
        came_up: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the groups in the order of stopping; nothing is started yet. Each process inherits these descriptors.

        ``came_up`` is called once, when every process has been ready.
        """
        self._came_up = came_up
        self._inherited = inherited
        self._groups = groups
        self._everyone = [child for group in groups for child in group]
        self._pids = data / "pids.json"
        self._not_ready = {child.name for child in self._everyone}

    async def run(self) -> int:
        """Run until SIGINT or SIGTERM, or until nobody is left; return 1 when a process stayed down, else 0."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sig, stop.set)
        # Those who are stopped last are started first.
        keepers = [asyncio.create_task(self._keep_alive(child)) for child in reversed(self._everyone)]
        together, stopped = asyncio.gather(*keepers), asyncio.create_task(stop.wait())
        either: set[asyncio.Future[Any]] = {together, stopped}
        try:
            # A keeper that falls is a bug of this file: it ends everything, in order.
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            for group in self._groups:
                await asyncio.gather(*(self._stop(child) for child in group))
            await asyncio.gather(*keepers, return_exceptions=True)
            self._pids.unlink(missing_ok=True)
        return 0 if all(await together) else 1

    async def _keep_alive(self, child: Child) -> bool:
        """Start and restart ``child`` until it is told to stop; return False when it stayed down."""
        while not child.stopping:
            now = time.monotonic()
            if len(child.starts) > MAX_RESTARTS and now - child.starts[0] < RESTART_WINDOW_S:
                log.error("process stays down: it fell too often", process_name=child.name, restarts=MAX_RESTARTS)
                _say(child.name, {"event": "stays down"})
                return False
            child.starts.append(now)
            process = child.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                child.module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=MAX_LINE,
                pass_fds=self._inherited,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops the others in order
            )
            assert process.stdin is not None and process.stdout is not None  # noqa: S101
            with contextlib.suppress(ConnectionError):
                process.stdin.write(child.config.encode() + b"\n")
                await process.stdin.drain()
            if child.stopping:
                process.stdin.close()  # whoever stopped it did not yet see this process
            self._write_pids()
            await self._relay(child.name, process.stdout)
            code = await process.wait()
            if child.stopping:
                break
            if code == MISTAKEN:
                log.error("process stays down: its configuration is wrong, as it has said", process_name=child.name)
                _say(child.name, {"event": "stays down"})
                return False
            log.warning("process ended and is restarted", process_name=child.name, code=code)
            await asyncio.sleep(RESTART_PAUSE_S)
        return True

    async def _relay(self, name: str, stdout: asyncio.StreamReader) -> None:
        """Pass on what a child announces, with its name, one JSON object a line."""
        while line := await stdout.readline():
            try:
                said = json.loads(line)
            except ValueError:
                said = None
            _say(name, said if isinstance(said, dict) else {"event": "says", "text": line.decode(errors="replace").rstrip()})
            if isinstance(said, dict) and said.get("event") == "ready" and name in self._not_ready:
                self._not_ready.remove(name)
                if not self._not_ready:
                    self._came_up()

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
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(sig)
        await process.wait()

    def _write_pids(self) -> None:
        """Say who runs, for people and service tools."""
        running = {c.name: c.process.pid for c in self._everyone if c.process is not None and c.process.returncode is None}
        new = self._pids.with_suffix(".tmp")
        new.write_text(json.dumps({"supervisor": os.getpid(), **running}))
        os.replace(new, self._pids)


def _say(process: str, said: dict[str, object]) -> None:
    print(json.dumps({"process": process, **said}), flush=True)


def run(
    config: GatewayConfig,
    *,
    monitor_only: bool = False,
    rejected: Sequence[str] = (),
    came_up: Callable[[], None] = lambda: None,
) -> int:
    """Run the gateway until it is stopped; the return value is the exit status. GatewayError when it cannot begin.

    ``monitor_only``: claim nothing and write nothing to any PLC, but read, judge and record.
    ``rejected`` is what is wrong with gateway.yaml, when ``config`` is the last good one that runs in its stead. ``came_up`` is
    called once, when every process has been ready.
    """
    with contextlib.ExitStack() as stack:
        try:
            # Held by every process, so that nothing is swept from under those that outlive a killed supervisor.
            folder, lock = stack.enter_context(run_folder(ring_folder()))
        except OSError as error:
            raise GatewayError(f"{error.filename}: {error.strerror}; frames and sockets need room in {ring_folder()}") from None
        plan = _prepare(config, folder, rejected, monitor_only=monitor_only)
        stack.enter_context(_alone(config.data))
        if rejected:
            _say("supervisor", {"event": "configuration rejected", "errors": list(rejected)})
        return asyncio.run(Supervisor(children(plan), config.data, inherited=[lock], came_up=came_up).run())


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Be the only supervisor of this data folder, for as long as this process lives: two would restart theirs for ever.

    GatewayError names the other one. Its children do not hold the lock: their own files are locked each.
    """
    path = data / "supervisor.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise GatewayError(f"{path}: {error.strerror}; the data folder must be one that can be written") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
        yield
    except BlockingIOError:
        pid = os.pread(fd, 20, 0).decode(errors="replace") or "unknown"
        remedy = f"stop that one first (kill {pid}), or name another folder under data:"
        raise GatewayError(f"{path}: a gateway runs on this data folder already (process {pid}); {remedy}") from None
    finally:
        os.close(fd)


def _prepare(config: GatewayConfig, runtime: Path, rejected: Sequence[str], *, monitor_only: bool) -> Plan:
    more = f" (and {len(rejected) - 1} more)" if len(rejected) > 1 else ""
    try:
        config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return make_plan(config, runtime, f"{rejected[0]}{more}" if rejected else "", monitor_only=monitor_only)
    except OSError as error:
        where = error.filename or config.data
        raise GatewayError(f"{where}: {error.strerror}; the data folder must be one that can be written") from None


__all__: Sequence[str] = ("Child", "Supervisor", "children", "run")
