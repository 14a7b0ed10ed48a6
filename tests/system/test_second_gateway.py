"""A second gateway on the data folder of one that runs says so and ends, and the first does not notice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from simulators.demo_files import LINES, gateway_command
from simulators.program import Program, StandError
from tests.system.one_line import OneLine, eventually, one_line

pytestmark = pytest.mark.timeout(180)


async def refusal(config: Path, log: Path) -> str:
    """Start a gateway that is expected to end by itself with status 1; return what it says."""
    second = Program("second gateway")
    await second.start(gateway_command(config), log)
    try:
        with pytest.raises(StandError, match="exit status 1"):
            await second.expect("services:ready")
        assert not second.said, "no process of it has begun"
    finally:
        await second.stop()
    return log.read_text()


async def check_unnoticed(line: OneLine, pids: dict[str, int]) -> None:
    await line.passes()
    assert line.pids() == pids


async def test_a_second_gateway_refuses_and_a_killed_one_is_no_obstacle(tmp_path: Path) -> None:
    async with one_line(tmp_path, LINES[0], 10) as line:
        await line.passes()
        pids, stand, config = line.pids(), line.stand, tmp_path / "gateway.yaml"

        said = await refusal(config, tmp_path / "same_data.log")
        lock = stand.data / "supervisor.lock"
        assert f"{lock}: a gateway runs on this data folder already (process {pids['supervisor']}); " in said
        assert f"stop that one first (kill {pids['supervisor']}), or name another folder under data:" in said
        await check_unnoticed(line, pids)

        os.kill(pids["supervisor"], signal.SIGKILL)
        await eventually(lambda: not Path(f"/proc/{pids['services']}").exists(), "its processes end")
        assert lock.exists(), "it could clear nothing away"
        third = Program("gateway, again")
        await third.start(gateway_command(config), tmp_path / "again.log")
        try:
            await third.expect(f"control:{line.line.name}:ready")
            await third.expect("services:ready")
        finally:
            await third.stop()
