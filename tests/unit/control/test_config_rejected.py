"""A line that runs on the last good configuration is not ready, and passes nothing, until the PLC acknowledges it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.core.events import AlarmChanged, LineState
from gateway.core.handshake import Control, ErrorCode, OfflineReason, Status1
from gateway.core.verdict import Disposition
from tests.unit.control.line_stand import Stand

WHY = "gateway.yaml:3:5: lines.0.plc: is missing; add it"


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    made = Stand(config_rejected=WHY)
    made.connect()
    made.line.on_camera("cam", True)
    made.tick()
    yield made
    await made.leave()


def said(stand: Stand) -> tuple[bool, OfflineReason, bool, int]:
    """Return (TriggerReady, OfflineReason, Error, ErrorCode) as the PLC reads them."""
    status = stand.line.status()
    one = int(status["status1"])
    return (
        bool(one & Status1.TRIGGER_READY),
        OfflineReason(one >> 4 & 0b111),
        bool(one & Status1.ERROR),
        int(status["error.code"]),
    )


def clear_error(stand: Stand) -> None:
    stand.control |= Control.CLEAR_ERROR
    stand.read()
    stand.tick()


async def test_it_is_not_ready_and_says_why(stand: Stand) -> None:
    assert said(stand) == (False, OfflineReason.CONFIG_REJECTED, True, ErrorCode.CONFIG)
    state = stand.of(LineState)[-1]
    assert (state.ready, state.offline_reason, state.error) == (False, "CONFIG_REJECTED", "CONFIG")
    assert state.detail == f"the last good configuration runs until ClearError: {WHY}"


async def test_a_part_that_comes_anyway_does_not_pass(stand: Stand) -> None:
    part = stand.part()
    stand.frame()
    assert stand.eye.asked == []
    assert stand.write() == {part: Disposition.NOT_INSPECTED}


async def test_the_plcs_acknowledgement_lets_it_work(stand: Stand) -> None:
    clear_error(stand)
    assert said(stand) == (True, OfflineReason.NONE, False, ErrorCode.NONE)
    part = await stand.inspected_part()
    assert stand.write()[part] is Disposition.PASS


async def test_a_clear_error_that_stood_before_the_link_was_up_acknowledges_nothing() -> None:
    stand = Stand(config_rejected=WHY, control=int(Control.TRIGGER_ENABLE | Control.CLEAR_ERROR))
    stand.connect()
    stand.line.on_camera("cam", True)
    stand.read()
    stand.tick()
    assert said(stand)[1] is OfflineReason.CONFIG_REJECTED


async def test_the_alarm_stands_as_long_as_that_configuration_runs(stand: Stand) -> None:
    clear_error(stand)
    changes = [(r.code, r.active) for r in stand.of(AlarmChanged) if r.code == "CONFIG_REJECTED"]
    assert changes == [("CONFIG_REJECTED", True)]
    assert "CONFIG_REJECTED" in stand.of(AlarmChanged)[-1].all_active
