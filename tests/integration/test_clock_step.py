"""The real control process while somebody sets the machine's clock: parts go on, durations stay true, records say so.

The process gets a wall clock of its own before any of its modules is loaded; the monotonic one is left alone. (libfaketime
would do it without a word of Python, but a process that forks with OpenVINO's libraries loaded hangs under it.)
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.core.events import AlarmChanged
from tests.integration.plc_stand import until
from tests.integration.test_control_process import Control, control

CLOCK = """
import time
_ns = time.time_ns

def time_ns():
    with open({file!r}) as f:
        return _ns() + int(f.read()) * 10**9

time.time_ns = time_ns
time.time = lambda: time_ns() / 1e9
"""


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that holds the seconds added to the wall clock of Python processes started from now on."""
    file = tmp_path / "wall"
    file.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(CLOCK.format(file=str(file)))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep))
    return file


async def judged(c: Control, count: int) -> list[int]:
    ids = [await c.part() for _ in range(count)]
    await until(lambda: set(ids) <= set(c.latched()), "every part has its token", 10)
    await until(lambda: set(ids) <= set(c.parts()), "and its record", 10)
    return ids


def set_clock(wall: Path, seconds: int) -> None:
    new = wall.with_name("new")
    new.write_text(str(seconds))
    new.replace(wall)


async def test_the_wall_clock_is_set_forward_and_back_by_an_hour(wall: Path) -> None:
    async with control("s7") as c:
        await c.ready()
        before = await judged(c, 3)
        epoch = c.plc.logic._owner.epoch
        set_clock(wall, 3600)
        ahead = await judged(c, 4)
        set_clock(wall, 0)
        back = await judged(c, 4)
        assert c.plc.logic._owner.epoch == epoch, "the heartbeat never stopped"
        assert await c.stop() == 0
        parts, records = c.parts(), c.records()
    for ids, seconds in ((ahead, 3600), (back, 0)):
        first, last = parts[before[-1]], parts[ids[-1]]
        moved = (last.t_utc_ns - first.t_utc_ns) - (last.t_acked_mono_ns - first.t_acked_mono_ns)
        assert abs(moved - seconds * 10**9) < 60 * 10**9, "the clock was set, as this process sees it"
    assert {p: r.disposition for p, r in parts.items()} == c.latched()
    assert "NOT_INSPECTED" not in c.latched().values(), "no deadline was missed for it"
    for record in parts.values():
        assert record.latency_ms is not None
        assert 0 <= record.latency_ms < 2000
    assert all(parts[p].synchronised for p in before)
    assert not any(parts[p].synchronised for p in (*ahead, *back))
    assert [r.seq for r in records] == list(range(1, len(records) + 1)), (
        "in the order of what happened, whatever the clock says"
    )
    assert [r.active for r in records if isinstance(r, AlarmChanged) and r.code == "CLOCK"] == [True]
