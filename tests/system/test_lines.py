"""One gateway, two lines, S7 and Modbus at once: what happens to one is nothing to the other.

First the Modbus line's factory is held: its PLC's kernel goes on accepting connections, and nobody answers them. Then that
line's control process is killed. One run, because every start of a gateway costs seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simulators.demo_files import LINES
from simulators.records import read_journal
from simulators.stand import Stand, StandOptions
from tests.system.one_line import OneLine, eventually

RATE = 15
PHASE_S = 3.0
HEALTHY, SICK = LINES

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True, slots=True)
class Phase:
    """How the healthy line fared for a while."""

    parts: int
    lost: int
    """Parts without a verdict of their own."""
    not_acked: int
    """Tokens whose acknowledgement did not come in time."""


async def watch(line: OneLine, epochs: set[int]) -> Phase:
    """Let parts come for a while; every one of them must leave the belt's camera with its token."""
    begin = time.monotonic_ns() / 1e6
    await asyncio.sleep(PHASE_S)
    end = time.monotonic_ns() / 1e6
    await line.passes()
    parts = {e["n"] for e in line.events("part") if begin <= e["t_ms"] < end}
    verdicts = line.verdicts()
    lost = sum(verdicts.get(n, "NOT_INSPECTED") == "NOT_INSPECTED" for n in parts)
    judged = [r for r in records(line, "part") if begin <= r["t_trigger_mono_ns"] / 1e6 < end]
    assert {r["epoch"] for r in judged} == epochs, "it never lost the ownership of its PLC"
    assert len(parts) > PHASE_S * RATE / 2
    return Phase(parts=len(parts), lost=lost, not_acked=sum(r["token"] != "acked" for r in judged))


def records(line: OneLine, kind: str) -> list[dict[str, Any]]:
    return [r for r in read_journal(line.stand.journal(line.line.name)) if r["kind"] == kind]


def links(line: OneLine) -> list[str]:
    return [r["link"] for r in records(line, "line")]


@contextlib.asynccontextmanager
async def two_lines(folder: Path) -> AsyncIterator[tuple[OneLine, OneLine]]:
    stand = Stand(StandOptions(folder=folder, scenario="steady", parts=0, parts_per_s=RATE, seed=5))
    try:
        await stand.start()
        yield OneLine(stand, HEALTHY), OneLine(stand, SICK)
        await stand.clear(10)
    finally:
        await stand.stop()


async def test_a_mute_plc_and_a_killed_control_process_cost_the_other_line_nothing(tmp_path: Path) -> None:
    async with two_lines(tmp_path) as (healthy, sick):
        await asyncio.gather(healthy.passes(), sick.passes())
        pids = healthy.pids()
        epochs = {r["epoch"] for r in records(healthy, "part")}
        usual = await watch(healthy, epochs)

        factory = healthy.stand.factories[SICK.name].process
        assert factory is not None
        os.kill(factory.pid, signal.SIGSTOP)
        try:
            await eventually(lambda: links(sick)[-1] == "down", "the mute PLC is noticed")
            beside_a_mute_plc = await watch(healthy, epochs)
            assert links(sick)[-1] == "down"
        finally:
            os.kill(factory.pid, signal.SIGCONT)
        await sick.passes()

        os.kill(pids[f"control:{SICK.name}"], signal.SIGKILL)
        beside_a_killed_process = await watch(healthy, epochs)
        await sick.passes()

        for phase in (beside_a_mute_plc, beside_a_killed_process):
            # A machine that does other things loses parts now and then, in any phase.
            assert phase.lost <= usual.lost + max(2, phase.parts // 10), (usual, phase)
            assert phase.not_acked <= usual.not_acked + max(2, phase.parts // 10), (usual, phase)
        changed = {name for name, pid in healthy.pids().items() if pids[name] != pid}
        assert changed == {f"control:{SICK.name}"}, "nobody else fell"
        assert "down" not in links(healthy)[links(healthy).index("up") :]
    healthy.check("passed_without_record")
    sick.check()
