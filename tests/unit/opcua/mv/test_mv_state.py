"""The state machine follows the line: one legal place for every state of it, reached by transitions of the type's own table."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.events import LineState
from gateway.core.handshake import ErrorCode, OfflineReason
from gateway.opcua.mv.spec.machines import MACHINES
from gateway.opcua.mv.state import (
    AUTO,
    AUTOMATIC,
    CONTINUOUS,
    ERROR,
    HALTED,
    INITIALIZED,
    OPERATIONAL,
    PREOPERATIONAL,
    READY,
    SINGLE,
    STATES,
    VISION,
    Machine,
    Place,
    path,
    place_of,
)

PLACES = [
    *(Place(system=s) for s in (PREOPERATIONAL, HALTED, ERROR)),
    *(Place(system=OPERATIONAL, mode=m) for m in STATES[AUTOMATIC]),
]
NUMBERS = {
    fact.children[0].value: [link.to.rpartition(".")[2] for link in fact.links if link.by in ("FromState", "ToState")]
    for machine in MACHINES
    for fact in machine.children
    if fact.type == "TransitionType"
}
"""The states of every transition of the specification, by its number."""


def line(**changes: object) -> LineState:
    """Return the state of a line that is ready, but for ``changes``."""
    fields = {"link": "up", "ready": True, "offline_reason": "NONE", "camera_up": True, "model_id": "surface/3", **changes}
    return LineState(line="Line1", t_utc_ns=1, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, Place(system=OPERATIONAL, mode=CONTINUOUS)),
        ({"ready": False, "offline_reason": "NO_MODEL"}, Place(system=OPERATIONAL, mode=INITIALIZED)),
        ({"model_id": ""}, Place(system=OPERATIONAL, mode=INITIALIZED)),
        ({"link": "down", "ready": False}, Place(system=PREOPERATIONAL)),
        ({"link": "readonly", "ready": False}, Place(system=PREOPERATIONAL)),
        ({"ready": False, "offline_reason": "STARTING"}, Place(system=PREOPERATIONAL)),
        ({"ready": False, "offline_reason": "PLC_REQUEST"}, Place(system=HALTED)),
        ({"ready": False, "offline_reason": "STOPPING"}, Place(system=HALTED)),
        ({"ready": False, "offline_reason": "NO_CAMERA", "error": "CAMERA", "camera_up": False}, Place(system=ERROR)),
        ({"link": "refused", "ready": False}, Place(system=ERROR)),
        ({"link": "down", "ready": False, "error": "JOURNAL"}, Place(system=ERROR)),
    ],
)
def test_each_real_state_has_its_place(changes: dict[str, object], place: Place) -> None:
    assert place_of(line(**changes), working=True, manual=False) == place


def test_executing_is_told_by_the_parts_and_the_mode() -> None:
    assert place_of(line(), working=False, manual=False).mode == READY
    assert place_of(line(), working=True, manual=True).mode == SINGLE


ALL = product(
    ("up", "down", "readonly", "refused"),
    (True, False),
    [r.name for r in OfflineReason],
    ["", *(e.name for e in ErrorCode if e)],
    ("", "surface/3"),
    (True, False),
    (True, False),
)


def test_every_combination_is_one_legal_place_and_executing_needs_a_ready_line() -> None:
    for link, ready, reason, error, model, working, manual in ALL:
        state = line(link=link, ready=ready, offline_reason=reason, error=error, model_id=model)
        place = place_of(state, working=working, manual=manual)
        assert place in PLACES
        if place.mode in (READY, SINGLE, CONTINUOUS):
            assert ready and link == "up" and not error and model
        if error:
            assert place.system == ERROR


def test_there_is_a_way_from_every_state_to_every_other_by_transitions_that_happen_by_themselves() -> None:
    for machine in (VISION, AUTOMATIC):
        for start, end in product(STATES[machine], repeat=2):
            way = path(machine, start, end)
            assert [t.start for t in way] + [end] == [start] + [t.end for t in way]


@given(st.lists(st.sampled_from(PLACES), max_size=20))
def test_every_step_is_a_transition_of_the_specification(places: list[Place]) -> None:
    machine = Machine()
    now = {VISION: PREOPERATIONAL, AUTOMATIC: ""}
    for place in places:
        for step in machine.go(place):
            if step.transition is not None:
                assert NUMBERS[step.transition.number] == [now[step.machine], step.state]
                assert step.transition.number % 10 == 0, "a method caused nothing here"
            now[step.machine] = step.state
            assert not now[AUTOMATIC] or now[VISION] == OPERATIONAL
        assert now == {VISION: place.system, AUTOMATIC: place.mode}
        assert machine.go(place) == []


def test_numbers_are_those_of_the_states() -> None:
    for machine in (VISION, AUTOMATIC):
        for (start, end), transition in AUTO[machine].items():
            numbers = STATES[machine][start].number, STATES[machine][end].number
            assert transition.number == numbers[0] * 100 + numbers[1] * 10
