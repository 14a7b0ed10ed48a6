"""The evidence of a trend as one sentence for people: counts and times, no terms of statistics."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.actions.adjust import Baseline
from gateway.monitoring.trend import Onset


def sentence(onset: Onset | None, baseline: Baseline) -> str:
    """Say how many parts were defective since when, and what is usual."""
    usual = f"usual is {100 * baseline.defects / baseline.parts:.1f} % (counted over {baseline.parts} parts)"
    if onset is None:
        return f"more parts are defective than usual; {usual}"
    share = 100 * onset.defects / onset.parts
    first, last = onset.earliest, onset.latest
    return (
        f"{onset.defects} of the last {onset.parts} parts were defective ({share:.1f} %), most often {onset.main_defect} "
        f"({onset.main_count}); {usual}. It began between part {first.part_id} ({_time(first.t_utc_ns)}) and part "
        f"{last.part_id} ({_time(last.t_utc_ns)})."
    )


def _time(t_utc_ns: int) -> str:
    return f"{datetime.fromtimestamp(t_utc_ns / 1e9, UTC):%H:%M:%S} UTC"
