"""A client that knows nothing of the Machine Vision types but what it reads from the server: run as a process of its own.

Prints what it decoded, as JSON. It must not import the gateway.
"""

from __future__ import annotations

import asyncio
import json
import sys

from asyncua import Client, ua


async def main(url: str, node: str) -> None:
    async with Client(url) as client:
        # This library knows simple types by their names alone, and the standard has a TrimmedString of its own by now.
        ua.register_basetype("TrimmedString", ua.NodeId(3017, 3), ua.String)
        await client.load_data_type_definitions()
        result = await client.get_node(node).read_value()
        recipe = result.InternalRecipeId
        told = {
            "module": type(result).__module__,
            "type": type(result).__name__,
            "id": result.ResultId.Id,
            "partial": result.IsPartial,
            "simulated": result.IsSimulated,
            "recipe": [type(recipe).__name__, recipe.Id, recipe.Version, recipe.Hash.hex(), recipe.HashAlgorithm],
            "configuration": type(result.InternalConfigurationId).__name__,
            "created": result.CreationTime.isoformat(),
            "took": result.ProcessingTimes.ProcessingDuration,
            "content": [[v.VariantType.name, v.Value] for v in result.ResultContent],
            "states": {m.name: m.value for m in ua.get_type(ua.NodeId(3023, 3))},
        }
        print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
