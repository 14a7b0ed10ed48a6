"""One episode of a storm: a line, its parts and its faults from one seed, and what the oracle finds.

The verdict on the gateway comes from :func:`simulators.score.score_line`: the world's ledger against the reject station. Since
the engine's stand-in makes no mistakes, every defective part that passed was let through by a fault.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.plc.maps import LoadedMap, load_map
from simulators.demo_files import shipped
from simulators.score import score_line
from simulators.storm.faults import Scene, Weather
from simulators.storm.gateway import Gateway
from simulators.storm.loop import VirtualLoop, run_virtual
from simulators.storm.network import Network, Path
from simulators.storm.plant import Plant, Shape

Protocol = Literal["s7", "modbus"]
PROTOCOLS: tuple[Protocol, ...] = ("s7", "modbus")
EPISODE_PARTS = 1000
START_S = 20.0
"""Within that time a healthy line must be ready for its first part."""
SETTLE_S = 0.5

NEVER = ("escapes", "mis_tracked", "double_disposition", "passed_without_token", "contradicted", "wrong_outcomes")
"""What must never happen, as :class:`Result` counts it."""

_maps: dict[str, LoadedMap] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one episode gave; plain numbers, so that it can be added up and sent between processes."""

    protocol: str
    seed: int
    parts: int
    defective: int
    good: int
    escapes: int
    mis_tracked: int
    double_disposition: int
    passed_without_token: int
    contradicted: int
    wrong_outcomes: int
    good_lost: int
    parts_per_s: float
    """Of this line; good parts lost, divided by it, is the production that was lost, in s."""
    faults: dict[str, int]
    recovery_ms: list[float]
    """From a link that can be had again to the next token that the PLC latched."""
    trace_hash: str
    without_disposition: int = 0

    @property
    def failed(self) -> bool:
        """Return whether something happened that must never happen."""
        return any(getattr(self, name) for name in NEVER)


@dataclass(slots=True)
class _Episode:
    protocol: Protocol
    seed: int
    parts: int
    every_parts: float
    kinds: tuple[str, ...]
    scene: Scene = field(init=False)

    def stream(self, name: str) -> random.Random:
        return random.Random(f"{self.protocol}/{self.seed}/{name}")

    async def run(self) -> Result:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)  # noqa: S101 - run_episode makes it
        loop.network = Network()
        shape = Shape.draw(self.stream("shape"))
        plant = Plant(_map(self.protocol), shape, parts=self.parts, streams=self.stream)
        await plant.serve()
        gateways = self.stream("gateways")

        def start() -> Gateway:
            rng = random.Random(gateways.random())
            gateway = Gateway(plant, Path(random.Random(gateways.random())), f"gateway {len(self.scene.over)}", rng)
            self.scene.gateways.append(gateway)
            return gateway

        self.scene = scene = Scene(plant=plant, random=self.stream("faults"), start=start)
        weather = Weather(scene, every_parts=self.every_parts, kinds=self.kinds)
        plant.on_edge = weather.pass_edge
        moving = loop.create_task(plant.run())
        start()
        try:
            async with asyncio.timeout(START_S):
                await self._until(plant.fed, moving)
            await self._until(plant.idle, moving)
            await weather.close()
            await asyncio.sleep(SETTLE_S)
            for gateway in list(scene.gateways):
                await gateway.close()
                scene.over.append(gateway)
        finally:
            moving.cancel()
            for gateway in scene.gateways:
                gateway.task.cancel()
            await asyncio.gather(moving, *(g.task for g in scene.gateways), return_exceptions=True)
        return self._result(plant)

    async def _until(self, event: asyncio.Event, moving: asyncio.Task[None]) -> None:
        """Wait for the event; raise what the plant or a gateway died of."""
        waiting = asyncio.ensure_future(event.wait())
        try:
            while not waiting.done():
                await asyncio.wait({waiting, moving}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                if moving.done():
                    moving.result()
                for gateway in self.scene.gateways:
                    gateway.check()
        finally:
            waiting.cancel()

    def _result(self, plant: Plant) -> Result:
        records = [r for gateway in self.scene.over for r in gateway.committed]
        events = plant.ledger.events
        score = score_line(self.protocol, events, records)
        return Result(
            protocol=self.protocol,
            seed=self.seed,
            parts=score["parts"],
            defective=score["defective"],
            good=score["parts"] - score["defective"],
            escapes=score["escapes"],
            mis_tracked=score["mis_tracked"],
            double_disposition=score["double_disposition"],
            passed_without_token=score["passed_without_token"],
            contradicted=score["contradicted"],
            wrong_outcomes=score["wrong_outcomes"],
            good_lost=score["good_lost"],
            parts_per_s=plant.shape.parts_per_s,
            faults=dict(sorted(self.scene.struck.items())),
            recovery_ms=_recoveries(self.scene.healed_ms, events),
            trace_hash=plant.ledger.trace.hexdigest(),
            without_disposition=score["without_disposition"],
        )


def _map(protocol: Protocol) -> LoadedMap:
    if protocol not in _maps:
        _maps[protocol] = load_map(shipped("plc_maps", f"demo_{protocol}.yaml"))
    return _maps[protocol]


def _recoveries(healed_ms: list[float], events: list[dict[str, Any]]) -> list[float]:
    """Return the time to the next latched token after each moment."""
    latched = [e["t_ms"] for e in events if e["kind"] == "latched"]
    found = []
    for healed in healed_ms:
        after = next((t for t in latched if t > healed), None)
        if after is not None:
            found.append(round(after - healed, 3))
    return found


def run_episode(
    protocol: Protocol, seed: int, parts: int = EPISODE_PARTS, *, every_parts: float = 400, kinds: tuple[str, ...] = ()
) -> Result:
    """Run one episode of ``parts`` parts with a fault every ``every_parts`` parts on average; whatever is a bug is raised.

    ``kinds`` are the faults to draw from; empty = all of the storm.
    """
    return run_virtual(_Episode(protocol, seed, parts, every_parts, kinds).run())
