"""What the PLC's commands do: the exchange of ``core.plc_command`` on one side, recipes and the offline switch on the other.

Every command ends in a record that says who asked for what and what came of it. It must not know the link: the line hands it
what was read, and asks it for the bits to show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.control.config import Authority
from gateway.control.recipes import Recipes
from gateway.core.errors import GatewayError
from gateway.core.events import CommandEnded
from gateway.core.handshake import Control, Status1
from gateway.core.plc_command import Command, CommandExchange, Exchange, Request
from gateway.plc.listener import UpImage


class PlcCommands:
    """One line's commands; ``on_bug`` takes what went wrong where nobody awaits it."""

    def __init__(
        self,
        recipes: Recipes,
        record: Callable[[CommandEnded], None],
        on_bug: Callable[[BaseException], None],
        *,
        offline: bool = False,
        remember_offline: Callable[[bool], None] = lambda offline: None,
    ) -> None:
        """Start with no command; ``record`` takes records without line and time.

        ``offline`` is what ``remember_offline`` was told last: GO_OFFLINE outlives a restart. It blocks; GatewayError in
        words.
        """
        self._recipes = recipes
        self._record = record
        self._on_bug = on_bug
        self._exchange = CommandExchange()
        self._task: asyncio.Task[None] | None = None
        self._control = 0
        self._offline = offline
        self._remember_offline = remember_offline
        self._raised_ns: int | None = None
        """When ExecuteCommand was first read as raised (monotonic)."""
        self._answer: bool | None = None
        """Whether the command was carried out, until the PLC is told."""

    @property
    def shown(self) -> Status1:
        """Return the bits of Status1 that say how the command stands."""
        return self._exchange.shown

    @property
    def test_ready(self) -> bool:
        """Return whether a test run could begin now."""
        return self._recipes.can_test and self._task is None

    def why_not(self, t_trigger_ns: int) -> str:
        """Return why a part triggered then is not to be judged, or '': a command raised by then may be about it."""
        being_given = self._exchange.state in (Exchange.IDLE, Exchange.EXECUTING) and self._raised_ns is not None
        return "a command is being given" if being_given and t_trigger_ns >= (self._raised_ns or 0) else ""

    def effective(self, control: int) -> int:
        """Return the control word with SetOffline as it stands: the PLC's bit, or its command GO_OFFLINE."""
        return control | Control.SET_OFFLINE if self._offline else control

    def on_baseline(self, up: UpImage) -> None:
        """Take the first read after a (re)connect: nothing in it is an edge."""
        self._look(up)
        self._exchange.baseline(up.control, _request(up))

    def on_up(self, up: UpImage) -> None:
        """Take a cyclic read; begin the command that it raises."""
        self._look(up)
        if (request := self._exchange.read(up.control, _request(up))) is not None:
            self._task = asyncio.get_running_loop().create_task(self._carry_out(request))
            self._task.add_done_callback(self._ended)

    def _look(self, up: UpImage) -> None:
        self._control = up.control
        if not up.control & Control.EXECUTE_COMMAND:
            self._raised_ns = None
        elif self._raised_ns is None:
            self._raised_ns = up.t_mono_ns
        force = self._recipes.force
        force.read(up)
        # A recipe begins with a read, and the answer with it: who reads CommandCompleted must find TriggerReady as it is.
        if self._answer is not None and not force.beginning:
            self._exchange.ended(done=self._answer)
            self._answer = None

    def on_owner_lost(self) -> None:
        """Forget who asked; what is under way goes on."""
        self._exchange.lost()

    async def set_recipe(self, number: int, by: Authority) -> str:
        """Set a recipe for somebody else than the PLC; return '' or why it was not set."""
        why = await self._recipes.change(number, by)
        self._tell(Command.SET_RECIPE.name, number, by, done=not why, detail=why)
        return why

    async def test_run(self, by: Authority) -> tuple[bool, str]:
        """Judge the golden pictures for somebody else than the PLC; return whether all went well, and what came of it."""
        done, detail = await self._recipes.test_run()
        self._tell(Command.TEST_RUN.name, 0, by, done=done, detail=detail)
        return done, detail

    async def cancel(self) -> None:
        """Give up what is under way, and wait until it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _carry_out(self, request: Request) -> None:
        try:
            command = Command(request.number)
        except ValueError:
            known = ", ".join(f"{c.value} {c.name}" for c in Command)
            name, done, detail = str(request.number), False, f"there is no command {request.number}; there are: {known}"
        else:
            name, (done, detail) = command.name, await self._do(command, request.arg)
        self._tell(name, request.arg, "plc", done=done, detail=detail)
        self._answer = done

    async def _do(self, command: Command, arg: int) -> tuple[bool, str]:
        match command:
            case Command.GO_OFFLINE:
                self._offline = True
                return await self._remember(offline=True)
            case Command.GO_ONLINE:
                if self._control & Control.SET_OFFLINE:
                    return False, "the PLC holds SetOffline"
                done, why = await self._remember(offline=False)
                self._offline = self._offline and not done
                return done, why
            case Command.SET_RECIPE:
                why = await self._recipes.change(arg, "plc", self._raised_ns)
                return not why, why
            case Command.TEST_RUN:
                return await self._recipes.test_run()

    async def _remember(self, *, offline: bool) -> tuple[bool, str]:
        try:
            await asyncio.to_thread(self._remember_offline, offline)
        except GatewayError as error:
            return False, str(error)
        return True, ""

    def _tell(self, command: str, arg: int, by: str, *, done: bool, detail: str) -> None:
        self._record(CommandEnded(line="", t_utc_ns=0, command=command, arg=arg, by=by, done=done, detail=detail))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._on_bug(bug)


def _request(up: UpImage) -> Request:
    return Request(number=up.command, arg=up.command_arg)
