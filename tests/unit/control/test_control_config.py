"""What one control process is told: rates that the ring cannot keep, windows that cannot tell parts apart."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.control.config import LineConfig, tracker_config
from gateway.control.main import simulated
from gateway.core.tracker import TrackerConfig


def line(**changes: Any) -> LineConfig:
    base: dict[str, Any] = {
        "name": "press",
        "plc": "press.yaml",
        "cameras": [{"kind": "simulated", "name": "top", "port": 5000, "offset": 500}],
        "model": "models/press",
        "bind": {"by": "encoder", "window": 100},
        "rate": {"parts_per_s": 20},
    }
    return LineConfig.model_validate(base | changes)


def test_the_tracker_gets_its_own_units() -> None:
    assert tracker_config(line()) == TrackerConfig(
        cameras=(("top", 500),),
        window=100,
        deadline_ns=150_000_000,
        frame_wait_ns=1_000_000_000,
        trigger_lag_ns=10_000_000,
    )
    timed = tracker_config(line(bind={"by": "time", "window": 20}, frame_wait_ms=400, gate_deadline_ms=80))
    assert (timed.by, timed.window, timed.cameras) == ("time", 20_000_000, (("top", 500_000_000),))
    assert (timed.deadline_ns, timed.frame_wait_ns) == (80_000_000, 400_000_000)


def test_the_ring_keeps_up_with_the_rate() -> None:
    assert line(rate={"parts_per_s": 190, "plc_scan_ms": 10}, poll_ms=4).rate.parts_per_s == 190
    with pytest.raises(ValidationError, match="8 ring slots at 191 parts/s last 42 ms, less than three times"):
        line(rate={"parts_per_s": 191, "plc_scan_ms": 10}, poll_ms=4)
    with pytest.raises(ValidationError, match="lower parts_per_s, plc_scan_ms or poll_ms"):
        line(rate={"parts_per_s": 20, "plc_scan_ms": 150})


@pytest.mark.parametrize("window", [1, 17.9, 25, 400])
def test_a_time_window_fits_between_the_link_s_delay_and_half_the_spacing(window: float) -> None:
    """At 20 parts/s parts are 50 ms apart; a trigger may be seen 10 + 2 × 4 ms late."""
    assert line(bind={"by": "time", "window": 18}).bind.window == 18
    with pytest.raises(ValidationError, match="bind by encoder"):
        line(bind={"by": "time", "window": window})


def test_two_cameras_of_one_name() -> None:
    camera = {"kind": "simulated", "name": "top", "port": 5000}
    with pytest.raises(ValidationError, match="the name 'top' is used twice"):
        line(cameras=[camera, camera])


def test_cameras_that_see_another_number_of_parts() -> None:
    one = {"kind": "simulated", "name": "one", "port": 5000}
    two = {"kind": "simulated", "name": "two", "port": 5001, "positions": [[0, 0, 8, 8], [8, 0, 8, 8]]}
    with pytest.raises(ValidationError, match="same number of positions"):
        line(cameras=[one, two])
    assert tracker_config(line(cameras=[two])).positions == 2


@pytest.mark.parametrize(
    "changes",
    [{"gate_deadline_ms": 5}, {"poll_ms": 0}, {"name": "1 line"}, {"cameras": []}, {"unknown": 1}, {"bind": {"window": 0}}],
)
def test_what_is_out_of_range_or_unknown_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        line(**changes)


def test_pictures_that_show_no_real_part_are_told_to_the_plc(tmp_path: Any) -> None:
    film = tmp_path / "film.mp4"
    film.touch()
    video = {"kind": "video", "name": "v", "source": str(film)}
    assert simulated(line())
    assert simulated(line(cameras=[{"kind": "folder", "name": "f", "path": "pictures"}]))
    assert simulated(line(cameras=[video]))
    assert not simulated(line(cameras=[video | {"source": "/dev/video0"}]))
    assert not simulated(line(cameras=[video | {"source": 0}]))
