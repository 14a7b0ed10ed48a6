"""Several lines: two on one PLC with blocks of their own, and one whose PLC does not answer beside one that works.

The lines share a process here, which is harder than in a gateway, where each has one of its own (tests/system/test_lines.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.events import PartJudged
from gateway.core.handshake import WATCHDOG_MS
from gateway.plc.maps import load_map
from simulators.plant import PlcInputs, Settings
from simulators.plc import PlcLogic
from simulators.plc_modbus import ModbusServer
from simulators.plc_s7 import S7Server
from tests.integration.fault_line import FaultLine, fault_line
from tests.integration.plc_stand import PROTOCOLS, REPO, Stand, plc_stand, until
from tests.integration.wire import proxy

SCAN_S = 0.005
MOVED = {
    "s7": (("db: 100", "db: 110"), ("db: 101", "db: 111")),
    "modbus": (("at: 0\n    name", "at: 1000\n    name"), ("at: 200\n    name", "at: 1200\n    name")),
}
"""Where the second line's blocks lie."""


@contextlib.asynccontextmanager
async def one_plc_of_two_lines(protocol: str, folder: Path) -> AsyncIterator[tuple[Stand, Stand]]:
    """Run one PLC whose program serves two lines, each with blocks of its own, scanned one after the other."""
    text = (REPO / "plc_maps" / f"demo_{protocol}.yaml").read_text()
    for old, new in MOVED[protocol]:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "second.yaml").write_text(text)
    maps = [load_map(REPO / "plc_maps" / f"demo_{protocol}.yaml"), load_map(folder / "second.yaml")]
    leaping = Settings(scan_ms=0.05)  # the belt leaps from part to part: counts are never taken for lost
    first, second = (PlcLogic(m, camera_to_gate=20_000, gate_window=300, settings=leaping) for m in maps)
    one, two = maps[0].map, maps[1].map
    extra = [(two.up, second.up), (two.down, second.down)]
    server: S7Server | ModbusServer
    if protocol == "s7":
        server = S7Server(one.up.base.db, first.up, one.down.base.db, first.down, extra=extra)
    else:
        server = ModbusServer(one, first.up, first.down, extra=extra)
    port = await server.start()
    stands = tuple(
        Stand(loaded=m, logic=logic, server=server, port=port) for m, logic in zip(maps, (first, second), strict=True)
    )

    async def scan_forever() -> None:
        now = 0.0
        while True:
            for stand in stands:
                latches, stand.latches = tuple(stand.latches), []
                inputs = PlcInputs(now_ms=now, encoder=stand.encoder, latches=latches, permit=True)
                stand.events.extend(stand.logic.scan(inputs).events)
            now += SCAN_S * 1e3
            await asyncio.sleep(SCAN_S)

    task = asyncio.create_task(scan_forever())
    try:
        yield stands[0], stands[1]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.stop()


def owner(plc: Stand) -> str:
    """Return the last thing that the PLC said of its owner."""
    return [e.detail for e in plc.seen("owner")][-1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_two_lines_on_one_plc_know_nothing_of_each_other(protocol: str, tmp_path: Path) -> None:
    async with one_plc_of_two_lines(protocol, tmp_path) as (first, second):
        second.encoder = 700_000
        async with fault_line(first, first.port, seed=1) as a:
            async with fault_line(second, second.port, seed=2) as b:
                await a.up()
                await b.up()
                assert a.link.epoch != b.link.epoch
                before = len(a.encoders), len(b.encoders)
                await asyncio.gather(a.parts(30), b.parts(20))
                for line, begun in zip((a, b), before, strict=True):
                    await until(lambda line=line: len(line.encoders) in line.latched(), "the last part's verdict")
                    verdicts = line.latched()
                    assert set(verdicts) >= set(range(begun + 1, len(line.encoders) + 1)), "every part has its own token"
            # One line's gateway is gone: its own half of the PLC rejects, and that is all.
            events, parts = len(first.events), len(a.encoders)
            await a.parts(round(2 * WATCHDOG_MS / 1e3 / a.period_s))
            await until(lambda: owner(second) == "lost", "the second line's watchdog")
            await until(lambda: len(a.encoders) in a.latched(), "the first line goes on")
            assert not [e for e in first.events[events:] if e.kind == "owner"]
            assert a.link.state == "up"
            assert set(a.latched()) >= set(range(parts + 1, len(a.encoders) + 1))


def losses(line: FaultLine, first: int) -> tuple[int, int]:
    """Return how many of the parts after ``first`` got no verdict of their own, and how many tokens were not acknowledged."""
    latched = line.latched()
    lost = [n for n in range(first + 1, len(line.encoders) + 1) if latched.get(n, "NOT_INSPECTED") == "NOT_INSPECTED"]
    judged = [r for r in line.records if isinstance(r, PartJudged) and r.encoder in line.encoders[first:]]
    return len(lost), sum(r.token != "acked" for r in judged)


@pytest.mark.parametrize("healthy", PROTOCOLS)
async def test_a_mute_plc_costs_the_line_beside_it_nothing(healthy: str) -> None:
    """It accepts connections, takes every request and never answers; both lines live on one event loop here."""
    sick = next(p for p in PROTOCOLS if p != healthy)
    async with plc_stand(healthy) as well, plc_stand(sick) as ill, proxy(ill.port) as wire:
        async with fault_line(well, well.port, seed=1) as a, fault_line(ill, wire.port, seed=2) as b:
            await a.up()
            await b.up()
            begun = len(a.encoders)
            await asyncio.gather(a.parts(40), b.parts(20))
            await until(lambda: len(a.encoders) in a.latched(), "the last part's verdict")
            usual = losses(a, begun)
            wire.mute = True
            await until(lambda: b.link.state == "down", "the mute PLC is noticed")
            begun = len(a.encoders)
            await asyncio.gather(a.parts(100), b.parts(20))
            await until(lambda: len(a.encoders) in a.latched(), "the last part's verdict")
            lost, not_acked = losses(a, begun)
            assert b.link.state != "up"
            assert a.states()[-1] == "up"
            assert "down" not in a.states()[a.states().index("up") :], "the healthy line's link never fell"
            # A machine that does other things may cost either run a part; silence beside it may cost no more than that.
            assert lost <= usual[0] + 2
            assert not_acked <= usual[1] + 2
            wire.mute = False
            await b.up()
