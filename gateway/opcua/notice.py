"""Shows on every station that commissioning mode is on, so that nobody forgets it: a tag, and an event at its begin and end.

It must not know how the mode is switched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from asyncua.ua.object_ids import ObjectIds

from gateway.opcua.event_types import standard
from gateway.opcua.events import Events
from gateway.opcua.update import Update

TAG = "Status.Commissioning"
BEGUN, ENDED = 700, 300
"""Severities: whoever reaches the network can read while it is on."""


class Notice:
    """The notice on all stations of a server."""

    def __init__(
        self,
        stations: Sequence[str],
        write: Callable[[str, Sequence[Update]], Awaitable[None]],
        events: Events,
        clock: Callable[[], int],
    ) -> None:
        """Take where to show it; ``clock`` returns UTC ns."""
        self._stations, self._write, self._events, self._clock = stations, write, events, clock
        self._tasks: set[asyncio.Task[None]] = set()

    async def show(self, on: bool) -> None:
        """Set the tags."""
        for station in self._stations:
            await self._write(station, [Update(tag=TAG, value=on, t_utc_ns=self._clock())])

    def changed(self, on: bool) -> None:
        """Tell that the mode has begun or ended."""
        what = "Commissioning: anybody may read without security" if on else "Commissioning is over"
        for station in self._stations:
            self._events.emit(
                station,
                standard(ObjectIds.SystemEventType),
                severity=BEGUN if on else ENDED,
                message=what,
                fields={},
                time_ns=self._clock(),
            )
        task = asyncio.create_task(self.show(on))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait until all is shown."""
        await asyncio.gather(*self._tasks)
