"""Adjustment requests: every answer, and that the sequence is echoed last and once."""

from __future__ import annotations

import math
import struct

import pytest

from tests.unit.simulators.plc_rig import Rig

NAN = math.nan
# Force: range 80 … 120, at 100; tolerance of ExpectedOld 0.04. Feed: range 0 … 60, at 30. Index 0 and 1.


def request(rig: Rig, seq: int, index: int, value: float, expected: float) -> None:
    struct.pack_into(">HHff", rig.plc.down, 128, seq, index, value, expected)


@pytest.mark.parametrize(
    ("index", "value", "expected", "permit", "result", "force"),
    [
        pytest.param(0, 102.0, 100.0, True, 1, 102.0, id="accepted"),
        pytest.param(0, 102.0, 100.03, True, 1, 102.0, id="expected-old within tolerance"),
        pytest.param(0, 80.0, 100.0, True, 1, 80.0, id="at the lower edge"),
        pytest.param(0, 120.0, 100.0, True, 1, 120.0, id="at the upper edge"),
        pytest.param(0, 500.0, 100.0, True, 2, 120.0, id="clamped above"),
        pytest.param(0, -1.0, 100.0, True, 2, 80.0, id="clamped below"),
        pytest.param(0, 102.0, 100.0, False, 3, 100.0, id="no permit"),
        pytest.param(0, 102.0, 100.05, True, 4, 100.0, id="stale expected-old"),
        pytest.param(0, 102.0, NAN, True, 4, 100.0, id="expected-old is no number"),
        pytest.param(2, 102.0, 0.0, True, 5, 100.0, id="unknown index"),
        pytest.param(65535, 102.0, 0.0, True, 5, 100.0, id="index far beyond"),
        pytest.param(0, NAN, 100.0, True, 6, 100.0, id="no number"),
        pytest.param(0, math.inf, 100.0, True, 6, 100.0, id="infinite"),
        pytest.param(2, NAN, NAN, False, 3, 100.0, id="no permit comes before all else"),
    ],
)
def test_answers(index: int, value: float, expected: float, permit: bool, result: int, force: float) -> None:
    rig = Rig().owned()
    request(rig, 7, index, value, expected)
    outputs = rig.scan(permit=permit)
    seq, answered, echoed = rig.up("HHf", 32)
    assert (seq, answered) == (7, result)
    assert echoed == (0.0 if result == 5 or index else force)
    assert outputs.params == {"Force": force, "Feed": 30.0}
    assert rig.up("f", 168) == (force,)
    assert len(rig.of("adjusted")) == 1


def test_a_scaled_integer_parameter_is_asked_in_engineering_units() -> None:
    rig = Rig().owned()
    request(rig, 1, 1, 45.0, 30.0)
    outputs = rig.scan()
    assert outputs.params["Feed"] == 45.0
    assert rig.up("h", 172) == (10368,)  # 45 of 0 … 120 in 0 … 27648
    assert rig.up("HHf", 32) == (1, 1, 45.0)


def test_power_up_values_are_mirrored() -> None:
    rig = Rig(params={"Force": 95.5})
    assert rig.up("f", 168) == (95.5,)
    assert rig.up("h", 172) == (6912,)
    assert rig.scan().params == {"Force": 95.5, "Feed": 30.0}


def test_a_repeated_write_of_the_same_request_is_no_new_request() -> None:
    rig = Rig().owned()
    for _ in range(5):
        request(rig, 3, 0, 101.0, 100.0)
        rig.scan()
    assert len(rig.of("adjusted")) == 1
    assert rig.up("H", 34) == (1,)


def test_payload_without_a_new_sequence_is_no_request() -> None:
    rig = Rig().owned()
    request(rig, 3, 0, 101.0, 100.0)
    rig.scan()
    request(rig, 3, 0, 90.0, 101.0)
    assert rig.scan().params["Force"] == 101.0


def test_sequence_0_is_never_a_request() -> None:
    rig = Rig().owned()
    request(rig, 3, 0, 101.0, 100.0)
    rig.scan()
    request(rig, 0, 0, 90.0, 101.0)
    assert rig.scan().params["Force"] == 101.0
    assert rig.up("H", 32) == (3,)
    request(rig, 3, 0, 90.0, 101.0)
    assert rig.scan().params["Force"] == 90.0


def test_what_stands_in_the_block_at_a_claim_is_a_baseline() -> None:
    rig = Rig()
    rig.scan()
    request(rig, 9, 0, 101.0, 100.0)
    rig.claim(0x77)
    assert rig.scan().params["Force"] == 100.0
    assert rig.up("HHf", 32) == (9, 0, 0.0)  # echoed without a result: the next gateway counts on from here
    assert rig.of("adjusted") == []
    request(rig, 10, 0, 101.0, 100.0)
    assert rig.scan().params["Force"] == 101.0


def test_set_points_survive_a_restart_and_requests_do_not() -> None:
    rig = Rig().owned()
    request(rig, 3, 0, 101.0, 100.0)
    rig.scan()
    rig.plc.restart()
    outputs = rig.scan()
    assert outputs.params["Force"] == 101.0
    assert rig.up("f", 168) == (101.0,)
    assert rig.up("HHf", 32) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("written", "stands"),
    [(101.5, 101.5), (80.0, 80.0), (120.0, 120.0), (79.9, 80.0), (1e9, 120.0), (math.inf, 120.0), (-math.inf, 80.0), (NAN, 80)],
)
def test_what_an_hmi_writes_is_brought_into_the_range(written: float, stands: float) -> None:
    rig = Rig().owned()
    outputs = rig.scan(hmi={"Force": written})
    assert outputs.params == {"Force": stands, "Feed": 30.0}
    assert rig.up("f", 168) == (stands,)
    request(rig, 7, 0, 102.0, stands)
    rig.scan()
    assert rig.up("HHf", 32) == (7, 1, 102.0)
