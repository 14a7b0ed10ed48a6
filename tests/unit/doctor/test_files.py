"""Files and endpoint of an installation that somebody has been careless with."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config import GatewayConfig, load_config
from gateway.doctor import endpoint, files
from gateway.doctor.finding import Finding
from gateway.last_good import INDEX, folder_of, keep, snapshot
from gateway.opcua.security import own_certificate
from tests.unit.test_config import MODEL, TEXT, file_with

URI = "urn:vision-gateway"


@pytest.fixture
def config(tmp_path: Path) -> GatewayConfig:
    made = load_config(file_with(tmp_path, TEXT.replace("opcua: {port: 0}", "opcua: {port: 48400}")))
    made.data.mkdir(mode=0o700)
    return made


def said(found: Iterable[Finding]) -> dict[str, str]:
    """Return the worst severity of each check; what is not well must have its reason and remedy."""
    out: dict[str, str] = {}
    for f in found:
        assert f.severity == "ok" or (f.why and f.remedy)
        out[f.check] = "error" if "error" in (f.severity, out.get(f.check)) else f.severity
    return out


@pytest.mark.parametrize(
    ("mode", "severity"), [(0o700, "ok"), (0o750, "ok"), (0o755, "warning"), (0o770, "error"), (0o707, "error")]
)
def test_who_may_see_the_data(config: GatewayConfig, mode: int, severity: str) -> None:
    config.data.chmod(mode)
    assert said(files.data_folder(config))["data"] == severity


def test_a_data_folder_that_is_not_there_yet_or_cannot_be_written(
    config: GatewayConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.data.rmdir()
    assert said(files.data_folder(config))["data"] == "ok"
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may everything
    assert said(files.data_folder(config)) == {"data": "error"}
    config.data.mkdir()
    assert said(files.data_folder(config)) == {"data": "error"}


@pytest.mark.parametrize(("free", "severity"), [(2048, "ok"), (512, "warning"), (100, "error")])
def test_room_on_the_disk(config: GatewayConfig, monkeypatch: pytest.MonkeyPatch, free: int, severity: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(free))
    assert said(files.data_folder(config))["disk"] == severity


class _Usage:
    def __init__(self, mib: int) -> None:
        self.free = mib << 20


def test_a_file_from_the_future_betrays_a_clock_that_was_set_back(config: GatewayConfig) -> None:
    (config.data / "x").write_text("")
    assert said(files.future_files(config)) == {"clock.back": "ok"}
    os.utime(config.data / "x", (time.time() + 3600, time.time() + 3600))
    assert said(files.future_files(config)) == {"clock.back": "warning"}


def test_keys_that_others_can_read(config: GatewayConfig) -> None:
    own = own_certificate(config.data / "pki", URI, "127.0.0.1")
    assert said(files.private_files(config)) == {"secrets": "ok"}
    own.key.chmod(0o640)
    [found] = files.private_files(config)
    assert found.severity == "error"
    assert found.remedy == f"chmod 600 {own.key}"
    own.key.chmod(0o600)
    note = config.data / "opcua-users-viewer-password.txt"
    note.write_text("x")
    note.chmod(0o600)
    assert said(files.private_files(config)) == {"secrets": "ok", "secrets.note": "warning"}
    note.chmod(0o604)
    assert said(files.private_files(config))["secrets"] == "error"


def test_the_last_good_configuration(config: GatewayConfig, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    assert said(files.last_good(path)) == {"last-good": "ok"}
    keep(snapshot(path, config))
    [found] = files.last_good(path)
    assert found.what.startswith("kept on ")
    (folder_of(path) / INDEX).write_text("{}")
    assert said(files.last_good(path)) == {"last-good": "warning"}


def test_a_model_that_was_altered(tmp_path: Path) -> None:
    shutil.copytree(MODEL / "1", tmp_path / "1")
    assert said(files.model("Press", tmp_path / "1")) == {"model": "ok"}
    (tmp_path / "1" / "model.bin").write_bytes(b"x")
    [found] = files.model("Press", tmp_path / "1")
    assert (found.severity, found.subject) == ("error", "Press")
    assert "model.bin" in found.what


# -- the endpoint -----------------------------------------------------------------------------------------------------------


def certificate(config: GatewayConfig) -> str:
    return said(endpoint.certificate(config))["opcua.certificate"]


def test_a_certificate_that_fits(config: GatewayConfig) -> None:
    assert certificate(config) == "ok"
    own_certificate(config.data / "pki", URI, "127.0.0.1")
    assert certificate(config) == "ok"


def test_a_certificate_of_another_application_host_or_time(config: GatewayConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3650 - 30)
    own = own_certificate(config.data / "pki", URI, "127.0.0.1", now=long_ago)
    assert certificate(config) == "warning", "ends soon"
    own.certificate.unlink()
    own_certificate(config.data / "pki", URI, "127.0.0.1", now=long_ago - timedelta(days=300))
    assert certificate(config) == "error", "has ended"
    own.certificate.unlink()
    own_certificate(config.data / "pki", "urn:other", "127.0.0.1")
    assert certificate(config) == "error"
    own.certificate.unlink()
    own_certificate(config.data / "pki", URI, "127.0.0.1")
    config.opcua.host = "10.1.2.3"
    assert certificate(config) == "warning", "it does not name the host that clients are told"
    own.certificate.write_bytes(b"x")
    assert certificate(config) == "error"


def test_the_name_that_clients_are_told(config: GatewayConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "CONTAINER_MARKS", ())
    assert said(endpoint.endpoint(config)) == {"opcua.endpoint": "ok"}
    config.opcua.host = "0.0.0.0"
    answers = {"address": "127.0.1.1"}

    def resolve(host: str, port: object, **kwargs: object) -> list[tuple[object, ...]]:
        if not answers["address"]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (answers["address"], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert said(endpoint.endpoint(config)) == {"opcua.endpoint": "warning"}, "Debian's 127.0.1.1"
    answers["address"] = "10.0.0.7"
    assert said(endpoint.endpoint(config)) == {"opcua.endpoint": "ok"}
    monkeypatch.setattr(endpoint, "CONTAINER_MARKS", (config.data,))
    assert said(endpoint.endpoint(config)) == {"opcua.endpoint": "ok", "opcua.nat": "warning"}
    answers["address"] = ""
    assert said(endpoint.endpoint(config)) == {"opcua.endpoint": "error"}


def test_a_gateway_that_runs_is_known_by_its_pids(config: GatewayConfig) -> None:
    pids = config.data / "pids.json"
    assert endpoint.running(config.data) == 0
    for text in ("", "[]", "{}", '{"supervisor": "x"}', json.dumps({"supervisor": 2**22 + 1})):
        pids.write_text(text)
        assert endpoint.running(config.data) == 0, text
    pids.write_text(json.dumps({"supervisor": os.getpid()}))
    assert endpoint.running(config.data) == os.getpid()
