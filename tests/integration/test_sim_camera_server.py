"""The simulated camera's port with several clients: a hot standby, slow readers, connections that are half open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from simulators.camera import BACKLOG, MAX_CLIENTS, CameraServer
from tests.integration.plc_stand import until

FRAME = bytes(range(256)) * 4


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[CameraServer, int]]:
    camera = CameraServer()
    port = await camera.start()
    try:
        yield camera, port
    finally:
        await camera.stop()


class Viewer:
    """A client of the camera, and what it has received."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def frame(self, size: int = len(FRAME)) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readexactly(size)

    async def cut_off(self) -> bool:
        async with asyncio.timeout(5):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


@contextlib.asynccontextmanager
async def viewer(camera: CameraServer, port: int) -> AsyncIterator[Viewer]:
    before = len(camera._clients)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await until(lambda: len(camera._clients) == min(before + 1, MAX_CLIENTS), "it is served")
    try:
        yield Viewer(reader, writer)
    finally:
        writer.transport.abort()


async def test_every_client_sees_every_frame() -> None:
    async with serving() as (camera, port), viewer(camera, port) as first, viewer(camera, port) as second:
        for n in range(3):
            camera.send(bytes([n]) * 64)
        assert [await v.frame(192) for v in (first, second)] == [bytes(64) + b"\1" * 64 + b"\2" * 64] * 2
        assert camera.lost == 0


async def test_one_that_leaves_is_forgotten() -> None:
    async with serving() as (camera, port), viewer(camera, port) as first:
        async with viewer(camera, port):
            pass
        await until(lambda: len(camera._clients) == 1, "one is left")
        camera.send(FRAME)
        assert await first.frame() == FRAME
    assert not camera.connected


async def test_without_a_client_frames_are_lost() -> None:
    async with serving() as (camera, port):
        camera.send(FRAME)
        assert (camera.lost, camera.connected) == (1, False)


async def test_a_client_too_many_takes_the_place_of_the_oldest() -> None:
    async with serving() as (camera, port), contextlib.AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(viewer(camera, port)) for _ in range(MAX_CLIENTS + 1)]
        assert await viewers[0].cut_off()
        camera.send(FRAME)
        assert [await v.frame() for v in viewers[1:]] == [FRAME] * MAX_CLIENTS


async def test_a_cut_drops_everybody() -> None:
    async with serving() as (camera, port), viewer(camera, port) as first, viewer(camera, port) as second:
        camera.cut()
        assert await first.cut_off() and await second.cut_off()
        camera.send(FRAME)
        assert camera.lost == 1


async def test_half_open_clients_cost_their_own_frames_alone() -> None:
    """They never read, as a gateway that was unplugged: what waits for each is bounded, and the last client sees everything."""
    frame = bytes(1 << 20)
    async with serving() as (camera, port), contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_CLIENTS - 1):
            dead = socket.create_connection(("127.0.0.1", port))
            stack.callback(dead.close)
        await until(lambda: len(camera._clients) == MAX_CLIENTS - 1, "the dead are served")
        live = await stack.enter_async_context(viewer(camera, port))
        for _ in range(32):
            camera.send(frame)
            assert await live.frame(len(frame)) == frame
        assert camera.lost == 0
        waiting = [c.transport.get_write_buffer_size() for c in camera._clients]
        assert max(waiting) <= BACKLOG * len(frame)
        assert max(waiting) > 0, "the dead were not dead"


@pytest.mark.parametrize("reconnects", [1, 7])
async def test_a_gateway_that_lost_its_cable_again_and_again_is_served(reconnects: int) -> None:
    """Each time its old connection stays half open here."""
    async with serving() as (camera, port), contextlib.AsyncExitStack() as stack:
        for _ in range(reconnects):
            dead = socket.create_connection(("127.0.0.1", port))
            stack.callback(dead.close)
        await until(lambda: len(camera._clients) == min(reconnects, MAX_CLIENTS), "the old ones are there")
        live = await stack.enter_async_context(viewer(camera, port))
        camera.send(FRAME)
        assert await live.frame() == FRAME
