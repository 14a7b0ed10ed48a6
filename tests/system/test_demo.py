"""The closed loop over both protocols by the real command, with its processes killed on the way."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.frames.folder import sweep
from simulators.demo_files import default_model
from simulators.package import package_folder
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
    assert line["contradicted"] == 0
    assert line["passed_without_token"] == 0
    assert line["orphan_records"] == 0


def dispositions(run: DemoRun, line: str) -> dict[int, list[str]]:
    """Return the dispositions of each PartId in the journal."""
    found: dict[int, list[str]] = {}
    for record in read_journal(run.folder / "data" / line / "journal.db"):
        if record["kind"] == "part":
            found.setdefault(record["part_id"], []).append(record["disposition"])
    return found


def rings(pid: int) -> set[Path]:
    """Return the frame rings that a process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {path for line in lines if (path := Path(line.split(maxsplit=5)[-1])).suffix == ".ring"}


def wait_until_gone(pids: dict[str, int]) -> None:
    """Wait until none of these processes is left."""
    until = time.monotonic() + 30
    while left := {name: pid for name, pid in pids.items() if Path(f"/proc/{pid}").exists()}:
        assert time.monotonic() < until, f"still there: {left}"
        time.sleep(0.1)


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
        assert line["without_disposition"] == 0
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
        run.wait_for_parts(180)  # beyond the first 5 s, in which parts may go uninspected
        run.interrupt()
        status, result = run.finish()
    assert status == 0, run.stderr()
    for line in result["lines"].values():
        sound(run, line)
        assert line["parts"] == line["fed"] >= 180, "the parts under way left their belts"
        assert line["without_disposition"] == 0
    assert not (run.folder / "data" / "pids.json").exists(), "the supervisor did not clean up"


def test_a_verdict_from_another_parts_picture_is_reported(tmp_path: Path) -> None:
    scenario = tmp_path / "off_by_one.yaml"
    fault = "{at_part: 20, kind: camera_off_by_one, for_parts: 20}"
    scenario.write_text(f"scenario: 1\nabout: off by one\nprocess: {{base: 0.3}}\nfaults: [{fault}]\n")
    with demo(tmp_path / "off", "--parts", "60", "--rate", "25", "--scenario", str(scenario)) as run:
        status, result = run.finish()
    assert status == 1
    for line in result["lines"].values():
        assert line["mis_tracked"] > 0
        assert line["escapes"] >= line["escapes_by_fault"] > 0


def test_killing_the_demo_leaves_no_process(tmp_path: Path) -> None:
    with demo(tmp_path / "killed", "--parts", "0", *STEADY) as run:
        run.wait_for_parts(10)
        pids = run.pids()
        run.kill()
        wait_until_gone(pids)
    assert not (run.folder / "data" / "pids.json").exists(), "the supervisor stopped in order"


def test_a_supervisor_that_is_killed_ends_the_demo_with_a_score(tmp_path: Path) -> None:
    with demo(tmp_path / "killed", "--parts", "0", *STEADY) as run:
        run.wait_for_parts(10)
        pids = run.pids()
        used = {ring for name, pid in pids.items() if name.startswith("capture:") for ring in rings(pid)}
        os.kill(pids["supervisor"], signal.SIGKILL)
        status, result = run.finish()
    wait_until_gone(pids)
    assert len(used) == 2
    [folder] = {ring.parent for ring in used}
    sweep(folder.parent)  # as the next start of any gateway does
    assert not folder.exists()
    assert status == 1
    assert "gateway ended by itself with exit status 137" in run.stderr()
    for line in result["lines"].values():
        sound(run, line)
        assert line["parts"] >= 10


def test_a_closed_stdout_ends_the_demo_without_a_traceback(tmp_path: Path) -> None:
    with demo(tmp_path / "head", "--parts", "0", *STEADY) as run:
        assert next(run.lines())["event"] == "started"
        run.stop_reading()
        assert run.process.wait(60) == 1
    assert "Traceback" not in run.stderr()
    assert not (run.folder / "data" / "pids.json").exists(), "the gateway was stopped"


def refused(tmp_path: Path, *options: str) -> str:
    """Return what the demo says of wrong options, which it must refuse."""
    with demo(tmp_path / "wrong", *options) as run:
        status, last = run.finish()
        said = run.stderr()
    assert status == 2, said
    assert last == {}, "a score of nothing"
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--model", "no/such/model"), "there is no such folder"),
        (("--images", "no/such/folder"), "there is no such folder"),
        (("--scenario", "no_such_scenario"), "no_such_scenario"),
        (("--parts", "-1"), "--parts -1: Input should be greater than or equal to 0"),
        (("--rate", "0"), "--rate 0.0: Input should be greater than 0"),
        (("--rate", "60"), "--rate 60: the belt moves 600 counts in one PLC scan"),
        (("--opcua-port", "70000"), "--opcua-port 70000: Input should be less than or equal to 65535"),
        (("--data", str(Path(__file__).parent)), "not an empty folder; name a new one"),
        (("--data", "/proc/nowhere"), "name a folder that can be made"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    assert says in refused(tmp_path, *options)


def test_pictures_of_another_model_are_refused(tmp_path: Path) -> None:
    golden = sorted((package_folder(default_model()) / "golden").iterdir())[0]
    for label in ("good", "zebra"):
        (tmp_path / "images" / label).mkdir(parents=True)
        shutil.copy(golden, tmp_path / "images" / label)
    assert "the model knows no class zebra" in refused(tmp_path, "--images", str(tmp_path / "images"))


def test_a_damaged_package_is_refused(tmp_path: Path) -> None:
    package = shutil.copytree(package_folder(default_model()), tmp_path / "damaged")
    with (package / "model.bin").open("ab") as file:
        file.write(b"x")
    assert "model.bin: is not the file that was packed" in refused(tmp_path, "--model", str(package))
