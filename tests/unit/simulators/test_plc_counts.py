"""Counts that cannot be: a counter that jumps, is reset or is heard of late, with nobody saying that it is at fault."""

from __future__ import annotations

import pytest

from simulators.plant import PlcOutputs, Settings, StopReason
from tests.unit.simulators.plc_rig import FAIL, GATE, PASS, WINDOW, Rig

SPACING = 100


@pytest.fixture
def rig() -> Rig:
    """A belt that moves by no more than a window in a scan, as a machine's does."""
    bench = Rig(settings=Settings(scan_ms=10))
    bench.scan()
    travel(bench, GATE)
    return bench.owned()


def travel(rig: Rig, counts: int) -> list[PlcOutputs]:
    """Move the belt on at full speed, the gateway alive."""
    outputs = []
    for _ in range(counts // WINDOW):
        rig.heartbeat()
        outputs.append(rig.scan(move=WINDOW))
    return outputs


def part(rig: Rig, part_id: int, verdict: int) -> None:
    """Let a part come to the photo-eye and be judged, and the belt move on to the next one's place."""
    rig.scan(rig.encoder)
    rig.token(part_id, verdict)
    travel(rig, SPACING)


def lost(rig: Rig, outputs: PlcOutputs) -> bool:
    """Return whether all that follows from lost counts has followed."""
    stopped = (outputs.stop_reason, outputs.rejecting, outputs.gate_open) == (StopReason.ENCODER_FAULT, True, False)
    assert stopped or outputs.stop_reason == StopReason.NONE
    return stopped and len(rig.plc._tracking) == 0


def nothing_passes_for_one_distance(rig: Rig) -> None:
    """Nor is any of the old parts told of; after that all is as ever."""
    rig.scan(reset=True)
    outputs = travel(rig, GATE)
    assert not any(o.gate_open or o.stop_line for o in outputs)
    assert [o.rejecting for o in outputs[-2:]] == [True, False]
    assert rig.of("decided") == []
    part(rig, rig.plc.part_id + 1, PASS)
    assert any(o.gate_open for o in travel(rig, GATE))
    assert [e.passed for e in rig.of("decided")] == [True]


@pytest.mark.parametrize("jump", [SPACING, -SPACING, GATE - 3 * SPACING, GATE, -GATE, 1 << 30, -(1 << 30), 1 << 31])
def test_no_part_passes_on_anothers_verdict_when_the_counter_jumps(rig: Rig, jump: int) -> None:
    """With a jump on by one spacing the good part's count stands at the gate when the bad part before it is there."""
    for part_id, verdict in ((1, FAIL), (2, PASS), (3, FAIL), (4, PASS)):
        part(rig, part_id, verdict)
    assert lost(rig, rig.scan(move=jump))
    nothing_passes_for_one_distance(rig)


def test_a_reset_counter_does_not_leave_a_part_that_blocks_all_others(rig: Rig) -> None:
    part(rig, 1, PASS)
    assert lost(rig, rig.scan(move=-rig.encoder))
    nothing_passes_for_one_distance(rig)


@pytest.mark.parametrize("scans", [0, 1, 30])
def test_an_edge_from_before_a_reset_makes_no_part(rig: Rig, scans: int) -> None:
    """It is heard of in the scan of the reset, or later; its number is given and shown all the same."""
    old = rig.encoder
    if scans:
        rig.scan(move=-old, encoder_fault=True)
        rig.scan(reset=True)
        travel(rig, WINDOW * (scans - 1))
        assert lost(rig, rig.scan(old))
    else:
        assert lost(rig, rig.scan(old, move=-old))
    assert rig.plc.part_id == 1
    assert rig.up("I", 8) == (1,)
    nothing_passes_for_one_distance(rig)


def test_an_edge_from_before_a_jump_onward_opens_nothing_for_whoever_is_there(rig: Rig) -> None:
    """Its count looks possible, but is left behind before anything may pass again."""
    old = rig.encoder
    assert lost(rig, rig.scan(move=GATE // 2))
    rig.scan(old, reset=True)
    rig.token(1, PASS)
    assert not any(o.gate_open for o in travel(rig, GATE))


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize(("elapsed_ms", "windows"), [(1, 1), (10, 1), (11, 2), (20, 2), (500, 50)])
def test_how_far_a_belt_moves_in_the_time_gone_by(rig: Rig, elapsed_ms: int, windows: int, back: bool) -> None:
    """In each scan's time begun, by one window and no more."""
    for more, is_lost in ((0, False), (windows, True)):
        rig.scan_ms = elapsed_ms
        move = windows * WINDOW + more
        assert lost(rig, rig.scan(move=-move if back else move)) is is_lost


def test_a_belt_that_creeps_back_is_believed_as_far_as_a_window_before_the_photo_eye(rig: Rig) -> None:
    rig.scan(rig.encoder)
    assert not lost(rig, rig.scan(move=-WINDOW))
    assert lost(rig, rig.scan(move=-1))


def test_a_part_behind_the_gate_may_go_back(rig: Rig) -> None:
    rig.scan(rig.encoder)
    travel(rig, GATE + 2 * WINDOW)
    for _ in range(2 * GATE // WINDOW):
        rig.heartbeat()
        assert not lost(rig, rig.scan(move=-WINDOW))


def test_each_first_scan_takes_the_counter_as_it_is(rig: Rig) -> None:
    rig.plc.restart()
    assert not lost(rig, rig.scan(move=12345))


@pytest.mark.parametrize("jump", [WINDOW - 5, -WINDOW - 5])
def test_a_jump_that_is_too_small_to_be_seen_gives_no_part_anothers_gate(rig: Rig, jump: int) -> None:
    """Parts are spaced by 100, the belt moves by 5 in a scan: what stands open in front of the bad part?"""
    part(rig, 1, PASS)
    part(rig, 2, FAIL)
    part(rig, 3, PASS)
    at_gate = {n: GATE - SPACING * (4 - n) for n in (1, 2, 3)}
    assert not lost(rig, rig.scan(move=jump + 5))
    opened, true_at = {}, 5
    while true_at < GATE:
        rig.heartbeat()
        open_before = rig.scan(move=5).gate_open
        opened.update({n: open_before for n, at in at_gate.items() if true_at < at <= true_at + 5})
        true_at += 5
    assert opened == {1: jump > 0, 2: False, 3: jump > 0}  # after one back the gate is late, and a part too many turned away


def test_edges_in_the_wrong_order_hide_no_part(rig: Rig) -> None:
    """A belt that creeps back may give them so; the walk over the parts must not end at the one that is farther back."""
    eye = rig.encoder
    rig.scan(eye + WINDOW, eye)
    rig.token(1, FAIL)
    rig.token(2, PASS)
    rig.scan()
    travel(rig, GATE + 3 * WINDOW)
    assert [(e.part_id, e.passed) for e in rig.of("decided")] == [(2, True), (1, False)]
