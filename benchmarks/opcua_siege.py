"""A server under siege: ``python benchmarks/opcua_siege.py --write``.

From other addresses of this machine than the honest client's: a thousand sockets that say nothing, opened anew as they are
closed, a hundred clients that ask and never read, and frames that announce what nobody may send. Meanwhile a trusted client
connects and reads, again and again: wanted are at most 2 s each time, and 64 MB of memory over what the server holds at rest.

The server runs in a process of its own, on uvloop as in service.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import structlog
import uvloop
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from opcua_server import APPLICATION as SERVER
from report import DOCS, write_section

from gateway.opcua.security import own_certificate
from gateway.opcua.server import OpcUaServer, StationNodes

IDLE, UNREAD, OVERSIZE = 1000, 100, 20
ADDRESSES = 40
"""Loopback addresses that the besiegers come from: one alone would only meet the limit of its own address."""
CONNECT_S, MEMORY_MB = 2.0, 64.0
STATION = "Line1.Cam1"


async def serve(folder: Path) -> None:
    """Serve until stdin ends."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    server = OpcUaServer(
        [StationNodes(id=STATION)],
        host="127.0.0.1",
        port=0,
        application_uri=SERVER,
        pki=folder / "pki",
        users=folder / "users.json",
    )
    await server.start()
    print(json.dumps({"url": server.url}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()


def rss_mb(pid: int) -> float:
    """Return what a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def cpu_s(pid: int) -> float:
    """Return how long a process has run."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Siege:
    """All who do not mean well."""

    def __init__(self, port: int) -> None:
        self.port, self.opened, self.refused = port, 0, 0
        self.open = 0

    async def _connect(self, n: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        source = (f"127.0.1.{n % ADDRESSES + 1}", 0)
        try:
            pair = await asyncio.open_connection("127.0.0.1", self.port, local_addr=source)
        except OSError:
            self.refused += 1
            return None
        self.opened += 1
        return pair

    async def idle(self, n: int) -> None:
        """Say nothing, and come again when thrown out."""
        while True:
            pair = await self._connect(n)
            if pair is not None:
                self.open += 1
                with contextlib.suppress(OSError):
                    await pair[0].read()
                self.open -= 1
                pair[1].close()
            await asyncio.sleep(0.5)

    async def unread(self, n: int) -> None:
        """Ask again and again, and never read an answer."""
        header = b"\0\0" + struct.pack("<qIIiI", 0, 1, 0, -1, 0) + b"\0\0\0"
        url = b"opc.tcp://127.0.0.1/" + b"x" * 4000
        question = struct.pack("<BBH", 1, 0, ua.ObjectIds.GetEndpointsRequest_Encoding_DefaultBinary) + header
        question += struct.pack("<i", len(url)) + url + struct.pack("<ii", -1, -1)
        hello = struct.pack("<IIIIIi", 0, 65535, 65535, 0, 0, -1)
        while True:
            pair = await self._connect(n)
            if pair is not None:
                reader, writer = pair
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(b"HELF" + struct.pack("<I", len(hello) + 8) + hello)
                with contextlib.suppress(OSError, TimeoutError):
                    for sequence in range(1, 2000):
                        inner = struct.pack("<IIII", 0, 0, sequence, sequence) + question
                        writer.write(b"MSGF" + struct.pack("<I", len(inner) + 8) + inner)
                        async with asyncio.timeout(5):
                            await writer.drain()
                        await asyncio.sleep(0.01)
                writer.transport.abort()
            await asyncio.sleep(0.5)

    async def oversize(self, n: int) -> None:
        """Announce 4 GiB, and send what fits."""
        while True:
            pair = await self._connect(n)
            if pair is not None:
                with contextlib.suppress(OSError):
                    pair[1].write(b"MSGF" + struct.pack("<I", 0xFFFF_FFF0) + bytes(1 << 20))
                    await pair[1].drain()
                    await pair[0].read()
                pair[1].close()
            await asyncio.sleep(0.2)


async def honest(url: str, folder: Path, password: str) -> float:
    """Connect, read, go; return the seconds that it took until the value was there."""
    own = own_certificate(folder / "client", "urn:client", "127.0.0.1")
    client = Client(url, timeout=20)
    client.application_uri, client.session_timeout = "urn:client", 600_000
    client.set_user("viewer")
    client.set_password(password)
    await client.set_security(SecurityPolicyBasic256Sha256, own.certificate, own.key, server_certificate=server_of(folder))
    begin = time.monotonic()
    async with client:
        await client.get_node(f"ns=2;s={STATION}.Tags.Status.Ready").read_data_value(raise_on_bad_status=False)
        return time.monotonic() - begin


async def keep_asking(folder: Path) -> None:
    """Connect, read and go whenever a line comes, and tell the seconds; -1 when it was not served."""
    options = json.loads(sys.stdin.readline())
    for _ in iter(sys.stdin.readline, ""):
        try:
            took = await honest(options["url"], folder, options["password"])
        except (ua.UaError, OSError, TimeoutError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            took = -1.0
        print(took, flush=True)


async def answer(client: asyncio.subprocess.Process) -> float:
    """Have the honest client connect once."""
    client.stdin.write(b"\n")
    return float(await client.stdout.readline())


def server_of(folder: Path) -> Path:
    """Return the server's certificate, which a client that trusts it has."""
    return folder / "pki/own/certs/gateway.der"


async def run(seconds: float, folder: Path) -> str:
    """Besiege, and return the table."""
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "--serve",
        str(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    url = ""
    while not url:
        line = await server.stdout.readline()
        url = json.loads(line)["url"] if line.startswith(b"{") else ""
    own = own_certificate(folder / "client", "urn:client", "127.0.0.1")
    (folder / "pki/trusted/certs/client.der").write_bytes(own.certificate.read_bytes())
    password = (folder / "users-viewer-password.txt").read_text().strip()
    client = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--honest", str(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    client.stdin.write(json.dumps({"url": url, "password": password}).encode() + b"\n")
    at_rest = [await answer(client) for _ in range(5)]
    before = rss_mb(server.pid)
    cpu = cpu_s(server.pid)
    siege = Siege(int(url.rpartition(":")[2].partition("/")[0]))
    tasks = [asyncio.create_task(siege.idle(n)) for n in range(IDLE)]
    tasks += [asyncio.create_task(siege.unread(n)) for n in range(UNREAD)]
    tasks += [asyncio.create_task(siege.oversize(n)) for n in range(OVERSIZE)]
    took, peak, failed, most = [], before, 0, 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        seconds_taken = await answer(client)
        if seconds_taken >= 0:
            took.append(seconds_taken)
        else:
            failed += 1
        peak, most = max(peak, rss_mb(server.pid)), max(most, siege.open)
    cpu = (cpu_s(server.pid) - cpu) / seconds
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for process in (client, server):
        process.stdin.close()
    async with asyncio.timeout(20):
        await asyncio.gather(server.wait(), client.wait())
    rows = [
        ("besiegers: idle sockets · clients that do not read · oversize frames", f"{IDLE} · {UNREAD} · {OVERSIZE}"),
        ("connections they made in that time · idle ones open at once", f"{siege.opened} in {seconds:.0f} s · {most}"),
        ("a trusted client connects and reads: at rest, worst of 5", f"{max(at_rest):.2f} s"),
        (
            "under siege: times · failed · median · worst",
            f"{len(took) + failed} · {failed} · {middle(took)} · {worst(took)}",
        ),
        ("processor of the server under siege", f"{100 * cpu:.0f} % of a core"),
        ("memory of the server: at rest · at its peak", f"{before:.0f} MB · {peak:.0f} MB (+{peak - before:.0f} MB)"),
    ]
    print([round(t, 2) for t in took])
    ok = not failed and took and max(took) <= CONNECT_S and peak - before <= MEMORY_MB
    print("as wanted" if ok else "NOT as wanted")
    return "\n".join(["| | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])


def middle(values: list[float]) -> str:
    """Return the median."""
    return f"{sorted(values)[len(values) // 2]:.2f} s" if values else "–"


def worst(values: list[float]) -> str:
    """Return the largest."""
    return f"{max(values):.2f} s" if values else "–"


def main() -> None:
    """Besiege, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--honest", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    if options.serve:
        uvloop.run(serve(options.serve))
        return
    if options.honest:
        uvloop.run(keep_asking(options.honest))
        return
    with tempfile.TemporaryDirectory() as folder:
        text = uvloop.run(run(options.seconds, Path(folder)))
    print(text)
    if options.write:
        write_section(
            DOCS / "benchmarks.md", "opcua-siege", text, f"python benchmarks/opcua_siege.py --seconds {options.seconds:g}"
        )


if __name__ == "__main__":
    main()
