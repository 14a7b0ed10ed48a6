"""Runs an OPC UA client of another make, written in JavaScript, against a stand: a process, its words as JSON lines."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.opcua.security import OwnCertificate
from tests.integration.opcua_stand import OpcUaStand

HERE = Path(__file__).parent
PATIENCE_S = 90


def node_binary() -> str:
    """Return where node is; skips the test when it, or node-opcua, is not installed."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (HERE / "node_modules" / "node-opcua-client").is_dir():
        pytest.skip("node-opcua-client is not installed: run npm ci in tests/peers")
    return node


def keys(folder: Path, own: OwnCertificate) -> None:
    """Lay a client's certificate and key into ``folder`` as its scripts expect them."""
    folder.mkdir(exist_ok=True)
    certificate = x509.load_der_x509_certificate(own.certificate.read_bytes())
    (folder / "client.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    shutil.copy(own.key, folder / "client.key")


def server_certificate(folder: Path, stand: OpcUaStand) -> None:
    """Lay the certificate of the server into ``folder``: the clients trust no other."""
    shutil.copy(stand.pki / "own/certs/gateway.der", folder / "server.der")


async def said(script: str, *args: str) -> AsyncIterator[dict[str, Any]]:
    """Run a script and yield each JSON object that it says; AssertionError with its errors when it fails."""
    client = await asyncio.create_subprocess_exec(
        node_binary(),
        str(HERE / script),
        *args,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 22,
    )
    assert client.stdout is not None and client.stderr is not None
    errors = asyncio.create_task(client.stderr.read())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while line := await client.stdout.readline():
                if line.startswith(b"{"):
                    yield json.loads(line)
            await client.wait()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
        words = (await errors).decode()
    assert client.returncode == 0, words
