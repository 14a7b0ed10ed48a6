"""The conditions of a line without a server: every change, every refusal, and what is kept."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.events import Alarm, AlarmChanged
from gateway.opcua.alarm_texts import ALARMS
from gateway.opcua.condition import MAX_CHANGES, MAX_COMMENT, MAX_DETAIL, Condition, ConditionError, LineConditions


def ids() -> Iterator[bytes]:
    return (n.to_bytes(16, "big") for n in itertools.count(1))


def conditions(kept: Any = None) -> LineConditions:
    source = ids()
    return LineConditions(lambda: next(source), kept)


def record(code: str, active: bool, *others: str, t: int = 1, detail: str = "why") -> AlarmChanged:
    every = (*others, code) if active else others
    return AlarmChanged(line="L", t_utc_ns=t, code=code, active=active, detail=detail, count=2, all_active=every)


def seen(line: LineConditions, code: str) -> bytes:
    return bytes.fromhex(line[code].event_id)


def flags(each: Condition) -> tuple[bool, bool, bool, bool]:
    return each.active, each.acked, each.confirmed, each.retain


def refused(line: LineConditions, deed: str, code: str, event_id: bytes | None) -> str:
    before = line.state(), line.changed
    with pytest.raises(ConditionError) as error:
        getattr(line, deed)(code, event_id, "c", "u", 9)
    assert (line.state(), line.changed) == before
    return error.value.why


def test_every_alarm_of_a_line_has_a_meaning_and_a_number_of_its_own() -> None:
    assert set(ALARMS) == {a.value for a in Alarm}
    numbers = [a.number for a in ALARMS.values()]
    assert sorted(numbers) == list(range(1, len(ALARMS) + 1))
    assert all(1 <= a.severity <= 1000 and a.title and a.remedy.endswith(".") for a in ALARMS.values())


def test_at_first_nothing_is_the_matter() -> None:
    line = conditions()
    assert {flags(each) for each in line.all} == {(False, True, True, False)}
    assert line.state() == {}
    assert not line.changed


def test_the_whole_way_of_an_alarm() -> None:
    line = conditions()
    line.take(record("CAMERA", True))
    assert flags(line["CAMERA"]) == (True, False, True, True)
    line.acknowledge("CAMERA", seen(line, "CAMERA"), "c", "u", 2)
    assert flags(line["CAMERA"]) == (True, True, False, True)
    line.take(record("CAMERA", False, t=3))
    assert flags(line["CAMERA"]) == (False, True, False, True)
    line.confirm("CAMERA", seen(line, "CAMERA"), "", "v", 4)
    assert flags(line["CAMERA"]) == (False, True, True, False)
    done = line["CAMERA"]
    assert (done.comment, done.user, done.acked_ns, done.active_ns, done.confirmed_ns, done.time_ns) == ("c", "v", 2, 3, 4, 4)
    told = line.changes()
    assert [each.active for each in told] == [True, True, False, False]
    assert len({each.event_id for each in told}) == 4


@pytest.mark.parametrize("deed", ["acknowledge", "confirm", "add_comment"])
def test_what_is_refused_always(deed: str) -> None:
    line = conditions()
    assert refused(line, deed, "NOBODY", None) == "unknown condition"
    assert refused(line, deed, "CAMERA", None) == "unknown event"
    line.take(record("CAMERA", True))
    assert refused(line, deed, "CAMERA", b"") == "unknown event"
    assert refused(line, deed, "CAMERA", b"\xff" * 16) == "unknown event"
    old = seen(line, "CAMERA")
    line.take(record("CAMERA", False))
    assert refused(line, deed, "CAMERA", old) == "unknown event"


def test_acknowledge_and_confirm_have_their_order() -> None:
    line = conditions()
    line.take(record("CAMERA", True))
    assert refused(line, "confirm", "CAMERA", seen(line, "CAMERA")) == "already confirmed"
    line.acknowledge("CAMERA", None, "", "u", 2)
    assert refused(line, "acknowledge", "CAMERA", seen(line, "CAMERA")) == "already acknowledged"
    line.confirm("CAMERA", None, "", "u", 3)
    assert refused(line, "confirm", "CAMERA", seen(line, "CAMERA")) == "already confirmed"


def test_one_that_comes_again_is_to_be_acknowledged_again() -> None:
    line = conditions()
    line.take(record("CAMERA", True))
    line.acknowledge("CAMERA", None, "first time", "u", 2)
    line.take(record("CAMERA", False))
    line.take(record("CAMERA", True, t=5))
    assert flags(line["CAMERA"]) == (True, False, True, True)
    assert (line["CAMERA"].comment, line["CAMERA"].user) == ("", "")


def test_a_comment_can_be_taken_away_and_changes_nothing_else() -> None:
    line = conditions()
    line.take(record("CAMERA", True))
    line.add_comment("CAMERA", None, "a" * 9999, "u", 2)
    assert len(line["CAMERA"].comment) == MAX_COMMENT
    line.acknowledge("CAMERA", None, "", "u", 3)
    assert len(line["CAMERA"].comment) == MAX_COMMENT
    line.add_comment("CAMERA", None, "", "u", 4)
    assert (line["CAMERA"].comment, line["CAMERA"].comment_ns) == ("", 4)
    assert flags(line["CAMERA"]) == (True, True, False, True)


def test_the_last_record_says_it_all() -> None:
    line = conditions()
    line.take(record("CAMERA", True, "JOURNAL"))
    assert line["JOURNAL"].active
    line.take(record("CLOCK", True, detail="x" * 9999))
    assert not line["CAMERA"].active
    assert not line["JOURNAL"].active
    assert len(line["CLOCK"].detail) == MAX_DETAIL
    line.take(record("A_CODE_OF_TOMORROW", True, "CLOCK"))
    assert line["CLOCK"].active
    line.changes()
    line.take(record("JOURNAL", False, "CLOCK"))  # it was over already
    assert line.changes() == []


def test_what_somebody_must_look_at_is_told_again_when_control_comes_or_goes() -> None:
    line = conditions()
    line.take(record("CAMERA", True))
    line.changes()
    line.alive(True, 7)
    line.alive(True, 8)
    line.alive(False, 9)
    assert [(each.code, each.time_ns, each.active) for each in line.changes()] == [("CAMERA", 7, True), ("CAMERA", 9, True)]


def test_undone_is_as_if_it_had_not_been() -> None:
    line = conditions()
    line.take(record("CAMERA", True))
    before = line.state()
    line.undo(line.acknowledge("CAMERA", None, "c", "u", 2))
    assert line.state() == before
    assert len(line.changes()) == 1


def test_of_very_many_changes_the_newest_are_told() -> None:
    line = conditions()
    for n in range(MAX_CHANGES):
        line.take(record("CAMERA", n % 2 == 0))
        line.take(record("CLOCK", n % 2 == 0, *(("CAMERA",) if n % 2 == 0 else ())))
    told = line.changes()
    assert sorted((each.code, each.active) for each in told) == [("CAMERA", False), ("CLOCK", False)]
    assert all(each == line[each.code] for each in told)


def test_what_is_kept_by_a_newer_version_is_read() -> None:
    line = conditions()
    line.take(record("CAMERA", True))
    kept = json.loads(json.dumps(line.state()))
    kept["CAMERA"]["mood"] = "grim"
    kept["UNHEARD_OF"] = {"active": True}
    assert conditions(kept)["CAMERA"] == line["CAMERA"]
    assert conditions(kept).state().keys() == {"CAMERA"}


DEEDS = st.sampled_from(["came", "went", "acknowledge", "confirm", "add_comment", "kept"])


@given(st.lists(st.tuples(DEEDS, st.sampled_from(["CAMERA", "OVERLOAD"])), max_size=30))
def test_whatever_happens_agrees_with_a_plain_model(steps: list[tuple[str, str]]) -> None:
    """The model holds what a person would say of each: is it so, has it been seen, has it been seen to."""
    line = conditions()
    source = ids()
    model = {code: [False, True, True] for code in ("CAMERA", "OVERLOAD")}
    came: set[str] = set()
    for deed, code in steps:
        active, acked, confirmed = model[code]
        others = tuple(c for c, m in model.items() if m[0] and c != code)
        if deed == "came":
            line.take(record(code, True, *others))
            model[code] = [True, False, True]
            came.add(code)
        elif deed == "went":
            line.take(record(code, False, *others))
            model[code][0] = False
        elif deed == "kept":
            kept = json.loads(json.dumps(line.state()))
            for _ in range(1000):
                next(source)
            line = LineConditions(lambda: next(source), kept)
        else:
            legal = code in came and {"acknowledge": not acked, "confirm": not confirmed, "add_comment": True}[deed]
            try:
                getattr(line, deed)(code, seen(line, code) if code in came else None, "c", "u", 1)
            except ConditionError:
                assert not legal
            else:
                assert legal
                model[code] = {
                    "acknowledge": [active, True, False],
                    "confirm": [active, acked, True],
                    "add_comment": [active, acked, confirmed],
                }[deed]
        for each_code, (a, k, c) in model.items():
            each = line[each_code]
            assert flags(each) == (a, k, c, a or not k or not c)
