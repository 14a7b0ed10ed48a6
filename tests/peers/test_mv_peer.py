"""node-opcua decodes our Machine Vision structures, with the types as it reads them from the server."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from asyncua import Server, ua

from gateway.opcua.mv.types import add_types
from tests.unit.opcua.mv.test_structs import RESULT

pytestmark = pytest.mark.peer
HERE = Path(__file__).parent


async def test_node_opcua_decodes_a_result(tmp_path: Path) -> None:
    if not (HERE / "node_modules").is_dir() or shutil.which("node") is None:
        pytest.skip("needs node and the packages of tests/peers (npm ci)")
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    await server.register_namespace("urn:ours")
    await add_types(server.iserver)
    node = ua.NodeId("Result", 2)
    value = ua.Variant(RESULT, ua.VariantType.ExtensionObject)
    await server.nodes.objects.add_variable(node, ua.QualifiedName("Result", 2), value)
    async with server:
        assert server.bserver is not None
        url = f"opc.tcp://127.0.0.1:{server.bserver.port}/"
        reader = await asyncio.create_subprocess_exec(
            "node", str(HERE / "mv_reader.mjs"), url, node.to_string(), str(tmp_path / "pki"), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(reader.communicate(), 90)
    (told,) = (json.loads(line) for line in out.splitlines() if line.startswith(b"{"))
    assert told == {
        "status": "Good",
        "type": "ResultDataType",
        "id": "01J",
        "partial": False,
        "state": 1,
        "recipe": ["RecipeIdInternalDataType", "bottle", "3", "0102"],
        "absent": [None, None],
        "part": "P7",
        "created": "2026-03-01T12:00:00.250Z",
        "took": 12.5,
        "content": [1, "scratch"],
    }
