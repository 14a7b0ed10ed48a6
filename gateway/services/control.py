"""The one way from services to control: its commands socket. Asks for what is wanted, and asks whether anybody is there.

Control need not be there: whatever is missing is an answer too. It must not know what may be asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.core.commands import Answer, Command, answer_from_json, command_to_json

PROBE = b'{"kind":"alive?"}\n'
"""No command: control refuses it at once, and a refusal is a sign of life that nothing but its running loop can give."""
PROBE_S = 0.5
ALIVE_S = 2.5
RETRY_S = 0.1
AT_ONCE = 4
"""So many clients' commands are with control at once. With the watch and the rules' one that makes 6 of its 8 connections."""

_log = structlog.get_logger("control")


class ControlSocket:
    """Control's commands socket, seen from services."""

    def __init__(self, line: str, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the socket's path; ``clock`` returns monotonic seconds."""
        self._line = line
        self._path = str(path)
        self._clock = clock
        self._answered_at: float | None = None
        self._places = asyncio.Semaphore(AT_ONCE)

    @property
    def alive(self) -> bool:
        """Return whether control has answered within the last 2.5 s."""
        return self._answered_at is not None and self._clock() - self._answered_at < ALIVE_S

    async def watch(self) -> None:
        """Ask twice a second whether control is there; never ends."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                await asyncio.sleep(PROBE_S)
                continue
            try:
                await self._probe(reader, writer)
            except (OSError, TimeoutError, ValueError):
                pass  # nothing came: the time of the last answer says so
            finally:
                writer.close()
            await asyncio.sleep(PROBE_S)

    async def _probe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(PROBE)
            async with asyncio.timeout(ALIVE_S):
                if not await reader.readline():
                    return
            self._answered_at = self._clock()
            await asyncio.sleep(PROBE_S)

    async def ask(self, command: Command, timeout_s: float, on_write: Callable[[], None]) -> Answer | None:
        """Send ``command`` and return control's answer, None when none came in time.

        A connection that control serves is waited for within ``timeout_s``, but the command is written once: when it is lost
        after that, the control that comes next knows nothing of it and would carry it out again. ``on_write`` is called just
        before; without that call nothing was sent.
        """
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await self._served()
                try:
                    on_write()
                    writer.write(command_to_json(command).encode() + b"\n")
                    return await self._answer(reader, command.id)
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError):
            return None

    async def ask_in_turn(self, command: Command, timeout_s: float, on_write: Callable[[], None]) -> Answer | None:
        """Do as :meth:`ask`, but a few at once: clients must not take the place of the rules, who ask one by one.

        The turn is waited for within ``timeout_s``.
        """
        try:
            async with asyncio.timeout(timeout_s), self._places:
                return await self.ask(command, timeout_s, on_write)
        except TimeoutError:
            return None

    async def _served(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection on which control has answered; never returns without one."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                await asyncio.sleep(RETRY_S)
                continue
            served = False
            try:
                # Control closes what is too many for it unread: a command written to that would be lost, and nobody would know.
                writer.write(PROBE)
                served = bool(await reader.readline())
            except OSError:
                pass
            finally:
                if not served:
                    writer.close()
            if served:
                return reader, writer
            await asyncio.sleep(RETRY_S)

    async def _answer(self, reader: asyncio.StreamReader, id: str) -> Answer | None:
        while line := await reader.readline():
            try:
                answer = answer_from_json(line)
            except (ValueError, TypeError) as e:
                _log.warning("control's answer is none", line=self._line, error=str(e))
                continue
            if answer.id == id:
                return answer
        return None
