"""The folder of certificates: what is read of it, and what is kept of those who were refused."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from gateway.opcua import pki as module
from gateway.opcua.pki import Pki, Rejection, file_stem, split, thumbprint, uris
from tests.opcua_authority import Authority, certificate, der

WHY = Rejection(when="2026-05-04T12:00:00+00:00", address="192.0.2.1", status="Bad", reason="why", remedy="do")


def test_what_the_folders_hold_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    pki, plant = Pki(tmp_path), Authority()
    assert pki.content() is pki.content()
    assert pki.content().empty
    (tmp_path / "trusted/certs/a.der").write_bytes(der(plant.certificate))
    (tmp_path / "issuer/certs/b.der").write_bytes(der(certificate()))
    (tmp_path / "issuer/crl/c.der").write_bytes(plant.crl())
    (tmp_path / "trusted/crl/d.der").write_bytes(plant.crl())
    found = pki.content()
    assert found is pki.content()
    assert (len(found.trusted), len(found.issuers), len(found.crls), found.empty) == (1, 1, 2, False)
    (tmp_path / "trusted/certs/a.der").unlink()
    assert pki.content().empty


def test_what_cannot_be_read_is_named_and_trusts_nobody(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    (tmp_path / "trusted/certs/notes.txt").write_text("hello")
    (tmp_path / "trusted/crl/big.crl").write_bytes(bytes(module.MAX_FILE + 1))
    found = pki.content()
    assert found.trusted == () and found.crls == () and not found.empty
    assert [Path(text.partition(":")[0]).name for text in found.unusable] == ["notes.txt", "big.crl"]


def test_a_rejected_certificate_is_kept_with_the_reason_of_the_last_time(tmp_path: Path) -> None:
    pki, one = Pki(tmp_path), der(certificate("Ua Expert@PC-7"))
    path = pki.reject(one, WHY)
    assert path is not None and path.name == f"Ua-Expert-PC-7-{thumbprint(one)[:16]}.der"
    assert pki.rejected() == [(pki.rejected()[0][0], WHY)]
    later = Rejection(when="2026-05-04T13:00:00+00:00", address="192.0.2.2", status="Worse", reason="r", remedy="")
    assert pki.reject(one, later) == path
    ((entry, why),) = pki.rejected()
    assert (entry.der, why) == (one, later)
    path.with_suffix(".json").write_text("{")
    assert pki.rejected()[0][1] is None


def test_the_rejected_folder_does_not_grow_without_end_and_keeps_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REJECTED_KEPT", 3)
    pki = Pki(tmp_path)
    for n in range(5):
        path = pki.reject(der(certificate(f"c{n}")), WHY)
        assert path is not None
        os.utime(path, (n, n))
    assert sorted(f.name[:2] for f in (tmp_path / "rejected").iterdir()) == ["c2", "c2", "c3", "c3", "c4", "c4"]


def test_ever_new_certificates_do_not_push_out_the_one_that_waits(tmp_path: Path) -> None:
    pki, now = Pki(tmp_path), [1000.0]
    made = [certificate(f"c{n}") for n in range(module.KEPT_PER_MINUTE + 1)]
    kept = [pki.reject(der(c), WHY, clock=lambda: now[0]) is not None for c in made]
    assert kept == [True] * module.KEPT_PER_MINUTE + [False]
    assert pki.reject(der(made[0]), WHY, clock=lambda: now[0]) is not None, "what is there already may be refused again"
    now[0] += 60
    assert pki.reject(der(made[-1]), WHY, clock=lambda: now[0]) is not None


@pytest.mark.parametrize(("common", "stem"), [("../../../etc/x", "etc-x"), ("", "client"), ("Ü", "client")])
def test_a_name_cannot_leave_the_folder(common: str, stem: str) -> None:
    assert file_stem(certificate(common)).rpartition("-")[0] == stem


def test_a_chain_is_split_and_noise_is_left_as_it_is() -> None:
    leaf, issuer = der(certificate("leaf")), der(certificate("issuer"))
    assert split(leaf) == [leaf]
    assert split(leaf + issuer) == [leaf, issuer]
    assert split(leaf + b"rest") == [leaf, b"rest"]
    assert split(b"") == [b""] and split(b"noise") == [b"noise"]
    assert split(leaf[:-1])[0] == leaf[:-1]


def test_the_uris_of_a_certificate() -> None:
    assert uris(certificate(uri="urn:a")) == ("urn:a",)
    assert uris(certificate()) == ()


def test_a_list_says_until_when_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "c.crl"
    until = datetime(2030, 1, 1, tzinfo=UTC)
    path.write_bytes(Authority().crl(next_update=until))
    assert module.read_crl(path).crl.next_update_utc == until
    assert isinstance(module.read_crl(path).crl, x509.CertificateRevocationList)
