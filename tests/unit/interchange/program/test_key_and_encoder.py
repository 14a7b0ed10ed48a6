"""What the days on the line seldom bring, told to both PLCs on purpose: a key turned in the window, a counter that jumps."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from simulators.plant import PlcInputs, Settings
from simulators.plc import PlcLogic
from tests.unit.interchange.program.twin import FAIL, GATE, PASS, WINDOW, Twin, loaded_map, machine, sources

AUTOMATIC, MANUAL, MONITOR, BYPASS = 0, 1, 2, 3


@pytest.fixture(params=["ring", "ack"])
def twin(request: pytest.FixtureRequest, tmp_path: Path) -> Twin:
    handshake: str = request.param
    return Twin(loaded_map(tmp_path, handshake), machine(sources(tmp_path, handshake))).owned()


def held(**signals: object) -> PlcInputs:
    return PlcInputs(now_ms=0, encoder=0, **signals)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", [MONITOR, BYPASS])
@pytest.mark.parametrize("other", [AUTOMATIC, MANUAL, MONITOR, BYPASS])
def test_a_key_turned_with_a_part_in_the_window_turns_it_away(twin: Twin, mode: int, other: int) -> None:
    twin.scan(held(mode=mode), latch=twin.encoder)
    assert twin.travel(GATE - WINDOW, held(mode=mode)).gate_open
    assert twin.scan(held(mode=mode)).gate_open, "the belt stands"
    assert twin.scan(held(mode=other)).gate_open == (other == mode)
    for _ in range(4):
        assert twin.scan(held(mode=other), move=WINDOW // 2).gate_open == (other == mode)
    outcome = 2 if other != mode else 6 if mode == BYPASS else 1
    assert {n: twin.seen[f"outcome {n}"] for n in (1, 2, 6)} == {n: int(n == outcome) for n in (1, 2, 6)}


@pytest.mark.parametrize("written", [200.5, 180.0, 240.0, 179.5, 1e9, math.inf, -math.inf, math.nan])
def test_what_an_hmi_writes_is_brought_into_the_range_of_the_set_point(twin: Twin, written: float) -> None:
    stands = 180.0 if math.isnan(written) else min(max(written, 180.0), 240.0)
    out = twin.scan(held(hmi={"MoldTemp": written, "Feed": -written}))
    assert out.params["MoldTemp"] == stands
    assert 0.0 <= out.params["Feed"] <= 60.0
    twin.adjust(1, 0, 210.0, stands)
    assert twin.scan().params["MoldTemp"] == 210.0
    assert twin.seen["adjusted accepted"] == 1


def test_a_longest_time_in_bypass_that_could_begin_anew_is_a_bad_setting(tmp_path: Path) -> None:
    program = machine(sources(tmp_path))
    for most, stop in ((0x7FFFFFFF, 0), (0x80000000, 13), (0xFFFFFFFF, 13)):
        twin = Twin(loaded_map(tmp_path), program)
        twin._give(held())
        twin.gate.BypassMaxMs = most
        twin.main.call()
        assert twin.gate.StopReason == stop
    with pytest.raises(ValueError, match="bypass_max_ms"):
        PlcLogic(loaded_map(tmp_path), camera_to_gate=GATE, gate_window=WINDOW, settings=Settings(bypass_max_ms=1 << 31))


@pytest.mark.parametrize("jump", [-GATE // 2, -(1 << 30), 1 << 30])
def test_a_counter_that_jumps_in_a_fault_leaves_no_part_behind(twin: Twin, jump: int) -> None:
    for part_id in range(1, 81):  # more than the register has places for: none of them is kept
        twin.scan(held(encoder_fault=part_id > 30), latch=twin.encoder, move=jump if part_id == 31 else 5)
        twin.token(part_id)
        twin.heartbeat()
    assert (twin.gate.Count, twin.out.stop_reason) == (0, 9)
    twin.scan(held(reset=True))
    for _ in range(400):
        twin.heartbeat()
        assert not twin.scan(move=WINDOW).gate_open
    assert not twin.out.rejecting and not twin.out.stop_line
    assert sum(twin.seen[f"outcome {n}"] for n in range(1, 7)) == 0


@pytest.mark.parametrize("jump", [100, -100, GATE - 300, -GATE, 1 << 30, 1 << 31])
def test_a_counter_that_jumps_with_nobody_saying_so_lets_no_part_pass_for_another(twin: Twin, jump: int) -> None:
    """Of four parts 100 counts apart the good ones' counts come to the gate when the bad ones are there, or never."""
    for part_id, verdict in ((1, FAIL), (2, PASS), (3, FAIL), (4, PASS)):
        twin.scan(latch=twin.encoder)
        twin.token(part_id, verdict)
        for _ in range(100 // WINDOW):
            twin.heartbeat()
            twin.scan(move=WINDOW)
    out = twin.scan(move=jump)
    assert (twin.gate.Count, out.stop_reason, out.rejecting, out.gate_open) == (0, 9, True, False)
    assert not twin.scan(held(reset=True)).stop_line, "no cause stands"
    for _ in range(GATE // WINDOW - 1):
        twin.heartbeat()
        out = twin.scan(move=WINDOW)
        assert out.rejecting and not out.gate_open and not out.stop_line
    assert not twin.scan(move=WINDOW).rejecting
    assert sum(twin.seen[f"outcome {n}"] for n in range(1, 7)) == 0


@pytest.mark.parametrize("late", [0, 1, 30])
def test_an_edge_latched_before_a_reset_makes_no_part(twin: Twin, late: int) -> None:
    before, part_id = twin.encoder, twin.plc.part_id + 1
    twin.scan(held(encoder_fault=late > 0), move=-before, latch=None if late else before)
    if late:
        assert not twin.scan(held(reset=True)).stop_line
        twin.travel(late)
        twin.scan(latch=before)
    assert (twin.gate.Count, twin.out.stop_reason, twin.out.rejecting) == (0, 9, True)
    assert twin.plc.part_id == part_id, "the gateway hears of it all the same"


def test_a_reset_button_held_down_or_pressed_in_the_scan_of_a_jump_ends_nothing(twin: Twin) -> None:
    twin.scan(move=500)
    assert twin.scan(held(reset=True), move=500).stop_reason == 9
    assert twin.scan(held(reset=True)).stop_reason == 9
    twin.scan()
    assert not twin.scan(held(reset=True)).stop_line


def test_a_belt_that_runs_back_past_the_photo_eye_loses_its_parts(twin: Twin) -> None:
    twin.scan(latch=twin.encoder)
    assert not twin.scan(move=-WINDOW).stop_line
    assert twin.scan(move=-1).stop_reason == 9


def test_a_part_that_falls_behind_the_gate_is_none_of_those(tmp_path: Path) -> None:
    twin = Twin(loaded_map(tmp_path), machine(sources(tmp_path)), confirm_within=GATE // 2).owned()
    twin.scan(latch=twin.encoder, bin_edges=())
    twin.travel(GATE + 3 * WINDOW, bin_edges=())
    for _ in range(3 * GATE // WINDOW):
        assert not twin.scan(move=-WINDOW, bin_edges=()).stop_line
    assert twin.gate.Count == 1
