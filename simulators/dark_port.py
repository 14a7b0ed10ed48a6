"""A port that answers nobody: connects are neither accepted nor refused, as with a pulled cable.

A listener whose queue is full lets the kernel drop every further SYN, so that no privileges and no network of its own are
needed (Linux). It knows an address, not whose port it is.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

#: The kernel queues one connection more than the backlog; the second of these waits as everybody after it.
_FILLERS = 2


@contextlib.contextmanager
def dark_port(host: str, port: int) -> Iterator[None]:
    """Hold the port dark for a while; OSError when it cannot be had."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(_FILLERS):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect((host, port))
        yield
