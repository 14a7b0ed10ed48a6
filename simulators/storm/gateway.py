"""One gateway of a storm: the real line, tracker, writer and link with a real driver, on a host that can freeze or be killed.

Stand-ins are the engine, which judges the picture that it is given without a mistake but slowly or not at all, and the journal,
which commits a moment later, so that a kill loses what was not yet committed. It must not see the plant's truth but through
the engine: the picture of a frame.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.control.clock import Clock
from gateway.control.config import Bind, LineConfig, Rate, tracker_config
from gateway.control.line import Line
from gateway.control.writer import Writer
from gateway.core.events import Record, to_json
from gateway.core.frame import FrameStamp
from gateway.core.inspection import Inspection, faulted
from gateway.core.part import Part
from gateway.core.tracker import Tracker
from gateway.core.verdict import JudgeRule
from gateway.plc.link import Link
from gateway.vision.cameras.simulated import SimulatedConfig
from simulators.storm.loop import Host, now_ns
from simulators.storm.network import Path
from simulators.storm.plant import CAMERA, Plant, Seat

RULE = JudgeRule(passes=frozenset({"good"}), thresholds={"good": 0.8}, labels=("dent", "good"))
_SURE = {"good": {"dent": 0.05, "good": 0.95}, "dent": {"dent": 0.95, "good": 0.05}}


@dataclass(slots=True)
class Engine:
    """How the engine fares at present."""

    model_id = "storm/1"
    slow: float = 0.0
    """Probability that an answer comes after the deadline."""
    fails: float = 0.0


def line_config(plant: Plant) -> LineConfig:
    """Return the configuration that an integrator would write for this line."""
    belt, shape = plant.shape.belt, plant.shape
    return LineConfig(
        name="storm",
        plc=plant.loaded.map.file or "storm.yaml",
        cameras=[SimulatedConfig(kind="simulated", name=CAMERA, port=1, offset=belt.camera_offset)],
        model="storm",
        bind=Bind(by="encoder", window=belt.bind_window),
        poll_ms=shape.poll_ms,
        rate=Rate(parts_per_s=shape.parts_per_s * belt.spacing / belt.least_spacing, plc_scan_ms=shape.scan_ms),
    )


class Gateway:
    """One control process, from its start to its end."""

    def __init__(self, plant: Plant, path: Path, name: str, rng: random.Random, *, offset_ns: int = 0) -> None:
        """Start it; ``offset_ns`` is what its wall clock shows when the virtual time is 0."""
        self.host = Host(name)
        self.path = path
        self.engine = Engine()
        self.offset_ns = offset_ns
        self.journal = ""
        """Why its journal takes nothing at present."""
        self.committed: list[dict[str, Any]] = []
        self._plant = plant
        self._random = rng
        self._pending: list[str] = []
        self._committing = False
        self._dead = False
        loop: Any = asyncio.get_running_loop()
        loop.network.paths[self.host] = path
        config = line_config(plant)
        clock = Clock(mono_ns=now_ns, utc_ns=lambda: now_ns() + self.offset_ns)
        writer = Writer(plant.loaded.map, mono_ns=now_ns)
        self.line = Line(
            config.name,
            cameras=[CAMERA],
            tracker=Tracker(tracker_config(config)),
            eye=self,  # type: ignore[arg-type]
            rule=RULE,
            writer=writer,
            record=self._record,
            journal_trouble=lambda: self.journal,
            on_admitted=lambda count: None,
            clock=clock,
            outcome_settle_ns=int(plant.shape.scan_ms * 1e6),
        )
        self.link = Link(
            plant.loaded.plc.build(plant.loaded.map),
            plant.loaded.map,
            plant.loaded.checksum,
            self.line,
            mono_ns=now_ns,
            poll_ms=config.poll_ms,
            seed=rng.randrange(1 << 31),
        )
        writer.link = self.link
        self.seat = Seat(self.host, self._on_frame, self._on_camera)
        plant.seats.append(self.seat)
        self.task = self.host.start(self.line.run(self.link))

    @property
    def model_id(self) -> str:
        """Name the model."""
        return self.engine.model_id

    async def inspect(self, part: Part, stamps: Sequence[FrameStamp]) -> Inspection:
        """Judge the picture of the frame, whatever part it was said to show."""
        rng, engine = self._random, self.engine
        slow = engine.slow and rng.random() < engine.slow
        await asyncio.sleep(rng.uniform(0.16, 0.4) if slow else rng.uniform(0.002, 0.02))
        if engine.fails and rng.random() < engine.fails:
            return faulted(part.part_id, "the engine failed")
        label = self._plant.truth[self._plant.shows[stamps[0].frame_counter]].label
        return Inspection(part_id=part.part_id, label=label, scores=_SURE[label], model_id=self.model_id, infer_ms=5.0)

    async def kill(self) -> None:
        """End it as SIGKILL does: nothing more leaves it, and what its journal had not committed is gone."""
        self._dead = True
        self._plant.seats.remove(self.seat)
        self.path.reset()
        if self.host.frozen:
            self.host.wake()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self._pending.clear()

    async def close(self) -> None:
        """End it in order."""
        if self.host.frozen:
            self.host.wake()
        await self.host.start(self.line.stop(self.link))
        self._plant.seats.remove(self.seat)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self._commit()

    def check(self) -> None:
        """Raise what its line died of, if it did: that is a bug, not a fault."""
        if self.task.done() and not self.task.cancelled() and (bug := self.task.exception()) is not None:
            raise bug

    # -- the rest of the process ----------------------------------------------------------------------------------------------

    def _on_frame(self, stamp: FrameStamp) -> None:
        if not self._dead:
            self.line.on_frame(stamp)

    def _on_camera(self, camera: str, up: bool) -> None:
        if not self._dead:
            self.line.on_camera(camera, up)

    def _record(self, record: Record) -> None:
        if self._dead:
            return
        self._pending.append(to_json(record))
        if not self._committing:
            self._committing = True
            self.host.call_later(self._random.uniform(0.002, 0.02), self._commit)

    def _commit(self) -> None:
        self._committing = False
        if not self._dead:
            for text in self._pending:
                self._plant.ledger.trace.update(text.encode())
                self.committed.append(json.loads(text))
            self._pending.clear()
