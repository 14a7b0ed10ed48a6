"""Peers on real sockets that behave as told: a proxy between driver and device, and servers written by hand.

Everything listens on a free port of 127.0.0.1 and is gone when its context ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, as a crashed device does, not with FIN."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass(slots=True)
class Wire:
    """What passes through, and what is to happen to it."""

    port: int = 0
    mute: bool = False
    """Answers are swallowed."""
    trickle: bool = False
    """Answers go on one byte at a time."""
    most: int | None = None
    """Only so many bytes of each answer go on."""
    sent: list[bytes] = field(default_factory=list)
    """What the client sent, one entry for each arrival."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def reset(self) -> None:
        """Reset every connection of a client."""
        for writer in self.writers:
            reset(writer)


@contextlib.asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Wire]:
    """Stand between a client and the device on port ``target``."""
    wire = Wire()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                if from_client:
                    wire.sent.append(data)
                    writer.write(data)
                    await writer.drain()
                else:
                    await _pass_on(writer, data, wire)
        writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.writers.append(writer)
        there, back = await asyncio.open_connection("127.0.0.1", target)
        try:
            await asyncio.gather(forward(reader, back, from_client=True), forward(there, writer, from_client=False))
        finally:
            back.transport.abort()
            writer.transport.abort()

    async with _listening(serve) as port:
        wire.port = port
        yield wire


Script = Callable[[bytes], bytes | None]
"""From one request to its answer; None resets the connection, b'' answers nothing."""


@contextlib.asynccontextmanager
async def modbus_server(script: Script) -> AsyncIterator[Wire]:
    """Serve Modbus TCP as ``script`` says: it gets whole frames and returns whole frames, or what it likes."""
    wire = Wire()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.writers.append(writer)
        try:
            while True:
                head = await reader.readexactly(6)
                request = head + await reader.readexactly(int.from_bytes(head[4:6], "big"))
                wire.sent.append(request)
                await _answer(writer, script(request), wire)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    async with _listening(serve) as port:
        wire.port = port
        yield wire


@contextlib.asynccontextmanager
async def s7_server(script: Script, *, pdu: int = 480) -> AsyncIterator[Wire]:
    """Serve S7: connection and PDU size are agreed on properly, then ``script`` gets S7 requests and returns S7 answers.

    ``wire.sent`` holds the requests after the agreement, without TPKT and COTP.
    """
    wire = Wire()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.writers.append(writer)
        try:
            while True:
                head = await reader.readexactly(4)
                unit = await reader.readexactly(int.from_bytes(head[2:4], "big") - 4)
                if unit[1] == 0xE0:
                    confirm = b"\xd0" + unit[4:6] + b"\x00\x01\x00" + unit[7:]
                    await _answer(writer, tpkt(bytes([len(confirm)]) + confirm), wire)
                elif unit[3 + 10] == 0xF0:
                    setup = unit[3 + 10 : 3 + 16] + struct.pack(">H", pdu)
                    await _answer(writer, s7_frame(s7_answer(unit[3:], setup, b"")), wire)
                else:
                    wire.sent.append(unit[3:])
                    answer = script(unit[3:])
                    await _answer(writer, answer and s7_frame(answer), wire)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    async with _listening(serve) as port:
        wire.port = port
        yield wire


def tpkt(unit: bytes) -> bytes:
    """Return the TPKT frame of one COTP unit."""
    return struct.pack(">BBH", 3, 0, 4 + len(unit)) + unit


def s7_frame(answer: bytes) -> bytes:
    """Return the frame that carries one S7 answer."""
    return tpkt(b"\x02\xf0\x80" + answer)


def s7_answer(request: bytes, parameters: bytes, data: bytes, error: int = 0) -> bytes:
    """Return an S7 answer to ``request``: the same sequence number, these parameters and data, this error of the header."""
    return struct.pack(">BBH2sHHH", 0x32, 3, 0, request[4:6], len(parameters), len(data), error) + parameters + data


async def _answer(writer: asyncio.StreamWriter, answer: bytes | None, wire: Wire) -> None:
    if answer is None:
        reset(writer)
        return
    await _pass_on(writer, answer, wire)


async def _pass_on(writer: asyncio.StreamWriter, answer: bytes, wire: Wire) -> None:
    if wire.mute:
        return
    answer = answer[: wire.most]
    for piece in [answer[i : i + 1] for i in range(len(answer))] if wire.trickle else [answer]:
        writer.write(piece)
        await writer.drain()
        if wire.trickle:
            await asyncio.sleep(0.0005)


@contextlib.asynccontextmanager
async def _listening(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[object]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)  # type: ignore[misc]
        except asyncio.CancelledError:
            pass  # the end of the context; before Python 3.12 the stream's callback would log it as an error
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
