"""What the OPC UA library lacks against careless and hostile clients, in one layer on its public classes.

Each part falls away when the library brings it; tests/integration/test_opcua_server.py has a test for each. It must not know
the tags.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto import security_policies
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.server import Server
from asyncua.server.subscription_service import SubscriptionService
from asyncua.server.uaprocessor import UaProcessor
from asyncua.server.user_managers import UserManager
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.security import Trust, Users

MAX_MESSAGE = 1 << 20
MAX_CHUNKS = 16
MAX_UNREAD = 1 << 20
MIN_PUBLISHING_MS = 100.0
MAX_PUBLISHING_MS = 60_000.0
MAX_CONNECTIONS = 100
MAX_CONNECTIONS_PER_PEER = 40
ACTIVATION_S = 5.0
FAILED_LOGINS_PER_MINUTE = 20

POLICIES = [
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]

#: All that is answered on a channel without security: what a client needs to find out how to open a secure one.
_DISCOVERY = frozenset(
    ua.NodeId(ua.Int32(i))
    for i in (
        ObjectIds.FindServersRequest_Encoding_DefaultBinary,
        ObjectIds.GetEndpointsRequest_Encoding_DefaultBinary,
        ObjectIds.CloseSecureChannelRequest_Encoding_DefaultBinary,
    )
)
#: Would let a stranger make this server a directory of others.
_REFUSED = frozenset(
    ua.NodeId(ua.Int32(i))
    for i in (
        ObjectIds.RegisterServerRequest_Encoding_DefaultBinary,
        ObjectIds.RegisterServer2Request_Encoding_DefaultBinary,
    )
)

_log = structlog.get_logger("opcua")


class PasswordUsers(UserManager):
    """Lets users of the users file in, as readers; nobody else."""

    def __init__(self, users: Users, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the users; ``clock`` returns monotonic seconds."""
        self._users = users
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=FAILED_LOGINS_PER_MINUTE)

    def get_user(
        self, iserver: InternalServer, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """Return the user, None when name or password is wrong or too many logins failed within a minute."""
        if not isinstance(username, str) or not isinstance(password, str):
            return None
        now = self._clock()
        full = len(self._failures) == FAILED_LOGINS_PER_MINUTE
        if full and now - self._failures[0] < 60:
            return None  # checking a password costs the loop 30 ms
        if self._users.verify(username, password):
            return User(role=UserRole.User, name=username)
        self._failures.append(now)
        _log.warning("login refused", user=username[:64])
        return None


class _Processor(UaProcessor):
    """Refuses sessions on a channel without security, foreign subscriptions, and clients that do not read."""

    async def _process_message(self, typeid: ua.NodeId, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        secure = self._connection.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
        if typeid in _REFUSED or (not secure and typeid not in _DISCOVERY):
            raise ServiceError(StatusCodes.BadSecurityModeInsufficient)
        return await super()._process_message(typeid, requesthdr, seqhdr, body)  # type: ignore[no-untyped-call]

    def send_response(self, *args: Any, **kwargs: Any) -> None:
        super().send_response(*args, **kwargs)  # type: ignore[no-untyped-call]
        if self._transport.get_write_buffer_size() > MAX_UNREAD:
            _log.warning("a client does not read: closed", peer=str(self.name))
            self._transport.abort()


class _Protocol(OPCUAProtocol):
    """Bounds connections a peer and refuses a frame whose header announces more than the largest message."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        if sum(1 for c in self.clients if c.peer_name and c.peer_name[0] == peer[0]) >= MAX_CONNECTIONS_PER_PEER:
            transport.close()
            return
        super().connection_made(transport)
        if self.processor is not None:
            self.processor = _Processor(self.iserver, self.transport, self.limits)
            self.processor.set_policies(self.policies)  # type: ignore[no-untyped-call]

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self._buffer) >= 8 and struct.unpack_from("<I", self._buffer, 4)[0] > MAX_MESSAGE and self.transport is not None:
            self._buffer = b""
            self.transport.abort()


class _BinaryServer(BinaryServer):
    def _make_protocol(self) -> OPCUAProtocol:
        return _Protocol(self.iserver, self._policies, self.clients, self.closing_tasks, self.limits)


class _Subscriptions(SubscriptionService):
    """Bounds the publishing interval: at 10 µs one subscription stalls the loop."""

    async def create_subscription(self, params: ua.CreateSubscriptionParameters, *args: Any, **kwargs: Any) -> Any:
        asked = params.RequestedPublishingInterval
        finite = math.isfinite(asked)
        params.RequestedPublishingInterval = (
            min(max(asked, MIN_PUBLISHING_MS), MAX_PUBLISHING_MS) if finite else MIN_PUBLISHING_MS
        )
        return await super().create_subscription(params, *args, **kwargs)


class _Session(InternalSession):
    """Touches its own subscriptions only."""

    def _own(self, subscription: int) -> None:
        found = self.subscription_service.subscriptions.get(subscription)
        if self.external and (found is None or found.session_id != self.session_id):
            raise ServiceError(StatusCodes.BadSubscriptionIdInvalid)

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        for i in ids:
            self._own(i)
        return await super().delete_subscriptions(ids)

    async def create_monitored_items(self, params: Any) -> Any:
        self._own(params.SubscriptionId)
        return await super().create_monitored_items(params)

    async def modify_monitored_items(self, params: Any) -> Any:
        self._own(params.SubscriptionId)
        return await super().modify_monitored_items(params)

    async def delete_monitored_items(self, params: Any) -> Any:
        self._own(params.SubscriptionId)
        return await super().delete_monitored_items(params)

    def modify_subscription(self, params: Any) -> Any:
        self._own(params.SubscriptionId)
        return super().modify_subscription(params)

    def republish(self, params: Any) -> Any:
        self._own(params.SubscriptionId)
        return super().republish(params)


class _InternalServer(InternalServer):
    """Own subscription service; sessions with unguessable tokens."""

    def __init__(self, user_manager: UserManager) -> None:
        super().__init__(user_manager)
        self.subscription_service = _Subscriptions(self.aspace, iserver=self)
        self.isession.subscription_service = self.subscription_service
        self.allow_remote_admin = False
        self.max_connections = MAX_CONNECTIONS
        self.max_pending_activation_seconds = ACTIVATION_S
        self.max_subscriptions = 200
        self.max_monitored_item_queue_size = 1000
        self.max_unacked_messages_per_subscription = 500
        self.supported_tokens = (ua.UserNameIdentityToken,)  # type: ignore[assignment]

    def create_session(self, name: str, user: User | None = None, external: bool = False) -> InternalSession:
        session = _Session(
            self, self.aspace, self.subscription_service, name, user=user or User(role=UserRole.Anonymous), external=external
        )
        self.unregister_external_session(session)
        session.auth_token = ua.NodeId(ua.ByteString(secrets.token_bytes(32)), ua.Int16(0), ua.NodeIdType.ByteString)
        if external:
            self.register_external_session(session)
        return session


class _TrustingFactory(security_policies.SecurityPolicyFactory):
    """Checks the client's certificate when the channel is opened, not only when a session is made."""

    def __init__(self, plain: security_policies.SecurityPolicyFactory, trust: Trust) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            plain.cls, plain.mode, plain.certificate, plain.private_key, plain.permission_ruleset
        )
        self._trust = trust

    def create(self, peer_certificate: bytes | None) -> Any:
        if not peer_certificate or not self._trust.accepts(peer_certificate):
            _log.warning("client certificate refused: move it from pki/rejected to pki/trusted/certs to let it in")
            raise ServiceError(StatusCodes.BadSecurityChecksFailed)
        return super().create(peer_certificate)  # type: ignore[no-untyped-call]


class HardenedServer(Server):
    """A server that offers SignAndEncrypt and user names only, within bounds."""

    def __init__(self, users: Users, trust: Trust) -> None:
        """Take who may log in and which clients may open a channel."""
        super().__init__(iserver=_InternalServer(PasswordUsers(users)))
        self._trust = trust
        self.application_type = ua.ApplicationType.Server
        self.limits = TransportLimits(65535, 65535, MAX_CHUNKS, MAX_MESSAGE)
        self.set_security_policy(POLICIES)

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be bound; nothing is left running then."""
        await self._setup_server_nodes()
        self._policies = [_TrustingFactory(p, self._trust) for p in self._policies]
        host, port = self._get_bind_socket_info()
        self.bserver = _BinaryServer(self.iserver, host or "", port or 0, self.limits)
        self.bserver.set_policies(self._policies)
        await self.bserver.start()
        await self.iserver.start()
