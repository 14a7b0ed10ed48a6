"""One measured run of the OPC UA benchmark: a server under a load of lean clients, each in a process of its own.

What is measured of the server is the CPU time of its process, as the system counts it, the age of each value when it arrives,
and how late its loop is.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncua import Client
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.opcua.security import own_certificate
from simulators.program import Program

HERE = Path(__file__).resolve().parent
PEER = HERE / "opcua_peer"
STATION = "Bench.Cam1"
APPLICATION = "urn:vision-gateway:benchmark:server"
CLIENT = "urn:vision-gateway:benchmark"
PROBE_S = 0.05
INTERVAL_MS = 100.0
QUEUE = 10
NODES = 100
WARM_UP_S = 3.0
PATIENCE_S = 180.0
SERVERS = {"ours": "ours", "plain": "asyncua, `write_value` a node", "peer": "node-opcua"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many clients with so many items each; every item changes ``hz`` times a second."""

    clients: int
    items: int
    hz: float = 10.0

    @property
    def asked_per_s(self) -> float:
        """Return how many notifications a second that makes."""
        return self.clients * self.items * self.hz

    @property
    def name(self) -> str:
        """Return its name in the tables."""
        return f"{self.clients} × {self.items} at {self.hz:g} Hz"


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one run gave."""

    notifications: int
    seconds: float
    cpu_s: float
    """CPU time of the server's process."""
    ages_ms: dict[int, int]
    """Notifications by their age in whole ms."""
    lags_ms: list[float] = field(default_factory=list)
    """How much later than asked the loop woke up, ascending; empty where that is not measured."""

    @property
    def per_s(self) -> float:
        """Return notifications per second."""
        return self.notifications / self.seconds

    @property
    def per_cpu_s(self) -> float:
        """Return notifications per second of the server's CPU time."""
        return self.notifications / self.cpu_s

    def age_ms(self, share: float) -> float:
        """Return the age below which this share of the notifications came, in whole ms rounded up."""
        left = share * self.notifications
        for ms, n in sorted(self.ages_ms.items()):
            left -= n
            if left <= 0:
                return ms + 1.0
        return float("nan")

    def lag_ms(self, share: float) -> float:
        """Return the lag below which this share of the loop's wakings were; NaN when it was not measured."""
        return self.lags_ms[min(len(self.lags_ms) - 1, int(share * len(self.lags_ms)))] if self.lags_ms else float("nan")


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def why_no_peer() -> str:
    """Return why node-opcua cannot be measured here, '' when it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    return "" if (PEER / "node_modules").is_dir() else "run npm ci in benchmarks/opcua_peer"


async def start_server(kind: str, folder: Path, hz: float) -> tuple[Program, dict[str, Any]]:
    """Start one of :data:`SERVERS`; return it and how to reach it. StandError when it does not come up."""
    program = Program(f"server {kind}")
    options: dict[str, Any] = {"kind": kind, "folder": str(folder), "nodes": NODES, "hz": hz}
    if kind == "peer":
        own = own_certificate(folder / "peer", APPLICATION, "127.0.0.1")
        pem = folder / "peer.pem"
        pem.write_bytes(x509.load_der_x509_certificate(own.certificate.read_bytes()).public_bytes(Encoding.PEM))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            options |= {"port": free.getsockname()[1], "certificate": str(pem), "key": str(own.key)}
        options |= {"application": APPLICATION, "station": STATION}
        await program.start(["node", str(PEER / "server.mjs")], folder / "server.log", json.dumps(options))
        said = await program.expect(":ready") | {"server_certificate": str(own.certificate)}
    else:
        await program.start([sys.executable, str(HERE / "opcua_server.py")], folder / "server.log", json.dumps(options))
        said = await program.expect(":ready")
    space = said.get("space", 2)
    return program, said | {"nodes": [f"ns={space};s={STATION}.Tags.Params.P{n:03}" for n in range(NODES)]}


async def start_clients(where: dict[str, Any], folder: Path, load: Load) -> Program:
    """Start the clients; ``where`` tells url, user, password and nodes. They have subscribed when this returns."""
    keys = ("url", "user", "password", "server_certificate", "nodes")
    options = {k: where[k] for k in keys if k in where} | {
        "folder": str(folder),
        "clients": load.clients,
        "items": load.items,
        "queue": QUEUE,
        "interval_ms": INTERVAL_MS,
    }
    clients = Program("clients")
    await clients.start([sys.executable, str(HERE / "opcua_client.py")], folder / "clients.log", json.dumps(options))
    await clients.expect(":ready", PATIENCE_S)
    return clients


async def count(clients: Program, pid: int, seconds: float) -> Outcome:
    """Let time pass; return what the clients saw, and what it cost the process ``pid``."""
    await asyncio.sleep(WARM_UP_S)
    clients.said.pop(":measured", None)
    await clients.tell("begin")
    before = cpu_s(pid)
    await asyncio.sleep(seconds)
    after = cpu_s(pid)
    await clients.tell("end")
    said = await clients.expect(":measured")
    if said["faults"]:
        raise RuntimeError(f"{said['faults']} refused requests or lost connections: this run shows nothing")
    ages = {int(ms): n for ms, n in said["by_ms"].items()}
    return Outcome(notifications=said["notifications"], seconds=said["seconds"], cpu_s=after - before, ages_ms=ages)


async def serve(kind: str, folder: Path, load: Load, seconds: float) -> Outcome:
    """Measure one server alone under a load."""
    server, where = await start_server(kind, folder, load.hz)
    clients = Program("clients")
    try:
        clients = await start_clients(where, folder, load)
        assert server.process is not None  # noqa: S101 - it was started
        await server.tell("begin")
        outcome = await count(clients, server.process.pid, seconds)
        await server.tell("end")
        outcome.lags_ms = (await server.expect(":measured"))["lags_ms"]
        return outcome
    finally:
        await clients.stop()
        await server.stop()


async def ask_again_and_again(where: dict[str, Any], folder: Path, trips_ms: list[float]) -> None:
    """Read one value of a server twenty times a second, and note how long each answer takes: its loop answers nobody sooner."""
    client = Client(where["url"], timeout=60)
    client.application_uri = CLIENT
    client.session_timeout = 600_000
    own = own_certificate(folder / "client-pki", CLIENT, "127.0.0.1")
    await client.set_security(SecurityPolicyBasic256Sha256, str(own.certificate), str(own.key))
    client.set_user(where["user"])
    client.set_password(where["password"])
    async with client:
        node = client.get_node(where["nodes"][0])
        while True:
            begin = time.monotonic()
            await node.read_data_value()
            trips_ms.append(1e3 * (time.monotonic() - begin))
            await asyncio.sleep(PROBE_S)


async def starting(folder: Path) -> list[float]:
    """Return what our server's start takes: seconds and CPU seconds with keys and users to make, and with everything there."""
    took: list[float] = []
    for _ in range(2):
        server, where = await start_server("ours", folder, 10.0)
        took += [where["start_s"], where["start_cpu_s"]]
        await server.stop()
    return took
