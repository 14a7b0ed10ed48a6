"""What goes wrong in a storm: every kind of fault as a coroutine, struck at the parts that the seed draws.

A fault reaches in from outside (the cable, the power, the process, the camera) and ends by itself. Faults overlap as they come.
It knows what it breaks, never what a gateway ought to do about it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from simulators.storm.gateway import Gateway
from simulators.storm.network import Direction, Path
from simulators.storm.plant import Plant

WRONG_CHECKSUM = 0xBADC0DE


@dataclass(slots=True)
class Scene:
    """What the faults act on: the plant, and the gateways in the order of their start."""

    plant: Plant
    random: random.Random
    start: Callable[[], Gateway]
    gateways: list[Gateway] = field(default_factory=list)
    over: list[Gateway] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    healed_ms: list[float] = field(default_factory=list)
    """When a lost link could be had again: the PLC answers, and the program runs."""
    cutting: int = 0
    """Faults under way that keep the link down: a second one must not heal the first."""

    @property
    def path(self) -> Path:
        """Return the cable of the first gateway."""
        return self.gateways[0].path

    async def replace(self) -> None:
        """Kill the first gateway; unless another one is there, a supervisor starts a new one."""
        await self.kill(self.gateways[0])
        if not self.gateways:
            await asyncio.sleep(self.random.uniform(0.2, 1.0))
            if not self.gateways:
                self.start()

    async def kill(self, gateway: Gateway) -> None:
        """End a gateway as SIGKILL does."""
        if gateway in self.gateways:
            self.gateways.remove(gateway)
            self.over.append(gateway)
            await gateway.kill()


Fault = Callable[[Scene], Coroutine[Any, Any, None]]


async def reset(scene: Scene) -> None:
    """Break the connection: both ends learn of it."""
    scene.path.reset()
    scene.healed_ms.append(scene.plant.at_ms())


async def cut_in_the_middle(scene: Scene) -> None:
    """Break the connection at a random byte, of a request or of an answer."""
    direction: Direction = scene.random.choice(("up", "down"))
    scene.path.cut_after(direction, scene.random.randint(1, 400))


async def half_open(scene: Scene) -> None:
    """Let the PLC's end vanish without a word; for some time it may not answer anybody."""
    path = scene.path
    path.go_half_open()
    if scene.random.random() < 0.5:
        await _away(scene, path, "black", scene.random.uniform(0.02, 0.4))


async def port_closed(scene: Scene) -> None:
    """Refuse connections for a while."""
    path = scene.path
    path.reset()
    await _away(scene, path, "refuses", scene.random.uniform(0.02, 0.5))


async def _away(scene: Scene, path: Path, how: str, seconds: float) -> None:
    setattr(path, how, True)
    scene.cutting += 1
    await asyncio.sleep(seconds)
    scene.cutting -= 1
    if not scene.cutting:
        path.refuses = path.black = False
        scene.healed_ms.append(scene.plant.at_ms())


async def stall(scene: Scene) -> None:
    """Hold everything back for a moment; it comes late and all at once."""
    scene.path.stall(scene.random.uniform(0.02, 0.4))


async def slow_plc(scene: Scene) -> None:
    """Let every piece of data take up to 90 ms."""
    path = scene.path
    path.delay_s = (0.001, scene.random.uniform(0.01, 0.09))
    await asyncio.sleep(scene.random.uniform(0.1, 0.8))
    path.delay_s = (0.0001, 0.0004)


async def trickle(scene: Scene) -> None:
    """Let data come in small pieces."""
    path = scene.path
    path.trickles = True
    await asyncio.sleep(scene.random.uniform(0.1, 1.0))
    path.trickles = False


async def torn_exchange(scene: Scene) -> None:
    """Let the PLC's program see blocks torn at a word, and clients too."""
    scene.plant.memories.tears = scene.random.uniform(0.05, 0.6)
    await asyncio.sleep(scene.random.uniform(0.2, 2.0))
    scene.plant.memories.tears = 0.0


async def plc_restart(scene: Scene) -> None:
    """Restart the PLC while the belt coasts; PartIds begin anew, go on, or come again from a moment ago.

    Its gw->plc block is cleared or, being retentive, keeps the last claim and the last tokens.
    """
    plant, r = scene.plant, scene.random
    last = r.choice((0, plant.last_part_id(0), plant.last_part_id(r.randint(1, 12)), plant.last_part_id(r.randint(1, 12))))
    if r.random() < 0.5:
        for gateway in scene.gateways:
            gateway.path.reset()
    plant.restart(last_part_id=last, keeps_down=r.random() < 0.5)


async def plc_stop(scene: Scene) -> None:
    """Put the CPU in STOP for a while."""
    scene.plant.stop()
    await asyncio.sleep(scene.random.uniform(0.05, 0.6))
    scene.plant.go()


async def wrong_download(scene: Scene) -> None:
    """Download a program with another interface; a moment later the right one again."""
    plant = scene.plant
    plant.restart(last_part_id=plant.last_part_id(0), checksum=WRONG_CHECKSUM)
    await asyncio.sleep(scene.random.uniform(0.05, 0.4))
    plant.restart(last_part_id=plant.last_part_id(0), checksum=plant.loaded.checksum)


async def kill(scene: Scene) -> None:
    """Kill the gateway; another one starts, which knows nothing."""
    await scene.replace()


async def freeze(scene: Scene) -> None:
    """Stop the gateway for a while, and let it go on as if nothing had been."""
    gateway = scene.gateways[0]
    if not gateway.host.frozen:
        gateway.host.freeze()
        await asyncio.sleep(scene.random.uniform(0.03, 1.0))
        if gateway.host.frozen:
            gateway.host.wake()


async def second_gateway(scene: Scene) -> None:
    """Start another gateway beside the first; then one of them is killed, or the first freezes and wakes."""
    r = scene.random
    if len(scene.gateways) > 1:
        return
    first, second = scene.gateways[0], scene.start()
    await asyncio.sleep(r.uniform(0.05, 1.0))
    end = r.choice(("kill first", "kill second", "freeze first"))
    if end == "kill first":
        await scene.kill(first)
    elif end == "kill second":
        await scene.kill(second)
    elif not first.host.frozen and first in scene.gateways:
        first.host.freeze()
        await asyncio.sleep(r.uniform(0.2, 1.5))
        if first.host.frozen:
            first.host.wake()
        await asyncio.sleep(r.uniform(0.1, 0.6))
        await scene.kill(r.choice((first, second)))
    if not scene.gateways:
        scene.start()


async def belt_stop(scene: Scene) -> None:
    """Let the belt stand for a while."""
    scene.plant.stop_belt()
    await asyncio.sleep(scene.random.uniform(0.05, 2.0))
    scene.plant.move_belt()


async def bouncing_eye(scene: Scene) -> None:
    """Let the photo-eye fire twice for some of the next parts."""
    plant = scene.plant
    for n in range(plant.made, plant.made + scene.random.randint(2, 5)):
        plant.bounce[n] = scene.random.choice((0, 1, 5, 60))


async def blind_eye(scene: Scene) -> None:
    """Let the photo-eye miss some of the next parts."""
    made = scene.plant.made
    scene.plant.blind.update(n for n in range(made, made + 5) if scene.random.random() < 0.4)


async def bad_camera(scene: Scene) -> None:
    """Let frames be lost, come twice, or come late and out of order."""
    camera, r = scene.plant.camera, scene.random
    setattr(camera, r.choice(("loses", "doubles", "late")), r.uniform(0.1, 0.5))
    await asyncio.sleep(r.uniform(0.1, 0.6))
    camera.loses = camera.doubles = camera.late = 0.0


async def camera_down(scene: Scene) -> None:
    """Let the camera be away."""
    scene.plant.camera.down = True
    await asyncio.sleep(scene.random.uniform(0.05, 0.4))
    scene.plant.camera.down = False


async def bad_engine(scene: Scene) -> None:
    """Let answers of the engine come late, out of order or not at all."""
    engine, r = scene.gateways[0].engine, scene.random
    engine.slow, engine.fails = r.choice(((0.3, 0.0), (0.0, 0.3), (0.2, 0.2)))
    await asyncio.sleep(r.uniform(0.1, 0.8))
    engine.slow = engine.fails = 0.0


async def journal_full(scene: Scene) -> None:
    """Let the journal take nothing."""
    gateway = scene.gateways[0]
    gateway.journal = "the disk is full"
    await asyncio.sleep(scene.random.uniform(0.02, 0.3))
    gateway.journal = ""


async def clock_step(scene: Scene) -> None:
    """Set the wall clock by up to an hour; the monotonic clock knows nothing of it."""
    scene.gateways[0].offset_ns += int(scene.random.uniform(-3600, 3600) * 1e9)


KINDS: dict[str, Fault] = {
    f.__name__: f
    for f in (
        reset,
        cut_in_the_middle,
        half_open,
        port_closed,
        stall,
        slow_plc,
        trickle,
        torn_exchange,
        plc_restart,
        plc_stop,
        wrong_download,
        kill,
        freeze,
        second_gateway,
        belt_stop,
        bouncing_eye,
        blind_eye,
        bad_camera,
        camera_down,
        bad_engine,
        journal_full,
        clock_step,
    )
}
"""Every fault by name."""


class Weather:
    """Strikes with faults of ``kinds`` (empty = all), evenly drawn, on average every ``every_parts`` parts, until closed."""

    def __init__(self, scene: Scene, *, every_parts: float, kinds: tuple[str, ...] = ()) -> None:
        """Draw when the first fault comes."""
        self._kinds = kinds or tuple(KINDS)
        self._scene = scene
        self._every_parts = every_parts
        self._under_way: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None
        self._next = self._draw(0)

    def _draw(self, n: int) -> float:
        return n + 1 + self._scene.random.expovariate(1 / self._every_parts)

    def pass_edge(self, n: int) -> None:
        """Take note that physical part ``n`` passes the photo-eye."""
        if n >= self._next and self._scene.gateways:
            self._next = self._draw(n)
            name = self._scene.random.choice(self._kinds)
            self._scene.struck[name] += 1
            self._scene.plant.ledger.write("fault", self._scene.plant.at_ms(), n=n, fault=name)
            task = asyncio.get_running_loop().create_task(KINDS[name](self._scene))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._failed = bug

    async def close(self) -> None:
        """Let what is under way end; raise what went wrong with a fault itself."""
        while self._under_way:
            await asyncio.gather(*self._under_way)
        if self._failed is not None:
            raise self._failed
