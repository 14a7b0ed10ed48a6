"""Where a record goes: into the journal, which numbers it, and then to services; what a full disk leaves of that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from gateway.control.main import Recorder
from gateway.core.errors import GatewayError
from gateway.core.events import AlarmChanged, LineState, PartOutcome, Record

OUTCOME = PartOutcome(line="press", t_utc_ns=1, part_id=5, outcome="PASSED")
STATE = LineState(line="press", t_utc_ns=1, link="up", ready=False, offline_reason="JOURNAL")
ALARM = AlarmChanged(line="press", t_utc_ns=1, code="JOURNAL", active=True, detail="the disk is full")


class FakeJournal:
    failed = ""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, record: Record) -> int:
        if self.failed:
            raise GatewayError(self.failed)
        self.records.append(record)
        return len(self.records)

    def pending(self) -> tuple[int, float]:
        return 0, 0.0


class FakeSender:
    def __init__(self) -> None:
        self.sent: list[Record] = []

    def send(self, record: Record) -> bool:
        self.sent.append(record)
        return True


@pytest.fixture
def ways() -> tuple[FakeJournal, FakeSender, Recorder]:
    journal, sender = FakeJournal(), FakeSender()
    return journal, sender, Recorder(journal, sender)  # type: ignore[arg-type]


def test_a_record_is_sent_with_the_number_that_the_journal_gave_it(ways: tuple[FakeJournal, FakeSender, Recorder]) -> None:
    journal, sender, record = ways
    for each in (OUTCOME, STATE, ALARM):
        record(each)
    assert journal.records == [OUTCOME, STATE, ALARM]
    assert sender.sent == [replace(OUTCOME, seq=1), replace(STATE, seq=2), replace(ALARM, seq=3)]


def test_a_full_disk_leaves_how_things_stand_now_and_nothing_that_would_have_to_be_counted(
    ways: tuple[FakeJournal, FakeSender, Recorder],
) -> None:
    journal, sender, record = ways
    journal.failed = "the disk is full"
    with capture_logs() as log:
        for each in (OUTCOME, STATE, ALARM, OUTCOME):
            record(each)
        assert sender.sent == [STATE, ALARM], "without a number"
        assert record.trouble() == "the journal cannot be written: the disk is full"
        journal.failed = ""
        record(OUTCOME)
    assert sender.sent[2:] == [replace(OUTCOME, seq=1)]
    assert [(e["event"], e.get("lost")) for e in log if e["log_level"] == "error"] == [
        ("records are being lost", None),
        ("the journal takes records again", 4),
    ]


def test_each_change_of_an_alarm_is_one_line_of_the_log(ways: tuple[FakeJournal, FakeSender, Recorder]) -> None:
    _, _, record = ways
    with capture_logs() as log:
        record(ALARM)
        record(replace(ALARM, active=False, count=3))
        record(OUTCOME)
    assert [(e["log_level"], e["event"], e["code"], e["active"], e["detail"], e["count"]) for e in log] == [
        ("warning", "alarm", "JOURNAL", True, "the disk is full", 1),
        ("info", "alarm", "JOURNAL", False, "the disk is full", 3),
    ]
