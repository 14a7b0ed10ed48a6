"""A TCP proxy that does to a connection what a plant's network does, on demand and from a seed.

``python -m simulators.fault_proxy --listen HOST:PORT --to HOST:PORT``: put it between a gateway and a PLC (or a camera) and
switch faults on and off while it runs, one JSON object a line on stdin; it ends when stdin does. Tests use
:class:`FaultProxy` itself. It moves bytes and must not know any protocol.

    {"fault": "delay", "ms": 40, "jitter_ms": 20}
    {"fault": "cut", "way": "back", "after": 17}
    {"fault": "none"}
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.wire_faults import (
    WAYS,
    Cut,
    Delay,
    Duplicate,
    Fault,
    Garble,
    HalfOpen,
    Nothing,
    Refuse,
    Trickle,
    Way,
    parse_fault,
)

CHUNK = 4096
"""Bytes taken at once; no more than a few of these are ever held for one direction of a connection."""
MAX_CONNECTIONS = 64
CONNECT_TIMEOUT_S = 2.0


@dataclass(slots=True)
class _State:
    """One direction, of all connections together."""

    passed: int = 0
    cut_at: int | None = None
    garble_at: int | None = None
    delay: Delay | None = None
    garble: float = 0.0
    duplicate: float = 0.0
    trickle: Trickle | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared while the direction is half-open."""


@dataclass(slots=True, eq=False)
class _Pair:
    client: asyncio.StreamWriter
    target: asyncio.StreamWriter
    gap: bool = False
    """It has lost bytes."""

    def reset(self) -> None:
        """End both sides with RST, as a device does that crashes."""
        for writer in (self.client, self.target):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class FaultProxy:
    """Stands before ``host:port``; ``passed`` counts the bytes delivered each way."""

    def __init__(self, host: str, port: int, *, seed: int = 0) -> None:
        """Take the target's address and the seed of everything random; nothing listens yet."""
        self._target = host, port
        self._random = random.Random(seed)
        self._ways: dict[Way, _State] = {way: _State() for way in WAYS}
        for state in self._ways.values():
            state.open.set()
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._where = "127.0.0.1", 0
        self.accepted = 0
        """Connections taken since the start."""

    @property
    def passed(self) -> dict[Way, int]:
        """Return the bytes delivered each way."""
        return {way: state.passed for way, state in self._ways.items()}

    @property
    def standing(self) -> int:
        """Return how many connections are open at present."""
        return len(self._pairs)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen and return the port, a free one for 0; OSError says what to do when it cannot be had."""
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=CHUNK)
        except OSError as error:
            why = f"{host}:{port} cannot be listened on: {error.strerror or error}; end what uses it, or name another port"
            raise OSError(error.errno, why) from None
        port = int(self._server.sockets[0].getsockname()[1])
        self._where = host, port
        return port

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def apply(self, fault: Fault) -> None:
        """Switch a fault on; one of its kind in the same direction is replaced. :class:`Nothing` ends them all."""
        match fault:
            case Nothing():
                await self._mend()
            case Refuse():
                if self._server is not None:
                    self._server.close()
                    self._server = None
            case Cut(after=None):
                self.cut()
            case _:
                for way in fault.ways:
                    self._set(self._ways[way], fault)

    def cut(self) -> None:
        """Reset both sides of every connection."""
        for pair in self._pairs:
            pair.reset()

    @staticmethod
    def _set(state: _State, fault: Fault) -> None:
        match fault:
            case Cut(after=int(n)):
                state.cut_at = state.passed + n
            case Garble():
                state.garble, state.garble_at = fault.probability, fault.at
            case Delay():
                state.delay = fault
            case Duplicate():
                state.duplicate = fault.probability
            case Trickle():
                state.trickle = fault
            case HalfOpen():
                state.open.clear()

    async def _mend(self) -> None:
        for pair in self._pairs:
            if pair.gap:
                pair.reset()
        for state in self._ways.values():
            state.cut_at = state.garble_at = state.delay = state.trickle = None
            state.garble = state.duplicate = 0.0
            state.open.set()
        if self._server is None:
            await self.start(*self._where)

    # -- one connection -----------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a stream's callback runs as a task
        self._tasks.add(task)
        self.accepted += 1
        pair = _Pair(writer, writer)
        try:
            if len(self._pairs) < MAX_CONNECTIONS:
                await self._join(pair, reader)
        except asyncio.CancelledError:
            pass  # stop(); before Python 3.12 the stream's callback would log it as an error
        finally:
            pair.reset()
            self._pairs.discard(pair)
            self._tasks.discard(task)

    async def _join(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        """Connect to the target and pass on both ways; whatever breaks ends both sides."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                there, pair.target = await asyncio.open_connection(*self._target, limit=CHUNK)
            self._pairs.add(pair)
            for each in (pair.client, pair.target):
                each.transport.set_write_buffer_limits(high=0)  # drain() waits until the kernel has it all
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(pair, reader, pair.target, "to"))
                group.create_task(self._pump(pair, there, pair.client, "back"))
        except* OSError:
            pass  # a side that was reset, or a target that is not there

    async def _pump(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        """Pass on one direction until its end. News of an end travels away from the side that ended, if that way is open."""
        state, opposite = self._ways[way], self._ways["back" if way == "to" else "to"]
        while data := await _read(reader, state):
            if not state.open.is_set():
                pair.gap = True
                continue
            if state.delay is not None:
                spread = self._random.uniform(-1, 1) * state.delay.jitter_ms
                await asyncio.sleep(max(0.0, state.delay.ms + spread) / 1e3)
            twice = bool(state.duplicate) and self._random.random() < state.duplicate
            data = self._garbled(data, state)
            try:
                for piece in (data, data) if twice else (data,):
                    await self._deliver(writer, piece, state)
            except OSError:
                await opposite.open.wait()
                raise
        await state.open.wait()
        writer.write_eof()

    async def _deliver(self, writer: asyncio.StreamWriter, data: bytes, state: _State) -> None:
        last = state.cut_at is not None and state.cut_at - state.passed <= len(data)
        if state.cut_at is not None and last:
            data, state.cut_at = data[: max(0, state.cut_at - state.passed)], None
        step = len(data) if state.trickle is None else 1
        for i in range(0, len(data), max(1, step)):
            writer.write(data[i : i + step])
            await writer.drain()
            state.passed += len(data[i : i + step])
            if state.trickle is not None:
                await asyncio.sleep(state.trickle.ms / 1e3)
        if last:
            self.cut()
            raise ConnectionResetError

    def _garbled(self, data: bytes, state: _State) -> bytes:
        hits = [i for i in range(len(data)) if state.garble and self._random.random() < state.garble]
        if state.garble_at is not None:
            if state.garble_at < len(data):
                hits.append(state.garble_at)
            state.garble_at = state.garble_at - len(data) if state.garble_at >= len(data) else None
        changed = bytearray(data)
        for i in hits:
            changed[i] ^= 1 << self._random.randrange(8)
        return bytes(changed)


async def _read(reader: asyncio.StreamReader, state: _State) -> bytes:
    try:
        return await reader.read(CHUNK)
    except OSError:
        await state.open.wait()
        raise


# -- the command --------------------------------------------------------------------------------------------------------------


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT, such as 127.0.0.1:5020")
    return host.strip("[]"), int(port)


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None


def _say(event: str, **values: object) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


async def _run(args: argparse.Namespace) -> None:
    proxy = FaultProxy(*args.to, seed=args.seed)
    port = await proxy.start(*args.listen)
    for fault in args.fault:
        await proxy.apply(fault)
    _say("ready", port=port)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)

    async def take(line: str) -> None:
        try:
            fault = parse_fault(line)
            await proxy.apply(fault)
        except (ValueError, OSError) as error:
            _say("wrong", line=line.strip(), why=str(error))
        else:
            _say("applied", **fault.model_dump(exclude_none=True), passed=proxy.passed, standing=proxy.standing)

    threading.Thread(target=_listen_to_stdin, args=(loop, take, stop), daemon=True).start()
    try:
        await stop.wait()
    finally:
        await proxy.stop()


def _listen_to_stdin(loop: asyncio.AbstractEventLoop, take: Callable[[str], object], stop: asyncio.Event) -> None:
    """Hand over one line after the other; a thread, for a terminal, a pipe and a file alike can be read by it."""
    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
        for line in sys.stdin:
            asyncio.run_coroutine_threadsafe(take(line), loop).result()  # type: ignore[arg-type]
        loop.call_soon_threadsafe(stop.set)


def main(argv: list[str] | None = None) -> int:
    """Run until stdin ends; 1 when the port cannot be had, 2 for a wrong option."""
    parser = argparse.ArgumentParser(prog="python -m simulators.fault_proxy", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--listen", type=_address, required=True, metavar="HOST:PORT", help="where clients connect; port 0: a free one"
    )
    parser.add_argument("--to", type=_address, required=True, metavar="HOST:PORT", help="the device behind it")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--fault", type=_fault, action="append", default=[], metavar="JSON", help="a fault from the start on")
    args = parser.parse_args(argv)
    try:
        asyncio.run(_run(args))
    except OSError as error:
        print(error.strerror or error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
