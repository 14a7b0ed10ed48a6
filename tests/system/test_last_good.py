"""A gateway.yaml, or a map that it names, that is wrong at the next start: the last good one runs, and is not ready."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulators.demo_files import LINES, gateway_command
from simulators.program import Program, WrongInputError
from simulators.records import read_journal
from tests.system.one_line import OneLine, eventually, one_line

pytestmark = pytest.mark.timeout(180)


def states(line: OneLine) -> list[tuple[str, bool, str]]:
    return [
        (r["link"], r["ready"], r["offline_reason"])
        for r in read_journal(line.stand.journal(line.line.name))
        if r["kind"] == "line"
    ]


async def test_a_wrong_file_starts_the_last_good_one_which_waits_for_an_acknowledgement(tmp_path: Path) -> None:
    async with one_line(tmp_path, LINES[0], 10) as line:
        await line.passes()
        stand, config = line.stand, tmp_path / "gateway.yaml"
        kept = tmp_path / "gateway.yaml.last-good"
        await eventually((kept / "index.json").exists, "it is kept")
        await stand.gateway.stop()
        assert stand.gateway.process is not None
        assert stand.gateway.process.returncode == 0

        good = config.read_text()
        config.write_text(good.replace("window:", "windo:"))
        before = max(line.verdicts())
        again = Program("gateway, again")
        await again.start(gateway_command(config), tmp_path / "again.log")
        try:
            said = await again.expect("supervisor:configuration rejected")
            assert len(said["errors"]) == 2
            assert f"{config}:" in said["errors"][0]
            await again.expect(f"control:{line.line.name}:ready")
            await eventually(lambda: states(line)[-1] == ("up", False, "CONFIG_REJECTED"), "it is up and not ready")
            await asyncio.sleep(1)
            assert all(v != "PASS" for n, v in line.verdicts().items() if n > before), "nothing passes"
            assert states(line)[-1] == ("up", False, "CONFIG_REJECTED")
        finally:
            await again.stop()

        (tmp_path / line.line.map).write_text("tagmap: 1\n")
        config.write_text(good)
        third = Program("gateway, the map broken")
        await third.start(gateway_command(config), tmp_path / "third.log")
        try:
            said = await third.expect("supervisor:configuration rejected")
            assert f"{tmp_path / line.line.map}" in said["errors"][0]
        finally:
            await third.stop()

        for path in kept.iterdir():
            path.unlink()
        last = Program("gateway, nothing kept")
        await last.start(gateway_command(config), tmp_path / "last.log")
        try:
            with pytest.raises(WrongInputError, match=line.line.map):
                await last.expect(f"control:{line.line.name}:ready")
        finally:
            await last.stop()
