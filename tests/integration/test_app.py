"""The supervisor with stand-in processes: configuration by stdin, restarts within bounds, and the order of stopping."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway import app
from gateway.app import Child, Supervisor, children
from gateway.config import Plan
from gateway.frames.folder import PREFIX, sweep
from tests.integration.plc_stand import REPO, until

MODULE = "tests.integration.stand_in"


@dataclass(slots=True)
class Stand:
    """A supervisor on stand-ins, and the diary that they write."""

    data: Path
    groups: list[list[Child]] = field(default_factory=list)
    task: asyncio.Task[int] | None = None
    came_up: list[int] = field(default_factory=list)
    """An entry each time that the supervisor says so."""

    @property
    def diary(self) -> Path:
        return self.data / "diary"

    def child(self, name: str, **config: object) -> Child:
        text = json.dumps({"name": name, "diary": str(self.diary), **config})
        return Child(name=name, module=MODULE, config=text)

    def entries(self, what: str = "") -> list[str]:
        """Return what was noted, without process ids."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        return [line.rsplit(" ", 1)[0] for line in lines if what in line]

    def pids(self) -> dict[str, int]:
        return dict(json.loads((self.data / "pids.json").read_text()))

    @contextlib.asynccontextmanager
    async def running(self, *groups: list[Child]) -> AsyncIterator[asyncio.Task[int]]:
        self.groups = list(groups)
        supervisor = Supervisor(self.groups, self.data, came_up=lambda: self.came_up.append(1))
        self.task = asyncio.create_task(supervisor.run())
        try:
            yield self.task
        finally:
            if not self.task.done():
                stop_now()
            async with asyncio.timeout(20):
                await asyncio.gather(self.task, return_exceptions=True)

    def processes(self) -> list[Child]:
        return [c for g in self.groups for c in g]


def stop_now() -> None:
    """Do what Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    monkeypatch.setattr(app, "RESTART_PAUSE_S", 0.01)
    return Stand(tmp_path)


def announced(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


async def test_children_get_their_configuration_and_stop_in_order(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    controls = [stand.child("control:a", slow_s=0.3), stand.child("control:b")]
    async with stand.running(controls, [stand.child("capture:a")], [stand.child("services")]) as task:
        await until(lambda: len(stand.entries("started")) == 4, "all are running", 20)
        pids = stand.pids()
        assert pids["supervisor"] == os.getpid()
        stop_now()
        assert await task == 0
    ends = [e for e in stand.entries() if "stop" in e]
    first, then = ends.index("capture:a stopping"), ends.index("services stopping")
    assert set(ends[:first]) == {f"control:{n} {what}" for n in "ab" for what in ("stopping", "stopped")}
    assert ends[first:then] == ["capture:a stopping", "capture:a stopped"]
    assert not (stand.data / "pids.json").exists()
    for line in stand.diary.read_text().splitlines():
        name, _, pid = line.split(" ")
        assert pids[name] == int(pid)
    assert sorted(str(a["process"]) for a in announced(capsys)) == ["capture:a", "control:a", "control:b", "services"]


async def test_that_everybody_came_up_is_told_once(stand: Stand) -> None:
    async with stand.running([stand.child("control:a", falls=2)], [stand.child("capture:a"), stand.child("services")]):
        await until(lambda: stand.entries().count("control:a started") == 3, "the third start", 20)
        await until(lambda: stand.came_up, "it is told", 20)
        await asyncio.sleep(0.1)
        assert stand.came_up == [1]


async def test_as_long_as_one_is_not_ready_nothing_has_come_up(stand: Stand) -> None:
    async with stand.running([stand.child("control:a")], [stand.child("capture:a", mute=True)]):
        await until(lambda: len(stand.entries("started")) == 2, "both run", 20)
        await asyncio.sleep(0.2)
    assert stand.came_up == []


async def test_a_child_that_falls_is_started_again_with_the_same_configuration(stand: Stand) -> None:
    async with stand.running([stand.child("control:a", falls=2)], [stand.child("services")]) as task:
        await until(lambda: stand.entries().count("control:a started") == 3, "the third start", 20)
        await until(lambda: stand.pids().get("control:a") == stand.processes()[0].process.pid, "its pid is told")  # type: ignore[union-attr]
        stop_now()
        assert await task == 0
    assert stand.entries("services").count("services started") == 1


async def test_a_killed_child_is_started_again(stand: Stand) -> None:
    async with stand.running([stand.child("control:a")]):
        await until(lambda: stand.entries("started"), "it runs", 20)
        os.kill(stand.pids()["control:a"], signal.SIGKILL)
        await until(lambda: len(stand.entries("started")) == 2, "it runs again", 20)


async def test_a_child_that_falls_again_after_five_restarts_within_a_minute_stays_down(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stand.running([stand.child("control:a", falls=99)], [stand.child("services")]) as task:
        await until(lambda: stand.entries().count("control:a falls") == 6, "five restarts", 30)
        await asyncio.sleep(0.3)
        assert stand.entries().count("control:a started") == 6
        assert not task.done(), "the others go on"
        stop_now()
        assert await task == 1
    assert {"process": "control:a", "event": "stays down"} in announced(capsys)
    assert stand.entries("services") == ["services started", "services stopping", "services stopped"]


async def test_a_child_whose_configuration_is_wrong_stays_down_at_once(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stand.running([stand.child("control:a", falls=99, status=2)], [stand.child("services")]) as task:
        await until(lambda: {"process": "control:a", "event": "stays down"} in announced(capsys), "it is told", 20)
        assert not task.done(), "the others go on"
        stop_now()
        assert await task == 1
    assert stand.entries("started").count("control:a started") == 1


async def test_falls_that_lie_far_apart_are_forgiven(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "RESTART_WINDOW_S", 0.001)
    async with stand.running([stand.child("control:a", falls=8)]):
        await until(lambda: stand.entries().count("control:a started") == 9, "eight restarts", 30)


async def test_when_nobody_is_left_the_supervisor_ends(stand: Stand) -> None:
    async with stand.running([stand.child("control:a", falls=99)]) as task:
        assert await task == 1


async def test_a_child_that_does_not_stop_is_told_twice(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "STOP_PATIENCE_S", 0.3)
    deaf = stand.child("control:a", deaf=True)
    async with stand.running([deaf], [stand.child("services")]) as task:
        await until(lambda: len(stand.entries("started")) == 2, "both run", 20)
        stop_now()
        assert await task == 0
    assert deaf.process is not None
    assert deaf.process.returncode == -signal.SIGKILL
    assert "control:a heard SIGTERM" in stand.entries()
    assert stand.entries("services")[-1] == "services stopped"


async def test_a_stop_during_a_start_is_not_missed(stand: Stand) -> None:
    """The child exists only after the stop was decided: nobody would ever close its stdin."""
    async with stand.running([stand.child("control:a")], [stand.child("services")]) as task:
        await asyncio.sleep(0)
        stop_now()
        async with asyncio.timeout(20):
            assert await task == 0
    assert all(c.process is None or c.process.returncode is not None for c in stand.processes())


async def test_a_stop_during_the_pause_before_a_restart(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "RESTART_PAUSE_S", 1.0)
    async with stand.running([stand.child("control:a", falls=99)]) as task:
        await until(lambda: stand.entries("falls"), "it fell", 20)
        await asyncio.sleep(0.2)
        stop_now()
        assert await task == 0
    assert stand.entries().count("control:a started") == 1


async def test_what_is_no_json_is_passed_on_as_text(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    async with stand.running([stand.child("control:a", says="Traceback of a library")]):
        await until(lambda: len(stand.entries("started")) == 1, "it runs", 20)
        await asyncio.sleep(0.2)
    assert {"process": "control:a", "event": "says", "text": "Traceback of a library"} in announced(capsys)


async def test_a_child_that_cannot_be_started_at_all_ends_everything(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Python, no memory for a process: not a child's fault, and nothing that a restart of it would mend."""
    start = asyncio.create_subprocess_exec

    async def sometimes(*args: str, **options: object) -> object:
        if len(stand.entries("started")) == 1:
            raise OSError("out of memory")
        return await start(*args, **options)  # type: ignore[arg-type]

    services, late = stand.child("services"), stand.child("control:a")
    monkeypatch.setattr(asyncio, "create_subprocess_exec", sometimes)
    async with stand.running([late], [services]) as task:
        await until(lambda: len(stand.entries("started")) == 2, "both run", 20)
        os.kill(stand.pids()["control:a"], signal.SIGKILL)
        monkeypatch.setattr(asyncio, "create_subprocess_exec", _no_memory)
        with pytest.raises(OSError, match="out of memory"):
            await task
    assert stand.entries("services")[-1] == "services stopped"


async def _no_memory(*args: str, **options: object) -> object:
    raise OSError("out of memory")


KILLED = """
import asyncio, sys
from pathlib import Path
from gateway.app import Child, Supervisor
from gateway.frames.folder import run_folder
data = Path(sys.argv[1])
with run_folder(data) as (_, lock):
    child = Child(name="control:a", module=sys.argv[2], config=sys.argv[3])
    asyncio.run(Supervisor([[child]], data, inherited=[lock]).run())
"""


async def test_the_folder_of_a_killed_supervisor_is_swept_when_its_last_child_has_ended(stand: Stand) -> None:
    child = stand.child("control:a", slow_s=0.5)
    arguments = [sys.executable, "-c", KILLED, str(stand.data), MODULE, child.config]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.DEVNULL)
    await until(lambda: stand.entries("started"), "it runs", 20)
    process.kill()
    await process.wait()
    [folder] = stand.data.glob(PREFIX + "*")
    await until(lambda: stand.entries("stopping"), "the child has noticed", 20)
    assert sweep(stand.data) == [], "the child still uses it"
    await until(lambda: sweep(stand.data) == [folder], "it is swept", 20)
    assert stand.entries("stopped"), "the child was not finished"


def test_the_children_of_a_plan() -> None:
    plan = Plan(controls=(("a", "{1}"), ("b", "{2}")), captures=(("a.top", "{3}"),), services="{4}")
    assert [[(c.name, c.module, c.config) for c in group] for group in children(plan)] == [
        [("control:a", "gateway.control.main", "{1}"), ("control:b", "gateway.control.main", "{2}")],
        [("capture:a.top", "gateway.vision.capture", "{3}")],
        [("services", "gateway.services.main", "{4}")],
    ]
