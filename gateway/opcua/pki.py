"""The folder of certificates: who is trusted, who signs for whom, what was revoked, and who was refused and why.

``own`` is the server's (:mod:`gateway.opcua.security`). Everything else may be changed while the server runs, by this program
or by hand: the folders are looked at again whenever a file in them has changed. It must not know how a certificate is judged.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

REJECTED_KEPT = 100
KEPT_PER_MINUTE = 20
"""New files among the rejected: a stranger with ever new certificates must not push out one that waits to be trusted."""
MAX_FILE = 1 << 20

TRUSTED, TRUSTED_CRL = "trusted/certs", "trusted/crl"
ISSUERS, ISSUERS_CRL = "issuer/certs", "issuer/crl"
REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A certificate and the file it was read from."""

    path: Path
    der: bytes
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocations:
    """A revocation list and the file it was read from."""

    path: Path
    crl: x509.CertificateRevocationList


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the folders hold. ``unusable`` says of each file or folder that could not be read why."""

    trusted: tuple[Entry, ...] = ()
    issuers: tuple[Entry, ...] = ()
    crls: tuple[Revocations, ...] = ()
    unusable: tuple[str, ...] = ()
    empty: bool = False
    """Whether no file at all lies in ``trusted/certs``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a client was refused last: the name of an OPC UA status, the reason and what to do, in words."""

    when: str
    address: str
    status: str
    reason: str
    remedy: str


class Pki:
    """The folders below ``pki``."""

    def __init__(self, root: Path) -> None:
        """Make the folders."""
        self.root = root
        self._content = Content(empty=True)
        self._seen: object = None
        self._kept: deque[float] = deque(maxlen=KEPT_PER_MINUTE)
        for name in (TRUSTED, TRUSTED_CRL, ISSUERS, ISSUERS_CRL, REJECTED):
            (root / name).mkdir(parents=True, exist_ok=True)

    def folder(self, name: str) -> Path:
        """Return one of the folders."""
        return self.root / name

    def content(self) -> Content:
        """Return what the folders hold now; the same object as before when nothing has changed."""
        seen = tuple(_stamp(self.root / name) for name in (TRUSTED, TRUSTED_CRL, ISSUERS, ISSUERS_CRL))
        if seen != self._seen:
            self._content, self._seen = self._read(), seen
        return self._content

    def rejected(self) -> list[tuple[Entry, Rejection | None]]:
        """Return the refused certificates, the last one refused first."""
        unusable: list[str] = []
        found = [(e, rejection(e.path)) for e in _entries(self.root / REJECTED, unusable) if e.path.suffix == ".der"]
        return sorted(found, key=lambda pair: pair[1].when if pair[1] else "", reverse=True)

    def reject(self, der: bytes, why: Rejection, *, clock: Callable[[], float] = time.monotonic) -> Path | None:
        """Keep a refused certificate with the reason beside it; None when too many came within a minute.

        The newest 100 stay. Raises OSError when the folder cannot be written.
        """
        path = self.root / REJECTED / f"{file_stem(x509.load_der_x509_certificate(der))}.der"
        before = rejection(path) if path.exists() else None
        if before is not None and (before.status, before.reason) == (why.status, why.reason) and _recent(before, why):
            return path
        if not path.exists():
            now = clock()
            if len(self._kept) == KEPT_PER_MINUTE and self._kept[0] > now - 60:
                return None
            self._kept.append(now)
            self._prune()
        said = {"when": why.when, "address": why.address, "status": why.status, "reason": why.reason, "remedy": why.remedy}
        path.with_suffix(".json").write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n")
        path.write_bytes(der)
        return path

    def _prune(self) -> None:
        kept = sorted((self.root / REJECTED).glob("*.der"), key=lambda f: f.stat().st_mtime_ns)
        for old in kept[: max(0, len(kept) - REJECTED_KEPT + 1)]:
            old.unlink()
            old.with_suffix(".json").unlink(missing_ok=True)

    def _read(self) -> Content:
        unusable: list[str] = []
        trusted = tuple(_entries(self.root / TRUSTED, unusable))
        issuers = tuple(_entries(self.root / ISSUERS, unusable))
        crls = tuple(c for name in (TRUSTED_CRL, ISSUERS_CRL) for c in _lists(self.root / name, unusable))
        empty = not trusted and not unusable and not any(_files(self.root / TRUSTED, unusable))
        return Content(trusted=trusted, issuers=issuers, crls=crls, unusable=tuple(unusable), empty=empty)


def split(sent: bytes) -> list[bytes]:
    """Return the certificates of a chain, the client's own first; what has no readable length is returned as it is."""
    parts = []
    while len(sent) >= 4 and sent[:2] == b"\x30\x82":  # a sequence of 256 to 65535 bytes, as every certificate is
        size = 4 + int.from_bytes(sent[2:4], "big")
        parts.append(sent[:size])
        sent = sent[size:]
    return parts + [sent] if sent or not parts else parts


def thumbprint(der: bytes) -> str:
    """Return what OPC UA calls a certificate's thumbprint: SHA-1 in hexadecimal. It names, it protects nothing."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest()


def uris(certificate: x509.Certificate) -> Sequence[str]:
    """Return the application URIs that a certificate names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    return tuple(names.get_values_for_type(x509.UniformResourceIdentifier))


def file_stem(certificate: x509.Certificate) -> str:
    """Return a file's name for a certificate: of its common name what is harmless, and its thumbprint's beginning."""
    try:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        common = []
    name = re.sub(r"[^A-Za-z0-9]+", "-", str(common[0].value))[:40].strip("-") if common else ""
    return f"{name or 'client'}-{thumbprint(certificate.public_bytes(serialization.Encoding.DER))[:16]}"


def read_certificate(path: Path) -> Entry:
    """Return a file's certificate (DER or PEM). Raises ValueError or OSError."""
    body = _body(path)
    pem = body.lstrip().startswith(b"-----BEGIN")
    certificate = x509.load_pem_x509_certificate(body) if pem else x509.load_der_x509_certificate(body)
    return Entry(path=path, der=certificate.public_bytes(serialization.Encoding.DER), certificate=certificate)


def read_crl(path: Path) -> Revocations:
    """Return a file's revocation list (DER or PEM). Raises ValueError or OSError."""
    body = _body(path)
    pem = body.lstrip().startswith(b"-----BEGIN")
    return Revocations(path=path, crl=x509.load_pem_x509_crl(body) if pem else x509.load_der_x509_crl(body))


def rejection(path: Path) -> Rejection | None:
    """Return the reason that was noted beside a rejected certificate, None when there is none."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads(path.with_suffix(".json").read_text())
        fields = ("when", "address", "status", "reason", "remedy")
        return Rejection(**{name: str(said[name]) for name in fields})
    return None


def _body(path: Path) -> bytes:
    if path.stat().st_size > MAX_FILE:
        raise ValueError(f"more than {MAX_FILE} bytes")
    return path.read_bytes()


def _recent(before: Rejection, now: Rejection) -> bool:
    with suppress(ValueError):
        return abs((datetime.fromisoformat(now.when) - datetime.fromisoformat(before.when)).total_seconds()) < 10
    return False


def _stamp(folder: Path) -> object:
    try:
        with os.scandir(folder) as files:
            stats = [(f.name, f.stat()) for f in files]
    except OSError as e:
        return str(e)
    return sorted((name, s.st_mtime_ns, s.st_size, s.st_ino) for name, s in stats)


def _files(folder: Path, unusable: list[str]) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except OSError as e:
        unusable.append(f"{folder} cannot be read ({e.strerror})")


def _entries(folder: Path, unusable: list[str]) -> Iterator[Entry]:
    for path in _files(folder, unusable):
        if path.suffix == ".json" or path.name.startswith("."):
            continue
        try:
            yield read_certificate(path)
        except (OSError, ValueError) as e:
            unusable.append(f"{path}: no certificate ({e})")


def _lists(folder: Path, unusable: list[str]) -> Iterator[Revocations]:
    for path in _files(folder, unusable):
        if path.name.startswith("."):
            continue
        try:
            yield read_crl(path)
        except (OSError, ValueError) as e:
            unusable.append(f"{path}: no revocation list ({e})")


def now_text() -> str:
    """Return the time (UTC) as it is noted."""
    return datetime.now(UTC).isoformat(timespec="seconds")
