"""The server's own certificate: what is in the one that it makes, and what it says of one that it cannot use."""

from __future__ import annotations

import ipaddress
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.core.errors import ConfigError
from gateway.opcua import security
from gateway.opcua.security import OwnCertificate, own_certificate, write_private

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
URI = "urn:plant:vision:1"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> OwnCertificate:
    return own_certificate(tmp_path_factory.mktemp("pki"), URI, "192.0.2.7", now=NOW)


@pytest.fixture
def own(made: OwnCertificate, tmp_path: Path) -> OwnCertificate:
    """Return a copy of the certificate and its key below tmp_path."""
    copy = OwnCertificate(certificate=tmp_path / "own/certs/gateway.der", key=tmp_path / "own/private/gateway.pem")
    write_private(copy.certificate, made.certificate.read_bytes())
    write_private(copy.key, made.key.read_bytes())
    return copy


def read(own: OwnCertificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(own.certificate.read_bytes())


def test_it_is_rsa_2048_with_sha_256_for_ten_years(made: OwnCertificate) -> None:
    certificate = read(made)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey) and key.key_size == 2048
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert certificate.not_valid_before_utc < NOW
    assert certificate.not_valid_after_utc == NOW + timedelta(days=3650)
    certificate.verify_directly_issued_by(certificate)


def test_it_names_the_application_and_how_to_reach_it(made: OwnCertificate) -> None:
    names = read(made).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [URI]
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert set(names.get_values_for_type(x509.IPAddress)) == {ipaddress.ip_address(a) for a in ("127.0.0.1", "192.0.2.7")}


def test_it_may_serve_sign_and_encrypt_but_is_no_authority(made: OwnCertificate) -> None:
    extensions = read(made).extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.key_encipherment and usage.data_encipherment and usage.content_commitment
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert x509.oid.ExtendedKeyUsageOID.SERVER_AUTH in extensions.get_extension_for_class(x509.ExtendedKeyUsage).value


@pytest.mark.parametrize(("host", "name"), [("cell7.plant", "cell7.plant"), ("0.0.0.0", "gw-7"), ("::", "gw-7")])
def test_listening_everywhere_or_under_a_name(host: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security.socket, "gethostname", lambda: "gw-7")
    monkeypatch.setattr(security.socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("198.51.100.4", 0))])
    alternatives = read(own_certificate(tmp_path, URI, host)).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert name in alternatives.value.get_values_for_type(x509.DNSName)
    addresses = alternatives.value.get_values_for_type(x509.IPAddress)
    assert (ipaddress.ip_address("198.51.100.4") in addresses) is (host != "cell7.plant")
    assert not any(a.is_unspecified for a in addresses)


def test_the_key_is_its_owners_alone_and_both_stay(tmp_path: Path) -> None:
    first = own_certificate(tmp_path, URI, "127.0.0.1")
    assert stat.S_IMODE(first.key.stat().st_mode) == 0o600
    before = first.certificate.read_bytes(), first.key.read_bytes()
    assert own_certificate(tmp_path, URI, "127.0.0.1") == first
    assert (first.certificate.read_bytes(), first.key.read_bytes()) == before


def test_a_key_without_a_certificate_is_a_first_start_cut_off(own: OwnCertificate, tmp_path: Path) -> None:
    own.certificate.unlink()
    before = own.key.read_bytes()
    again = own_certificate(tmp_path, URI, "127.0.0.1", now=NOW)
    assert again.certificate.exists() and again.key.read_bytes() != before


def refused(folder: Path, uri: str = URI, now: datetime = NOW) -> str:
    with pytest.raises(ConfigError) as caught:
        own_certificate(folder, uri, "127.0.0.1", now=now)
    return str(caught.value)


def test_another_applications_certificate_is_refused(own: OwnCertificate, tmp_path: Path) -> None:
    said = refused(tmp_path, uri="urn:other")
    assert str(own.certificate) in said and URI in said and "urn:other" in said and "move it" in said


@pytest.mark.parametrize(("days", "reason"), [(3651, "expired on 2036"), (-2, "not valid before")])
def test_dates_are_checked(own: OwnCertificate, tmp_path: Path, days: int, reason: str) -> None:
    assert reason in refused(tmp_path, now=NOW + timedelta(days=days))


def test_a_damaged_certificate_is_refused(own: OwnCertificate, tmp_path: Path) -> None:
    own.certificate.write_bytes(own.certificate.read_bytes()[:200])
    assert "not a usable certificate" in refused(tmp_path)


@pytest.mark.parametrize("body", [b"", b"-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_key_is_refused(own: OwnCertificate, tmp_path: Path, body: bytes) -> None:
    write_private(own.key, body)
    assert str(own.key) in refused(tmp_path)


def test_an_absent_key_is_refused_rather_than_replaced(own: OwnCertificate, tmp_path: Path) -> None:
    own.key.unlink()
    assert str(own.key) in refused(tmp_path)


def test_a_key_that_others_may_read_is_refused(own: OwnCertificate, tmp_path: Path) -> None:
    own.key.chmod(0o640)
    assert f"chmod 600 {own.key}" in refused(tmp_path)


def test_the_key_of_another_certificate_is_refused(own: OwnCertificate, tmp_path: Path) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(own.key, pem)
    assert "is not the key of" in refused(tmp_path)


def test_a_private_file_is_private_from_the_first_moment_and_replaces_a_public_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret"
    write_private(path, b"1")
    path.chmod(0o644)
    write_private(path, b"2")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"2", 0o600)
    assert [f.name for f in path.parent.iterdir()] == ["secret"]
