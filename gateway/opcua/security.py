"""Who may read: the server's own certificate, the users and their passwords, the clients that are trusted.

Nothing has a default password: the first start makes a user ``viewer`` with a random one. It must not know the tags.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.core.errors import ConfigError

YEARS = 10
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 14, 8, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCertificate:
    """The server's certificate (DER) and its private key (PEM, file mode 0600)."""

    certificate: Path
    key: Path


def write_private(path: Path, body: bytes) -> None:
    """Write a file that only its owner may read, from its first moment on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as f:
        os.fchmod(fd, 0o600)
        f.write(body)


def own_certificate(pki: Path, application_uri: str, host: str, *, now: datetime | None = None) -> OwnCertificate:
    """Return the certificate in ``pki/own``, made at the first call: RSA-2048, SHA-256, ten years, self-signed.

    Raises ConfigError when the one that is there belongs to another application URI or has expired, saying what to do.
    """
    now = now or datetime.now(UTC)
    own = OwnCertificate(certificate=pki / "own" / "certs" / "gateway.der", key=pki / "own" / "private" / "gateway.pem")
    for folder in ("trusted/certs", "trusted/crl", "issuer/certs", "issuer/crl", "rejected"):
        (pki / folder).mkdir(parents=True, exist_ok=True)
    if own.certificate.exists() and own.key.exists():
        _check(own.certificate, application_uri, now)
        return own
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_private(
        own.key,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    own.certificate.parent.mkdir(parents=True, exist_ok=True)
    own.certificate.write_bytes(_self_signed(key, application_uri, host, now).public_bytes(serialization.Encoding.DER))
    return own


def _self_signed(key: rsa.RSAPrivateKey, application_uri: str, host: str, now: datetime) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Vision Gateway"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "self-signed"),
        ]
    )
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(application_uri)]
    names += [x509.DNSName(n) for n in dict.fromkeys(("localhost", socket.gethostname()))]
    addresses = {"127.0.0.1": None}
    try:
        addresses[str(ipaddress.ip_address(host))] = None
    except ValueError:
        names.append(x509.DNSName(host))
    names += [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _check(path: Path, application_uri: str, now: datetime) -> None:
    remedy = "move it and its key away to have a new one made; clients must then trust the new one"
    try:
        certificate = x509.load_der_x509_certificate(path.read_bytes())
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as e:
        raise ConfigError(f"{path}: not a usable certificate ({e}); {remedy}") from e
    uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
    if application_uri not in uris:
        raise ConfigError(f"{path}: was made for {', '.join(uris) or 'no application'}, not for {application_uri}; {remedy}")
    if certificate.not_valid_after_utc <= now:
        raise ConfigError(f"{path}: expired on {certificate.not_valid_after_utc:%Y-%m-%d}; {remedy}")


class Trust:
    """Which client certificates may open a channel: those in ``pki/trusted/certs``; any while that folder is empty.

    A refused certificate is kept in ``pki/rejected``; moving it to ``trusted/certs`` lets it in.
    """

    def __init__(self, pki: Path) -> None:
        """Take the folder of keys and certificates."""
        self._pki = pki

    def accepts(self, certificate: bytes) -> bool:
        """Return whether a client with this certificate (DER) may open a channel."""
        trusted = [f.read_bytes() for f in sorted((self._pki / "trusted" / "certs").glob("*.der"))]
        if not trusted or certificate in trusted:
            return True
        rejected = self._pki / "rejected"
        # Bounded: an attacker may not fill the disk with certificates.
        if len(list(rejected.glob("*.der"))) < 100:
            (rejected / f"{hashlib.sha256(certificate).hexdigest()}.der").write_bytes(certificate)
        return False


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
            self._users = {
                str(name): (base64.b64decode(u["salt"]), base64.b64decode(u["scrypt"])) for name, u in raw["users"].items()
            }
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
        write_private(self.path, json.dumps({"users": {"viewer": entry}}, indent=2).encode())
        self.new_password_file = note


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, dklen=32)
