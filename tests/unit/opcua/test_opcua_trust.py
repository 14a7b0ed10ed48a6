"""Which certificates may open a channel: trusted themselves, by an authority, or not, and what is said about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from structlog.testing import capture_logs

from gateway.opcua.pki import Pki
from gateway.opcua.trust import Trust, Verdict
from tests.opcua_authority import Authority, certificate, der, rsa_key, usage

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
GOOD, EXCEPTION = Verdict(known=True), Verdict()


def client(common: str = "UaExpert", **how: Any) -> x509.Certificate:
    return certificate(common, **({"now": NOW} | how))


def authority(common: str = "Plant", **how: Any) -> Authority:
    return Authority(common, now=NOW, **how)


def trust(pki: Path) -> Trust:
    return Trust(Pki(pki), clock=lambda: NOW)


def judged(pki: Path, sent: bytes, *, local: bool = False) -> Verdict:
    return trust(pki).judge(sent, local=local)


def put(pki: Path, folder: str, body: bytes | x509.Certificate, name: str = "one") -> Path:
    path = pki / folder / f"{name}.der"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body if isinstance(body, bytes) else der(body))
    return path


# --- itself ---------------------------------------------------------------------------------------------------------------


def test_while_nobody_is_trusted_clients_on_this_machine_may_come_unknown_and_no_others(tmp_path: Path) -> None:
    one = trust(tmp_path)
    assert one.judge(der(client()), local=True) == EXCEPTION
    assert not EXCEPTION.known
    assert one.judge(der(client()), local=False).status == "BadCertificateUntrusted"


@pytest.mark.parametrize("body", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nxx"])
def test_any_file_among_the_trusted_ends_the_exception_for_this_machine(tmp_path: Path, body: bytes) -> None:
    put(tmp_path, "trusted/certs", body)
    refused = judged(tmp_path, der(client()), local=True)
    assert refused.status == "BadCertificateUntrusted"
    assert "one.der" in refused.remedy, "and the file is named"


def test_a_folder_that_cannot_be_read_trusts_nobody(tmp_path: Path) -> None:
    one = trust(tmp_path)
    (tmp_path / "trusted" / "certs").rmdir()
    refused = one.judge(der(client()), local=True)
    assert refused.status == "BadCertificateUntrusted" and "cannot be read" in refused.remedy


@pytest.mark.parametrize("encoding", [serialization.Encoding.DER, serialization.Encoding.PEM])
def test_a_certificate_that_lies_there_itself_is_trusted_at_once(tmp_path: Path, encoding: Any) -> None:
    one, mine = trust(tmp_path), client()
    assert one.judge(der(mine), local=False).status
    path = put(tmp_path, "trusted/certs", mine.public_bytes(encoding))
    assert one.judge(der(mine), local=False) == GOOD
    assert one.judge(der(mine), local=True) == GOOD
    assert one.judge(der(client("another")), local=True).status == "BadCertificateUntrusted"
    path.unlink()
    assert one.judge(der(mine), local=False).status == "BadCertificateUntrusted"


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ({"end": NOW}, "BadCertificateTimeInvalid", "expired"),
        ({"begin": NOW + timedelta(minutes=1)}, "BadCertificateTimeInvalid", "not valid before"),
        ({"key": rsa_key("short", 1024)}, "BadCertificatePolicyCheckFailed", "RSA"),
        ({"key": ec.generate_private_key(ec.SECP256R1())}, "BadCertificatePolicyCheckFailed", "RSA"),
        ({"digest": hashes.SHA224()}, "BadCertificatePolicyCheckFailed", "SHA-256"),
        ({"key_usage": usage(digital_signature=False)}, "BadCertificateUseNotAllowed", "key usage"),
        (
            {"key_usage": usage(key_encipherment=False, data_encipherment=False)},
            "BadCertificateUseNotAllowed",
            "key usage",
        ),
        ({"purposes": (ExtendedKeyUsageOID.SERVER_AUTH,)}, "BadCertificateUseNotAllowed", "client authentication"),
    ],
)
def test_what_a_certificate_is_worth_counts_even_when_it_is_trusted(
    tmp_path: Path, how: dict[str, Any], status: str, reason: str
) -> None:
    mine = client(**how)
    put(tmp_path, "trusted/certs", mine)
    for local in (True, False):
        refused = judged(tmp_path, der(mine), local=local)
        assert (refused.status, refused.told) == (status, status), "which the client may know: it is its own certificate"
        assert reason in refused.reason and refused.remedy


@pytest.mark.parametrize("purposes", [None, (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)])
def test_a_certificate_that_says_nothing_of_its_use_is_taken(tmp_path: Path, purposes: Any) -> None:
    mine = client(purposes=purposes)
    put(tmp_path, "trusted/certs", mine)
    assert judged(tmp_path, der(mine)) == GOOD


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 100, -1])
def test_a_damaged_certificate_is_refused(tmp_path: Path, cut: int) -> None:
    refused = judged(tmp_path, der(client())[:cut], local=True)
    assert (refused.status, refused.told) == ("BadCertificateInvalid", "BadSecurityChecksFailed")
    assert judged(tmp_path, b"", local=True).reason == "it sent no certificate"


# --- authorities ----------------------------------------------------------------------------------------------------------


def test_what_a_trusted_authority_issued_is_trusted(tmp_path: Path) -> None:
    plant = authority()
    mine = client(issuer=plant)
    assert judged(tmp_path, der(mine)).status == "BadCertificateChainIncomplete"
    put(tmp_path, "trusted/certs", plant.certificate)
    put(tmp_path, "trusted/crl", plant.crl())
    assert judged(tmp_path, der(mine)) == GOOD
    assert judged(tmp_path, der(client("another", issuer=plant))) == GOOD
    assert judged(tmp_path, der(client("self-signed"))).status == "BadCertificateUntrusted"


def test_an_authority_among_the_issuers_alone_is_not_trusted(tmp_path: Path) -> None:
    plant = authority()
    put(tmp_path, "issuer/certs", plant.certificate)
    put(tmp_path, "issuer/crl", plant.crl())
    refused = judged(tmp_path, der(client(issuer=plant)) + der(plant.certificate))
    assert (refused.status, refused.told) == ("BadCertificateChainIncomplete", "BadSecurityChecksFailed")


@pytest.mark.parametrize("sent_along", [True, False])
def test_a_way_may_lead_over_authorities_that_are_not_trusted_themselves(tmp_path: Path, sent_along: bool) -> None:
    root = authority("Root")
    line = authority("Line", parent=root)
    mine = client(issuer=line)
    put(tmp_path, "trusted/certs", root.certificate)
    put(tmp_path, "trusted/crl", root.crl(), "root")
    put(tmp_path, "issuer/crl", line.crl(), "line")
    if not sent_along:
        assert judged(tmp_path, der(mine)).status == "BadCertificateChainIncomplete"
        put(tmp_path, "issuer/certs", line.certificate)
    assert judged(tmp_path, der(mine) + (der(line.certificate) if sent_along else b"")) == GOOD


def test_a_certificate_in_the_name_of_an_authority_that_did_not_sign_it_is_refused(tmp_path: Path) -> None:
    plant = authority()
    put(tmp_path, "trusted/certs", plant.certificate)
    put(tmp_path, "trusted/crl", plant.crl())
    forger = Authority("Plant", now=NOW, changed={"key": rsa_key("forger")})
    forged = x509.CertificateBuilder().subject_name(client().subject).issuer_name(forger.name)
    forged = forged.public_key(rsa_key().public_key()).serial_number(7)
    forged = forged.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=1))
    mine = forged.sign(rsa_key("forger"), hashes.SHA256())
    assert judged(tmp_path, der(mine)).status == "BadCertificateChainIncomplete"
    assert judged(tmp_path, der(mine) + der(forger.certificate)).status == "BadCertificateChainIncomplete"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"constraints": None}, "BadCertificateIssuerUseNotAllowed"),
        ({"constraints": x509.BasicConstraints(ca=False, path_length=None)}, "BadCertificateIssuerUseNotAllowed"),
        ({"key_usage": usage(key_cert_sign=False, crl_sign=True)}, "BadCertificateIssuerUseNotAllowed"),
        ({"end": NOW}, "BadCertificateIssuerTimeInvalid"),
        ({"digest": hashes.SHA224()}, "BadCertificatePolicyCheckFailed"),
    ],
)
def test_an_authority_must_be_one(tmp_path: Path, changed: dict[str, Any], status: str) -> None:
    plant = authority(changed=changed)
    put(tmp_path, "trusted/certs", plant.certificate)
    put(tmp_path, "trusted/crl", plant.crl())
    refused = judged(tmp_path, der(client(issuer=plant)))
    assert refused.status == status
    assert "Plant" in refused.reason and refused.remedy


def test_a_trusted_client_cannot_vouch_for_another(tmp_path: Path) -> None:
    mine = client("client", key_usage=usage(key_cert_sign=True), constraints=x509.BasicConstraints(False, None))
    put(tmp_path, "trusted/certs", mine)
    child = certificate("child", issuer=Authority("client", now=NOW), now=NOW)
    assert judged(tmp_path, der(child)).status in ("BadCertificateChainIncomplete", "BadCertificateIssuerUseNotAllowed")


def test_an_authority_may_not_stand_above_more_than_its_path_length(tmp_path: Path) -> None:
    root = authority("Root", path_length=0)
    line = authority("Line", parent=root)
    put(tmp_path, "trusted/certs", root.certificate)
    put(tmp_path, "trusted/crl", root.crl(), "root")
    put(tmp_path, "issuer/crl", line.crl(), "line")
    assert judged(tmp_path, der(client(issuer=line)) + der(line.certificate)).status == "BadCertificateIssuerUseNotAllowed"
    assert judged(tmp_path, der(client(issuer=root))) == GOOD


def test_a_chain_in_a_circle_or_without_end_is_refused(tmp_path: Path) -> None:
    first = authority("First")
    second = authority("Second", parent=first)
    circle = Authority("First", second, NOW)
    sent = der(client(issuer=circle)) + der(circle.certificate) + der(second.certificate)
    assert judged(tmp_path, sent).status == "BadCertificateChainIncomplete"
    deep: Authority | None = None
    chain = b""
    for n in range(8):
        deep = authority(f"A{n}", parent=deep)
        chain = der(deep.certificate) + chain
    put(tmp_path, "trusted/certs", authority("A0").certificate)
    assert judged(tmp_path, der(client(issuer=deep)) + chain).status == "BadCertificateChainIncomplete"


# --- revocation -----------------------------------------------------------------------------------------------------------


def test_a_revoked_certificate_is_refused(tmp_path: Path) -> None:
    plant = authority()
    mine, other = client(issuer=plant), client("other", issuer=plant)
    put(tmp_path, "trusted/certs", plant.certificate)
    put(tmp_path, "trusted/crl", plant.crl(mine))
    refused = judged(tmp_path, der(mine))
    assert (refused.status, refused.told) == ("BadCertificateRevoked", "BadSecurityChecksFailed")
    assert judged(tmp_path, der(other)) == GOOD


def test_a_revoked_authority_vouches_for_nobody(tmp_path: Path) -> None:
    root = authority("Root")
    line = authority("Line", parent=root)
    put(tmp_path, "trusted/certs", root.certificate)
    put(tmp_path, "trusted/crl", root.crl(line.certificate), "root")
    put(tmp_path, "issuer/crl", line.crl(), "line")
    assert judged(tmp_path, der(client(issuer=line)) + der(line.certificate)).status == "BadCertificateIssuerRevoked"


def test_without_a_revocation_list_an_authority_is_not_enough(tmp_path: Path) -> None:
    root = authority("Root")
    line = authority("Line", parent=root)
    put(tmp_path, "trusted/certs", root.certificate)
    refused = judged(tmp_path, der(client(issuer=root)))
    assert (refused.status, refused.told) == ("BadCertificateRevocationUnknown", "BadSecurityChecksFailed")
    assert "Root" in refused.reason and "trusted/crl" in refused.remedy
    put(tmp_path, "issuer/crl", line.crl(), "line")
    sent = der(client(issuer=line)) + der(line.certificate)
    assert judged(tmp_path, sent).status == "BadCertificateIssuerRevocationUnknown"


def test_an_outdated_list_and_one_of_somebody_else_are_none(tmp_path: Path) -> None:
    plant = authority()
    mine = client(issuer=plant)
    put(tmp_path, "trusted/certs", plant.certificate)
    put(tmp_path, "trusted/crl", plant.crl(key=rsa_key("forger")))
    assert judged(tmp_path, der(mine)).status == "BadCertificateRevocationUnknown"
    put(tmp_path, "trusted/crl", plant.crl(next_update=NOW))
    refused = judged(tmp_path, der(mine))
    assert refused.status == "BadCertificateRevocationUnknown" and "outdated" in refused.reason
    put(tmp_path, "trusted/crl", b"no list")
    assert judged(tmp_path, der(mine)).status == "BadCertificateRevocationUnknown"


def test_an_outdated_list_still_takes_back_what_it_names(tmp_path: Path) -> None:
    plant = authority()
    mine = client(issuer=plant)
    put(tmp_path, "trusted/certs", plant.certificate)
    put(tmp_path, "trusted/crl", plant.crl(mine, next_update=NOW))
    assert judged(tmp_path, der(mine)).status == "BadCertificateRevoked"


def test_a_certificate_trusted_itself_needs_no_list_but_one_that_is_there_counts(tmp_path: Path) -> None:
    plant = authority()
    mine = client(issuer=plant)
    put(tmp_path, "trusted/certs", mine)
    assert judged(tmp_path, der(mine)) == GOOD
    put(tmp_path, "issuer/certs", plant.certificate)
    assert judged(tmp_path, der(mine)) == GOOD
    put(tmp_path, "issuer/crl", plant.crl(mine))
    assert judged(tmp_path, der(mine)).status == "BadCertificateRevoked"


# --- what is said ---------------------------------------------------------------------------------------------------------


def test_the_application_uri_must_stand_in_the_certificate(tmp_path: Path) -> None:
    one, mine = trust(tmp_path), der(client(uri="urn:client"))
    assert one.uri_refusal(mine, "urn:client") is None
    for sent, said in ((mine, "urn:other"), (mine, ""), (mine, None), (der(client()), "urn:client"), (der(client()), "")):
        refused = one.uri_refusal(sent, said)
        assert refused is not None and refused.status == "BadCertificateUriInvalid" and refused.remedy


def test_each_refusal_is_logged_once_for_each_certificate_and_kept_with_its_reason(tmp_path: Path) -> None:
    one, expired, sound = trust(tmp_path), der(client(end=NOW)), der(client())
    with capture_logs() as logs:
        for _ in range(3):
            one.admit(expired, local=True, address="192.0.2.1")
            one.admit(b"x", local=True, address="192.0.2.1")
            one.admit(sound, local=False, address="192.0.2.1")
        assert one.admit(sound, local=True, address="192.0.2.1") == EXCEPTION
    assert [e["status"] for e in logs] == ["BadCertificateTimeInvalid", "BadCertificateInvalid", "BadCertificateUntrusted"]
    kept = {e.der: why for e, why in one.pki.rejected()}
    assert kept.keys() == {expired, sound}
    why = kept[sound]
    assert why is not None and why.status == "BadCertificateUntrusted" and why.address == "192.0.2.1"
    assert "gateway opcua trust" in why.remedy


def test_a_rejected_folder_that_cannot_be_written_changes_no_refusal(tmp_path: Path) -> None:
    one = trust(tmp_path)
    (tmp_path / "rejected").rmdir()
    assert one.admit(der(client()), local=False, address="x").status == "BadCertificateUntrusted"
