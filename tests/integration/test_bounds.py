"""What may queue up at a local socket is bounded, and what is dropped is counted."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from structlog.testing import capture_logs

from gateway.control.main import MAX_CONNECTIONS, CommandSocket
from gateway.core.events import LineState, PartJudged, to_json
from gateway.record.stream import MAX_DATAGRAM, RecordSender
from gateway.services.stream import LIMIT, RecordStream
from tests.integration.plc_stand import until

STATE = LineState(line="press", t_utc_ns=1, link="up", ready=True, offline_reason="NONE")


@pytest.fixture(autouse=True)
def _logging_unset() -> None:
    structlog.reset_defaults()


async def test_the_commands_socket_takes_so_many_connections_and_serves_on(tmp_path: Path) -> None:
    commands = CommandSocket(SimpleNamespace(crash=None), "press")  # type: ignore[arg-type]
    path = tmp_path / "commands"
    await commands.open(path)
    probe = b'{"kind":"alive?"}\n'
    connections = []
    try:
        async with asyncio.timeout(20):
            for _ in range(MAX_CONNECTIONS):
                reader, writer = await asyncio.open_unix_connection(str(path))
                connections.append((reader, writer))
                writer.write(probe)
                assert await reader.readline()
            reader, refused = await asyncio.open_unix_connection(str(path))
            assert await reader.read() == b""
            refused.close()
            for reader, writer in connections:
                writer.write(probe)
                assert await reader.readline(), "those that were there first are served"
            connections.pop()[1].close()
            await until(lambda: len(commands._open) < MAX_CONNECTIONS, "one has left")
            reader, writer = await asyncio.open_unix_connection(str(path))
            connections.append((reader, writer))
            writer.write(probe)
            assert await reader.readline()
    finally:
        for _, writer in connections:
            writer.close()
        await commands.close()


def test_records_that_nobody_takes_are_counted_and_do_not_fill_the_log(tmp_path: Path) -> None:
    path = tmp_path / "records"
    sender = RecordSender(path)
    with capture_logs() as logs, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as services:
        assert [sender.send(STATE) for _ in range(3)] == [False] * 3
        services.bind(str(path))
        assert sender.send(STATE)
        long = PartJudged(line="press", t_utc_ns=1, part_id=1, epoch=1, disposition="PASS", reasons=("x" * MAX_DATAGRAM,))
        assert not sender.send(long)
        while sender.send(STATE):  # until the buffer is full
            pass
    sender.close()
    assert sender.dropped == 5
    assert [log["dropped"] for log in logs] == [1, 2, 4]


async def test_states_without_a_number_wait_in_a_bounded_place(tmp_path: Path) -> None:
    stream = RecordStream("press", tmp_path / "records", tmp_path / "journal.db", 0)
    async with stream:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
            for _ in range(LIMIT + 7):
                while True:
                    try:
                        control.sendto(to_json(STATE).encode(), socket.MSG_DONTWAIT, str(tmp_path / "records"))
                        break
                    except BlockingIOError:
                        await asyncio.sleep(0)
                await asyncio.sleep(0)
            await until(lambda: len(stream._passing) + stream.dropped == LIMIT + 7, "all have come")
        assert (len(stream._passing), stream.dropped) == (LIMIT, 7)
        assert len(await stream.batch()) == LIMIT
