"""The Modbus driver against devices that misbehave: what does not answer the question is never taken for an answer.

pymodbus 3.16.1 takes transaction 0, another function, another echo and too few registers for success, skips what carries
another transaction or unit, re-sends writes, and lets a reset run into its time-out.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import DeviceError, DeviceProtocolError, DeviceRefused, DeviceUnavailable
from gateway.core.tags import Block, ModbusAddress, Span
from gateway.plc.modbus import ModbusDriver, misfit
from tests.integration.plc_stand import until
from tests.integration.wire import Script, Wire, modbus_server

UP = Block(name="Up", base=ModbusAddress(area="HR", register=0), direction="plc->gw", tags=(), size=168)
DOWN = Block(name="Down", base=ModbusAddress(area="HR", register=200), direction="gw->plc", tags=(), size=148)
READ = Span(block=UP, offset=8, length=8)
WRITE = Span(block=DOWN, offset=64, length=64)
VALUES = b"\x01\x02\x03\x04\x05\x06\x07\x08"
PATIENT_S = 30.0


def frame(request: bytes, body: bytes, *, tid: int | None = None, pid: int = 0, unit: int | None = None) -> bytes:
    """Return a frame that answers ``request`` but for what is given."""
    tid = int.from_bytes(request[:2], "big") if tid is None else tid
    unit = request[6] if unit is None else unit
    return struct.pack(">HHHB", tid, pid, len(body) + 1, unit) + body


def right(request: bytes) -> bytes:
    """Answer as a good device does."""
    if request[7] == 3:
        return frame(request, b"\x03\x08" + VALUES)
    return frame(request, request[7:12])


@pytest.fixture(autouse=True)
def _time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a machine that does other things takes to connect is not looked at here."""
    monkeypatch.setattr("gateway.plc.modbus.CONNECT_TIMEOUT_S", PATIENT_S)


class Client:
    """One driver on one scripted device."""

    def __init__(self, driver: ModbusDriver, wire: Wire) -> None:
        self.driver, self.wire = driver, wire

    async def read(self) -> bytes:
        return await self.driver.read(READ)

    async def write(self) -> None:
        await self.driver.write(WRITE, bytes(range(64)))


async def talk(script: Script, act: Callable[[Client], object], *, timeout_s: float = PATIENT_S) -> Client:
    """Let ``act`` talk to a device that answers as ``script`` says; an error of the device comes out of here."""
    async with modbus_server(script) as wire:
        driver = ModbusDriver("plc", "127.0.0.1", wire.port, unit=1, request_timeout_s=timeout_s)
        await driver.connect()
        client = Client(driver, wire)
        try:
            async with asyncio.timeout(10):
                await act(client)  # type: ignore[misc]
        finally:
            await driver.close()
        return client


async def test_the_script_s_right_answers_are_taken() -> None:
    async def act(c: Client) -> None:
        assert await c.read() == VALUES
        await c.write()
        assert await c.read() == VALUES

    client = await talk(right, act)
    requests = [r[7:] for r in client.wire.sent]
    assert requests[0] == struct.pack(">BHH", 3, 4, 4)
    assert requests[1] == struct.pack(">BHHB", 16, 232, 32, 64) + bytes(range(64))


READ_LIES = {
    "transaction id 0": lambda r: frame(r, b"\x03\x08" + VALUES, tid=0),
    "another transaction id": lambda r: frame(r, b"\x03\x08" + VALUES, tid=999),
    "another protocol id": lambda r: frame(r, b"\x03\x08" + VALUES, pid=1),
    "another unit": lambda r: frame(r, b"\x03\x08" + VALUES, unit=2),
    "wrong function code": lambda r: frame(r, b"\x04\x08" + VALUES),
    "the answer to a write": lambda r: frame(r, struct.pack(">BHH", 16, 4, 4)),
    "short read": lambda r: frame(r, b"\x03\x04" + VALUES[:4]),
    "long read": lambda r: frame(r, b"\x03\x0a" + VALUES + b"\0\0"),
    "byte count above what came": lambda r: frame(r, b"\x03\x08" + VALUES[:4]),
    "byte count below what came": lambda r: frame(r, b"\x03\x06" + VALUES),
    "odd byte count": lambda r: frame(r, b"\x03\x09" + VALUES + b"\0"),
    "no registers at all": lambda r: frame(r, b"\x03\x00"),
    "function code alone": lambda r: frame(r, b"\x03"),
    "exception to another function": lambda r: frame(r, b"\x90\x02"),
    "two answers to one question": lambda r: right(r) + right(r),
    "junk behind the answer": lambda r: right(r) + b"\xff",
}


@pytest.mark.parametrize("lie", READ_LIES.values(), ids=READ_LIES.keys())
async def test_validates_every_field_of_a_read(lie: Script) -> None:
    """At once, for the limit of these requests is half a minute; and the connection is not used any more."""

    async def act(c: Client) -> None:
        with pytest.raises(DeviceProtocolError):
            await c.read()
        with pytest.raises(DeviceUnavailable, match="not connected"):
            await c.read()

    assert len((await talk(lie, act)).wire.sent) == 1


WRITE_LIES = {
    "wrong echo of the address": lambda r: frame(r, struct.pack(">BHH", 16, 233, 32)),
    "wrong echo of the count": lambda r: frame(r, struct.pack(">BHH", 16, 232, 31)),
    "transaction id 0": lambda r: frame(r, r[7:12], tid=0),
    "wrong function code": lambda r: frame(r, b"\x06" + r[8:12]),
    "the answer to a read": lambda r: frame(r, b"\x03\x08" + VALUES),
    "the request itself": lambda r: r,
    "half an echo": lambda r: frame(r, r[7:10]),
}


@pytest.mark.parametrize("lie", WRITE_LIES.values(), ids=WRITE_LIES.keys())
async def test_validates_every_field_of_a_write(lie: Script) -> None:
    async def act(c: Client) -> None:
        with pytest.raises(DeviceProtocolError):
            await c.write()

    assert len((await talk(lie, act)).wire.sent) == 1, "a write is never sent again"


@pytest.mark.parametrize(
    ("code", "why"), [(1, "does not offer"), (2, "not where the map says"), (11, "unit number"), (99, "unknown")]
)
async def test_exception_codes_are_refusals_in_words(code: int, why: str) -> None:
    async def act(c: Client) -> None:
        with pytest.raises(DeviceRefused, match=f"exception {code}: .*{why}"):
            await c.write()

    client = await talk(lambda r: frame(r, bytes([r[7] | 0x80, code])), act)
    assert len(client.wire.sent) == 1


async def test_a_write_without_an_answer_is_never_re_sent() -> None:
    """pymodbus' default would send it four times."""

    async def act(c: Client) -> None:
        with pytest.raises(DeviceUnavailable, match="no answer within 50 ms"):
            await c.write()
        await asyncio.sleep(0.3)

    assert len((await talk(lambda r: b"", act, timeout_s=0.05)).wire.sent) == 1


async def test_a_reset_mid_request_does_not_wait_for_the_time_out() -> None:
    async def act(c: Client) -> None:
        with pytest.raises(DeviceUnavailable, match="the connection was lost"):
            await c.read()

    assert len((await talk(lambda r: None, act)).wire.sent) == 1


async def test_a_reset_mid_answer_does_not_wait_for_the_time_out() -> None:
    async def act(c: Client) -> None:
        c.wire.most = 10
        reading = asyncio.create_task(c.read())
        await asyncio.sleep(0.05)
        c.wire.reset()
        with pytest.raises(DeviceUnavailable, match="the connection was lost"):
            await reading

    await talk(right, act)


async def test_the_library_does_not_reconnect_by_itself() -> None:
    """A connection made behind the link's back would serve a PLC that was neither verified nor claimed."""

    async def act(c: Client) -> None:
        with pytest.raises(DeviceUnavailable):
            await c.read()
        await asyncio.sleep(0.4)
        assert len(c.wire.writers) == 1
        with pytest.raises(DeviceUnavailable, match="not connected"):
            await c.read()
        assert len(c.wire.writers) == 1

    await talk(lambda r: None, act)


async def test_a_late_answer_is_not_taken_for_the_answer_to_the_next_question() -> None:
    """The device answers the first question only after the driver has given up on it and connected again."""

    async def act(c: Client) -> None:
        c.wire.mute = True
        reading = asyncio.create_task(c.read())
        await until(lambda: c.wire.sent, "the question was asked")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        c.wire.mute = False
        await c.driver.connect()
        c.wire.writers[0].write(frame(c.wire.sent[0], b"\x03\x08" + b"\xee" * 8))
        assert await c.read() == VALUES

    await talk(right, act)


async def test_an_unasked_frame_between_two_questions_is_not_an_answer() -> None:
    async def act(c: Client) -> None:
        assert await c.read() == VALUES
        c.wire.writers[0].write(frame(c.wire.sent[0], b"\x03\x08" + b"\xee" * 8))
        await c.wire.writers[0].drain()
        await asyncio.sleep(0.02)
        assert await c.read() == VALUES

    await talk(right, act)


async def test_a_cancelled_call_is_a_cancellation_and_no_error_of_the_library() -> None:
    """Before pymodbus 3.16.1 it came out as ModbusIOException, and the task that should end went on."""

    async def act(c: Client) -> None:
        c.wire.mute = True
        reading = asyncio.create_task(c.read())
        await asyncio.sleep(0.02)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    await talk(right, act)


async def test_a_cancellation_that_meets_the_answer_is_not_swallowed() -> None:
    """asyncio.wait_for before Python 3.12 returns the result when both come in one turn of the loop."""

    async def act(c: Client) -> None:
        for _ in range(3):
            reading = asyncio.create_task(c.read())
            while len(c.wire.sent) == 0 or not reading.done():
                await asyncio.sleep(0)
                client = c.driver._client
                if client is not None and client.ctx.response_future.done() and not reading.done():
                    reading.cancel()
            assert reading.cancelled() or reading.exception() is not None
            c.wire.sent.clear()
            await c.driver.connect()

    await talk(right, act)


async def test_errors_are_raised_and_not_logged_with_packet_dumps(caplog: pytest.LogCaptureFixture) -> None:
    """The library would log each at ERROR, sixty times a second while a PLC is away; the link logs one change of state."""

    async def act(c: Client) -> None:
        with pytest.raises(DeviceUnavailable):
            await c.read()

    with caplog.at_level(logging.DEBUG):
        await talk(lambda r: b"", act, timeout_s=0.05)
    assert [r for r in caplog.records if "modbus" in r.name] == []


# -- the frame's validation by itself -------------------------------------------------------------------------------------

ASKED = struct.pack(">HHHB", 7, 0, 6, 1) + struct.pack(">BHH", 3, 4, 4)
WRITTEN = struct.pack(">HHHB", 7, 0, 71, 1) + struct.pack(">BHHB", 16, 232, 32, 64) + bytes(64)


@pytest.mark.parametrize("asked", [ASKED, WRITTEN])
def test_every_beginning_of_a_right_answer_may_still_become_one(asked: bytes) -> None:
    answer = right(asked)
    assert [misfit(asked, answer[:n]) for n in range(len(answer) + 1)] == [""] * (len(answer) + 1)
    refusal = frame(asked, bytes([asked[7] | 0x80, 2]))
    assert misfit(asked, refusal) == ""


@given(st.sampled_from([ASKED, WRITTEN]), st.data())
@settings(max_examples=100, deadline=None)
def test_no_changed_byte_outside_the_data_goes_unnoticed(asked: bytes, data: st.DataObject) -> None:
    answer = bytearray(right(asked))
    at = data.draw(st.integers(0, 8 if asked is ASKED else len(answer) - 1))
    answer[at] ^= data.draw(st.integers(1, 255))
    refusal = at == 7 and answer[7] == asked[7] | 0x80
    assert misfit(asked, bytes(answer)) or refusal


@pytest.mark.parametrize("function", [1, 2, 4])
def test_answers_with_bits_and_input_registers_are_held_to_what_was_asked(function: int) -> None:
    """19 bits are three bytes, 19 input registers 38."""
    size = 38 if function == 4 else 3
    asked = struct.pack(">HHHB", 7, 0, 6, 1) + struct.pack(">BHH", function, 4, 19)
    answer = struct.pack(">HHHB", 7, 0, 3 + size, 1) + bytes([function, size]) + bytes(size)
    assert [misfit(asked, answer[:n]) for n in range(len(answer) + 1)] == [""] * (len(answer) + 1)
    for at in range(9):
        changed = bytearray(answer)
        changed[at] ^= 1
        assert misfit(asked, bytes(changed)), at
    assert misfit(asked, answer + b"\0")


@given(st.binary(max_size=40), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_answer_at_all_is_an_error_of_ours_or_the_right_one(answer: bytes, headed: bool) -> None:
    def script(request: bytes) -> bytes:
        return frame(request, answer) if headed else request[:2] + answer

    async def act(c: Client) -> None:
        try:
            got = await c.read()
        except DeviceError:
            return
        assert headed
        assert answer == b"\x03\x08" + got

    asyncio.run(talk(script, act, timeout_s=0.05))  # type: ignore[arg-type]
