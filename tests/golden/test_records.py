"""The JSON of every record: journals of years must stay readable, by this program and by those of others.

A field may be added (with a default); none is ever renamed, retyped or removed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.core import events
from gateway.core.events import (
    AlarmChanged,
    CommandEnded,
    LineState,
    ParameterWritten,
    PartJudged,
    PartOutcome,
    ProcessValues,
    Record,
    TokenFate,
    from_json,
    to_json,
)

GOLDEN = Path(__file__).with_name("records.jsonl")
RECORDS: list[Record] = [
    PartJudged(
        line="press",
        t_utc_ns=1_700_000_000_000_000_001,
        seq=1,
        part_id=4294967295,
        epoch=305419896,
        disposition="FAIL",
        defect="dent",
        reasons=("dent at 0.930",),
        token=TokenFate.ACKED,
        encoder=123456,
        label="dent",
        scores={"dent": 0.93, "good": 0.07},
        stats={"level": 120.5, "contrast": 41.25, "sharpness": 0.5},
        model_id="press/3",
        camera="top",
        frame_counter=77,
        frame_slot=3,
        frame_generation=42,
        frame_shape=(480, 640, 1),
        t_exposed_mono_ns=1000,
        t_trigger_mono_ns=900,
        t_frame_mono_ns=2000,
        t_acked_mono_ns=9000,
        infer_ms=4.5,
        serial="SN-0815",
        lot="L7",
        product="housing",
        carrier="C12",
        recipe="housing",
        recipe_number=2,
        mode="AUTOMATIC",
    ),
    PartJudged(line="press", t_utc_ns=2, part_id=1, epoch=0, disposition="NOT_INSPECTED", reasons=("no frame came",)),
    PartJudged(line="press", t_utc_ns=2, part_id=2, epoch=5, disposition="PASS", token=TokenFate.WITHHELD, mode="MONITOR_ONLY"),
    PartOutcome(line="press", t_utc_ns=3, seq=2, part_id=1, epoch=77, outcome="REJECTED"),
    PartOutcome(line="press", t_utc_ns=3, part_id=2, epoch=5, outcome="REJECTED", disagrees_with="PASS"),
    PartOutcome(line="press", t_utc_ns=3, part_id=3, epoch=77, outcome="BYPASSED", hold=True),
    ProcessValues(
        line="press", t_utc_ns=4, seq=3, values={"PressForce": 100.5, "Shift": 2, "Door": True}, permit=True, mode="MANUAL"
    ),
    LineState(
        line="press",
        t_utc_ns=5,
        seq=4,
        link="up",
        ready=False,
        offline_reason="NO_CAMERA",
        error="CAMERA",
        detail="no sign of life from top",
        camera_up=False,
        model_id="press/3",
        recipe="housing",
    ),
    ParameterWritten(
        line="press",
        t_utc_ns=6,
        seq=5,
        command_id="c1",
        tag="PressForce",
        requested=102.0,
        old=100.0,
        new=102.0,
        result="confirmed",
    ),
    ParameterWritten(
        line="press", t_utc_ns=7, seq=6, command_id="c2", tag="PressForce", requested=1.0, result="unknown: no echo"
    ),
    CommandEnded(
        line="press",
        t_utc_ns=8,
        seq=7,
        command="SET_RECIPE",
        by="plc",
        done=False,
        arg=3,
        detail="1 of 12 golden pictures failed: golden/3/dent/7.png: PASS (good at 0.731), FAIL was due",
    ),
    AlarmChanged(
        line="press",
        t_utc_ns=8,
        seq=7,
        synchronised=False,
        code="MISSED_TRIGGER",
        active=True,
        detail="2 of the parts up to 21: their triggers were overwritten before they were read",
        count=2,
        all_active=("CLOCK", "MISSED_TRIGGER"),
    ),
]


@pytest.mark.parametrize("at", range(len(RECORDS)), ids=lambda i: f"{RECORDS[i].kind}-{i}")
def test_the_form_stands_and_is_read_back(at: int) -> None:
    line = GOLDEN.read_text().splitlines()[at]
    assert to_json(RECORDS[at]) == line, "a new field? python -m tests.golden.test_records writes the file anew"
    assert from_json(line) == RECORDS[at]


def test_there_is_an_example_of_each_kind_and_its_kind_is_its_name_for_ever() -> None:
    assert {json.loads(line)["kind"] for line in GOLDEN.read_text().splitlines()} == set(events._KINDS)
    assert set(events._KINDS) == {"part", "outcome", "process", "line", "parameter", "command", "alarm"}


def test_the_codes_of_alarms_are_words_for_ever() -> None:
    assert {str(code) for code in events.Alarm} == {
        "PLC_LINK",
        "PLC_REFUSED",
        "CAMERA",
        "JOURNAL",
        "SELF_CHECK",
        "CLOCK",
        "BYPASS",
        "OWNER_LOST",
        "MISSED_TRIGGER",
        "REJECT_NOT_CONFIRMED",
        "NOT_APPLIED",
        "CONFIG_REJECTED",
        "NOT_NOMINAL",
        "RECIPE",
        "OVERLOAD",
        "CONSECUTIVE_LATE",
    }


if __name__ == "__main__":
    GOLDEN.write_text("".join(to_json(r) + "\n" for r in RECORDS))
