"""The floor around a line: who says what of which part, where the key stands, how long a contact stays wrong."""

from __future__ import annotations

from typing import Any

from simulators.floor import Floor
from simulators.plant import AckInputs, Mode, PlcInputs, StopReason, Trace
from simulators.process import Process, Truth
from simulators.scenario import ProcessSpec, Scenario
from simulators.scenario_floor import Contact
from simulators.world import Moment, Part

GOOD, DENT = Truth(label="good", defective=False), Truth(label="dent", defective=True)


def floor(**plan: Any) -> Floor:
    return Floor(Scenario.model_validate({"scenario": 1, "about": "bench"} | plan))


def edge(n: int, truth: Truth = GOOD) -> Moment:
    return Moment(part=Part(n=n, truth=truth, at=1000 * n), t_ms=50.0 * n, encoder=1000 * n)


def test_an_empty_plan_changes_no_input() -> None:
    inputs = PlcInputs(now_ms=0, encoder=0, **floor().inputs(0, [edge(1), edge(2, DENT)]))
    assert inputs == PlcInputs(now_ms=0, encoder=0)


def test_the_key_is_turned_with_its_part_and_stays() -> None:
    line = floor(keys=[{"at_part": 8, "mode": "bypass"}, {"at_part": 3, "mode": "manual"}])
    modes = []
    for n in range(1, 10):
        turned = line.reached(n)
        modes.append(line.inputs(0, [])["mode"])
        assert [k.at_part for k in turned] == ([n] if n in (3, 8) else [])
    assert modes == [Mode.AUTOMATIC] * 2 + [Mode.MANUAL] * 5 + [Mode.BYPASS] * 2


def test_the_operator_turns_the_key_back_only_where_bypass_holds_the_line() -> None:
    line = floor(keys=[{"at_part": 1, "mode": "bypass"}])
    line.reached(1)
    assert not line.turn_back(StopReason.AIR_LOST)
    assert line.turn_back(StopReason.BYPASS_LIMIT)
    assert line.mode is Mode.AUTOMATIC
    assert not line.turn_back(StopReason.BYPASS_LIMIT)


def test_the_marks_come_with_their_part_alone() -> None:
    line = floor(station={"challenge": [2], "audit": [3], "external": [3, 4]})
    names = ("challenge", "audit", "external_reject")
    said = [[name for name in names if line.inputs(0, [edge(n)]).get(name)] for n in range(1, 6)]
    assert said == [[], ["challenge"], ["audit", "external_reject"], ["external_reject"], []]
    assert line.inputs(0, []).get("challenge") is None


def test_an_existing_inspection_rejects_what_is_defective() -> None:
    line = floor(station={"existing_inspection": True})
    assert line.marks(1, DENT) == ["external_reject"]
    assert line.marks(2, GOOD) == []


def test_a_contact_is_wrong_for_its_time() -> None:
    line = floor()
    for kind in ("air_lost", "bin_full", "bin_unlocked", "ejector_away", "encoder_fault"):
        line.fail(Contact(at_part=1, kind=kind, for_ms=100), 1000)  # type: ignore[arg-type]
    wrong = {"air_ok": False, "ejector_home": False, "bin_full": True, "bin_unlocked": True, "encoder_fault": True}
    assert {k: line.inputs(1099.9, [])[k] for k in wrong} == wrong
    assert {k: line.inputs(1100, [])[k] for k in wrong} == {k: not v for k, v in wrong.items()}


def test_a_reader_says_serial_lot_product_and_carrier_and_the_old_serial_of_a_part_that_comes_again() -> None:
    again = [{"at_part": 30, "of": 12}, {"at_part": 40, "of": 30}]
    line = floor(trace={"prefix": "K", "lot_parts": 10, "product": "P1", "carriers": 8, "again": again})
    assert line.inputs(0, [edge(12)])["trace"] == Trace(serial="K0000012", lot="L0002", product="P1", carrier="C04")
    assert line.inputs(0, [edge(30)])["trace"] == Trace(serial="K0000012", lot="L0002", product="P1", carrier="C06")
    assert line.inputs(0, [edge(40)])["trace"].serial == "K0000012"
    assert "trace" not in line.inputs(0, [])
    assert "trace" not in floor().inputs(0, [edge(1)])


def test_commands_are_wished_for_one_scan_each() -> None:
    line = floor(commands=[{"at_part": 2, "command": 3, "arg": 7}, {"at_part": 2, "command": 1}], ack_buffered=True)
    line.reached(1)
    assert line.inputs(0, [])["ack"] == AckInputs(buffered=True)
    line.reached(2)
    assert [line.inputs(0, [])["ack"].command for _ in range(3)] == [(3, 7), (1, 0), None]


def test_a_part_that_comes_again_is_what_it_was_and_a_challenge_part_is_defective() -> None:
    made = Process(
        ProcessSpec(base=0.5),
        None,
        passes=frozenset({"good"}),
        seed=1,
        challenges=[5, 6, 7],
        again={20: 3, 30: 3, 40: 7},
    )
    plain = Process(ProcessSpec(base=0.5), None, passes=frozenset({"good"}), seed=1)
    truths = {n: made.make(n) for n in range(1, 41)}
    assert truths[20] == truths[30] == truths[3]
    assert truths[40] == truths[7]
    assert all(truths[n].defective for n in (5, 6, 7))
    others = set(truths) - {5, 6, 7, 20, 30, 40}
    assert all(truths[n] == plain.make(n) for n in others), "nobody else is changed by it"
