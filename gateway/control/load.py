"""The inspections under way: at most so many, each with its deadline, and when the line had better let no more parts in.

It must not know what an inspection is; it holds tasks and counts them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

MAX_INSPECTING = 32
CROWDED, RELIEVED = 24, 8
"""From so many on TriggerReady drops, and comes back only when so few are left: it must not flutter."""
OVERDUE_NS = 1_000_000_000
"""An inspection so long after its deadline is not slow, it hangs: those in the queue behind it are given up at once."""


class Load:
    """Tasks by their part's deadline; ``on_bug`` takes the exception of one that fell."""

    def __init__(self, on_bug: Callable[[BaseException], None]) -> None:
        """Start empty."""
        self._on_bug = on_bug
        self._tasks: dict[asyncio.Task[None], int] = {}
        self.crowded = False
        """Whether parts come faster than they can be looked at."""
        self.refused = 0
        """Parts that were not looked at because the places were taken."""

    def __len__(self) -> int:
        """Return how many are under way."""
        return len(self._tasks)

    @property
    def free(self) -> int:
        """Return how many more there may be."""
        return MAX_INSPECTING - len(self._tasks)

    def refuse(self) -> str:
        """Return why no more can be taken now, and count it; '' when there is a place."""
        if self.free > 0:
            return ""
        self.refused += 1
        return f"overload: {MAX_INSPECTING} parts wait for the engine"

    def start(self, inspection: Coroutine[Any, Any, None], due_mono_ns: int) -> None:
        """Run ``inspection``, of a part that is due then."""
        task = asyncio.get_running_loop().create_task(inspection)
        self._tasks[task] = due_mono_ns
        self.crowded = self.crowded or len(self._tasks) >= CROWDED
        task.add_done_callback(self._ended)

    def hangs(self, now_ns: int) -> bool:
        """Return whether one is so far beyond its deadline that the engine does not work; to be busy is fine."""
        return any(now_ns - due > OVERDUE_NS for due in self._tasks.values())

    async def cancel(self) -> None:
        """Give all of them up, and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self.crowded = self.crowded and len(self._tasks) > RELIEVED
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._on_bug(bug)
