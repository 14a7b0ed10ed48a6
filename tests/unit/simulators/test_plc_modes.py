"""The key switch: what passes in each mode, whose mode counts, the limits of Bypass, and what is shown and reported."""

from __future__ import annotations

import pytest

from simulators.plant import Mode, PlcOutputs, Settings, StopReason
from tests.unit.simulators.plc_rig import FAIL, GATE, LEAP, NOT_INSPECTED, PASS, WINDOW, Rig

AUTOMATIC, MANUAL, MONITOR, BYPASS = 0, 1, 2, 3


def through(rig: Rig, verdict: int = 0, *, at_gate: dict[str, object] | None = None, **at_eye: object) -> PlcOutputs:
    """Let one part come by the photo-eye with the inputs ``at_eye`` and go to the gate with those of ``at_gate``."""
    at_gate = {k: v for k, v in at_eye.items() if k in ("mode", "recheck_fitted", "simulation")} | (at_gate or {})
    rig.scan(rig.encoder, **at_eye)
    if verdict:
        rig.heartbeat()
        rig.token(rig.plc.part_id, verdict)
    rig.scan(**at_gate)
    rig.scan(move=GATE - WINDOW, **at_gate)
    outputs = rig.scan(move=WINDOW, **at_gate)
    rig.scan(move=WINDOW + 1, **at_gate)
    return outputs


@pytest.mark.parametrize("verdict", [0, PASS, FAIL, NOT_INSPECTED], ids=["none", "pass", "fail", "not inspected"])
@pytest.mark.parametrize(
    ("mode", "outcomes"),
    [
        (AUTOMATIC, {PASS: 1}),
        (MANUAL, {}),
        (MONITOR, {0: 1, PASS: 1, FAIL: 1, NOT_INSPECTED: 1}),
        (BYPASS, {0: 6, PASS: 6, FAIL: 6, NOT_INSPECTED: 6}),
    ],
)
def test_what_passes_in_each_mode(mode: int, outcomes: dict[int, int], verdict: int) -> None:
    rig = Rig().cleared().owned()
    outputs = through(rig, verdict, mode=mode)
    assert rig.outcome(1) == outcomes.get(verdict, 2)
    assert outputs.gate_open == (verdict in outcomes)


@pytest.mark.parametrize("mode", [MONITOR, BYPASS])
def test_neither_needs_a_gateway(mode: int) -> None:
    rig = Rig().cleared()
    assert through(rig, mode=mode).gate_open


@pytest.mark.parametrize(("mode", "shown"), [(0, 0x0101), (1, 0x0301), (2, 0x0501), (3, 0x0701), (4, 0x0301), (9, 0x0301)])
def test_the_mode_is_shown_and_an_unknown_one_is_manual(mode: int, shown: int) -> None:
    rig = Rig().cleared().owned()
    rig.scan(mode=mode)
    assert rig.up("H", 0)[0] == shown


def test_an_unknown_mode_lets_nothing_pass() -> None:
    rig = Rig().cleared().owned()
    assert not through(rig, PASS, mode=4).gate_open


@pytest.mark.parametrize("present", list(Mode))
@pytest.mark.parametrize("own", list(Mode))
def test_a_part_passes_by_nothing_better_than_its_mode_and_the_present_one(own: Mode, present: Mode) -> None:
    """Without a token; a part that has a PASS passes unless either mode is Manual."""
    rig = Rig().cleared().owned()
    through(rig, 0, mode=own, at_gate={"mode": present})
    same = own is present
    assert rig.outcome(1) == {Mode.MONITOR_ONLY: 1, Mode.BYPASS: 6}.get(own, 2) if same else rig.outcome(1) == 2
    through(rig, PASS, mode=own, at_gate={"mode": present})
    if Mode.MANUAL in (own, present):
        assert rig.outcome(2) == 2
    else:
        assert rig.outcome(2) == (6 if same and own is Mode.BYPASS else 1)


OTHERS = [(mode, other) for mode in (MONITOR, BYPASS) for other in (AUTOMATIC, MANUAL, MONITOR, BYPASS) if other != mode]


@pytest.mark.parametrize(("mode", "other"), OTHERS)
def test_a_key_turned_with_a_part_in_the_window_turns_it_away(mode: int, other: int) -> None:
    """The belt stands, the key is turned, perhaps back again, the belt runs: nobody has said that the part may pass."""
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder, mode=mode)
    assert rig.scan(move=GATE - WINDOW, mode=mode).gate_open
    assert rig.scan(mode=mode).gate_open
    assert not rig.scan(mode=other).gate_open
    assert not rig.scan(mode=mode).gate_open, "turning it back lets nothing pass that was turned away"
    rig.scan(move=WINDOW, mode=other)
    assert rig.outcome(1) == 2
    assert [(e.passed, e.detail) for e in rig.of("decided")] == [(False, "the key was turned")]


def test_a_key_turned_as_the_part_is_at_the_gate_shuts_it_and_the_part_has_passed() -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder, mode=BYPASS)
    assert rig.scan(move=GATE - WINDOW, mode=BYPASS).gate_open
    assert not rig.scan(move=WINDOW, mode=AUTOMATIC).gate_open
    assert rig.outcome(1) == 6, "the gate stood open until it was there"


@pytest.mark.parametrize("present", [MONITOR, BYPASS])
def test_a_pass_stays_good_when_the_key_is_turned_in_the_window(present: int) -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder)
    rig.token(1)
    rig.scan()
    assert rig.scan(move=GATE - WINDOW).gate_open
    assert rig.scan(move=WINDOW, mode=present).gate_open
    assert rig.outcome(1) == 1


def test_manual_shuts_the_gate_in_the_scan_in_which_the_key_is_turned() -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder, mode=BYPASS)
    assert rig.scan(move=GATE - WINDOW, mode=BYPASS).gate_open
    assert not rig.scan(move=1, mode=MANUAL).gate_open


def test_monitor_only_leaves_the_station_to_the_existing_inspection() -> None:
    rig = Rig().cleared().owned()
    assert not through(rig, PASS, mode=MONITOR, external_reject=True).gate_open
    assert through(rig, FAIL, mode=MONITOR).gate_open
    assert (rig.outcome(1), rig.outcome(2)) == (2, 1)
    assert [e.verdict for e in rig.of("latched")] == ["PASS", "FAIL"], "tokens are latched all the same"
    assert [e.detail for e in rig.of("decided")] == ["external reject", "monitor only"]


def bypassing(**settings: object) -> Rig:
    return Rig(settings=Settings(scan_ms=LEAP, **settings)).cleared()  # type: ignore[arg-type]


def test_bypass_ends_with_the_number_of_its_parts() -> None:
    rig = bypassing(bypass_max_parts=2)
    for part_id in (1, 2):
        assert through(rig, mode=BYPASS).gate_open
        assert rig.outcome(part_id) == 6
    outputs = through(rig, mode=BYPASS)
    assert not outputs.gate_open
    assert (outputs.stop_line, outputs.stop_reason) == (True, StopReason.BYPASS_LIMIT)
    assert rig.outcome(3) == 2
    assert [e.detail for e in rig.of("stopped")] == ["the limit of bypass is reached"]


def test_bypass_of_no_parts_is_none() -> None:
    rig = bypassing(bypass_max_parts=0)
    assert not through(rig, mode=BYPASS).gate_open


def test_bypass_ends_after_its_time_and_no_reset_renews_it() -> None:
    rig = bypassing(bypass_max_ms=100)
    for _ in range(10):
        assert not rig.scan(mode=BYPASS).stop_line
    outputs = rig.scan(mode=BYPASS)
    assert (outputs.stop_line, outputs.stop_reason) == (True, 10)
    assert rig.scan(mode=BYPASS, reset=True).stop_line, "the key comes first"
    rig.scan(mode=AUTOMATIC)
    assert not rig.scan(mode=AUTOMATIC, reset=True).stop_line
    for _ in range(10):
        assert not rig.scan(mode=BYPASS).stop_line
    assert rig.scan(mode=BYPASS).stop_line


def test_a_restart_renews_neither_limit() -> None:
    rig = bypassing(bypass_max_ms=100_000, bypass_max_parts=1)
    through(rig, mode=BYPASS)
    rig.plc.restart()
    rig.scan(mode=BYPASS)
    rig.scan(move=GATE, mode=BYPASS)
    assert not through(rig, mode=BYPASS).gate_open
    rig = bypassing(bypass_max_ms=50)
    for _ in range(4):
        rig.scan(mode=BYPASS)
    rig.plc.restart()
    assert not rig.scan(mode=BYPASS).stop_line, "the first scan knows no time before it"
    assert not rig.scan(mode=BYPASS).stop_line
    assert rig.scan(mode=BYPASS).stop_line


def test_other_modes_use_nothing_of_bypass_up() -> None:
    rig = bypassing(bypass_max_ms=50, bypass_max_parts=1)
    for _ in range(20):
        rig.scan()
    assert through(rig, mode=BYPASS).gate_open


def test_parts_in_a_row_are_counted_in_automatic_alone() -> None:
    rig = Rig(most_without_token=2, settings=Settings(scan_ms=LEAP, max_consecutive_rejects=2)).cleared().owned()
    for mode in (MANUAL, MANUAL, MANUAL, MONITOR, MONITOR, MONITOR, BYPASS, BYPASS):
        assert not through(rig, mode=mode, external_reject=mode == MONITOR).stop_line
    assert not through(rig).stop_line
    through(rig, mode=MANUAL)
    assert through(rig).stop_line, "the count stood still meanwhile"
