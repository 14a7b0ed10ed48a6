"""A certificate authority for tests: it issues certificates of any worth, and revokes them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from gateway.opcua.security import OwnCertificate

DAY = timedelta(days=1)


@functools.cache
def rsa_key(which: object = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a key, for the same ``which`` the same: making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def name_of(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])


def usage(**changed: bool) -> x509.KeyUsage:
    """Return the key usage of a client, changed."""
    base = dict.fromkeys(
        ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only", "content_commitment"), False
    )
    base |= dict.fromkeys(("digital_signature", "key_encipherment", "data_encipherment"), True)
    return x509.KeyUsage(**(base | changed))


def certificate(
    common: str = "UaExpert",
    *,
    key: Any = None,
    issuer: Authority | None = None,
    uri: str = "",
    digest: Any = None,
    begin: datetime | None = None,
    end: datetime | None = None,
    now: datetime | None = None,
    key_usage: x509.KeyUsage | None = None,
    purposes: tuple[ObjectIdentifier, ...] | None = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    constraints: x509.BasicConstraints | None = None,
) -> x509.Certificate:
    """Return a certificate: self-signed without an ``issuer``."""
    key, now = key or rsa_key(), now or datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name_of(common)).public_key(key.public_key())
    builder = builder.issuer_name(issuer.name if issuer else name_of(common)).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin or now - DAY).not_valid_after(end or now + DAY)
    if uri:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        builder = builder.add_extension(names, critical=False)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(issuer.key if issuer else key, digest or hashes.SHA256())


def der(of: x509.Certificate) -> bytes:
    return of.public_bytes(serialization.Encoding.DER)


@dataclass(slots=True)
class Authority:
    """An authority, self-signed without a ``parent``."""

    common: str = "Plant"
    parent: Authority | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    path_length: int | None = None
    changed: dict[str, Any] = field(default_factory=dict)
    """Arguments of its own certificate that differ."""
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        how: dict[str, Any] = {
            "key": self.key,
            "issuer": self.parent,
            "now": self.now,
            "purposes": None,
            "key_usage": usage(key_cert_sign=True, crl_sign=True),
            "constraints": x509.BasicConstraints(ca=True, path_length=self.path_length),
        }
        self.certificate = certificate(self.common, **(how | self.changed))

    @property
    def name(self) -> x509.Name:
        return name_of(self.common)

    @property
    def key(self) -> rsa.RSAPrivateKey:
        return rsa_key(f"authority {self.common}")

    def crl(
        self, *revoked: x509.Certificate, next_update: datetime | None = None, key: rsa.RSAPrivateKey | None = None
    ) -> bytes:
        """Return its revocation list (DER)."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(self.now - DAY)
        builder = builder.next_update(next_update or self.now + DAY)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(self.now - DAY)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(key or self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def on_disk(folder: Path, of: x509.Certificate, key: rsa.RSAPrivateKey | None = None) -> OwnCertificate:
    """Write a certificate and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    own = OwnCertificate(certificate=folder / "c.der", key=folder / "c.pem")
    own.certificate.write_bytes(der(of))
    plain = serialization.NoEncryption()
    body = (key or rsa_key()).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    own.key.write_bytes(body)
    return own
