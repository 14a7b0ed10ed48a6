"""Which state of OPC 40100-1 a station is in, a pure function of what its records say, and by which transitions it got there.

The PLC commands the line: nothing here asks for anything, so every transition is one that happens by itself ("Auto" in the
specification's tables, from which they are taken). A state that no single transition leads to is reached through those between.
It must not know the server, a clock, or what becomes of a transition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.core.events import LineState
from gateway.opcua.mv.spec.facts import Fact
from gateway.opcua.mv.spec.machines import MACHINES

PREOPERATIONAL, HALTED, ERROR, OPERATIONAL = "Preoperational", "Halted", "Error", "Operational"
INITIALIZED, READY, SINGLE, CONTINUOUS = "Initialized", "Ready", "SingleExecution", "ContinuousExecution"
WORKING_NS = 10 * 10**9
"""So long after the last part a station still counts as executing."""

VISION, AUTOMATIC = "VisionStateMachineType", "VisionAutomaticModeStateMachineType"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A state of one machine: name, number, numeric id of its node in the model's namespace."""

    name: str
    number: int
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A transition of one machine: name, number (from, to, cause), numeric id of its node, and the events that it has."""

    name: str
    number: int
    id: int
    start: str
    end: str
    effects: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a station is: the system's state and, in Operational alone, that of its automatic mode."""

    system: str
    mode: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change of one machine: ``state`` is the new one, '' when the machine is no longer active.

    ``transition`` is None where a machine begins or ends: the automatic mode does both with Operational.
    """

    machine: str
    state: str
    transition: Transition | None = None


def _parts(machine: str, kind: str) -> Iterator[Fact]:
    (fact,) = (f for f in MACHINES if f.name == machine)
    yield from (child for child in fact.children if child.type == kind)


def _links(fact: Fact, by: str) -> tuple[str, ...]:
    return tuple(str(link.to) for link in fact.links if link.by == by and link.forward)


def _transition(fact: Fact) -> Transition:
    (start,), (end,) = _links(fact, "FromState"), _links(fact, "ToState")
    number = fact.children[0].value
    assert isinstance(number, int)  # noqa: S101 - a table of our own
    return Transition(name=fact.name, number=number, id=fact.id, start=start, end=end, effects=_links(fact, "HasEffect"))


STATES: dict[str, dict[str, State]] = {
    machine: {f.name: State(name=f.name, number=int(str(f.children[0].value)), id=f.id) for f in _parts(machine, "StateType")}
    for machine in (VISION, AUTOMATIC)
}
"""The states of each machine by name."""

AUTO: dict[str, dict[tuple[str, str], Transition]] = {
    machine: {
        (t.start, t.end): t
        for f in _parts(machine, "TransitionType")
        if not _links(f, "HasCause") and (t := _transition(f)).end in STATES[machine]
    }
    for machine in (VISION, AUTOMATIC)
}
"""The transitions of each machine that happen without a method, by their two states."""


def place_of(line: LineState, *, working: bool, manual: bool) -> Place:
    """Return where a station belongs whose line is in this state; the first of these that fits.

    ``working`` says that parts are being judged, ``manual`` that the PLC is in manual mode.
    """
    if line.error or line.link == "refused":
        return Place(system=ERROR)
    if line.offline_reason in ("PLC_REQUEST", "STOPPING"):
        return Place(system=HALTED)
    if line.link != "up" or line.offline_reason == "STARTING":
        return Place(system=PREOPERATIONAL)
    if not line.ready or not line.model_id:
        return Place(system=OPERATIONAL, mode=INITIALIZED)
    if not working:
        return Place(system=OPERATIONAL, mode=READY)
    return Place(system=OPERATIONAL, mode=SINGLE if manual else CONTINUOUS)


def path(machine: str, start: str, end: str) -> list[Transition]:
    """Return the fewest transitions of their own accord from one state to another. LookupError when there is no way."""
    ways: list[list[Transition]] = [[]]
    seen = {start}
    while ways:
        way = ways.pop(0)
        here = way[-1].end if way else start
        if here == end:
            return way
        for (a, b), transition in AUTO[machine].items():
            if a == here and b not in seen:
                seen.add(b)
                ways.append([*way, transition])
    raise LookupError(f"{machine}: no way from {start} to {end}")


class Machine:
    """Both state machines of one station, together."""

    def __init__(self) -> None:
        """Start in Preoperational, as every vision system does."""
        self.place = Place(system=PREOPERATIONAL)

    def go(self, to: Place) -> list[Step]:
        """Go to another place; return the steps there in order, none when it is there already."""
        steps: list[Step] = []
        mode = self.place.mode
        for transition in path(VISION, self.place.system, to.system):
            if mode:
                steps.append(Step(machine=AUTOMATIC, state=""))
            mode = ""
            steps.append(Step(machine=VISION, state=transition.end, transition=transition))
            if transition.end == OPERATIONAL:
                mode = INITIALIZED
                steps.append(Step(machine=AUTOMATIC, state=INITIALIZED))
        if to.mode:
            steps += [Step(machine=AUTOMATIC, state=t.end, transition=t) for t in path(AUTOMATIC, mode, to.mode)]
        self.place = to
        return steps
