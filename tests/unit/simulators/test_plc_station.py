"""The reject station: challenge, audit, another station's reject, the recheck exit, stops by level, the gateway's bits."""

from __future__ import annotations

import struct

import pytest

from simulators.plant import Settings, StopReason
from tests.unit.simulators.plc_rig import EPOCH, FAIL, GATE, LEAP, NOT_INSPECTED, PASS, WINDOW, Rig
from tests.unit.simulators.test_plc_modes import AUTOMATIC, BYPASS, MANUAL, MONITOR, through

WITHIN = 40
MODEL_UNVERIFIED, SIMULATED = 0x0040, 0x0080


def rig(**settings: object) -> Rig:
    return Rig(confirm_within=WITHIN, settings=Settings(scan_ms=LEAP, **settings)).cleared().owned()  # type: ignore[arg-type]


def status2(bench: Rig, bits: int) -> None:
    struct.pack_into(">H", bench.plc.down, 2, bits)


@pytest.mark.parametrize("mode", [AUTOMATIC, MANUAL, MONITOR, BYPASS])
@pytest.mark.parametrize(("signal", "outcome"), [("challenge", 4), ("audit", 5)])
def test_a_challenge_and_an_audit_part_are_turned_away_in_every_mode(signal: str, outcome: int, mode: int) -> None:
    bench = rig()
    outputs = through(bench, PASS, mode=mode, recheck_fitted=True, **{signal: True})
    assert (outputs.gate_open, outputs.recheck_open) == (False, False)
    assert bench.outcome(1) == outcome
    assert [e.verdict for e in bench.of("decided")] == ["PASS"], "its verdict was told before"


def test_a_challenge_part_that_is_an_audit_sample_too_is_a_challenge() -> None:
    bench = rig()
    through(bench, FAIL, challenge=True, audit=True)
    assert bench.outcome(1) == 4


def test_a_challenge_part_that_does_not_fall_into_the_bin_stops_the_line() -> None:
    bench = rig()
    bench.scan(bench.encoder, bin_edges=(), challenge=True)
    bench.scan(move=GATE, bin_edges=())
    assert bench.outcome(1) == 0
    assert bench.scan(move=WITHIN + 1, bin_edges=()).stop_reason == StopReason.NOT_CONFIRMED
    assert bench.outcome(1) == 3


def test_a_challenge_part_that_falls_is_recovered() -> None:
    bench = rig()
    bench.scan(bench.encoder, bin_edges=(), challenge=True)
    bench.scan(move=GATE, bin_edges=())
    bench.scan(move=10, bin_edges=(bench.encoder + 5,))
    assert bench.outcome(1) == 4


def test_the_signals_belong_to_the_part_at_the_photo_eye_alone() -> None:
    bench = rig()
    bench.scan(bench.encoder, challenge=False)
    bench.token(1, PASS)
    bench.scan(challenge=True, audit=True, external_reject=True)
    bench.scan(move=GATE - WINDOW, challenge=True, audit=True, external_reject=True)
    assert bench.scan(move=WINDOW, challenge=True, audit=True, external_reject=True).gate_open
    assert bench.outcome(1) == 1


@pytest.mark.parametrize(("mode", "opens"), [(AUTOMATIC, False), (MANUAL, False), (MONITOR, False), (BYPASS, True)])
def test_an_external_reject_never_passes_but_by_bypass(mode: int, opens: bool) -> None:
    bench = rig()
    outputs = through(bench, PASS, mode=mode, external_reject=True, recheck_fitted=True)
    assert (outputs.gate_open, outputs.recheck_open) == (opens, False)
    assert bench.outcome(1) == (6 if opens else 2)


@pytest.mark.parametrize(
    ("verdict", "gates"),
    [(0, (False, True)), (NOT_INSPECTED, (False, True)), (FAIL, (False, False)), (PASS, (True, False))],
)
def test_what_nobody_inspected_goes_to_the_recheck_exit(verdict: int, gates: tuple[bool, bool]) -> None:
    bench = rig()
    outputs = through(bench, verdict, recheck_fitted=True)
    assert (outputs.gate_open, outputs.recheck_open) == gates
    assert bench.outcome(1) == (1 if verdict == PASS else 2)


def test_the_bin_is_not_asked_about_what_went_to_the_recheck_exit() -> None:
    bench = rig()
    fitted = {"recheck_fitted": True, "bin_edges": ()}
    bench.scan(bench.encoder, **fitted)
    bench.scan(move=GATE - WINDOW, **fitted)
    bench.scan(move=WINDOW, **fitted)
    assert bench.outcome(1) == 2
    assert not bench.scan(move=2 * WITHIN, **fitted).stop_line


def test_where_parts_for_different_exits_come_together_both_are_rejected() -> None:
    bench = rig()
    eye = bench.encoder
    bench.scan(eye, recheck_fitted=True)
    bench.scan(eye + WINDOW // 2, move=WINDOW // 2, recheck_fitted=True)
    bench.token(2, PASS)
    bench.scan(recheck_fitted=True)
    assert bench.scan(move=GATE - WINDOW - WINDOW // 2, recheck_fitted=True).recheck_open
    outputs = bench.scan(move=WINDOW // 2, recheck_fitted=True)
    assert (outputs.gate_open, outputs.recheck_open) == (False, False)


LEVELS = [
    ({"bin_full": True}, StopReason.BIN_FULL, "the reject bin is full"),
    ({"bin_unlocked": True}, StopReason.BIN_UNLOCKED, "the reject bin is unlocked"),
    ({"air_ok": False}, StopReason.AIR_LOST, "the air pressure is lost"),
    ({"ejector_home": False}, StopReason.EJECTOR_NOT_HOME, "the ejector is not home"),
    ({"encoder_fault": True}, StopReason.ENCODER_FAULT, "the encoder is at fault"),
]


@pytest.mark.parametrize(("level", "reason", "words"), LEVELS, ids=[str(int(reason)) for _, reason, _ in LEVELS])
@pytest.mark.parametrize("mode", [AUTOMATIC, MONITOR, BYPASS])
def test_a_level_stops_the_line_and_shuts_the_gate_at_once(
    level: dict[str, bool], reason: StopReason, words: str, mode: int
) -> None:
    bench = rig()
    bench.scan(bench.encoder, mode=mode)
    bench.token(1, PASS)
    bench.scan(mode=mode)
    assert bench.scan(move=GATE - WINDOW, mode=mode).gate_open
    outputs = bench.scan(move=1, mode=mode, **level)
    assert (outputs.gate_open, outputs.stop_line, outputs.stop_reason) == (False, True, reason)
    assert [e.detail for e in bench.of("stopped")] == [words]
    assert bench.scan(mode=mode, reset=True, **level).stop_line, "its cause is still there"
    bench.scan(mode=mode)
    assert bench.scan(mode=mode).stop_line, "latched"
    assert not bench.scan(mode=mode, reset=True).stop_line


def test_the_first_reason_stands_and_the_next_one_follows_its_reset() -> None:
    bench = rig()
    assert bench.scan(air_ok=False).stop_reason == StopReason.AIR_LOST
    assert bench.scan(bin_full=True).stop_reason == StopReason.AIR_LOST
    outputs = bench.scan(bin_full=True, reset=True)
    assert (outputs.stop_line, outputs.stop_reason) == (True, StopReason.BIN_FULL)
    assert [e.detail for e in bench.of("stopped")] == ["the air pressure is lost", "the reject bin is full"]


def test_of_levels_that_come_together_the_lowest_number_is_told() -> None:
    bench = rig()
    assert bench.scan(air_ok=False, bin_unlocked=True, encoder_fault=True).stop_reason == StopReason.BIN_UNLOCKED


def test_after_a_fault_of_the_encoder_the_belt_must_clear_first() -> None:
    bench = rig()
    bench.scan(bench.encoder)
    bench.token(1, PASS)
    bench.scan()
    bench.scan(move=GATE // 2, encoder_fault=True)
    outputs = bench.scan(reset=True)
    assert (outputs.stop_line, outputs.rejecting) == (False, True)
    assert not bench.scan(move=GATE // 2 - WINDOW).gate_open
    assert not bench.scan(move=WINDOW).gate_open
    assert bench.outcome(1) == 0, "nobody knows which part was at the gate"
    bench.scan(bench.encoder)
    bench.token(2, PASS)
    bench.heartbeat()
    assert bench.scan().rejecting
    assert not bench.scan(move=GATE // 2).rejecting
    assert bench.scan(move=GATE // 2 - WINDOW).gate_open


@pytest.mark.parametrize("jump", [-GATE // 2, -(1 << 30), 1 << 30], ids=["reset", "far back", "far on"])
def test_a_counter_that_jumps_in_a_fault_leaves_no_part_behind(jump: int) -> None:
    """Neither blocks an old part the ones that come later, nor opens it the gate when its count comes round."""
    bench = rig()
    for part_id in (1, 2):
        bench.scan(bench.encoder)
        bench.token(part_id, PASS)
        bench.scan(move=100)
    bench.scan(bench.encoder, move=jump, encoder_fault=True)
    assert bench.plc.part_id == 3, "the gateway hears of it all the same"
    assert len(bench.plc._tracking) == 0
    bench.scan(reset=True)
    for _ in range(40):  # after the short jump: beyond the counts at which the three would have been at the gate
        bench.heartbeat()
        assert not bench.scan(move=100).gate_open
    assert [bench.outcome(part_id) for part_id in (1, 2, 3)] == [0, 0, 0]
    bench.scan(bench.encoder)
    bench.token(4, PASS)
    bench.heartbeat()
    bench.scan()
    assert bench.scan(move=GATE - WINDOW).gate_open
    bench.scan(move=WINDOW)
    assert bench.outcome(4) == 1
    bench.scan(move=WINDOW + 1)
    assert len(bench.plc._tracking) == 0


def test_a_fault_of_the_encoder_ends_the_wait_for_a_part_to_fall() -> None:
    bench = rig()
    bench.scan(bench.encoder, bin_edges=())
    bench.scan(move=GATE, bin_edges=())
    outputs = bench.scan(move=-GATE, bin_edges=(), encoder_fault=True)
    assert outputs.stop_reason == StopReason.ENCODER_FAULT
    bench.scan(reset=True, bin_edges=())
    for _ in range(30):
        assert not bench.scan(move=100, bin_edges=()).stop_line
    assert bench.of("unconfirmed") == []


def test_rejects_in_a_row_stop_the_line_and_challenges_do_not_count() -> None:
    bench = rig(max_consecutive_rejects=3)
    stops = []
    for verdict, signals in (
        (FAIL, {}),
        (FAIL, {"challenge": True}),
        (FAIL, {"audit": True}),
        (PASS, {"challenge": True}),
        (0, {}),
    ):
        stops.append(through(bench, verdict, **signals).stop_line)
    assert not any(stops)
    outputs = through(bench, FAIL)
    assert (outputs.stop_line, outputs.stop_reason) == (True, StopReason.REJECTS)
    assert [e.detail for e in bench.of("stopped")] == ["3 rejects in a row"]
    bench.scan(reset=True)
    assert not through(bench, FAIL).stop_line
    assert not through(bench, FAIL).stop_line
    assert not through(bench, PASS).stop_line
    assert not through(bench, FAIL).stop_line


@pytest.mark.parametrize(("rate", "stops"), [(0, False), (66.0, False), (67.0, True)])
def test_a_ring_too_slow_for_the_part_rate_refuses_to_run(rate: float, stops: bool) -> None:
    """8 tokens at 66.7 parts/s last 120 ms: three times a scan of 20 ms and a link cycle of 20 ms."""
    bench = Rig(settings=Settings(max_parts_per_s=rate, scan_ms=20, link_cycle_ms=20))
    outputs = bench.scan()
    assert (outputs.stop_line, int(outputs.stop_reason)) == (stops, 11 if stops else 0)
    assert bench.scan(reset=True).stop_line == stops


def test_simulated_pictures_open_no_real_gate() -> None:
    bench = rig()
    status2(bench, SIMULATED)
    assert through(bench, PASS, simulation=True).gate_open
    assert not through(bench, PASS, simulation=False).gate_open
    assert bench.outcome(2) == 2
    for mode in (MONITOR, BYPASS):
        assert not through(bench, 0, mode=mode, simulation=False).gate_open


def test_a_verdict_on_simulated_pictures_stays_one_when_a_real_gateway_takes_over() -> None:
    bench = rig()
    status2(bench, SIMULATED)
    bench.scan(bench.encoder, simulation=False)
    bench.token(1, PASS)
    bench.scan(simulation=False)
    status2(bench, 0)
    assert not bench.scan(move=GATE - WINDOW, simulation=False).gate_open
    bench.scan(move=WINDOW, simulation=False)
    assert [(e.verdict, e.detail) for e in bench.of("decided")] == [("PASS", "simulated pictures")]


def test_an_owner_that_has_not_spoken_yet_may_be_a_simulated_one() -> None:
    for spoken in (False, True):
        bench = Rig().cleared()
        bench.claim(EPOCH)
        bench.scan(bench.encoder, simulation=False)
        if spoken:
            bench.heartbeat()
        bench.token(1, PASS)
        bench.scan(simulation=False)
        assert bench.scan(move=GATE - WINDOW, simulation=False).gate_open == spoken


@pytest.mark.parametrize("moment", ["latched", "decided"])
@pytest.mark.parametrize(
    ("reaction", "fitted", "gates"),
    [
        ("pass", True, (True, False)),
        ("hold", True, (False, True)),
        ("hold", False, (False, False)),
        ("reject", True, (False, False)),
    ],
)
def test_what_becomes_of_a_pass_of_a_model_that_is_not_verified(
    reaction: str, fitted: bool, gates: tuple[bool, bool], moment: str
) -> None:
    bench = rig(model_unverified=reaction)
    status2(bench, MODEL_UNVERIFIED if moment == "latched" else 0)
    bench.scan(bench.encoder, recheck_fitted=fitted)
    bench.token(1, PASS)
    bench.scan(recheck_fitted=fitted)
    status2(bench, MODEL_UNVERIFIED if moment == "decided" else 0)
    outputs = bench.scan(move=GATE - WINDOW, recheck_fitted=fitted)
    assert (outputs.gate_open, outputs.recheck_open) == gates


def test_a_stopped_cpu_holds_every_gate() -> None:
    bench = rig()
    bench.scan(bench.encoder, recheck_fitted=True)
    assert bench.scan(move=GATE - WINDOW, recheck_fitted=True).recheck_open
    bench.plc.stop()
    outputs = bench.scan(move=1, recheck_fitted=True)
    assert (outputs.gate_open, outputs.recheck_open, outputs.owner_alive, outputs.rejecting) == (False, False, False, True)
