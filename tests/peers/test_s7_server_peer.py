"""Our S7 driver against a server that shares no code with python-snap7: the snap7 C library, with the demo map's blocks."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from pathlib import Path

import pytest

from gateway.core.errors import DeviceProtocolError
from gateway.core.tags import S7Address, Span
from gateway.plc.maps import load_map
from gateway.plc.s7 import MAX_WRITE_BYTES, S7Driver

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent
MAP = HERE.parents[1] / "plc_maps" / "demo_s7.yaml"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_our_driver_reads_and_writes_the_snap7_c_librarys_blocks() -> None:
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules" / "node-snap7").is_dir():
        pytest.skip("needs node and the packages of tests/peers (npm ci)")
    tag_map = load_map(MAP).map
    up, down = tag_map.up, tag_map.down
    assert isinstance(up.base, S7Address) and isinstance(down.base, S7Address)
    assert (up.base.db, down.base.db) == (100, 101)
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        node,
        *(str(HERE / "s7_server.mjs"), str(port), str(up.size), str(down.size)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None and server.stdin is not None and server.stderr is not None
    driver = S7Driver("press", "127.0.0.1", port, rack=0, slot=1)
    try:
        async with asyncio.timeout(60):
            assert json.loads(await server.stdout.readline() or "{}") == {"event": "ready"}, (
                await server.stderr.read()
            ).decode()
            await driver.connect()
            whole = await driver.read(Span(block=up, offset=0, length=up.size))
            part = await driver.read(Span(block=up, offset=7, length=5))
            for at in range(0, down.size, MAX_WRITE_BYTES):
                length = min(MAX_WRITE_BYTES, down.size - at)
                await driver.write(Span(block=down, offset=at, length=length), bytes([0xA5]) * length)
            await driver.write(Span(block=down, offset=11, length=8), bytes(range(8)))
            held = await driver.read(Span(block=down, offset=0, length=down.size))
            # It answers with what lies within the block; a short answer is never taken for the rest.
            with pytest.raises(DeviceProtocolError, match="truncated"):
                await driver.read(Span(block=up, offset=up.size, length=4))
            await driver.close()
            server.stdin.close()
            said = json.loads(await server.stdout.readline())
            await server.wait()
    finally:
        await driver.close()
        if server.returncode is None:
            server.kill()
            await server.wait()
    assert (whole, part) == (bytes(range(up.size)), bytes(range(7, 12)))
    expected = bytes([0xA5]) * 11 + bytes(range(8)) + bytes([0xA5]) * (down.size - 19)
    assert held == expected
    assert said == {"event": "held", "down": expected.hex()}, "what the C library holds is what we wrote"
