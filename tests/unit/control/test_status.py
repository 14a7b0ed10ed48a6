"""The status section says what its parts mean, bit by bit."""

from __future__ import annotations

import pytest

from gateway.control.status import Status
from gateway.core.events import PartJudged
from gateway.core.handshake import ErrorCode, OfflineReason, Status1, Status2, StopReason
from gateway.core.verdict import Disposition


@pytest.mark.parametrize(
    ("status", "one", "two"),
    [
        (Status(offline_reason=OfflineReason.NONE), 0, 0),
        (Status(), OfflineReason.STARTING << 4, 0),
        (Status(ready=True, offline_reason=OfflineReason.NONE), Status1.TRIGGER_READY, 0),
        (Status(online=True, offline_reason=OfflineReason.JOURNAL), Status1.ONLINE | OfflineReason.JOURNAL << 4, 0),
        (Status(completed=True, offline_reason=OfflineReason.NONE), Status1.INSPECTION_COMPLETED, 0),
        (Status(error=ErrorCode.CAMERA, offline_reason=OfflineReason.NO_CAMERA), Status1.ERROR | 2 << 4, 0),
        (Status(disposition=Disposition.PASS, offline_reason=OfflineReason.NONE), 0, Status2.PASS),
        (Status(disposition=Disposition.FAIL, offline_reason=OfflineReason.NONE), 0, Status2.FAIL),
        (Status(disposition=Disposition.NOT_INSPECTED, offline_reason=OfflineReason.NONE), 0, Status2.NOT_INSPECTED),
        (Status(late=True, offline_reason=OfflineReason.NONE), 0, Status2.RESULT_TIMEOUT),
        (
            Status(stop_reason=StopReason.CONSECUTIVE_LATE, stop_permitted=True, offline_reason=OfflineReason.NONE),
            0,
            Status2.STOP_REQUEST,
        ),
        (Status(stop_reason=StopReason.CONSECUTIVE_LATE, offline_reason=OfflineReason.NONE), 0, 0),
        (Status(stop_permitted=True, offline_reason=OfflineReason.NONE), 0, 0),
        (Status(simulated=True, offline_reason=OfflineReason.NONE), 0, Status2.SIMULATED),
        (Status(alarm=True, offline_reason=OfflineReason.NONE), 0, Status2.ALARM_ACTIVE),
    ],
)
def test_each_bit_by_itself(status: Status, one: int, two: int) -> None:
    section = status.section()
    assert (section["status1"], section["status2"]) == (int(one), int(two))


def test_error_and_stop_say_why() -> None:
    section = Status(error=ErrorCode.JOURNAL, stop_reason=StopReason.CONSECUTIVE_LATE, stop_permitted=True).section()
    assert (section["error.code"], section["stop.reason"]) == (5, 1)


def test_without_the_plc_s_permit_no_stop_is_asked_for() -> None:
    assert Status(stop_reason=StopReason.CONSECUTIVE_LATE).section()["stop.reason"] == 0


def test_a_judged_part_is_shown_with_its_defect_s_place_among_the_labels() -> None:
    status = Status()
    record = PartJudged(
        line="press",
        t_utc_ns=1,
        part_id=12,
        epoch=9,
        disposition="FAIL",
        defect="dent",
        token="late",
        encoder=500,
        label="dent",
        scores={"dent": 0.75},
        t_trigger_mono_ns=1_000_000,
        t_frame_mono_ns=2_000_000,
        t_acked_mono_ns=5_000_000,
    )
    status.show(record, ("good", "dent"))
    section = status.section()
    assert (status.disposition, status.late, status.completed) == (Disposition.FAIL, True, True)
    assert (section["result.part.id"], section["result.code"], section["encoder.echo"]) == (12, 2, 500)
    assert (section["inspection.id"], section["score"], section["latency"]) == (1, 0.75, 3.0)
    plain = PartJudged(line="press", t_utc_ns=2, part_id=13, epoch=9, disposition="PASS", token="acked")
    status.show(plain, ("good", "dent"))
    section = status.section()
    assert (status.disposition, status.late, status.completed) == (Disposition.PASS, False, False)
    assert (section["result.part.id"], section["result.code"], section["encoder.echo"]) == (13, 0, 0)
    assert (section["inspection.id"], section["score"], section["latency"]) == (2, 0.0, 0.0)
