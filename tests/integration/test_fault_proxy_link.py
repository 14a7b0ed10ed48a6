"""The link, its drivers and the whole control logic over a wire that goes wrong, on real sockets, on both protocols.

Whatever the wire does: the PLC never latches a verdict that is not the part's own, no part gets two, nothing hangs, and when
the fault is over parts pass again. What is checked of every run stands in ``fault_line.check``.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from simulators.fault_proxy import FaultProxy
from simulators.wire_faults import Cut, Delay, Duplicate, Fault, Garble, HalfOpen, Nothing, Refuse, Trickle
from tests.integration.fault_line import FaultLine, fault_line
from tests.integration.plc_stand import PROTOCOLS, plc_stand, until

#: Whether the link must fall for it; where it need not, it may on a machine that does other things.
FALLS, MAY = True, False


@contextlib.asynccontextmanager
async def stand(protocol: str, seed: int = 1) -> AsyncIterator[tuple[FaultLine, FaultProxy]]:
    async with plc_stand(protocol) as plc:
        proxy = FaultProxy("127.0.0.1", plc.port, seed=seed)
        port = await proxy.start()
        try:
            async with fault_line(plc, port, seed=seed) as line:
                await line.up()
                yield line, proxy
        finally:
            await proxy.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("fault", "falls"),
    [
        (Cut(), FALLS),
        (Cut(way="to", after=100), FALLS),
        (Cut(way="back", after=75), FALLS),
        (Delay(ms=12, jitter_ms=8), MAY),
        (Delay(ms=250), FALLS),
        (Delay(way="to", ms=80, jitter_ms=80), MAY),
        (HalfOpen(), FALLS),
        (HalfOpen(way="to"), FALLS),
        (HalfOpen(way="back"), FALLS),
        (Duplicate(way="to"), MAY),
        (Duplicate(way="back"), MAY),  # S7 passes over an answer to an older request, Modbus gives the connection up
        (Trickle(way="back", ms=0), MAY),
        (Trickle(way="to", ms=1), MAY),
    ],
    ids=lambda v: str(v) if isinstance(v, bool) else "-".join(map(str, v.model_dump(exclude={"way"}).values())),
)
async def test_a_wire_that_goes_wrong(protocol: str, fault: Fault, falls: bool) -> None:
    async with stand(protocol) as (line, proxy):
        before = len(line.states())
        await proxy.apply(fault)
        await line.parts(15)
        await proxy.apply(Nothing())
        assert not falls or "down" in line.states()[before:], line.states()
        await line.up()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_port_that_is_closed_for_a_while(protocol: str) -> None:
    async with stand(protocol) as (line, proxy):
        await proxy.apply(Refuse())
        await proxy.apply(Cut())
        await line.parts(15)
        assert line.link.state == "down"
        await proxy.apply(Nothing())
        await line.up()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_cuts_all_along_requests_and_answers(protocol: str) -> None:
    async with stand(protocol) as (line, proxy):
        for n in range(0, 260, 20):
            await line.parts(1)
            await proxy.apply(Cut(way="back" if n % 2 else "to", after=n))
            await until(lambda: line.link.state == "down", "the cut is noticed")
            await until(lambda: line.link.state == "up", "and mended")
        await line.up()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_garbled_requests_never_make_a_verdict(protocol: str) -> None:
    """Neither protocol has a checksum of its own: a flipped bit may land in a token, in an address, in a function code."""
    async with stand(protocol) as (line, proxy):
        await proxy.apply(Garble(way="to", probability=0.003))
        await line.parts(20)
        await proxy.apply(Nothing())
        await line.up()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_garbled_answers_cost_parts(protocol: str) -> None:
    """A PartId, an encoder value, an owner or a checksum read wrongly: parts are lost for it, none gets a foreign verdict."""
    async with stand(protocol) as (line, proxy):
        await proxy.apply(Garble(way="back", probability=0.0003))
        await line.parts(20)
        await proxy.apply(Nothing())
        await line.up()
