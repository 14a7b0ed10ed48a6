"""Services is killed between any two of its steps, once and again, with control or alone: an intent is one request at most."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.core.commands import AdjustParameter, Answer
from gateway.core.events import ParameterWritten
from gateway.record.ops import OpsDatabase
from tests.unit.services.test_act import FakeControl, Rig, S

ENDED = {"confirmed", "blocked", "refused", "unknown", "expired"}


class KilledError(BaseException):
    """The process is dead: nothing of it runs any more."""


class Death:
    """Kills at the n-th point, and at every point after it until the next start."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.dead = False

    def point(self) -> None:
        if self.left is not None:
            self.left -= 1
            self.dead = self.dead or self.left < 0
        if self.dead:
            raise KilledError

    def arm(self, n: int | None) -> None:
        self.left, self.dead = n, False


class PlcAndControl(FakeControl):
    """A PLC that counts what it is asked, behind a control that may die with services before or after the PLC has it."""

    def __init__(self, death: Death, control: str) -> None:
        super().__init__()
        self.death = death
        self.control = control
        self.value = 100.0
        self.requests: Counter[str] = Counter()
        self.answers: dict[str, Answer] = {}
        self.journal: list[ParameterWritten] = []
        self.now: Callable[[], int] = lambda: 0

    async def ask(self, command: AdjustParameter, timeout_s: float, on_write: Callable[[], None]) -> Answer | None:
        self.death.point()
        on_write()
        if self.control == "dies before the PLC has it":
            self.death.point()
        answer = self.carry_out(command)
        if self.control == "dies after the PLC has it":
            self.death.point()
        self.journal.append(
            ParameterWritten(
                line="L",
                t_utc_ns=self.now(),
                command_id=command.id,
                tag=command.tag,
                requested=command.value,
                old=answer.old,
                new=answer.new,
                result=answer.result,
            )
        )
        self.death.point()
        await asyncio.sleep(0)
        self.death.point()
        return answer

    def carry_out(self, command: AdjustParameter) -> Answer:
        """As control's writer does, with the PLC's guard left out: a second request would be carried out."""
        if command.id not in self.answers:
            self.requests[command.id] += 1
            self.answers[command.id] = Answer(id=command.id, result="confirmed", old=self.value, new=command.value)
            self.value = command.value
        return self.answers[command.id]

    def restart(self) -> None:
        """Control remembers ids in memory alone."""
        if self.control != "lives":
            self.answers.clear()


class KillableOps(OpsDatabase):
    death: Death

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.death.point()
        with super().transaction():
            yield
            self.death.point()
        self.death.point()


class KilledRig(Rig):
    def __init__(self, folder: Path, control: str) -> None:
        self.death = Death()
        self.database = type("Ops", (KillableOps,), {"death": self.death})
        super().__init__(folder)
        self.control = self.plant = PlcAndControl(self.death, control)
        self.plant.now = lambda: self.now
        self.kill()

    def commit(self) -> bool:
        """As services does: at once only when something is to be acted upon."""
        return super().commit() if self.actions.urgent else True

    def kill(self) -> None:
        self.death.arm(None)
        if hasattr(self, "plant"):
            self.plant.restart()
        super().kill()

    async def live(self, kill_at: int | None, life: Callable[[], object]) -> bool:
        """Run one life of services, killed at a point; return whether it was."""
        self.death.arm(kill_at)
        try:
            async with self.running():
                life()
                for _ in range(30):
                    await self.carried_out()
                    if self.death.dead:
                        break
                    self.now += 3 * S
                    self.value = self.plant.value
                    self.process()
                    self.actions.tick()
                    self.commit()
        except KilledError:
            pass
        return self.death.dead

    def after_a_restart(self) -> None:
        for record in self.plant.journal:
            self.take(record)
        self.ready()

    def check(self) -> None:
        actions = {a["id"]: a for a in self.ops.actions()}
        assert set(self.plant.requests) <= set(actions), "nothing is asked for that was not written down first"
        for id, action in actions.items():
            assert action["state"] in ENDED, f"forgotten: {action}"
            asked = self.plant.requests[id]
            assert asked <= 1, f"asked for {asked} times: {action}"
            if action["state"] == "confirmed":
                assert asked == 1
            if action["state"] in ("expired", "blocked"):
                assert asked == 0, f"it was done and counts as not done: {action}"


@pytest.mark.parametrize("control", ["lives", "dies before the PLC has it", "dies after the PLC has it"])
async def test_one_intent_is_one_request_at_most_and_none_is_forgotten(tmp_path: Path, control: str) -> None:
    seen = Counter[str]()
    for first in itertools.count():
        killed = True
        for second in (None, 0, 1, 2, 4, 6):
            folder = tmp_path / f"{first}-{second}"
            folder.mkdir()
            rig = KilledRig(folder, control)
            rig.warm_up()
            killed = await rig.live(first, lambda rig=rig: rig.bad(parts=40))
            if second is not None:
                rig.kill()
                await rig.live(second, rig.after_a_restart)
            rig.kill()
            assert not await rig.live(None, rig.after_a_restart)
            rig.check()
            seen.update(a["state"] for a in rig.ops.actions())
            rig.ops.close()
            if not killed:
                break
        if not killed:
            break
    assert first >= 12, "there are so many points between the alarm and the end"
    assert {"confirmed", "expired", "unknown"} <= set(seen), seen
