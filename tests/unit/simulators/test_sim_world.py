"""The belt: spacing, latches, the wrap of the encoder, the camera's and the gate's place, and one truth whatever the steps."""

from __future__ import annotations

import itertools
import math

import pytest

from simulators.process import Truth
from simulators.scenario import Belt
from simulators.world import Happened, Moment, World

START = 5_000_000.0


class Odd:
    """Every odd part is defective."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def make(self, n: int) -> Truth:
        self.asked.append(n)
        return Truth(label="dent" if n % 2 else "good", defective=bool(n % 2))


def world(belt: Belt | None = None, *, seed: int = 1, rate: float = 20.0) -> World:
    return World(belt or Belt(), Odd(), parts_per_s=rate, start_ms=START, seed=seed)


def run(line: World, steps: list[float], *, gate_open: bool = True) -> Happened:
    """Advance by each step (ms) and join what happened."""
    now, made, edges, exposures, arrivals = START, [], [], [], []
    for step in steps:
        now += step
        got = line.advance(now, gate_open=gate_open)
        made += got.made
        edges += got.edges
        exposures += got.exposures
        arrivals += got.arrivals
    return Happened(
        made=tuple(made), edges=tuple(edges), exposures=tuple(exposures), arrivals=tuple(arrivals), passed=gate_open
    )


def gap(earlier: Moment, later: Moment) -> int:
    return (later.encoder - earlier.encoder) & 0xFFFFFFFF


def test_the_belt_runs_before_parts_come() -> None:
    line = world(Belt(encoder_start=0xFFFFFFFF - 9))
    got = line.advance(START + 1, gate_open=False)
    assert line.encoder(START + 1) == 10, "20 counts/ms, wrapped"
    assert (got.made, got.edges, line.idle, line.fed_at_all) == ((), (), True, False)


def test_spacing_varies_but_never_below_the_least() -> None:
    belt = Belt(spacing=1000, jitter=0.3)
    line = world(belt)
    line.feed(300)
    edges = run(line, [10.0] * 2000).edges
    gaps = [gap(a, b) for a, b in itertools.pairwise(edges)]
    assert len(edges) == 300
    assert min(gaps) >= belt.least_spacing == 700
    assert max(gaps) <= 1300
    assert len(set(gaps)) > 100
    assert abs(sum(gaps) / len(gaps) - 1000) < 40


def test_each_place_is_passed_at_its_own_distance_and_exact_time() -> None:
    belt = Belt(camera_offset=240, gate_spacings=6)
    line = world(belt)
    line.feed(50)
    got = run(line, [10.0] * 500)
    for eye, exposure, arrival in zip(got.edges, got.exposures, got.arrivals, strict=True):
        assert eye.part is exposure.part is arrival.part
        assert gap(eye, exposure) == 240
        assert gap(eye, arrival) == belt.eye_to_gate == 6240
        assert exposure.t_ms - eye.t_ms == pytest.approx(240 / 20, abs=1e-6)
        assert arrival.t_ms - eye.t_ms == pytest.approx(6240 / 20, abs=1e-6)


def test_latches_wrap_with_the_encoder() -> None:
    line = world(Belt(encoder_start=0xFFFFFFFF - 20_000))
    line.feed(40)
    encoders = [m.encoder for m in run(line, [10.0] * 400).edges]
    assert encoders[0] > encoders[-1], "the counter wrapped on the way"
    assert all(0 <= e <= 0xFFFFFFFF for e in encoders)


def test_what_happens_does_not_depend_on_the_steps() -> None:
    fine, coarse = world(seed=7), world(seed=7)
    for line in (fine, coarse):
        line.advance(START, gate_open=True)
        line.feed(30)
    a, b = run(fine, [1.7] * 2000), run(coarse, [34.0] * 100)
    assert a.edges == b.edges
    assert a.exposures == b.exposures
    assert a.arrivals == b.arrivals


def test_another_seed_is_another_belt() -> None:
    lines = [world(seed=seed) for seed in (1, 2)]
    for line in lines:
        line.feed(20)
    first, second = ([m.encoder for m in run(line, [10.0] * 300).edges] for line in lines)
    assert first != second


def test_a_part_is_made_before_it_reaches_the_eye_and_only_once() -> None:
    maker = Odd()
    line = World(Belt(press_spacings=8), maker, parts_per_s=20, start_ms=START, seed=1)
    line.feed(25)
    made_at: dict[int, float] = {}
    now = START
    for _ in range(800):
        now += 5
        got = line.advance(now, gate_open=True)
        made_at |= {p.n: now for p in got.made}
        for edge in got.edges:
            assert edge.t_ms - made_at[edge.part.n] == pytest.approx(400, abs=6), "8 spacings of 50 ms"
    assert maker.asked == list(range(1, 26))


def test_the_gate_decides_by_how_it_stood() -> None:
    line = world()
    line.feed(10)
    passed: list[tuple[int, bool]] = []
    now = START
    for i in range(500):
        now += 5
        got = line.advance(now, gate_open=i % 2 == 0)
        assert got.passed == (i % 2 == 0)
        passed += [(m.part.n, got.passed) for m in got.arrivals]
    assert [n for n, _ in passed] == list(range(1, 11)), "every part reaches the gate once"
    assert {p for _, p in passed} == {True, False}


def test_idle_only_when_the_last_part_has_left() -> None:
    line = world()
    line.feed(3)
    seen = 0
    for i in range(1, 2000):
        seen += len(line.advance(START + i, gate_open=True).arrivals)
        assert line.idle == (seen == 3)


def test_long_belt_holds_forty_parts_between_camera_and_gate() -> None:
    line = world(Belt(gate_spacings=45))
    line.feed(200)
    exposed = arrived = most = 0
    for i in range(1, 1200):
        got = line.advance(START + 10 * i, gate_open=True)
        exposed += len(got.exposures)
        arrived += len(got.arrivals)
        most = max(most, exposed - arrived)
    assert most >= 40


def test_the_next_exposure_is_told_and_kept() -> None:
    line = world()
    assert line.next_exposure_ms() == math.inf
    line.feed(2)
    line.advance(START + 100, gate_open=True)
    for _ in range(2):
        due = line.next_exposure_ms()
        assert line.advance(due - 0.01, gate_open=True).exposures == ()
        (exposure,) = line.advance(due, gate_open=True).exposures
        assert exposure.t_ms == pytest.approx(due, abs=0.01)


def test_what_a_closed_gate_turns_away_falls_into_the_bin() -> None:
    belt = Belt(spacing=1000, jitter=0.15)
    line = world(belt)
    line.feed(20)
    arrived, fallen = [], []
    for i in range(400):
        got = line.advance(START + 5 * i, gate_open=i % 20 < 10)
        arrived += [m for m in got.arrivals if not got.passed]
        fallen += got.fallen
        assert got.slipped == frozenset()
    assert [m.part.n for m in fallen] == [m.part.n for m in arrived] != []
    assert {gap(a, f) for a, f in zip(arrived, fallen, strict=True)} == {belt.gate_to_bin}
    assert belt.gate_to_bin < belt.confirm_within < belt.least_spacing


def test_a_stuck_ejector_lets_pass_what_it_was_told_to_turn_away_and_nothing_falls() -> None:
    line = world()
    line.feed(8)
    line.jam(7, 1)
    line.jam(3, 2)
    slipped, fallen = set(), []
    for i in range(400):
        got = line.advance(START + 5 * i, gate_open=False)
        assert not got.passed
        slipped |= got.slipped
        fallen += [m.part.n for m in got.fallen]
    assert slipped == {3, 4, 7}
    assert fallen == [1, 2, 5, 6, 8]


def test_a_stuck_ejector_makes_no_difference_to_an_open_gate() -> None:
    line = world()
    line.feed(8)
    line.jam(3, 2)
    assert run(line, [5.0] * 400, gate_open=True).slipped == frozenset()
    assert line.idle


def test_a_stopped_belt_moves_nothing_and_makes_nothing() -> None:
    line = world(seed=7)
    line.advance(START, gate_open=True)
    line.feed(30)
    run(line, [100.0] * 10)
    line.stop()
    assert line.stands
    encoder = line.encoder(START + 1000)
    got = line.advance(START + 9000, gate_open=True)
    assert (got.made, got.edges, got.exposures, got.arrivals) == ((), (), (), ())
    assert line.encoder(START + 9000) == encoder
    assert line.next_exposure_ms() == math.inf


def test_a_belt_that_goes_on_has_only_lost_time() -> None:
    one, two = world(seed=7), world(seed=7)
    for line in (one, two):
        line.advance(START, gate_open=True)
        line.feed(30)
    whole = run(one, [10.0] * 300)
    first = run(two, [10.0] * 100)
    two.stop()
    two.stop()
    two.advance(START + 1700, gate_open=True)
    two.go_on()
    two.go_on()
    edges, exposures = list(first.edges), list(first.exposures)
    for i in range(1, 201):
        got = two.advance(START + 1700 + 10 * i, gate_open=True)
        edges += got.edges
        exposures += got.exposures
    assert [m.encoder for m in edges] == [m.encoder for m in whole.edges]
    late = [b.t_ms - a.t_ms for a, b in zip(whole.exposures, exposures, strict=True)]
    assert late == pytest.approx([0.0] * len(first.exposures) + [700.0] * (len(late) - len(first.exposures)))
    assert 0 < len(first.exposures) < len(late)


def test_feeding_without_end() -> None:
    line = world()
    line.feed(math.inf)
    assert len(run(line, [100.0] * 200).edges) > 300
    assert not line.idle


def test_what_goes_to_the_recheck_exit_has_not_passed_and_falls_into_no_bin() -> None:
    line = world()
    line.feed(3)
    line.jam(1, 3)
    arrived = 0
    for i in range(400):
        got = line.advance(START + 5 * i, gate_open=False, recheck_open=True)
        arrived += len(got.arrivals)
        assert (got.passed, got.rechecked, got.slipped, got.fallen) == (False, True, frozenset(), ())
    assert arrived == 3
