"""The process: the defect probability's formula, what moves the optimum, and that a seed repeats a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from gateway.core.tags import TagMap
from simulators.process import Process, Setting, setting_of
from simulators.scenario import ProcessEvent, ProcessSpec, Wear
from tests.unit.simulators.plc_rig import handshake_map

SETTING = Setting(name="Force", nominal=100, step=4)
STILL = Wear(life_parts=1, shift_steps=0)
GOOD_ONLY = frozenset({"good"})


def process(spec: ProcessSpec, setting: Setting | None = SETTING, seed: int = 3) -> Process:
    return Process(spec, setting, passes=GOOD_ONLY, seed=seed)


def test_probability_rises_with_the_square_of_the_deviation() -> None:
    made = process(ProcessSpec(base=0.02, per_step2=0.05, cap=0.4, wear=STILL))
    expected = {100: 0.02, 104: 0.07, 96: 0.07, 108: 0.22, 120: 0.4}
    for setpoint, p in expected.items():
        made.setpoint = setpoint
        assert made.defect_probability(1) == pytest.approx(p)


def test_an_unset_parameter_counts_as_nominal_and_a_map_without_one_has_the_base_rate() -> None:
    spec = ProcessSpec(base=0.03, events=[ProcessEvent(at_part=1, shift_steps=3)], wear=STILL)
    assert process(replace_events(spec)).defect_probability(1) == 0.03
    assert process(spec, setting=None).defect_probability(50) == 0.03


def replace_events(spec: ProcessSpec) -> ProcessSpec:
    return spec.model_copy(update={"events": []})


def test_an_event_moves_the_optimum_and_two_steps_bring_the_rate_back() -> None:
    event = ProcessEvent(at_part=400, over_parts=20, shift_steps=2)
    made = process(ProcessSpec(base=0.02, per_step2=0.06, cap=0.35, events=[event], wear=STILL))
    made.setpoint = 100
    assert made.defect_probability(399) == 0.02
    assert made.optimum(409) == pytest.approx(104), "half-way"
    assert made.defect_probability(419) == pytest.approx(0.26)
    made.setpoint = 104
    assert made.defect_probability(600) == pytest.approx(0.08)
    made.setpoint = 108
    assert made.defect_probability(600) == pytest.approx(0.02)


def test_wear_moves_the_optimum_slowly_and_ends_at_one() -> None:
    made = process(ProcessSpec(wear=Wear(life_parts=1000, shift_steps=0.5)))
    assert (made.wear(0), made.wear(500), made.wear(5000)) == (0, 0.5, 1)
    assert made.optimum(500) == pytest.approx(101)
    assert made.optimum(5000) == pytest.approx(102)


def test_the_rate_and_the_mix_come_out_as_written() -> None:
    made = process(ProcessSpec(base=0.2, mix={"scratch": 3, "crack": 1, "dent": 0}, wear=STILL))
    labels = Counter(made.make(n).label for n in range(1, 8001))
    defects = 8000 - labels["good"]
    assert 0.185 < defects / 8000 < 0.215
    assert set(labels) == {"good", "scratch", "crack"}
    assert 2.4 < labels["scratch"] / labels["crack"] < 3.8


def test_same_seed_same_parts_and_no_part_depends_on_the_one_before() -> None:
    spec = ProcessSpec(base=0.5)
    first = [process(spec).make(n) for n in range(1, 60)]
    backwards = process(spec)
    assert [backwards.make(n) for n in range(59, 0, -1)][::-1] == first
    assert [process(spec, seed=4).make(n) for n in range(1, 60)] != first


def test_a_label_that_may_pass_is_no_defect() -> None:
    made = Process(ProcessSpec(base=1, mix={"stain": 1}), SETTING, passes=frozenset({"good", "stain"}), seed=1)
    assert (made.make(1).label, made.make(1).defective) == ("stain", False)
    assert process(ProcessSpec(base=1, mix={"stain": 1})).make(1).defective


def test_the_setting_comes_from_the_map() -> None:
    tags = handshake_map()
    assert setting_of(tags) == Setting(name="Force", nominal=100, step=4)
    assert setting_of(tags, "Feed") == Setting(name="Feed", nominal=30, step=6)
    with pytest.raises(KeyError):
        setting_of(tags, "Nonsense")
    assert setting_of(without_params(tags)) is None


def without_params(tags: TagMap) -> TagMap:
    return replace(tags, up=replace(tags.up, tags=tuple(t for t in tags.up.tags if t.role != "param")))
