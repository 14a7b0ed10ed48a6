"""The status section at its edges: how it begins, many bits at once, and every value under its own role."""

from __future__ import annotations

from dataclasses import fields

import pytest

from gateway.control.status import Status
from gateway.core.events import PartJudged
from gateway.core.handshake import ErrorCode, OfflineReason, Status1, Status2, StopReason
from gateway.core.verdict import Disposition


def test_it_begins_with_nothing_but_that_the_gateway_starts() -> None:
    begun = Status()
    assert begun.offline_reason is OfflineReason.STARTING
    assert begun.disposition is None
    others = {f.name: getattr(begun, f.name) for f in fields(Status) if f.name not in ("offline_reason", "disposition")}
    assert all(type(value) in (bool, int, float, ErrorCode, StopReason, Status1) and not value for value in others.values()), (
        others
    )
    expected = {role: 0 for role in begun.section()} | {"status1": OfflineReason.STARTING << 4}
    assert begun.section() == expected


FLAGS = {
    "ready": Status1.TRIGGER_READY,
    "online": Status1.ONLINE,
    "busy": Status1.BUSY,
    "overrun": Status1.BUFFER_OVERRUN,
    "completed": Status1.INSPECTION_COMPLETED,
    "late": Status2.RESULT_TIMEOUT,
    "simulated": Status2.SIMULATED,
    "alarm": Status2.ALARM_ACTIVE,
}


@pytest.mark.parametrize("flag", FLAGS)
def test_each_flag_is_a_bit_of_its_own_among_all_the_others(flag: str) -> None:
    """A bit that overwrote its neighbours would be seen alone and not in company."""
    rest = {name: True for name in FLAGS if name != flag}
    stop = {"stop_reason": StopReason.CONSECUTIVE_LATE, "stop_permitted": True}
    others = {"error": ErrorCode.CAMERA, "disposition": Disposition.FAIL, **stop}
    with_it = Status(**rest, **{flag: True}, **others).section()  # type: ignore[arg-type]
    without = Status(**rest, **others).section()  # type: ignore[arg-type]
    one = Status1.TRIGGER_READY | Status1.ONLINE | Status1.BUSY | Status1.BUFFER_OVERRUN
    one |= Status1.INSPECTION_COMPLETED | Status1.ERROR
    two = Status2.FAIL | Status2.RESULT_TIMEOUT | Status2.STOP_REQUEST | Status2.SIMULATED | Status2.ALARM_ACTIVE
    assert (with_it["status1"], with_it["status2"]) == (int(one) | OfflineReason.STARTING << 4, int(two))
    word = "status1" if isinstance(FLAGS[flag], Status1) else "status2"
    assert int(with_it[word]) ^ int(without[word]) == FLAGS[flag]


@pytest.mark.parametrize(
    ("change", "roles"),
    [
        ({"error": ErrorCode.JOURNAL}, {"error.code": 5}),
        ({"stop_reason": StopReason.CONSECUTIVE_LATE, "stop_permitted": True}, {"stop.reason": 1}),
        ({"result_code": 3}, {"result.code": 3}),
        ({"part_id": 12}, {"result.part.id": 12}),
        ({"inspection_id": 77}, {"inspection.id": 77, "acquisition.id": 77}),
        ({"encoder": 500}, {"encoder.echo": 500}),
        ({"score": 0.75}, {"score": 0.75}),
        ({"latency_ms": 7.5}, {"latency": 7.5}),
        ({"buffers": 8}, {"buffers.remaining": 8}),
        ({"model_version": 4}, {"model.version": 4}),
        ({"config_checksum": 0xABCD}, {"config.checksum": 0xABCD}),
    ],
)
def test_each_value_stands_under_its_role_and_nowhere_else(change: dict[str, object], roles: dict[str, object]) -> None:
    words = ("status1", "status2")
    begun, changed = Status().section(), Status(**change).section()  # type: ignore[arg-type]
    assert {role: value for role, value in changed.items() if value != begun[role] and role not in words} == roles


def test_the_inspection_s_number_begins_anew_after_32_bits() -> None:
    record = PartJudged(line="press", t_utc_ns=1, part_id=12, epoch=9, disposition="PASS")
    status = Status(inspection_id=(1 << 32) - 2)
    shown = []
    for _ in range(3):
        status.show(record, ("good",))
        shown.append(status.section()["inspection.id"])
    assert shown == [(1 << 32) - 1, 0, 1]
