"""The OPC UA library's server, made fit for strangers: what it offers, who may log in, and what it tells of itself.

The bounds themselves are in ``wire`` (one connection), ``sessions`` and ``subscriptions``; here they are put together. It must
not know the tags.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import time
from datetime import UTC
from typing import Any, cast

import structlog
from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.access import FailedLogins, Users
from gateway.opcua.channel import MAX_CHUNK, Gate
from gateway.opcua.commissioning import Commissioning
from gateway.opcua.crowd import MAX_CONNECTIONS
from gateway.opcua.guard import Guard
from gateway.opcua.history import CAPABILITIES, MAX_POINTS, PERCENTS, History
from gateway.opcua.login import Login
from gateway.opcua.methods import Methods
from gateway.opcua.sessions import LIMITS, Session, auth_token
from gateway.opcua.subscriptions import Subscriptions
from gateway.opcua.trust import Trust
from gateway.opcua.wire import ACTIVATION_S, MAX_CHUNKS, MAX_MESSAGE, BoundedServer
from gateway.opcua.writable import Writable

MAX_URL = 4096

MAX_SESSIONS, MAX_SESSIONS_PER_PEER = 100, 50
"""With those whose connection was lost, which wait ten minutes for another."""

POLICIES = [
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_Sign,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]

_log = structlog.get_logger("opcua")


class NoUsers(UserManager):
    """Lets nobody in: who a user is is found out before a session is activated (:mod:`gateway.opcua.login`)."""

    def get_user(
        self, iserver: InternalServer, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """Return None."""
        return None


class BoundedInternalServer(InternalServer):
    """The address space and its services, with sessions and subscriptions of our own."""

    def __init__(self, users: Users, commissioning: Commissioning) -> None:
        """Take who may log in, and whether anybody may read just now."""
        super().__init__(NoUsers())
        self._users, self.commissioning = users, commissioning
        self.methods = Methods()
        """All that clients may call; whoever has methods adds them."""
        self.writable = Writable(lambda node: self.aspace.get(node) is not None)
        """All that clients may write."""
        self.history = History()
        """All that clients may look back at."""
        self.subscription_service = Subscriptions(self.aspace, iserver=self)
        self.isession.subscription_service = self.subscription_service
        self.allow_remote_admin = False
        self.max_connections = MAX_CONNECTIONS
        self.max_pending_activation_seconds = ACTIVATION_S
        self.max_subscriptions = 200
        self.max_monitored_item_queue_size = 100
        self.max_unacked_messages_per_subscription = 50
        self.supported_tokens = (ua.UserNameIdentityToken,)  # type: ignore[assignment]

    def create_session(self, name: str, user: User | None = None, external: bool = False) -> InternalSession:
        """Return a session whose token nobody can guess; the library counts. ServiceError when there are too many."""
        here = [s for s in self.sessions() if s.name[0] == name[0]] if external else []
        if external and (len(here) >= MAX_SESSIONS_PER_PEER or len(self._external_sessions) >= MAX_SESSIONS):
            raise ServiceError(StatusCodes.BadTooManySessions)
        session = Session(
            self,
            self.aspace,
            self.subscription_service,
            name,
            user=user or User(role=UserRole.Anonymous),
            external=external,
            users=self._users,
            methods=self.methods,
            writable=self.writable,
            history=self.history,
        )
        self.unregister_external_session(session)
        session.auth_token = auth_token()
        if external:
            self.register_external_session(session)
        return session

    def sessions(self) -> list[Session]:
        """Return the clients' sessions."""
        return [s for s in self._external_sessions.values() if isinstance(s, Session)]

    async def get_endpoints(
        self, params: ua.GetEndpointsParameters | None = None, sockname: tuple[str, int] | None = None
    ) -> list[ua.EndpointDescription]:
        """Return the endpoints, under the address by which the client reached them; one without security in commissioning."""
        if params is not None and len(params.EndpointUrl or "") > MAX_URL:
            raise ServiceError(StatusCodes.BadTcpEndpointUrlInvalid)  # it would come back a dozen times
        endpoints = await super().get_endpoints(params, sockname)
        return [*endpoints, _without_security(endpoints[0])] if endpoints and self.commissioning.active else endpoints

    def find_servers(
        self, params: ua.FindServersParameters, sockname: tuple[str, int] | None = None
    ) -> list[ua.ApplicationDescription]:
        """Return this server alone."""
        if len(params.EndpointUrl or "") > MAX_URL:
            raise ServiceError(StatusCodes.BadTcpEndpointUrlInvalid)
        return super().find_servers(params, sockname)


class HardenedServer(Server):
    """A server that offers security and user names only, within bounds."""

    bserver: BoundedServer | None

    def __init__(self, users: Users, trust: Trust, commissioning: Commissioning, *, product: str, version: str) -> None:
        """Take who may log in, which clients may open a channel, and what the server calls itself."""
        super().__init__(iserver=BoundedInternalServer(users, commissioning))
        self._users, self._version = users, version
        self._gate = Gate(trust=trust, login=Login(users, FailedLogins()), commissioning=commissioning)
        self._guarding: asyncio.Task[None] | None = None
        self._library = LibraryLog()
        self.name = self.manufacturer_name = product
        self.product_uri = f"urn:{product.lower().replace(' ', '-')}:product"
        self.application_type = ua.ApplicationType.Server
        self.limits = TransportLimits(MAX_CHUNK, MAX_CHUNK, MAX_CHUNKS, MAX_MESSAGE)
        self.set_security_policy(POLICIES)

    @property
    def subscriptions(self) -> Subscriptions:
        """Return every client's subscriptions."""
        return cast(Subscriptions, self.iserver.subscription_service)

    @property
    def methods(self) -> Methods:
        """Return all that clients may call."""
        return cast(BoundedInternalServer, self.iserver).methods

    @property
    def commissioning(self) -> Commissioning:
        """Return the mode in which anybody may read."""
        return self._gate.commissioning

    @property
    def history(self) -> History:
        """Return what clients may look back at; whoever has such nodes adds them."""
        return cast(BoundedInternalServer, self.iserver).history

    @property
    def writable(self) -> Writable:
        """Return what clients may write; whoever has such nodes adds them."""
        return cast(BoundedInternalServer, self.iserver).writable

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be bound; nothing is left running then."""
        now = ua.DateTime.now(UTC)
        await self.set_build_info(self.product_uri, self.manufacturer_name, self.name, self._version, "0", now)
        for node, limit in LIMITS.items():
            told = ua.DataValue(ua.Variant(limit, ua.VariantType.UInt32), SourceTimestamp=now)
            await self.write_attribute_value(ua.NodeId(ua.Int32(node)), told)
        await self._tell_of_history(now)
        await self._setup_server_nodes()
        host, port = self._get_bind_socket_info()
        self.bserver = BoundedServer(self.iserver, host or "", port or 0, self.limits, self._gate)
        self.bserver.set_policies(self._policies)
        await self.bserver.start()
        self._library.open()
        await self.iserver.start()
        guard = Guard(cast(BoundedInternalServer, self.iserver), self.bserver, self._users, self._gate.commissioning)
        self._guarding = asyncio.create_task(guard.run())

    async def _tell_of_history(self, now: ua.DateTime) -> None:
        kinds = ua.VariantType
        told = [(node, v, kinds.Boolean if isinstance(v, bool) else kinds.UInt32) for node, v in CAPABILITIES.items()]
        told += [(node, v, kinds.Byte) for node, v in PERCENTS.items()]
        points = ObjectIds.Server_ServerCapabilities_MaxHistoryContinuationPoints
        for node, value, kind in [*told, (points, MAX_POINTS, kinds.UInt16)]:
            data = ua.DataValue(ua.Variant(value, kind), SourceTimestamp=now)
            await self.write_attribute_value(ua.NodeId(ua.Int32(node)), data)

    async def guarded(self) -> None:
        """Wait as long as clients are looked after; raises what ended that, for then nobody's trust is taken back any more."""
        if self._guarding is not None:
            await asyncio.shield(self._guarding)

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        self._gate.commissioning.end()
        clock, self.iserver.time_task = self.iserver.time_task, None
        guarding, self._guarding = self._guarding, None
        for task in (clock, guarding):
            if task is not None:  # the library would wait for its next second
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await super().stop()
        self._library.close()


def _without_security(like: ua.EndpointDescription) -> ua.EndpointDescription:
    """Return an endpoint without security, for reading without a user: no password is sent for everybody to see."""
    endpoint = copy.copy(like)
    endpoint.SecurityMode = ua.MessageSecurityMode.None_
    endpoint.SecurityPolicyUri = SecurityPolicyNone.URI
    endpoint.SecurityLevel = ua.Byte(0)
    nobody = ua.UserTokenPolicy(PolicyId="anonymous", TokenType=ua.UserTokenType.Anonymous)
    nobody.SecurityPolicyUri = SecurityPolicyNone.URI
    endpoint.UserIdentityTokens = [nobody]
    return endpoint


class LibraryLog(logging.Handler):
    """Passes on what the library warns of, each kind at most once a minute: a stranger can make it warn at will."""

    def __init__(self) -> None:
        """Start closed."""
        super().__init__(logging.WARNING)
        self._logger = logging.getLogger("asyncua")
        self._last: dict[str, float] = {}

    def open(self) -> None:
        """Take the place of the library's own output."""
        self._logger.addHandler(self)
        self._logger.propagate = False

    def close(self) -> None:
        """Give it back."""
        self._logger.removeHandler(self)
        self._logger.propagate = True
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record unless one of its kind was logged within a minute."""
        kind, now = f"{record.name}:{record.lineno}", time.monotonic()
        if now - self._last.get(kind, -60.0) < 60:
            return
        self._last[kind] = now
        error = record.exc_info[1] if record.exc_info else None
        # As ASCII: it may repeat what a stranger sent.
        _log.warning("OPC UA library", says=ascii(record.getMessage())[:300], error=ascii(error)[:300] if error else None)
