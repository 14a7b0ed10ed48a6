"""``gateway opcua trust|untrust|list|why``: whom the OPC UA server trusts, and why it refused somebody.

Works on the folder of keys, which a running gateway watches: what is trusted may connect at once, what is trusted no longer is
out within a second.
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from gateway.cli.opcua_files import add_config, services_of
from gateway.core.errors import ConfigError, GatewayError
from gateway.opcua.pki import (
    TRUSTED,
    TRUSTED_CRL,
    Entry,
    Pki,
    Rejection,
    Revocations,
    file_stem,
    now_text,
    read_certificate,
    read_crl,
    thumbprint,
    uris,
)
from gateway.opcua.trust import Trust

SHORTEST = 4
PRINTS = 16
"""Digits of a thumbprint that are shown."""


def add(actions: Any) -> None:
    """Add the commands."""
    trust = actions.add_parser("trust", help="let a client in: a certificate's file, or the thumbprint of one that was refused")
    trust.add_argument("what", metavar="FILE|THUMBPRINT", help="certificate, revocation list, or the beginning of a thumbprint")
    trust.add_argument("--authority", action="store_true", help="yes, it is an authority: trust whomever it vouches for")
    trust.set_defaults(func=run_trust)
    untrust = actions.add_parser("untrust", help="trust a certificate no longer")
    untrust.add_argument("thumbprint", metavar="THUMBPRINT", help="its beginning")
    untrust.set_defaults(func=run_untrust)
    listing = actions.add_parser("list", help="show who is trusted, who vouches, and who was refused")
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    listing.set_defaults(func=run_list)
    why = actions.add_parser("why", help="say why a client was refused last, and what to do")
    why.add_argument("thumbprint", metavar="THUMBPRINT", nargs="?", default="", help="its beginning; without it the last one")
    why.add_argument("--json", action="store_true", help="print one JSON object")
    why.set_defaults(func=run_why)
    for parser in (trust, untrust, listing, why):
        add_config(parser)


def run_trust(args: argparse.Namespace) -> int:
    """Trust; 2 for what is no certificate, 1 for one that could not be used."""
    pki = Pki(services_of(args).pki)
    path = Path(args.what)
    if path.is_file():
        try:
            return _trust(pki, read_certificate(path), args)
        except ValueError:
            return _take_list(pki, path)
    entry = _one([e for e, _ in pki.rejected()], args.what, "refused certificate, and no file is called that")
    status = _trust(pki, entry, args)
    if not status:
        entry.path.unlink(missing_ok=True)
        entry.path.with_suffix(".json").unlink(missing_ok=True)
    return status


def _trust(pki: Pki, entry: Entry, args: argparse.Namespace) -> int:
    authority = _is_authority(entry.certificate)
    if authority and not args.authority:
        raise ConfigError(
            f"{_subject(entry.certificate)} is an authority: whomever it issues a certificate to could connect;"
            " say --authority if that is meant, or trust the client's own certificate"
        )
    worth = Trust(pki).judge(entry.der, local=False)
    if not authority and worth.status == worth.told:  # of its own, whoever trusts it
        raise GatewayError(f"{_subject(entry.certificate)} cannot be used: {worth.reason}; {worth.remedy}")
    _put(pki.folder(TRUSTED) / f"{file_stem(entry.certificate)}.der", entry.der)
    print(f"trusted: {_row(entry)}")
    if authority:
        print("Whomever it vouches for may connect, as long as its revocation list in trusted/crl is not outdated:")
        print("  gateway opcua trust LIST.crl")
    elif not uris(entry.certificate):
        print("It names no application URI: the server will refuse it (BadCertificateUriInvalid).")
    return 0


def _take_list(pki: Pki, path: Path) -> int:
    try:
        taken = read_crl(path)
    except ValueError as e:
        raise ConfigError(f"{path}: neither a certificate nor a revocation list, in DER or PEM ({e})") from e
    for old in pki.content().crls:
        if old.crl.issuer == taken.crl.issuer and old.path.parent == pki.folder(TRUSTED_CRL):
            old.path.unlink()
    name = f"{thumbprint(taken.crl.issuer.public_bytes())[:PRINTS]}.crl"
    _put(pki.folder(TRUSTED_CRL) / name, path.read_bytes())
    print(f"revocation list: {_list_row(taken)}")
    return 0


def run_untrust(args: argparse.Namespace) -> int:
    """Trust no longer."""
    pki = Pki(services_of(args).pki)
    entry = _one(pki.content().trusted, args.thumbprint, "trusted certificate")
    why = Rejection(
        when=now_text(),
        address="",
        status="BadCertificateUntrusted",
        reason="its trust was taken back",
        remedy=f"to let it in again: gateway opcua trust {thumbprint(entry.der)[:PRINTS]}",
    )
    pki.reject(entry.der, why)
    entry.path.unlink()
    print(f"trusted no longer: {_row(entry)}")
    print("A running gateway ends its connections within a second.")
    if not any(pki.folder(TRUSTED).iterdir()):
        print("Nobody is trusted now: clients on this machine may read with user name and password, others are refused.")
    return 0


def run_list(args: argparse.Namespace) -> int:
    """Show everything."""
    pki = Pki(services_of(args).pki)
    found, rejected = pki.content(), pki.rejected()
    if args.json:
        said = {
            "trusted": [_as_json(e) for e in found.trusted],
            "issuers": [_as_json(e) for e in found.issuers],
            "revocation_lists": [_list_as_json(c) for c in found.crls],
            "rejected": [_as_json(e) | _why_as_json(why) for e, why in rejected],
            "unusable": list(found.unusable),
        }
        print(json.dumps(said))
        return 0
    for title, entries in (("trusted", found.trusted), ("issuers, not trusted themselves", found.issuers)):
        print(f"{title}:")
        print("\n".join(f"  {_row(e)}" for e in entries) or "  none")
    print("revocation lists:")
    print("\n".join(f"  {_list_row(c)}" for c in found.crls) or "  none")
    print("rejected, the last one first:")
    rows = [f"  {_row(e)}\n      {_why(why)}" for e, why in rejected]
    print("\n".join(rows) or "  none")
    for trouble in found.unusable:
        print(f"not usable: {trouble}")
    return 0


def run_why(args: argparse.Namespace) -> int:
    """Explain; 1 when nobody was refused."""
    pki = Pki(services_of(args).pki)
    found = pki.rejected()
    if args.thumbprint:
        entry = _one([e for e, _ in found], args.thumbprint, "refused certificate")
        found = [(e, why) for e, why in found if e is entry]
    if not found:
        print(json.dumps(None) if args.json else f"no client's certificate is kept in {pki.folder('rejected')}")
        return 1
    entry, why = found[0]
    if args.json:
        print(json.dumps(_as_json(entry) | _why_as_json(why)))
        return 0
    print(f"client:  {_row(entry)}")
    if why is None:
        print(f"reason:  none is noted beside {entry.path}")
        return 0
    print(f"refused: {why.when}" + (f", from {why.address}" if why.address else ""))
    print(f"status:  {why.status}")
    print(f"reason:  {why.reason}")
    print(f"do:      {why.remedy}")
    return 0


def _one(entries: Any, beginning: str, what: str) -> Entry:
    wanted = beginning.lower().replace(" ", "").replace(":", "")
    found = [e for e in entries if thumbprint(e.der).startswith(wanted)] if len(wanted) >= SHORTEST else []
    distinct: dict[bytes, Entry] = {e.der: e for e in found}
    if len(distinct) != 1:
        known = ", ".join(thumbprint(e.der)[:PRINTS] for e in entries) or "none"
        how_many = "more than one" if distinct else "no"
        raise ConfigError(f"{beginning}: {how_many} {what}; thumbprints (at least {SHORTEST} digits): {known}")
    return next(iter(distinct.values()))


def _put(path: Path, body: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(body)
    os.replace(part, path)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _subject(certificate: x509.Certificate) -> str:
    return ascii(certificate.subject.rfc4514_string() or "(no name)")[1:-1]


def _row(entry: Entry) -> str:
    of = entry.certificate
    kind = "  authority" if _is_authority(of) else ""
    uri = ascii(", ".join(uris(of)) or "no URI")[1:-1]
    begin, end = of.not_valid_before_utc, of.not_valid_after_utc
    dates = f"{begin:%Y-%m-%d} to {end:%Y-%m-%d}" + (" EXPIRED" if end <= datetime.now(UTC) else "")
    return f"{thumbprint(entry.der)[:PRINTS]}  {_subject(of)}  {uri}  {dates}{kind}"


def _list_row(entry: Revocations) -> str:
    crl, until = entry.crl, entry.crl.next_update_utc
    issuer = ascii(crl.issuer.rfc4514_string())[1:-1]
    outdated = " OUTDATED" if until is not None and until <= datetime.now(UTC) else ""
    return f"{issuer}  {len(list(crl))} revoked, until {until:%Y-%m-%d %H:%M}{outdated}" if until else f"{issuer}  no end"


def _why(why: Rejection | None) -> str:
    if why is None:
        return "no reason is noted"
    return f"{why.when} {why.address}: {why.status}, {why.reason}"


def _as_json(entry: Entry) -> dict[str, Any]:
    of = entry.certificate
    return {
        "thumbprint": thumbprint(entry.der),
        "subject": of.subject.rfc4514_string(),
        "issuer": of.issuer.rfc4514_string(),
        "uris": list(uris(of)),
        "not_before": of.not_valid_before_utc.isoformat(),
        "not_after": of.not_valid_after_utc.isoformat(),
        "authority": _is_authority(of),
        "file": str(entry.path),
    }


def _list_as_json(entry: Revocations) -> dict[str, Any]:
    until = entry.crl.next_update_utc
    return {
        "issuer": entry.crl.issuer.rfc4514_string(),
        "revoked": len(list(entry.crl)),
        "next_update": until.isoformat() if until else None,
        "file": str(entry.path),
    }


def _why_as_json(why: Rejection | None) -> dict[str, Any]:
    if why is None:
        return {"rejection": None}
    said = {"when": why.when, "address": why.address, "status": why.status, "reason": why.reason, "remedy": why.remedy}
    return {"rejection": said}
