"""The closed loop over both protocols by the real command, with its processes killed on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from simulators.records import read_journal
from tests.system.demo_run import LINE_KEYS, DemoRun, demo

PARTS = 300
STEADY = ("--scenario", "steady", "--rate", "25", "--seed", "7")

pytestmark = pytest.mark.timeout(240)


def sound(run: DemoRun, line: dict[str, Any]) -> None:
    """Check what holds for every line in every run."""
    assert line.keys() >= LINE_KEYS, run.stderr()
    assert line["parts"] == line["passed"] + line["rejected"]
    assert line["not_inspected"] <= line["rejected"]
    assert line["escapes_by_fault"] == 0
    assert line["mis_tracked"] == 0
    assert line["double_disposition"] == 0


def dispositions(run: DemoRun, line: str) -> dict[int, list[str]]:
    """Return the dispositions of each PartId in the journal."""
    found: dict[int, list[str]] = {}
    for record in read_journal(run.folder / "data" / line / "journal.db"):
        if record["kind"] == "part":
            found.setdefault(record["part_id"], []).append(record["disposition"])
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """Run the steady demo once, without any fault."""
    with demo(tmp_path_factory.mktemp("demo") / "steady", "--parts", str(PARTS), *STEADY) as run:
        run.status, run.result = run.finish()
    return run


def test_every_part_gets_exactly_one_disposition_on_both_protocols(undisturbed: DemoRun) -> None:
    run = undisturbed
    assert run.status == 0, run.stderr()
    assert {line["protocol"] for line in run.result["lines"].values()} == {"s7", "modbus"}
    assert run.result["seed"] == 7
    for name, line in run.result["lines"].items():
        sound(run, line)
        assert line["parts"] == PARTS
        assert line["not_inspected"] == 0
        assert line["good_lost"] == 0
        assert line["accuracy"] > 0.95
        assert 0 < line["latency_ms"]["p50"] <= line["latency_ms"]["p99"] <= line["latency_ms"]["max"]
        found = dispositions(run, name)
        assert len(found) == PARTS
        assert all(len(d) == 1 for d in found.values())


def test_killing_services_changes_no_verdict(undisturbed: DemoRun, tmp_path: Path) -> None:
    with demo(tmp_path / "killed", "--parts", str(PARTS), *STEADY) as run:
        run.wait_for_parts(50)
        old = run.pids()["services"]
        os.kill(old, signal.SIGKILL)
        run.wait_for_parts(200)
        assert run.pids()["services"] != old, "services was not started again"
        status, result = run.finish()
    assert status == 0, run.stderr()
    for name, line in result["lines"].items():
        sound(run, line)
        assert line["not_inspected"] == 0
        assert dispositions(run, name) == dispositions(undisturbed, name)


def test_killing_control_costs_good_parts_never_escapes_and_the_loop_resumes(tmp_path: Path) -> None:
    with demo(tmp_path / "killed", "--parts", "600", *STEADY) as run:
        run.wait_for_parts(80)
        for name in ("control:Press", "control:Molding"):
            os.kill(run.pids()[name], signal.SIGKILL)
        _, result = run.finish()
    for name, line in result["lines"].items():
        sound(run, line)
        assert line["parts"] == 600
        assert line["good_lost"] > 0, "a dead control process must cost parts"
        last = sorted(dispositions(run, name).items())[-50:]
        assert all(d != ["NOT_INSPECTED"] for _, d in last), "the loop did not resume"


def test_the_loop_closes_when_the_process_goes_off(tmp_path: Path) -> None:
    options = ("--parts", "1200", "--rate", "25", "--scenario", "process_drift", "--seed", "3")
    with demo(tmp_path / "drift", *options) as run:
        status, result = run.finish()
    assert status == 0, run.stderr()
    for name, line in result["lines"].items():
        sound(run, line)
        confirmed = [a for a in result["actions"] if a["line"] == name and a["state"] == "confirmed"]
        assert confirmed, result["actions"]
        before, off, after = (phase["defect_rate"] for phase in line["phases"])
        assert off > 2 * before
        assert after < off / 2


def test_ctrl_c_stops_in_order_and_still_prints_the_score(tmp_path: Path) -> None:
    with demo(tmp_path / "interrupted", "--parts", "0", *STEADY) as run:
        run.wait_for_parts(30)
        run.interrupt()
        status, result = run.finish()
    assert status == 0, run.stderr()
    for line in result["lines"].values():
        sound(run, line)
        assert line["parts"] >= 30
    assert not (run.folder / "data" / "pids.json").exists(), "the supervisor did not clean up"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--model", "no/such/model"), "there is no such folder"),
        (("--images", "no/such/folder"), "there is no such folder"),
        (("--scenario", "no_such_scenario"), "no_such_scenario"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    with demo(tmp_path / "wrong", *options) as run:
        status, _ = run.finish()
        assert status == 2
        assert says in run.stderr()
