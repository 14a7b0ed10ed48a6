"""A link that only watches, and a status section that is written at once: on the simulated PLC's program, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.core.errors import DeviceUnavailable
from gateway.core.tags import Scalar
from gateway.plc.exchange import Exchange
from gateway.plc.link import Link
from gateway.plc.maps import load_map
from gateway.plc.memory import MemoryDriver
from gateway.plc.read_only import ReadOnly
from simulators.storm.loop import now_ns
from tests.unit.plc.test_link import MAP, Ear, Plant, SlowDriver, plant_test, until


@contextlib.asynccontextmanager
async def watcher(plant: Plant) -> AsyncIterator[tuple[Link, Ear, SlowDriver]]:
    ear, driver = Ear(), SlowDriver("press")
    link = Link(ReadOnly(driver), plant.loaded.map, plant.loaded.checksum, ear, mono_ns=now_ns, seed=3, monitor_only=True)
    ear.link = link
    task = asyncio.create_task(link.run())
    try:
        yield link, ear, driver
        assert not task.done(), "a write would have ended it"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_watcher_reads_and_says_nothing_whoever_owns_the_line() -> None:
    async def body(plant: Plant) -> None:
        async with watcher(plant) as (link, ear, driver):
            await until(lambda: link.state == "up", "it reads")
            alone = link.epoch
            plant.part()
            await until(lambda: ear.head == 1, "it sees a part")
            await link.write_status_now()
            await asyncio.sleep(1)
            assert not any(plant.logic.down)
            async with plant.gateway() as (owner, owners):
                await until(lambda: owner.state == "up" and link.state == "up" and link.epoch != alone, "both are up")
                assert ear.lost == ["the PLC was restarted or another gateway owns the line"]
                assert link.epoch not in (0, owner.epoch), "what it admits now is another life's"
                plant.part()
                await until(lambda: 2 in owners.acked, "the owner's token")
                await until(lambda: ear.head == 2, "seen by both")
                await asyncio.sleep(1)
                assert (owner.state, plant.logic.part_id) == ("up", 2)
            assert driver.writes == []
            assert "read back" not in driver.calls
            assert ear.acked == set()

    plant_test(body)


def test_a_watcher_notices_that_the_plc_was_restarted() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (owner, _), watcher(plant) as (link, ear, _driver):
            await until(lambda: owner.state == "up" and link.state == "up" and len(ear.states) > 2, "both are up")
            before, lost = link.epoch, len(ear.lost)
            plant.logic.restart()
            await until(lambda: len(ear.lost) > lost and link.state == "up" and link.epoch not in (0, before), "another life")

    plant_test(body)


async def test_the_driver_of_a_watcher_cannot_write() -> None:
    calls: list[str] = []

    class Driver(MemoryDriver):
        async def connect(self) -> None:
            calls.append("connect")

        async def close(self) -> None:
            calls.append("close")

    driver = ReadOnly(Driver("nowhere"))
    await driver.connect()
    await driver.close()
    assert calls == ["connect", "close"]
    exchange = Exchange(load_map(MAP).map)
    with pytest.raises(RuntimeError, match="a gateway that only watches"):
        await driver.write(*exchange.section("claim", {"claim.nonce": 1}))
    with pytest.raises(DeviceUnavailable):
        await driver.read(exchange.up)


class Exact(Ear):
    """Shows a word that changes, and notes what was written when."""

    def __init__(self) -> None:
        super().__init__()
        self.word = 1
        self.composed = 0
        self.written: list[tuple[int, int]] = []

    def status(self) -> dict[str, Scalar]:
        self.composed = self.word
        return {"status1": self.word}

    def on_status_written(self) -> None:
        self.written.append((now_ns(), self.composed))


def test_a_change_of_the_status_is_written_at_once_and_its_acknowledgement_is_told() -> None:
    async def body(plant: Plant) -> None:
        ear, driver = Exact(), SlowDriver("press")
        link = Link(driver, plant.loaded.map, plant.loaded.checksum, ear, mono_ns=now_ns, seed=3)
        ear.link = link
        task = asyncio.create_task(link.run())
        try:
            await until(lambda: len(ear.written) > 2, "heartbeats")
            for word in (2, 3, 4):
                ear.word, begun = word, now_ns()
                link.status_changed()
                await until(lambda word=word: ear.written[-1][1] == word, "written")  # type: ignore[misc]
                assert ear.written[-1][0] - begun <= 5_000_000, "not when it is looked at again"
                assert plant.logic.down[:2] == word.to_bytes(2, "big"), "told after it arrived"
            count = len(ear.written)
            link.status_changed()
            await asyncio.sleep(0.05)
            assert len(ear.written) <= count + 1, "what has not changed is not written again"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    plant_test(body)
