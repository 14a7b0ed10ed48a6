"""Starting and stopping the OPC UA server, and what it calls itself. Who is let in: test_opcua_security.py."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.core.errors import ConfigError, GatewayError
from gateway.opcua import server as server_module
from gateway.opcua.server import OpcUaServer
from tests.integration.opcua_stand import (
    APPLICATION,
    OpcUaStand,
    nothing_left,
    opcua_stand,
)

# One server for all: filling an address space takes a second.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpcUaStand]:
    async with opcua_stand(tmp_path_factory.mktemp("opcua")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_left(stand: OpcUaStand) -> AsyncIterator[None]:
    async with nothing_left(stand):
        yield


# --- starting and stopping ------------------------------------------------------------------------------------------------


async def test_a_port_in_use_is_an_error_that_says_what_to_do(stand: OpcUaStand, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = OpcUaServer(
            [], host="127.0.0.1", port=port, application_uri=APPLICATION, pki=stand.pki, users=stand.folder / "users.json"
        )
        with pytest.raises(GatewayError, match=f"port {port} on 127.0.0.1 is taken") as caught:
            await server.start()
    assert not isinstance(caught.value, ConfigError), "it may be free in a moment: trying again is right"
    assert "opcua.port" in str(caught.value)
    await server.stop()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("host", "url"),
    [("192.0.2.1", "opc.tcp://192.0.2.1:4840/"), ("::1", "opc.tcp://[::1]:4840/"), ("0.0.0.0", "opc.tcp://gw-7:4840/")],
)
async def test_the_address_to_connect_to(host: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module.socket, "gethostname", lambda: "gw-7")
    server = OpcUaServer([], host=host, port=4840, application_uri="urn:x", pki=tmp_path, users=tmp_path / "u.json")
    assert server.url.startswith(url)
