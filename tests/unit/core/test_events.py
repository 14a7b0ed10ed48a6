"""Records and commands survive their JSON form."""

from __future__ import annotations

import pytest

from gateway.core.commands import (
    Acknowledge,
    AdjustParameter,
    Answer,
    ClearError,
    RunTest,
    SetRecipe,
    answer_from_json,
    answer_to_json,
    command_from_json,
    command_to_json,
)
from gateway.core.events import (
    AlarmChanged,
    LineState,
    ParameterWritten,
    PartJudged,
    PartOutcome,
    ProcessValues,
    Record,
    from_json,
    to_json,
)

RECORDS = [
    PartJudged(
        line="a", t_utc_ns=1, part_id=5, epoch=9, disposition="PASS", reasons=("x",), scores={"good": 0.5}, serial="A", lot="B"
    ),
    PartOutcome(line="a", t_utc_ns=1, part_id=5, outcome="PASSED"),
    ProcessValues(line="a", t_utc_ns=1, values={"Force": 1.5, "On": True}, permit=True),
    LineState(line="a", t_utc_ns=1, link="up", ready=True, offline_reason="NONE"),
    ParameterWritten(line="a", t_utc_ns=1, command_id="c", tag="Force", requested=2.0, result="confirmed"),
    AlarmChanged(line="a", t_utc_ns=1, code="CAMERA", active=True, count=2, all_active=("CAMERA",), synchronised=False),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.kind)
def test_round_trip(record: Record) -> None:
    assert from_json(to_json(record)) == record


def test_unknown_kind_is_refused_and_unknown_keys_are_ignored() -> None:
    with pytest.raises(ValueError, match="unknown record kind"):
        from_json('{"kind":"nonsense"}')
    newer = to_json(RECORDS[1])[:-1] + ',"added_later":1}'
    assert from_json(newer) == RECORDS[1]


@pytest.mark.parametrize("text", ["", "{rubbish", "[]", "7", '"part"', "{}", '{"kind":["part"]}', b"\xff", '{"kind":"part"}'])
def test_what_is_no_whole_record_is_a_value_error_whatever_it_is(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words differ, the error must not
        from_json(text)


def test_a_field_that_is_no_list_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="no whole record of kind 'part'"):
        from_json('{"kind":"part","line":"a","t_utc_ns":1,"part_id":5,"epoch":9,"disposition":"PASS","reasons":5}')


def test_records_from_before_the_mark_were_synchronised() -> None:
    older = to_json(RECORDS[1]).replace(',"synchronised":true', "")
    assert "synchronised" not in older
    assert from_json(older).synchronised


def test_latency_needs_a_frame_and_an_acknowledgement() -> None:
    times = {"t_trigger_mono_ns": 1_000_000, "t_frame_mono_ns": 3_000_000, "t_acked_mono_ns": 10_000_000}
    base = {"line": "a", "t_utc_ns": 1, "part_id": 5, "epoch": 9, "disposition": "PASS"}
    assert PartJudged(**base, **times).latency_ms == 7.0
    assert PartJudged(**base, **{**times, "t_acked_mono_ns": 0}).latency_ms is None
    assert PartJudged(**base, **{**times, "t_frame_mono_ns": 0}).latency_ms is None


def test_commands_and_answers() -> None:
    command = AdjustParameter(id="1", line="a", tag="Force", value=1.0, expected_old=2.0, evidence="because")
    assert command_from_json(command_to_json(command)) == command
    recipe = SetRecipe(id="1", line="a", recipe=7, by="operator")
    assert command_from_json(command_to_json(recipe)) == recipe
    for other in (
        RunTest(id="2", line="a", by="operator"),
        ClearError(id="3", line="a", by="mes"),
        Acknowledge(id="4", line="a", code="OVERLOAD", by="operator"),
    ):
        assert command_from_json(command_to_json(other)) == other
    answer = Answer(id="1", result="confirmed", old=1.0, new=2.0)
    assert answer_from_json(answer_to_json(answer)) == answer


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"kind":"erase"}', "kind"),
        ("[]", "kind"),
        ('{"kind":"adjust","id":"","line":"a","tag":"t","value":1,"expected_old":1}', "id"),
        ('{"kind":"adjust","id":"1","line":"a","tag":"t","value":NaN,"expected_old":1}', "value"),
        ('{"kind":"adjust","id":"1","line":"a","tag":"t","value":true,"expected_old":1}', "value"),
        ('{"kind":"adjust","id":"1","line":"a","tag":"t","value":1' + 400 * "0" + ',"expected_old":1}', "value"),
        ('{"kind":"adjust","id":"1","line":"a","tag":"t","value":1}', "expected_old"),
        ('{"kind":"adjust","id":"1","line":"a","tag":"t","value":1,"expected_old":1,"force":1}', "force"),
        ('{"kind":"recipe","id":"1","line":"","recipe":1,"by":"mes"}', "line"),
        ('{"kind":"recipe","id":"1","line":"a","recipe":true,"by":"mes"}', "recipe"),
        ('{"kind":"recipe","id":"1","line":"a","recipe":1.0,"by":"mes"}', "recipe"),
        ('{"kind":"recipe","id":"1","line":"a","recipe":1,"by":"plc"}', "by"),
        ('{"kind":"recipe","id":"1","line":"a","recipe":1,"by":"mes","force":1}', "force"),
        ('{"kind":"test","id":"1","line":"a","by":"plc"}', "by"),
        ('{"kind":"clear","id":"1","line":"a","by":"operator","recipe":1}', "recipe"),
        ('{"kind":"acknowledge","id":"1","line":"a","by":"operator"}', "code"),
        ('{"kind":["test"],"id":"1"}', "kind"),
    ],
)
def test_bad_commands_name_the_field(text: str, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        command_from_json(text)
