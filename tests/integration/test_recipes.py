"""The PLC's commands over real sockets: recipes set, refused and tested, with a line that goes on being served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from openvino import opset13 as ops

from gateway.core.events import AlarmChanged, CommandEnded
from gateway.core.handshake import Control as Word
from gateway.core.handshake import ErrorCode, Status1, Status2
from gateway.core.plc_command import Command
from gateway.frames.stamps import status_to_json
from tests.integration.plc_stand import REPO, until
from tests.integration.test_control_process import MODEL, SHAPE, Control, control
from tests.model_stand import custom_package, graph


@dataclass(slots=True)
class Commander:
    """Stands in the PLC's program behind the scan: raises ExecuteCommand with a command, and drops it."""

    c: Control
    scan: Callable[..., Any] = field(init=False)
    command: tuple[int, int] = (0, 0)
    raised: bool = False

    def __post_init__(self) -> None:
        self.scan = self.c.plc.logic.scan
        self.c.plc.logic.scan = self._scan  # type: ignore[method-assign]

    def _scan(self, inputs: Any) -> Any:
        outputs = self.scan(inputs)
        up = self.c.plc.logic._up
        up.role("command").set(self.command[0])
        up.role("command.arg").set(self.command[1])
        control = up.role("control").integer() & ~int(Word.EXECUTE_COMMAND)
        up.role("control").set(control | int(Word.EXECUTE_COMMAND) * self.raised)
        return outputs

    async def give(self, command: Command, arg: int = 0) -> bool:
        """Return whether it was completed; it is dropped again."""
        ended = Status1.COMMAND_COMPLETED | Status1.COMMAND_FAILED
        self.command, self.raised = (command, arg), True
        await until(lambda: self.c.status1() & ended, f"{command.name} ends", 30)
        done = bool(self.c.status1() & Status1.COMMAND_COMPLETED)
        self.raised = False
        await until(lambda: not self.c.status1() & ended, "the answer ends with the command")
        return done


def brightness(out: Path) -> Path:
    """Make a package that rejects bright pictures."""
    image = ops.parameter([1, SHAPE[0], SHAPE[1], 1], np.uint8, name="image")
    mean = ops.divide(ops.reduce_mean(ops.convert(image, "f32"), [1, 2], False), np.float32(510))
    good, bad = ops.subtract(np.float32(0.5), mean), ops.add(np.float32(0.5), mean)
    model = graph(image, ops.concat([good, bad], 1))
    return custom_package(out, model, channels=1, size=SHAPE[0], layout="NHWC", labels=("dark", "bright"))


def picture(folder: Path, label: str, grey: int) -> None:
    (folder / label).mkdir(parents=True)
    cv2.imwrite(str(folder / label / "1.png"), np.full((40, 40), grey, np.uint8))


@pytest.fixture
def changes(tmp_path: Path) -> dict[str, Any]:
    package = brightness(tmp_path / "brightness")
    picture(tmp_path / "right", "dark", 0)
    picture(tmp_path / "right", "bright", 250)
    picture(tmp_path / "wrong", "dark", 250)
    recipes = [
        {"number": 1, "name": "surface", "model": MODEL},
        {"number": 2, "name": "brightness", "model": package, "golden": tmp_path / "right", "params": {"PressForce": 104}},
        {"number": 3, "name": "mistaken", "model": package, "golden": tmp_path / "wrong"},
    ]
    return {"recipes": recipes}


@pytest.mark.parametrize(("protocol", "handshake"), [("s7", "ring"), ("modbus", "ack")])
async def test_recipes_are_set_by_the_plc(protocol: str, handshake: str, changes: dict[str, Any], tmp_path: Path) -> None:
    shipped = REPO / "plc_maps" / f"demo_{protocol}.yaml"
    changes["map_file"] = tmp_path / "plc.yaml"
    changes["map_file"].write_text(shipped.read_text().replace("handshake: ring", f"handshake: {handshake}"))
    changes["recipes"][1]["params"] = {"PressForce": 104} if protocol == "s7" else {}
    async with control(protocol, **changes) as c:
        plc = Commander(c)
        await c.ready()
        assert c._down("recipe.current") == 1
        first = await c.part()
        await until(lambda: first in c.latched(), "a token", 10)

        assert await plc.give(Command.GO_OFFLINE)
        assert not c.status1() & (Status1.ONLINE | Status1.TRIGGER_READY)
        assert c.status1() >> 4 & 7 == 5
        offline = await c.part()
        await until(lambda: offline in c.latched(), "a token", 10)
        assert c.latched()[offline] == "NOT_INSPECTED"
        assert await plc.give(Command.GO_ONLINE)
        await c.ready()

        # A good one: its model judges, and says so.
        assert await plc.give(Command.SET_RECIPE, 2)
        await c.ready()
        assert c._down("recipe.current") == 2
        second = await c.part()
        await until(lambda: second in c.latched(), "a token", 10)
        assert c.latched()[second] == "FAIL"
        await until(lambda: c._down("recipe.judgment") == 2, "RecipeDuringJudgment")
        assert c.status2() & Status2.TEST_RUN_READY
        assert await plc.give(Command.TEST_RUN)

        # Bad ones: nothing passes until a good one is set.
        for number, why in ((9, "there is no recipe 9"), (3, "1 of 2 golden pictures failed")):
            assert not await plc.give(Command.SET_RECIPE, number)
            assert not c.status1() & Status1.TRIGGER_READY
            assert c.status1() >> 4 & 7 == 3
            assert (c._down("error.code"), c._down("recipe.current")) == (ErrorCode.RECIPE, 0)
            refused = await c.part()
            await until(lambda p=refused: p in c.latched(), "a token", 10)
            assert c.latched()[refused] == "NOT_INSPECTED"
            ended = [r for r in c.records() if isinstance(r, CommandEnded)][-1]
            assert (ended.arg, ended.done) == (number, False)
            assert why in ended.detail
        assert await plc.give(Command.SET_RECIPE, 1)
        await c.ready()

        # A test run that fails: what was trained has changed beside the line.
        (tmp_path / "right" / "bright" / "1.png").write_bytes((tmp_path / "right" / "dark" / "1.png").read_bytes())
        assert not await plc.give(Command.SET_RECIPE, 2)
        (tmp_path / "right" / "bright" / "1.png").write_bytes((tmp_path / "wrong" / "dark" / "1.png").read_bytes())
        assert await plc.give(Command.SET_RECIPE, 2)
        await c.ready()
        (tmp_path / "right" / "bright" / "1.png").write_bytes((tmp_path / "right" / "dark" / "1.png").read_bytes())
        assert not await plc.give(Command.TEST_RUN)
        assert not c.status1() & Status1.TRIGGER_READY

        assert [e.detail for e in c.plc.seen("owner")] == ["granted"], "the heartbeat was never late"
        assert await c.stop() == 0
        parts = c.parts()
        assert (parts[first].recipe, parts[first].model_id) == ("surface", "demo_surface/1")
        assert (parts[second].recipe, parts[second].recipe_number, parts[second].model_id) == ("brightness", 2, "brightness/1")
        assert len(parts) == 5, "golden pictures are no parts"
        tests = [r for r in c.records() if isinstance(r, CommandEnded) and r.command == "TEST_RUN"]
        assert [(t.done, t.detail.split(":")[0]) for t in tests] == [
            (True, "3 golden pictures got their dispositions"),
            (False, "1 of 3 golden pictures failed"),
        ]
        if protocol == "s7":
            assert c.plc.logic._adjust.values()["PressForce"] == pytest.approx(104)
        assert "NOT_NOMINAL" not in {r.code for r in c.records() if isinstance(r, AlarmChanged)}


async def test_a_restart_begins_with_the_recipe_that_was_in_force_or_with_none(changes: dict[str, Any]) -> None:
    async with control("s7", **changes) as c:
        plc = Commander(c)
        await c.ready()
        assert await plc.give(Command.SET_RECIPE, 2)
        assert await c.stop() == 0
        await c.start()
        await c.ready()
        assert c._down("recipe.current") == 2
        assert not await plc.give(Command.SET_RECIPE, 9)
        assert c.process is not None
        c.process.kill()
        await c.process.wait()
        c.plc.logic._down.role("error.code").set(0)  # the dead gateway's last word
        await c.start()
        c.tell(status_to_json("top", True))
        await until(lambda: c._down("error.code") == ErrorCode.RECIPE, "no recipe after the restart", 10)
        assert not c.status1() & Status1.TRIGGER_READY
        assert await plc.give(Command.SET_RECIPE, 1)
        await c.ready()
