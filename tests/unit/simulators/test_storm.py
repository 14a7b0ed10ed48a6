"""The storm itself: it repeats, it finds what is broken, and every fault strikes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from simulators.storm.__main__ import main
from simulators.storm.broken import BROKEN, broken
from simulators.storm.episode import PROTOCOLS, Protocol, run_episode
from simulators.storm.faults import KINDS
from simulators.storm.tally import Outcome, State, StateError, Task, plan, run_task

#: Which faults bring a defect to light soonest, and how many seeds are tried at most.
FIND_BY = {
    "pulse": ("half_open", "kill", "stall"),
    "binding": ("bad_camera", "blind_eye"),
    "stale_epoch": ("plc_restart",),
    "no_check": ("torn_exchange",),
    "first_read": ("second_gateway", "kill"),
}
SEEDS = 12


def test_every_defect_has_its_faults() -> None:
    assert FIND_BY.keys() == BROKEN.keys()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_deliberately_broken_gateway_is_found_out(name: str, protocol: Protocol) -> None:
    for seed in range(1, SEEDS + 1):
        with broken(name):
            found = run_episode(protocol, seed, 400, every_parts=40, kinds=FIND_BY[name])
        if found.failed:
            sound = run_episode(protocol, seed, 400, every_parts=40, kinds=FIND_BY[name])
            assert not sound.failed, "the same seed finds the sound gateway guilty as well"
            return
    pytest.fail(f"{name} was not found in {SEEDS} episodes")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_same_seed_gives_the_same_trace(protocol: Protocol) -> None:
    first, again = (run_episode(protocol, 5, 300, every_parts=30) for _ in range(2))
    assert first == again
    assert run_episode(protocol, 6, 300, every_parts=30).trace_hash != first.trace_hash


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_strikes_and_harms_nobody(kind: str) -> None:
    result = run_episode("s7" if sorted(KINDS).index(kind) % 2 else "modbus", 3, 200, every_parts=50, kinds=(kind,))
    assert result.faults.keys() == {kind}
    assert not result.failed
    assert result.parts == 200


def test_without_faults_no_good_part_is_lost() -> None:
    for protocol in PROTOCOLS:
        result = run_episode(protocol, 2, 300, every_parts=1e9)
        assert (result.good_lost, result.without_disposition, result.failed) == (0, 0, False)


def test_parts_are_shared_out_to_the_last_one() -> None:
    tasks = plan(PROTOCOLS, 7, 4500, every_parts=300)
    assert [(t.protocol, t.seed, t.parts) for t in tasks] == [
        ("s7", 7, 1000),
        ("modbus", 7, 1000),
        ("s7", 8, 1000),
        ("modbus", 8, 1000),
        ("s7", 9, 250),
        ("modbus", 9, 250),
    ]


def test_a_failure_says_how_to_see_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = "--protocol s7 --seed 1 --parts 300 --every 30 --only half_open,kill,stall --broken pulse"
    assert main([*arguments.split(), "--jobs", "1", "--json"]) == 1
    said = capsys.readouterr()
    assert f"replay: python -m simulators.storm {arguments}" in said.err
    tally = json.loads(said.out)
    assert tally["escapes"] > 0
    assert tally.keys() >= {
        "parts",
        "defective",
        "mis_tracked",
        "double_disposition",
        "good_lost",
        "faults",
        "trace_hash",
        "seed",
    }


def test_a_bug_in_the_gateway_is_a_failure_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fall(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("made for this test")

    monkeypatch.setattr("gateway.core.tracker.Tracker.frame", fall)
    outcome = run_task(Task(protocol="s7", seed=1, parts=50, every_parts=300))
    assert outcome.failed
    assert "made for this test" in outcome.bug


def test_a_long_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file = tmp_path / "storm.jsonl"
    task = Task(protocol="s7", seed=1, parts=50, every_parts=300)
    outcome = run_task(task)
    State(file).keep(outcome)
    assert State(file).done(task) == outcome.result
    assert State(file).done(dataclasses.replace(task, seed=2)) is None
    assert outcome.result is not None and not Outcome(task=task, result=outcome.result).failed


def test_results_of_other_code_are_not_mixed_in(tmp_path: Path) -> None:
    file = tmp_path / "storm.jsonl"
    file.write_text('{"code": "other"}\n')
    with pytest.raises(StateError, match="other code"):
        State(file)
    file.unlink()
    State(file)
    file.write_text(file.read_text() + "half a li")
    with pytest.raises(StateError, match=":2: no JSON"):
        State(file)


@pytest.mark.parametrize("wrong", ["--parts 0", "--parts x", "--every 0", "--only rain", "--protocol opcua"])
def test_wrong_options_are_refused_with_words(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong.split())
    assert ended.value.code == 2
    assert wrong.split()[0] in capsys.readouterr().err
