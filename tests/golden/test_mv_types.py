"""The Machine Vision types as this repository builds them, so that a change is seen where the official file is not at hand.

``mv_types.txt`` has a line a node: id, class, browse name, and the first 16 digits of the SHA-256 of all that
:mod:`tests.contract.mv_fingerprint` says of it. It is written on purpose: ``python -m tests.golden.test_mv_types``.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from asyncua import Server

from gateway.opcua.mv.types import add_types
from tests.contract.mv_fingerprint import from_server

GOLDEN = Path(__file__).with_name("mv_types.txt")


async def lines() -> list[str]:
    server = Server()
    await server.init()
    await server.register_namespace("urn:ours")
    await add_types(server.iserver)
    told = from_server(server.iserver.aspace)
    return [
        " | ".join([node, *line.split(" | ")[:2], hashlib.sha256(line.encode()).hexdigest()[:16]])
        for node, line in sorted(told.items())
        if node.startswith("mv:")
    ]


async def test_the_types_are_what_they_were() -> None:
    assert await lines() == GOLDEN.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(asyncio.run(lines())) + "\n", encoding="utf-8")
