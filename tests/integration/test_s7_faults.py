"""The S7 driver against PLCs that misbehave: what does not answer the question is never taken for an answer.

python-snap7 3.3 goes on using a stream that a cancelled call has put out of step, splits what exceeds the PDU into several
requests, waits five seconds for an answer, and closes politely.
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
from gateway.core.tags import Block, S7Address, Span
from gateway.plc.s7 import S7Driver
from tests.integration.wire import Script, Wire, s7_answer, s7_server

UP = Block(name="Up", base=S7Address(db=100, byte=0), direction="plc->gw", tags=(), size=222)
DOWN = Block(name="Down", base=S7Address(db=101, byte=0), direction="gw->plc", tags=(), size=148)
READ = Span(block=UP, offset=8, length=8)
WRITE = Span(block=DOWN, offset=64, length=64)
VALUES = b"\x01\x02\x03\x04\x05\x06\x07\x08"
PATIENT_S = 30.0
OK = 0xFF


def item(code: int, data: bytes = b"", transport: int = 4) -> bytes:
    """Return one item of a read answer."""
    return struct.pack(">BBH", code, transport if data else 0, len(data) * 8) + data


def right(request: bytes) -> bytes:
    """Answer as a good PLC does; a read gets as many bytes as it asks for."""
    if request[10] == 4:
        count = int.from_bytes(request[16:18], "big")
        return s7_answer(request, b"\x04\x01", item(OK, (VALUES * 32)[:count]))
    return s7_answer(request, b"\x05\x01", bytes([OK]))


@pytest.fixture(autouse=True)
def _time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a machine that does other things takes to connect is not looked at here."""
    monkeypatch.setattr("gateway.plc.s7.CONNECT_TIMEOUT_S", PATIENT_S)


class Client:
    """One driver on one scripted PLC."""

    def __init__(self, driver: S7Driver, wire: Wire) -> None:
        self.driver, self.wire = driver, wire

    async def read(self, span: Span = READ) -> bytes:
        return await self.driver.read(span)

    async def write(self) -> None:
        await self.driver.write(WRITE, bytes(range(64)))


async def talk(script: Script, act: Callable[[Client], object], *, timeout_s: float = PATIENT_S, pdu: int = 480) -> Client:
    """Let ``act`` talk to a PLC that answers as ``script`` says; an error of the device comes out of here."""
    async with s7_server(script, pdu=pdu) as wire:
        driver = S7Driver("plc", "127.0.0.1", wire.port, rack=0, slot=1, request_timeout_s=timeout_s)
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
    read, write, _ = client.wire.sent
    assert read[10:24] == bytes.fromhex("0401120a10020008006484000040")
    assert write[10:24] == bytes.fromhex("0501120a10020040006584000200")
    assert write[24:] == struct.pack(">BBH", 0, 4, 64 * 8) + bytes(range(64))


@pytest.mark.parametrize("span", [READ, Span(block=UP, offset=0, length=222)])
async def test_never_more_than_one_request_a_span(span: Span) -> None:
    async def act(c: Client) -> None:
        assert len(await c.read(span)) == span.length
        await c.write()

    for pdu in (240, 480):
        assert len((await talk(right, act, pdu=pdu)).wire.sent) == 2


@pytest.mark.parametrize("pdu", [112, 239])
async def test_a_read_that_the_library_would_split_is_refused(pdu: int) -> None:
    """Split in two it could show the heads of one scan with the rings of another."""

    async def act(c: Client) -> None:
        with pytest.raises(DeviceRefused, match=f"offers a PDU of {pdu} bytes, 240 are needed"):
            await c.read(Span(block=UP, offset=0, length=222))

    assert (await talk(right, act, pdu=pdu)).wire.sent == []


async def test_a_write_that_the_library_would_split_is_refused() -> None:
    async def act(c: Client) -> None:
        with pytest.raises(DeviceRefused, match="offers a PDU of 98 bytes, 99 are needed"):
            await c.write()

    assert (await talk(right, act, pdu=98)).wire.sent == []


READ_LIES = {
    "short read": lambda r: s7_answer(r, b"\x04\x01", item(OK, VALUES[:4])),
    "long read": lambda r: s7_answer(r, b"\x04\x01", item(OK, VALUES + b"\0\0")),
    "length above what came": lambda r: s7_answer(r, b"\x04\x01", struct.pack(">BBH", OK, 4, 64) + VALUES[:4]),
    "the answer to a write": lambda r: s7_answer(r, b"\x05\x01", bytes([OK])),
    "two items": lambda r: s7_answer(r, b"\x04\x02", item(OK, VALUES) + item(OK, VALUES)),
    "no parameters": lambda r: s7_answer(r, b"", item(OK, VALUES)),
    "unknown transport size": lambda r: s7_answer(r, b"\x04\x01", item(OK, VALUES, transport=0x20)),
    "no S7": lambda r: b"\x33" + right(r)[1:],
    "a request": lambda r: b"\x32\x01" + right(r)[2:],
    "half a header": lambda r: right(r)[:9],
}


@pytest.mark.parametrize("lie", READ_LIES.values(), ids=READ_LIES.keys())
async def test_validates_the_answer_to_a_read(lie: Script) -> None:
    async def act(c: Client) -> None:
        with pytest.raises(DeviceProtocolError):
            await c.read()
        with pytest.raises(DeviceUnavailable, match="not connected"):
            await c.read()

    assert len((await talk(lie, act)).wire.sent) == 1


WRITE_LIES = {
    "the answer to a read": lambda r: s7_answer(r, b"\x04\x01", item(OK, VALUES)),
    "two acknowledgements": lambda r: s7_answer(r, b"\x05\x02", bytes([OK, OK])),
    "one acknowledgement too many": lambda r: s7_answer(r, b"\x05\x01", bytes([OK, OK])),
    "no acknowledgement": lambda r: s7_answer(r, b"\x05\x01", b""),
}


@pytest.mark.parametrize("lie", WRITE_LIES.values(), ids=WRITE_LIES.keys())
async def test_validates_the_answer_to_a_write(lie: Script) -> None:
    async def act(c: Client) -> None:
        with pytest.raises(DeviceProtocolError):
            await c.write()

    assert len((await talk(lie, act)).wire.sent) == 1, "a write is never sent again"


REFUSALS = {
    "access denied": lambda r: s7_answer(r, bytes([r[10], 1]), item(3) if r[10] == 4 else b"\x03"),
    "address out of range": lambda r: s7_answer(r, bytes([r[10], 1]), item(5) if r[10] == 4 else b"\x05"),
    "no such block": lambda r: s7_answer(r, bytes([r[10], 1]), item(10) if r[10] == 4 else b"\x0a"),
    "PUT/GET not permitted": lambda r: s7_answer(r, b"", b"", error=0x8104),
    "protection level": lambda r: s7_answer(r, b"", b"", error=0xD241),
}


@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
async def test_refusal_codes_are_refusals_that_say_what_to_look_at(refusal: Script, write: bool) -> None:
    async def act(c: Client) -> None:
        with pytest.raises(DeviceRefused, match="DB10[01]: .*PUT/GET permitted"):
            await (c.write() if write else c.read())

    assert len((await talk(refusal, act)).wire.sent) == 1


async def test_a_stream_out_of_step_after_a_cancelled_call_is_not_used_again() -> None:
    """The library's client would take the rest of the first answer for the head of the second."""

    async def act(c: Client) -> None:
        c.wire.most = 20
        reading = asyncio.create_task(c.read(Span(block=UP, offset=0, length=222)))
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        c.wire.most = None
        with pytest.raises(DeviceUnavailable, match="not connected"):
            await c.read()
        await c.driver.connect()
        assert await c.read() == VALUES

    await talk(right, act)


async def test_answers_in_pieces() -> None:
    async def act(c: Client) -> None:
        c.wire.trickle = True
        assert await c.read() == VALUES
        await c.write()

    await talk(right, act)


async def test_a_request_has_its_own_time_limit_and_not_the_library_s_five_seconds() -> None:
    async def act(c: Client) -> None:
        async with asyncio.timeout(2):
            with pytest.raises(DeviceUnavailable, match="no answer within 50 ms"):
                await c.write()
        await asyncio.sleep(0.2)

    assert len((await talk(lambda r: b"", act, timeout_s=0.05)).wire.sent) == 1


async def test_a_reset_mid_request_does_not_wait_for_the_time_out() -> None:
    async def act(c: Client) -> None:
        with pytest.raises(DeviceUnavailable):
            await c.read()

    await talk(lambda r: None, act)


async def test_an_answer_to_an_older_question_is_passed_over() -> None:
    def script(request: bytes) -> bytes:
        sequence = int.from_bytes(request[4:6], "big")
        return right(request[:4] + struct.pack(">H", (sequence - 1) % 65536) + request[6:])

    async def act(c: Client) -> None:
        with pytest.raises(DeviceUnavailable, match="no answer"):
            await c.read()

    await talk(script, act, timeout_s=0.1)


async def test_a_cancellation_that_meets_the_answer_is_not_swallowed() -> None:
    """asyncio.wait_for before Python 3.12 returns the result when both come in one turn of the loop."""

    async def act(c: Client) -> None:
        met = 0
        for turns in range(40):
            reading = asyncio.create_task(c.read())
            for _ in range(turns):
                await asyncio.sleep(0)
            if not reading.done():
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
                met += 1
            await c.driver.connect()
        assert 0 < met < 40, "some calls were cancelled on every part of their way, some had come to their end"

    await talk(right, act)


async def test_errors_are_raised_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def act(c: Client) -> None:
        with pytest.raises(DeviceUnavailable):
            await c.read()

    with caplog.at_level(logging.DEBUG):
        await talk(lambda r: None, act)
    assert [r for r in caplog.records if "snap7" in r.name] == []


@given(at=st.integers(0, 24), change=st.integers(1, 255), write=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_garbled_answer_is_an_error_of_ours_or_harmless(at: int, change: int, write: bool) -> None:
    """Whatever the library makes of it, only our errors come out, and never a block of another length."""

    def script(request: bytes) -> bytes:
        answer = bytearray(right(request))
        answer[at % len(answer)] ^= change
        return bytes(answer)

    async def act(c: Client) -> None:
        try:
            if write:
                await c.write()
            else:
                assert len(await c.read()) == READ.length
        except DeviceError:
            pass

    asyncio.run(talk(script, act, timeout_s=0.05))  # type: ignore[arg-type]


@given(answer=st.binary(max_size=40))
@settings(max_examples=40, deadline=None)
def test_any_answer_at_all_is_an_error_of_ours(answer: bytes) -> None:
    async def act(c: Client) -> None:
        with pytest.raises(DeviceError):
            await c.read()

    asyncio.run(talk(lambda r: answer or b"\0", act, timeout_s=0.05))  # type: ignore[arg-type]
