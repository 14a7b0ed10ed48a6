"""The server side of the OPC UA benchmark: ours, or the plain library, with the same nodes and changes, in one process.

First line of stdin: options as JSON; then "begin" and "end", between which the loop's lag is noted: how much later than asked
for a sleep of 5 ms ends. Prints "ready" with where it listens and how long the start took, and "measured". Both run on uvloop.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop
from asyncua import Server, ua

from gateway.opcua.flat import Param
from gateway.opcua.security import own_certificate
from gateway.opcua.server import OpcUaServer, StationNodes
from gateway.opcua.station import Update

STATION = "Bench.Cam1"
APPLICATION = "urn:vision-gateway:benchmark:server"
GROUPS = 10
"""A round of changes is spread over this many moments."""
TICK_S = 0.005

Write = Callable[[int, int, float], Awaitable[None]]
"""Writes nodes from one number up to another."""


def name(n: int) -> str:
    """Return the name of a node."""
    return f"P{n:03}"


async def ours(options: dict[str, Any]) -> tuple[dict[str, Any], Write]:
    """Start our server; nodes are parameters of a station."""
    folder = Path(options["folder"])
    server = OpcUaServer(
        [StationNodes(id=STATION, params=tuple(Param(name=name(n)) for n in range(options["nodes"])))],
        host="127.0.0.1",
        port=0,
        application_uri=APPLICATION,
        pki=folder / "pki",
        users=folder / "users.json",
    )
    begin, cpu = time.monotonic(), time.process_time()
    await server.start()
    took, cpu = time.monotonic() - begin, time.process_time() - cpu
    password = folder / "users-viewer-password.txt"

    async def write(first: int, last: int, value: float) -> None:
        now = time.time_ns()
        await server.write(STATION, [Update(tag=f"Params.{name(n)}", value=value, t_utc_ns=now) for n in range(first, last)])

    said = {
        "url": server.url,
        "user": "viewer",
        "password": password.read_text().strip(),
        "start_s": took,
        "start_cpu_s": cpu,
        "server_certificate": str(folder / "pki/own/certs/gateway.der"),
    }
    return said, write


async def plain(options: dict[str, Any]) -> tuple[dict[str, Any], Write]:
    """Start the library's server as its documentation does, with the same security."""
    begin = time.monotonic()
    own = own_certificate(Path(options["folder"]) / "pki", APPLICATION, "127.0.0.1")
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/plain")
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    await server.set_application_uri(APPLICATION)
    await server.load_certificate(own.certificate)
    await server.load_private_key(own.key)
    space = await server.register_namespace("urn:benchmark")
    nodes = []
    for n in range(options["nodes"]):
        id = ua.NodeId(f"{STATION}.Tags.Params.{name(n)}", space)
        nodes.append(await server.nodes.objects.add_variable(id, name(n), 0.0, ua.VariantType.Float))
    await server.start()
    took = time.monotonic() - begin

    async def write(first: int, last: int, value: float) -> None:
        for node in nodes[first:last]:
            await node.write_value(value, ua.VariantType.Float)

    port = server.bserver.port
    said = {"url": f"opc.tcp://127.0.0.1:{port}/plain", "start_s": took, "server_certificate": str(own.certificate)}
    return said, write


async def change(write: Write, options: dict[str, Any]) -> None:
    """Give every node a new value so many times a second; what cannot be kept up with is left out, not made up for."""
    nodes, period = options["nodes"], 1 / options["hz"] / GROUPS
    due, n = time.monotonic(), 0
    while True:
        group = n % GROUPS
        await write(nodes * group // GROUPS, nodes * (group + 1) // GROUPS, float(n // GROUPS % 1_000_000))
        n += 1
        due = max(due + period, time.monotonic() - period)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def watch(lags: list[float]) -> None:
    """Note the loop's lag in ms."""
    while True:
        begin = time.monotonic()
        await asyncio.sleep(TICK_S)
        lags.append(1e3 * (time.monotonic() - begin - TICK_S))


async def run() -> None:
    """Serve until stdin ends."""
    options = json.loads(sys.stdin.readline())
    said, write = await (ours if options["kind"] == "ours" else plain)(options)
    gc.collect()
    gc.freeze()
    print(json.dumps({"event": "ready"} | said), flush=True)
    lags: list[float] = []
    tasks = [asyncio.create_task(change(write, options)), asyncio.create_task(watch(lags))]
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == "begin":
            lags.clear()
        else:
            print(json.dumps({"event": "measured", "lags_ms": sorted(lags)}), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    uvloop.run(run())
