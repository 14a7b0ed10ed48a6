"""A million spoilt messages: ``python benchmarks/fuzz_opcua.py --write``.

Legal requests of every service are recorded from a real client, then spoilt (:mod:`fuzz_mutate`) and fed to the server's own
protocol as a socket would: of strangers without a session, and of a client that has logged in as an engineer, with
subscriptions and all; a share goes over real sockets, the latter signed and encrypted. What must not be: an exception that
nobody expected, a step of the loop over 50 ms, an honest client that is not served between, memory that grows.

A step is measured in processor time of the thread: on a shared machine the clock on the wall measures the neighbours.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import gc
import logging
import random
import resource
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.ua_binary import nodeid_to_binary, struct_to_binary
from fuzz_mutate import Pool, frames, mutated
from fuzz_rig import Pipe, Steps, Watch
from fuzz_seeds import legal
from report import DOCS, write_section

from gateway.opcua import channel, wire
from gateway.opcua.access import Role, account, editing
from gateway.opcua.flat import Param
from gateway.opcua.security import own_certificate
from gateway.opcua.server import OpcUaServer, StationNodes
from gateway.opcua.wire import Protocol

STATION = "Line1.Cam1"
PASSWORD = "fuzz"  # noqa: S105 - of a server that lives for this run
PER_CONNECTION = 400
CHECK_EVERY = 20_000


class Bench:
    """The server, and the connections that are fed to it."""

    def __init__(
        self,
        server: OpcUaServer,
        seeds: dict[int, list[bytes]],
        recorded: dict[str, bytes],
        dice: random.Random,
        steps: Steps,
    ) -> None:
        self.recorded, self.steps = recorded, steps
        hardened = server._server  # noqa: SLF001
        self.server, self.hardened, self.dice = server, hardened, dice
        self.seeds = [body for bodies in seeds.values() for body in bodies]
        nodes = [nodeid_to_binary(id) for id in list(hardened.iserver.aspace.keys())[-400:]]
        services = [struct.pack("<BBH", 1, 0, kind) for kind in seeds]
        self.pool = Pool(self.seeds, nodes, services)
        self.counts: collections.Counter[str] = collections.Counter()
        self.undecodable: collections.Counter[str] = collections.Counter()

    async def connection(self, *, live: bool) -> tuple[Protocol, Pipe, list[bytes]]:
        """Return a connection through which messages may be fed, and the messages that fit it."""
        pipe = Pipe()
        protocol = self.hardened.bserver._make_protocol()  # type: ignore[union-attr]  # noqa: SLF001
        protocol.connection_made(pipe)  # type: ignore[arg-type]
        protocol._wake(pipe)  # noqa: SLF001
        protocol._task.cancel()  # noqa: SLF001 - what it does is done in pump(), step by step
        hello = struct.pack("<IIIII", 0, 65535, 65535, 0, 0) + struct.pack("<i", -1)
        protocol.data_received(b"HELF" + struct.pack("<I", len(hello) + 8) + hello)
        none = channel.security_policies.SecurityPolicyNone.URI.encode()
        asked = ua.OpenSecureChannelRequest()
        asked.Parameters.SecurityMode = ua.MessageSecurityMode.None_
        asked.Parameters.RequestedLifetime = ua.UInt32(3_600_000)
        opening = struct.pack("<Ii", 0, len(none)) + none + struct.pack("<iiII", -1, -1, 1, 1) + struct_to_binary(asked)
        protocol.data_received(b"OPNF" + struct.pack("<I", len(opening) + 8) + opening)
        await self.pump(protocol)
        messages = self.seeds
        if live:
            messages = await self._log_in(protocol)
        return protocol, pipe, messages

    async def _log_in(self, protocol: Protocol) -> list[bytes]:
        """Make a session of an engineer with a subscription; return the messages with its token and its numbers in them."""
        processor = protocol.processor
        iserver = self.hardened.iserver
        session = iserver.create_session(("127.0.0.1", 1), external=True)  # type: ignore[arg-type]
        session.session_timeout, session.nonce, session.carrier = 600.0, b"\0" * 32, processor
        session.admitted = self.hardened._users.find("engineer")  # noqa: SLF001
        session.activate_session(ua.ActivateSessionParameters(), None)
        processor.session = session
        made = await session.create_subscription(
            ua.CreateSubscriptionParameters(RequestedPublishingInterval=ua.Double(1000.0)),
            processor.forward_publish_response,
            processor.get_publish_request,
        )
        new = {"token": nodeid_to_binary(session.auth_token), "subscription": struct.pack("<I", made.SubscriptionId)}
        messages = []
        for body in self.seeds:
            for what, recorded in self.recorded.items():
                body = body.replace(recorded, new[what])
            messages.append(body)
        return messages

    async def feed(self, count: int, *, live: bool) -> None:
        """Feed messages, on a new connection whenever the server has ended the last one."""
        left = count
        while left > 0:
            protocol, pipe, messages = await self.connection(live=live)
            processor = protocol.processor
            token = processor._connection.security_token  # noqa: SLF001
            for n in range(2, PER_CONNECTION):
                if pipe.closed or left <= 0:
                    break
                body = mutated(self.dice, self.dice.choice(messages), self.pool)
                data = frames(self.dice, body, channel=token.ChannelId, token=token.TokenId, sequence=n)
                self.steps.fed = body
                protocol.data_received(data)
                await self.pump(protocol)
                left -= 1
                self.counts["engineer" if live else "stranger"] += 1
            self.counts["answered bytes"] += pipe.sent
            self.counts["connections"] += 1
            self.counts["ended by the server"] += pipe.closed
            session = processor.session
            protocol.connection_lost(None)
            if session is not None:
                await session.close_session(True)

    async def pump(self, protocol: Protocol) -> None:
        """Answer all that was fed, as the library's loop does: what cannot be decoded ends the connection, and is no error."""
        while not protocol.messages.empty():
            header, data = protocol.messages.get_nowait()
            try:
                await protocol._process_one_msg(header, data)  # noqa: SLF001
            except Exception as error:  # noqa: BLE001 - whatever it is, the library logs it and goes on
                self.undecodable[type(error).__name__] += 1
            await asyncio.sleep(0)

    async def over_sockets(self, count: int, client: Callable[[], Any]) -> None:
        """Send messages over real sockets: of strangers, and of the client that has logged in."""
        left = count
        while left > 0:
            if self.dice.random() < 0.8:
                left -= await self._stranger(min(left, 50))
                continue
            async with client() as one:
                protocol = one.uaclient.protocol
                for n in range(min(left, 50)):
                    if protocol.transport is None or protocol.transport.is_closing() or protocol.state.value != "open":
                        break
                    body = mutated(self.dice, self.dice.choice(self.seeds), self.pool)
                    mine = nodeid_to_binary(one.uaclient.session.authentication_token)
                    body = body.replace(self.recorded["token"], mine)
                    protocol.transport.write(protocol._connection.message_to_binary(body, request_id=1000 + n))  # noqa: SLF001
                    left -= 1
                    self.counts["sockets, encrypted"] += 1
                    await asyncio.sleep(0)
                await asyncio.sleep(0.01)

    async def _stranger(self, count: int) -> int:
        port = int(self.server.url.rpartition(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for n in range(count):
            body = mutated(self.dice, self.dice.choice(self.seeds), self.pool)
            writer.write(frames(self.dice, body, channel=0, token=0, sequence=n + 1))
            self.counts["sockets, in the clear"] += 1
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(5):
                await reader.read(1 << 16)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return count


@contextlib.asynccontextmanager
async def connected(server: OpcUaServer, folder: Path) -> AsyncIterator[Client]:
    """Connect a client; that its connection is ended is what this is about."""
    client = await one_client(server, folder)
    await client.connect()
    try:
        yield client
    finally:
        with contextlib.suppress(ua.UaError, ConnectionError, TimeoutError):
            await client.disconnect()


async def honest(server: OpcUaServer, folder: Path) -> float:
    """Connect and read; return the seconds that it took."""
    begin = time.monotonic()
    async with connected(server, folder) as client:
        await client.get_node(f"ns=2;s={STATION}.Tags.Status.Ready").read_data_value(raise_on_bad_status=False)
        return time.monotonic() - begin


async def one_client(server: OpcUaServer, folder: Path) -> Client:
    """Return a client that is ready to connect."""
    client = Client(server.url, timeout=10)
    client.application_uri = "urn:client"
    client.session_timeout = 600_000
    own = own_certificate(folder / "client", "urn:client", "127.0.0.1")
    client.set_user("engineer")
    client.set_password(PASSWORD)
    await client.set_security(SecurityPolicyBasic256Sha256, own.certificate, own.key)
    return client


async def run(options: argparse.Namespace, folder: Path) -> str:
    """Fuzz; return the table."""
    server = OpcUaServer(
        [StationNodes(id=STATION, params=(Param(name="Oven.Temp", unit="°C", range=(20.0, 300.0)),))],
        host="127.0.0.1",
        port=0,
        application_uri="urn:vision-gateway:fuzz",
        pki=folder / "pki",
        users=folder / "users.json",
    )
    await server.start()
    with editing(folder / "users.json") as accounts:
        accounts["engineer"] = account("engineer", Role.ENGINEER, PASSWORD)
    own = own_certificate(folder / "client", "urn:client", "127.0.0.1")
    (folder / "pki/trusted/certs/client.der").write_bytes(own.certificate.read_bytes())
    dice, watch, steps = random.Random(options.seed), Watch(), Steps()
    logging.getLogger("asyncua").addHandler(watch)
    seeds, recorded = await legal(await one_client(server, folder), STATION)
    bench = Bench(server, seeds, recorded, dice, steps)
    # So that the pipes, which have no security, are answered; who is on them is set by hand.
    bench.hardened._gate.commissioning._end = float("inf")  # noqa: SLF001
    wire.PACE_S = 0.0  # or it would take days
    # As the services process does.
    gc.collect()
    gc.freeze()
    memory, served, begin = 0, [], time.monotonic()
    with steps.measured():
        done = 0
        while done < options.messages:
            share = min(CHECK_EVERY, options.messages - done)
            await bench.feed(share * 66 // 100, live=True)
            await bench.feed(share * 33 // 100, live=False)
            rest = share - share * 66 // 100 - share * 33 // 100
            # In a thread of their own: what a client does is no step of the server's loop.
            sending = partial(bench.over_sockets, rest, lambda: connected(server, folder))
            await asyncio.to_thread(lambda send=sending: asyncio.run(send()))
            done += share
            served.append(await asyncio.to_thread(lambda: asyncio.run(honest(server, folder))))
            now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            memory = memory or now
            print(
                f"{done:>8} {done / (time.monotonic() - begin):6.0f}/s  worst step {steps.worst_ms:5.1f} ms, {steps.over} over"
                f"  honest {served[-1]:.2f} s  peak {now} MiB  {dict(watch.errors)}",
                flush=True,
            )
    took, peak = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(steps.what, end="")
    sessions = len(bench.hardened.iserver._external_sessions)  # noqa: SLF001
    subscriptions = len(bench.hardened.iserver.subscription_service.subscriptions)
    await server.stop()
    return table(bench, steps, watch, seeds, took=took, memory=(memory, peak), served=served, left=(sessions, subscriptions))


def table(
    bench: Bench,
    steps: Steps,
    watch: Watch,
    seeds: dict[int, list[bytes]],
    *,
    took: float,
    memory: tuple[int, int],
    served: list[float],
    left: tuple[int, int],
) -> str:
    """Return what happened as a table."""
    c = bench.counts
    messages = c["stranger"] + c["engineer"] + c["sockets, encrypted"] + c["sockets, in the clear"]
    unexpected = sum(n for what, n in watch.errors.items() if "Error while processing message" in what)
    rows = [
        ("messages", f"{messages} from {sum(map(len, seeds.values()))} legal ones of {len(seeds)} services, in {took:.0f} s"),
        ("… of strangers · of an engineer who has logged in", f"{c['stranger']} · {c['engineer']}"),
        ("… over sockets, in the clear · encrypted", f"{c['sockets, in the clear']} · {c['sockets, encrypted']}"),
        ("connections · ended by the server", f"{c['connections']} · {c['ended by the server']}"),
        ("messages that could not be decoded", str(sum(bench.undecodable.values()))),
        ("exceptions that nobody expected (BadInternalError)", str(unexpected)),
        ("worst step of the loop, processor time · steps over 50 ms", f"{steps.worst_ms:.1f} ms · {steps.over}"),
        ("an honest client between, connected and served, worst", f"{max(served):.2f} s"),
        ("memory after the first round · at its peak", f"{memory[0]} MiB · {memory[1]} MiB"),
        ("sessions · subscriptions left", f"{left[0]} · {left[1]}"),
    ]
    for what, n in watch.errors.most_common(40):
        print(f"{n:>8} {what}")
    return "\n".join(["| | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])


def main() -> None:
    """Fuzz, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        text = asyncio.run(run(options, Path(folder)))
    print(text)
    if options.write:
        command = f"python benchmarks/fuzz_opcua.py --messages {options.messages} --seed {options.seed}"
        write_section(DOCS / "benchmarks.md", "opcua-fuzz", text, command)


if __name__ == "__main__":
    main()
