"""Commands by plain tags, for clients that cannot call a method: a request, a number, and their echo.

A client writes CmdSeq (CmdSeqDone + 1), the argument, and True to a request, best in one Write. The request is taken once: the
same number again does nothing, an older one is refused. CmdResult is Running until the command has ended; then CmdText says
what came of it, the request is False again, and CmdSeqDone, written last, has the client's number: a True that somebody forgot
cannot stand in another client's way. One command at a time: another one is refused while it runs. Number and argument count
only for the session that wrote them, so two clients cannot mix theirs. It must not know what a command does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from asyncua.ua.status_codes import StatusCodes

from gateway.core.tags import Quality
from gateway.opcua.desk import Desk, Done, Order, What
from gateway.opcua.flat import CMD_RESULTS
from gateway.opcua.update import Update, bad
from gateway.opcua.writable import Client

REQUESTS: dict[str, What] = {
    "TestRun": What.TEST_RUN,
    "ErrorReset": What.ERROR_RESET,
    "CounterReset": What.COUNTER_RESET,
    "RecipeSelect": What.RECIPE,
    "Acknowledge": What.ACKNOWLEDGE,
}
ARGUMENTS = {What.RECIPE: "RecipeNo", What.ACKNOWLEDGE: "AckCode"}
GIVEN: dict[str, int | str] = {"CmdSeq": 0, "RecipeNo": 0, "AckCode": ""}
"""What clients write besides the requests, and what stands there at first."""
HALF = 1 << 31


class Commands:
    """The Cmd tags of one station."""

    def __init__(
        self, station: str, desk: Desk, show: Callable[[list[Update]], Awaitable[None]], clock: Callable[[], int]
    ) -> None:
        """``show`` writes tags; ``clock`` returns UTC ns. Nothing is taken before :meth:`open`."""
        self._station = station
        self._desk = desk
        self._show = show
        self._clock = clock
        self._given: WeakKeyDictionary[Client, dict[str, Any]] = WeakKeyDictionary()
        self._last: Order | None = None
        """The command taken last."""
        self._task: asyncio.Task[None] | None = None
        self._opened = False

    async def open(self) -> None:
        """Go on after the command that the desk knows as the last one, and take commands from now on."""
        known = self._desk.last_command(self._station)
        now = self._clock()
        tags: dict[str, Any] = {**dict.fromkeys(REQUESTS, False), **GIVEN}
        updates = [Update(tag=f"Cmd.{name}", value=value, t_utc_ns=now) for name, value in tags.items()]
        if known is None:
            nothing = [bad(f"Cmd.{name}", "never", now) for name in ("CmdResult", "CmdText")]
            updates += [*nothing, Update(tag="Cmd.CmdSeqDone", value=0, t_utc_ns=now)]
        else:
            self._last = known.order
            updates += self._echo(known.done, known.order.number)
        await self._show(updates)
        self._opened = True

    async def close(self) -> None:
        """Give up waiting for a command's answer."""
        self._opened = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def handler(self, name: str) -> Callable[[Client, Any], Awaitable[int]]:
        """Return what takes the values written to ``Cmd.<name>``."""
        return partial(self._request if name in REQUESTS else self._give, name)

    async def _give(self, name: str, session: Client, value: Any) -> int:
        if not self._opened:
            return StatusCodes.BadInvalidState
        self._given.setdefault(session, {})[name] = value
        await self._put(name, value)
        return StatusCodes.Good

    async def _request(self, name: str, session: Client, value: bool) -> int:
        if not self._opened:
            return StatusCodes.BadInvalidState
        if value:
            return self._take(name, session)
        await self._put(name, False)
        return StatusCodes.Good

    def _take(self, name: str, session: Client) -> int:
        """Take a request; return the status code of what is refused, Good for what is taken or was before."""
        what = REQUESTS[name]
        given = self._given.get(session, {})
        number, argument = given.get("CmdSeq", 0), given.get(ARGUMENTS.get(what, ""))
        if what in ARGUMENTS and argument is None:
            return StatusCodes.BadInvalidArgument
        order = Order(
            station=self._station,
            user=session.user_name,
            what=what,
            name=argument if isinstance(argument, str) else "",
            value=argument if isinstance(argument, int) else 0,
            number=number,
        )
        if order == self._last:
            return StatusCodes.Good
        if self._task is not None:
            return StatusCodes.BadInvalidState
        last = self._last.number if self._last is not None else 0
        # Numbers go round: the later one is less than half a turn ahead.
        if not number or not 0 < (number - last) % (2 * HALF) < HALF:
            return StatusCodes.BadSequenceNumberInvalid
        self._last = order
        self._task = asyncio.get_running_loop().create_task(self._carry_out(name, order))
        return StatusCodes.Good

    async def _carry_out(self, name: str, order: Order) -> None:
        done = Done(ok=False, text="it was given up", why="silent")
        try:
            await self._put(name, True)
            await self._put("CmdResult", CMD_RESULTS.index("Running"))
            await self._put("CmdText", f"{order.what.value} is carried out")
            done = await self._desk.ask(order)
        finally:
            try:
                over = Update(tag=f"Cmd.{name}", value=False, t_utc_ns=self._clock())
                await self._show([over, *self._echo(done, order.number)])
            finally:
                self._task = None

    def _echo(self, done: Done, number: int) -> list[Update]:
        result = "Done" if done.ok else "NoAnswer" if done.why == "silent" else "Refused"
        values: dict[str, Any] = {"CmdResult": CMD_RESULTS.index(result), "CmdText": done.text, "CmdSeqDone": number}
        now = self._clock()
        return [Update(tag=f"Cmd.{n}", value=v, quality=Quality.GOOD, t_utc_ns=now) for n, v in values.items()]

    async def _put(self, name: str, value: Any) -> None:
        await self._show([Update(tag=f"Cmd.{name}", value=value, t_utc_ns=self._clock())])
