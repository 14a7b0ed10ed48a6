"""An event loop whose clock jumps to the next timer as soon as nothing else is to do: hours in milliseconds, and repeatable."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """For code without sockets. Waiting for nothing at all is an error here, not a hang."""

    def __init__(self) -> None:
        super().__init__()
        self._virtual_s = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout: float | None) -> list[Any]:
            events: list[Any] = select(0)
            if not events and timeout is None:
                raise RuntimeError("every task waits, and no timer is set: nothing can ever happen again")
            if not events and timeout:
                self._virtual_s += timeout
            return events

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        """Return the virtual time in s."""
        return self._virtual_s

    def mono_ns(self) -> int:
        """Return the virtual time in ns."""
        return round(self._virtual_s * 1e9)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a loop with virtual time; no task may be left behind."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_checked(main))


async def _checked(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    await asyncio.sleep(0)
    left = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    assert not left, f"tasks left running: {left}"
    return result


def now_ns() -> int:
    """Return the running loop's virtual time in ns."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop.mono_ns()
