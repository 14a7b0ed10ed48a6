"""An event loop with virtual time: its clock jumps to the next timer as soon as nothing else is to do.

Hours pass in seconds, and the same program gives the same run. There is no selector and there are no sockets: connections
are those of :class:`simulators.storm.network.Network`. What runs in the context of a :class:`Host` can be frozen, as a process
is by SIGSTOP: its callbacks wait, everybody else's go on. It knows no gateway and no PLC.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Host:
    """A simulated machine or process: whatever was started in its context stops while it is frozen."""

    def __init__(self, name: str) -> None:
        """Start running."""
        self.name = name
        self.frozen = False
        self.waiting: list[asyncio.Handle] = []
        """What became due while it was frozen, in order."""
        self.context: Context = copy_context()
        self.context.run(_HOST.set, self)

    def freeze(self) -> None:
        """Let nothing of this host run from now on."""
        self.frozen = True

    def wake(self) -> None:
        """Go on: what became due meanwhile runs at once, in the order in which it became due."""
        self.frozen = False
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)  # noqa: S101 - hosts live nowhere else
        loop.take_up(self.waiting)
        self.waiting = []

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine on this host."""
        return self.context.run(asyncio.get_running_loop().create_task, coroutine)

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: object) -> None:
        """Call back on this host."""
        asyncio.get_running_loop().call_later(delay_s, callback, *args, context=self.context)


_HOST: ContextVar[Host | None] = ContextVar("host", default=None)


def current_host() -> Host | None:
    """Return the host in whose context this runs."""
    return _HOST.get()


class NothingCanHappenError(Exception):
    """Every task waits and no timer is set: the program would hang for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """For code whose only outside world are timers and the connections of ``network``.

    Timers and the scheduler's turn (``_run_once``) are its own, since those of asyncio poll a selector; all else is asyncio's.
    """

    _ready: deque[asyncio.Handle]

    def __init__(self) -> None:
        """Start at 0."""
        super().__init__()
        self._now_s = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._cancelled = 0
        self.network: Any = None
        """Makes connections and servers, see :mod:`simulators.storm.network`."""
        self.unhandled: list[dict[str, Any]] = []
        """What callbacks and forgotten tasks have raised; a run that leaves something here has failed."""
        self.set_exception_handler(lambda _loop, context: self.unhandled.append(context))

    def time(self) -> float:
        """Return the virtual time in s."""
        return self._now_s

    def mono_ns(self) -> int:
        """Return the virtual time in ns."""
        return round(self._now_s * 1e9)

    def take_up(self, handles: list[asyncio.Handle]) -> None:
        """Run these next, in order."""
        self._ready.extend(handles)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at that time; timers of the same moment run in the order in which they were set."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Drop cancelled timers when they are many: time-outs of seconds that are set for every request."""
        self._cancelled += 1
        if self._cancelled > 200:
            self._cancelled = 0
            self._timers = [entry for entry in self._timers if not entry[2].cancelled()]
            heapq.heapify(self._timers)

    def _run_once(self) -> None:
        timers, ready = self._timers, self._ready
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not ready:
            if not timers:
                if self._stopping:  # type: ignore[attr-defined]
                    return
                raise NothingCanHappenError
            self._now_s = max(self._now_s, timers[0][0])
        while timers and timers[0][0] <= self._now_s:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            due: asyncio.Handle = ready.popleft()
            if due.cancelled():
                continue
            host = due._context.get(_HOST)  # type: ignore[attr-defined]  # noqa: SLF001
            if host is not None and host.frozen:
                host.waiting.append(due)
            else:
                due._run()  # noqa: SLF001

    def _process_events(self, event_list: list[Any]) -> None:
        """Have none."""

    def _write_to_self(self) -> None:
        """Need nothing: nobody sleeps."""

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_options: Any) -> Any:
        """Connect over the network in memory; OSError when it refuses."""
        return await self.network.connect(protocol_factory, host, port)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_options: Any) -> Any:
        """Listen on the network in memory."""
        return self.network.listen(protocol_factory, host, port)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Have none: threads have no place in virtual time."""


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a loop with virtual time; no task and no unhandled error may be left behind.

    Raises RuntimeError that names what was left, NothingCanHappenError instead of a hang.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)  # noqa: S101 - made one line above
        result = runner.run(_checked(main))
        if loop.unhandled:
            first = loop.unhandled[0]
            raise RuntimeError(f"left unhandled: {first.get('message')}: {first.get('exception')!r}") from first.get(
                "exception"
            )
        return result


async def _checked(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    for _ in range(3):
        await asyncio.sleep(0)
    left = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    if left:
        raise RuntimeError(f"tasks left running: {left}")
    return result


def now_ns() -> int:
    """Return the running loop's virtual time in ns."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)  # noqa: S101 - a wrong loop is a mistake of the caller
    return loop.mono_ns()
