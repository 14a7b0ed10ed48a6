"""The link reads the trace block of the simulated PLC for each new part, and never between a poll and a token that waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from gateway.control.trace import Trace
from gateway.core.events import PartJudged
from gateway.core.tags import Span
from gateway.plc.link import Link
from gateway.plc.listener import TraceImage, UpImage
from gateway.plc.maps import LoadedMap, load_map
from gateway.plc.memory import Memory
from simulators.plant import PlcInputs, Settings
from simulators.plant import Trace as Papers
from simulators.plc import PlcLogic
from simulators.storm.loop import now_ns, run_virtual
from tests.unit.plc.test_link import MAP, Ear, SlowDriver, until

TRACE = """
  - db: 102
    name: Papers
    dir: plc->gw
    tags:
      - { name: Serial, type: "String[16]", role: trace.serial }
      - { name: Lot, type: "String[8]", role: trace.lot }
      - { name: TracePart, type: UDInt, role: trace.part }
"""
OVENS = "".join(
    f"""
  - db: {110 + n}
    name: Oven{n}
    dir: plc->gw
    tags:
      - {{name: Heat{n}, type: Real, role: process}}
"""
    for n in range(20)
)
SCAN_S = 0.01


@dataclass
class Reader(Ear):
    """Passes every part, and asks for its texts."""

    records: list[PartJudged] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)
    trace: Trace = field(init=False)

    def __post_init__(self) -> None:
        self.trace = Trace(self.records.append, settle_ns=int(SCAN_S * 1e9))

    def on_up(self, up: UpImage) -> None:
        if self.head is not None and self.head != up.part_id:
            self.trace.admitted(self.head, up.part_id, up.t_mono_ns)
        super().on_up(up)

    def on_owner_lost(self, reason: str) -> None:
        super().on_owner_lost(reason)
        self.trace.abandon()

    def trace_wanted(self) -> bool:
        return self.trace.wanted(now_ns())

    def on_trace(self, image: TraceImage) -> None:
        self.reads.append(image.part_id)
        self.trace.take(image)

    def judge(self, *part_ids: int) -> dict[int, tuple[str, str]]:
        for part_id in part_ids:
            record = PartJudged(line="press", t_utc_ns=1, part_id=part_id, epoch=1, disposition="PASS")
            self.trace.judged(record, now_ns())
        self.trace.expire(now_ns() + 10**9)
        return {r.part_id: (r.serial, r.lot) for r in self.records}


@dataclass(slots=True)
class Plant:
    """The PLC's program with a reader at the photo-eye."""

    loaded: LoadedMap
    logic: PlcLogic
    driver: SlowDriver = field(default_factory=lambda: SlowDriver("press"))
    encoder: int = 1000
    waiting: list[tuple[int, Papers | None]] = field(default_factory=list)

    def part(self, serial: str | None) -> None:
        self.encoder += 1000
        self.waiting.append((self.encoder, None if serial is None else Papers(serial=serial, lot="L7")))

    async def scan(self) -> None:
        while True:
            latches, trace = (), None
            if self.waiting:
                encoder, trace = self.waiting.pop(0)
                latches = (encoder,)
            self.logic.scan(PlcInputs(now_ms=now_ns() / 1e6, encoder=self.encoder, latches=latches, trace=trace))
            await asyncio.sleep(SCAN_S)

    @contextlib.asynccontextmanager
    async def gateway(self, *, monitor_only: bool = False) -> AsyncIterator[Reader]:
        ear, loaded = Reader(), self.loaded
        link = Link(self.driver, loaded.map, loaded.checksum, ear, mono_ns=now_ns, seed=1, monitor_only=monitor_only)
        ear.link = link
        task = asyncio.create_task(link.run())
        try:
            await until(lambda: link.state == "up", "up")
            yield ear
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def plant_test(tmp_path: Path, body: Callable[[Plant], Coroutine[Any, Any, None]], more: str = "") -> None:
    path = tmp_path / "map.yaml"
    path.write_text(MAP.read_text().rstrip() + TRACE + more)

    async def main() -> None:
        loaded = load_map(path)
        leaping = Settings(scan_ms=0.05)  # the belt leaps from part to part: counts are never taken for lost
        logic = PlcLogic(loaded, camera_to_gate=20_000, gate_window=300, settings=leaping)
        Memory("press", logic.up, logic.down, dict(zip((b.name for b in loaded.map.extra), logic.extra, strict=True)))
        plant = Plant(loaded=loaded, logic=logic)
        scanning = asyncio.create_task(plant.scan())
        try:
            await body(plant)
        finally:
            scanning.cancel()
            await asyncio.gather(scanning, return_exceptions=True)
            del Memory.plcs["press"]

    run_virtual(main())


def test_each_part_gets_its_own_texts_with_two_reads(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as ear:
            for n in range(1, 21):
                plant.part(f"SN{n}" if n != 7 else "NOREAD")
                await asyncio.sleep(0.05)
            seen = ear.judge(*range(1, 21))
            assert seen == {n: (f"SN{n}" if n != 7 else "", "L7") for n in range(1, 21)}
            assert len(ear.reads) <= 60, "two or three reads a part"
            before = len(ear.reads)
            await asyncio.sleep(1)
            assert len(ear.reads) == before, "nothing is read while no part comes"

    plant_test(tmp_path, body)


def test_a_part_between_two_reads_stays_without_its_texts(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as ear:
            await asyncio.sleep(0.05)
            plant.driver.takes_s = 0.04
            for n in range(1, 5):
                plant.part(f"SN{n}")
            await asyncio.sleep(0.5)
            seen = ear.judge(1, 2, 3, 4)
            assert seen[4] == ("SN4", "L7")
            assert [seen[n] for n in (1, 2, 3)].count(("", "")) >= 2
            assert all(serial in ("", f"SN{n}") for n, (serial, _) in seen.items())

    plant_test(tmp_path, body)


def test_a_reader_that_says_nothing_costs_requests_but_no_poll(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as ear:
            plant.part(None)
            await asyncio.sleep(0.3)
            polls = [c for c in plant.driver.calls if not c.startswith("write")]
            reads = len(ear.reads)
            assert 10 < reads <= 31, "once a scan until the part's record is made"
            assert len(polls) - reads > 60
            assert ear.judge(1) == {1: ("", "")}
            await asyncio.sleep(0.3)
            assert len(ear.reads) <= reads + 1

    plant_test(tmp_path, body)


def test_tokens_go_before_texts(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        spans: list[str] = []
        read, write = plant.driver.read, plant.driver.write

        async def noted_read(span: Any) -> bytes:
            spans.append(span.block.name)
            return await read(span)

        async def noted_write(span: Any, data: bytes) -> None:
            spans.append("tokens" if span.length == 64 else "status")
            await write(span, data)

        plant.driver.read, plant.driver.write = noted_read, noted_write  # type: ignore[method-assign]
        async with plant.gateway():
            spans.clear()
            for _ in range(10):
                plant.part("SN")
                await asyncio.sleep(0.06)
            assert spans.count("tokens") == 10
            assert spans.count("Papers") >= 20
            assert not [p for p in pairwise(spans) if p == ("Papers", "tokens")], "a token waited for a text"

    plant_test(tmp_path, body)


def test_a_watcher_reads_the_texts_too(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway(monitor_only=True) as ear:
            for n in range(1, 6):
                plant.part(f"SN{n}")
                await asyncio.sleep(0.05)
            assert ear.judge(*range(1, 6)) == {n: (f"SN{n}", "L7") for n in range(1, 6)}
            assert plant.driver.writes == []

    plant_test(tmp_path, body)


def test_texts_that_the_plc_kept_over_its_restart_are_not_those_of_the_new_part(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        blocks = Memory.plcs["press"].extra
        async with plant.gateway() as ear:
            plant.part("OLD")
            await asyncio.sleep(0.1)
            assert ear.judge(1) == {1: ("OLD", "L7")}
            written, blocks["Papers"] = blocks["Papers"], blocks["Papers"][:]  # retentive, and its writer does not work
            plant.logic.restart()
            ear.records.clear()
            await until(lambda: ear.lost, "the restart is seen")
            await until(lambda: ear.link is not None and ear.link.state == "up", "up again")
            await asyncio.sleep(0.05)
            plant.part(None)
            await asyncio.sleep(0.1)
            assert ear.head == 1, "the same PartId"
            assert ear.judge(1) == {1: ("", "")}
            ear.records.clear()
            blocks["Papers"] = written
            plant.part("NEW")
            await asyncio.sleep(0.1)
            assert ear.judge(2) == {2: ("NEW", "L7")}

    plant_test(tmp_path, body)


def test_texts_and_further_blocks_share_one_turn_between_two_polls(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        reads: list[str] = []
        plain = plant.driver.read

        async def noted(span: Span) -> bytes:
            reads.append("poll" if span.block.name == "DB_VisionUp" else "papers" if span.block.name == "Papers" else "oven")
            return await plain(span)

        async with plant.gateway() as ear:
            plant.driver.read = noted  # type: ignore[method-assign]
            plant.driver.takes_s = 0.001
            for n in range(1, 21):
                plant.part(f"SN{n}")
                await asyncio.sleep(0.06)
            assert ear.judge(*range(1, 21)) == {n: (f"SN{n}", "L7") for n in range(1, 21)}
        assert min(reads.count("papers"), reads.count("oven")) >= 40
        assert all("poll" in pair for pair in pairwise(reads)), "two further requests between two polls"

    plant_test(tmp_path, body, OVENS)
