"""The simulated PLC's S7 port against clients that share no code with python-snap7: nodes7, the snap7 C library, and pyS7."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from simulators.plc_s7 import S7Server

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent


async def converse(library: str, package: str, up: bytearray, down: bytearray, *, running: bool = True) -> dict[str, Any]:
    """Run the client's sequence against a server on these blocks and return its answers."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (HERE / "node_modules" / package).is_dir():
        pytest.skip(f"{package} is not installed: run npm install in tests/peers")
    server = S7Server(100, up, 101, down, cpu_running=lambda: running)
    port = await server.start()
    client = await asyncio.create_subprocess_exec(
        node,
        str(HERE / "s7_client.mjs"),
        library,
        str(port),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(client.communicate(), 60)
    await server.stop()
    assert client.returncode == 0, err.decode()
    answers: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answers


def blocks() -> tuple[bytearray, bytearray, bytearray]:
    """Return both blocks and what the sequence must leave in the second."""
    down = bytearray(b"\xa1" * 148)
    expected = bytearray(down)
    expected[4] = 0xA1 | 1 << 3
    expected[6:8] = b"\x01\x02"
    expected[144:148] = b"\x03\x04\x05\x06"
    expected[20] = 0x77
    return bytearray(range(168)), down, expected


async def test_nodes7_reads_and_writes() -> None:
    up, down, expected = blocks()
    answers = await converse("nodes7", "nodes7", up, down)
    assert down == expected
    assert (answers["bit"], answers["multi"]) == (False, False)
    assert (answers["outOfRange"], answers["readOnly"]) == (True, True)
    assert answers["read"]["up"] == bytes(range(168)).hex()
    assert answers["read"]["bad"] is False
    values = answers["read"]["values"]
    assert (values["DB101,X4.3"], values["DB101,X4.4"], values["DB100,DWORD24"]) == (True, False, 0x18191A1B)
    assert up == bytes(range(168))


@pytest.mark.parametrize("running", [True, False])
async def test_the_snap7_c_library_reads_writes_and_sees_the_cpu_state(running: bool) -> None:
    up, down, expected = blocks()
    answers = await converse("snap7", "node-snap7", up, down, running=running)
    assert down == expected
    assert answers["bit"] == "ok"
    assert answers["multi"][:2] == ["ok", "ok"]
    assert "out of range" in answers["multi"][2].lower()
    assert answers["multi"][3] == "ok"
    assert "out of range" in answers["outOfRange"].lower()
    assert answers["readOnly"] != "ok"
    assert answers["read"] == {"up": bytes(range(168)).hex()}
    assert answers["running"] is running
    assert up == bytes(range(168))


@pytest.mark.parametrize("running", [True, False])
async def test_pys7_reads_writes_and_sees_the_cpu_state(running: bool) -> None:
    pys7 = pytest.importorskip("pyS7", reason="pyS7 is not installed: pip install pyS7")
    up, down, expected = blocks()
    server = S7Server(100, up, 101, down, cpu_running=lambda: running)
    port = await server.start()

    def converse() -> dict[str, Any]:
        client = pys7.S7Client("127.0.0.1", 0, 1, port=port, timeout=10)
        client.connect()
        try:
            several = ["DB101,X4.3", "DB101,W6", "DB101,DW146", "DB101,DW144", "DB101,B20"]
            return {
                "status": client.get_cpu_status(),
                "multi": [w.success for w in client.write_detailed(several, [True, 0x0102, 9, 0x03040506, 0x77])],
                "readOnly": [w.success for w in client.write_detailed(["DB100,W0"], [1])],
                "up": client.read([f"DB100,B{i}" for i in range(168)]),
                "read": client.read(["DB101,X4.3", "DB101,X4.4", "DB100,DW24"]),
            }
        finally:
            client.disconnect()

    try:
        answers = await asyncio.to_thread(converse)
    finally:
        await server.stop()
    assert (answers["status"] == "RUN") is running  # STOP is 3 to pyS7, 4 to the snap7 C library; 8 is RUN to both
    assert answers["multi"] == [True, True, False, True, True]
    assert answers["readOnly"] == [False]
    assert answers["up"] == list(range(168))
    assert answers["read"] == [True, False, 0x18191A1B]
    assert down == expected
    assert up == bytes(range(168))
