"""Judges a client's certificate: its own worth, who vouches for it, and whether anybody took that back.

The statuses are those of OPC 10000-4, 6.1.3. What depends on a certificate alone (dates, use, strength) is told to the client;
what depends on whom this server trusts is answered with BadSecurityChecksFailed, so that a stranger cannot find out: the log,
the file beside the rejected certificate and ``gateway opcua why`` name it. It must not know users or the wire.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.opcua.pki import Content, Pki, Rejection, file_stem, now_text, split, thumbprint, uris
from gateway.opcua.security import weakness

MAX_CHAIN = 5
MAX_CHECKS = 16
"""Signatures that one judgement may look at: names alone would let a stranger ask for many."""

_OWN = frozenset({"BadCertificateTimeInvalid", "BadCertificateUseNotAllowed", "BadCertificatePolicyCheckFailed"})
_E = TypeVar("_E", bound=x509.ExtensionType)

_log = structlog.get_logger("opcua")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``status`` is the name of an OPC UA status, '' for a client that may come in; ``remedy`` says what to do."""

    status: str = ""
    reason: str = ""
    remedy: str = ""
    known: bool = False
    """Whether it is trusted, and not merely let in because nobody is trusted yet and it runs on this machine."""

    @property
    def told(self) -> str:
        """Return the name of the status that the client is told."""
        return self.status if self.status in _OWN or not self.status else "BadSecurityChecksFailed"


class Trust:
    """Which client certificates may open a channel.

    Trusted is a certificate that lies in ``trusted/certs`` itself, and one that was issued by an authority that lies there,
    over authorities in ``issuer/certs`` or sent along. Every authority on that way must have a revocation list that is not
    outdated, be it an empty one: without it nobody knows what was taken back. For a certificate that lies there itself a list
    is only looked at when there is one.

    One exception, so that a newcomer can connect: while ``trusted/certs`` is empty, clients on this same machine may read with
    any sound certificate; user name and password decide. From another machine a certificate must always be trusted.
    """

    def __init__(self, pki: Pki, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Take the folders; ``clock`` returns UTC."""
        self.pki = pki
        self._clock = clock
        self._told: deque[tuple[bytes, str]] = deque(maxlen=1000)

    def judge(self, sent: bytes | None, *, local: bool) -> Verdict:
        """Judge a certificate (DER), which its chain may follow; ``local`` says that the client runs on this machine."""
        parts = split(sent or b"")
        try:
            leaf, *others = [x509.load_der_x509_certificate(der) for der in parts[:MAX_CHAIN]]
        except ValueError:
            what = "it sent no certificate" if not sent else "what it sent is no certificate"
            return Verdict(status="BadCertificateInvalid", reason=what, remedy="give the client a certificate")
        now = self._clock()
        if (own := _own_worth(leaf, now)) is not None:
            return own
        content = self.pki.content()
        if parts[0] in (e.der for e in content.trusted):
            return self._revoked_anyway(leaf, content) or Verdict(known=True)
        if local and content.empty:
            return Verdict()
        return _Search(content, others, now).judge(leaf)

    def admit(self, sent: bytes | None, *, local: bool, address: str) -> Verdict:
        """Judge, and note a refusal: in the log once for each certificate, and beside the rejected certificate."""
        verdict = self.judge(sent, local=local)
        if verdict.status:
            self.refused(split(sent or b"")[0], verdict, address)
        return verdict

    def refused(self, der: bytes, verdict: Verdict, address: str) -> None:
        """Note that a client was refused."""
        told = (hashlib.sha256(der).digest(), verdict.status + verdict.reason)
        first = told not in self._told
        if first:
            self._told.append(told)
        kept: object = None
        why = Rejection(when=now_text(), address=address, status=verdict.status, reason=verdict.reason, remedy=verdict.remedy)
        try:
            x509.load_der_x509_certificate(der)
            kept = self.pki.reject(der, why)
        except (ValueError, OSError) as e:
            kept = f"not kept ({e})"
        if first:
            what = f"{verdict.reason}; {verdict.remedy}"
            _log.warning(
                "OPC UA client refused",
                why=what,
                status=verdict.status,
                peer=address,
                thumbprint=thumbprint(der),
                kept=str(kept),
            )

    def uri_refusal(self, sent: bytes | None, uri: str | None) -> Verdict | None:
        """Return why a client may not call itself ``uri``; None when its certificate says the same."""
        names = uris(x509.load_der_x509_certificate(split(sent or b"")[0]))
        if uri and uri in names:
            return None
        said = f"the client calls itself {ascii(uri)[:200]}, its certificate says {ascii(', '.join(names))[:200]}"
        remedy = "set the client's application URI to that of its certificate, or make it a new certificate"
        return Verdict(status="BadCertificateUriInvalid", reason=said, remedy=remedy)

    @staticmethod
    def _revoked_anyway(leaf: x509.Certificate, content: Content) -> Verdict | None:
        """Honour a list of the issuer of a certificate that is trusted itself."""
        issuers = [e.certificate for e in (*content.trusted, *content.issuers) if _issued(leaf, e.certificate)]
        for issuer in issuers:
            for crl in _lists_of(issuer, content):
                if crl.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None:
                    return _revoked(leaf, leaf)
        return None


class _Search:
    """The way from a client's certificate to an authority that is trusted."""

    def __init__(self, content: Content, sent: Sequence[x509.Certificate], now: datetime) -> None:
        self._content, self._now = content, now
        self._trusted = [e.certificate for e in content.trusted]
        self._others = [*(e.certificate for e in content.issuers), *sent]
        self._checks = 0
        self._refusals: list[Verdict] = []

    def judge(self, leaf: x509.Certificate) -> Verdict:
        """Return what the best way is worth."""
        for way in self._ways(leaf, [leaf]):
            refusal = self._refusal(way)
            if refusal is None:
                return Verdict(known=True)
            self._refusals.append(refusal)
        if self._refusals:
            return self._refusals[0]
        remedy = f"to let it in: gateway opcua trust {thumbprint_of(leaf)[:16]}"
        if self._content.unusable:
            remedy += f" (and see to: {'; '.join(self._content.unusable)})"
        if leaf.issuer == leaf.subject:
            return Verdict(status="BadCertificateUntrusted", reason="its certificate is not trusted", remedy=remedy)
        who = ascii(leaf.issuer.rfc4514_string())[:200]
        reason = f"neither its certificate nor an authority that vouches for it is trusted; it was issued by {who}"
        remedy += "; or put that authority's certificate into pki/trusted/certs"
        return Verdict(status="BadCertificateChainIncomplete", reason=reason, remedy=remedy)

    def _ways(self, at: x509.Certificate, way: list[x509.Certificate]) -> Iterator[list[x509.Certificate]]:
        """Yield each way from ``at`` up to an authority that is trusted, that authority included."""
        if len(way) > MAX_CHAIN:
            return
        for issuer, trusted in [*((c, True) for c in self._trusted), *((c, False) for c in self._others)]:
            if at.issuer != issuer.subject or issuer in way:
                continue
            self._checks += 1
            if self._checks > MAX_CHECKS:
                return
            if not _issued(at, issuer):
                continue
            if trusted:
                yield [*way, issuer]
            else:
                yield from self._ways(issuer, [*way, issuer])

    def _refusal(self, way: list[x509.Certificate]) -> Verdict | None:
        """Return why this way cannot be relied on: the leaf first, the trusted authority last."""
        for below, authority in enumerate(way[1:]):
            if (bad := _authority_worth(authority, below, self._now)) is not None:
                return bad
        for certificate, issuer in zip(way, way[1:], strict=False):
            lists = _lists_of(issuer, self._content)
            if any(c.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None for c in lists):
                return _revoked(certificate, way[0])
            who = ascii(issuer.subject.rfc4514_string())[:200]
            status = "BadCertificateRevocationUnknown" if certificate is way[0] else "BadCertificateIssuerRevocationUnknown"
            if not lists:
                remedy = "put its revocation list into pki/trusted/crl or pki/issuer/crl, an empty one if nothing was revoked"
                return Verdict(status=status, reason=f"there is no revocation list of the authority {who}", remedy=remedy)
            if all(c.next_update_utc is not None and c.next_update_utc <= self._now for c in lists):
                return Verdict(
                    status=status,
                    reason=f"the revocation list of the authority {who} is outdated",
                    remedy="fetch the authority's present list into pki/trusted/crl or pki/issuer/crl",
                )
        return None


def thumbprint_of(certificate: x509.Certificate) -> str:
    """Return a certificate's thumbprint."""
    return file_stem(certificate).rpartition("-")[2]


def _own_worth(leaf: x509.Certificate, now: datetime) -> Verdict | None:
    """Return why nobody may rely on this certificate, whoever trusts it."""
    if reason := weakness(leaf, now):
        dates = not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc
        status = "BadCertificateTimeInvalid" if dates else "BadCertificatePolicyCheckFailed"
        return Verdict(status=status, reason=f"certificate: {reason}", remedy="make the client a new certificate")
    try:
        usage = _extension(leaf, x509.KeyUsage)
        purposes = _extension(leaf, x509.ExtendedKeyUsage)
        _extension(leaf, x509.SubjectAlternativeName)
    except ValueError as e:
        return Verdict(status="BadCertificateInvalid", reason=f"certificate: {e}", remedy="make the client a new certificate")
    missing = ""
    if usage is not None and not (usage.digital_signature and (usage.key_encipherment or usage.data_encipherment)):
        missing = "key usage allows no signature or no encryption"
    allowed = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if purposes is not None and not allowed & set(purposes):
        missing = "extended key usage does not name client authentication"
    if not missing:
        return None
    remedy = "make the client a certificate for clients"
    return Verdict(status="BadCertificateUseNotAllowed", reason=f"certificate: its {missing}", remedy=remedy)


def _authority_worth(authority: x509.Certificate, below: int, now: datetime) -> Verdict | None:
    """Return why an authority cannot vouch for another certificate; ``below`` other authorities stand between."""
    who = ascii(authority.subject.rfc4514_string())[:200]
    if reason := weakness(authority, now):
        dates = not authority.not_valid_before_utc <= now < authority.not_valid_after_utc
        status = "BadCertificateIssuerTimeInvalid" if dates else "BadCertificatePolicyCheckFailed"
        return Verdict(status=status, reason=f"authority {who}: {reason}", remedy="renew the authority's certificate")
    try:
        constraints = _extension(authority, x509.BasicConstraints)
        usage = _extension(authority, x509.KeyUsage)
    except ValueError as e:
        return Verdict(status="BadCertificateInvalid", reason=f"authority {who}: {e}", remedy="replace its certificate")
    what = ""
    if constraints is None or not constraints.ca:
        what = "is no authority (basic constraints)"
    elif constraints.path_length is not None and below > constraints.path_length:
        what = f"may not stand above {below} other(s) (path length {constraints.path_length})"
    elif usage is not None and not usage.key_cert_sign:
        what = "may not sign certificates (key usage)"
    if not what:
        return None
    remedy = "trust the client's certificate itself, or have it issued by an authority that may"
    return Verdict(status="BadCertificateIssuerUseNotAllowed", reason=f"{who} {what}", remedy=remedy)


def _revoked(certificate: x509.Certificate, leaf: x509.Certificate) -> Verdict:
    who = ascii(certificate.subject.rfc4514_string())[:200]
    status = "BadCertificateRevoked" if certificate == leaf else "BadCertificateIssuerRevoked"
    return Verdict(status=status, reason=f"{who} was revoked by its issuer", remedy="have a new certificate issued")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _lists_of(issuer: x509.Certificate, content: Content) -> list[x509.CertificateRevocationList]:
    """Return the lists that this very authority has signed."""
    found = []
    for entry in content.crls:
        try:
            key = issuer.public_key()
            if entry.crl.issuer == issuer.subject and entry.crl.is_signature_valid(key):  # type: ignore[arg-type]
                found.append(entry.crl)
        except (ValueError, TypeError):
            continue
    return found


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    """Return an extension, None when there is none. ValueError when the certificate's extensions cannot be read."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except x509.DuplicateExtension as e:
        raise ValueError(str(e)) from e
