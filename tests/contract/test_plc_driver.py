"""What every PLC driver promises, held against every driver: S7, Modbus and memory.

The devices are the simulated PLCs on real sockets; a proxy between makes them mute. The rules are those of
docs/driver-quality.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest

from gateway.core.errors import DeviceRefused, DeviceUnavailable
from gateway.core.tags import Block, Span, TagMap
from gateway.plc.driver import CONNECT_TIMEOUT_S, MAX_READ_BYTES, MAX_WRITE_BYTES, REQUEST_TIMEOUT_S, PlcDriver
from gateway.plc.maps import load_map
from gateway.plc.memory import Memory, MemoryDriver
from gateway.plc.modbus import ModbusDriver
from gateway.plc.s7 import S7Driver
from simulators.plc_modbus import ModbusServer
from simulators.plc_s7 import S7Server
from tests.integration.plc_stand import REPO
from tests.integration.wire import Wire, free_port, proxy

PATIENT_S = 30.0
"""A request limit that no test waits for: what ends sooner was ended by something else."""
NETWORK = pytest.mark.parametrize("rig", ["s7", "modbus"], indirect=True)
"""For what a memory does not have: a wire."""


@dataclass(slots=True)
class Rig:
    """A device with two blocks, a way to a driver for it, and its faults."""

    protocol: str
    map: TagMap
    up: bytearray
    down: bytearray
    make: Callable[[float], PlcDriver]
    absent: PlcDriver
    where: str
    wire: Wire | None
    set_mute: Callable[[bool], None]

    def driver(self, request_timeout_s: float = PATIENT_S) -> PlcDriver:
        return self.make(request_timeout_s)

    def read_span(self, offset: int = 0, length: int | None = None) -> Span:
        return Span(block=self.map.up, offset=offset, length=self.map.up.size if length is None else length)

    def write_span(self, offset: int = 64, length: int = 64, block: Block | None = None) -> Span:
        return Span(block=block or self.map.down, offset=offset, length=length)


@contextlib.asynccontextmanager
async def network_rig(protocol: str) -> AsyncIterator[Rig]:
    loaded = load_map(REPO / "plc_maps" / f"demo_{protocol}.yaml")
    up, down = bytearray(range(loaded.map.up.size)), bytearray(loaded.map.down.size)
    if protocol == "s7":
        bases = loaded.map.up.base, loaded.map.down.base
        server: S7Server | ModbusServer = S7Server(bases[0].db, up, bases[1].db, down)  # type: ignore[union-attr]
    else:
        server = ModbusServer(loaded.map, up, down)
    port, nobody = await server.start("127.0.0.1", 0), free_port()

    def make(at: int, limit_s: float) -> PlcDriver:
        if protocol == "s7":
            return S7Driver("plc", "127.0.0.1", at, rack=0, slot=1, request_timeout_s=limit_s)
        return ModbusDriver("plc", "127.0.0.1", at, unit=1, request_timeout_s=limit_s)

    try:
        async with proxy(port) as wire:

            def set_mute(mute: bool) -> None:
                wire.mute = mute

            yield Rig(
                protocol=protocol,
                map=loaded.map,
                up=up,
                down=down,
                make=lambda limit_s: make(wire.port, limit_s),
                absent=make(nobody, PATIENT_S),
                where=f"127.0.0.1:{nobody}",
                wire=wire,
                set_mute=set_mute,
            )
    finally:
        await server.stop()


@contextlib.contextmanager
def memory_rig() -> Iterator[Rig]:
    loaded = load_map(REPO / "plc_maps" / "demo_s7.yaml")
    memory = Memory("plc", bytearray(range(loaded.map.up.size)), bytearray(loaded.map.down.size))

    def set_mute(mute: bool) -> None:
        memory.reachable = not mute

    try:
        yield Rig(
            protocol="memory",
            map=loaded.map,
            up=memory.blocks["plc->gw"],
            down=memory.blocks["gw->plc"],
            make=lambda limit_s: MemoryDriver("plc"),
            absent=MemoryDriver("nobody"),
            where="nobody",
            wire=None,
            set_mute=set_mute,
        )
    finally:
        del Memory.plcs["plc"]


@pytest.fixture(autouse=True)
def _time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a machine that does other things takes to connect is not looked at here."""
    for module in ("s7", "modbus"):
        monkeypatch.setattr(f"gateway.plc.{module}.CONNECT_TIMEOUT_S", PATIENT_S)


@pytest.fixture(params=["s7", "modbus", "memory"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "memory":
        with memory_rig() as made:
            yield made
        return
    async with network_rig(request.param) as made:
        yield made


@pytest.fixture
async def driver(rig: Rig) -> AsyncIterator[PlcDriver]:
    made = rig.driver()
    await made.connect()
    yield made
    await made.close()


async def is_unusable(driver: PlcDriver, rig: Rig) -> bool:
    """Return whether every further call is refused by the driver itself, without a byte on the wire."""
    before = len(rig.wire.sent) if rig.wire is not None else 0
    for call in (driver.read(rig.read_span()), driver.write(rig.write_span(), bytes(64))):
        with pytest.raises(DeviceUnavailable, match="not connected"):
            await call
    await asyncio.sleep(0.01)
    return rig.wire is None or len(rig.wire.sent) == before


# -- the straight way -----------------------------------------------------------------------------------------------------


async def test_reads_the_block_as_the_device_holds_it(rig: Rig, driver: PlcDriver) -> None:
    assert await driver.read(rig.read_span()) == bytes(rig.up)
    assert await driver.read(rig.read_span(40, 64)) == bytes(rig.up[40:104])
    rig.up[40:44] = b"\x01\x02\x03\x04"
    assert await driver.read(rig.read_span(40, 4)) == b"\x01\x02\x03\x04"


@pytest.mark.parametrize(("offset", "length"), [(64, 64), (0, 56), (128, 12), (144, 4), (2, 2)])
async def test_writes_exactly_the_span(rig: Rig, driver: PlcDriver, offset: int, length: int) -> None:
    data = bytes(range(1, length + 1))
    await driver.write(rig.write_span(offset, length), data)
    assert rig.down == bytes(offset) + data + bytes(rig.map.down.size - offset - length)
    assert await driver.read(Span(block=rig.map.down, offset=offset, length=length)) == data


@NETWORK
async def test_one_request_a_call(rig: Rig, driver: PlcDriver) -> None:
    """Neither split nor repeated, nor read before written: a section is consistent, and no byte has two writers."""
    assert rig.wire is not None
    rig.wire.sent.clear()
    await driver.read(rig.read_span())
    await driver.write(rig.write_span(), bytes(64))
    assert len(rig.wire.sent) == 2


@NETWORK
async def test_an_answer_that_comes_in_pieces_is_one_answer(rig: Rig, driver: PlcDriver) -> None:
    assert rig.wire is not None
    patient = rig.driver()
    await patient.connect()
    rig.wire.trickle = True
    assert await patient.read(rig.read_span()) == bytes(rig.up)
    await patient.write(rig.write_span(), bytes(range(64)))
    assert rig.down[64:128] == bytes(range(64))
    await patient.close()


# -- what the device refuses ------------------------------------------------------------------------------------------------


async def test_a_write_to_the_plc_s_block_is_refused_and_changes_nothing(rig: Rig, driver: PlcDriver) -> None:
    before = bytes(rig.up)
    with pytest.raises(DeviceRefused) as caught:
        await driver.write(rig.write_span(0, 4, rig.map.up), b"\xff\xff\xff\xff")
    assert (caught.value.device, caught.value.op) == ("plc", "write")
    assert bytes(rig.up) == before
    assert await is_unusable(driver, rig)


async def test_a_read_beyond_the_block_is_refused(rig: Rig, driver: PlcDriver) -> None:
    with pytest.raises(DeviceRefused):
        await driver.read(rig.read_span(rig.map.up.size - 2, 4))
    assert await is_unusable(driver, rig)


async def test_a_write_beyond_the_block_is_refused_whole(rig: Rig, driver: PlcDriver) -> None:
    with pytest.raises(DeviceRefused):
        await driver.write(rig.write_span(rig.map.down.size - 2, 4), b"\xff\xff\xff\xff")
    assert not any(rig.down)


async def test_a_refused_connection_serves_again_after_a_reconnect(rig: Rig, driver: PlcDriver) -> None:
    with pytest.raises(DeviceRefused):
        await driver.read(rig.read_span(rig.map.up.size - 2, 4))
    await driver.connect()
    assert await driver.read(rig.read_span()) == bytes(rig.up)


# -- what the caller must not ask ---------------------------------------------------------------------------------------------


async def test_a_span_that_no_request_can_carry(rig: Rig, driver: PlcDriver) -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_WRITE_BYTES}"):
        await driver.write(rig.write_span(0, MAX_WRITE_BYTES + 2), bytes(MAX_WRITE_BYTES + 2))
    with pytest.raises(ValueError, match=str(MAX_READ_BYTES)):
        await driver.read(rig.read_span(0, MAX_READ_BYTES + 2))
    assert await driver.read(rig.read_span()) == bytes(rig.up), "the caller's mistake costs no connection"


async def test_data_of_another_length_than_its_span(rig: Rig, driver: PlcDriver) -> None:
    with pytest.raises(ValueError, match="62 bytes for a span of 64"):
        await driver.write(rig.write_span(), bytes(62))
    assert not any(rig.down)


# -- what is not there --------------------------------------------------------------------------------------------------------


async def test_an_absent_device_says_where_it_was_looked_for_and_what_to_do(rig: Rig) -> None:
    with pytest.raises(DeviceUnavailable) as caught:
        await rig.absent.connect()
    assert caught.value.op == "connect"
    assert rig.where in str(caught.value)
    assert "is the PLC on and the address right?" in str(caught.value) or rig.protocol == "memory"
    assert await is_unusable(rig.absent, rig)


async def test_before_connect_nothing_is_sent(rig: Rig) -> None:
    assert await is_unusable(rig.driver(), rig)


async def test_a_mute_device_is_unavailable_within_the_limit(rig: Rig) -> None:
    driver = rig.driver(REQUEST_TIMEOUT_S)
    await driver.connect()
    rig.set_mute(True)
    async with asyncio.timeout(5):
        with pytest.raises(DeviceUnavailable) as caught:
            await driver.read(rig.read_span())
    assert "no answer within 150 ms" in str(caught.value) or rig.protocol == "memory"
    assert await is_unusable(driver, rig)
    rig.set_mute(False)
    assert await is_unusable(driver, rig), "unusable until it is connected anew"
    patient = rig.driver()
    await patient.connect()
    assert await patient.read(rig.read_span()) == bytes(rig.up)
    await patient.close()


async def test_a_mute_device_is_asked_once(rig: Rig) -> None:
    """A write that is repeated by the library could come after the next token."""
    driver = rig.driver(REQUEST_TIMEOUT_S)
    await driver.connect()
    rig.set_mute(True)
    with pytest.raises(DeviceUnavailable):
        await driver.write(rig.write_span(), bytes(64))
    if rig.wire is not None:
        count = len(rig.wire.sent)
        await asyncio.sleep(0.4)
        assert len(rig.wire.sent) == count


async def test_a_device_mute_from_the_start_does_not_hold_connect_for_ever(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("s7", "modbus"):
        monkeypatch.setattr(f"gateway.plc.{module}.CONNECT_TIMEOUT_S", CONNECT_TIMEOUT_S)
    rig.set_mute(True)
    driver = rig.driver()
    async with asyncio.timeout(5):
        with contextlib.suppress(DeviceUnavailable):  # Modbus needs no word of the device to be connected
            await driver.connect()
    await driver.close()


@NETWORK
async def test_a_reset_connection_is_noticed_at_once_and_not_by_the_time_out(rig: Rig) -> None:
    assert rig.wire is not None
    driver = rig.driver()
    await driver.connect()
    rig.set_mute(True)
    reading = asyncio.create_task(driver.read(rig.read_span()))
    await asyncio.sleep(0.05)
    rig.wire.reset()
    async with asyncio.timeout(5):
        with pytest.raises(DeviceUnavailable):
            await reading
    assert await is_unusable(driver, rig)


@NETWORK
async def test_a_connection_lost_between_two_calls_is_not_made_anew_by_the_library(rig: Rig, driver: PlcDriver) -> None:
    """A connection made behind the link's back would serve a PLC that was neither verified nor claimed."""
    assert rig.wire is not None
    await driver.read(rig.read_span())
    rig.wire.reset()
    await asyncio.sleep(0.4)
    rig.wire.sent.clear()
    with pytest.raises(DeviceUnavailable):
        await driver.read(rig.read_span())
    await asyncio.sleep(0.2)
    assert len(rig.wire.writers) == 1
    assert rig.wire.sent == []


# -- cancelled, closed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [False, True])
async def test_a_cancelled_call_is_cancelled_and_leaves_no_half_answer_behind(rig: Rig, write: bool) -> None:
    """The answer to the cancelled call must never be taken for the answer to a later one."""
    driver = rig.driver()
    await driver.connect()
    if rig.wire is not None:
        rig.wire.most = 9
    call = driver.write(rig.write_span(), b"\xaa" * 64) if write else driver.read(rig.read_span(0, 128))
    calling = asyncio.create_task(call)
    await asyncio.sleep(0.02 if rig.wire is not None else 0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await is_unusable(driver, rig)
    if rig.wire is not None:
        rig.wire.most = None
    await driver.connect()
    assert await driver.read(rig.read_span(40, 64)) == bytes(rig.up[40:104])
    await driver.close()


async def test_a_cancelled_connect_leaves_nothing_behind(rig: Rig) -> None:
    driver = rig.driver()
    connecting = asyncio.create_task(driver.connect())
    await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert await is_unusable(driver, rig)
    await driver.connect()
    assert await driver.read(rig.read_span()) == bytes(rig.up)
    await driver.close()


async def test_close_is_safe_before_connect_and_twice(rig: Rig) -> None:
    driver = rig.driver()
    await driver.close()
    await driver.connect()
    await driver.close()
    await driver.close()
    assert await is_unusable(driver, rig)
    await driver.connect()
    assert await driver.read(rig.read_span()) == bytes(rig.up)
    await driver.close()


async def test_close_ends_a_request_under_way(rig: Rig) -> None:
    driver = rig.driver()
    await driver.connect()
    if rig.wire is not None:
        rig.wire.mute = True
    reading = asyncio.create_task(driver.read(rig.read_span()))
    await asyncio.sleep(0.02 if rig.wire is not None else 0)
    await driver.close()
    async with asyncio.timeout(5):
        with pytest.raises(DeviceUnavailable):
            await reading


async def test_the_end_of_an_old_call_does_not_close_the_new_connection(rig: Rig) -> None:
    driver = rig.driver()
    await driver.connect()
    if rig.wire is not None:
        rig.wire.mute = True
    reading = asyncio.create_task(driver.read(rig.read_span()))
    await asyncio.sleep(0.02 if rig.wire is not None else 0)
    if rig.wire is not None:
        rig.wire.mute = False
    await driver.connect()
    with contextlib.suppress(DeviceUnavailable):
        await reading
    assert await driver.read(rig.read_span()) == bytes(rig.up)
    await driver.close()
