"""The OPC UA server over real sockets: who is let in, and what a client sees of a station."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.crypto import uacrypto
from asyncua.crypto.security_policies import (
    SecurityPolicy,
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import BadSecurityModeInsufficient

from gateway.core.errors import ConfigError, GatewayError
from gateway.opcua import access
from gateway.opcua import server as server_module
from gateway.opcua.access import FailedLogins
from gateway.opcua.security import own_certificate
from gateway.opcua.server import OpcUaServer
from tests.integration.opcua_stand import (
    APPLICATION,
    OpcUaStand,
    nothing_left,
    opcua_stand,
    read,
    until,
)

# One server for all: filling an address space takes a second.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpcUaStand]:
    async with opcua_stand(tmp_path_factory.mktemp("opcua")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_left(stand: OpcUaStand) -> AsyncIterator[None]:
    async with nothing_left(stand):
        yield


@pytest.fixture
def trusted(stand: OpcUaStand) -> Iterator[Path]:
    """Return the folder of trusted certificates, empty again afterwards."""
    folder = stand.pki / "trusted" / "certs"
    yield folder
    for file in [*folder.iterdir(), *(stand.pki / "rejected").iterdir()]:
        file.unlink()


# --- who is let in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy", [SecurityPolicyBasic256Sha256, SecurityPolicyAes128Sha256RsaOaep, SecurityPolicyAes256Sha256RsaPss]
)
async def test_each_policy_signs_and_encrypts(stand: OpcUaStand, policy: type[SecurityPolicy]) -> None:
    async with stand.connected(policy=policy) as client:
        assert client.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
        assert (await read(client, "Status.Heartbeat"))[0].Value is not None


async def test_without_security_there_is_discovery_and_nothing_else(stand: OpcUaStand) -> None:
    endpoints = await stand.plain().connect_and_get_server_endpoints()
    assert {e.SecurityMode for e in endpoints} == {ua.MessageSecurityMode.SignAndEncrypt}
    assert {e.SecurityPolicyUri.rpartition("#")[2] for e in endpoints} == {
        "Basic256Sha256",
        "Aes128_Sha256_RsaOaep",
        "Aes256_Sha256_RsaPss",
    }
    assert {t.TokenType for e in endpoints for t in e.UserIdentityTokens} == {ua.UserTokenType.UserName}
    assert {e.Server.ApplicationUri for e in endpoints} == {APPLICATION}
    client = stand.plain()
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    assert [s.ApplicationUri for s in await client.find_servers()] == [APPLICATION]
    with pytest.raises(BadSecurityModeInsufficient):
        await client.create_session()
    with pytest.raises(BadSecurityModeInsufficient):
        await client.register_server(stand.server._server)
    await client.close_secure_channel()
    client.disconnect_socket()


async def test_a_discovery_url_that_would_be_repeated_is_bounded(stand: OpcUaStand) -> None:
    client = stand.plain()
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    with pytest.raises(ua.uaerrors.BadTcpEndpointUrlInvalid):
        await client.uaclient.get_endpoints(ua.GetEndpointsParameters(EndpointUrl="opc.tcp://" + "x" * 10_000))
    await client.close_secure_channel()
    client.disconnect_socket()


async def test_signing_alone_is_not_offered(stand: OpcUaStand) -> None:
    with pytest.raises(ua.UaError):
        await (await stand.client(mode=ua.MessageSecurityMode.Sign)).connect()


async def test_anonymous_is_refused(stand: OpcUaStand) -> None:
    assert await stand.refused(user="") == StatusCodes.BadIdentityTokenRejected


@pytest.mark.parametrize(("user", "password"), [("viewer", "wrong"), ("viewer", ""), ("nobody", None), ("admin", "admin")])
async def test_a_wrong_user_or_password_is_refused(stand: OpcUaStand, user: str, password: str | None) -> None:
    assert await stand.refused(user=user, password=password) == StatusCodes.BadUserAccessDenied


async def test_guessing_ends_after_some_failures(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "FAILED_LOGINS_PER_PEER", 3)
    monkeypatch.setattr(stand.iserver, "_logins", FailedLogins())
    assert await stand.refused() == 0
    assert await stand.refused(user="") == StatusCodes.BadIdentityTokenRejected, "which is no guess"
    for _ in range(3):
        assert await stand.refused(password="guess") == StatusCodes.BadUserAccessDenied
    assert await stand.refused() == StatusCodes.BadUserAccessDenied, "even the right one must wait now"


async def test_a_password_under_rsa_15_is_refused(stand: OpcUaStand) -> None:
    client = await stand.client()
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    await client.create_session()
    key = stand.iserver.certificate.public_key()
    token = ua.UserNameIdentityToken(
        PolicyId="username",
        UserName="viewer",
        Password=uacrypto.encrypt_rsa15(key, b"x" * 40),
        EncryptionAlgorithm="http://www.w3.org/2001/04/xmlenc#rsa-1_5",
    )
    challenge = uacrypto.der_from_x509(stand.iserver.certificate) + client._server_nonce
    signed = ua.SignatureData(
        Algorithm=client.security_policy.AsymmetricSignatureURI,
        Signature=client.security_policy.asymmetric_cryptography.signature(challenge),
    )
    with pytest.raises(ua.uaerrors.BadIdentityTokenRejected):
        await client.uaclient.activate_session(ua.ActivateSessionParameters(UserIdentityToken=token, ClientSignature=signed))
    await client.close_session()
    await client.close_secure_channel()
    client.disconnect_socket()


async def test_an_untrusted_certificate_is_refused_as_soon_as_one_is_trusted(stand: OpcUaStand, trusted: Path) -> None:
    assert await stand.refused() == 0, "nobody is trusted yet, and this client is on the same machine"
    other = own_certificate(stand.folder / "other", "urn:other", "127.0.0.1")
    (trusted / "other.der").write_bytes(other.certificate.read_bytes())
    assert await stand.refused() == StatusCodes.BadSecurityChecksFailed
    (kept,) = (stand.pki / "rejected").iterdir()
    assert kept.read_bytes() == stand.own.certificate.read_bytes()
    kept.rename(trusted / kept.name)
    assert await stand.refused() == 0


async def test_a_client_that_is_no_longer_trusted_cannot_renew_its_channel(stand: OpcUaStand, trusted: Path) -> None:
    (trusted / "client.der").write_bytes(stand.own.certificate.read_bytes())
    client = await stand.client()
    await client.connect()
    await client.open_secure_channel(renew=True)
    (trusted / "client.der").write_bytes(b"another")
    with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
        await client.open_secure_channel(renew=True)
    with contextlib.suppress(ua.UaError, ConnectionError):
        await client.disconnect()


async def test_a_certificate_that_has_expired_is_refused(stand: OpcUaStand) -> None:
    old = own_certificate(stand.folder / "old", "urn:old", "127.0.0.1", now=datetime.now(UTC) - timedelta(days=4000))
    assert await stand.refused(own=old) == StatusCodes.BadSecurityChecksFailed


async def test_session_tokens_cannot_be_guessed(stand: OpcUaStand) -> None:
    tokens = []
    for _ in range(2):
        client = await stand.client()
        await client.connect_socket()
        await client.send_hello()
        await client.open_secure_channel()
        tokens.append((await client.create_session()).AuthenticationToken)
        with pytest.raises(ua.uaerrors.BadTooManySessions):
            await client.create_session()
        await client.close_secure_channel()
        client.disconnect_socket()
    assert all(t.NodeIdType is ua.NodeIdType.ByteString and len(t.Identifier) == 32 for t in tokens)
    assert tokens[0].Identifier != tokens[1].Identifier


async def test_a_session_goes_on_over_another_connection_when_its_first_one_dies(stand: OpcUaStand) -> None:
    first, second = await stand.client(), await stand.client()
    await first.connect()
    await second.connect_socket()
    await second.send_hello()
    await second.open_secure_channel()
    second.uaclient.session.restore_authentication_token(first.uaclient.session.authentication_token)
    second._server_nonce = first._server_nonce
    second._policy_ids = first._policy_ids
    await second.activate_session(username="viewer", password=stand.password)
    first.disconnect_socket()
    await until(lambda: len(stand.iserver.asyncio_transports) == 1, "the first connection is gone")
    await until(lambda: not stand.server._server.bserver.closing_tasks or all_done(stand), "and put away")
    assert (await read(second, "Status.Heartbeat"))[0].Value is not None
    await second.close_session()
    await second.close_secure_channel()
    second.disconnect_socket()
    with contextlib.suppress(ua.UaError, ConnectionError):
        await first.disconnect()


def all_done(stand: OpcUaStand) -> bool:
    return all(task.done() for task in stand.server._server.bserver.closing_tasks)


# --- starting and stopping ------------------------------------------------------------------------------------------------


async def test_a_port_in_use_is_an_error_that_says_what_to_do(stand: OpcUaStand, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = OpcUaServer(
            [], host="127.0.0.1", port=port, application_uri=APPLICATION, pki=stand.pki, users=stand.folder / "users.json"
        )
        with pytest.raises(GatewayError, match=f"port {port} on 127.0.0.1 is taken") as caught:
            await server.start()
    assert not isinstance(caught.value, ConfigError), "it may be free in a moment: trying again is right"
    assert "opcua.port" in str(caught.value)
    await server.stop()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("host", "url"),
    [("192.0.2.1", "opc.tcp://192.0.2.1:4840/"), ("::1", "opc.tcp://[::1]:4840/"), ("0.0.0.0", "opc.tcp://gw-7:4840/")],
)
async def test_the_address_to_connect_to(host: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module.socket, "gethostname", lambda: "gw-7")
    server = OpcUaServer([], host=host, port=4840, application_uri="urn:x", pki=tmp_path, users=tmp_path / "u.json")
    assert server.url.startswith(url)
