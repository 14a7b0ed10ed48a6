"""Looks once a second whether everybody who is in may still be: a trust taken back, a user removed, a time that is over.

A server that asks only at the door would let a revoked client read until it goes by itself. It must not know tags.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from gateway.opcua.access import Users
from gateway.opcua.channel import Processor
from gateway.opcua.commissioning import Commissioning
from gateway.opcua.sessions import Session

if TYPE_CHECKING:
    from gateway.opcua.hardened import BoundedInternalServer
    from gateway.opcua.wire import BoundedServer

EVERY_S = 1.0
YIELD_EVERY = 10
"""Connections: judging the certificate of one takes up to a millisecond."""

_log = structlog.get_logger("opcua")


class Guard:
    """Ends what may no longer be."""

    def __init__(self, iserver: BoundedInternalServer, wire: BoundedServer, users: Users, commissioning: Commissioning) -> None:
        """Take the sessions, the connections, and what they are judged by."""
        self._iserver, self._wire, self._users, self._commissioning = iserver, wire, users, commissioning

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look()
            except OSError as e:  # a full disk must not keep a revoked client in: the next look may go through
                _log.error("OPC UA: not all clients could be looked at", error=str(e))

    async def look(self) -> None:
        """Look at everything once."""
        self._commissioning.look()
        if self._users.refresh():
            for session in self._iserver.sessions():
                if (why := self._gone(session)) and isinstance(session.carrier, Processor | None):
                    await self._end(session, why)
        for n, protocol in enumerate(list(self._wire.clients), 1):
            processor = protocol.processor
            if isinstance(processor, Processor) and (why := processor.unfit()):
                if isinstance(processor.session, Session):
                    await self._end(processor.session, why)
                else:
                    _log.info("OPC UA connection ended", peer=str(processor.name), why=why)
                processor.end()
            if n % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _gone(self, session: Session) -> str:
        was = session.account
        if was is None or not was.name:
            return ""
        now = self._users.find(was.name)
        if now is None:
            return "its user was removed"
        return "" if (now.salt, now.scrypt) == (was.salt, was.scrypt) else "its user has a new password"

    async def _end(self, session: Session, why: str) -> None:
        _log.warning("OPC UA session ended", user=ascii(session.user_name), peer=str(session.name), why=why)
        carrier = session.carrier
        await session.close_session(True)
        if isinstance(carrier, Processor):
            carrier.end()
