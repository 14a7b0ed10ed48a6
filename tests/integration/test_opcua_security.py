"""Who is let in over real sockets, what each user may do, and that whoever lost a right loses it at once."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import pytest_asyncio
from asyncua import Client, ua
from asyncua.crypto import uacrypto
from asyncua.crypto.security_policies import (
    SecurityPolicy,
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import BadSecurityModeInsufficient

from gateway.opcua import access, channel, guard, hardened
from gateway.opcua.access import Role, account, editing
from gateway.opcua.commissioning import ask, running_until, switch_off
from gateway.opcua.security import OwnCertificate
from tests.integration.opcua_stand import (
    APPLICATION,
    PASSWORD,
    UP,
    VALUES,
    OpcUaStand,
    node,
    nothing_left,
    opcua_stand,
    raw,
    read,
    string,
    until,
)
from tests.opcua_authority import DAY, Authority, certificate, der, on_disk, rsa_key

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICIES = [SecurityPolicyBasic256Sha256, SecurityPolicyAes128Sha256RsaOaep, SecurityPolicyAes256Sha256RsaPss]
SIGN, ENCRYPT = ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt
MODES = [SIGN, ENCRYPT]
NOW = datetime.now(UTC)
CLOSED = -1
"""No status: the connection was closed."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpcUaStand]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "EVERY_S", 0.05)
        async with opcua_stand(tmp_path_factory.mktemp("opcua")) as running:
            await running.show(UP, VALUES)
            yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_left(stand: OpcUaStand) -> AsyncIterator[None]:
    async with nothing_left(stand):
        yield


@pytest.fixture
def trusted(stand: OpcUaStand) -> Iterator[Path]:
    """Return the folder of trusted certificates; afterwards it and its neighbours are as they were."""
    folders = [stand.pki / name for name in ("trusted/certs", "trusted/crl", "issuer/certs", "issuer/crl", "rejected")]
    before = {f: f.read_bytes() for folder in folders for f in folder.iterdir()}
    stand.server._server._gate.trust.pki._kept.clear()
    yield folders[0]
    for file in [f for folder in folders for f in folder.iterdir()]:
        file.unlink()
    for file, body in before.items():
        file.write_bytes(body)


async def outcome(stand: OpcUaStand, own: OwnCertificate, **how: Any) -> int:
    try:
        return await stand.refused(own=own, **how)
    except (ConnectionError, TimeoutError):
        return CLOSED


# --- certificates ---------------------------------------------------------------------------------------------------------

PLANT, ROOT = Authority("Plant"), Authority("Root")
LINE = Authority("Line", parent=ROOT)
REVOKED = certificate("revoked", issuer=PLANT, uri="urn:client")
WORTH = {
    "issued by the authority": (certificate("c", issuer=PLANT, uri="urn:client"), 0),
    "issued below it": (certificate("c", issuer=LINE, uri="urn:client"), 0),
    "self-signed": (certificate("c", uri="urn:client"), StatusCodes.BadSecurityChecksFailed),
    "stolen": (certificate("c", issuer=PLANT, uri="urn:client", key=rsa_key("owner")), CLOSED),
    "expired": (
        certificate("c", issuer=PLANT, uri="urn:client", begin=NOW - 2 * DAY, end=NOW - DAY),
        StatusCodes.BadCertificateTimeInvalid,
    ),
    "not yet valid": (
        certificate("c", issuer=PLANT, uri="urn:client", begin=NOW + DAY / 2),
        StatusCodes.BadCertificateTimeInvalid,
    ),
    "of another application": (certificate("c", issuer=PLANT, uri="urn:other"), StatusCodes.BadCertificateUriInvalid),
    "without an application": (certificate("c", issuer=PLANT), StatusCodes.BadCertificateUriInvalid),
    "revoked": (REVOKED, StatusCodes.BadSecurityChecksFailed),
}


@pytest.fixture
def plant(stand: OpcUaStand, trusted: Path) -> None:
    """Let the server trust the plant's authority, and the root above the line's."""
    for name, authority, revoked in (("plant", PLANT, [REVOKED]), ("root", ROOT, []), ("line", LINE, [])):
        (stand.pki / "trusted" / "crl" / f"{name}.crl").write_bytes(authority.crl(*revoked))
        if authority is not LINE:
            (trusted / f"{name}.der").write_bytes(der(authority.certificate))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.usefixtures("plant")
async def test_each_certificate_gets_what_it_is_worth(
    stand: OpcUaStand, policy: type[SecurityPolicy], mode: ua.MessageSecurityMode, tmp_path: Path
) -> None:
    got = {}
    for name, (of, _) in WORTH.items():
        chain = [der(LINE.certificate)] if name == "issued below it" else []
        got[name] = await outcome(stand, on_disk(tmp_path, of), policy=policy, mode=mode, chain=chain)
    assert got == {name: expected for name, (_, expected) in WORTH.items()}


@pytest.mark.parametrize("policy", POLICIES)
async def test_no_certificate_opens_nothing(stand: OpcUaStand, policy: type[SecurityPolicy]) -> None:
    for sent in (None, b""):
        async with raw(stand) as client:
            assert await client.hello() == b"ACK"
            body = struct.pack("<I", 0) + string(policy.URI) + string(sent) + string(b"\0" * 20) + bytes(256)
            client.send(b"OPNF", body)
            assert await client.error() == StatusCodes.BadSecurityChecksFailed


async def test_an_authority_counts_from_the_moment_its_files_lie_there(
    stand: OpcUaStand, trusted: Path, tmp_path: Path
) -> None:
    mine = on_disk(tmp_path, WORTH["issued by the authority"][0])
    refused, let_in = StatusCodes.BadSecurityChecksFailed, 0
    crl = stand.pki / "issuer" / "crl" / "plant.crl"

    async def now() -> int:
        return await stand.refused(own=mine)

    assert await now() == refused
    (trusted / "plant.der").write_bytes(der(PLANT.certificate))
    assert await now() == refused, "nobody knows what it has revoked"
    crl.write_bytes(PLANT.crl())
    assert await now() == let_in
    crl.write_bytes(PLANT.crl(next_update=NOW - timedelta(seconds=1)))
    assert await now() == refused, "its list is outdated"
    reasons = {why.status for _, why in stand.server._server._gate.trust.pki.rejected() if why is not None}
    assert reasons == {"BadCertificateRevocationUnknown"}


async def test_a_refused_certificate_is_kept_with_its_reason_and_moving_it_lets_its_client_in(
    stand: OpcUaStand, trusted: Path
) -> None:
    (trusted / "client.der").rename(stand.pki / "issuer" / "certs" / "elsewhere.der")
    (trusted / "other.der").write_bytes(der(certificate("other")))
    assert await stand.refused() == StatusCodes.BadSecurityChecksFailed
    (kept,) = (stand.pki / "rejected").glob("*.der")
    assert kept.read_bytes() == stand.own.certificate.read_bytes()
    assert "gateway opcua trust" in kept.with_suffix(".json").read_text()
    kept.rename(trusted / kept.name)
    assert await stand.refused() == 0


async def test_while_nobody_is_trusted_this_machine_s_clients_may_read_and_no_more(stand: OpcUaStand, trusted: Path) -> None:
    body = (trusted / "client.der").read_bytes()
    (trusted / "client.der").unlink()
    async with stand.connected(user="engineer") as client:
        assert role_of(stand) is Role.OBSERVER, "the certificate of an engineer must be trusted"
        (trusted / "client.der").write_bytes(body)
        assert (await read(client, "Status.Heartbeat"))[0].Value is not None
    async with stand.connected(user="engineer"):
        assert role_of(stand) is Role.ENGINEER


async def test_a_client_whose_trust_is_taken_back_is_out_within_a_second(stand: OpcUaStand, trusted: Path) -> None:
    client = await stand.client()
    await client.connect()
    assert role_of(stand) is Role.OBSERVER
    (trusted / "client.der").write_bytes(der(certificate("another")))
    await until(lambda: not stand.iserver.sessions(), "the session ends")
    await until(lambda: not stand.iserver.asyncio_transports, "and the connection")
    with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
        await read(client, "Status.Heartbeat")
    await gone(client)


async def test_a_client_that_is_no_longer_trusted_cannot_renew_its_channel(
    stand: OpcUaStand, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel.Processor, "unfit", lambda self: "")  # what the guard would find first
    client = await stand.client()
    await client.connect()
    await client.open_secure_channel(renew=True)
    (trusted / "client.der").write_bytes(der(certificate("another")))
    with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
        await client.open_secure_channel(renew=True)
    await gone(client)


async def gone(client: Client) -> None:
    """Let go of a client that the server has let go of."""
    with contextlib.suppress(ua.UaError, ConnectionError, TimeoutError):
        await client.disconnect()


def role_of(stand: OpcUaStand) -> Role:
    (session,) = stand.iserver.sessions()
    return session.role


# --- channels -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", MODES)
async def test_each_policy_signs_and_encrypts(
    stand: OpcUaStand, policy: type[SecurityPolicy], mode: ua.MessageSecurityMode
) -> None:
    async with stand.connected(policy=policy, mode=mode) as client:
        assert client.security_policy.Mode == mode
        assert (await read(client, "Status.Heartbeat"))[0].Value is not None


async def test_without_security_there_is_discovery_and_nothing_else(stand: OpcUaStand) -> None:
    endpoints = await stand.plain().connect_and_get_server_endpoints()
    assert {(e.SecurityPolicyUri.rpartition("#")[2], e.SecurityMode) for e in endpoints} == {
        (name, mode) for name in ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss") for mode in MODES
    }
    assert {t.TokenType for e in endpoints for t in e.UserIdentityTokens} == {ua.UserTokenType.UserName}
    assert {e.Server.ApplicationUri for e in endpoints} == {APPLICATION}
    async with bare(stand) as client:
        assert [s.ApplicationUri for s in await client.find_servers()] == [APPLICATION]
        with pytest.raises(BadSecurityModeInsufficient):
            await client.create_session()
        with pytest.raises(BadSecurityModeInsufficient):
            await client.register_server(stand.server._server)


@contextlib.asynccontextmanager
async def bare(stand: OpcUaStand, client: Client | None = None) -> AsyncIterator[Client]:
    """Open a channel, without security unless ``client`` has some, and make no session."""
    client = client or stand.plain()
    await client.connect_socket()
    try:
        await client.send_hello()
        await client.open_secure_channel()
        yield client
        with contextlib.suppress(ua.UaError, ConnectionError, TimeoutError):
            await client.close_secure_channel()
    finally:
        client.disconnect_socket()


async def test_a_discovery_url_that_would_be_repeated_is_bounded(stand: OpcUaStand) -> None:
    async with bare(stand) as client:
        with pytest.raises(ua.uaerrors.BadTcpEndpointUrlInvalid):
            await client.uaclient.get_endpoints(ua.GetEndpointsParameters(EndpointUrl="opc.tcp://" + "x" * 10_000))


@pytest.mark.parametrize(("asked", "given"), [(0, 3_600_000), (1, 10_000), (60_000, 60_000), (2**32 - 1, 3_600_000)])
async def test_the_lifetime_of_a_channel_is_bounded(stand: OpcUaStand, asked: int, given: int) -> None:
    client = stand.plain()
    client.secure_channel_timeout = asked
    async with bare(stand, client):
        (protocol,) = stand.server._server.bserver.clients
        assert protocol.processor._connection.security_token.RevisedLifetime == given


async def test_a_channel_that_is_not_renewed_ends(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MAX_LIFETIME_MS", 100)
    monkeypatch.setattr(channel, "MIN_LIFETIME_MS", 100)
    async with raw(stand) as client:
        assert await client.hello() == b"ACK"
        opening = struct.pack("<I", 0) + string(channel.security_policies.SecurityPolicyNone.URI) + string(None) * 2
        client.send(b"OPNF", opening + struct.pack("<II", 1, 1) + open_request(renew=False))
        assert await client.kind() == b"OPN"
        assert await client.closed()


def open_request(*, renew: bool, lifetime: int = 100) -> bytes:
    header = struct.pack("<BBH", 1, 0, ua.ObjectIds.OpenSecureChannelRequest_Encoding_DefaultBinary) + b"\0\0"
    header += struct.pack("<qIIiI", 0, 1, 0, -1, 0) + b"\0\0\0"
    return header + struct.pack("<Iii", 0, int(renew), 1) + string(None) + struct.pack("<I", lifetime)


async def test_a_channel_is_opened_once_and_renewed_only_when_open(stand: OpcUaStand) -> None:
    opening = struct.pack("<I", 0) + string(channel.security_policies.SecurityPolicyNone.URI) + string(None) * 2
    for first, second in ((True, None), (False, False)):
        async with raw(stand) as client:
            assert await client.hello() == b"ACK"
            client.send(b"OPNF", opening + struct.pack("<II", 1, 1) + open_request(renew=first))
            if second is not None:
                assert await client.kind() == b"OPN"
                client.send(b"OPNF", opening + struct.pack("<II", 2, 2) + open_request(renew=second))
            assert await client.error() == StatusCodes.BadRequestTypeInvalid


# --- sessions -------------------------------------------------------------------------------------------------------------


async def test_session_tokens_cannot_be_guessed_and_a_channel_has_one_session(stand: OpcUaStand) -> None:
    tokens = []
    for _ in range(2):
        async with bare(stand, await stand.client()) as client:
            tokens.append((await client.create_session()).AuthenticationToken)
            with pytest.raises(ua.uaerrors.BadTooManySessions):
                await client.create_session()
    assert all(t.NodeIdType is ua.NodeIdType.ByteString and len(t.Identifier) == 32 for t in tokens)
    assert tokens[0].Identifier != tokens[1].Identifier


async def test_a_request_with_another_session_s_token_is_refused(stand: OpcUaStand) -> None:
    async with stand.connected() as client, stand.connected() as other:
        mine = client.uaclient.session.authentication_token
        for token in (other.uaclient.session.authentication_token, ua.NodeId(7), ua.NodeId()):
            client.uaclient.session.restore_authentication_token(token)
            with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
                await node(client, "Status.Heartbeat").read_value()
        client.uaclient.session.restore_authentication_token(mine)
        assert await node(client, "Status.Heartbeat").read_value() is not None


async def test_sessions_are_limited_by_address_and_altogether(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("MAX_SESSIONS_PER_PEER", "MAX_SESSIONS"):
        with monkeypatch.context() as patch:
            patch.setattr(hardened, limit, 1)
            async with stand.connected():
                assert await stand.refused() == StatusCodes.BadTooManySessions
            await until(lambda: not stand.iserver.sessions(), "it has ended")
            assert await stand.refused() == 0


@pytest.mark.parametrize("asked", [float("nan"), float("inf"), -float("inf"), -1.0, 0.0])
async def test_a_time_limit_of_a_session_that_is_none_is_not_taken(stand: OpcUaStand, asked: float) -> None:
    client = await stand.client()
    client.session_timeout = asked
    async with bare(stand, client):
        made = await client.create_session()
        assert made.RevisedSessionTimeout == stand.iserver.min_session_timeout_ms


async def test_a_session_goes_on_over_another_connection_when_its_first_one_dies(stand: OpcUaStand) -> None:
    first, second = await stand.client(), await stand.client()
    await first.connect()
    await take_over(second, first)
    await second.activate_session(username="viewer", password=stand.password)
    with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
        await read(first, "Status.Heartbeat")  # it has moved
    first.disconnect_socket()
    await until(lambda: len(stand.iserver.asyncio_transports) == 1, "the first connection is gone")
    assert (await read(second, "Status.Heartbeat"))[0].Value is not None
    await second.close_session()
    await second.close_secure_channel()
    second.disconnect_socket()
    await gone(first)


async def take_over(second: Client, first: Client) -> None:
    await second.connect_socket()
    await second.send_hello()
    await second.open_secure_channel()
    second.uaclient.session.restore_authentication_token(first.uaclient.session.authentication_token)
    second._server_nonce = first._server_nonce
    second._policy_ids = first._policy_ids


async def test_a_session_cannot_be_taken_over_with_another_certificate_or_by_another_user(
    stand: OpcUaStand, trusted: Path, tmp_path: Path
) -> None:
    other = certificate("other", uri="urn:client", key=rsa_key("other"))
    (trusted / "other.der").write_bytes(der(other))
    stranger = await stand.client(own=on_disk(tmp_path, other, rsa_key("other")))
    async with stand.connected() as first:
        await take_over(stranger, first)
        with pytest.raises(ua.uaerrors.BadSecurityChecksFailed):
            await stranger.activate_session(username="viewer", password=stand.password)
        stranger.disconnect_socket()
        colleague = await stand.client()
        await take_over(colleague, first)
        with pytest.raises(ua.uaerrors.BadIdentityChangeNotSupported):
            await colleague.activate_session(username="engineer", password=PASSWORD)
        colleague.disconnect_socket()
        assert (await read(first, "Status.Heartbeat"))[0].Value is not None, "and the session has noticed nothing"
    await gone(stranger)
    await gone(colleague)


async def test_subscriptions_end_with_their_session_even_when_the_client_would_keep_them(stand: OpcUaStand) -> None:
    class Told:
        def datachange_notification(self, *change: object) -> None: ...

    client = await stand.client()
    await client.connect()
    await client.create_subscription(1000, Told())
    assert stand.iserver.subscription_service.subscriptions
    await client.uaclient.close_session(False)
    assert not stand.iserver.subscription_service.subscriptions
    await gone(client)


# --- users ----------------------------------------------------------------------------------------------------------------


async def test_anonymous_is_refused(stand: OpcUaStand) -> None:
    assert await stand.refused(user="") == StatusCodes.BadIdentityTokenRejected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("user", "password"), [("viewer", "wrong"), ("nobody", None), ("admin", "admin")])
async def test_a_wrong_user_or_password_is_refused(
    stand: OpcUaStand, user: str, password: str | None, mode: ua.MessageSecurityMode
) -> None:
    assert await stand.refused(user=user, password=password, mode=mode) == StatusCodes.BadUserAccessDenied


async def test_no_password_is_refused(stand: OpcUaStand) -> None:
    assert await stand.refused(password="") == StatusCodes.BadUserAccessDenied


async def test_guessing_ends_after_some_failures(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "FAILED_LOGINS_PER_PEER", 3)
    monkeypatch.setattr(stand.server._server._gate.login, "_logins", access.FailedLogins())
    assert await stand.refused() == 0
    assert await stand.refused(user="") == StatusCodes.BadIdentityTokenRejected, "which is no guess"
    for _ in range(3):
        assert await stand.refused(password="guess") == StatusCodes.BadUserAccessDenied
    assert await stand.refused() == StatusCodes.BadUserAccessDenied, "even the right one must wait now"


async def tried(stand: OpcUaStand, mode: ua.MessageSecurityMode, token: ua.UserNameIdentityToken, *, old: bool = False) -> int:
    """Return the status with which a session is activated by this token; encrypted for it, or for an old one."""
    async with bare(stand, await stand.client(mode=mode)) as client:
        await client.create_session()
        nonce = b"\7" * 32 if old else client._server_nonce
        if token.EncryptionAlgorithm:
            body = struct.pack("<I", len(token.Password) + 32) + token.Password + nonce
            encrypt = uacrypto.encrypt_rsa15 if token.EncryptionAlgorithm.endswith("1_5") else uacrypto.encrypt_rsa_oaep
            token.Password = encrypt(stand.iserver.certificate.public_key(), body)
        signed = client.security_policy.asymmetric_cryptography.signature(
            uacrypto.der_from_x509(stand.iserver.certificate) + client._server_nonce
        )
        signature = ua.SignatureData(Algorithm=client.security_policy.AsymmetricSignatureURI, Signature=signed)
        try:
            await client.uaclient.activate_session(
                ua.ActivateSessionParameters(UserIdentityToken=token, ClientSignature=signature)
            )
        except ua.UaStatusCodeError as error:
            return int(error.code)
        finally:
            await client.close_session()
        return 0


def token(password: str, algorithm: str | None) -> ua.UserNameIdentityToken:
    return ua.UserNameIdentityToken(
        PolicyId="username", UserName="engineer", Password=password.encode(), EncryptionAlgorithm=algorithm
    )


OAEP = "http://www.w3.org/2001/04/xmlenc#rsa-oaep"


async def test_a_password_goes_encrypted_over_a_channel_that_only_signs(stand: OpcUaStand) -> None:
    endpoints = await stand.plain().connect_and_get_server_endpoints()
    for endpoint in endpoints:
        (policy,) = endpoint.UserIdentityTokens
        if endpoint.SecurityMode == SIGN:
            assert policy.SecurityPolicyUri == endpoint.SecurityPolicyUri, "which asks for it to be encrypted"
    assert await tried(stand, SIGN, token(PASSWORD, OAEP)) == 0
    assert await tried(stand, SIGN, token(PASSWORD, None)) == StatusCodes.BadIdentityTokenRejected
    assert await tried(stand, ENCRYPT, token(PASSWORD, None)) == 0, "the channel encrypts it"


async def test_a_password_that_was_recorded_cannot_be_played_back(stand: OpcUaStand) -> None:
    for mode in MODES:
        assert await tried(stand, mode, token(PASSWORD, OAEP), old=True) == StatusCodes.BadIdentityTokenInvalid


async def test_a_password_under_rsa_15_is_refused(stand: OpcUaStand) -> None:
    rsa15 = "http://www.w3.org/2001/04/xmlenc#rsa-1_5"
    assert await tried(stand, ENCRYPT, token(PASSWORD, rsa15)) == StatusCodes.BadIdentityTokenRejected


async def test_a_session_without_the_client_s_signature_is_not_activated(stand: OpcUaStand) -> None:
    async with bare(stand, await stand.client()) as client:
        await client.create_session()
        for signature in (None, b"", b"x" * 256):
            asked = ua.ActivateSessionParameters(
                UserIdentityToken=token(PASSWORD, None), ClientSignature=ua.SignatureData(Signature=signature)
            )
            with pytest.raises(ua.uaerrors.BadApplicationSignatureInvalid):
                await client.uaclient.activate_session(asked)
        await client.close_session()


async def test_users_change_without_a_restart(stand: OpcUaStand) -> None:
    def store(role: Role | None, password: str) -> None:
        with editing(stand.folder / "users.json") as accounts:
            accounts.pop("guest", None)
            if role is not None:
                accounts["guest"] = account("guest", role, password)

    assert await stand.refused(user="guest", password="one") == StatusCodes.BadUserAccessDenied
    store(Role.OPERATOR, "one")
    client = await stand.client(user="guest", password="one")
    await client.connect()
    assert role_of(stand) is Role.OPERATOR
    store(None, "")
    await until(lambda: not stand.iserver.sessions(), "a removed user's session ends")
    await until(lambda: not stand.iserver.asyncio_transports, "and its connection")
    await gone(client)
    assert await stand.refused(user="guest", password="one") == StatusCodes.BadUserAccessDenied
    store(Role.OBSERVER, "one")
    client = await stand.client(user="guest", password="one")
    await client.connect()
    store(Role.OBSERVER, "two")
    await until(lambda: not stand.iserver.sessions(), "and when the password is another")
    await gone(client)
    store(None, "")


async def test_a_role_that_is_changed_counts_in_the_session_at_once(stand: OpcUaStand) -> None:
    async with stand.connected(user="operator"):
        assert role_of(stand) is Role.OPERATOR
        with editing(stand.folder / "users.json") as accounts:
            was = accounts["operator"]
            accounts["operator"] = access.Account(name=was.name, role=Role.OBSERVER, salt=was.salt, scrypt=was.scrypt)
        await until(lambda: role_of(stand) is Role.OBSERVER, "the role is another")
        with editing(stand.folder / "users.json") as accounts:
            accounts["operator"] = was


async def monitored(client: Client, *what: tuple[ua.NodeId, int]) -> list[int]:
    """Ask to monitor attributes and return what became of each."""
    made = await client.create_subscription(1000, mock.Mock())
    params = ua.CreateMonitoredItemsParameters(
        SubscriptionId=made.subscription_id,
        TimestampsToReturn=ua.TimestampsToReturn.Both,
        ItemsToCreate=[
            ua.MonitoredItemCreateRequest(ItemToMonitor=ua.ReadValueId(node, attribute)) for node, attribute in what
        ],
    )
    return [int(r.StatusCode.value) for r in await client.uaclient.create_monitored_items(params)]


async def test_each_user_is_told_what_he_may_do(stand: OpcUaStand) -> None:
    writable = {"Cmd.TestRun": Role.OPERATOR, "Status.Ready": None}
    for user, role in (("viewer", Role.OBSERVER), ("operator", Role.OPERATOR), ("engineer", Role.ENGINEER)):
        async with stand.connected(user=user) as client:
            for path, least in writable.items():
                tag = node(client, path)
                level = (await tag.read_attribute(ua.AttributeIds.UserAccessLevel)).Value.Value
                assert bool(level & 2) == (least is not None and role >= least), (user, path)
                assert level & 1
                assert (await tag.read_attribute(ua.AttributeIds.UserWriteMask)).Value.Value == 0
            get_items = client.get_node(ua.NodeId(ua.ObjectIds.Server_GetMonitoredItems))
            (may,) = await client.read_attributes([get_items], ua.AttributeIds.UserExecutable)
            assert may.Value.Value is False, "which is not served here"
            codes = await monitored(
                client, (tag.nodeid, ua.AttributeIds.UserAccessLevel), (get_items.nodeid, ua.AttributeIds.UserExecutable)
            )
            assert codes == [StatusCodes.BadNotSupported] * 2, "each user's own: there is no one value to monitor"


# --- commissioning --------------------------------------------------------------------------------------------------------


async def test_commissioning_opens_reading_without_security_and_closes_it_again(stand: OpcUaStand) -> None:
    mode = stand.server._server._gate.commissioning
    told: list[bool] = []
    mode.listeners.append(told.append)
    client = stand.plain()
    with pytest.raises(BadSecurityModeInsufficient):
        await client.connect()
    await gone(client)
    ask(stand.pki, 30)
    await until(lambda: mode.active, "it begins")
    assert running_until(stand.pki)
    endpoints = await stand.plain().connect_and_get_server_endpoints()
    (open_one,) = [e for e in endpoints if e.SecurityMode == ua.MessageSecurityMode.None_]
    assert [t.TokenType for t in open_one.UserIdentityTokens] == [ua.UserTokenType.Anonymous]
    client = stand.plain()
    await client.connect()
    assert (await read(client, "Status.Heartbeat"))[0].Value is not None
    assert [v.Value.Value for v in await read(client, "Status.Commissioning")] == [True]
    await nobody_writes(stand, client)
    async with stand.connected(user="operator"):
        roles = {session.user_name: session.role for session in stand.iserver.sessions()}
        assert roles == {"": Role.OBSERVER, "operator": Role.OPERATOR}, "who is let in as always may do what he always may"
    switch_off(stand.pki)
    await until(lambda: not stand.iserver.sessions(), "the sessions of the mode end with it")
    await until(lambda: not stand.iserver.asyncio_transports, "and their connections")
    await gone(client)
    assert told == [True, False]
    mode.listeners.remove(told.append)
    async with stand.connected() as client:
        assert [v.Value.Value for v in await read(client, "Status.Commissioning")] == [False]
    client = stand.plain()
    with pytest.raises(BadSecurityModeInsufficient):
        await client.connect()
    await gone(client)


async def nobody_writes(stand: OpcUaStand, client: Client) -> None:
    assert role_of(stand) is Role.OBSERVER
    tag = node(client, "Cmd.TestRun")
    assert (await tag.read_attribute(ua.AttributeIds.UserAccessLevel)).Value.Value == 1
    with pytest.raises(ua.uaerrors.BadUserAccessDenied):
        await tag.write_attribute(ua.AttributeIds.Value, ua.DataValue(ua.Variant(True, ua.VariantType.Boolean)))


async def test_no_name_and_password_go_over_a_channel_without_security(stand: OpcUaStand) -> None:
    ask(stand.pki, 30)
    await until(lambda: stand.server._server._gate.commissioning.active, "it begins")
    async with bare(stand) as client:
        await client.create_session()
        for algorithm in (None, OAEP):
            asked = ua.ActivateSessionParameters(UserIdentityToken=token(PASSWORD, algorithm))
            with pytest.raises(ua.uaerrors.BadIdentityTokenRejected):
                await client.uaclient.activate_session(asked)
        await client.close_session()
    switch_off(stand.pki)
    await until(lambda: not stand.server._server._gate.commissioning.active, "it ends")


async def test_commissioning_ends_by_itself_and_closes_what_it_let_in(
    stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode = stand.server._server._gate.commissioning
    skipped = [0.0]
    monkeypatch.setattr(mode, "_clock", lambda: asyncio.get_running_loop().time() + skipped[0])
    ask(stand.pki, 30)
    await until(lambda: mode.active, "it begins")
    client = stand.plain()
    await client.connect()
    skipped[0] = 30 * 60
    await until(lambda: not stand.iserver.sessions() and not stand.iserver.asyncio_transports, "it is over")
    assert not mode.active and running_until(stand.pki) == ""
    await gone(client)


# --- reading parts, browsing in pages -------------------------------------------------------------------------------------


async def test_a_part_of_an_array_is_read_and_never_written_or_watched(stand: OpcUaStand) -> None:
    async with stand.connected(user="engineer") as client:
        names = client.get_node(ua.NodeId(ua.ObjectIds.Server_NamespaceArray))
        whole = await names.read_value()
        (got,) = await part_of(client, names.nodeid, "1:2")
        assert got.Value.Value == whole[1:3]
        (got,) = await part_of(client, names.nodeid, "5:9000")
        assert got.StatusCode.value == StatusCodes.BadIndexRangeNoData if len(whole) <= 5 else got.Value.Value
        (got,) = await part_of(client, names.nodeid, "0", attribute=ua.AttributeIds.BrowseName)
        assert got.StatusCode.value == StatusCodes.BadIndexRangeInvalid
        value = ua.DataValue(ua.Variant(True, ua.VariantType.Boolean))
        tag = node(client, "Cmd.TestRun").nodeid
        asked = ua.WriteValue(tag, ua.AttributeIds.Value, IndexRange="0", Value=value)
        (code,) = await client.uaclient.write(ua.WriteParameters([asked]))
        assert not code.is_good()


async def part_of(client: Client, id: ua.NodeId, wanted: str, attribute: int = ua.AttributeIds.Value) -> list[ua.DataValue]:
    what = ua.ReadValueId(id, attribute, IndexRange=wanted)
    return await client.uaclient.read(ua.ReadParameters(NodesToRead=[what]))


async def test_browsing_goes_on_page_by_page(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        folder = node(client, "Status")
        what = ua.BrowseDescription(
            NodeId=folder.nodeid,
            BrowseDirection=ua.BrowseDirection.Forward,
            ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
            IncludeSubtypes=True,
            ResultMask=ua.UInt32(63),
        )
        (whole,) = await client.uaclient.browse(ua.BrowseParameters(NodesToBrowse=[what]))
        assert len(whole.References) > 5 and not whole.ContinuationPoint
        asked = ua.BrowseParameters(RequestedMaxReferencesPerNode=ua.UInt32(2), NodesToBrowse=[what])
        (page,) = await client.uaclient.browse(asked)
        found = list(page.References)
        while page.ContinuationPoint:
            assert len(page.References) == 2
            (page,) = await client.uaclient.browse_next(ua.BrowseNextParameters(False, [page.ContinuationPoint]))
            found += page.References
        assert [r.NodeId for r in found] == [r.NodeId for r in whole.References]
        assert len({str(r.NodeId) for r in await folder.get_children_descriptions()}) == len(found)
