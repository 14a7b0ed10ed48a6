"""Alarms come and go with one record each: standing ones with their condition, latched ones with the acknowledgement."""

from __future__ import annotations

import pytest

from gateway.control.alarms import STANDING, Alarms, conditions
from gateway.core.events import Alarm, AlarmChanged
from gateway.plc.listener import LinkState


class Told:
    """What came out."""

    def __init__(self) -> None:
        self.records: list[AlarmChanged] = []
        self.alarms = Alarms("press", self.records.append)

    def changes(self) -> list[tuple[str, bool, int]]:
        return [(r.code, r.active, r.count) for r in self.records]


LATCHED = [a for a in Alarm if a not in STANDING]


@pytest.mark.parametrize("alarm", STANDING)
def test_a_standing_alarm_follows_its_condition_and_cannot_be_acknowledged(alarm: Alarm) -> None:
    told = Told()
    for words in ("one", "one", "other words"):
        told.alarms.stand({alarm: words})
    told.alarms.acknowledge()
    assert told.changes() == [(alarm, True, 1)]
    assert told.records[0].detail == "one"
    assert told.alarms.active == (alarm,)
    told.alarms.stand({})
    told.alarms.stand({})
    assert told.changes()[1:] == [(alarm, False, 1)]
    assert told.alarms.active == ()


@pytest.mark.parametrize("alarm", LATCHED)
def test_a_latched_alarm_stays_until_it_is_acknowledged_and_counts_meanwhile(alarm: Alarm) -> None:
    told = Told()
    told.alarms.happened(alarm, "first", 2)
    for _ in range(1000):
        told.alarms.happened(alarm, "more of it")
    told.alarms.happened(alarm, "a gap of three", 3)
    told.alarms.stand({})
    assert told.changes() == [(alarm, True, 2)]
    told.alarms.acknowledge()
    told.alarms.acknowledge()
    assert told.changes()[1:] == [(alarm, False, 1005)]
    assert told.records[1].detail == "acknowledged by ClearError"
    told.alarms.happened(alarm, "again")
    assert told.changes()[2:] == [(alarm, True, 1)], "after the acknowledgement it is a new one"


def test_one_latched_alarm_can_be_acknowledged_by_its_code() -> None:
    told = Told()
    told.alarms.stand({Alarm.CAMERA: "top"})
    told.alarms.happened(Alarm.OVERLOAD, "too fast")
    told.alarms.happened(Alarm.OWNER_LOST, "the PLC was restarted")
    assert told.alarms.acknowledge_one("OVERLOAD", "operator") == ""
    assert told.records[-1].detail == "acknowledged by operator"
    assert told.alarms.active == (Alarm.CAMERA, Alarm.OWNER_LOST)
    assert told.alarms.acknowledge_one("OVERLOAD", "operator") == "'OVERLOAD' is not active; there are: CAMERA, OWNER_LOST"
    assert "as long as its cause does" in told.alarms.acknowledge_one("CAMERA", "operator")
    assert len(told.records) == 4, "neither has changed anything"


def test_each_record_names_all_that_are_active_after_it() -> None:
    told = Told()
    told.alarms.stand({Alarm.CAMERA: "top"})
    told.alarms.happened(Alarm.OWNER_LOST, "the PLC was restarted")
    told.alarms.stand({})
    told.alarms.acknowledge()
    assert [r.all_active for r in told.records] == [("CAMERA",), ("CAMERA", "OWNER_LOST"), ("OWNER_LOST",), ()]
    assert {r.line for r in told.records} == {"press"}


QUIET: dict[str, object] = {"control": 0, "cameras_down": (), "journal_trouble": "", "self_check": "", "clock_step": ""}


def test_a_line_that_is_well_or_waits_as_the_second_gateway_has_no_alarm() -> None:
    for link in ("up", "readonly"):
        assert conditions(link, "whatever", **QUIET) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("link", "change", "alarm", "words"),
    [
        ("down", {}, Alarm.PLC_LINK, "why"),
        ("refused", {}, Alarm.PLC_REFUSED, "why"),
        ("up", {"cameras_down": ("top", "side")}, Alarm.CAMERA, "no sign of life from top, side"),
        ("up", {"journal_trouble": "the disk is full"}, Alarm.JOURNAL, "the disk is full"),
        ("up", {"self_check": "the engine does not answer"}, Alarm.SELF_CHECK, "the engine does not answer"),
        ("up", {"clock_step": "the wall clock was set by +3600.000 s"}, Alarm.CLOCK, "+3600"),
        ("up", {"control": 3 << 9}, Alarm.BYPASS, "Bypass"),
    ],
)
def test_each_condition_by_itself(link: LinkState, change: dict[str, object], alarm: Alarm, words: str) -> None:
    found = conditions(link, "why", **{**QUIET, **change})  # type: ignore[arg-type]
    assert set(found) == {alarm}
    assert words in found[alarm]


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_no_other_mode_is_an_alarm(mode: int) -> None:
    assert conditions("up", "", **{**QUIET, "control": mode << 9}) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize(("link", "alarm"), [("down", Alarm.PLC_LINK), ("refused", Alarm.PLC_REFUSED)])
def test_a_link_that_says_nothing_of_why_is_an_alarm_all_the_same(link: LinkState, alarm: Alarm) -> None:
    assert set(conditions(link, "", **QUIET)) == {alarm}  # type: ignore[arg-type]
