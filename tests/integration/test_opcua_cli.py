"""``gateway opcua …`` beside a server that runs: what it writes counts there at once."""

from __future__ import annotations

import asyncio
import io
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from asyncua.ua.status_codes import StatusCodes

from gateway.cli import main, opcua_commissioning, opcua_files
from gateway.opcua import guard
from gateway.opcua.access import Role
from gateway.services.config import OpcUaConfig
from tests.integration.opcua_stand import OpcUaStand, nothing_left, opcua_stand, until
from tests.opcua_authority import DAY, Authority, certificate, der, on_disk, rsa_key

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpcUaStand]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "EVERY_S", 0.05)
        async with opcua_stand(tmp_path_factory.mktemp("opcua")) as running:
            where = OpcUaConfig(pki=running.pki, users=running.folder / "users.json")
            config = SimpleNamespace(data=running.folder, opcua=where, pictures=None)
            patch.setattr(opcua_files, "load_config", lambda path: config)
            yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_left(stand: OpcUaStand) -> AsyncIterator[None]:
    async with nothing_left(stand):
        yield


class Cli:
    """The command line, in a thread beside the server."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *words: str, status: int = 0) -> str:
        got = await asyncio.to_thread(main, ["opcua", *words])
        out, err = self._capsys.readouterr()
        assert got == status, out + err
        return out + err

    async def said(self, *words: str) -> Any:
        lines = (await self(*words, "--json")).splitlines()  # the server's log is among them
        return json.loads(next(line for line in lines if line[:1] in "[{"))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


async def test_a_refused_client_is_explained_trusted_and_let_go_again(stand: OpcUaStand, cli: Cli, tmp_path: Path) -> None:
    key = rsa_key("newcomer")
    mine = certificate("newcomer", uri="urn:client", key=key)
    own = on_disk(tmp_path, mine, key)
    assert await stand.refused(own=own) == StatusCodes.BadSecurityChecksFailed
    why = await cli.said("why")
    assert (why["subject"], why["uris"], why["rejection"]["status"]) == (
        "CN=newcomer",
        ["urn:client"],
        "BadCertificateUntrusted",
    )
    thumbprint = why["thumbprint"][:8]
    text = await cli("why", thumbprint)
    assert "127.0.0.1" in text and f"gateway opcua trust {thumbprint}" in text
    assert "newcomer" in await cli("trust", thumbprint.upper())
    assert await stand.refused(own=own) == 0, "at once"
    listed = await cli.said("list")
    assert "CN=newcomer" in {e["subject"] for e in listed["trusted"]} and len(listed["trusted"]) == 2
    assert listed["rejected"] == [] and "newcomer" in await cli("list")
    assert "newcomer" in await cli("untrust", thumbprint)
    assert await stand.refused(own=own) == StatusCodes.BadSecurityChecksFailed
    assert await cli("trust", str(own.certificate)), "or from its file"
    assert await stand.refused(own=own) == 0
    await cli("untrust", thumbprint)


async def test_an_authority_is_trusted_only_when_that_is_meant_and_with_its_list(
    stand: OpcUaStand, cli: Cli, tmp_path: Path
) -> None:
    plant = Authority("Plant")
    own = on_disk(tmp_path, certificate("c", issuer=plant, uri="urn:client"))
    file, crl = tmp_path / "plant.der", tmp_path / "plant.crl"
    file.write_bytes(der(plant.certificate))
    assert "--authority" in await cli("trust", str(file), status=2)
    assert "revocation list" in await cli("trust", str(file), "--authority")
    assert await stand.refused(own=own) == StatusCodes.BadSecurityChecksFailed
    assert "revocation list of the authority" in await cli("why")
    for _ in range(2):
        crl.write_bytes(plant.crl())
        assert "0 revoked" in await cli("trust", str(crl))
    assert len((await cli.said("list"))["revocation_lists"]) == 1, "the new list takes the place of the old one"
    assert await stand.refused(own=own) == 0
    await cli("untrust", (await cli.said("list"))["trusted"][0]["thumbprint"])


async def test_what_cannot_be_trusted_is_said(cli: Cli, tmp_path: Path) -> None:
    noise, old = tmp_path / "noise.der", tmp_path / "old.der"
    noise.write_bytes(b"noise")
    stale = certificate("old", begin=Authority().now - 2 * DAY, end=Authority().now - DAY)
    old.write_bytes(der(stale))
    assert "neither a certificate nor a revocation list" in await cli("trust", str(noise), status=2)
    assert "expired" in await cli("trust", str(old), status=1)
    assert "no refused certificate" in await cli("trust", "abcdef012345", status=2)
    assert "at least 4 digits" in await cli("trust", "", status=2)
    assert "no trusted certificate" in await cli("untrust", "abcdef012345", status=2)


async def test_users_are_added_changed_and_removed(
    stand: OpcUaStand, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def type_in(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    type_in("first\n")
    await cli("user", "add", "anna", "--role", "operator", "--password-stdin")
    assert await stand.refused(user="anna", password="first") == 0
    assert {"name": "anna", "role": "operator"} in await cli.said("user", "list")
    assert "anna" in await cli("user", "list")
    assert "such a user already" in await cli("user", "add", "anna", "--random", status=2)
    type_in("second\n")
    await cli("user", "password", "anna", "--password-stdin")
    assert await stand.refused(user="anna", password="first") == StatusCodes.BadUserAccessDenied
    async with stand.connected(user="anna", password="second"):
        (session,) = stand.iserver.sessions()
        assert session.role is Role.OPERATOR
        await cli("user", "role", "anna", "engineer")
        await until(lambda: session.role is Role.ENGINEER, "the role is another")
    await cli("user", "remove", "anna")
    assert await stand.refused(user="anna", password="second") == StatusCodes.BadUserAccessDenied
    assert "no such user" in await cli("user", "remove", "anna", status=2)
    type_in("\n")
    assert "empty" in await cli("user", "add", "anna", "--password-stdin", status=2)
    type_in("x\n")
    assert "--password-stdin or --random" in await cli("user", "add", "anna", status=2)


async def test_a_random_password_goes_into_a_file_of_one_s_own(stand: OpcUaStand, cli: Cli) -> None:
    said = await cli("user", "add", "../hmi 7", "--random")
    note = stand.folder / "users--hmi-7-password.txt"
    assert str(note) in said and stat.S_IMODE(note.stat().st_mode) == 0o600
    password = note.read_text().strip()
    assert password not in said
    assert await stand.refused(user="../hmi 7", password=password) == 0
    await cli("user", "remove", "../hmi 7")


async def test_commissioning_is_switched_on_and_off(stand: OpcUaStand, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    mode = stand.server._server._gate.commissioning
    assert "off" in await cli("commissioning", status=1)
    assert "nobody can write" in await cli("commissioning", "--minutes", "30")
    assert mode.active
    assert "on until" in await cli("commissioning")
    await cli("commissioning", "--off")
    await until(lambda: not mode.active, "it ends")
    for wrong in ("0", "-1", "1e9", "nan"):
        assert "--minutes" in await cli("commissioning", "--minutes", wrong, status=2)
    monkeypatch.setattr(mode, "look", lambda: None)  # as if no gateway ran
    monkeypatch.setattr(opcua_commissioning, "PATIENCE_S", 0.2)
    assert "no gateway is running" in await cli("commissioning", "--minutes", "30", status=1)
    assert "off" in await cli("commissioning", "--off")
