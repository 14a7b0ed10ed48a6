"""A line between fakes: a PLC that is a few numbers, a camera that is a stamp, an eye that answers when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from gateway.control.ack import AckResults
from gateway.control.clock import Clock
from gateway.control.line import Line
from gateway.control.pictures import PictureWatch
from gateway.control.recipes import Recipes
from gateway.control.writer import Writer
from gateway.core.errors import GatewayError
from gateway.core.events import PartJudged, Record
from gateway.core.frame import FrameStamp
from gateway.core.handshake import AdjustResult, Control, Token, read_token
from gateway.core.inspection import Inspection, faulted
from gateway.core.part import Part
from gateway.core.tags import Block, S7Address, Tag, TagMap
from gateway.core.tracker import Tracker, TrackerConfig
from gateway.core.verdict import Disposition, JudgeRule
from gateway.plc.listener import UpImage

MS = 1_000_000
FORCE = Tag(
    name="PressForce", datatype="Real", offset=168, size=4, role="param", unit="kN", range=(80, 120), step=4, rate_per_min=6
)
MAP = TagMap(
    name="press",
    order="ABCD",
    up=Block(name="U", base=S7Address(db=100, byte=0), direction="plc->gw", tags=(FORCE,), size=172),
    down=Block(name="D", base=S7Address(db=101, byte=0), direction="gw->plc", tags=(), size=2),
)
RULE = JudgeRule(passes=frozenset({"good"}), thresholds={"good": 0.8}, labels=("dent", "good"))
ONE_CAMERA = TrackerConfig(cameras=(("cam", 500),), window=100, deadline_ns=150 * MS, frame_wait_ns=500 * MS)

R = TypeVar("R", bound=Record)


class FakeLink:
    """Owns an epoch and takes adjustments; ``run`` waits to be cancelled."""

    def __init__(self) -> None:
        self.state = "up"
        self.epoch = 0xA0B0C0D
        self.changed = 0
        self.status_changes = 0
        self.statuses = 0
        self.adjusted: list[float] = []
        self.up: UpImage | None = None

    def status_changed(self) -> None:
        self.status_changes += 1

    def tokens_changed(self) -> None:
        self.changed += 1

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def write_status_now(self) -> None:
        self.statuses += 1

    async def adjust(self, index: int, value: float, expected_old: float) -> tuple[AdjustResult, float]:
        self.adjusted.append(value)
        return AdjustResult.ACCEPTED, value

    async def next_image(self) -> UpImage:
        assert self.up is not None
        return replace(self.up, values={"PressForce": self.adjusted[-1]})


class FakeEye:
    """Answers by part when told; until then the inspection is under way."""

    model_id = "press/1"

    def __init__(self) -> None:
        self.asked: list[Part] = []
        self.stamps: list[Sequence[FrameStamp]] = []
        self.answers: dict[int, asyncio.Future[Inspection]] = {}

    def serve(self, engine: object, model_id: str, passes: frozenset[str]) -> None:
        self.model_id = model_id

    async def inspect(self, part: Part, stamps: Sequence[FrameStamp]) -> Inspection:
        self.asked.append(part)
        self.stamps.append(stamps)
        # By admission, for ids come again.
        future: asyncio.Future[Inspection] = asyncio.get_running_loop().create_future()
        self.answers[len(self.asked) - 1] = future
        return await future


@dataclass(slots=True)
class Stand:
    """The line, its world, and what came out of it."""

    config: TrackerConfig = ONE_CAMERA
    cameras: tuple[str, ...] = ("cam",)
    now_ns: int = 1_000 * MS
    wall_ns: int = 1_700_000_000_000 * MS
    """UTC − monotonic: what a person or a time service sets."""
    journal: str = ""
    journal_alive: bool = True
    config_rejected: str = ""
    monitor_only: bool = False
    ack: bool = False
    traced: bool = False
    recipes: Callable[[Callable[[], int]], Recipes] | None = None
    """Makes the line's recipes of its clock; without it the line has none."""
    offline: bool = False
    """Offline by a command of before the start."""
    remembered: list[bool] = field(default_factory=list)
    """What a restart would find of it."""
    disk: str = ""
    """Why it cannot be remembered."""
    command: tuple[int, int] = (0, 0)
    """Command and CommandArg."""
    reopened: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    triggers: list[int] = field(default_factory=list)
    link: FakeLink = field(default_factory=FakeLink)
    eye: FakeEye = field(default_factory=FakeEye)
    head: int = 10
    encoder: int = 1000
    counter: int = 0
    control: int = int(Control.TRIGGER_ENABLE | Control.ADJUST_PERMIT | Control.STOP_REQUEST_PERMIT)
    ring: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * 8)
    outcomes: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * 8)
    values: dict[str, float] = field(default_factory=lambda: {"PressForce": 100.0})
    writer: Writer = field(init=False)
    pictures: PictureWatch = field(init=False)
    line: Line = field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer(MAP, mono_ns=lambda: self.now_ns, monitor_only=self.monitor_only)
        self.writer.link = self.link  # type: ignore[assignment]
        self.pictures = PictureWatch(lambda camera, why: self.reopened.append(camera), mono_ns=lambda: self.now_ns)
        self.line = Line(
            "press",
            cameras=self.cameras,
            tracker=Tracker(self.config),
            eye=self.eye,  # type: ignore[arg-type]
            rule=RULE,
            writer=self.writer,
            record=self.records.append,
            journal_trouble=lambda: self.journal,
            on_admitted=self.triggers.append,
            clock=Clock(mono_ns=lambda: self.now_ns, utc_ns=lambda: self.wall_ns + self.now_ns),
            journal_alive=lambda: self.journal_alive,
            pictures=self.pictures,
            config_rejected=self.config_rejected,
            results=self._ack_results() if self.ack else None,
            traced=self.traced,
            recipes=self.recipes(lambda: self.now_ns) if self.recipes is not None else None,
            offline=self.offline,
            remember_offline=self._remember,
        )

    def _remember(self, offline: bool) -> None:
        if self.disk:
            raise GatewayError(self.disk)
        self.remembered.append(offline)

    def _ack_results(self) -> AckResults:
        return AckResults(
            self.writer.status,
            scan_ns=10 * MS,
            positions=self.config.positions,
            mono_ns=lambda: self.now_ns,
            changed=self.writer.status_changed,
        )

    # -- the world ------------------------------------------------------------------------------------------------------

    def image(self) -> UpImage:
        up = UpImage(
            t_asked_mono_ns=self.now_ns,
            t_mono_ns=self.now_ns,
            control=self.control,
            heartbeat=1,
            part_id=self.head,
            triggers=tuple(self.ring),
            outcomes=tuple(self.outcomes),
            owner=self.link.epoch,
            adjust_seq=0,
            adjust_result=0,
            adjust_value=0.0,
            values=dict(self.values),
            command=self.command[0],
            command_arg=self.command[1],
        )
        self.link.up = up
        return up

    def connect(self) -> None:
        """Hand over the baseline, as the link does after it has settled the ownership."""
        self.line.on_baseline(self.image())
        self.line.on_state("up", "")
        self.tick()

    def part(self, gap: int = 1000, *, read: bool = True) -> int:
        """Let a part pass the photo-eye and the PLC's block be read, twice; return its id."""
        self.head += 1
        self.encoder += gap
        self.ring[self.head % 8] = (self.head, self.encoder)
        if read:
            self.read()
            self.read()
        return self.head

    def read(self) -> None:
        self.line.on_up(self.image())

    def frame(self, camera: str = "cam", encoder: int | None = None, counter: int | None = None) -> None:
        at = self.encoder + 500 if encoder is None else encoder
        self.counter = self.counter + 1 if counter is None else counter
        self.line.on_frame(
            FrameStamp(
                camera=camera,
                frame_counter=self.counter,
                t_exposed_ns=self.now_ns,
                t_available_ns=self.now_ns,
                encoder=at,
                slot=3,
                generation=8,
                height=8,
                width=8,
                channels=1,
            )
        )

    async def answer(self, good: float = 0.9, *, index: int = -1, fault: str = "") -> None:
        """Let the eye answer for its ``index``-th question."""
        await asyncio.sleep(0)
        at = range(len(self.eye.asked))[index]
        part = self.eye.asked[at]
        label = "good" if good >= 0.5 else "dent"
        seen = Inspection(part_id=part.part_id, label=label, scores={"dent": 1 - good, "good": good}, model_id="press/1")
        self.eye.answers[at].set_result(faulted(part.part_id, fault) if fault else seen)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def inspected_part(self, good: float = 0.9) -> int:
        """Let one part pass, be seen and be judged; return its id."""
        part_id = self.part()
        self.frame()
        await self.answer(good)
        return part_id

    async def settle(self) -> None:
        """Let the tasks that have been started run."""
        for _ in range(3):
            await asyncio.sleep(0)

    async def leave(self) -> None:
        """Give up what the eye still looks at."""
        for future in self.eye.answers.values():
            future.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def tick(self, ms: float = 0) -> None:
        """Let time pass, as the line's own loop notes it."""
        self.now_ns += int(ms * MS)
        self.line.tick()

    # -- the PLC's side ---------------------------------------------------------------------------------------------------

    def write(self, *, acked: bool = True) -> dict[int, Disposition]:
        """Write the ring as the link does; return what the PLC would latch under the present epoch."""
        words = self.line.tokens()
        if acked:
            self.line.on_tokens_acked(frozenset(p for p, _, _ in words if p), self.now_ns)
        latched = {}
        for part_id, verdict, check in words:
            said = read_token(Token(part_id=part_id, verdict=verdict, check=check), part_id, self.link.epoch)
            if said is not None:
                latched[part_id] = said
        return latched

    # -- what came out ----------------------------------------------------------------------------------------------------

    def of(self, kind: type[R]) -> list[R]:
        return [r for r in self.records if isinstance(r, kind)]

    def judged(self) -> dict[int, tuple[str, str]]:
        """Return disposition and token fate by part; a part with two records fails the test."""
        found = self.of(PartJudged)
        assert len({r.part_id for r in found}) == len(found), "a part with two records"
        return {r.part_id: (r.disposition, str(r.token)) for r in found}
