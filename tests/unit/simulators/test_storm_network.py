"""The cable in memory: bytes come in order, late, in pieces, in part or not at all, and the ends learn what ends learn."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from simulators.storm.loop import Host, VirtualLoop, run_virtual
from simulators.storm.network import Network, Path

PORT = 102


class Echo(asyncio.Protocol):
    """Sends back what comes; remembers what it was told."""

    def __init__(self) -> None:
        self.lost: list[Exception | None] = []
        self.got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


Talk = Callable[[Path, list[Echo]], Coroutine[Any, Any, None]]


def over_network(talk: Talk) -> None:
    """Run ``talk`` on a host with a path of its own, against a server that echoes."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.network = Network()
        servers: list[Echo] = []

        def serve() -> Echo:
            servers.append(Echo())
            return servers[-1]

        await loop.create_server(serve, "memory", PORT)
        host, path = Host("client"), Path(random.Random(1))
        loop.network.paths[host] = path
        await host.start(talk(path, servers))
        await asyncio.sleep(1)

    run_virtual(main())


async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("memory", PORT)


async def within(seconds: float, what: Awaitable[bytes]) -> bytes:
    async with asyncio.timeout(seconds):
        return await what


def test_what_is_sent_comes_back_and_takes_its_time() -> None:
    async def talk(path: Path, servers: list[Echo]) -> None:
        reader, writer = await connect()
        begun = asyncio.get_running_loop().time()
        writer.write(b"abc")
        writer.write(b"def")
        assert await within(1, reader.readexactly(6)) == b"abcdef"
        assert asyncio.get_running_loop().time() >= begun + 2 * path.delay_s[0]
        writer.close()

    over_network(talk)


def test_small_pieces_are_one_stream() -> None:
    async def talk(path: Path, servers: list[Echo]) -> None:
        path.trickles = True
        reader, writer = await connect()
        writer.write(bytes(range(200)))
        assert await within(1, reader.readexactly(200)) == bytes(range(200))
        writer.close()

    over_network(talk)


def test_a_reset_reaches_both_ends() -> None:
    async def talk(path: Path, servers: list[Echo]) -> None:
        reader, _ = await connect()
        path.reset()
        with pytest.raises(ConnectionResetError):
            await within(1, reader.readexactly(1))
        assert isinstance(servers[0].lost[0], ConnectionResetError)

    over_network(talk)


def test_a_cut_lets_exactly_so_many_bytes_through() -> None:
    async def talk(path: Path, servers: list[Echo]) -> None:
        path.cut_after("down", 5)
        reader, writer = await connect()
        writer.write(b"123")
        writer.write(b"456")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await within(1, reader.readexactly(6))
        assert servers[0].got == b"12345"

    over_network(talk)


def test_a_half_open_connection_takes_everything_and_answers_nothing() -> None:
    async def talk(path: Path, servers: list[Echo]) -> None:
        reader, writer = await connect()
        path.go_half_open()
        writer.write(b"abc")
        with pytest.raises(TimeoutError):
            await within(1, reader.readexactly(1))
        writer.transport.abort()
        assert servers[0].got == b""
        assert servers[0].lost == []
        _, again = await connect()  # a new one works
        again.close()

    over_network(talk)


def test_a_black_path_lets_nobody_connect_and_a_closed_port_says_so_at_once() -> None:
    async def talk(path: Path, servers: list[Echo]) -> None:
        path.black = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await connect()
        path.black, path.refuses = False, True
        with pytest.raises(ConnectionRefusedError):
            await connect()
        assert servers == []

    over_network(talk)


def test_what_was_held_back_comes_late_and_in_order() -> None:
    async def talk(path: Path, servers: list[Echo]) -> None:
        reader, writer = await connect()
        path.stall(0.4)
        begun = asyncio.get_running_loop().time()
        writer.write(b"a")
        writer.write(b"b")
        assert await within(1, reader.readexactly(2)) == b"ab"
        assert asyncio.get_running_loop().time() >= begun + 0.4
        writer.close()

    over_network(talk)


def test_a_connection_attempt_given_up_leaves_no_connection() -> None:
    async def talk(path: Path, servers: list[Echo]) -> None:
        path.delay_s = (0.05, 0.05)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.08):
                await connect()
        assert path.connections == []
        await asyncio.sleep(0.1)
        assert len(servers[0].lost) == 1

    over_network(talk)
