"""One connection of the OPC UA server: what it takes from strangers, and within which bounds.

The library decodes what arrives without bounds, goes on after what it cannot decode, and waits for clients that do not read.
Here a connection ends instead. Each part falls away when the library brings it; the tests name them one by one. It must not
know what a session may do, users or tags.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from typing import Any, cast

import structlog
from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer, NotEnoughData, ServiceError
from asyncua.crypto import security_policies
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import SessionState
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua import ua_binary
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaStatusCodeError

from gateway.opcua.access import Trust
from gateway.opcua.sessions import Session

MAX_CHUNK = 65535
MAX_CHUNKS = 16
MAX_MESSAGE = 1 << 20
MIN_BUFFER = 8192
"""The least that the standard lets a client offer; one byte would turn each answer into thousands of chunks."""
MAX_UNREAD = 1 << 20
MAX_WAITING = 100
"""Messages read but not yet worked on; beyond, nothing more is read from the socket."""
MAX_CONNECTIONS_PER_PEER = 40
ACTIVATION_S = 5.0
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds: a client whose machine lost its power is let go after a minute."""

_KINDS = {b"HEL": 8, b"OPN": 12, b"MSG": 12, b"CLO": 12, b"ERR": 8}
"""What may begin a frame, and the size of its header."""


def _requests(*names: str) -> frozenset[ua.NodeId]:
    return frozenset(ua.NodeId(ua.Int32(getattr(ObjectIds, f"{n}Request_Encoding_DefaultBinary"))) for n in names)


#: All that is answered on a channel without security: what a client needs to find out how to open a secure one.
_DISCOVERY = _requests("FindServers", "GetEndpoints", "CloseSecureChannel")
#: Would let a stranger make this server a directory of others.
_REFUSED = _requests("RegisterServer", "RegisterServer2")
_CREATE_SESSION = _requests("CreateSession")
_ACTIVATE_SESSION = _requests("ActivateSession")

_log = structlog.get_logger("opcua")


class _NoNulls:
    """Arrays of Null: the only elements that take no bytes, so that 20 bytes could ask for two billion of them."""

    @staticmethod
    def unpack_array(data: Any, length: int) -> list[None]:
        if length > 0:
            raise NotEnoughData("an array of nulls")
        return []

    @staticmethod
    def pack_array(array: Any) -> bytes:
        return struct.pack("<i", -1 if array is None else len(array))


ua_binary.Primitives1.Null = _NoNulls  # type: ignore[attr-defined]
# No request that is answered here has a matrix in it; the library would allocate a million elements for each.
ua_binary.MAX_RESHAPE_ELEMENTS = 16


class Bounded(Buffer):
    """A buffer that does not go backwards: a negative length would let an array be read from the same bytes for ever."""

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes; NotEnoughData when there are fewer, or when ``size`` is negative."""
        if size < 0:
            raise NotEnoughData(f"a length of {size}")
        return super().read(size)

    def copy(self, size: int = -1) -> Bounded:
        """Return a buffer on the same bytes."""
        plain = super().copy(size)
        return Bounded(plain._data, plain._cur_pos, plain._size)  # noqa: SLF001 - a copy of the same class


class TrustingFactory(security_policies.SecurityPolicyFactory):
    """Checks the client's certificate when the channel is opened, not only when a session is made."""

    def __init__(self, plain: security_policies.SecurityPolicyFactory, trust: Trust, *, local: bool) -> None:
        """Take the library's factory and the judge; ``local`` says that the client is on this machine."""
        super().__init__(  # type: ignore[no-untyped-call]
            plain.cls, plain.mode, plain.certificate, plain.private_key, plain.permission_ruleset, plain.certificate_chain
        )
        self._trust, self._local = trust, local

    def check(self, peer_certificate: bytes | None) -> None:
        """Raise ServiceError when the certificate is refused; why stands in the log only."""
        if self._trust.refusal(peer_certificate, local=self._local):
            raise ServiceError(StatusCodes.BadSecurityChecksFailed)

    def create(self, peer_certificate: bytes | None) -> Any:
        """Return the policy of one channel; ServiceError when the certificate is refused."""
        self.check(peer_certificate)
        return super().create(peer_certificate)  # type: ignore[no-untyped-call]


class Processor(UaProcessor):
    """Answers one connection: only discovery without security, one session, and nobody who does not read."""

    def set_policies(self, policies: list[TrustingFactory]) -> None:
        """Take what channels this client may open."""
        self._factories = policies
        super().set_policies(policies)  # type: ignore[no-untyped-call]

    async def process(self, header: Any, body: Any) -> Any:
        """Work on one frame; False when the connection is to be closed, having told the client why if that is known."""
        try:
            if header.MessageType == ua.MessageType.Hello:
                hello = ua_binary.struct_from_binary(ua.Hello, Bounded(bytes(body)))
                if min(hello.ReceiveBufferSize, hello.SendBufferSize) < MIN_BUFFER:
                    raise ServiceError(StatusCodes.BadTcpNotEnoughResources)
            return await super().process(header, body)  # type: ignore[no-untyped-call]
        except (ServiceError, UaStatusCodeError) as e:
            error = ua.ErrorMessage(ua.StatusCode(ua.UInt32(e.code)))
            self._transport.write(ua_binary.uatcp_to_binary(ua.MessageType.Error, error))  # type: ignore[arg-type]
            return False

    def open_secure_channel(self, algohdr: Any, seqhdr: Any, body: Any) -> None:
        """Open or renew the channel; a client that lost its trust is refused at the next renewal."""
        policy = self._connection.security_policy
        if self._connection.is_open() and policy.Mode == ua.MessageSecurityMode.SignAndEncrypt:
            self._factories[0].check(policy.peer_certificate)
        super().open_secure_channel(algohdr, seqhdr, Bounded(bytes(body)))  # type: ignore[no-untyped-call]

    async def process_message(self, seqhdr: Any, body: Any) -> Any:
        """Answer one request. Decoding a megabyte takes a second: that much is for clients that have logged in."""
        live = self.session is not None and self.session.is_activated()
        if len(body) > MAX_CHUNK and not live:
            raise ServiceError(StatusCodes.BadRequestTooLarge)
        return await super().process_message(seqhdr, Bounded(bytes(body)))  # type: ignore[no-untyped-call]

    async def _process_message(self, typeid: ua.NodeId, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        secure = self._connection.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
        if typeid in _REFUSED or (not secure and typeid not in _DISCOVERY):
            raise ServiceError(StatusCodes.BadSecurityModeInsufficient)
        # A second session would leave the first without an owner until its time is over.
        if typeid in _CREATE_SESSION and self.session is not None and self.session.state is not SessionState.Closed:
            raise ServiceError(StatusCodes.BadTooManySessions)
        going_on = await super()._process_message(typeid, requesthdr, seqhdr, body)  # type: ignore[no-untyped-call]
        if typeid in _ACTIVATE_SESSION and isinstance(self.session, Session):
            self.session.carrier = self
        return going_on

    def send_response(self, *args: Any, **kwargs: Any) -> None:
        """Send an answer, unless more than 1 MiB of earlier ones still waits for the client to read it."""
        if self._transport.get_write_buffer_size() > MAX_UNREAD:
            _log.warning("OPC UA client does not read: closed", peer=str(self.name))
            self._transport.abort()
            return
        super().send_response(*args, **kwargs)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Let go of the connection; its open questions would be answered into nothing while the session waits for another."""
        self._publish_requests.clear()
        if isinstance(self.session, Session) and self.session.carrier not in (None, self):
            self.session = None  # it has moved to another connection, and lives on there
        await super().close()  # type: ignore[no-untyped-call]


class Protocol(OPCUAProtocol):
    """Cuts the stream into frames, refuses what is none, reads no faster than it answers, and ends idle connections."""

    def __init__(self, *, trust: Trust, **kwargs: Any) -> None:
        """Take who is trusted, and what the library wants."""
        super().__init__(**kwargs)
        self._trust = trust
        self._held = bytearray()
        self._paused = False

    def connection_made(self, transport: Any) -> None:
        """Take the connection, or close it when there are too many of its address or of all."""
        peer = transport.get_extra_info("peername")
        if not peer or sum(1 for c in self.clients if c.peer_name[0] == peer[0]) >= MAX_CONNECTIONS_PER_PEER:
            transport.abort()
            return
        super().connection_made(transport)
        if self.transport is None:
            return
        stay_alive(transport.get_extra_info("socket"))
        self.processor = Processor(self.iserver, self.transport, self.limits)
        local = is_local(peer[0])
        self.processor.set_policies([TrustingFactory(p, self._trust, local=local) for p in self.policies])

    def data_received(self, data: bytes) -> None:
        """Take bytes from the wire."""
        self._held += data
        self._frame()

    def _frame(self) -> None:
        """Pass whole frames on: the library itself would keep whatever a wrong header announces, up to 4 GiB."""
        while self.transport is not None and not self.transport.is_closing() and len(self._held) >= 8:
            (size,) = struct.unpack_from("<I", self._held, 4)
            if not _KINDS.get(bytes(self._held[:3]), MAX_CHUNK) < size <= MAX_CHUNK:
                self.transport.abort()
                return
            if len(self._held) < size:
                return
            if self.messages.qsize() >= MAX_WAITING:
                self._paused = True
                self.transport.pause_reading()
                return
            frame = bytes(self._held[:size])
            del self._held[:size]
            super().data_received(frame)

    async def _process_one_msg(self, header: Any, buf: Buffer) -> bool:
        going_on = False
        try:
            going_on = await super()._process_one_msg(header, buf)
        finally:
            # An exception means that the bytes could not be understood: the library logs it, and would go on with the next.
            if not going_on and self.transport is not None:
                self.transport.close()
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self._frame()
            if not self._paused:
                self.transport.resume_reading()
        return going_on

    async def _activation_watchdog(self) -> None:
        """Close a connection that twice in a row is found without a live session, however long ago it was made."""
        idle = 0
        while idle < 2:
            await asyncio.sleep(ACTIVATION_S / 2)
            session = self.processor.session if self.processor is not None else None
            idle = 0 if session is not None and session.is_activated() else idle + 1
        if self.transport is not None:
            self.transport.close()


class BoundedServer(BinaryServer):
    """Listens, with :class:`Protocol` on every connection."""

    def __init__(self, iserver: InternalServer, host: str, port: int, limits: TransportLimits, trust: Trust) -> None:
        """Take where to listen and who is trusted."""
        super().__init__(iserver, host, port, limits)
        self._trust = trust

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be bound."""
        await super().start()
        self.port = cast(asyncio.Server, self._server).sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection, without waiting for those who do not read."""
        for transport in list(self.iserver.asyncio_transports):
            if transport.get_write_buffer_size():
                transport.abort()
        await super().stop()

    def _make_protocol(self) -> OPCUAProtocol:
        return Protocol(
            trust=self._trust,
            iserver=self.iserver,
            policies=self._policies,
            clients=self.clients,
            closing_tasks=self.closing_tasks,
            limits=self.limits,
        )


def is_local(host: str) -> bool:
    """Return whether a peer's address is this machine's loopback."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def stay_alive(sock: Any) -> None:
    """Let the system find out when the peer is gone without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
