"""One secure channel and the session on it: who may open it, for how long, and what is answered on it.

The library checks a client's certificate when a session is made and not before, believes whatever lifetime it asks for, takes
any session for the one that was meant, and answers whoever asks. It must not know users' rights or tags.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from asyncua import ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto import security_policies
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import SessionState
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua import ua_binary
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaStatusCodeError
from cryptography.exceptions import InvalidSignature

from gateway.opcua import budget
from gateway.opcua.commissioning import Commissioning
from gateway.opcua.crowd import Standing
from gateway.opcua.decode import Bounded
from gateway.opcua.login import Login
from gateway.opcua.pki import split
from gateway.opcua.sessions import Session
from gateway.opcua.trust import Trust

MAX_CHUNK = 65535
MAX_REQUEST = 1 << 18
"""Bytes of a request; an answer may have as many as ``budget`` says."""
MIN_BUFFER = 8192
"""The least that the standard lets a client offer; one byte would turn each answer into thousands of chunks."""
MAX_UNREAD, MAX_UNREAD_OF_STRANGERS = 1 << 20, 1 << 16
"""Bytes of answers that wait for the client to read them."""
MIN_LIFETIME_MS, MAX_LIFETIME_MS = 10_000, 3_600_000
"""Of a channel's keys; a client that asks for nothing, or for for ever, gets an hour."""
NONCE = 32
"""Bytes, at least."""


def _requests(*names: str) -> frozenset[ua.NodeId]:
    return frozenset(ua.NodeId(ua.Int32(getattr(ObjectIds, f"{n}Request_Encoding_DefaultBinary"))) for n in names)


#: All that is answered on a channel without security: what a client needs to find out how to open a secure one.
_DISCOVERY = _requests("FindServers", "GetEndpoints", "CloseSecureChannel")
#: Would let a stranger make this server a directory of others.
_REFUSED = _requests("RegisterServer", "RegisterServer2")
_CREATE_SESSION = _requests("CreateSession")
_ACTIVATE_SESSION = _requests("ActivateSession")
_BROWSE_NEXT = _requests("BrowseNext")

_log = structlog.get_logger("opcua")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """All that decides who comes in."""

    trust: Trust
    login: Login
    commissioning: Commissioning


class TrustingFactory(security_policies.SecurityPolicyFactory):
    """Checks the client's certificate when the channel is opened, not only when a session is made."""

    def __init__(self, plain: security_policies.SecurityPolicyFactory, admit: Callable[[bytes | None], bytes]) -> None:
        """Take the library's factory, and who returns the client's own certificate of what was sent, or refuses it."""
        super().__init__(  # type: ignore[no-untyped-call]
            plain.cls, plain.mode, plain.certificate, plain.private_key, plain.permission_ruleset, plain.certificate_chain
        )
        self._admit = admit

    def create(self, peer_certificate: bytes | None) -> Any:
        """Return the policy of one channel; ServiceError when the certificate is refused."""
        return super().create(self._admit(peer_certificate))  # type: ignore[no-untyped-call]


class Connection(SecureConnection):
    """A channel whose keys have a bounded lifetime; the library takes any, and never ends one."""

    ends = math.inf
    """Monotonic seconds at which a client that has not renewed is let go: its lifetime and a quarter more."""

    def open(self, params: Any, server: Any) -> ua.OpenSecureChannelResult:
        """Open or renew."""
        asked = params.RequestedLifetime or MAX_LIFETIME_MS
        params.RequestedLifetime = min(max(asked, MIN_LIFETIME_MS), MAX_LIFETIME_MS)
        self.ends = time.monotonic() + params.RequestedLifetime * 1.25 / 1000
        return super().open(params, server)


class Processor(UaProcessor):
    """Answers one connection: only discovery without security, one session, and nobody who does not read."""

    def __init__(self, iserver: InternalServer, transport: Any, limits: TransportLimits, gate: Gate) -> None:
        """Take what the library wants, and who decides who comes in."""
        super().__init__(iserver, transport, limits)
        plain = security_policies.SecurityPolicyNone()  # type: ignore[no-untyped-call]
        self._connection: Connection = Connection(plain, self._limits)
        self._gate = gate
        self._address = str(self.name[0])
        self._sent: bytes | None = None
        self._known = False

    def set_policies(self, policies: list[security_policies.SecurityPolicyFactory]) -> None:
        """Take what channels clients may open."""
        super().set_policies([TrustingFactory(p, self._admit) for p in policies])  # type: ignore[no-untyped-call]

    def _admit(self, sent: bytes | None) -> bytes:
        verdict = self._gate.trust.admit(sent, local=is_local(self._address), address=self._address)
        if verdict.status:
            raise ServiceError(int(getattr(StatusCodes, verdict.told)))
        self._sent, self._known = sent, verdict.known
        return split(sent or b"")[0]

    @property
    def _mode(self) -> ua.MessageSecurityMode:
        return self._connection.security_policy.Mode

    @property
    def _secure(self) -> bool:
        return self._mode in (ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt)

    @property
    def standing(self) -> Standing:
        """Return what the client has shown so far."""
        if self.session is not None and self.session.is_activated():
            return Standing.LIVE
        return Standing.CHANNEL if self._known and self._connection.is_open() else Standing.SOCKET

    def unfit(self) -> str:
        """Return why this connection must end although nobody has said anything; '' when it may stay."""
        if time.monotonic() > self._connection.ends:
            return "the client has not renewed its channel"
        if self._secure:
            verdict = self._gate.trust.judge(self._sent, local=is_local(self._address))
            if verdict.status:
                return f"its certificate is no longer accepted: {verdict.reason}"
            if self._known and not verdict.known:
                return "its certificate is no longer trusted"
            self._known = verdict.known
        elif self.session is not None and not self._gate.commissioning.active:
            return "commissioning is over"
        return ""

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
        whole = bytes(body)
        asked = ua_binary.struct_from_binary(ua.OpenSecureChannelRequest, Bounded(whole)).Parameters
        is_open = self._connection.is_open()
        if (asked.RequestType == ua.SecurityTokenRequestType.Renew) != is_open:
            raise ServiceError(StatusCodes.BadRequestTypeInvalid)
        if is_open and asked.SecurityMode != self._mode:
            raise ServiceError(StatusCodes.BadSecurityModeRejected)
        if is_open and self._secure:
            self._admit(self._sent)
        if algohdr.SecurityPolicyURI != security_policies.SecurityPolicyNone.URI and len(asked.ClientNonce or b"") < NONCE:
            raise ServiceError(StatusCodes.BadNonceInvalid)
        super().open_secure_channel(algohdr, seqhdr, Bounded(whole))  # type: ignore[no-untyped-call]

    async def process_message(self, seqhdr: Any, body: Any) -> Any:
        """Answer one request. Decoding takes seconds a megabyte: more than a chunk is for users with a name."""
        session = self.session
        known = isinstance(session, Session) and session.is_activated() and session.user_name
        if len(body) > (MAX_REQUEST if known else MAX_CHUNK):
            raise ServiceError(StatusCodes.BadRequestTooLarge)
        return await super().process_message(seqhdr, Bounded(bytes(body)))  # type: ignore[no-untyped-call]

    async def _process_message(self, typeid: ua.NodeId, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        discovery = typeid in _DISCOVERY
        if typeid in _REFUSED or not (self._secure or discovery or self._gate.commissioning.active):
            raise ServiceError(StatusCodes.BadSecurityModeInsufficient)
        if typeid in _CREATE_SESSION:
            self._check_new_session(ua_binary.struct_from_binary(ua.CreateSessionParameters, body.copy()))
        elif typeid in _ACTIVATE_SESSION:
            params = ua_binary.struct_from_binary(ua.ActivateSessionParameters, body.copy())
            await self._check_user(params, requesthdr.AuthenticationToken)
        elif not discovery and self.session is not None:
            self._check_session(self.session, requesthdr.AuthenticationToken)
        budget.check_count(typeid, body)
        if typeid in _BROWSE_NEXT:
            return await self._browse_next(requesthdr, seqhdr, body)
        going_on = await super()._process_message(typeid, requesthdr, seqhdr, body)  # type: ignore[no-untyped-call]
        if isinstance(self.session, Session):
            if typeid in _CREATE_SESSION:
                self.session.certificate = self._leaf
            elif typeid in _ACTIVATE_SESSION:
                self.session.carrier = self
                self.session.read_only = not (self._secure and self._known)
        return going_on

    # --- sessions --------------------------------------------------------------------------------------------------------

    @property
    def _leaf(self) -> bytes:
        return split(self._sent)[0] if self._secure and self._sent else b""

    def _check_new_session(self, params: ua.CreateSessionParameters) -> None:
        # A second session would leave the first without an owner until its time is over.
        if self.session is not None and self.session.state is not SessionState.Closed:
            raise ServiceError(StatusCodes.BadTooManySessions)
        if not self._secure:
            return
        if len(params.ClientNonce or b"") < NONCE:
            raise ServiceError(StatusCodes.BadNonceInvalid)
        if split(params.ClientCertificate or b"")[0] != self._leaf:
            raise ServiceError(StatusCodes.BadSecurityChecksFailed)
        uri = params.ClientDescription.ApplicationUri
        if (verdict := self._gate.trust.uri_refusal(self._leaf, uri)) is not None:
            self._gate.trust.refused(self._leaf, verdict, self._address)
            raise ServiceError(StatusCodes.BadCertificateUriInvalid)

    def _check_session(self, session: Any, token: ua.NodeId) -> None:
        """Refuse a request that was meant for another session, or that comes where the session has moved away."""
        moved = isinstance(session, Session) and session.carrier not in (None, self)
        if token != session.auth_token or moved:
            raise ServiceError(StatusCodes.BadSessionIdInvalid)

    async def _check_user(self, params: ua.ActivateSessionParameters, token: ua.NodeId) -> None:
        """Find out who the user is; everything is checked before the library lets this connection have the session."""
        session = self.session or self.iserver.lookup_external_session(token)
        if not isinstance(session, Session) or token != session.auth_token or session.state is SessionState.Closed:
            raise ServiceError(StatusCodes.BadSessionIdInvalid)
        if session.certificate != self._leaf:
            raise ServiceError(StatusCodes.BadSecurityChecksFailed)
        policy, nonce = self._connection.security_policy, session.nonce or b""
        try:
            signature = params.ClientSignature.Signature or b""
            signed = (policy.host_certificate or b"") + nonce
            policy.asymmetric_cryptography.verify(signed, signature)  # type: ignore[no-untyped-call]
        except InvalidSignature:
            raise ServiceError(StatusCodes.BadApplicationSignatureInvalid) from None
        key = self.iserver.private_key
        account = await self._gate.login.user(
            params.UserIdentityToken, peer=self._address, nonce=nonce, key=key, mode=self._mode
        )
        was = session.account
        if was is not None and session.carrier not in (None, self) and was.name != account.name:
            raise ServiceError(StatusCodes.BadIdentityChangeNotSupported)
        session.admitted = account

    async def _browse_next(self, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        if not isinstance(self.session, Session) or not self.session.is_activated():
            raise ServiceError(StatusCodes.BadSessionNotActivated)
        self.session.touch()
        params = ua_binary.struct_from_binary(ua.BrowseNextParameters, body)
        response = ua.BrowseNextResponse()
        response.Parameters.Results = await self.session.browse_next(params)
        self.send_response(requesthdr.RequestHandle, seqhdr, response)
        return True

    # --- answers ---------------------------------------------------------------------------------------------------------

    def get_publish_request(self, subscription_id: ua.UInt32) -> Any:
        """Return the request that a message of a subscription may answer; None while the client has enough to read."""
        if self._transport.get_write_buffer_size() <= MAX_UNREAD // 2:
            return super().get_publish_request(subscription_id)
        self._publish_results_subs[subscription_id] = True
        return None

    def send_response(self, *args: Any, **kwargs: Any) -> None:
        """Send an answer, unless too much of earlier ones still waits for the client to read it."""
        bearable = MAX_UNREAD if self.standing is Standing.LIVE else min(MAX_UNREAD, MAX_UNREAD_OF_STRANGERS)
        if self._transport.get_write_buffer_size() > bearable:
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

    def end(self) -> None:
        """Close the connection now; its session, if it has one, has ended or waits for another connection."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()


def is_local(host: str) -> bool:
    """Return whether a peer's address is this machine's loopback."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
