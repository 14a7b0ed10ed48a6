"""What the fuzzer measures with: the library's complaints, the loop's steps, and a transport that goes nowhere."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import threading
import time
import traceback
from pathlib import Path
from typing import Any

STALL_MS = 50.0
DECODERS = frozenset(("ua_binary.py", "decode.py"))
"""Where messages are decoded: an exception from there is about the message."""


class Watch(logging.Handler):
    """Collects what the library could not help: exceptions while it answered a request that it had understood so far."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.errors: collections.Counter[str] = collections.Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Count an exception that was neither the client's nor one of decoding, by what it was and where."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None or ".client" in record.name:
            return
        frames_ = traceback.extract_tb(error.__traceback__)
        if any(Path(f.filename).name in DECODERS for f in frames_):
            return
        at = frames_[-1]
        self.errors[f"{type(error).__name__} {Path(at.filename).name}:{at.lineno} | {record.getMessage()[:40]}"] += 1


class Steps:
    """Measures every step of the loop."""

    def __init__(self) -> None:
        self.worst_ms, self.over, self.what = 0.0, 0, ""
        self.fed = b""
        """The message that was fed last."""

    @contextlib.contextmanager
    def measured(self) -> Any:
        """Measure while the block runs."""
        run = asyncio.Handle._run  # noqa: SLF001 - the one place through which every callback goes

        def timed(handle: Any) -> None:
            if threading.current_thread() is not threading.main_thread():
                run(handle)
                return
            begin = time.thread_time()
            run(handle)
            took = (time.thread_time() - begin) * 1000
            if took > self.worst_ms:
                self.worst_ms = took
            if took > STALL_MS:
                self.over += 1
                self.what += f"{took:.0f} ms {repr(handle)[:200]} {self.fed[:300].hex()}\n"

        asyncio.Handle._run = timed  # type: ignore[assignment, method-assign]  # noqa: SLF001
        try:
            yield
        finally:
            asyncio.Handle._run = run  # type: ignore[method-assign]  # noqa: SLF001


class Pipe:
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        self.closed, self.sent = False, 0

    def get_extra_info(self, name: str) -> Any:
        """Return what a socket would tell."""
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2), "socket": self}.get(name)

    def setsockopt(self, *what: int) -> None:
        """Take an option."""

    def write(self, data: bytes) -> None:
        """Count what is sent."""
        self.sent += len(data)

    def get_write_buffer_size(self) -> int:
        """Say that everything was read."""
        return 0

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Close."""
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """Do nothing; of each answer there is enough room."""

    def resume_reading(self) -> None:
        """Do nothing."""
