"""A line's whole control logic against a simulated PLC, in one process: all of it real but the pixels.

The eye answers from the frame counter, which knows what the physical part is. The PLC's program keys what it latches by the
encoder value at the photo-eye, so the truth of every verdict is known without believing any PartId.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from gateway.control.clock import Clock
from gateway.control.line import Line
from gateway.control.writer import Writer
from gateway.core.events import LineState, PartJudged, Record
from gateway.core.frame import FrameStamp
from gateway.core.inspection import Inspection
from gateway.core.part import Part
from gateway.core.tracker import Tracker, TrackerConfig
from gateway.core.verdict import JudgeRule
from gateway.plc.link import Link
from tests.integration.plc_stand import Stand, until

OFFSET = 500
CONFIG = TrackerConfig(cameras=(("cam", OFFSET),), window=300, deadline_ns=400_000_000, frame_wait_ns=500_000_000)
RULE = JudgeRule(passes=frozenset({"good"}), thresholds={"good": 0.8}, labels=("dent", "good"))


class TruthfulEye:
    """Sees what the frame shows: every third physical part is defective."""

    model_id = "press/1"

    async def inspect(self, part: Part, stamps: Sequence[FrameStamp]) -> Inspection:
        await asyncio.sleep(0.002)
        good = 0.05 if defective(stamps[0].frame_counter) else 0.95
        scores = {"dent": 1 - good, "good": good}
        return Inspection(
            part_id=part.part_id, label=max(scores, key=scores.__getitem__), scores=scores, model_id=self.model_id
        )


def defective(n: int) -> bool:
    """Return whether the n-th physical part is."""
    return n % 3 == 0


@dataclass(slots=True)
class FaultLine:
    """The line, its PLC and its belt."""

    plc: Stand
    line: Line
    link: Link
    records: list[Record] = field(default_factory=list)
    encoders: list[int] = field(default_factory=list)
    """Of the physical parts 1, 2, … at the photo-eye."""
    period_s: float = 0.02

    def part(self) -> int:
        """Let a part pass the photo-eye and be photographed a little later; return its number."""
        self.encoders.append(self.plc.pass_part())
        n = len(self.encoders)
        asyncio.get_running_loop().call_later(0.008, self._photograph, n)
        return n

    def _photograph(self, n: int) -> None:
        now = time.monotonic_ns()
        self.line.on_frame(
            FrameStamp(
                camera="cam",
                frame_counter=n,
                t_exposed_ns=now,
                t_available_ns=now,
                encoder=self.encoders[n - 1] + OFFSET,
                slot=0,
                generation=2,
                height=8,
                width=8,
                channels=1,
            )
        )

    async def parts(self, count: int) -> None:
        """Let parts come by at an even pace, whatever the link does."""
        for _ in range(count):
            self.line.on_camera("cam", True)
            self.part()
            await asyncio.sleep(self.period_s)

    def latched(self) -> dict[int, str]:
        """Return the verdict that the PLC holds for each physical part."""
        numbers = {encoder: n for n, encoder in enumerate(self.encoders, 1)}
        events = self.plc.seen("latched")
        assert len({e.encoder for e in events}) == len(events), "a part with two verdicts"
        return {numbers[e.encoder]: e.verdict for e in events}

    def check(self) -> None:
        """Check what no fault excuses: no verdict that is not the part's own, one record a part, none that says another."""
        for n, verdict in self.latched().items():
            assert verdict in ("NOT_INSPECTED", "FAIL" if defective(n) else "PASS"), f"part {n}"
        judged = [r for r in self.records if isinstance(r, PartJudged)]
        twice = {k: n for k, n in Counter((r.epoch, r.part_id) for r in judged).items() if n > 1}
        assert not twice, "parts with two records"
        said = {(r.epoch, r.part_id): r for r in judged}
        for e in self.plc.seen("latched"):
            record = said[e.epoch, e.part_id]
            assert (record.disposition, record.token != "void") == (e.verdict, True), record

    def states(self) -> list[str]:
        """Return the link's states as recorded, without repetitions."""
        found = [r.link for r in self.records if isinstance(r, LineState)]
        return [s for i, s in enumerate(found) if i == 0 or s != found[i - 1]]

    def whys(self) -> list[str]:
        """Return why the link fell, each time."""
        return [r.detail for r in self.records if isinstance(r, LineState) and r.link == "down"]

    async def up(self) -> None:
        """Wait until the line gives verdicts (again)."""
        await until(lambda: self.link.state == "up", "link up", 10)
        async with asyncio.timeout(5):
            while not self._passes():  # noqa: ASYNC110 - each look sends a part
                await asyncio.sleep(self.period_s)

    def _passes(self) -> bool:
        """Send a part at each look; return whether one of the last few has its PASS."""
        self.line.on_camera("cam", True)
        self.part()
        return "PASS" in [self.latched().get(n) for n in range(len(self.encoders) - 4, len(self.encoders))]


@contextlib.asynccontextmanager
async def fault_line(plc: Stand, port: int, *, host: str = "127.0.0.1", seed: int = 1) -> AsyncIterator[FaultLine]:
    """Run the line on ``plc`` as reached over ``host:port``."""
    clock = Clock()
    records: list[Record] = []
    writer = Writer(plc.loaded.map, mono_ns=clock.mono_ns)
    line = Line(
        "press",
        cameras=["cam"],
        tracker=Tracker(CONFIG),
        eye=TruthfulEye(),  # type: ignore[arg-type]
        rule=RULE,
        writer=writer,
        record=records.append,
        journal_trouble=lambda: "",
        on_admitted=lambda count: None,
        clock=clock,
        traced="trace.part" in plc.loaded.map.roles,
    )
    driver = plc.driver(port=port, host=host)
    link = Link(driver, plc.loaded.map, plc.loaded.checksum, line, mono_ns=clock.mono_ns, seed=seed)  # type: ignore[arg-type]
    writer.link = link
    made = FaultLine(plc=plc, line=line, link=link, records=records)
    task = asyncio.create_task(line.run(link))
    try:
        yield made
        assert not task.done(), "the line crashed"
    finally:
        await asyncio.sleep(0.02)  # the last frames
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    made.check()
