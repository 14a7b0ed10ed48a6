"""``gateway map commission`` against live simulated PLCs: what works passes, and what a program can lack is found."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.core.codec import encode_into
from gateway.core.handshake import Mode
from gateway.doctor import commission as module
from gateway.doctor.commission import WORD, Commission, Step
from gateway.doctor.owner import Owner
from gateway.plc.maps import load_map
from simulators import plc_owner
from tests.integration.plc_stand import PROTOCOLS, Stand, plc_stand, until
from tests.integration.test_probe import map_file

BEFORE = ["byte order", "interface checksum", "PLC heartbeat", "nobody else"]
ALIVE = ["claim", "round trip", "rival", "watchdog", "owner lost", "adjustment"]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LISTEN_S", 0.5)
    monkeypatch.setattr(module, "MEASURE_S", 0.1)
    monkeypatch.setattr(module, "RIVAL_S", 0.5)
    monkeypatch.setattr(module, "CLAIM_PATIENCE_S", 3.0)


@contextlib.asynccontextmanager
async def fed(stand: Stand) -> AsyncIterator[None]:
    """Let parts pass as on a belt."""

    async def feed() -> None:
        while True:
            stand.pass_part()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(feed())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def commission(stand: Stand, folder: Path, answer: str | None = None) -> dict[str, Step]:
    async def ask(question: str) -> str | None:
        assert WORD in question
        return answer

    path = map_file(folder, stand.loaded.plc.driver, stand.port)
    done = Commission(load_map(path), lambda step: None, ask)
    steps = await done.run()
    assert len({s.name for s in steps}) == len(steps)
    assert done.passed == all(s.result != "failed" for s in steps)
    return {s.name: s for s in steps}


def results(steps: dict[str, Step]) -> dict[str, str]:
    return {name: s.result for name, s in steps.items() if s.result != "passed"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_program_that_is_right_passes_every_step(protocol: str, tmp_path: Path) -> None:
    async with plc_stand(protocol) as stand, fed(stand):
        steps = await commission(stand, tmp_path, WORD)
        assert results(steps) == {}
        assert list(steps) == [*BEFORE, *ALIVE, "reject"]
        assert "outcome REJECTED" in steps["reject"].words
        assert steps["watchdog"].figures["took_ms"] > 200
        assert {e.verdict for e in stand.seen("latched")} == {"NOT_INSPECTED"}
        assert not any(e.kind == "outcome" and e.detail == "PASSED" for e in stand.events)


@pytest.mark.parametrize("answer", [None, "", "yes", "reject"])
async def test_the_reject_station_is_tried_only_when_the_word_is_typed(answer: str | None, tmp_path: Path) -> None:
    async with plc_stand("s7") as stand, fed(stand):
        steps = await commission(stand, tmp_path, answer)
        assert results(steps) == {"reject": "left out"}
        assert stand.seen("latched") == [], "no part was told anything"


async def test_a_gateway_that_lives_there_ends_it_before_anything_is_written(tmp_path: Path) -> None:
    async with plc_stand("modbus") as stand:
        other = Owner(load_map(map_file(tmp_path, "modbus", stand.port)))
        other.start()
        try:
            assert await other.wait(lambda: other.state == "up", 5)
            epoch = other.epoch
            steps = await commission(stand, tmp_path, WORD)
            assert results(steps) == {"nobody else": "failed"}
            assert list(steps) == BEFORE
            assert (other.state, other.epoch, other.lost) == ("up", epoch, "")
        finally:
            await other.leave()


async def test_a_plc_in_stop_and_one_that_is_not_there(tmp_path: Path, unused_tcp_port: int) -> None:
    async with plc_stand("s7") as stand:
        stand.scanning = False
        steps = await commission(stand, tmp_path)
        assert results(steps) == {"PLC heartbeat": "failed"}
        assert "in STOP" in steps["PLC heartbeat"].words
        stand.port = unused_tcp_port
        assert results(await commission(stand, tmp_path)) == {"connection": "failed"}


async def test_another_program_is_not_touched(tmp_path: Path) -> None:
    async with plc_stand("modbus") as stand:
        loaded = load_map(map_file(tmp_path, "modbus", stand.port, ("name: ToolWear", "name: ToolAge")))
        before = bytes(stand.logic.down)
        steps = await Commission(loaded, lambda step: None, None).run()  # type: ignore[arg-type]
        assert [(s.name, s.result) for s in steps] == [("byte order", "passed"), ("interface checksum", "failed")]
        assert bytes(stand.logic.down) == before


async def test_a_plc_without_a_watchdog_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc_owner, "WATCHDOG_MS", 1e9)
    async with plc_stand("s7") as stand:
        steps = await commission(stand, tmp_path)
        assert results(steps) == {"watchdog": "failed"}
        assert "is the watchdog there?" in steps["watchdog"].words
        assert "reject" not in steps, "what rests on it is left out"


async def test_a_plc_that_lets_a_second_gateway_in_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc_owner, "WATCHDOG_MS", -1)
    async with plc_stand("s7") as stand:
        steps = await commission(stand, tmp_path)
        assert results(steps) == {"rival": "failed"}
        assert "two gateways" in steps["rival"].words


async def test_without_permit_nothing_is_adjusted(tmp_path: Path) -> None:
    async with plc_stand("s7") as stand:
        stand.permit = False
        assert results(await commission(stand, tmp_path)) == {"adjustment": "left out", "reject": "left out"}


async def test_in_another_mode_the_reject_station_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "mode_of", lambda control: Mode.BYPASS)
    async with plc_stand("s7") as stand:
        steps = await commission(stand, tmp_path, WORD)
        assert results(steps) == {"reject": "left out"}
        assert "BYPASS" in steps["reject"].words


async def test_a_line_without_parts_and_a_part_without_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_PATIENCE_S", 0.3)
    monkeypatch.setattr(module, "OUTCOME_PATIENCE_S", 0.3)
    async with plc_stand("s7") as stand:
        steps = await commission(stand, tmp_path, WORD)
        assert "no part came" in steps["reject"].words
        assert results(steps) == {"reject": "failed"}
        one = asyncio.create_task(pass_one_when_ready(stand))
        steps = await commission(stand, tmp_path, WORD)
        await one
        assert "no outcome came" in steps["reject"].words
        assert results(steps) == {"reject": "failed"}


async def pass_one_when_ready(stand: Stand) -> None:
    """Let one part pass once TriggerReady is seen, as an infeed that waits for it does."""
    await until(lambda: stand.logic.down[1] & 1, "TriggerReady", 20)
    stand.pass_part()


async def test_a_station_that_lets_the_part_pass_is_found(tmp_path: Path) -> None:
    async with plc_stand("s7") as stand:
        ring = stand.loaded.map.up.tag("OutcomeRing")
        leaves = {leaf.name: leaf for leaf in ring.leaves()}

        async def passes() -> None:
            await pass_one_when_ready(stand)
            await until(lambda: stand.seen("latched"), "the token is latched")
            for name, value in (("PartId", 1), ("Outcome", 1)):
                encode_into(stand.logic.up, leaves[f"OutcomeRing[1].{name}"], value, "ABCD")

        task = asyncio.create_task(passes())
        steps = await commission(stand, tmp_path, WORD)
        await task
        assert results(steps) == {"reject": "failed"}
        assert "its outcome is PASSED: the reject station does not work" in steps["reject"].words


# -- as a user ----------------------------------------------------------------------------------------------------------------

Run = Callable[..., Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    async def call(*argv: object, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        status = await asyncio.to_thread(main, ["map", "commission", *map(str, argv)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


async def test_the_report(tmp_path: Path, run: Run) -> None:
    async with plc_stand("s7") as stand, fed(stand):
        path = map_file(tmp_path, "s7", stand.port)
        status, out, _ = await run(path, "--report", tmp_path / "r.md", typed=f"\n{WORD}\n")
        assert status == 0
        assert "commissioned as far as tried: 11 steps passed\n" in out
        text = (tmp_path / "r.md").read_text()
        assert text.startswith("# Commissioning of press\n")
        assert "| reject | passed | part " in text
        status, out, _ = await run(path, "--yes", "--report", tmp_path / "r.json")
        assert status == 0
        report = json.loads((tmp_path / "r.json").read_text())
        assert report["passed"] is True
        assert report["steps"][-1]["result"] == "left out"
        assert report["verdict"].endswith("10 steps passed; left out: reject")
        assert report["interface_checksum"] == f"16#{stand.loaded.checksum:08X}"


async def test_a_failure_is_1_and_in_the_report(tmp_path: Path, run: Run) -> None:
    async with plc_stand("s7") as stand:
        stand.scanning = False
        path = map_file(tmp_path, "s7", stand.port)
        status, out, _ = await run(path, "--yes", "--report", tmp_path / "r.md")
        assert status == 1
        assert "FAILED    PLC heartbeat: " in out
        assert "NOT commissioned: PLC heartbeat failed" in (tmp_path / "r.md").read_text()


async def test_nobody_there_and_a_report_that_cannot_be(tmp_path: Path, run: Run) -> None:
    path = map_file(tmp_path, "s7", 1)
    status, _, err = await run(path)
    assert (status, "nobody is there to begin" in err) == (1, True)
    status, _, err = await run(path, "--report", tmp_path / "r.pdf")
    assert (status, "name a .md or a .json file" in err) == (2, True)
    status, _, err = await run(path, "--report", tmp_path / "none" / "r.md")
    assert (status, "there is no folder" in err) == (2, True)
