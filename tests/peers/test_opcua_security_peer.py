"""What a certificate is worth to the server, seen by node-opcua: every kind of bad one, under every policy and mode."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509

from tests.integration.opcua_stand import nothing_left, opcua_stand
from tests.opcua_authority import DAY, Authority, certificate, der, on_disk, rsa_key
from tests.peers import peer

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

NOW = datetime.now(UTC)
PLANT, STRANGER = Authority("Plant"), Authority("Stranger")
REVOKED = certificate("revoked", issuer=PLANT, uri="urn:client")
CASES: dict[str, tuple[x509.Certificate | None, str]] = {
    "good": (certificate("good", issuer=PLANT, uri="urn:client"), "let in"),
    "empty": (None, "BadSecurityChecksFailed"),
    # What is signed with another key does not verify, and whoever cannot sign is not told why.
    "stolen": (certificate("stolen", issuer=PLANT, uri="urn:client", key=rsa_key("owner")), "closed"),
    "expired": (
        certificate("expired", issuer=PLANT, uri="urn:client", begin=NOW - 2 * DAY, end=NOW - DAY),
        "BadCertificateTimeInvalid",
    ),
    "early": (certificate("early", issuer=PLANT, uri="urn:client", begin=NOW + DAY / 2), "BadCertificateTimeInvalid"),
    "foreign": (certificate("foreign", issuer=PLANT, uri="urn:other"), "BadCertificateUriInvalid"),
    "revoked": (REVOKED, "BadSecurityChecksFailed"),
    "unknown": (certificate("unknown", uri="urn:client"), "BadSecurityChecksFailed"),
    "stranger": (certificate("stranger", issuer=STRANGER, uri="urn:client"), "BadSecurityChecksFailed"),
}
"""Certificate and outcome; the key is always the same one, which fits all but the stolen one."""

KEPT = {
    "early": "BadCertificateTimeInvalid",
    "expired": "BadCertificateTimeInvalid",
    "foreign": "BadCertificateUriInvalid",
    "revoked": "BadCertificateRevoked",
    "stranger": "BadCertificateChainIncomplete",
    "unknown": "BadCertificateUntrusted",
}
"""What the server keeps of them for its administrator, with the reason that the client is not always told."""

POLICIES = ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
Told = tuple[dict[str, Any], dict[str, str]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    """What the client was answered, and why the server says that it has refused it."""
    async with opcua_stand(tmp_path_factory.mktemp("opcua")) as stand:
        folder = tmp_path_factory.mktemp("peer")
        (stand.pki / "trusted/certs/plant.der").write_bytes(der(PLANT.certificate))
        (stand.pki / "trusted/crl/plant.crl").write_bytes(PLANT.crl(REVOKED))
        peer.keys(folder, on_disk(folder / "own", CASES["good"][0]))
        (folder / "shown").mkdir()
        for name, (of, _) in CASES.items():
            (folder / "shown" / f"{name}.der").write_bytes(b"" if of is None else der(of))
        peer.server_certificate(folder, stand)
        async with nothing_left(stand):
            answers = [said async for said in peer.said("opcua_security.mjs", stand.server.url, str(folder), stand.password)]
        names = {der(of): name for name, (of, _) in CASES.items() if of is not None}
        kept = stand.server._server._gate.trust.pki.rejected()
        yield answers[-1], {names[entry.path.read_bytes()]: why.status for entry, why in kept if why is not None}


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("case", CASES)
async def test_a_certificate_gets_what_it_is_worth(told: Told, case: str, policy: str, mode: str) -> None:
    assert told[0][case][f"{policy} {mode}"] == CASES[case][1]


async def test_the_administrator_is_told_why(told: Told) -> None:
    assert told[1] == KEPT
