"""``gateway simulate`` as a command: it serves the map's PLC, says what gateway.yaml needs, and refuses what it cannot be."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from gateway.plc.maps import load_map

REPO = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "gateway.cli", "simulate"]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def map_file(folder: Path, protocol: str, host: str = "127.0.0.1") -> tuple[Path, int]:
    port, file = free_port(), folder / "map.yaml"
    text = (REPO / "plc_maps" / f"demo_{protocol}.yaml").read_text()
    file.write_text(re.sub(r"host: \S+, port: \d+", f"host: {host}, port: {port}", text))
    return file, port


async def say(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, stdout=-1, stderr=-1)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.parametrize("protocol", ["s7", "modbus"])
async def test_it_serves_the_plc_of_the_map_until_it_is_interrupted(protocol: str, tmp_path: Path) -> None:
    file, port = map_file(tmp_path, protocol)
    process = await asyncio.create_subprocess_exec(*COMMAND, str(file), "--camera-port", "0", stdout=-1, stderr=-1)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        first = (await process.stdout.readline()).decode()
        camera = (await process.stdout.readline()).decode()
    assert f"127.0.0.1:{port}" in first
    assert re.search(r"kind: simulated, host: 127.0.0.1, port: [1-9]\d+", camera)
    loaded = load_map(file)
    driver = loaded.plc.build(loaded.map)
    await driver.connect()
    await driver.close()
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert "ended" in out.decode().splitlines()[-1]


async def test_what_it_cannot_be_is_refused_with_the_remedy(tmp_path: Path) -> None:
    elsewhere, _ = map_file(tmp_path, "s7", host="192.168.0.1")
    status, out, err = await say(str(elsewhere))
    assert (status, out) == (2, "")
    assert "127.0.0.1" in err
    status, _, err = await say(str(tmp_path / "none.yaml"))
    assert (status, err.count("\n")) == (2, 1)
    file, port = map_file(tmp_path, "s7")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        status, _, err = await say(str(file), "--camera-port", "0")
    assert status == 1
    assert str(port) in err
    status, _, err = await say(str(file), "--scenario", "no such one")
    assert status == 2
    assert "no such one" in err
    assert "Traceback" not in err


async def test_a_rate_that_the_classic_exchange_does_not_allow_is_refused(tmp_path: Path) -> None:
    file, _ = map_file(tmp_path, "modbus")
    file.write_text(file.read_text().replace("handshake: ring", "handshake: ack"))
    status, out, err = await say(str(file), "--camera-port", "0", "--rate", "40")
    assert (status, out) == (2, "")
    assert err.startswith(f"--rate 40: {file} says handshake: ack, which serves at most 15 parts/s, and parts on this belt")
    most = re.search(r"give --rate (\S+) or less, or a map with handshake: ring", err)
    assert most is not None
    process = await asyncio.create_subprocess_exec(
        *COMMAND, str(file), "--camera-port", "0", "--rate", most[1], stdout=-1, stderr=-1
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        welcome = b"".join([await process.stdout.readline() for _ in range(4)]).decode()
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        await process.communicate()
    said = re.search(r"parts_per_s: ([\d.]+)", welcome)
    assert said is not None
    assert 14 < float(said[1]) <= 15, "a gateway takes what it is told to write"
