"""A wall clock that was set is told from one that runs, and trusted again after a minute."""

from __future__ import annotations

import pytest

from gateway.control.walltime import WallTime

S = 1_000_000_000
MS = 1_000_000
UTC = 1_700_000_000 * S


def watched(delta_ns: int = UTC) -> WallTime:
    wall = WallTime()
    wall.look(5 * S, delta_ns + 5 * S)
    return wall


def test_the_first_reading_is_trusted_whatever_it_is() -> None:
    assert watched().step == ""
    assert watched(0).step == ""


@pytest.mark.parametrize("by_s", [3600.0, -3600.0, 0.501, -0.501])
def test_a_clock_that_was_set_forward_or_back_is_a_step_and_says_by_how_much(by_s: float) -> None:
    wall = watched()
    wall.look(6 * S, UTC + 6 * S + int(by_s * S))
    assert wall.step == f"the wall clock was set by {by_s:+.3f} s"


@pytest.mark.parametrize("by_ms", [500, -500, 0])
def test_half_a_second_is_no_step(by_ms: int) -> None:
    wall = watched()
    wall.look(6 * S, UTC + 6 * S + by_ms * MS)
    assert wall.step == ""


@pytest.mark.parametrize("ppm", [500, -500, 80_000])
def test_slow_drift_and_slewing_are_no_step_however_far_they_go(ppm: int) -> None:
    wall = watched()
    for second in range(6, 3600):
        elapsed = second * S
        wall.look(elapsed, UTC + elapsed + elapsed // 1_000_000 * ppm)
        assert wall.step == ""


def test_a_process_that_slept_long_sees_no_step_while_both_clocks_ran_on() -> None:
    wall = watched()
    wall.look(9000 * S, UTC + 9000 * S)
    assert wall.step == ""


def test_the_new_time_is_taken_for_right_after_a_minute_of_even_running() -> None:
    wall = watched()
    set_ns = UTC + 3600 * S
    wall.look(6 * S, set_ns + 6 * S)
    wall.look(66 * S - 1, set_ns + 66 * S - 1)
    assert wall.step
    wall.look(66 * S, set_ns + 66 * S)
    assert wall.step == ""
    wall.look(67 * S, UTC + 67 * S)
    assert wall.step == "the wall clock was set by -3600.000 s"


def test_another_step_begins_the_minute_anew_also_one_back_to_the_old_time() -> None:
    wall = watched()
    wall.look(6 * S, UTC + 3600 * S)
    wall.look(36 * S, UTC + 36 * S)
    wall.look(66 * S, UTC + 66 * S)
    assert wall.step, "30 s after the last step"
    wall.look(96 * S, UTC + 96 * S)
    assert wall.step == ""
