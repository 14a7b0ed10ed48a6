"""Who is let in: client certificates, users, and guessing."""

from __future__ import annotations

import base64
import functools
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from gateway.core.errors import ConfigError
from gateway.opcua.access import FAILED_LOGINS, FAILED_LOGINS_PER_PEER, FailedLogins, Trust, Users, first_certificate

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def client(
    name: str = "UaExpert",
    *,
    key: Any = None,
    digest: Any = None,
    begin: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=1),
) -> bytes:
    key = key or rsa_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
    return builder.sign(key, digest or hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def trust(pki: Path) -> Trust:
    return Trust(pki, clock=lambda: NOW)


# --- certificates ---------------------------------------------------------------------------------------------------------


def test_while_nobody_is_trusted_any_client_on_this_machine_may_come_and_no_other(tmp_path: Path) -> None:
    one = trust(tmp_path)
    assert one.refusal(client(), local=True) == ""
    assert list((tmp_path / "rejected").iterdir()) == []
    assert "not trusted" in one.refusal(client(), local=False)
    assert len(list((tmp_path / "rejected").iterdir())) == 1


def test_a_refused_certificate_is_kept_and_moving_it_lets_its_client_in_at_once(tmp_path: Path) -> None:
    one, der = trust(tmp_path), client("Ua Expert@PC-7")
    said = one.refusal(der, local=False)
    (kept,) = (tmp_path / "rejected").iterdir()
    assert kept.name.startswith("Ua-Expert-PC-7-") and kept.suffix == ".der" and kept.read_bytes() == der
    assert str(kept) in said and str(tmp_path / "trusted" / "certs") in said
    kept.rename(tmp_path / "trusted" / "certs" / kept.name)
    assert one.refusal(der, local=False) == ""
    assert one.refusal(der, local=True) == ""
    assert "not trusted" in one.refusal(client("another"), local=True), "now this machine's clients are judged as well"


def test_a_trusted_certificate_may_be_pem(tmp_path: Path) -> None:
    one, der = trust(tmp_path), client()
    pem = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
    (tmp_path / "trusted" / "certs" / "client.crt").write_bytes(pem)
    assert one.refusal(der, local=False) == ""


@pytest.mark.parametrize("body", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nxx"])
def test_any_file_among_the_trusted_ends_the_exception_for_this_machine(tmp_path: Path, body: bytes) -> None:
    one = trust(tmp_path)
    (tmp_path / "trusted" / "certs" / "broken.pem").write_bytes(body)
    assert "not trusted" in one.refusal(client(), local=True)


def test_a_folder_that_cannot_be_read_trusts_nobody(tmp_path: Path) -> None:
    one = trust(tmp_path)
    (tmp_path / "trusted" / "certs").rmdir()
    assert "nobody is trusted" in one.refusal(client(), local=True)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: client(end=NOW), "expired"),
        (lambda: client(begin=NOW + timedelta(minutes=1)), "not valid before"),
        (lambda: client(key=rsa_key(1024)), "RSA"),
        (lambda: client(key=ec.generate_private_key(ec.SECP256R1())), "RSA"),
        (lambda: client(digest=hashes.SHA224()), "SHA-256"),
    ],
)
def test_an_unsound_certificate_is_refused_even_when_it_is_trusted(tmp_path: Path, make: Any, reason: str) -> None:
    one, der = trust(tmp_path), make()
    assert reason in one.refusal(der, local=True)
    (tmp_path / "trusted" / "certs" / "c.der").write_bytes(der)
    assert reason in one.refusal(der, local=False)
    assert list((tmp_path / "rejected").iterdir()) == [], "trusting it would not help"


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 100, -1])
def test_a_damaged_certificate_is_refused_and_not_kept(tmp_path: Path, cut: int) -> None:
    assert trust(tmp_path).refusal(client()[:cut], local=True) != ""
    assert trust(tmp_path).refusal(None, local=True) == "it sent no certificate"
    assert list((tmp_path / "rejected").iterdir()) == []


def test_of_a_chain_the_first_counts(tmp_path: Path) -> None:
    leaf, issuer = client(), client("authority")
    assert first_certificate(leaf + issuer) == leaf
    one = trust(tmp_path)
    (tmp_path / "trusted" / "certs" / "authority.der").write_bytes(issuer)
    assert one.refusal(leaf + issuer, local=False) != "", "trusting an authority does not trust what it signed"
    (tmp_path / "trusted" / "certs" / "leaf.der").write_bytes(leaf)
    assert one.refusal(leaf + issuer, local=False) == ""


def test_the_rejected_folder_does_not_grow_without_end_and_keeps_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.opcua.access.REJECTED_KEPT", 3)
    one = trust(tmp_path)
    for n in range(5):
        one.refusal(client(f"c{n}"), local=False)
        for f in (tmp_path / "rejected").glob(f"c{n}-*"):
            os.utime(f, (n, n))
    assert sorted(f.name[:2] for f in (tmp_path / "rejected").iterdir()) == ["c2", "c3", "c4"]


def test_a_rejected_folder_that_cannot_be_written_changes_no_refusal(tmp_path: Path) -> None:
    one = trust(tmp_path)
    (tmp_path / "rejected").rmdir()
    assert "not trusted" in one.refusal(client(), local=False)


def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    trust(tmp_path).refusal(client("../../../etc/x"), local=False)
    trust(tmp_path).refusal(client(""), local=False)
    assert sorted(f.name.rpartition("-")[0] for f in (tmp_path / "rejected").iterdir()) == ["client", "etc-x"]


def test_each_refusal_is_logged_once_for_each_certificate(tmp_path: Path) -> None:
    one, expired, sound = trust(tmp_path), client(end=NOW), client()
    with capture_logs() as logs:
        for _ in range(3):
            one.refusal(expired, local=True)
            one.refusal(b"x", local=True)
            one.refusal(sound, local=True)
        one.refusal(sound, local=False)
    assert [e["log_level"] for e in logs] == ["warning"] * 3
    assert len({e["sha256"] for e in logs}) == 3
    assert "expired" in logs[0]["why"] and "no certificate" in logs[1]["why"] and "not trusted" in logs[2]["why"]


# --- users ----------------------------------------------------------------------------------------------------------------


def test_the_first_start_makes_a_viewer_with_a_random_password(tmp_path: Path) -> None:
    users = Users(tmp_path / "a" / "users.json")
    note = users.new_password_file
    assert note is not None
    password = note.read_text().strip()
    assert len(password) >= 16
    assert users.verify("viewer", password)
    assert password not in users.path.read_text()
    assert {stat.S_IMODE(f.stat().st_mode) for f in (note, users.path)} == {0o600}
    other = Users(tmp_path / "b" / "users.json").new_password_file
    assert other is not None and other.read_text().strip() != password


def test_users_stay(tmp_path: Path) -> None:
    first = Users(tmp_path / "users.json")
    assert first.new_password_file is not None
    again = Users(tmp_path / "users.json")
    assert again.new_password_file is None
    assert again.verify("viewer", first.new_password_file.read_text().strip())


def test_nobody_else_is_let_in(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    assert users.new_password_file is not None
    password = users.new_password_file.read_text().strip()
    for name, tried in (
        ("viewer", ""),
        ("viewer", password[:-1]),
        ("viewer", password + "\n"),
        ("Viewer", password),
        ("admin", password),
        ("admin", "admin"),
        ("", password),
        ("\udcff", "\udcff"),
    ):
        assert not users.verify(name, tried), (name, tried)


def test_a_users_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    users.path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        Users(users.path)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"users": []}',
        b'{"users": {"viewer": {"salt": "", "scrypt": ""}}}',
        b'{"users": {"viewer": {"salt": "AAAAAAAAAAAAAAAAAAAAAA==", "scrypt": ""}}}',
        b'{"users": {"viewer": {"salt": "!!!", "scrypt": 5}}}',
        b'{"users": {"viewer": 5}}',
    ],
)
def test_a_damaged_users_file_is_refused(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "users.json"
    path.write_bytes(body)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="damaged"):
        Users(path)


def test_a_sound_file_of_several_users_is_read(tmp_path: Path) -> None:
    path = Users(tmp_path / "users.json").path
    raw = json.loads(path.read_bytes())
    raw["users"]["hmi"] = raw["users"]["viewer"]
    assert len(base64.b64decode(raw["users"]["hmi"]["scrypt"])) == 32
    path.write_text(json.dumps(raw))
    assert Users(path).verify("hmi", (tmp_path / "users-viewer-password.txt").read_text().strip())


# --- guessing -------------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def test_an_address_that_guesses_must_wait_and_others_need_not() -> None:
    clock = Clock()
    logins = FailedLogins(clock=clock)
    for _ in range(FAILED_LOGINS_PER_PEER):
        assert not logins.blocked("192.0.2.1")
        logins.failed("192.0.2.1", "viewer")
    assert logins.blocked("192.0.2.1")
    assert not logins.blocked("192.0.2.2")
    clock.s += 60
    assert not logins.blocked("192.0.2.1")


def test_many_addresses_together_must_wait_too() -> None:
    clock = Clock()
    logins = FailedLogins(clock=clock)
    for n in range(FAILED_LOGINS):
        logins.failed(f"192.0.2.{n}", "viewer")
    assert logins.blocked("198.51.100.1")
    clock.s += 60
    assert not logins.blocked("198.51.100.1")


def test_guessing_is_logged_when_it_begins_and_when_it_is_blocked() -> None:
    logins = FailedLogins(clock=Clock())
    with capture_logs() as logs:
        for _ in range(FAILED_LOGINS_PER_PEER):
            logins.failed("192.0.2.1", "x\n\udcff" + "y" * 1000)
    assert [e["blocked"] for e in logs] == [False, True]
    assert all(e["user"].isascii() and "\n" not in e["user"] and len(e["user"]) < 100 for e in logs)
