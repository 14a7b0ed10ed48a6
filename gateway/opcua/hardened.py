"""The OPC UA library's server, made fit for strangers: what it offers, who may log in, and what it tells of itself.

The bounds themselves are in ``wire`` (one connection), ``sessions`` and ``subscriptions``; here they are put together. It must
not know the tags.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import UTC
from typing import Any

import structlog
from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.access import FailedLogins, Trust, Users
from gateway.opcua.sessions import LIMITS, Session, auth_token
from gateway.opcua.subscriptions import Subscriptions
from gateway.opcua.wire import ACTIVATION_S, MAX_CHUNK, MAX_CHUNKS, MAX_MESSAGE, BoundedServer

MAX_CONNECTIONS = 100
MAX_URL = 4096

POLICIES = [
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]

_log = structlog.get_logger("opcua")


class PasswordUsers(UserManager):
    """Lets users of the users file in, as readers; nobody else."""

    def __init__(self, users: Users) -> None:
        """Take the users."""
        self._users = users

    def get_user(
        self, iserver: InternalServer, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """Return the user, None when name or password is wrong."""
        if not isinstance(username, str) or not isinstance(password, str) or not self._users.verify(username, password):
            return None
        return User(role=UserRole.User, name=username)


class BoundedInternalServer(InternalServer):
    """The address space and its services, with sessions and subscriptions of our own."""

    def __init__(self, users: Users) -> None:
        """Take who may log in."""
        super().__init__(PasswordUsers(users))
        self._logins = FailedLogins()
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
        """Return a session whose token nobody can guess; the library counts."""
        session = Session(
            self,
            self.aspace,
            self.subscription_service,
            name,
            user=user or User(role=UserRole.Anonymous),
            external=external,
            logins=self._logins,
        )
        self.unregister_external_session(session)
        session.auth_token = auth_token()
        if external:
            self.register_external_session(session)
        return session

    def decrypt_user_token(self, isession: Any, token: ua.UserNameIdentityToken) -> tuple[str, str]:
        """Return name and password. RSA 1.5 is refused: whoever sees it fail learns how to use the server's key."""
        if str(token.EncryptionAlgorithm or "").endswith("rsa-1_5"):
            raise ServiceError(StatusCodes.BadIdentityTokenRejected)
        return super().decrypt_user_token(isession, token)

    async def get_endpoints(
        self, params: ua.GetEndpointsParameters | None = None, sockname: tuple[str, int] | None = None
    ) -> list[ua.EndpointDescription]:
        """Return the endpoints, under the address by which the client reached them."""
        if params is not None and len(params.EndpointUrl or "") > MAX_URL:
            raise ServiceError(StatusCodes.BadTcpEndpointUrlInvalid)  # it would come back six times
        return await super().get_endpoints(params, sockname)

    def find_servers(
        self, params: ua.FindServersParameters, sockname: tuple[str, int] | None = None
    ) -> list[ua.ApplicationDescription]:
        """Return this server alone."""
        if len(params.EndpointUrl or "") > MAX_URL:
            raise ServiceError(StatusCodes.BadTcpEndpointUrlInvalid)
        return super().find_servers(params, sockname)


class HardenedServer(Server):
    """A server that offers SignAndEncrypt and user names only, within bounds."""

    bserver: BoundedServer | None

    def __init__(self, users: Users, trust: Trust, *, product: str, version: str) -> None:
        """Take who may log in, which clients may open a channel, and what the server calls itself."""
        super().__init__(iserver=BoundedInternalServer(users))
        self._trust, self._version = trust, version
        self._library = LibraryLog()
        self.name = self.manufacturer_name = product
        self.product_uri = f"urn:{product.lower().replace(' ', '-')}:product"
        self.application_type = ua.ApplicationType.Server
        self.limits = TransportLimits(MAX_CHUNK, MAX_CHUNK, MAX_CHUNKS, MAX_MESSAGE)
        self.set_security_policy(POLICIES)

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be bound; nothing is left running then."""
        now = ua.DateTime.now(UTC)
        await self.set_build_info(self.product_uri, self.manufacturer_name, self.name, self._version, "0", now)
        for node, limit in LIMITS.items():
            told = ua.DataValue(ua.Variant(limit, ua.VariantType.UInt32), SourceTimestamp=now)
            await self.write_attribute_value(ua.NodeId(ua.Int32(node)), told)
        await self._setup_server_nodes()
        host, port = self._get_bind_socket_info()
        self.bserver = BoundedServer(self.iserver, host or "", port or 0, self.limits, self._trust)
        self.bserver.set_policies(self._policies)
        await self.bserver.start()
        self._library.open()
        await self.iserver.start()

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        clock, self.iserver.time_task = self.iserver.time_task, None
        if clock is not None:  # the library would wait for its next second
            clock.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await clock
        await super().stop()
        self._library.close()


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
