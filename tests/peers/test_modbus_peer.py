"""The simulated PLC's Modbus port against a client that is not pymodbus: mbpoll, on libmodbus."""

from __future__ import annotations

import asyncio
import re
import shutil

import pytest

from gateway.core.tags import Block, ModbusAddress, TagMap
from simulators.plc_modbus import ModbusServer

pytestmark = pytest.mark.peer

MAP = TagMap(
    name="bench",
    order="CDAB",
    up=Block(name="Up", base=ModbusAddress(area="HR", register=100), direction="plc->gw", tags=(), size=168),
    down=Block(name="Down", base=ModbusAddress(area="HR", register=300), direction="gw->plc", tags=(), size=148),
)


class Bench:
    """A server on two blocks, and mbpoll to call it with."""

    def __init__(self) -> None:
        found = shutil.which("mbpoll")
        if found is None:
            pytest.skip("mbpoll is not installed: apt-get install mbpoll")
        self.mbpoll = found
        self.up = bytearray(range(168))
        self.down = bytearray(148)
        self.server = ModbusServer(MAP, self.up, self.down, unit=1)
        self.port = 0

    async def call(self, *options: str, write: tuple[str, ...] = (), unit: int = 1) -> tuple[int, str]:
        """Run mbpoll once, with 0-based registers; return its exit status and everything it said."""
        arguments = ["-m", "tcp", "-p", str(self.port), "-a", str(unit), "-0", "-1", "-q", *options, "127.0.0.1", *write]
        process = await asyncio.create_subprocess_exec(
            self.mbpoll, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode or 0, out.decode()


async def test_the_whole_up_range_is_read() -> None:
    bench = Bench()
    bench.port = await bench.server.start()
    status, said = await bench.call("-t", "4:hex", "-r", "100", "-c", "84")
    await bench.server.stop()
    assert status == 0, said
    read = {int(register): int(value, 16) for register, value in re.findall(r"\[(\d+)\]:\s+0x([0-9A-Fa-f]{4})", said)}
    assert read == {100 + i: (2 * i) << 8 | (2 * i + 1) for i in range(84)}


async def test_registers_are_written_and_a_word_order_is_the_clients_affair() -> None:
    bench = Bench()
    bench.port = await bench.server.start()
    assert (await bench.call("-t", "4", "-r", "302", write=("258",)))[0] == 0
    assert (await bench.call("-t", "4", "-r", "332", write=("1", "2", "65535")))[0] == 0
    assert (await bench.call("-t", "4:int", "-r", "372", write=("16909060",)))[0] == 0  # 16#0102_0304, low word first
    await bench.server.stop()
    expected = bytearray(148)
    expected[4:6] = b"\x01\x02"
    expected[64:70] = b"\x00\x01\x00\x02\xff\xff"
    expected[144:148] = b"\x03\x04\x01\x02"
    assert bench.down == expected


@pytest.mark.parametrize(
    ("register", "values", "unit", "reason"),
    [
        pytest.param("100", ("1",), 1, "Illegal data address", id="the PLC's own range"),
        pytest.param("373", ("1", "2"), 1, "Illegal data address", id="over the end"),
        pytest.param("302", ("1",), 9, "Target device failed to respond", id="unknown unit"),
    ],
)
async def test_refusals(register: str, values: tuple[str, ...], unit: int, reason: str) -> None:
    bench = Bench()
    bench.port = await bench.server.start()
    status, said = await bench.call("-t", "4", "-r", register, write=values, unit=unit)
    await bench.server.stop()
    assert status != 0
    assert reason.lower() in said.lower()
    assert bench.down == bytes(148)
    assert bench.up == bytes(range(168))
