"""The command exchange: a command begins on an edge alone, is answered once, and nobody is told that of another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.handshake import Control, Status1
from gateway.core.plc_command import TABLE, Command, CommandExchange, Exchange, Happening, Request

UP = int(Control.EXECUTE_COMMAND | Control.TRIGGER_ENABLE)
DOWN = int(Control.TRIGGER_ENABLE)
SET_2 = Request(number=3, arg=2)
TEST = Request(number=4, arg=0)
NOTHING = Request(number=0, arg=0)


def begun() -> CommandExchange:
    exchange = CommandExchange()
    exchange.baseline(DOWN, NOTHING)
    assert exchange.read(UP, SET_2) is None
    assert exchange.read(UP, SET_2) == SET_2
    return exchange


def test_the_numbers_are_what_plc_programs_have_compiled_in() -> None:
    assert {c.name: int(c) for c in Command} == {"GO_ONLINE": 1, "GO_OFFLINE": 2, "SET_RECIPE": 3, "TEST_RUN": 4}


@pytest.mark.parametrize("done", [True, False])
def test_executing_then_the_answer_until_the_command_drops(done: bool) -> None:
    exchange = begun()
    assert exchange.shown == Status1.COMMAND_EXECUTING
    exchange.ended(done=done)
    answer = Status1.COMMAND_COMPLETED if done else Status1.COMMAND_FAILED
    for _ in range(3):
        assert exchange.read(UP, SET_2) is None
        assert exchange.shown == answer
    assert exchange.read(DOWN, SET_2) is None
    assert exchange.shown == Status1(0)
    assert exchange.read(UP, SET_2) is None
    assert exchange.read(UP, SET_2) == SET_2, "the same command may come again"


def test_a_held_command_is_one_command_whatever_changes_beside_it() -> None:
    exchange = begun()
    assert [exchange.read(UP, Request(number=n, arg=n)) for n in (4, 4, 1, 1)] == [None] * 4
    exchange.ended(done=True)
    assert [exchange.read(UP, Request(number=n, arg=n)) for n in (4, 4, 1, 1)] == [None] * 4
    assert exchange.state is Exchange.COMPLETED


def test_what_is_not_read_alike_twice_is_not_carried_out() -> None:
    """A read that meets the PLC's writing shows the edge beside the command before."""
    exchange = CommandExchange()
    exchange.baseline(DOWN, TEST)
    assert exchange.read(UP, TEST) is None
    assert exchange.read(UP, SET_2) is None
    assert exchange.read(UP, SET_2) == SET_2
    other = CommandExchange()
    other.baseline(DOWN, TEST)
    assert other.read(UP, TEST) is None
    assert other.read(DOWN, TEST) is None
    assert other.read(UP, TEST) is None, "alike, but not in a row"
    assert other.state is Exchange.IDLE


def test_a_command_found_at_the_first_read_fails_without_having_begun() -> None:
    exchange = CommandExchange()
    exchange.baseline(UP, SET_2)
    assert exchange.shown == Status1.COMMAND_FAILED
    assert [exchange.read(UP, SET_2) for _ in range(3)] == [None] * 3
    exchange.read(DOWN, SET_2)
    assert exchange.shown == Status1(0)


def test_a_lost_link_changes_nothing_while_the_command_is_the_same() -> None:
    exchange = begun()
    exchange.baseline(UP, SET_2)
    assert exchange.state is Exchange.EXECUTING
    exchange.ended(done=True)
    exchange.baseline(UP, SET_2)
    assert exchange.state is Exchange.COMPLETED
    exchange.baseline(DOWN, SET_2)
    assert exchange.state is Exchange.IDLE


def test_after_a_lost_link_no_command_gets_the_answer_of_another() -> None:
    exchange = begun()
    exchange.ended(done=True)
    exchange.baseline(UP, TEST)
    assert exchange.state is Exchange.FAILED
    exchange = begun()
    exchange.baseline(UP, TEST)
    assert exchange.state is Exchange.REFUSING
    exchange.ended(done=True)
    assert exchange.state is Exchange.FAILED


def test_a_command_given_up_goes_on_unheard_and_another_one_meanwhile_fails() -> None:
    exchange = begun()
    exchange.read(DOWN, SET_2)
    assert (exchange.state, exchange.shown) == (Exchange.UNHEARD, Status1.COMMAND_EXECUTING)
    assert [exchange.read(UP, TEST) for _ in range(2)] == [None, None]
    assert exchange.state is Exchange.REFUSING
    exchange.read(DOWN, TEST)
    assert exchange.state is Exchange.UNHEARD
    exchange.ended(done=False)
    assert (exchange.state, exchange.shown) == (Exchange.IDLE, Status1(0))


def test_another_owner_hears_nothing_of_the_command_of_the_one_before() -> None:
    exchange = begun()
    exchange.lost()
    exchange.baseline(DOWN, NOTHING)
    assert exchange.state is Exchange.UNHEARD
    exchange.ended(done=True)
    assert exchange.state is Exchange.IDLE
    exchange = begun()
    exchange.ended(done=True)
    exchange.lost()
    exchange.baseline(UP, SET_2)
    assert exchange.state is Exchange.FAILED, "the same command, but of another life"


def test_the_table_names_every_state_and_happening() -> None:
    assert {s for s, _ in TABLE} == set(Exchange)
    assert {h for _, h in TABLE} == set(Happening)
    assert set(TABLE.values()) == set(Exchange)


requests = st.sampled_from([NOTHING, SET_2, TEST])
steps = st.one_of(
    st.tuples(st.sampled_from(["read", "read", "read", "baseline"]), st.booleans(), requests),
    st.tuples(st.sampled_from(["done", "fail", "lost"]), st.just(False), st.just(NOTHING)),
)


@given(st.lists(steps, max_size=40))
def test_whatever_comes_each_command_has_an_edge_of_its_own_and_one_answer(taken: list[tuple[str, bool, Request]]) -> None:
    """A model beside it: the only Completed shown is that of the very command the PLC holds, and never two run at once."""
    exchange = CommandExchange()
    running, dropped_since_begin, could_begin = False, True, False
    for what, up, request in taken:
        before = exchange.state
        if what == "read":
            began = exchange.read(UP if up else DOWN, request)
            if not up:
                dropped_since_begin, could_begin = True, True
            if began is not None:
                assert not running, "two at once"
                assert could_begin, "no edge"
                assert began == request
                running, could_begin, dropped_since_begin = True, False, False
        elif what == "baseline":
            exchange.baseline(UP if up else DOWN, request)
            could_begin = not up
            dropped_since_begin = dropped_since_begin or not up
        elif what == "lost":
            exchange.lost()
            dropped_since_begin = True
            could_begin = False
        elif running:
            exchange.ended(done=what == "done")
            running = False
            if exchange.state is Exchange.COMPLETED:
                assert what == "done"
                assert not dropped_since_begin, "the answer to a command that nobody waits for"
        if exchange.state is Exchange.COMPLETED:
            assert before in (Exchange.EXECUTING, Exchange.COMPLETED)
        assert running == (exchange.shown == Status1.COMMAND_EXECUTING)
        assert exchange.shown in (0, Status1.COMMAND_EXECUTING, Status1.COMMAND_COMPLETED, Status1.COMMAND_FAILED)
