"""Who may read: the clients that are trusted, the users and their passwords, and how often one may guess.

Nothing has a default password: the first start makes a user ``viewer`` with a random one. It must not know the tags.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from gateway.core.errors import ConfigError
from gateway.opcua.security import weakness, write_private

SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 14, 8, 1
REJECTED_KEPT = 100
FAILED_LOGINS_PER_PEER = 20
FAILED_LOGINS = 120
"""Within a minute, of one address and of all: checking a password costs the loop 30 ms."""

_log = structlog.get_logger("opcua")


class Trust:
    """Which client certificates may open a channel: exactly those whose files lie in ``pki/trusted/certs`` (DER or PEM).

    One exception, so that a newcomer can connect: while that folder is empty, clients on this same machine are let in with
    any sound certificate, and only user name and password decide. From another machine a certificate must always be trusted.
    A refused certificate is kept in ``pki/rejected``; moving the file to ``trusted/certs`` lets its client in at once, without
    a restart. Certificates are compared as a whole: trusting an authority does not trust what it signed. Dates, key (RSA, 2048
    to 4096 bits) and signature (SHA-256 or stronger) are checked in any case.
    """

    def __init__(self, pki: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Make the folders. ``clock`` returns UTC."""
        self._trusted = pki / "trusted" / "certs"
        self._rejected = pki / "rejected"
        self._clock = clock
        self._told: deque[tuple[bytes, str]] = deque(maxlen=1000)
        self._trusted.mkdir(parents=True, exist_ok=True)
        self._rejected.mkdir(parents=True, exist_ok=True)

    def refusal(self, sent: bytes | None, *, local: bool) -> str:
        """Return why a client may not open a channel, '' when it may; each reason is logged once for each certificate.

        ``sent`` is its certificate (DER), the rest of its chain may follow; ``local`` says that it runs on this machine.
        """
        der = first_certificate(sent or b"")
        reason = self._judge(der, local)
        told = (hashlib.sha256(der).digest(), reason)
        if reason and told not in self._told:
            self._told.append(told)
            _log.warning("OPC UA client refused", why=reason, sha256=told[0].hex())
        return reason

    def _judge(self, der: bytes, local: bool) -> str:
        try:
            certificate = x509.load_der_x509_certificate(der)
        except ValueError:
            return "it sent no certificate" if not der else "what it sent is no certificate"
        if reason := weakness(certificate, self._clock()):
            return f"certificate: {reason}"
        try:
            trusted = [_read_certificate(f) for f in sorted(self._trusted.iterdir())]
        except OSError as e:
            return f"{self._trusted} cannot be read ({e}), so nobody is trusted"
        if der in trusted or (local and not trusted):
            return ""
        return f"its certificate is not trusted: {self._keep(certificate, der)}"

    def _keep(self, certificate: x509.Certificate, der: bytes) -> str:
        """Keep a refused certificate and return what to do with it; the newest 100 stay, so that nobody can fill the disk."""
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = re.sub(r"[^A-Za-z0-9]+", "-", str(common[0].value))[:40].strip("-") if common else ""
        path = self._rejected / f"{name or 'client'}-{hashlib.sha256(der).hexdigest()[:16]}.der"
        try:
            if not path.exists():
                kept = sorted(self._rejected.glob("*.der"), key=lambda f: f.stat().st_mtime_ns)
                for old in kept[: max(0, len(kept) - REJECTED_KEPT + 1)]:
                    old.unlink()
                path.write_bytes(der)
        except OSError as e:
            return f"it could not be kept either ({e})"
        return f"to let it in, move {path} to {self._trusted}"


def first_certificate(sent: bytes) -> bytes:
    """Return the first DER object of a chain, or everything when that has no readable length."""
    if len(sent) < 4 or sent[:2] != b"\x30\x82":  # a sequence of 256 to 65535 bytes, as every certificate is
        return sent
    return sent[: 4 + int.from_bytes(sent[2:4], "big")]


def _read_certificate(path: Path) -> bytes:
    """Return a trusted file's certificate as DER; any other file trusts nobody, but it also ends the exception above."""
    body = path.read_bytes()
    if not body.lstrip().startswith(b"-----BEGIN"):
        return body
    try:
        return x509.load_pem_x509_certificate(body).public_bytes(serialization.Encoding.DER)
    except ValueError:
        return body


class FailedLogins:
    """Counts wrong passwords of the last minute, and says when an address, or everybody, must wait."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take a clock of monotonic seconds."""
        self._clock = clock
        self._failed: deque[tuple[float, str]] = deque(maxlen=FAILED_LOGINS)

    def blocked(self, peer: str) -> bool:
        """Return whether ``peer`` may not try a password now."""
        now = self._clock()
        while self._failed and self._failed[0][0] <= now - 60:
            self._failed.popleft()
        return len(self._failed) == FAILED_LOGINS or self._count(peer) >= FAILED_LOGINS_PER_PEER

    def failed(self, peer: str, user: str) -> None:
        """Count a failure; the first of an address within a minute is logged, and the one that blocks it."""
        self._failed.append((self._clock(), peer))
        count = self._count(peer)
        if count in (1, FAILED_LOGINS_PER_PEER):
            # As ASCII: the name comes from a stranger.
            _log.warning("OPC UA login refused", peer=peer, user=ascii(user[:64]), blocked=count > 1)

    def _count(self, peer: str) -> int:
        return sum(1 for _, who in self._failed if who == peer)


class Users:
    """User names and scrypt hashes in a 0600 JSON file."""

    def __init__(self, path: Path) -> None:
        """Load the file, making it with one user ``viewer`` and a random password when there is none.

        The password is then in :attr:`new_password_file`. Raises ConfigError when the file is damaged or readable by others.
        """
        self.path = path
        self.new_password_file: Path | None = None
        if not path.exists():
            self._first_start()
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path}: others may read it; run: chmod 600 {path}")
        try:
            raw = json.loads(path.read_bytes())
            self._users = {str(name): (_bytes(u["salt"], 16), _bytes(u["scrypt"], 32)) for name, u in raw["users"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise ConfigError(f"{path}: damaged ({e!r}); move it away to have a new one made") from e
        # Compared when the user is unknown, so that the time tells nothing.
        self._nobody = (secrets.token_bytes(16), secrets.token_bytes(32))

    def verify(self, name: str, password: str) -> bool:
        """Return whether the user exists and this is its password (takes some 30 ms)."""
        salt, stored = self._users.get(name, self._nobody)
        return hmac.compare_digest(_scrypt(password, salt), stored) and name in self._users

    def _first_start(self) -> None:
        password = secrets.token_urlsafe(12)
        salt = secrets.token_bytes(16)
        entry = {"salt": base64.b64encode(salt).decode(), "scrypt": base64.b64encode(_scrypt(password, salt)).decode()}
        note = self.path.with_name(f"{self.path.stem}-viewer-password.txt")
        write_private(note, f"{password}\n".encode())
        write_private(self.path, json.dumps({"users": {"viewer": entry}}, indent=2).encode() + b"\n")
        self.new_password_file = note


def _bytes(text: str, size: int) -> bytes:
    value = base64.b64decode(text, validate=True)
    if len(value) != size:
        raise ValueError(f"{size} bytes expected, {len(value)} found")
    return value


def _scrypt(password: str, salt: bytes) -> bytes:
    body = password.encode(errors="surrogateescape")
    return hashlib.scrypt(body, salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, dklen=32)
