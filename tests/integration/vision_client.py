"""A client that knows nothing of the Machine Vision types but what it reads from the server: run as a process of its own.

Reads the last result and calls methods with structures of its own making; prints what came back, as JSON. It must not import
the gateway.
"""

from __future__ import annotations

import asyncio
import json
import sys

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256


async def main(url: str, user: str, password: str, certificate: str, key: str, id: str) -> None:
    client = Client(url)
    client.application_uri = "urn:client"
    client.session_timeout = 600_000
    client.set_user(user)
    client.set_password(password)
    await client.set_security(SecurityPolicyBasic256Sha256, certificate, key)
    async with client:
        # This library knows simple types by their names alone, and the standard has a TrimmedString of its own by now.
        ua.register_basetype("TrimmedString", ua.NodeId(3017, 3), ua.String)
        known = await client.load_data_type_definitions()
        at = "ns=2;s=Line1.Cam1.ResultManagement"
        last = await client.get_node(f"{at}.Results.Last").read_value()
        wanted = known["ResultIdDataType"](Id=id)
        found = await client.get_node(at).call_method("3:GetResultById", wanted, ua.Variant(0, ua.VariantType.Int32))
        empty = [known[f"{name}DataType"]() for name in ("MeasId", "PartId", "RecipeIdExternal", "RecipeIdInternal")]
        empty += [known[f"{name}DataType"]() for name in ("ConfigurationId", "ConfigurationId", "ProductId", "JobId")]
        none, most = ua.Variant(0, ua.VariantType.Int32), ua.Variant(2, ua.VariantType.UInt32)
        start = ua.Variant(0, ua.VariantType.UInt32)
        listed = await client.get_node(at).call_method("3:GetResultListFiltered", none, *empty, most, start, none)
        told = {
            "type": [type(last).__module__, type(last).__name__],
            "last": last.ResultId.Id,
            "content": [v.Value for v in last.ResultContent],
            "found": [found[1].PartId.Id, found[1].JobId.Id, found[1].InternalConfigurationId.Id],
            "listed": [listed[0], listed[1], [r.PartId.Id for r in listed[3]]],
        }
        print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
