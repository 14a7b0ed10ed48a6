"""The fault proxy before an echo server: each fault does what it says, ends when it is told to, and nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from simulators.fault_proxy import MAX_CONNECTIONS, FaultProxy
from simulators.wire_faults import Cut, Delay, Duplicate, Garble, HalfOpen, Nothing, Refuse, Trickle, parse_fault
from tests.integration.plc_stand import REPO, until

RESET = (ConnectionResetError, asyncio.IncompleteReadError, BrokenPipeError)


@dataclass(slots=True)
class Echo:
    """A server that sends everything back, behind a proxy."""

    proxy: FaultProxy
    port: int
    seen: bytearray = field(default_factory=bytearray)
    pieces: list[int] = field(default_factory=list)
    """Length of each arrival at the server."""
    begun: int = 0
    ends: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def ask(self, data: bytes) -> bytes:
        """Send on a fresh connection and return as many bytes as come back, up to as many."""
        async with asyncio.timeout(5), self.client() as (reader, writer):
            writer.write(data)
            return await reader.readexactly(len(data))


@contextlib.asynccontextmanager
async def echo(seed: int = 0) -> AsyncIterator[Echo]:
    made: Echo

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = "closed"
        made.begun += 1
        try:
            while data := await reader.read(65536):
                made.seen += data
                made.pieces.append(len(data))
                writer.write(data)
        except ConnectionResetError:
            end = "reset"
        finally:
            made.ends.append(end)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = FaultProxy("127.0.0.1", int(server.sockets[0].getsockname()[1]), seed=seed)
    made = Echo(proxy=proxy, port=await proxy.start())
    try:
        yield made
    finally:
        await proxy.stop()
        assert proxy.standing == 0
        server.close()
        await until(lambda: len(made.ends) == made.begun, "the server's connections end")


async def test_without_a_fault_it_is_not_there() -> None:
    async with echo() as e:
        body = bytes(range(256)) * 400
        assert await e.ask(body) == body
        assert bytes(e.seen) == body
        assert e.proxy.passed == {"to": len(body), "back": len(body)}
        async with e.client() as (reader, writer):
            writer.write(b"bye")
            writer.write_eof()
            assert await reader.read() == b"bye", "the end of one side reaches the other, and only that"
        await until(lambda: e.proxy.standing == 0, "no connection is left")


async def test_cut_resets_both_sides_at_once() -> None:
    async with echo() as e, e.client() as (reader, writer):
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await e.proxy.apply(Cut())
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        await until(lambda: e.ends == ["reset"], "the server was reset")
        assert await e.ask(b"again") == b"again"


@pytest.mark.parametrize(("way", "arrives"), [("to", 3), ("back", 10)])
async def test_cut_after_exactly_so_many_bytes_of_one_way(way: str, arrives: int) -> None:
    async with echo() as e:
        assert await e.ask(b"before") == b"before"
        await e.proxy.apply(Cut(way=way, after=3))
        async with e.client() as (reader, writer):
            writer.write(b"0123456789")
            got = bytearray()
            with contextlib.suppress(ConnectionResetError):
                while data := await reader.read(100):
                    got += data
        assert bytes(got) == (b"" if way == "to" else b"012")
        assert bytes(e.seen[6:]) == b"0123456789"[:arrives]
        assert await e.ask(b"after") == b"after", "once"


async def test_delay_holds_back_and_keeps_the_order() -> None:
    async with echo() as e:
        await e.proxy.apply(Delay(ms=40, jitter_ms=15))
        body = bytes(range(256)) * 40
        begin = asyncio.get_running_loop().time()
        assert await e.ask(body) == body
        assert asyncio.get_running_loop().time() - begin >= 0.05, "25 ms each way at least"


@pytest.mark.parametrize("way", ["to", "back", "both"])
async def test_half_open_swallows_and_says_nothing_of_the_end(way: str) -> None:
    async with echo() as e, e.client() as (reader, writer):
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await e.proxy.apply(HalfOpen(way=way))
        writer.write(b"y")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        assert bytes(e.seen) == (b"xy" if way == "back" else b"x")
        writer.transport.abort()
        await asyncio.sleep(0.05)
        assert (e.ends == []) == (way != "back"), "whoever gives up is not heard of on the other side"
        async with e.client() as (reader2, writer2):
            writer2.write(b"z")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader2.read(1)
            await e.proxy.apply(Nothing())
            with pytest.raises(RESET):
                await reader2.readexactly(1)
        await until(lambda: e.proxy.standing == 0, "connections with a gap end with the fault")
        assert await e.ask(b"again") == b"again"


async def test_garble_at_an_offset_flips_one_bit_of_one_byte_once() -> None:
    async with echo() as e:
        await e.proxy.apply(Garble(way="to", at=5))
        first, second = await e.ask(b"\0" * 4), await e.ask(b"\0" * 4)
        assert first == b"\0" * 4
        assert [i for i, byte in enumerate(second) if byte] == [1]
        assert second[1].bit_count() == 1
        assert await e.ask(b"\0" * 50) == b"\0" * 50


async def test_garble_by_probability_comes_from_the_seed() -> None:
    answers = []
    for seed in (1, 1, 2):
        async with echo(seed) as e:
            await e.proxy.apply(Garble(way="back", probability=0.1))
            answers.append(await e.ask(b"\0" * 1000))
            assert bytes(e.seen) == b"\0" * 1000
    flipped = [sum(b > 0 for b in a) for a in answers]
    assert answers[0] == answers[1] != answers[2]
    assert all(50 < n < 200 for n in flipped)


async def test_duplicate_sends_each_chunk_twice() -> None:
    async with echo() as e:
        await e.proxy.apply(Duplicate(way="to"))
        async with e.client() as (reader, writer):
            writer.write(b"one")
            assert await reader.readexactly(6) == b"oneone"


async def test_trickle_sends_a_byte_at_a_time() -> None:
    async with echo() as e:
        await e.proxy.apply(Trickle(way="to", ms=2))
        assert await e.ask(b"0123456789") == b"0123456789"
        assert len(e.pieces) > 3


async def test_refuse_closes_the_port_alone_and_it_opens_again() -> None:
    async with echo() as e, e.client() as (reader, writer):
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await e.proxy.apply(Refuse())
        with pytest.raises(ConnectionRefusedError):
            await e.ask(b"y")
        writer.write(b"z")
        assert await reader.readexactly(1) == b"z"
        await e.proxy.apply(Nothing())
        assert await e.ask(b"back") == b"back"


async def test_a_target_that_is_not_there_ends_the_connection() -> None:
    proxy = FaultProxy("127.0.0.1", 1)
    port = await proxy.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises(RESET):
            await reader.readexactly(1)
        writer.close()
    finally:
        await proxy.stop()


async def test_connections_are_bounded_and_a_slow_reader_holds_up_its_sender() -> None:
    async with echo() as e, contextlib.AsyncExitStack() as stack:
        await e.proxy.apply(HalfOpen())
        for _ in range(MAX_CONNECTIONS):
            await stack.enter_async_context(e.client())
        await until(lambda: e.proxy.standing == MAX_CONNECTIONS, "as many as it takes")
        async with e.client() as (reader, _):
            with pytest.raises(RESET):
                await reader.readexactly(1)
    async with echo() as e, e.client() as (reader, writer):
        await e.proxy.apply(Delay(way="to", ms=60_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                for _ in range(1000):
                    writer.write(b"x" * 65536)
                    await writer.drain()
        assert not e.seen


# -- the command --------------------------------------------------------------------------------------------------------------


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "simulators.fault_proxy", *options]


async def test_the_command_is_driven_by_json_lines() -> None:
    async with echo() as e:
        target = f"127.0.0.1:{e.port}"
        process = await asyncio.create_subprocess_exec(
            *command("--listen", "127.0.0.1:0", "--to", target, "--fault", '{"fault": "duplicate", "way": "to"}'),
            stdin=-1,
            stdout=-1,
            cwd=REPO,
        )
        assert process.stdin is not None
        assert process.stdout is not None

        async def say(line: str) -> dict[str, object]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(line.encode() + b"\n")
            return dict(json.loads(await process.stdout.readline()))

        async with asyncio.timeout(20):
            port = json.loads(await process.stdout.readline())["port"]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"ab")
            assert await reader.readexactly(4) == b"abab"
            assert (await say('{"fault": "wind"}'))["event"] == "wrong"
            assert "ms" in str((await say('{"fault": "delay"}'))["why"])
            assert (await say('{"fault": "none"}'))["passed"] == {"to": 4, "back": 4}
            assert (await say('{"fault": "cut"}'))["event"] == "applied"
            with pytest.raises(RESET):
                await reader.readexactly(1)
            writer.close()
            process.stdin.close()
            assert await process.wait() == 0


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (("--listen", "5020", "--to", "127.0.0.1:1"), 2, "'5020' is no HOST:PORT"),
        (("--listen", "127.0.0.1:0", "--to", "127.0.0.1:99999"), 2, "is no HOST:PORT"),
        (
            ("--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--fault", '{"fault": "garble", "probability": 2}'),
            2,
            "probability",
        ),
        (("--listen", "{taken}", "--to", "127.0.0.1:1"), 1, "end what uses it, or name another port"),
    ],
)
async def test_what_the_command_refuses(options: Sequence[str], status: int, says: str) -> None:
    async with echo() as e:
        filled = [o.replace("{taken}", f"127.0.0.1:{e.port}") for o in options]
        done = await asyncio.to_thread(
            subprocess.run, command(*filled), stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=REPO, timeout=30
        )
    assert (done.returncode, done.stdout) == (status, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_is_checked_once_and_fully() -> None:
    assert parse_fault('{"fault": "half_open", "way": "to"}') == HalfOpen(way="to")
    for text in ('{"fault": "trickle", "speed": 1}', '{"fault": "cut", "after": -1}', "[]", "no json"):
        with pytest.raises(ValueError, match=r".+: .+"):
            parse_fault(text)


def test_the_module_says_how_it_is_used() -> None:
    text = (Path(REPO) / "simulators" / "fault_proxy.py").read_text()
    for line in text.splitlines():
        if line.startswith('    {"fault"'):
            parse_fault(line)
