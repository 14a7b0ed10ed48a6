"""Services' side of the commands socket against control's own: many ask at once, and what was not sent is known not to be."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from gateway.control.main import MAX_CONNECTIONS, CommandSocket
from gateway.core.commands import AdjustParameter, Answer, ClearError, Command
from gateway.services.control import AT_ONCE, ControlSocket
from tests.integration.services_stand import until


class SlowLine:
    """A line that answers when the test lets it."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.go = asyncio.Event()

    async def command(self, command: Command) -> Answer:
        self.commands.append(command.id)
        await self.go.wait()
        return Answer(id=command.id, result="confirmed")

    def crash(self, bug: Exception) -> None:
        raise AssertionError(bug)


class Stand:
    """Both sides of the socket, and who has written to it."""

    def __init__(self, path: Path, line: SlowLine) -> None:
        self.path, self.line = path, line
        self.services = ControlSocket("L", path)
        self.written: list[str] = []

    async def client(self, id: str, timeout_s: float = 20) -> Answer | None:
        return await self.services.ask_in_turn(
            ClearError(id=id, line="L", by="operator"), timeout_s, lambda: self.written.append(id)
        )

    async def rule(self, id: str, timeout_s: float = 20) -> Answer | None:
        command = AdjustParameter(id=id, line="L", tag="Force", value=1.0, expected_old=0.0, evidence="")
        return await self.services.ask(command, timeout_s, lambda: self.written.append(id))


@pytest_asyncio.fixture
async def stand() -> AsyncIterator[Stand]:
    with tempfile.TemporaryDirectory(prefix="vg-") as folder:  # a socket's path is short by nature
        path, line = Path(folder) / "commands", SlowLine()
        given: Any = line
        control = CommandSocket(given, "L")
        await control.open(path)
        made = Stand(path, line)
        watch = asyncio.create_task(made.services.watch())
        try:
            await until(lambda: made.services.alive, "control has answered")
            yield made
        finally:
            line.go.set()
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await control.close()


async def test_of_many_who_ask_at_once_each_is_carried_out_and_a_rule_need_not_wait(stand: Stand) -> None:
    ids = [f"client-{n}" for n in range(3 * MAX_CONNECTIONS)]
    clients = [asyncio.create_task(stand.client(id)) for id in ids]
    await until(lambda: len(stand.line.commands) == AT_ONCE, "as many as may are with control")
    rule = asyncio.create_task(stand.rule("rule"))
    await until(lambda: "rule" in stand.line.commands, "the rule has a place of its own")
    assert stand.written == stand.line.commands and len(stand.written) == AT_ONCE + 1
    stand.line.go.set()
    assert [a.id for a in await asyncio.gather(*clients) if a is not None] == ids
    assert await rule == Answer(id="rule", result="confirmed")
    assert sorted(stand.line.commands) == sorted([*ids, "rule"]), "each once"


async def test_who_does_not_get_his_turn_has_sent_nothing(stand: Stand) -> None:
    clients = [asyncio.create_task(stand.client(f"client-{n}")) for n in range(AT_ONCE)]
    await until(lambda: len(stand.line.commands) == AT_ONCE, "as many as may are with control")
    assert await stand.client("late", 0.3) is None
    stand.line.go.set()
    assert None not in await asyncio.gather(*clients)
    assert "late" not in stand.written and "late" not in stand.line.commands
    assert await stand.client("again") == Answer(id="again", result="confirmed"), "its place was given back"


async def test_a_connection_that_control_turns_away_has_sent_nothing(stand: Stand) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            _, writer = await asyncio.open_unix_connection(str(stand.path))
            stack.callback(writer.close)
        assert await stand.rule("crowded", 0.5) is None
        assert stand.written == stand.line.commands == []
    stand.line.go.set()
    assert await stand.rule("later") == Answer(id="later", result="confirmed")
