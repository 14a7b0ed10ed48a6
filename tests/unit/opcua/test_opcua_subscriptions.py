"""What counts as a change: row 13 of the library's traps (a deadband measured from the last sample)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from asyncua import ua

from gateway.opcua.subscriptions import changed

T0, T1 = ua.DateTime(2026, 5, 4, tzinfo=UTC), ua.DateTime(2026, 5, 5, tzinfo=UTC)
GOOD, HELD = ua.StatusCode(), ua.StatusCode(ua.UInt32(ua.StatusCodes.UncertainLastUsableValue))
Trigger = ua.DataChangeTrigger


def value(v: object, status: ua.StatusCode = GOOD, t: datetime = T0) -> ua.DataValue:
    return ua.DataValue(ua.Variant(v), StatusCode=status, SourceTimestamp=t)


def asked(trigger: ua.DataChangeTrigger = Trigger.StatusValue, deadband: float | None = None) -> ua.DataChangeFilter:
    kind = ua.DeadbandType.None_ if deadband is None else ua.DeadbandType.Absolute
    return ua.DataChangeFilter(Trigger=trigger, DeadbandType=ua.UInt32(kind), DeadbandValue=ua.Double(deadband or 0.0))


def test_a_slow_ramp_is_reported_whenever_it_has_left_the_deadband() -> None:
    reported: list[float] = []
    last: ua.DataValue | None = None
    for step in range(21):
        now = value(step * 0.4)
        if changed(last, now, asked(deadband=1.0)):
            last = now
            reported.append(step * 0.4)
    assert reported == pytest.approx([0.0, 1.2, 2.4, 3.6, 4.8, 6.0, 7.2])


@pytest.mark.parametrize(
    ("last", "now", "how", "expected"),
    [
        (None, value(1), None, True),
        (value(1), value(1), None, False),
        (value(1), value(2), None, True),
        (value(1), value(1, t=T1), None, False),
        (value(1), value(1, HELD), None, True),
        (value(1), value(2), asked(Trigger.Status), False),
        (value(1), value(1, HELD), asked(Trigger.Status), True),
        (value(1), value(1, t=T1), asked(Trigger.StatusValueTimestamp), True),
        (value(1), value(1), asked(Trigger.StatusValueTimestamp), False),
        (value(1.0), value(1.5), asked(deadband=0.5), False),
        (value(1.0), value(0.4), asked(deadband=0.5), True),
        (value(1.0), value(float("nan")), asked(deadband=0.5), True),
        (value(1.0), value(1.0, HELD), asked(deadband=0.5), True),
        (value(None), value(1.0), asked(deadband=0.5), True),
        (value("a"), value("b"), None, True),
    ],
)
def test_changes(last: ua.DataValue | None, now: ua.DataValue, how: ua.DataChangeFilter | None, expected: bool) -> None:
    assert changed(last, now, how) is expected
