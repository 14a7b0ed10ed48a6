"""Eight parts in one picture and two cameras, over both protocols: every position its own part, or the whole picture nobody's.

All of it real but the pixels: link, line, PLC program, wire. The eye answers from the frame counter and the position, which
say which physical part is looked at, so that a verdict from another part's picture would show.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from gateway.control.clock import Clock
from gateway.control.line import Line
from gateway.control.writer import Writer
from gateway.core.events import PartJudged, Record
from gateway.core.frame import FrameStamp
from gateway.core.inspection import Inspection
from gateway.core.part import Part
from gateway.core.tracker import Tracker, TrackerConfig
from gateway.core.verdict import JudgeRule
from gateway.plc.link import Link
from tests.integration.plc_stand import PROTOCOLS, Stand, plc_stand, until

POSITIONS = 8
CAMERAS = (("top", 500), ("side", 1700))
"""The second camera sees a picture's parts when those of the next one have passed the photo-eye."""
SPACING = 1000
CONFIG = TrackerConfig(cameras=CAMERAS, positions=POSITIONS, window=300, deadline_ns=2_000_000_000, frame_wait_ns=500_000_000)
RULE = JudgeRule(passes=frozenset({"good"}), thresholds={"good": 0.8}, labels=("dent", "good"))


def defective(picture: int, position: int) -> bool:
    """Return whether the part at this place is; no two pictures look alike."""
    return (picture * 5 + position * 3) % 7 < 2


class Eye:
    """Sees the physical part that the frames show at the part's position."""

    model_id = "press/1"

    async def inspect(self, part: Part, stamps: Sequence[FrameStamp]) -> Inspection:
        await asyncio.sleep(0.001)
        pictures = {s.frame_counter for s in stamps}
        assert [s.camera for s in stamps] == [c for c, _ in CAMERAS]
        assert len(pictures) == 1, "two views of different parts"
        good = 0.05 if defective(pictures.pop(), part.views[0].position) else 0.95
        scores = {"dent": 1 - good, "good": good}
        return Inspection(part_id=part.part_id, label=max(scores, key=scores.__getitem__), scores=scores, model_id="press/1")


@dataclass(slots=True)
class EightUp:
    """The line and its PLC; a picture's eight parts pass eight photo-eyes at one place of the belt."""

    plc: Stand
    line: Line
    link: Link
    records: list[Record] = field(default_factory=list)
    ids: dict[int, list[int]] = field(default_factory=dict)
    """The PartIds of each picture, in the order of its positions."""

    async def pass_by(self, picture: int, *, parts: int = POSITIONS, chunk: int = POSITIONS) -> int:
        """Let a picture's parts pass, ``chunk`` of them in each scan; return the encoder at their place."""
        for camera, _ in CAMERAS:
            self.line.on_camera(camera, True)
        before = len(self.plc.seen("assigned"))
        self.plc.encoder += SPACING
        at = self.plc.encoder
        for done in range(0, parts, chunk):
            self.plc.latches.extend([at] * min(chunk, parts - done))
            await until(lambda: not self.plc.latches, "the PLC has scanned")
            await asyncio.sleep(0.012)  # a read falls in between
        new = self.plc.seen("assigned")[before:]
        assert {e.encoder for e in new} == {at}
        self.ids[picture] = [e.part_id for e in new]
        return at

    def photograph(self, picture: int, at: int, camera: str) -> None:
        """Let one camera's frame of a picture come; its number is the frame counter, for the eye alone."""
        now = time.monotonic_ns()
        self.line.on_frame(
            FrameStamp(
                camera=camera,
                frame_counter=picture,
                t_exposed_ns=now,
                t_available_ns=now,
                encoder=(at + dict(CAMERAS)[camera]) % (1 << 32),
                slot=0,
                generation=2,
                height=8,
                width=8,
                channels=1,
            )
        )

    async def verdicts(self, picture: int) -> list[str]:
        """Return what the PLC latched for each part of a picture, by position."""
        ids = self.ids[picture]
        await until(lambda: set(ids) <= {e.part_id for e in self.plc.seen("latched")}, "every part has its token", 10)
        found = {e.part_id: e.verdict for e in self.plc.seen("latched")}
        return [found[i] for i in ids]


@contextlib.asynccontextmanager
async def eight_up(protocol: str) -> AsyncIterator[EightUp]:
    async with plc_stand(protocol) as plc:
        clock, records = Clock(), list[Record]()
        writer = Writer(plc.loaded.map, mono_ns=clock.mono_ns)
        line = Line(
            "press",
            cameras=[c for c, _ in CAMERAS],
            tracker=Tracker(CONFIG),
            eye=Eye(),  # type: ignore[arg-type]
            rule=RULE,
            writer=writer,
            record=records.append,
            journal_trouble=lambda: "",
            on_admitted=lambda count: None,
            clock=clock,
        )
        link = Link(plc.driver(), plc.loaded.map, plc.loaded.checksum, line, mono_ns=clock.mono_ns, seed=1)  # type: ignore[arg-type]
        writer.link = link
        task = asyncio.create_task(line.run(link))
        try:
            await until(lambda: link.state == "up", "link up", 10)
            yield EightUp(plc=plc, line=line, link=link, records=records)
            assert not task.done(), "the line crashed"
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def truth(picture: int) -> list[str]:
    return ["FAIL" if defective(picture, p) else "PASS" for p in range(POSITIONS)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_each_position_gets_its_own_verdict_whatever_order_views_and_triggers_come_in(protocol: str) -> None:
    async with eight_up(protocol) as line:
        orders = [("top", "side"), ("side", "top"), ("top", "side"), ("side", "top")]
        for picture, (order, chunk) in enumerate(zip(orders, (8, 3, 1, 5), strict=True), 1):
            at = await line.pass_by(picture, chunk=chunk)
            for camera in order:
                line.photograph(picture, at, camera)
            assert await line.verdicts(picture) == truth(picture)
        # A frame that is faster than the PLC's triggers waits for all of them.
        line.photograph(9, line.plc.encoder + SPACING, "side")
        at = await line.pass_by(9, chunk=2)
        line.photograph(9, at, "top")
        assert await line.verdicts(9) == truth(9)
        judged = [r for r in line.records if isinstance(r, PartJudged)]
        assert sorted(r.part_id for r in judged) == sorted(i for ids in line.ids.values() for i in ids), "one record a part"
        assert {r.frame_counter for r in judged} == set(line.ids)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_missing_view_or_position_makes_the_whole_picture_not_inspected_and_no_other(protocol: str) -> None:
    async with eight_up(protocol) as line:
        nothing = ["NOT_INSPECTED"] * POSITIONS
        first = await line.pass_by(1)
        line.photograph(1, first, "top")
        assert await line.verdicts(1) == nothing, "the second camera's frame never came"
        second = await line.pass_by(2, parts=POSITIONS - 1)
        for camera, _ in CAMERAS:
            line.photograph(2, second, camera)
        assert await line.verdicts(2) == nothing[1:], "one photo-eye saw no part: which seven are they?"
        third = await line.pass_by(3)
        for camera in ("top", "side", "side"):
            line.photograph(3, third, camera)
        third_verdicts = await line.verdicts(3)
        assert all(v in (t, "NOT_INSPECTED") for v, t in zip(third_verdicts, truth(3), strict=True))
        fourth = await line.pass_by(4)
        for camera, _ in CAMERAS:
            line.photograph(4, fourth, camera)
        assert await line.verdicts(4) == truth(4)
