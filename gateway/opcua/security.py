"""The server's own certificate: made at the first start, checked at every one.

Self-signed, RSA-2048, SHA-256, ten years; one of the plant's own authority may be put in its place. It must not know who is
trusted.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.core.errors import ConfigError

YEARS = 10
KEY_BITS = range(2048, 4097)
"""What the three security policies allow."""
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_CLOCK_SLACK = timedelta(days=1)
"""A client's clock may be behind ours at the first start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCertificate:
    """The server's certificate (DER) and its private key (PEM, file mode 0600)."""

    certificate: Path
    key: Path


def write_private(path: Path, body: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only from its first moment on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as f:
        os.fchmod(fd, 0o600)
        f.write(body)
        f.flush()
        os.fsync(fd)
    os.replace(part, path)


def own_certificate(pki: Path, application_uri: str, host: str, *, now: datetime | None = None) -> OwnCertificate:
    """Return the certificate in ``pki/own``, made at the first call for ``application_uri`` and the address ``host``.

    Raises ConfigError when the one that is there belongs to another application URI, has expired, is too weak or does not fit
    its key, saying what to do.
    """
    now = now or datetime.now(UTC)
    own = OwnCertificate(certificate=pki / "own" / "certs" / "gateway.der", key=pki / "own" / "private" / "gateway.pem")
    if own.certificate.exists():
        _check(own, application_uri, now)
        return own
    # A key alone is left over from a first start that was cut off: nobody can have trusted it.
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS.start)
    write_private(
        own.key,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    write_private(own.certificate, _self_signed(key, application_uri, host, now).public_bytes(serialization.Encoding.DER))
    own.certificate.chmod(0o644)
    return own


def weakness(certificate: x509.Certificate, now: datetime) -> str:
    """Return why nobody may rely on this certificate at ``now`` (UTC): its dates, key or signature; '' when it is sound."""
    if now < certificate.not_valid_before_utc:
        return f"it is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC (is a clock wrong?)"
    if now >= certificate.not_valid_after_utc:
        return f"it expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    try:
        key, digest = certificate.public_key(), certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm) as e:
        return f"its key or signature cannot be used ({e})"
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in KEY_BITS:
        return f"its key is not RSA with {KEY_BITS.start} to {KEY_BITS.stop - 1} bits"
    if not isinstance(digest, _STRONG):
        return "it is not signed with SHA-256 or stronger"
    return ""


def _self_signed(key: rsa.RSAPrivateKey, application_uri: str, host: str, now: datetime) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Vision Gateway"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "self-signed"),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,  # it signed itself
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
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectAlternativeName(_names(application_uri, host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _names(application_uri: str, host: str) -> list[x509.GeneralName]:
    """Return the application URI, the names and the addresses by which clients reach this machine."""
    machine = socket.gethostname()
    hosts, addresses = {"localhost": None, machine: None}, {ipaddress.ip_address("127.0.0.1"): None}
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        hosts[host] = None
    else:
        if address.is_unspecified:
            addresses.update(dict.fromkeys(_addresses(machine)))
        else:
            addresses[address] = None
    # A machine's name need not be a DNS name.
    usable = [h for h in hosts if h and h.isascii()]
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(application_uri)]
    return names + [x509.DNSName(h) for h in usable] + [x509.IPAddress(a) for a in addresses]


def _addresses(machine: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(machine, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [ipaddress.ip_address(str(a[4][0]).partition("%")[0]) for a in found]


def _check(own: OwnCertificate, application_uri: str, now: datetime) -> None:
    remedy = "move it and its key away to have new ones made; clients must then trust the new certificate"
    path = own.certificate
    try:
        certificate = x509.load_der_x509_certificate(path.read_bytes())
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as e:
        raise ConfigError(f"{path}: not a usable certificate ({e}); {remedy}") from e
    uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
    if application_uri not in uris:
        raise ConfigError(f"{path}: was made for {', '.join(uris) or 'no application'}, not for {application_uri}; {remedy}")
    if reason := weakness(certificate, now):
        raise ConfigError(f"{path}: {reason}; {remedy}")
    try:
        mode = own.key.stat().st_mode
        key = serialization.load_pem_private_key(own.key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise ConfigError(f"{own.key}: the key of {path.name} cannot be read ({e}); {remedy}") from e
    if mode & 0o077:
        raise ConfigError(f"{own.key}: others may read it; run: chmod 600 {own.key}")
    if key.public_key() != certificate.public_key():
        raise ConfigError(f"{own.key}: is not the key of {path}; put the right one there, or {remedy}")
