"""The imaging check: what is in order, what is off and in which direction, and that no answer is no."""

import pytest
from pydantic import ValidationError

from gateway.core.events import PartJudged
from gateway.monitoring.imaging import Imaging, ImagingBaseline, ImagingCheck, Limits

NOW = 1_700_000_000 * 10**9
S = 10**9
BASELINE = ImagingBaseline(
    level=Limits(median=120, low=110, high=130),
    contrast=Limits(median=30, low=25, high=35),
    sharpness=Limits(median=0.5, low=0.4, high=0.6),
)
GOOD = {"level": 120.0, "contrast": 30.0, "sharpness": 0.5}


def part(t: int = NOW, disposition: str = "PASS", stats: dict[str, float] | None = GOOD, model: str = "m/1") -> PartJudged:
    return PartJudged(line="L", t_utc_ns=t, part_id=1, epoch=1, disposition=disposition, stats=stats, model_id=model, seq=1)


def check(*parts: PartJudged, baseline: ImagingBaseline | None = BASELINE, model_id: str = "m/1") -> ImagingCheck:
    imaging = ImagingCheck(baseline, model_id)
    for p in parts:
        imaging.part(p)
    return imaging


def test_25_good_pictures_are_normal_and_24_are_not_enough() -> None:
    assert check(*[part()] * 24).health(NOW).status is Imaging.UNKNOWN
    health = check(*[part()] * 25).health(NOW)
    assert (health.status, health.words) == (Imaging.NORMAL, "")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("level", 109.0, ("darker", "lamp")),
        ("level", 131.0, ("brighter", "exposure")),
        ("contrast", 24.0, ("flatter", "clean the lens")),
        ("contrast", 36.0, ("harsher", "glare")),
        ("sharpness", 0.39, ("less sharp", "focus")),
        ("sharpness", 0.61, ("grainier", "gain")),
    ],
)
def test_a_quantity_outside_is_named_with_direction_and_remedy(name: str, value: float, words: tuple[str, ...]) -> None:
    health = check(*[part(stats={**GOOD, name: value})] * 25).health(NOW)
    assert health.status is Imaging.OFF_SPEC
    assert name in health.words
    assert all(word in health.words for word in words)
    others = {"level", "contrast", "sharpness"} - {name}
    assert not any(f"({other} " in health.words for other in others)


def test_each_recipes_pictures_are_measured_by_its_own_baseline() -> None:
    dark = {"level": 40.0, "contrast": 30.0, "sharpness": 0.5}
    other = BASELINE.model_copy(update={"level": Limits(median=40, low=30, high=50)})
    imaging = ImagingCheck(BASELINE, "m/1", {"m/1": BASELINE, "n/1": other, "bare/1": None})
    for model, stats, status in (
        ("m/1", GOOD, Imaging.NORMAL),
        ("n/1", dark, Imaging.NORMAL),
        ("n/1", GOOD, Imaging.OFF_SPEC),
        ("m/1", GOOD, Imaging.NORMAL),
        ("bare/1", GOOD, Imaging.UNKNOWN),
        ("stranger/1", GOOD, Imaging.UNKNOWN),
    ):
        for _ in range(25):
            imaging.part(part(model=model, stats=stats))
        assert imaging.health(NOW).status is status


def test_two_faults_are_both_named() -> None:
    health = check(*[part(stats={"level": 80.0, "contrast": 10.0, "sharpness": 0.5})] * 25).health(NOW)
    assert "level" in health.words
    assert "contrast" in health.words


def test_the_limits_belong_to_the_usual() -> None:
    assert check(*[part(stats={**GOOD, "level": 110.0})] * 25).health(NOW).status is Imaging.NORMAL


def test_the_median_of_the_last_25_decides() -> None:
    dark = {**GOOD, "level": 20.0}
    assert check(*[part()] * 13, *[part(stats=dark)] * 12).health(NOW).status is Imaging.NORMAL
    assert check(*[part()] * 12, *[part(stats=dark)] * 13).health(NOW).status is Imaging.OFF_SPEC
    assert check(*[part(stats=dark)] * 25, *[part()] * 25).health(NOW).status is Imaging.NORMAL


def test_old_pictures_say_nothing_of_now() -> None:
    imaging = check(*[part()] * 25)
    assert imaging.health(NOW + 10 * S).status is Imaging.NORMAL
    late = imaging.health(NOW + 10 * S + 1)
    assert late.status is Imaging.UNKNOWN
    assert "10 s old" in late.words
    assert imaging.health(NOW - 11 * S).status is Imaging.UNKNOWN, "a clock that was set back"


def test_uninspected_parts_are_missing_pictures() -> None:
    missing = part(disposition="NOT_INSPECTED", stats=None)
    assert check(*[part()] * 25, *[missing] * 12).health(NOW).status is Imaging.NORMAL
    health = check(*[part()] * 25, *[missing] * 13).health(NOW)
    assert health.status is Imaging.UNKNOWN
    assert "13 of the last 25" in health.words
    assert check(*[part(disposition="NOT_INSPECTED")] * 25).health(NOW).status is Imaging.UNKNOWN, "whatever the engine saw"
    assert check(*[part(stats=None)] * 25).health(NOW).status is Imaging.UNKNOWN


def test_without_a_baseline_nothing_is_known() -> None:
    health = check(*[part()] * 25, baseline=None).health(NOW)
    assert health.status is Imaging.UNKNOWN
    assert "no imaging baseline" in health.words


def test_a_baseline_of_another_model_says_nothing() -> None:
    health = check(*[part(model="m/2")] * 25).health(NOW)
    assert health.status is Imaging.UNKNOWN
    assert "m/1" in health.words
    assert "m/2" in health.words
    assert check(*[part()] * 24, part(model="m/2"), model_id="").health(NOW).status is Imaging.UNKNOWN, "window starts anew"


def test_a_quantity_that_is_not_measured_is_not_normal() -> None:
    stats = {"level": 120.0, "contrast": 30.0}
    assert check(*[part(stats=stats)] * 25).health(NOW).status is Imaging.UNKNOWN


def test_the_baseline_is_checked() -> None:
    with pytest.raises(ValidationError, match="ascending"):
        Limits(median=1, low=2, high=3)
    with pytest.raises(ValidationError):
        ImagingBaseline.model_validate({"level": {"median": 1, "low": float("nan"), "high": 3}})
