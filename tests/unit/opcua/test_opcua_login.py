"""What a client shows to prove who uses it."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.access import FailedLogins, Role, Users, account, editing
from gateway.opcua.login import ANONYMOUS, Login, password
from tests.opcua_authority import rsa_key

KEY, NONCE = rsa_key(), b"n" * 32
OAEP, OAEP256 = "http://www.w3.org/2001/04/xmlenc#rsa-oaep", "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256"
NONE, SIGN, ENCRYPT = (ua.MessageSecurityMode(n) for n in (1, 2, 3))


def secret(text: bytes, nonce: bytes = NONCE, *, size: int | None = None) -> bytes:
    return struct.pack("<I", len(text) + len(nonce) if size is None else size) + text + nonce


def token(body: bytes | None, algorithm: str | None = None, name: str = "anna") -> ua.UserNameIdentityToken:
    return ua.UserNameIdentityToken(UserName=name, Password=body, EncryptionAlgorithm=algorithm)


@pytest.mark.parametrize(
    ("algorithm", "encrypt"), [(OAEP, uacrypto.encrypt_rsa_oaep), (OAEP256, uacrypto.encrypt_rsa_oaep_sha256)]
)
@pytest.mark.parametrize("text", ["", "x", "Grüße", "p" * 100])
def test_an_encrypted_password_is_read(algorithm: str, encrypt: object, text: str) -> None:
    body = encrypt(KEY.public_key(), secret(text.encode()))  # type: ignore[operator]
    for in_clear in (True, False):
        assert password(token(body, algorithm), NONCE, KEY, in_clear=in_clear) == text


@pytest.mark.parametrize(
    "plain",
    [
        secret(b"x", b"m" * 32),
        secret(b"x", NONCE[:-1]),
        secret(b"x", b""),
        secret(b"x", size=5),
        secret(b"x", size=0xFFFF_FFFF),
        b"",
        b"abc",
        NONCE,
    ],
)
def test_what_was_not_made_for_this_session_is_refused(plain: bytes) -> None:
    body = uacrypto.encrypt_rsa_oaep(KEY.public_key(), plain)
    with pytest.raises(ServiceError) as refused:
        password(token(body, OAEP), NONCE, KEY, in_clear=True)
    assert refused.value.code == StatusCodes.BadIdentityTokenInvalid


@pytest.mark.parametrize("body", [None, b"", b"x" * 256, b"x" * 10_000])
def test_what_cannot_be_decrypted_is_refused(body: bytes | None) -> None:
    with pytest.raises(ServiceError) as refused:
        password(token(body, OAEP), NONCE, KEY, in_clear=True)
    assert refused.value.code == StatusCodes.BadIdentityTokenInvalid


@pytest.mark.parametrize("algorithm", ["http://www.w3.org/2001/04/xmlenc#rsa-1_5", "none", "http://x"])
def test_other_ways_are_not_taken(algorithm: str) -> None:
    with pytest.raises(ServiceError) as refused:
        password(token(b"x" * 256, algorithm), NONCE, KEY, in_clear=True)
    assert refused.value.code == StatusCodes.BadIdentityTokenRejected


def test_a_password_in_the_clear_is_taken_where_the_channel_encrypts_and_nowhere_else() -> None:
    assert password(token(b"secret"), NONCE, KEY, in_clear=True) == "secret"
    assert password(token(b"\xff"), NONCE, KEY, in_clear=True) == "\udcff"
    with pytest.raises(ServiceError) as refused:
        password(token(b"secret"), NONCE, KEY, in_clear=False)
    assert refused.value.code == StatusCodes.BadIdentityTokenRejected


async def status(login: Login, shown: object, mode: ua.MessageSecurityMode) -> int:
    try:
        await login.user(shown, peer="192.0.2.1", nonce=NONCE, key=KEY, mode=mode)
    except ServiceError as refused:
        return int(refused.code)
    return 0


async def test_who_is_let_in_over_which_channel(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    with editing(users.path) as accounts:
        accounts["anna"] = account("anna", Role.ENGINEER, "secret")
    logins = FailedLogins()
    login = Login(users, logins)
    found = await login.user(token(b"secret"), peer="192.0.2.1", nonce=NONCE, key=KEY, mode=ENCRYPT)
    assert (found.name, found.role) == ("anna", Role.ENGINEER), "added a moment ago"
    nobody = [ua.AnonymousIdentityToken(), ua.ExtensionObject(), ua.X509IdentityToken(), None]
    rejected = StatusCodes.BadIdentityTokenRejected
    assert [await status(login, t, ENCRYPT) for t in nobody] == [rejected] * 4
    assert [await status(login, t, NONE) for t in nobody] == [0, 0, rejected, rejected]
    assert await status(login, token(b"secret"), NONE) == rejected, "not even with the right password"
    assert await login.user(ua.AnonymousIdentityToken(), peer="x", nonce=NONCE, key=KEY, mode=NONE) is ANONYMOUS
    assert not logins._failed, "none of which was a guess"
    assert await status(login, token(b"wrong"), ENCRYPT) == StatusCodes.BadUserAccessDenied
    assert await status(login, token(b"x" * 256, OAEP), ENCRYPT) == StatusCodes.BadIdentityTokenInvalid
    assert len(logins._failed) == 2


async def test_who_guesses_must_wait_even_when_the_guesses_come_at_once(tmp_path: Path) -> None:
    login = Login(Users(tmp_path / "users.json"), FailedLogins())
    tried = await asyncio.gather(*(status(login, token(b"x", name="viewer"), ENCRYPT) for _ in range(40)))
    assert set(tried) == {StatusCodes.BadUserAccessDenied}
    assert len(login._logins._failed) == 20, "the others were not even looked at"
