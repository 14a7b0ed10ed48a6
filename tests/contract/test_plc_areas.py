"""Further blocks on every protocol: several data blocks on S7, all four areas on Modbus, each span with one request.

The devices' bytes are packed by hand; the drivers hand them on as they lie.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from gateway.core.errors import DeviceRefused
from gateway.core.tags import Address, Area, Block, ModbusAddress, S7Address, Span, TagMap
from gateway.plc.driver import PlcDriver
from gateway.plc.memory import Memory, MemoryDriver
from gateway.plc.modbus import ModbusDriver
from gateway.plc.s7 import S7Driver
from simulators.plc_modbus import ModbusServer
from simulators.plc_s7 import S7Server
from tests.integration.wire import Wire, proxy


def block(name: str, base: Address, size: int, bits: int = 0) -> Block:
    return Block(name=name, base=base, direction="plc->gw", tags=(), size=size, bits=bits)


def modbus(name: str, area: Area, register: int, size: int, bits: int = 0) -> Block:
    return block(name, ModbusAddress(area=area, register=register), size, bits)


BITS = bytes([0b1010_0101, 0b0011_1100, 0b0000_0101, 0])  # 19 of them
#: Block and its bytes.
EXTRA = {
    "s7": [
        (block("A", S7Address(db=110, byte=0), 6), b"\x01\x02\x03\x04\x05\x06"),
        (block("B", S7Address(db=110, byte=40), 4), b"\xa1\xa2\xa3\xa4"),
        (block("C", S7Address(db=65535, byte=0), 2), b"\xc1\xc2"),
    ],
    "modbus": [
        (modbus("A", "HR", 400, 6), b"\x01\x02\x03\x04\x05\x06"),
        (modbus("B", "IR", 0, 4), b"\xa1\xa2\xa3\xa4"),
        (modbus("C", "CO", 7, 4, 19), BITS),
        (modbus("D", "DI", 0, 4, 19), BITS),
        (modbus("E", "DI", 65520, 2, 16), b"\x01\x80"),
    ],
    "memory": [(block("A", S7Address(db=110, byte=0), 4), b"\x01\x02\x03\x04")],
}


@dataclass(slots=True)
class Rig:
    blocks: dict[str, Block]
    data: dict[str, bytes]
    driver: PlcDriver
    wire: Wire | None

    def span(self, name: str, offset: int = 0, length: int | None = None) -> Span:
        return Span(block=self.blocks[name], offset=offset, length=self.blocks[name].size if length is None else length)


@pytest.fixture(params=["s7", "modbus", "memory"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    protocol = str(request.param)
    extra = [(b, bytearray(data)) for b, data in EXTRA[protocol]]
    blocks, data = {b.name: b for b, _ in extra}, {b.name: bytes(d) for b, d in extra}
    if protocol == "memory":
        Memory("plc", bytearray(4), bytearray(4), {b.name: d for b, d in extra})
        driver: PlcDriver = MemoryDriver("plc")
        await driver.connect()
        yield Rig(blocks=blocks, data=data, driver=driver, wire=None)
        del Memory.plcs["plc"]
        return
    up, down = bytearray(4), bytearray(4)
    if protocol == "s7":
        server: S7Server | ModbusServer = S7Server(100, up, 101, down, extra=extra)
    else:
        two = (modbus("U", "HR", 0, 4), modbus("D", "HR", 10, 4))
        server = ModbusServer(TagMap(name="plc", order="ABCD", up=two[0], down=two[1]), up, down, extra=extra)
    async with proxy(await server.start("127.0.0.1", 0)) as wire:
        limit_s = 30.0
        if protocol == "s7":
            driver = S7Driver("plc", "127.0.0.1", wire.port, rack=0, slot=1, request_timeout_s=limit_s)
        else:
            driver = ModbusDriver("plc", "127.0.0.1", wire.port, unit=1, request_timeout_s=limit_s)
        await driver.connect()
        yield Rig(blocks=blocks, data=data, driver=driver, wire=wire)
        await driver.close()
    await server.stop()


async def test_every_block_is_read_as_it_lies_with_one_request(rig: Rig) -> None:
    for name, data in rig.data.items():
        before = len(rig.wire.sent) if rig.wire is not None else 0
        assert await rig.driver.read(rig.span(name)) == data, name
        assert rig.wire is None or len(rig.wire.sent) == before + 1


async def test_a_part_of_a_block(rig: Rig) -> None:
    for name, data in rig.data.items():
        if len(data) > 2:
            assert await rig.driver.read(rig.span(name, 2, 2)) == data[2:4], name


async def test_what_is_beyond_the_device_s_block_is_refused(rig: Rig) -> None:
    longer = Block(name="A", base=rig.blocks["A"].base, direction="plc->gw", tags=(), size=rig.blocks["A"].size + 2)
    with pytest.raises(DeviceRefused):
        await rig.driver.read(Span(block=longer, offset=0, length=longer.size))


@pytest.mark.parametrize("rig", ["modbus"], indirect=True)
@pytest.mark.parametrize(
    ("area", "number", "bits"), [("IR", 2, 0), ("CO", 6, 4), ("CO", 100, 4), ("DI", 64, 16), ("HR", 403, 0)]
)
async def test_a_modbus_area_has_what_the_map_says_and_no_more(rig: Rig, area: Area, number: int, bits: int) -> None:
    elsewhere = modbus("X", area, number, 2, bits)
    with pytest.raises(DeviceRefused, match=f"X \\({area}:{number}, {bits or 1}\\): exception 2: illegal data address"):
        await rig.driver.read(Span(block=elsewhere, offset=0, length=2))


@pytest.mark.parametrize("rig", ["modbus"], indirect=True)
async def test_inputs_and_bits_are_never_written(rig: Rig) -> None:
    for name in ("B", "C", "D"):
        with pytest.raises(ValueError, match="only holding registers are written"):
            await rig.driver.write(rig.span(name, 0, 2), b"\0\0")
