"""A judged part as a result: the verdict first, nothing invented; and a filter that asks the journal for just what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.events import PartJudged
from gateway.opcua.archive import Configuration, Filter, active_at, query_of, spans_of
from gateway.opcua.mv.configuration import configuration_id
from gateway.opcua.mv.handles import MOST, Handles
from gateway.opcua.mv.results import content_of, result_of
from gateway.opcua.mv.structs import ConfigurationIdDataType
from gateway.opcua.result import capture_time_ns
from gateway.opcua.result_id import job_id, parse, parse_job, result_id
from gateway.record.search import PartQuery

PART = PartJudged(
    line="Line-1", t_utc_ns=10**18, seq=3, part_id=41, epoch=0xBEEF, disposition="FAIL", defect="scratch", label="scratch",
    scores={"good": 0.25, "scratch": 0.75}, reasons=("late",), model_id="surface/3", camera="Cam1", frame_counter=7,
    t_exposed_mono_ns=100, t_frame_mono_ns=4_000_100, t_acked_mono_ns=9_000_100, infer_ms=2.5,
)  # fmt: skip
UNSEEN = replace(
    PART, disposition="NOT_INSPECTED", defect="", label="", scores={}, model_id="", frame_counter=-1, camera="",
    t_exposed_mono_ns=0, t_frame_mono_ns=0, infer_ms=0.0,
)  # fmt: skip


def result(part: PartJudged) -> Any:
    return result_of(part, ConfigurationIdDataType())


@pytest.mark.parametrize(
    ("disposition", "verdict", "state"), [("PASS", 1, 1), ("FAIL", 2, 1), ("NOT_INSPECTED", 3, 4), ("?", 3, 4)]
)
def test_only_a_pass_is_ok(disposition: str, verdict: int, state: int) -> None:
    made = result(replace(PART, disposition=disposition))
    assert (made.ResultContent[0].Value, made.ResultContent[0].VariantType) == (verdict, ua.VariantType.Int32)
    assert made.ResultState == state


def test_the_content_has_a_fixed_order() -> None:
    assert [v.Value for v in content_of(PART)] == [2, "FAIL", "scratch", 0.75, ["good", "scratch"], [0.25, 0.75], ["late"]]
    assert [v.Value for v in content_of(UNSEEN)] == [3, "NOT_INSPECTED", "", None, [], [], ["late"]]


def test_what_the_record_does_not_have_is_left_out() -> None:
    made = result(UNSEEN)
    assert made.MeasId is None and made.ExternalRecipeId is None and made.ProductId is None and made.IsSimulated is None
    assert made.PartId.Description is None and made.InternalRecipeId.Version is None
    times = made.ProcessingTimes
    assert times.AcquisitionDuration is None and times.ProcessingDuration is None
    assert times.StartTime == times.EndTime == made.CreationTime


def test_times_are_those_of_the_picture_and_of_the_record() -> None:
    times = result(PART).ProcessingTimes
    assert (times.AcquisitionDuration, times.ProcessingDuration) == (4.0, 2.5)
    assert (
        round((times.EndTime - times.StartTime).total_seconds() * 1e3) == 9 == (PART.t_utc_ns - capture_time_ns(PART)) // 10**6
    )


def test_a_configuration_is_known_by_its_checksum() -> None:
    assert configuration_id("0BADCAFE").Hash == b"\x0b\xad\xca\xfe"
    assert configuration_id("") == ConfigurationIdDataType()
    ran = [Configuration(id="A", since_ns=10), Configuration(id="B", since_ns=20), Configuration(id="A", since_ns=30)]
    assert [active_at(ran, t) for t in (9, 10, 19, 20, 30)] == ["", "A", "A", "B", "A"]
    assert spans_of(ran, "A") == ((10, 20), (30, 1 << 62)) and spans_of(ran, "C") == () == spans_of([], "A")


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_an_id_is_read_back(epoch: int, part_id: int) -> None:
    part = replace(PART, epoch=epoch, part_id=part_id)
    assert parse(result_id(part)) == ("Line-1", epoch, part_id)
    assert parse_job(job_id(part)) == ("Line-1", epoch)


@pytest.mark.parametrize(
    "text", ["", "Line1", "Line1-BEEF-1", "Line1-0000BEEF-", "Line1-0000beef-1", "Line1-0000BEEF-01", "-0000BEEF-1"]
)
def test_what_is_no_id_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("wanted", "query"),
    [
        ({}, PartQuery()),
        ({"state": 1}, PartQuery(dispositions=("PASS", "FAIL"))),
        ({"state": 4}, PartQuery(dispositions=("NOT_INSPECTED",))),
        ({"state": 3}, None),
        ({"meas_id": "Cam-1-7"}, PartQuery(equal=(("camera", "Cam-1"), ("frame_counter", 7)))),
        ({"meas_id": "7"}, None),
        ({"part_id": "41"}, PartQuery(seqs=(3, 9), equal=(("part_id", 41),))),
        ({"part_id": "4x"}, None),
        ({"part_id": "٤"}, None),
        ({"recipe_number": "2", "model_id": "m/1"}, PartQuery(equal=(("recipe_number", 2), ("model_id", "m/1")))),
        ({"recipe_number": "two"}, None),
        ({"recipe": "Small", "product": "P"}, PartQuery(equal=(("recipe", "Small"), ("product", "P")))),
        ({"job": "Line1-0000BEEF"}, PartQuery(equal=(("epoch", 0xBEEF),))),
        ({"job": "Line2-0000BEEF"}, None),
    ],
)
def test_a_filter_is_a_query(wanted: dict[str, Any], query: PartQuery | None) -> None:
    assert query_of(Filter(**wanted), "Line1", (3, 9)) == query


def test_a_part_that_the_index_does_not_have_is_not_looked_for() -> None:
    assert query_of(Filter(part_id="41"), "Line1") is None
    assert Filter(part_id="41").part_number == 41 and Filter(part_id="-1").part_number is None


def test_handles_are_of_the_object_that_gave_them_and_not_endless() -> None:
    handles, results, recipes = Handles(), ua.NodeId(1), ua.NodeId(2)
    assert handles.give(results, 0).Value == 0
    first = handles.give(results, -1).Value
    with pytest.raises(ServiceError):
        handles.release(recipes, first)
    handles.release(results, first)
    old = handles.give(results, 5).Value
    kept = [handles.give(recipes, 5).Value for _ in range(MOST)]
    with pytest.raises(ServiceError):
        handles.release(results, old)
    for handle in kept[:-1]:
        handles.release(recipes, handle)
    handles.clear()
    with pytest.raises(ServiceError):
        handles.release(recipes, kept[-1])
