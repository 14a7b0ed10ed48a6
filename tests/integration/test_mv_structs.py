"""A client that has the types from the server alone decodes our structures."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from asyncua import Server, ua

from gateway.opcua.mv.types import add_types
from tests.unit.opcua.mv.test_structs import RESULT


async def test_a_client_that_read_the_definitions_decodes_a_result() -> None:
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    await server.register_namespace("urn:ours")
    await add_types(server.iserver)
    node = ua.NodeId("Result", 2)
    await server.nodes.objects.add_variable(
        node, ua.QualifiedName("Result", 2), ua.Variant(RESULT, ua.VariantType.ExtensionObject)
    )
    async with server:
        assert server.bserver is not None
        url = f"opc.tcp://127.0.0.1:{server.bserver.port}/"
        reader = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).with_name("mv_reader.py")), url, node.to_string(), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(reader.communicate(), 60)
    assert json.loads(out) == {
        "module": "asyncua.common.structures104",
        "type": "ResultDataType",
        "id": "01J",
        "partial": False,
        "simulated": None,
        "recipe": ["RecipeIdInternalDataType", "bottle", "3", "0102", None],
        "configuration": "ConfigurationIdDataType",
        "created": "2026-03-01T12:00:00.250000+00:00",
        "took": 12.5,
        "content": [["Int32", 1], ["String", "scratch"]],
        "states": {"PRD_1": 1, "SBY_2": 2, "ENG_3": 3, "SDT_4": 4, "UDT_5": 5, "NST_6": 6},
    }
