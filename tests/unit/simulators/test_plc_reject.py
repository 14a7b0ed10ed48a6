"""Reject station: a reject is proven by the bin's sensor or stops the line, and nothing but a reset lets it run again."""

from __future__ import annotations

import struct

import pytest

from simulators.plant import PlcOutputs
from tests.unit.simulators.plc_rig import FAIL, GATE, PASS, WINDOW, Rig

WITHIN = 40


def station(**options: object) -> Rig:
    """A program with a bin sensor, owned, with one part under way that was judged FAIL."""
    rig = Rig(**({"confirm_within": WITHIN} | options)).cleared().owned()
    rig.scan(rig.encoder, bin_edges=())
    rig.token(1, FAIL)
    rig.scan(bin_edges=())
    return rig


def test_a_reject_has_no_outcome_until_its_fall_is_seen() -> None:
    rig = station()
    rig.scan(move=GATE, bin_edges=())
    assert [(e.part_id, e.passed) for e in rig.of("decided")] == [(1, False)]
    assert rig.outcome(1) == 0
    outputs = rig.scan(move=10, bin_edges=(rig.encoder + 5,))
    assert rig.outcome(1) == 2
    assert not outputs.stop_line


def test_without_a_sensor_the_gate_is_believed() -> None:
    rig = Rig(confirm_within=WITHIN).cleared().owned()
    rig.scan(rig.encoder)
    rig.scan(move=GATE)
    assert rig.outcome(1) == 2
    assert not rig.scan(move=10 * WITHIN).stop_line


@pytest.mark.parametrize(
    ("edge", "outcome"), [(-1, 3), (0, 2), (WITHIN, 2), (WITHIN + 1, 3)], ids=["before", "first", "last", "too late"]
)
def test_only_a_fall_within_the_distance_is_a_proof(edge: int, outcome: int) -> None:
    """In one long scan too: the edge's own encoder value counts, not the scan in which it comes."""
    rig = station()
    at_gate = rig.encoder + GATE
    outputs = rig.scan(move=GATE + 2 * WITHIN, bin_edges=(at_gate + edge,))
    assert rig.outcome(1) == outcome
    assert outputs.stop_line == (outcome == 3)


def test_a_reject_that_never_falls_stops_the_line_and_says_so() -> None:
    rig = station()
    assert not rig.scan(move=GATE + WITHIN, bin_edges=()).stop_line
    outputs = rig.scan(move=1, bin_edges=())
    assert outputs.stop_line
    assert not outputs.gate_open
    assert rig.outcome(1) == 3
    assert [(e.part_id, e.verdict) for e in rig.of("unconfirmed")] == [(1, "FAIL")]
    assert [e.detail for e in rig.of("stopped")] == ["reject of part 1 not confirmed"]


def test_a_part_without_a_token_must_fall_as_well() -> None:
    rig = Rig(confirm_within=WITHIN).cleared().owned()
    rig.scan(rig.encoder, bin_edges=())
    assert rig.scan(move=GATE + WITHIN + 1, bin_edges=()).stop_line
    assert rig.outcome(1) == 3


def test_the_fall_of_a_neighbour_proves_nothing() -> None:
    rig = Rig(confirm_within=WITHIN).cleared().owned()
    eye = rig.encoder
    rig.scan(eye, eye + 60, move=60, bin_edges=())
    rig.scan(move=GATE - 120, bin_edges=())
    outputs = rig.scan(move=60 + 60 + 20, bin_edges=(eye + 60 + GATE + 5,))
    assert outputs.stop_line
    assert (rig.outcome(1), rig.outcome(2)) == (3, 2)


def test_two_falls_in_one_scan_prove_both() -> None:
    rig = Rig(confirm_within=WITHIN).cleared().owned()
    eye = rig.encoder
    rig.scan(eye, eye + 60, move=60, bin_edges=())
    rig.scan(move=GATE - 120, bin_edges=())
    outputs = rig.scan(move=60 + 60 + 100, bin_edges=(eye + GATE + 5, eye + 60 + GATE + 5))
    assert (rig.outcome(1), rig.outcome(2)) == (2, 2)
    assert not outputs.stop_line


def test_a_part_that_passed_is_not_waited_for() -> None:
    rig = Rig(confirm_within=WITHIN).cleared().owned()
    rig.scan(rig.encoder, bin_edges=())
    rig.token(1, PASS)
    rig.scan(move=GATE - WINDOW, bin_edges=())
    rig.scan(move=WINDOW, bin_edges=())
    assert rig.outcome(1) == 1
    assert not rig.scan(move=3 * WITHIN, bin_edges=()).stop_line


def test_falls_are_told_apart_over_the_wrap_of_the_encoder() -> None:
    rig = Rig(confirm_within=WITHIN, encoder=2**32 - 2 * GATE - 5).cleared().owned()
    eye = rig.encoder
    rig.scan(eye, bin_edges=())
    rig.scan(move=GATE + WITHIN, bin_edges=((eye + GATE + 20) & 0xFFFFFFFF,))
    assert rig.encoder < GATE, "the counter has wrapped between photo-eye and bin"
    assert rig.outcome(1) == 2


def stopped() -> Rig:
    rig = station()
    rig.scan(move=GATE + WITHIN + 1, bin_edges=())
    return rig


def pass_in_front_of_the_gate(rig: Rig, **signals: object) -> PlcOutputs:
    eye = rig.encoder
    rig.scan(eye, bin_edges=())
    part_id = rig.of("assigned")[-1].part_id
    rig.token(part_id, PASS)
    rig.heartbeat()
    rig.scan(bin_edges=())
    return rig.scan(move=GATE - WINDOW, bin_edges=(), **signals)


def test_nothing_passes_while_the_line_is_stopped_and_a_reset_lets_it() -> None:
    rig = stopped()
    assert not pass_in_front_of_the_gate(rig).gate_open
    outputs = rig.scan(bin_edges=(), reset=True)
    assert (outputs.stop_line, outputs.gate_open) == (False, True)
    assert len(rig.of("released")) == 1
    assert rig.scan(move=WINDOW, bin_edges=()).gate_open
    assert rig.outcome(2) == 1


def test_the_stop_is_latched_over_time_stop_and_restart() -> None:
    rig = stopped()
    for _ in range(50):
        assert rig.scan(bin_edges=()).stop_line
    rig.plc.stop()
    assert rig.scan(bin_edges=()).stop_line
    rig.plc.run()
    assert rig.scan(bin_edges=()).stop_line
    rig.plc.restart()
    assert rig.scan(bin_edges=()).stop_line
    assert not rig.scan(bin_edges=(), reset=True).stop_line


def test_a_reset_button_held_down_does_not_reset_the_next_stop() -> None:
    rig = stopped()
    assert not rig.scan(bin_edges=(), reset=True).stop_line
    rig.scan(rig.encoder, bin_edges=(), reset=True)
    assert rig.scan(move=GATE + WITHIN + 1, bin_edges=(), reset=True).stop_line
    assert rig.scan(bin_edges=(), reset=True).stop_line
    rig.scan(bin_edges=(), reset=False)
    assert not rig.scan(bin_edges=(), reset=True).stop_line


def test_a_restart_forgets_what_was_falling() -> None:
    rig = station()
    rig.scan(move=GATE, bin_edges=())
    rig.plc.restart()
    assert not rig.scan(bin_edges=()).stop_line
    assert not rig.scan(move=10 * WITHIN, bin_edges=()).stop_line
    assert rig.of("unconfirmed") == []


def test_a_restart_begins_to_count_parts_without_a_token_anew() -> None:
    rig = Rig(most_without_token=2).cleared()
    for _ in range(3):
        rig.scan(rig.encoder)
        assert not rig.scan(move=GATE + WINDOW + 1).stop_line
        rig.plc.restart()
        rig.scan()


def test_the_first_reason_for_a_stop_is_the_one_that_is_told() -> None:
    rig = stopped()
    struct.pack_into(">H", rig.plc.down, 2, 0x0200)
    rig.heartbeat()
    assert rig.scan(bin_edges=(), stop_permit=True).stop_line
    assert [e.detail for e in rig.of("stopped")] == ["reject of part 1 not confirmed"]
    assert rig.plc._station.stop == "reject of part 1 not confirmed"


def test_so_many_parts_without_a_token_stop_the_line() -> None:
    """A gateway that hangs: the PLC rejects first, then it stops."""
    rig = Rig(most_without_token=3).cleared().owned()
    for tokens, stops in ((FAIL, False), (0, False), (0, False), (FAIL, False), (0, False), (0, False), (0, True)):
        rig.heartbeat()
        rig.scan(rig.encoder)
        if tokens:
            rig.token(rig.of("assigned")[-1].part_id, tokens)
            rig.scan()
        assert rig.scan(move=GATE + WINDOW + 1).stop_line == stops
    assert [e.detail for e in rig.of("stopped")] == ["3 parts in a row without a token"]
    assert not rig.scan(reset=True).stop_line
    for stops in (False, False, True):
        rig.scan(rig.encoder)
        assert rig.scan(move=GATE + WINDOW + 1).stop_line == stops, "the count begins anew"


def test_a_gateway_that_hangs_what_is_latched_passes_then_parts_are_rejected_then_the_line_stops() -> None:
    rig = Rig(most_without_token=2, confirm_within=WITHIN).cleared().owned()
    eyes = []
    for part_id in (1, 2, 3, 4):
        eyes.append(rig.encoder)
        rig.scan(rig.encoder, bin_edges=())
        if part_id <= 2:
            rig.token(part_id, PASS)
        if part_id == 2:
            rig.heartbeat()
        rig.scan(move=200, bin_edges=())
    for _ in range(31):
        rig.scan(bin_edges=())
    assert [e.detail for e in rig.of("owner")] == ["granted", "lost"]
    rig.token(3, PASS)  # what it still says after the PLC's watchdog has tripped
    stopped = []
    while len(rig.of("decided")) < 4:
        before = rig.encoder
        falls = tuple(eye + GATE for eye in eyes[2:] if before < eye + GATE <= before + 5)
        stopped.append(rig.scan(move=5, bin_edges=falls).stop_line)
    assert [(e.part_id, e.verdict, e.passed) for e in rig.of("decided")] == [
        (1, "PASS", True),
        (2, "PASS", True),
        (3, "", False),
        (4, "", False),
    ]
    assert stopped.count(True) == 1 and stopped[-1], "with the second part in a row"


def test_the_gateways_stop_request_is_heeded_when_permitted_and_once() -> None:
    rig = Rig().cleared().owned()
    struct.pack_into(">H", rig.plc.down, 2, 0x0200)
    assert not rig.scan(stop_permit=False).stop_line
    assert rig.up("H", 0)[0] == 0x0101
    assert rig.scan(stop_permit=True).stop_line
    assert rig.up("H", 0)[0] == 0x0901
    assert [e.detail for e in rig.of("stopped")] == ["the gateway asked for it"]
    assert not rig.scan(stop_permit=True, reset=True).stop_line, "a request that stands is no new one"
    struct.pack_into(">H", rig.plc.down, 2, 0)
    rig.scan(stop_permit=True)
    struct.pack_into(">H", rig.plc.down, 2, 0x0200)
    assert rig.scan(stop_permit=True).stop_line


def test_a_stop_request_without_an_owner_whose_heart_beats_is_nobodys() -> None:
    rig = Rig().cleared()
    struct.pack_into(">H", rig.plc.down, 2, 0x0200)
    assert not rig.scan(stop_permit=True).stop_line
