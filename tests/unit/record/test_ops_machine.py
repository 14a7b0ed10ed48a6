"""The operations database as a hypothesis state machine, beside a model written from its promises.

Whatever is done in what order, undone half-way or read again after the file was closed: an id is one intent for ever, an intent
goes only where the table lets it and never leaves an end, and cursor, states and intents are those of the last commit together.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.record.ops import OpsDatabase, read_actions

LINES = ("press", "saw")
ENDS = ("confirmed", "blocked", "refused", "unknown", "expired")
#: Written down → sent → answered; what was not sent may be given up or blocked.
ALLOWED = {
    ("intent", "sent"),
    ("intent", "blocked"),
    ("intent", "expired"),
    *(("sent", end) for end in ENDS if end != "expired"),
}


class Undo(Exception):  # noqa: N818 - what a service may raise in the middle of its effects
    """The transaction is given up."""


@dataclass(slots=True)
class Model:
    """What must stand in the database."""

    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    cursors: dict[str, tuple[str, int]] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)


ids = st.sampled_from(["i1", "i2", "i3"])
lines = st.sampled_from(LINES)
moves = st.tuples(st.just("move"), ids, st.sampled_from(["sent", "sent", "intent", *ENDS]), st.sampled_from(["", "no answer"]))
steps = st.one_of(
    st.tuples(st.just("add"), ids, lines, st.floats(allow_nan=False, allow_infinity=False)),
    moves,
    moves,
    st.tuples(st.just("cursor"), lines, st.sampled_from(["j1", "j2"]), st.integers(0, 1 << 60)),
    st.tuples(st.just("state"), st.sampled_from(["counters.press", "rules"]), st.none(), st.dictionaries(ids, st.integers())),
)


class Machine(RuleBasedStateMachine):
    """One database and its model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.model = Model()
        self.now_ns = 1_000_000_000
        self.ops = self.opened()

    def opened(self) -> OpsDatabase:
        return OpsDatabase(self.folder / "ops.db", clock=lambda: self.now_ns)

    @rule(todo=st.lists(steps, min_size=2, max_size=8), undone=st.booleans())
    def transaction(self, todo: list[tuple[str, str, Any, Any]], undone: bool) -> None:
        after = copy.deepcopy(self.model)
        try:
            with self.ops.transaction():
                for step in todo:
                    self.step(after, *step)
                if undone:
                    raise Undo
        except Undo:
            return
        self.model = after

    @rule(step=steps)
    def alone(self, step: tuple[str, str, Any, Any]) -> None:
        self.step(self.model, *step)

    def step(self, model: Model, what: str, name: str, second: Any, third: Any) -> None:
        if what == "add":
            new = self.ops.add_intent(id=name, line=second, kind="adjust", payload={"value": third}, evidence="defects rise")
            assert new is (name not in model.intents), "an id is one intent for ever"
            model.intents.setdefault(name, {"line": second, "value": third, "state": "intent", "result": ""})
        elif what == "move":
            self.move(model, name, second, third)
        elif what == "cursor":
            self.ops.set_cursor(name, second, third)
            model.cursors[name] = (second, third)
        else:
            self.ops.set_state(name, third)
            model.states[name] = third

    def move(self, model: Model, name: str, state: Any, result: str) -> None:
        known = model.intents.get(name)
        if known is None or (known["state"], state) not in ALLOWED:
            with pytest.raises(ValueError):
                self.ops.set_intent(name, state, result)
        else:
            self.ops.set_intent(name, state, result)
            known.update(state=state, result=result)

    @rule(ms=st.integers(1, 10_000))
    def time(self, ms: int) -> None:
        self.now_ns += ms * 1_000_000

    @rule()
    def again(self) -> None:
        self.ops.close()
        self.ops = self.opened()

    @invariant()
    def what_stands_is_what_was_committed(self) -> None:
        for line in LINES:
            expected = [(i, k) for i, k in self.model.intents.items() if k["line"] == line]
            assert [(i.id, i.payload["value"], i.state) for i in self.ops.open_intents(line)] == [
                (i, k["value"], k["state"]) for i, k in expected if k["state"] not in ENDS
            ]
            assert [(a["id"], a["state"], a["result"]) for a in self.ops.actions(line)] == [
                (i, k["state"], k["result"]) for i, k in expected
            ]
            assert self.ops.cursor(line) == self.model.cursors.get(line, ("", 0))
        for key in ("counters.press", "rules"):
            assert self.ops.state(key) == self.model.states.get(key)

    @invariant()
    def times_tell_the_same_story(self) -> None:
        for action in self.ops.actions():
            times = [action[t] for t in ("created", "sent", "ended") if action[t] is not None]
            assert times == sorted(times)
            assert (action["ended"] is not None) is (action["state"] in ENDS)
            assert action["sent"] is not None or action["state"] in ("intent", "blocked", "expired")

    @rule()
    def another_process_reads_the_same(self) -> None:
        assert read_actions(self.folder / "ops.db") == self.ops.actions()

    def teardown(self) -> None:
        self.ops.close()
        shutil.rmtree(self.folder)


def test_intents_and_effects_whatever_is_done_in_what_order() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=(Phase.explicit, Phase.generate),  # each step is a commit: shrinking would take minutes
        ),
    )


@pytest.mark.parametrize("state", ["intent", "sent", *ENDS])
def test_from_each_state_only_the_table_s_steps_are_taken(tmp_path: Path, state: Any) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    for after in ("intent", "sent", *ENDS):
        ops.add_intent(id=after, line="press", kind="adjust", payload={}, evidence="")
        way = [] if state == "intent" else [state] if ("intent", state) in ALLOWED else ["sent", state]
        for step in way:
            ops.set_intent(after, step)
        if (state, after) in ALLOWED:
            ops.set_intent(after, after)  # type: ignore[arg-type]
        else:
            with pytest.raises(ValueError, match=f"is {state} and cannot become {after}"):
                ops.set_intent(after, after)  # type: ignore[arg-type]
    ops.close()
