"""The SCADA load: OPC UA clients that each watch 100 items at 10 Hz. At low priority: real ones have computers of their own.

Stops at the end of stdin and prints {"event":"measured","clients":…,"items":…,"notifications":…,"seconds":…}.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from gateway.opcua.security import own_certificate

PERIOD_MS = 100


class Count:
    """Counts data changes."""

    def __init__(self) -> None:
        """Start at 0."""
        self.notifications = 0

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        """Count one."""
        self.notifications += 1


async def variables(client: Client) -> list[ua.NodeId]:
    """Return every variable of the gateway's namespace that is no property."""
    found: list[ua.NodeId] = []
    queue = [client.nodes.objects]
    while queue:
        for child in await queue.pop().get_children():
            if child.nodeid.NamespaceIndex != 2:
                continue
            if await child.read_node_class() is ua.NodeClass.Variable:
                found.append(child.nodeid)
            else:
                queue.append(child)
    return found


async def one_client(options: dict[str, Any], count: Count) -> Client:
    """Connect a client and subscribe to as many items as asked, going round the tags again when there are fewer."""
    client = Client(options["url"], timeout=20)
    folder = Path(options["folder"])
    own = own_certificate(folder / "scada-pki", "urn:vision-gateway:benchmark", "127.0.0.1")
    client.application_uri = "urn:vision-gateway:benchmark"
    await client.set_security(SecurityPolicyBasic256Sha256, str(own.certificate), str(own.key))
    client.set_user(options["user"])
    client.set_password(options["password"])
    await client.connect()
    tags = await variables(client)
    wanted = [tags[i % len(tags)] for i in range(options["items"])]
    subscription = await client.create_subscription(PERIOD_MS, count)
    await subscription.subscribe_data_change([client.get_node(n) for n in wanted], sampling_interval=PERIOD_MS)
    return client


async def run() -> None:
    """Connect, count until stdin ends, tell."""
    options = json.loads(sys.stdin.readline())
    count = Count()
    clients = [await one_client(options, count) for _ in range(options["clients"])]
    print('{"event":"ready"}', flush=True)
    begin, before = time.monotonic(), count.notifications
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    measured = {
        "event": "measured",
        "clients": options["clients"],
        "items": options["items"],
        "notifications": count.notifications - before,
        "seconds": time.monotonic() - begin,
    }
    print(json.dumps(measured), flush=True)
    for client in clients:
        await client.disconnect()


if __name__ == "__main__":
    os.nice(10)
    asyncio.run(run())
