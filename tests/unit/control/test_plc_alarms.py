"""Alarms and the way back of a parameter, against the simulated PLC's own program, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.core.commands import AdjustParameter, Answer
from gateway.core.handshake import Status2
from gateway.plc.maps import load_map
from simulators.demo_files import shipped
from simulators.plc_adjust import ACCEPTED, AdjustService
from simulators.storm.gateway import Gateway
from simulators.storm.loop import VirtualLoop, run_virtual
from simulators.storm.network import Network, Path
from simulators.storm.plant import Plant, Shape

MOVE = AdjustParameter(id="c1", line="storm", tag="PressForce", value=102.0, expected_old=100.0)


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Plant, Gateway]]:
    """A plant and a gateway that has been up for a second."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.network = Network()
    shape = Shape(parts_per_s=25, scan_ms=10, poll_ms=4, gate_spacings=8, defective=0.1)
    plant = Plant(load_map(shipped("plc_maps", "demo_s7.yaml")), shape, parts=10_000, streams=random.Random)
    await plant.serve()
    task = asyncio.create_task(plant.run())
    gateway = Gateway(plant, Path(random.Random(2)), "gateway", random.Random(3))
    try:
        await asyncio.sleep(1)
        assert gateway.link.state == "up"
        yield plant, gateway
        assert not task.done()
        assert not gateway.task.done()
    finally:
        await gateway.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def changes(gateway: Gateway) -> list[tuple[str, bool]]:
    return [(r["code"], r["active"]) for r in gateway.committed if r["kind"] == "alarm" and r["code"] != "CAMERA"]


def shown(plant: Plant) -> bool:
    """Return whether the PLC sees an active alarm."""
    return bool(plant.logic._down.role("status2").integer() & Status2.ALARM_ACTIVE)


async def adjusted(gateway: Gateway) -> Answer:
    answer = await gateway.line.adjust(MOVE)
    await asyncio.sleep(0.1)
    [record] = [r for r in gateway.committed if r["kind"] == "parameter"]
    assert (record["result"], record["old"], record["new"]) == (answer.result, answer.old, answer.new)
    return answer


def test_a_set_point_that_something_else_in_the_plc_overwrites_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The PLC accepts, and its own program brings the set-point to another value at once."""
    grant = AdjustService._answer

    def overwritten(self: AdjustService, index: int, *, permit: bool) -> int:
        result = grant(self, index, permit=permit)
        if result == ACCEPTED and self._values[index] == 102.0:
            self._values[index] = 101.0
        return result

    monkeypatch.setattr(AdjustService, "_answer", overwritten)

    async def story() -> None:
        async with running() as (plant, gateway):
            answer = await adjusted(gateway)
            assert answer.result == "refused: accepted, but the PLC holds 101; went back to 100"
            assert answer.new == pytest.approx(100)
            assert plant.logic._adjust.values()["PressForce"] == pytest.approx(100)
            assert changes(gateway)[-1] == ("NOT_APPLIED", True)
            await asyncio.sleep(0.2)
            assert shown(plant)

    run_virtual(story())


def test_a_block_that_no_longer_shows_what_the_plc_holds_is_seen_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """The new value is applied, but the block shows the old one for ever: the refusal of the way back tells."""

    async def story() -> None:
        async with running() as (plant, gateway):
            monkeypatch.setattr(AdjustService, "_mirror", lambda self: None)
            answer = await adjusted(gateway)
            assert answer.result == "refused: accepted, but the PLC holds 100; went back to 100"
            assert plant.logic._adjust.values()["PressForce"] == pytest.approx(100)

    run_virtual(story())


def test_what_is_applied_raises_no_alarm() -> None:
    async def story() -> None:
        async with running() as (plant, gateway):
            before = changes(gateway)
            assert (await adjusted(gateway)).result == "confirmed"
            assert plant.logic._adjust.values()["PressForce"] == pytest.approx(102)
            assert changes(gateway) == before

    run_virtual(story())


def test_a_plc_in_stop_is_an_alarm_while_it_lasts() -> None:
    async def story() -> None:
        async with running() as (plant, gateway):
            assert changes(gateway) == [("PLC_LINK", True), ("PLC_LINK", False)], "at the start there was none yet"
            assert not shown(plant)
            gateway.committed.clear()
            plant.stop()
            await asyncio.sleep(1)
            assert changes(gateway) == [("PLC_LINK", True)]
            plant.go()
            await asyncio.sleep(1)
            assert changes(gateway)[1:] == [("OWNER_LOST", True), ("PLC_LINK", False)], "it took the ownership away meanwhile"

    run_virtual(story())


def test_a_restarted_plc_is_an_alarm_and_the_plc_sees_it() -> None:
    async def story() -> None:
        async with running() as (plant, gateway):
            gateway.committed.clear()
            plant.restart()
            await asyncio.sleep(1)
            assert ("OWNER_LOST", True) in changes(gateway)
            assert ("OWNER_LOST", False) not in changes(gateway)
            assert changes(gateway)[-1] == ("PLC_LINK", False)
            assert shown(plant)

    run_virtual(story())
