"""The link against the simulated PLC's program in memory and in virtual time: ownership, heartbeat, restarts, requests."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import DeviceError, DeviceRefused, DeviceUnavailable, PartIdJump
from gateway.core.handshake import AdjustResult, VerdictRing, epoch_fold, make_token
from gateway.core.part import part_id_distance
from gateway.core.tags import Scalar, Span
from gateway.core.verdict import Disposition
from gateway.plc.link import Link, _next_seq
from gateway.plc.listener import UpImage
from gateway.plc.maps import LoadedMap, load_map
from gateway.plc.memory import Memory, MemoryDriver
from simulators.plant import PlcEvent, PlcInputs, Settings
from simulators.plc import PlcLogic
from simulators.storm.loop import now_ns, run_virtual

MAP = Path(__file__).resolve().parents[3] / "plc_maps" / "demo_s7.yaml"


@dataclass
class Ear:
    """A listener that passes every part, and notes what it is told."""

    ring: VerdictRing = field(default_factory=VerdictRing)
    states: list[tuple[str, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    baselines: list[int] = field(default_factory=list)
    acked: set[int] = field(default_factory=set)
    head: int | None = None
    link: Link | None = None
    passing: bool = True
    lives: bool = True

    def on_state(self, state: str, detail: str) -> None:
        self.states.append((state, detail))

    def on_owner_lost(self, reason: str) -> None:
        assert self.link is not None
        assert self.link.epoch == 0, "the epoch is void before anybody hears of it"
        self.lost.append(reason)
        self.ring.clear()
        self.head = None

    def follow(self, up: UpImage) -> None:
        if self.head is not None and self.head != up.part_id and part_id_distance(self.head, up.part_id) > 1024:
            raise PartIdJump(self.head, up.part_id)

    def on_baseline(self, up: UpImage) -> None:
        self.follow(up)
        self.baselines.append(up.part_id)
        self.head = up.part_id

    def on_up(self, up: UpImage) -> None:
        assert self.link is not None
        assert up.t_asked_mono_ns <= up.t_mono_ns
        self.follow(up)
        while self.head is not None and self.head != up.part_id:
            self.head += 1
            if self.passing:
                self.ring.put(self.head, Disposition.PASS, self.link.epoch)
                self.link.tokens_changed()

    def tokens(self) -> Sequence[tuple[int, int, int]]:
        return self.ring.words()

    def on_tokens_acked(self, part_ids: frozenset[int], t_mono_ns: int) -> None:
        self.acked |= part_ids

    def on_status_written(self) -> None:
        pass

    def alive(self) -> bool:
        return self.lives

    def status(self) -> Mapping[str, Scalar]:
        return {"status1": 1}


class SlowDriver(MemoryDriver):
    """A memory with a hold on it: while ``held``, requests wait; then they go on as if nothing had been."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.free = asyncio.Event()
        self.free.set()
        self.failed = asyncio.Event()
        self.writes: list[tuple[int, bytes]] = []
        self.delivered = asyncio.Event()
        self.delivered.set()
        self.loses_ack_of = -1
        """Offset of the write that arrives without anybody hearing of it."""
        self.calls: list[str] = []
        self.takes_s = 0.0

    async def read(self, span: Span) -> bytes:
        await self.free.wait()
        try:
            data = await super().read(span)
        except DeviceError:
            self.failed.set()
            raise
        await self.delivered.wait()
        await asyncio.sleep(self.takes_s)
        self.calls.append("read" if span.block.direction == "plc->gw" else "read back")
        return data

    async def write(self, span: Span, data: bytes) -> None:
        await self.free.wait()
        await asyncio.sleep(self.takes_s)
        await super().write(span, data)
        self.writes.append((span.offset, data))
        self.calls.append(f"write {span.offset}")
        if span.offset == self.loses_ack_of:
            self._memory = None
            raise DeviceUnavailable("press", "write", "the acknowledgement was lost")


@dataclass(slots=True)
class Plant:
    """The PLC's program, scanned every 10 ms of virtual time, and any number of gateways on it."""

    loaded: LoadedMap
    logic: PlcLogic
    memory: Memory
    encoder: int = 1000
    latches: list[int] = field(default_factory=list)
    events: list[PlcEvent] = field(default_factory=list)
    scanning: bool = True
    drivers: list[SlowDriver] = field(default_factory=list)

    async def scan(self) -> None:
        while True:
            if self.scanning:
                latches, self.latches = tuple(self.latches), []
                inputs = PlcInputs(now_ms=now_ns() / 1e6, encoder=self.encoder, latches=latches)
                self.events.extend(self.logic.scan(inputs).events)
            await asyncio.sleep(0.01)

    def part(self) -> None:
        self.encoder += 1000
        self.latches.append(self.encoder)

    def seen(self, kind: str) -> list[PlcEvent]:
        return [e for e in self.events if e.kind == kind]

    @contextlib.asynccontextmanager
    async def gateway(self, seed: int = 1, poll_ms: float = 4) -> AsyncIterator[tuple[Link, Ear]]:
        ear, driver = Ear(), SlowDriver("press")
        self.drivers.append(driver)
        link = Link(driver, self.loaded.map, self.loaded.checksum, ear, mono_ns=now_ns, poll_ms=poll_ms, seed=seed)
        ear.link = link
        task = asyncio.create_task(link.run())
        try:
            yield link, ear
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def plant_test(body: Callable[[Plant], Coroutine[Any, Any, None]]) -> None:
    """Run ``body`` with a plant in virtual time."""

    async def main() -> None:
        loaded = load_map(MAP)
        leaping = Settings(scan_ms=0.05)  # the belt leaps from part to part: counts are never taken for lost
        logic = PlcLogic(loaded, camera_to_gate=20_000, gate_window=300, settings=leaping)
        plant = Plant(loaded=loaded, logic=logic, memory=Memory("press", logic.up, logic.down))
        scanning = asyncio.create_task(plant.scan())
        try:
            await body(plant)
        finally:
            scanning.cancel()
            await asyncio.gather(scanning, return_exceptions=True)
            del Memory.plcs["press"]

    run_virtual(main())


async def until(condition: Callable[[], object], why: str, most_s: float = 10.0) -> None:
    for _ in range(int(most_s / 0.002)):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"not within {most_s} s of virtual time: {why}")


def test_the_heartbeat_moves_every_100_ms_while_the_plc_is_read() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, _):
            await until(lambda: link.state == "up", "up")
            plant.drivers[0].writes.clear()
            await asyncio.sleep(2)
            beats = [data[4:6] for offset, data in plant.drivers[0].writes if offset == 0]
            assert len(set(beats)) == len(beats)
            assert 16 <= len(beats) <= 20
            assert not [e for e in plant.seen("owner") if e.detail == "lost"]

    plant_test(body)


def test_the_heartbeat_is_withheld_when_the_cyclic_read_is_stale() -> None:
    """The PLC's watchdog must then reject; a heart that beats for its own sake would be a lie."""

    async def body(plant: Plant) -> None:
        async with plant.gateway(poll_ms=2000) as (link, _):
            await until(lambda: link.state == "up", "up")
            await asyncio.sleep(1.0)
            assert [e.detail for e in plant.seen("owner")][-2:] == ["resumed", "lost"]

    plant_test(body)


def test_the_heartbeat_is_not_counted_up_while_what_is_behind_the_link_does_not_work() -> None:
    """The status is written all the same, for it says why."""

    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            await asyncio.sleep(0.5)
            ear.lives = False
            await asyncio.sleep(0.15)
            plant.drivers[0].writes.clear()
            await asyncio.sleep(1.0)
            beats = [data[4:6] for offset, data in plant.drivers[0].writes if offset == 0]
            assert len(beats) > 5
            assert len(set(beats)) == 1
            assert [e.detail for e in plant.seen("owner")][-1] == "lost"
            ear.lives = True
            await until(lambda: [e.detail for e in plant.seen("owner")][-1] == "resumed", "resumed")

    plant_test(body)


def test_a_plc_that_answers_slowly_but_in_time_gets_heartbeats_and_tokens() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, _):
            await until(lambda: link.state == "up", "up")
            plant.drivers[0].takes_s = 0.08
            await asyncio.sleep(0.5)
            for _ in range(5):
                plant.part()
                await asyncio.sleep(1.0)
            assert len(plant.seen("latched")) == 5
            assert "lost" not in {e.detail for e in plant.seen("owner")}
            assert link.state == "up"

    plant_test(body)


def test_a_woken_process_reads_before_it_speaks() -> None:
    """The answer that waited for it is as old as its question: it may name an owner of long ago."""

    async def body(plant: Plant) -> None:
        async with plant.gateway(seed=1) as (stale, ear):
            await until(lambda: stale.state == "up", "up")
            await asyncio.sleep(0.2)
            driver = plant.drivers[0]
            driver.delivered.clear()
            await asyncio.sleep(0.02)
            ear.ring.put(1, Disposition.PASS, stale.epoch)
            stale.tokens_changed()
            await asyncio.sleep(1.0)
            driver.calls.clear()
            driver.delivered.set()
            await asyncio.sleep(0.05)
            assert driver.calls[:2] == ["read", "read"]
            assert {"write 0", "write 64"} <= set(driver.calls)

    plant_test(body)


def test_a_woken_process_that_was_replaced_writes_nothing_but_its_claim() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway(seed=1) as (stale, _):
            await until(lambda: stale.state == "up", "the first is up")
            driver = plant.drivers[0]
            driver.delivered.clear()
            stale.tokens_changed()
            async with plant.gateway(seed=2) as (fresh, _):
                await until(lambda: fresh.state == "up", "the second took over")
                driver.writes.clear()
                driver.delivered.set()
                await until(lambda: stale.state == "readonly", "the first is read-only")
                await asyncio.sleep(0.5)
                assert {offset for offset, _ in driver.writes} == {144}
                assert fresh.state == "up"

    plant_test(body)


def test_the_ring_is_composed_when_the_wire_is_free() -> None:
    """What has become too late while it waited for the wire is not written."""

    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            await asyncio.sleep(0.2)
            driver = plant.drivers[0]
            driver.free.clear()
            await asyncio.sleep(0.01)
            ear.ring.put(1, Disposition.PASS, link.epoch)
            link.tokens_changed()
            await asyncio.sleep(0.05)
            ear.ring.drop(1)
            driver.free.set()
            await asyncio.sleep(0.1)
            rings = [data for offset, data in driver.writes if offset == 64]
            assert rings
            assert not any(any(ring) for ring in rings)

    plant_test(body)


def test_a_hung_request_stops_the_heartbeat_and_the_same_epoch_resumes() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            epoch = link.epoch
            plant.drivers[0].free.clear()
            await asyncio.sleep(1.0)
            assert [e.detail for e in plant.seen("owner")] == ["granted", "lost"]
            plant.drivers[0].free.set()
            await until(lambda: [e.detail for e in plant.seen("owner")][-1] == "resumed", "resumed")
            assert link.epoch == epoch
            assert not ear.lost

    plant_test(body)


def test_a_part_id_that_jumps_voids_the_epoch_although_the_plc_still_names_this_owner() -> None:
    """A PLC that keeps OwnerEpochEcho over a restart, against the rules: its new parts must not meet old tokens."""

    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            plant.part()
            await until(lambda: plant.seen("latched"), "a token")
            epoch = link.epoch
            plant.logic._part_id = 5000
            plant.part()
            await until(lambda: ear.lost, "the owner lost")
            assert "PartId jumped from 1 to 5001" in ear.lost[0]
            await until(lambda: link.state == "up" and link.epoch not in (0, epoch), "a new epoch")
            assert epoch_fold(link.epoch) != epoch_fold(epoch)
            assert [e.part_id for e in plant.seen("latched")] == [1]
            assert ear.baselines[-1] == 5001

    plant_test(body)


def test_a_part_id_that_jumped_while_the_link_was_down_voids_the_epoch_too() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            epoch = link.epoch
            plant.memory.reachable = False
            await until(lambda: link.state == "down", "down")
            plant.logic._part_id = 5000
            plant.part()
            plant.memory.reachable = True
            await until(lambda: link.state == "up" and link.epoch not in (0, epoch), "a new epoch")
            assert "PartId jumped" in ear.lost[0]

    plant_test(body)


def test_no_two_owners_one_after_the_other_fold_alike() -> None:
    """A token's Check holds only the ⊕ of the epoch's words: tokens of two epochs that fold alike are the same token."""

    async def body(plant: Plant) -> None:
        async with plant.gateway(seed=1) as (link, _):
            await until(lambda: link.state == "up", "up")
            mine = link.epoch
            drawn = iter([0xFFFF_0000 ^ mine ^ 0x1234, mine, mine ^ 0x0001_0001, 0x0005_0005, 0x7777_0000])
            link._random.randrange = lambda a, b: next(drawn)  # type: ignore[method-assign]
            assert link._draw_nonce(mine) == 0xFFFF_0000 ^ mine ^ 0x1234
            assert link._draw_nonce(mine) == 0x7777_0000, "neither the same, nor folded alike, nor folded to nothing"

    plant_test(body)


def test_a_plc_that_was_restarted_is_claimed_with_a_nonce_that_folds_unlike_the_last() -> None:
    """Tokens of before the restart may still stand in a ring that the PLC was to clear."""

    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            before = link.epoch
            drawn = iter([before ^ 0x0001_0001, 0x7777_0000])
            link._random.randrange = lambda a, b: next(drawn)  # type: ignore[method-assign]
            plant.logic.restart()
            await until(lambda: link.epoch == 0x7777_0000, "the new epoch")
            assert len(ear.lost) == 1

    plant_test(body)


def test_a_plc_in_stop_is_not_taken_up_before_its_heart_beats() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            plant.scanning = False
            await asyncio.sleep(5)
            assert [s for s, _ in ear.states] == ["up", "down"]
            assert "STOP" in ear.states[-1][1]
            plant.scanning = True
            await until(lambda: link.state == "up", "up again")

    plant_test(body)


def test_a_gateway_woken_from_a_long_stop_becomes_read_only_and_its_last_token_counts_for_nothing() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway(seed=1) as (stale, ear):
            await until(lambda: stale.state == "up", "the first is up")
            plant.part()
            ear.passing = False
            await until(lambda: plant.seen("assigned"), "a part")
            await asyncio.sleep(0.02)
            ear.ring.put(1, Disposition.PASS, stale.epoch)
            stale.tokens_changed()
            plant.drivers[0].free.clear()
            async with plant.gateway(seed=2) as (fresh, _):
                await until(lambda: fresh.state == "up", "the second took over")
                plant.drivers[0].free.set()
                await until(lambda: stale.state == "readonly", "the first is read-only")
                await asyncio.sleep(0.5)
                assert ear.lost
                assert stale.epoch == 0
                assert plant.seen("latched") == []
                assert fresh.state == "up"

    plant_test(body)


def test_a_standby_does_not_take_over_a_plc_whose_program_was_changed_while_it_waited() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway(seed=1) as (first, _):
            await until(lambda: first.state == "up", "the first is up")
            async with plant.gateway(seed=2) as (standby, _):
                await until(lambda: standby.state == "readonly", "the second waits")
                plant.logic.restart(checksum=0xBADC0DE)
                await until(lambda: standby.state == "refused", "the second refuses")
                assert standby.epoch == 0

    plant_test(body)


def test_tokens_of_before_a_cut_are_written_again_after_it() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            plant.part()
            await asyncio.sleep(0.009)
            plant.memory.reachable = False
            await until(lambda: link.state == "down", "down")
            ear.ring.put(1, Disposition.FAIL, link.epoch)
            plant.memory.reachable = True
            await until(lambda: plant.seen("latched"), "the token")
            assert plant.seen("latched")[0].verdict == "FAIL"

    plant_test(body)


def test_a_token_whose_acknowledgement_was_lost_is_read_back_before_anything_is_written() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            await asyncio.sleep(0.05)
            driver = plant.drivers[0]
            assert "read back" not in driver.calls, "a new owner has nothing to read back"
            driver.loses_ack_of = 64
            driver.calls.clear()
            ear.ring.put(3, Disposition.PASS, link.epoch)
            link.tokens_changed()
            await until(lambda: link.state == "down", "the connection is lost")
            driver.loses_ack_of = -1
            driver.calls.clear()
            assert ear.acked == set()
            told = []
            ear.on_tokens_acked = lambda parts, t: told.append((parts, list(driver.calls)))  # type: ignore[method-assign]
            await until(lambda: link.state == "up", "up again")
            await asyncio.sleep(0.05)
            parts, before = told[0]
            assert before == ["read", "read back"]
            assert parts == {3}
            assert "write 64" in driver.calls[driver.calls.index("read back") :]
            assert driver.calls.count("read back") == 1

    plant_test(body)


@pytest.mark.parametrize("what", ["nothing", "a token of another epoch", "a torn token"])
def test_what_is_no_valid_token_there_is_not_taken_for_one(what: str) -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            await asyncio.sleep(0.05)
            plant.memory.reachable = False
            await until(lambda: link.state == "down", "down")
            if what != "nothing":
                token = make_token(3, Disposition.PASS, link.epoch if what == "a torn token" else link.epoch ^ 0xFFFF)
                words = struct.pack(">IHH", token.part_id, token.verdict, token.check ^ (what == "a torn token"))
                plant.logic.down[64 + 3 * 8 : 64 + 4 * 8] = words
            told = []
            ear.on_tokens_acked = lambda parts, t: told.append(parts)  # type: ignore[method-assign]
            plant.memory.reachable = True
            await until(lambda: link.state == "up", "up again")
            assert told[0] == set()

    plant_test(body)


def test_nothing_is_written_to_a_plc_that_was_not_verified() -> None:
    async def body(plant: Plant) -> None:
        plant.logic._up.role("interface.checksum").set(1)
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "refused", "refused")
            await asyncio.sleep(5)
            assert plant.drivers[0].writes == []
            assert "InterfaceChecksum in the PLC is 16#00000001" in ear.states[-1][1]

    plant_test(body)


# -- adjustments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "echoed", "next_one"),
    [
        (0, 0, 1),
        (0, 7, 8),
        (8, 7, 9),
        (8, 8, 9),
        (8, 9, 10),
        (0xFFFF, 5, 1),
        (0xFFFF, 1, 2),
        (0xFFFE, 0xFFFF, 1),
        (0, 0xFFFF, 1),
    ],
)
def test_an_adjust_seq_is_neither_0_nor_one_that_the_plc_knows(sent: int, echoed: int, next_one: int) -> None:
    assert _next_seq(sent, echoed) == next_one


def test_a_request_that_was_never_echoed_does_not_lend_its_number_to_the_next() -> None:
    """Else the PLC, which acts on a change of AdjustSeq alone, would answer the first for the second."""

    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, _):
            await until(lambda: link.state == "up", "up")
            plant.logic._adjust.scan = lambda **_: ""  # type: ignore[method-assign]
            with pytest.raises(DeviceUnavailable, match="did not echo"):
                await link.adjust(0, 104.0, 100.0)
            del plant.logic._adjust.scan  # type: ignore[misc]
            assert await link.adjust(0, 102.0, 104.0) == (AdjustResult.STALE_EXPECTED_OLD, 100.0)
            seqs = [data[:2] for offset, data in plant.drivers[0].writes if offset == 128]
            assert len(set(seqs)) == 2

    plant_test(body)


def test_one_request_at_a_time_and_none_without_a_link() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, _):
            with pytest.raises(DeviceUnavailable):
                await link.adjust(0, 104.0, 100.0)
            with pytest.raises(DeviceUnavailable):
                await link.next_image()
            await until(lambda: link.state == "up", "up")
            first = asyncio.create_task(link.adjust(0, 104.0, 100.0))
            await asyncio.sleep(0)
            with pytest.raises(DeviceUnavailable, match="another request"):
                await link.adjust(0, 96.0, 100.0)
            assert await first == (AdjustResult.ACCEPTED, 104.0)

    plant_test(body)


def test_a_link_lost_during_a_request_leaves_its_outcome_unknown() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, _):
            await until(lambda: link.state == "up", "up")
            plant.scanning = False
            asking = asyncio.create_task(link.adjust(0, 104.0, 100.0))
            waiting = asyncio.create_task(link.next_image())
            await waiting
            await asyncio.sleep(0.02)
            plant.memory.reachable = False
            with pytest.raises(DeviceUnavailable, match="the link was lost"):
                await asking

    plant_test(body)


def test_a_request_does_not_outlive_the_link() -> None:
    """A process that stops waits for the commands under way: none may wait for a read that will never come."""

    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, _):
            await until(lambda: link.state == "up", "up")
            plant.scanning = False
            asking = asyncio.create_task(link.adjust(0, 104.0, 100.0))
            await asyncio.sleep(0.01)
        with pytest.raises(DeviceUnavailable, match="the link was lost"):
            await asking
        with pytest.raises(DeviceUnavailable, match="not up"):
            await link.next_image()

    plant_test(body)


def test_a_request_that_waited_for_the_wire_is_not_sent_on_a_new_connection() -> None:
    """What is connected by then was neither verified nor claimed."""

    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, _):
            await until(lambda: link.state == "up", "up")
            plant.drivers[0].free.clear()
            await asyncio.sleep(0.01)
            asking = asyncio.create_task(link.adjust(0, 104.0, 100.0))
            await asyncio.sleep(0.01)
            plant.memory.reachable = False
            plant.drivers[0].free.set()
            with pytest.raises(DeviceError):
                await asking
            plant.memory.reachable = True
            await until(lambda: link.state == "down", "down")
            await until(lambda: link.state == "up", "up again")
            assert not [w for w in plant.drivers[0].writes if w[0] == 128]

    plant_test(body)


def test_a_link_that_is_cancelled_while_its_connection_breaks_ends() -> None:
    """The TaskGroup of the cycle then raises what broke, and not the cancellation; tried in every turn of the loop."""

    async def body(plant: Plant) -> None:
        for turns in range(25):
            plant.memory.reachable = True
            async with plant.gateway() as (link, _):
                await until(lambda link=link: link.state == "up", "up")
                running = next(t for t in asyncio.all_tasks() if "Link.run" in str(t.get_coro()))
                plant.memory.reachable = False
                await plant.drivers[-1].failed.wait()
                for _ in range(turns):
                    await asyncio.sleep(0)
                running.cancel()
                await asyncio.wait({running}, timeout=1)
                assert running.cancelled(), f"the wish to end was lost {turns} turns after the connection"

    plant_test(body)


def test_a_bug_in_the_listener_is_no_restart_of_the_plc() -> None:
    async def body(plant: Plant) -> None:
        ear, driver = Ear(), SlowDriver("press")
        link = Link(driver, plant.loaded.map, plant.loaded.checksum, ear, mono_ns=now_ns, seed=1)
        ear.link = link

        def bug(up: UpImage) -> None:
            raise KeyError("a bug")

        ear.on_up = bug  # type: ignore[method-assign]
        with pytest.raises(ExceptionGroup) as caught:
            await link.run()
        assert caught.group_contains(KeyError)
        assert not ear.lost

    plant_test(body)


def test_a_plc_whose_gateway_block_is_retentive_is_claimed_anew() -> None:
    """It finds the last claim at its first scan and must not grant it: the last tokens lie beside it."""

    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            before = link.epoch
            plant.logic.restart(keeps_down=True)
            await until(lambda: link.state == "up" and link.epoch not in (0, before), "the new epoch")
            assert len(ear.lost) == 1

    plant_test(body)


def test_a_claim_that_a_restarted_plc_found_and_will_never_grant_is_drawn_anew() -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway(seed=1) as (first, _):
            await until(lambda: first.state == "up", "the first is up")
            async with plant.gateway(seed=2) as (standby, _):
                await until(lambda: standby.state == "readonly", "the second waits, its claim in the register")
                plant.drivers[0].free.clear()
                plant.logic.restart(keeps_down=True)
                await until(lambda: standby.state == "up", "the second is up")

    plant_test(body)


def test_a_link_that_is_refused_whenever_it_is_up_tries_less_and_less_often() -> None:
    async def body(plant: Plant) -> None:
        refused_at: list[float] = []
        async with plant.gateway() as (link, ear):
            for _ in range(8):
                await until(lambda: link.state == "up", "up", most_s=9)
                ear.tokens = refuse  # type: ignore[method-assign]
                link.tokens_changed()
                await until(lambda: link.state == "refused", "refused")
                del ear.tokens  # type: ignore[method-assign]
                refused_at.append(now_ns() / 1e9)
        gaps = [b - a for a, b in pairwise(refused_at)]
        assert gaps[0] < 1.1
        assert 4 <= min(gaps[4:]) <= max(gaps[4:]) <= 8.5

    def refuse() -> list[tuple[int, int, int]]:
        raise DeviceRefused("press", "write", "the block is write-protected")

    plant_test(body)


@pytest.mark.parametrize(("each_takes_s", "shortest_s", "longest_s"), [(0.0, 0.125, 0.25), (0.3, 0.3, 0.32)])
def test_the_pause_counts_from_the_beginning_of_an_attempt(each_takes_s: float, shortest_s: float, longest_s: float) -> None:
    """A port that answers nobody has kept the attempt waiting already: no pause as after one that refused at once."""
    begun: list[float] = []

    class Absent(SlowDriver):
        async def connect(self) -> None:
            begun.append(now_ns() / 1e9)
            await asyncio.sleep(each_takes_s)
            raise DeviceUnavailable("press", "connect", "no answer")

    async def body(plant: Plant) -> None:
        ear = Ear()
        link = Link(Absent("press"), plant.loaded.map, plant.loaded.checksum, ear, mono_ns=now_ns, seed=1)
        running = asyncio.create_task(link.run())
        await asyncio.sleep(10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        gaps = [b - a for a, b in pairwise(begun)]
        assert gaps[0] < gaps[-1] or each_takes_s, "it begins with short ones"
        assert shortest_s <= min(gaps[5:]) <= max(gaps[5:]) <= longest_s

    plant_test(body)
