"""History against a client that is not asyncua's: node-opcua reads pages, bounds and continuation points."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.integration.history_stand import BEGIN, history_stand

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent
PARTS = 60


def iso(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"


async def converse(folder: Path) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (HERE / "node_modules" / "node-opcua-client").is_dir():
        pytest.skip("node-opcua-client is not installed: run npm ci in tests/peers")
    async with history_stand(folder, PARTS) as past:
        stand = past.stand
        certificate = x509.load_der_x509_certificate(stand.own.certificate.read_bytes())
        (folder / "client.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        shutil.copy(stand.own.key, folder / "client.key")
        shutil.copy(stand.pki / "own/certs/gateway.der", folder / "server.der")
        arguments = [stand.server.url, "Line1.Cam1", str(folder), stand.password]
        client = await asyncio.create_subprocess_exec(
            node,
            str(HERE / "opcua_history.mjs"),
            *arguments,
            iso(BEGIN),
            iso(BEGIN + timedelta(seconds=PARTS)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(90):
            said, errors = await client.communicate()
        assert client.returncode == 0, errors.decode()
        return dict(json.loads(said.splitlines()[-1]))


async def test_node_opcua_reads_the_past(tmp_path: Path) -> None:
    answers = await converse(tmp_path)
    times = [iso(BEGIN + timedelta(seconds=n)) for n in range(PARTS)]
    assert answers["plain"] == [0, 1, 2, 3, 4]
    assert answers["forward"]["told"] == [[n, times[n], "Good"] for n in range(PARTS)]
    assert answers["forward"]["count"] == 9
    back = answers["backward"]["told"]
    assert [v for v, _, _ in back] == list(range(PARTS, 0, -1))
    before, first, after = answers["bounds"]["values"]
    assert (before[0], before[2]) == (None, "BadBoundNotFound")
    assert (first[0], after[0]) == (0, 1)
    assert (answers["released"], answers["gone"]) == ("Good", "BadContinuationPointInvalid")
    assert answers["none"] == "BadHistoryOperationUnsupported"
    assert answers["historizing"] is True
