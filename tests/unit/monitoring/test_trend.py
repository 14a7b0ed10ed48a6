"""The trend detector: its recursion, its promise about false alarms, its delay, its onset, its state."""

import json
import math

import numpy as np
import pytest
from scipy.stats import binom

from gateway.monitoring.trend import WEIGHTS, WINDOW_DEFECTS, TrendDetector, upper_limit


def feed(detector: TrendDetector, defective: list[bool], start: int = 0) -> list[bool]:
    return [
        detector.update(part_id=start + i + 1, t_utc_ns=(start + i) * 10**9, defect="scratch" if bad else None)
        for i, bad in enumerate(defective)
    ]


def run_length(detector: TrendDetector, rng: np.random.Generator, p: float, at_most: int) -> int:
    """Return the number of parts until the alarm at defect probability p."""
    for n, bad in enumerate(rng.random(at_most) < p, 1):
        if detector.update(part_id=n, t_utc_ns=n, defect="x" if bad else None):
            return n
    return at_most


@pytest.mark.parametrize(("defects", "parts"), [(0, 300), (3, 300), (40, 2000), (299, 300)])
def test_the_limit_is_where_so_few_defects_have_probability_a_tenth(defects: int, parts: int) -> None:
    assert binom.cdf(defects, parts, upper_limit(defects, parts)) == pytest.approx(0.1, rel=1e-9)


def test_the_limit_of_no_defect_and_of_defects_only() -> None:
    assert upper_limit(0, 300) == pytest.approx(1 - 0.1 ** (1 / 300))
    assert upper_limit(5, 5) == 1.0
    for defects, parts in ((-1, 10), (11, 10), (0, 0)):
        with pytest.raises(ValueError, match="no count"):
            upper_limit(defects, parts)


def test_the_recursion_by_hand() -> None:
    """p0 = 0.2 leaves ρ of 1.5, 2 and 3; two good parts and a defect, computed on paper."""
    detector = TrendDetector(p0=0.2, arl0=1000)
    feed(detector, [False])
    weights = [0.1 / 0.65, 0.25 / 0.65, 0.3 / 0.65]
    assert detector.statistic == pytest.approx(sum(w * r for w, r in zip(weights, (0.875, 0.75, 0.5), strict=True)))
    feed(detector, [False, True])
    after_two = [(1 + 0.875) * 0.875, (1 + 0.75) * 0.75, (1 + 0.5) * 0.5]
    expected = [(1 + after_two[0]) * 1.5, (1 + after_two[1]) * 2, (1 + after_two[2]) * 3]
    assert detector.statistic == pytest.approx(sum(w * r for w, r in zip(weights, expected, strict=True)))


@pytest.mark.parametrize("p0", [0.001, 0.0135, 0.2, 0.6])
def test_every_factor_expects_one_at_p0(p0: float) -> None:
    """The promise rests on E[L] = 1 at p0 (and below 1 for less): one step from R = 0 must expect R = 1."""
    good, bad = TrendDetector(p0=p0, arl0=1e6), TrendDetector(p0=p0, arl0=1e6)
    feed(good, [False])
    feed(bad, [True])
    assert (1 - p0) * good.statistic + p0 * bad.statistic == pytest.approx(1)


def test_the_weights_are_a_mean() -> None:
    assert tuple(WEIGHTS) == (1.5, 2, 3, 5, 10, 20)
    assert sum(WEIGHTS.values()) == pytest.approx(1)


def test_only_ratios_that_leave_a_probability_are_mixed() -> None:
    for p0 in (0.04, 0.06, 0.4):
        detector = TrendDetector(p0=p0, arl0=1e6)
        feed(detector, [True])
        used = {ratio: w for ratio, w in WEIGHTS.items() if ratio * p0 < 1}
        mean = sum(ratio * w for ratio, w in used.items()) / sum(used.values())
        assert detector.statistic == pytest.approx(mean)
    for p0, arl0 in ((0.0, 1e5), (0.7, 1e5), (0.01, 1.0)):
        with pytest.raises(ValueError, match="a trend needs"):
            TrendDetector(p0=p0, arl0=arl0)


def test_false_alarms_are_rarer_than_promised() -> None:
    """Mean run length at p0 ≥ arl0, and no more than n/arl0 alarms within n parts; seed fixed."""
    rng = np.random.default_rng(20_240_601)
    arl0 = 1000.0
    lengths = np.array([run_length(TrendDetector(p0=0.02, arl0=arl0), rng, 0.02, 20_000) for _ in range(150)])
    assert lengths.mean() >= arl0
    for n in (100, 300, 1000):
        share = (lengths <= n).mean()
        assert share <= n / arl0 + 3 * math.sqrt(n / arl0 / len(lengths)), n
    assert (lengths < 20_000).any(), "it can raise an alarm at all"


def test_a_baseline_of_the_default_size_keeps_the_promise_at_the_default_threshold() -> None:
    """30 streams of 20,000 parts at the true 2 %, with p0 from a baseline count: at most 6 alarms are tolerated on average."""
    rng = np.random.default_rng(7)
    alarms = 0
    for _ in range(30):
        defects = int(rng.binomial(2000, 0.02))
        detector = TrendDetector(p0=upper_limit(defects, 2000), arl0=100_000)
        alarms += run_length(detector, rng, 0.02, 20_000) < 20_000
    assert alarms <= 6


@pytest.mark.parametrize(("p1", "mean", "p95"), [(0.03, 500, 1000), (0.10, 75, 140)])
def test_delay_of_a_rise_from_one_percent(p1: float, mean: float, p95: float) -> None:
    """The design's targets at ≤ 1 false alarm per 100,000 parts, on a line that has been running; seed fixed."""
    rng = np.random.default_rng(5)
    delays = []
    while len(delays) < 250:
        detector = TrendDetector(p0=0.01, arl0=100_000)
        if run_length(detector, rng, 0.01, 2000) < 2000:
            continue  # a false alarm before the rise
        delays.append(run_length(detector, rng, p1, 20_000))
    assert np.mean(delays) <= mean
    assert np.quantile(delays, 0.95) <= p95


def test_nothing_overflows_and_an_alarm_ends_with_its_cause() -> None:
    detector = TrendDetector(p0=0.01, arl0=100_000)
    assert all(feed(detector, [True] * 5000)[10:])
    assert math.isfinite(detector.statistic)
    assert detector.statistic == pytest.approx(100_000)
    assert not any(feed(detector, [False])), "a good part ends an alarm that nobody answered"
    assert any(feed(detector, [True])), "as long as it is fresh, the next defect raises it again"
    feed(detector, [False] * 300)
    assert not any(feed(detector, [True])), "after recovery one defect does not"
    feed(detector, [False] * 20_000)
    assert 0 < detector.statistic < 100


def test_armed_anew_it_needs_new_evidence() -> None:
    detector = TrendDetector(p0=0.01, arl0=100_000)
    alarms = feed(detector, [True] * 8)
    assert alarms[-1]
    detector.arm()
    assert detector.statistic == 0
    assert detector.onset() is None
    assert feed(detector, [True] * 8) == alarms


def test_the_onset_is_an_interval_around_the_change() -> None:
    """200 runs with a step from 1 % to 10 % at part 1000: the interval covers it nearly always and is not the whole window."""
    rng = np.random.default_rng(11)
    covered, widths = 0, []
    for _ in range(200):
        detector = TrendDetector(p0=0.01, arl0=100_000)
        feed(detector, [bool(b) for b in rng.random(1000) < 0.008])
        detector.arm(keep_history=True)
        n = 1000
        while not feed(detector, [bool(rng.random() < 0.1)], start=n)[0]:
            n += 1
        onset = detector.onset()
        assert onset is not None
        assert onset.earliest.index <= onset.latest.index
        covered += onset.earliest.part_id <= 1001 <= onset.latest.part_id
        widths.append(onset.latest.part_id - onset.earliest.part_id)
        assert onset.defects <= onset.parts
    assert covered >= 180
    assert np.median(widths) < 300


def test_the_onset_names_the_main_defect() -> None:
    detector = TrendDetector(p0=0.01, arl0=100_000)
    feed(detector, [False] * 300)
    names = ["dent", None, "scratch", None, "scratch", "scratch", None, "scratch"]
    for i, name in enumerate(names):
        detector.update(part_id=301 + i, t_utc_ns=i, defect=name)
    onset = detector.onset()
    assert onset is not None
    assert (onset.main_defect, onset.main_count, onset.defects, onset.parts) == ("scratch", 4, 5, 8)
    assert onset.earliest.part_id == 1, "before the first defect only the first part is known"


def test_the_window_is_bounded() -> None:
    detector = TrendDetector(p0=0.1, arl0=1e6)
    feed(detector, [i % 10 == 0 for i in range(20_000)])
    state = detector.state()
    assert len(state["defects"]) == WINDOW_DEFECTS
    assert len(json.dumps(state)) < 20_000
    onset = detector.onset()
    assert onset is not None
    assert onset.parts <= 5000
    assert onset.earliest.part_id > 20_000 - 10 * WINDOW_DEFECTS - 20


def test_its_state_goes_through_json_and_on() -> None:
    rng = np.random.default_rng(3)
    stream = [bool(b) for b in rng.random(400) < 0.03]
    whole = TrendDetector(p0=0.01, arl0=100_000)
    feed(whole, stream)
    half = TrendDetector(p0=0.01, arl0=100_000)
    feed(half, stream[:200])
    other = TrendDetector(p0=0.01, arl0=100_000)
    other.restore(json.loads(json.dumps(half.state())))
    feed(other, stream[200:], start=200)
    assert other.state() == whole.state()
    assert other.onset() == whole.onset()


def test_a_state_of_other_settings_is_not_used() -> None:
    detector = TrendDetector(p0=0.01, arl0=100_000)
    feed(detector, [True] * 4)
    fresh = TrendDetector(p0=0.02, arl0=100_000)
    fresh.restore(detector.state())
    fresh.restore(None)
    assert fresh.statistic == 0
