"""What a client shows to prove who uses it: user name and password, decrypted and checked.

The library takes a password in the clear over a channel that is only signed, does not look whether an encrypted one was meant
for this session, and hashes it in the loop. It must not know sessions' rights.
"""

from __future__ import annotations

import asyncio
import hmac
import struct

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from asyncua.ua.status_codes import StatusCodes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.opcua.access import Account, FailedLogins, Role, Users

ANONYMOUS = Account(name="", role=Role.OBSERVER)

_DECRYPT = {
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep": uacrypto.decrypt_rsa_oaep,
    "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256": uacrypto.decrypt_rsa_oaep_sha256,
}
"""RSA 1.5 is not among them: whoever sees it fail learns how to use the server's key."""


class Login:
    """Checks users, one password at a time: each takes a processor 30 ms and 16 MiB."""

    def __init__(self, users: Users, logins: FailedLogins) -> None:
        """Take who there is, and who has guessed how often."""
        self._users, self._logins = users, logins
        self._turn = asyncio.Semaphore(1)

    async def user(
        self, token: object, *, peer: str, nonce: bytes, key: RSAPrivateKey, mode: ua.MessageSecurityMode
    ) -> Account:
        """Return the user that a token names. ServiceError when it is none, or when ``peer`` has guessed too often.

        Without security on the channel (commissioning) nobody is let in by name: the password would be for everybody to see.
        """
        if mode == ua.MessageSecurityMode.None_:
            if _is_anonymous(token):
                return ANONYMOUS
            raise ServiceError(StatusCodes.BadIdentityTokenRejected)
        if not isinstance(token, ua.UserNameIdentityToken):
            raise ServiceError(StatusCodes.BadIdentityTokenRejected)
        async with self._turn:
            if self._logins.blocked(peer):
                raise ServiceError(StatusCodes.BadUserAccessDenied)
            name = str(token.UserName or "")
            try:
                said = password(token, nonce, key, in_clear=mode == ua.MessageSecurityMode.SignAndEncrypt)
            except ServiceError as e:
                if e.code != StatusCodes.BadIdentityTokenRejected:  # no password was tried
                    self._logins.failed(peer, name)
                raise
            self._users.refresh()
            found = await asyncio.to_thread(self._users.check, name, said)
            if found is None:
                self._logins.failed(peer, name)
                raise ServiceError(StatusCodes.BadUserAccessDenied)
            return found


def password(token: ua.UserNameIdentityToken, nonce: bytes, key: RSAPrivateKey, *, in_clear: bool) -> str:
    """Return the password; ``in_clear`` says that the channel encrypts, so that the token need not.

    ServiceError: BadIdentityTokenRejected for a way of sending it that is not taken here, BadIdentityTokenInvalid when it
    cannot be decrypted or was not made for ``nonce``.
    """
    body = token.Password or b""
    if not token.EncryptionAlgorithm:
        if not in_clear:
            raise ServiceError(StatusCodes.BadIdentityTokenRejected)
        return _text(body.encode() if isinstance(body, str) else bytes(body))
    decrypt = _DECRYPT.get(str(token.EncryptionAlgorithm))
    if decrypt is None:
        raise ServiceError(StatusCodes.BadIdentityTokenRejected)
    try:
        plain: bytes = decrypt(key, body)  # type: ignore[no-untyped-call]
        (size,) = struct.unpack_from("<I", plain)
    except (ValueError, TypeError, struct.error):
        raise ServiceError(StatusCodes.BadIdentityTokenInvalid) from None
    said, made_for = plain[4 : len(plain) - len(nonce)], plain[len(plain) - len(nonce) :]
    if size != len(plain) - 4 or not hmac.compare_digest(made_for, nonce):
        raise ServiceError(StatusCodes.BadIdentityTokenInvalid)
    return _text(said)


def _text(body: bytes) -> str:
    return body.decode(errors="surrogateescape")


def _is_anonymous(token: object) -> bool:
    return isinstance(token, ua.AnonymousIdentityToken) or (isinstance(token, ua.ExtensionObject) and token.TypeId.is_null())
