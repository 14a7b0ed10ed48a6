"""Scenario files: the shipped ones load, ramps are linear, and every mistake is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.imaging import HEALTHY
from simulators.scenario import Belt, ScenarioError, load_scenario, ramp_share, scenario_names


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text("scenario: 1\nabout: mine\n" + text)
    return str(path)


def test_the_shipped_scenarios_are_there_and_load() -> None:
    wanted = {"steady", "process_drift", "long_belt", "light_fade", "plc_restart", "link_cut", "camera_loss", "faults_mix"}
    wanted |= {"ejector_stuck"}
    assert wanted <= set(scenario_names())
    for name in scenario_names():
        assert load_scenario(name).about


def test_what_the_scenarios_promise() -> None:
    assert load_scenario("steady").faults == []
    assert sum(e.shift_steps for e in load_scenario("process_drift").process.events) == 2
    assert load_scenario("long_belt").belt.gate_spacings >= 40
    assert load_scenario("light_fade").imaging_at(2000).light < 0.9
    assert {f.kind for f in load_scenario("faults_mix").faults} == {
        "plc_restart",
        "plc_stop",
        "link_cut",
        "link_down",
        "link_dark",
        "camera_cut",
        "camera_freeze",
        "camera_black",
    }
    assert not [n for n in scenario_names() if any(f.kind == "camera_off_by_one" for f in load_scenario(n).faults)]


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, "faults:\n  - {at_part: 5, kind: plc_stop, for_ms: 100}\n"))
    assert [f.kind for f in scenario.faults] == ["plc_stop"]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match="no scenario 'stady': take one of .*steady"):
        load_scenario("stady")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("belt: {spacing: 5}\n", r"mine.yaml:3:17: belt.spacing: .*100"),
        ("blet: {}\n", r"mine.yaml:3:7: blet: unknown key"),
        ("faults:\n  - {at_part: 5, kind: plc_stop}\n", r"mine.yaml:4:5: faults.0.for_ms: Field required"),
        ("faults:\n  - {at_part: 5, kind: plc_explode}\n", r"mine.yaml:4:5: faults.0: .*plc_explode"),
        ("faults:\n  - {at_part: 5, kind: link_cut, for_ms: 3}\n", r"mine.yaml:4:42: faults.0.for_ms: unknown key"),
        ("faults:\n  - {at_part: 5, kind: ejector_stuck}\n", r"mine.yaml:4:5: faults.0.for_parts: Field required"),
        ("process: {mix: {rust: 1}}\n", r"mine.yaml:3:\d+: process.mix"),
        ("process:\n  mix: {dent: 0}\n", r"mine.yaml:\d+:\d+: process: mix: give at least one"),
        ("imaging: [\n", r"mine.yaml:4:1: is not YAML"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(ScenarioError, match=wanted):
        load_scenario(write(tmp_path, text))


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(tmp_path, "belt: {spacing: 5, jitter: 2}\nextra: 1\n"))
    assert len(str(caught.value).splitlines()) == 3


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="there is no such file"):
        load_scenario(str(tmp_path / "absent.yaml"))


def test_imaging_ramps_are_linear_and_stay(tmp_path: Path) -> None:
    text = "imaging:\n  - {at_part: 11, over_parts: 10, light: 0.8, dust: 20}\n  - {at_part: 100, light: 1.0}\n"
    scenario = load_scenario(write(tmp_path, text))
    assert scenario.imaging_at(10) == HEALTHY
    assert scenario.imaging_at(15).light == pytest.approx(0.9)
    assert (scenario.imaging_at(50).light, scenario.imaging_at(50).dust) == (pytest.approx(0.8), 20)
    assert scenario.imaging_at(100).light == pytest.approx(1.0)
    assert scenario.imaging_at(100).dust == 20, "a quantity that a ramp does not name stays"


def test_ramp_share() -> None:
    assert [ramp_share(n, 5, 4) for n in (4, 5, 8, 9)] == [0, 0.25, 1, 1]
    assert [ramp_share(n, 5, 0) for n in (4, 5)] == [0, 1]


def test_the_gate_window_outlasts_a_scan_and_leaves_the_next_part_alone() -> None:
    belt = Belt(spacing=1000, jitter=0.15)
    for counts in (40, 200, 300, 390):
        window = belt.gate_window(counts)
        assert counts < window
        assert window + counts < belt.least_spacing
    with pytest.raises(ValueError, match="shorten scan_ms or lower parts_per_s"):
        belt.gate_window(450)


def test_the_geometry_adds_up() -> None:
    belt = Belt(spacing=1000, jitter=0.15, camera_offset=200, gate_spacings=6)
    assert (belt.least_spacing, belt.eye_to_gate) == (850, 6200)
    assert belt.bind_window < belt.least_spacing / 2


def test_the_floor_of_the_shipped_scenarios() -> None:
    keys = load_scenario("key_switch")
    assert [k.mode for k in keys.keys] == ["monitor_only", "automatic", "manual", "automatic", "bypass"]
    station = load_scenario("reject_station")
    assert station.station.challenge
    assert station.again == {120: 20, 121: 21}
    assert {f.kind for f in station.faults} == {"air_lost", "bin_full", "encoder_fault"}
    assert keys.disturbed and station.disturbed
    assert not load_scenario("steady").disturbed


def test_a_part_that_comes_a_third_time_is_the_first_one(tmp_path: Path) -> None:
    again = "trace: {again: [{at_part: 9, of: 4}, {at_part: 4, of: 2}]}\n"
    assert load_scenario(write(tmp_path, again)).again == {4: 2, 9: 2}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("keys: [{at_part: 3, mode: jog}]\n", r"mine.yaml:3:\d+: keys.0.mode: .*'manual'"),
        ("trace: {again: [{at_part: 3, of: 3}]}\n", r"mine.yaml:3:\d+: trace.again.0: of: part 3 does not come before part 3"),
        ("faults: [{at_part: 3, kind: air_lost}]\n", r"mine.yaml:3:\d+: faults.0.for_ms: Field required"),
        ("station: {challenges: [3]}\n", r"mine.yaml:3:\d+: station.challenges: unknown key"),
        ("rejects: {model_unverified: ignore}\n", r"mine.yaml:3:\d+: rejects.model_unverified: .*'hold'"),
    ],
)
def test_mistakes_on_the_floor_are_named_with_their_place(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(ScenarioError, match=wanted):
        load_scenario(write(tmp_path, text))
