"""The whole gateway with one process after the other held by SIGSTOP, as a debugger or a starved machine does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.demo_files import LINES
from simulators.ledger import Event
from simulators.records import read_journal
from tests.system.one_line import OneLine, eventually, one_line

HELD_S = 1.0
pytestmark = pytest.mark.timeout(180)


@contextlib.contextmanager
def held(pid: int) -> Iterator[float]:
    """Stop a process; yield when (ms of CLOCK_MONOTONIC, as in the ledger)."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield now_ms()
    finally:
        os.kill(pid, signal.SIGCONT)


def now_ms() -> float:
    return time.monotonic_ns() / 1e6


async def test_a_held_process_costs_parts_and_nothing_else(tmp_path: Path) -> None:
    async with one_line(tmp_path, LINES[1], 15) as line:
        await line.passes()
        pids = line.pids()

        with held(pids["control:Molding"]) as begin:
            await asyncio.sleep(HELD_S)
            end = now_ms()
        await line.passes()
        check_control(line, begin, end)

        with held(pids["capture:Molding.Cam1"]) as begin:
            await eventually(lambda: unseen(line, begin), "parts that nobody sees are not inspected")
        await line.passes()

        with held(pids["services"]):
            await line.passes()
        assert line.pids() == pids, "nobody fell"
    line.check("passed_without_record", "without_disposition")
    records = read_journal(line.stand.journal("Molding"))
    parts = [(r["epoch"], r["part_id"]) for r in records if r["kind"] == "part"]
    assert len(set(parts)) == len(parts), "a part with two verdicts"


def check_control(line: OneLine, begin: float, end: float) -> None:
    """The PLC trips and rejects by itself; the woken gateway is taken back or claims anew."""
    owner = [e for e in line.events("owner") if e["t_ms"] >= begin]
    assert owner[-1]["detail"] in ("resumed", "granted")
    tripped = next(e["t_ms"] for e in owner if e["detail"] == "lost")
    assert tripped < end
    meanwhile = [e for e in line.events("latched", "gate") if tripped <= e["t_ms"] < end]
    assert not [e for e in meanwhile if e["kind"] == "latched"], "a token was taken from a gateway without a heartbeat"
    told = line.verdicts()
    untold = [e for e in meanwhile if e["n"] not in told]
    assert untold, "parts reached the gate without a token"
    assert not [e for e in untold if e["passed"]]


def unseen(line: OneLine, since_ms: float) -> list[Event]:
    """Return what the PLC knows of parts that came when capture stood; none of them may have passed."""
    parts = {e["n"] for e in line.events("part") if e["t_ms"] > since_ms + 100}
    told = [e for e in line.events("latched") if e["n"] in parts]
    assert not [e for e in told if e["verdict"] != "NOT_INSPECTED"]
    gone = [e for e in line.events("gate") if e["n"] in parts]
    assert not [e for e in gone if e["passed"]]
    return gone
