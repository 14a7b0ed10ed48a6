"""How a child process of the gateway begins and ends: its configuration is the first line of stdin, the end of stdin its stop.

So a child needs no file of its own, and the death of its supervisor, however sudden, stops it in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator

import structlog


def read_config() -> bytes:
    """Return the first line of stdin: the process's configuration as JSON. SystemExit 2 when there is none."""
    # Unbuffered, so that nothing of what follows is swallowed.
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit("this process is started by `gateway run`, which writes its configuration to stdin")
        line += byte
    return bytes(line)


def stop_requested() -> asyncio.Event:
    """Return an event that is set at the end of stdin or by SIGTERM; SIGINT is left to the supervisor.

    SIGUSR1 logs what the process holds: that is how one looks for what grows.
    """
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def readable() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            event.set()

    loop.add_reader(0, readable)
    loop.add_signal_handler(signal.SIGTERM, event.set)
    loop.add_signal_handler(signal.SIGUSR1, _take_stock)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return event


@contextlib.contextmanager
def all_made_stays() -> Iterator[None]:
    """Keep Python from looking for dead objects: for making hundreds of thousands that live as long as the process."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _take_stock() -> None:
    """Log the numbers of asyncio tasks, threads and of Python's container objects made since the start was over."""
    holds = {
        "pid": os.getpid(),
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "objects": len(gc.get_objects()),
    }
    structlog.get_logger().info("stock", **holds)


def log_to_stderr(**bound: str) -> None:
    """Log JSON lines to stderr with these fields in each: the process's name, the line, the camera."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    structlog.contextvars.bind_contextvars(**bound)
