"""A station: what each record shows, with which quality and source time, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.core.events import AlarmChanged, LineState, PartJudged, PartOutcome, ProcessValues
from gateway.core.handshake import ErrorCode, Mode, Outcome
from gateway.core.tags import Quality
from gateway.opcua.counters import Counters
from gateway.opcua.flat import MODES, OUTCOMES, STATES, TAGS, Param
from gateway.opcua.station import Station, Update, capture_time_ns

S = 10**9
NOW = 1_790_000_000 * S
PARAMS = (Param(name="Oven.Temp", unit="°C", range=(0, 300)), Param(name="Speed", unit="m/min"))
UP = LineState(
    line="Line1", t_utc_ns=NOW, link="up", ready=True, offline_reason="NONE", camera_up=True, model_id="surface/3", seq=1
)
PASSED = PartJudged(
    line="Line1",
    t_utc_ns=NOW,
    seq=7,
    part_id=41,
    epoch=0xBEEF,
    disposition="PASS",
    token="acked",
    label="good",
    scores={"good": 0.9, "scratch": 0.1},
    t_exposed_mono_ns=100 * S,
    t_trigger_mono_ns=100 * S - 5_000_000,
    t_frame_mono_ns=100 * S + 4_000_000,
    t_acked_mono_ns=100 * S + 20_000_000,
)
FAILED = replace(PASSED, disposition="FAIL", defect="scratch", label="scratch", scores={"good": 0.2, "scratch": 0.8})
UNSEEN = replace(
    PASSED, disposition="NOT_INSPECTED", label="", scores={}, t_exposed_mono_ns=0, t_frame_mono_ns=0, reasons=("no frame came",)
)
PROCESS = ProcessValues(line="Line1", t_utc_ns=NOW, values={"Speed": 2.5}, mode="AUTOMATIC")


def by_tag(updates: Iterable[Update]) -> dict[str, Update]:
    return {u.tag: u for u in updates}


def values(updates: Iterable[Update]) -> dict[str, Any]:
    return {u.tag: u.value for u in updates if u.quality is not Quality.BAD}


def why(updates: Iterable[Update]) -> dict[str, str]:
    return {u.tag: u.why for u in updates if u.quality is Quality.BAD}


def running(*records: Any) -> Station:
    station = Station(PARAMS)
    station.initial(NOW)
    for record in (UP, *records):
        station.apply(record)
    return station


# --- before anything is known ---------------------------------------------------------------------------------------------


def test_at_first_every_tag_is_told_once_and_nothing_is_good_but_the_counts() -> None:
    first = Station(PARAMS).initial(NOW)
    tags = [t.name for t in TAGS if not t.name.startswith("Cmd.") and t.name != "Status.Commissioning"]
    assert sorted(u.tag for u in first) == sorted([*tags, "Params.Oven_Temp", "Params.Speed"])
    good = {u.tag for u in first if u.quality is Quality.GOOD}
    counts = {t.name for t in TAGS if t.name.startswith("Counters.")} - {"Counters.YieldPct", "Counters.ResetTime"}
    assert good == counts | {"Plc.RejectNotConfirmed", "Status.Heartbeat"}
    assert why(first)["Counters.ResetTime"] == "absent"
    assert why(first)["Result.Ok"] == why(first)["Status.Online"] == why(first)["Counters.YieldPct"] == "never"
    assert {t for t, w in why(first).items() if w == "unsupported"} == {"Plc.TimeSync", "Health.Drift", "Health.Audit"}


# --- one result -----------------------------------------------------------------------------------------------------------


def test_a_pass_is_told_whole_with_the_capture_time_and_committed_last() -> None:
    station = running()
    station.counters.count(PASSED)
    updates = station.apply(PASSED)
    shown = values(updates)
    assert shown == {
        "Result.Seq": 7,
        "Result.PartId": 41,
        "Result.Evaluation": 1,
        "Result.Ok": True,
        "Result.NotOk": False,
        "Result.DefectCode": 0,
        "Result.DefectName": "",
        "Result.DefectCount": 0,
        "Result.Score": 0.9,
        "Result.LatencyMs": pytest.approx(16.0),
        "Result.CaptureTime": datetime.fromtimestamp((NOW - 20_000_000) / 1e9, UTC),
        "Result.ResultId": "Line1-0000BEEF-41",
        "Result.Reasons": "",
        "Defects.Count": 0,
        "Defects.Class": ("",) * 16,
        "Defects.Score": (0.0,) * 16,
        "Result.CommitSeq": 7,
        "Counters.Total": 1,
        "Counters.Ok": 1,
        "Counters.YieldPct": 100.0,
    }
    assert {u.t_utc_ns for u in updates if u.tag.startswith(("Result.", "Defects."))} == {NOW - 20_000_000}
    unknown = {"Serial", "Lot", "Product", "Carrier", "RecipeName", "RecipeNumber", "Mode"}
    assert why(updates) == dict.fromkeys([f"Result.{t}" for t in unknown] + [f"Defects.{t}" for t in "XYWH"], "absent")
    assert updates[0].tag == "Result.Seq"
    assert updates[-1].tag == "Result.CommitSeq"


def test_a_defect_is_named_by_its_place_among_the_labels() -> None:
    shown = values(running().apply(FAILED))
    assert (shown["Result.Evaluation"], shown["Result.Ok"], shown["Result.NotOk"]) == (2, False, True)
    assert (shown["Result.DefectCode"], shown["Result.DefectName"], shown["Result.DefectCount"]) == (2, "scratch", 1)
    assert shown["Result.Score"] == 0.8


def test_a_defect_is_the_first_of_sixteen_and_nobody_knows_where_it_is() -> None:
    updates = running().apply(FAILED)
    shown = values(updates)
    assert shown["Defects.Count"] == 1
    assert shown["Defects.Class"] == ("scratch", *[""] * 15)
    assert shown["Defects.Score"] == (0.8, *[0.0] * 15)
    assert {t: why(updates)[f"Defects.{t}"] for t in "XYWH"} == dict.fromkeys("XYWH", "absent")


def test_a_defect_below_a_threshold_has_no_score_of_its_own() -> None:
    updates = running().apply(replace(FAILED, defect="unsure"))
    assert values(updates)["Defects.Class"][0] == "unsure"
    assert why(updates)["Defects.Score"] == "absent"


def test_a_part_that_was_not_inspected_has_no_defects_either() -> None:
    assert {w for t, w in why(running().apply(UNSEEN)).items() if t.startswith("Defects.")} == {"fault"}


def test_what_the_plc_says_of_a_part_is_shown_with_it() -> None:
    texts = {"serial": "S1", "lot": "L1", "product": "P1", "carrier": "C1"}
    more = {"recipe": "lids", "recipe_number": 3, "mode": "MONITOR_ONLY", "reasons": ("one", "two")}
    shown = values(running().apply(replace(PASSED, **texts, **more)))
    assert [shown[f"Result.{t}"] for t in ("Serial", "Lot", "Product", "Carrier")] == ["S1", "L1", "P1", "C1"]
    assert [shown[f"Result.{t}"] for t in ("RecipeName", "RecipeNumber", "Mode", "Reasons")] == ["lids", 3, 2, "one; two"]


def test_a_defect_that_is_no_label_has_a_name_and_no_code() -> None:
    updates = running().apply(replace(FAILED, defect="unsure"))
    assert values(updates)["Result.DefectName"] == "unsure"
    assert why(updates)["Result.DefectCode"] == "absent"


def test_a_part_that_was_not_inspected_has_no_defect_count_of_0() -> None:
    updates = running().apply(UNSEEN)
    shown, bad = values(updates), why(updates)
    assert (shown["Result.Evaluation"], shown["Result.Ok"], shown["Result.NotOk"]) == (3, False, False)
    assert {t: bad[f"Result.{t}"] for t in ("Score", "DefectCode", "DefectName", "DefectCount")} == {
        "Score": "fault",
        "DefectCode": "fault",
        "DefectName": "fault",
        "DefectCount": "fault",
    }
    assert bad["Result.LatencyMs"] == bad["Result.CaptureTime"] == "absent"
    assert shown["Result.CommitSeq"] == shown["Result.Seq"] == 7


def test_an_unknown_disposition_is_not_decidable() -> None:
    shown = values(running().apply(replace(PASSED, disposition="MAYBE")))
    assert (shown["Result.Evaluation"], shown["Result.Ok"]) == (3, False)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, NOW - 20_000_000),
        ({"t_acked_mono_ns": 0}, NOW - 4_000_000),
        ({"t_exposed_mono_ns": 0}, NOW),
        ({"t_exposed_mono_ns": 200 * S}, NOW),
    ],
)
def test_the_capture_time_is_the_exposure_on_the_wall_clock(changes: dict[str, int], expected: int) -> None:
    assert capture_time_ns(replace(PASSED, **changes)) == expected


def test_a_journal_number_beyond_32_bits_wraps_in_both_places() -> None:
    shown = values(running().apply(replace(PASSED, seq=(1 << 32) + 5)))
    assert shown["Result.Seq"] == shown["Result.CommitSeq"] == 5


# --- what happens to a result afterwards ----------------------------------------------------------------------------------


def test_a_lost_camera_takes_the_result_away_and_gives_it_back() -> None:
    station = running(PASSED)
    gone = station.apply(replace(UP, camera_up=False, ready=False, error="CAMERA", offline_reason="NO_CAMERA"))
    result = [u for u in gone if u.tag.startswith(("Result.", "Defects."))]
    assert len(result) == 28
    assert {(u.quality, u.why) for u in result} == {(Quality.BAD, "link")}
    assert result[-1].tag == "Result.CommitSeq"
    back = values(station.apply(UP))
    assert back["Result.Score"] == 0.9


def test_parts_that_pass_a_lost_camera_are_still_told() -> None:
    lost = replace(UP, camera_up=False, ready=False, error="CAMERA", offline_reason="NO_CAMERA")
    station = running(PASSED, lost)
    updates = station.apply(replace(UNSEEN, seq=8, part_id=42))
    assert values(updates)["Result.PartId"] == 42
    assert values(updates)["Result.Evaluation"] == 3
    assert why(updates)["Result.Score"] == "link"
    again = values(station.apply(replace(lost, detail="still gone")))
    assert again["Result.PartId"] == 42, "it is as true as before"


def test_no_model_is_out_of_service() -> None:
    station = running(PASSED)
    updates = station.apply(replace(UP, model_id="", ready=False, offline_reason="NO_MODEL"))
    assert why(updates)["Result.Ok"] == why(updates)["Status.RecipeName"] == "model"


def test_a_line_that_is_not_ready_holds_its_last_result() -> None:
    station = running(PASSED)
    held = by_tag(station.apply(replace(UP, ready=False, offline_reason="JOURNAL", error="JOURNAL")))
    assert (held["Result.Ok"].quality, held["Result.Ok"].why) == (Quality.UNCERTAIN, "held")
    assert held["Result.Ok"].value is True
    assert held["Result.Ok"].t_utc_ns == NOW - 20_000_000, "it is still that result"


def test_a_lost_link_takes_away_what_came_through_it_until_it_comes_again() -> None:
    station = running(
        ProcessValues(line="Line1", t_utc_ns=NOW, values={"Oven.Temp": 180, "Other": 1}, mode="MANUAL"),
        PartOutcome(line="Line1", t_utc_ns=NOW, part_id=41, outcome="REJECTED"),
    )
    down = station.apply(replace(UP, link="down", ready=False))
    assert {t for t, w in why(down).items() if w == "link"} == {
        "Params.Oven_Temp",
        "Plc.Mode",
        "Plc.LastPartId",
        "Plc.RejectOutcome",
        "Plc.RejectLatencyMs",
        "Plc.Hold",
        "Plc.Disagrees",
    }
    up = by_tag(station.apply(UP))
    assert (up["Params.Oven_Temp"].value, up["Params.Oven_Temp"].quality) == (180.0, Quality.UNCERTAIN)
    fresh = by_tag(station.apply(ProcessValues(line="Line1", t_utc_ns=NOW, values={"Oven.Temp": 181})))
    assert (fresh["Params.Oven_Temp"].value, fresh["Params.Oven_Temp"].quality) == (181.0, Quality.GOOD)


def test_control_that_does_not_answer_is_a_fault_and_nothing_of_it_is_current() -> None:
    station = running(PASSED, ProcessValues(line="Line1", t_utc_ns=NOW, values={"Speed": 2.5}))
    assert station.alive(True, NOW) == []
    updates = station.alive(False, NOW + S)
    shown, bad = values(updates), why(updates)
    assert (shown["Status.Online"], shown["Status.Ready"], shown["Plc.LinkUp"]) == (False, False, False)
    assert (shown["Status.Fault"], shown["Status.ErrorCode"], STATES[shown["Status.State"]]) == (True, 99, "Offline")
    assert "does not answer" in shown["Status.ErrorText"]
    assert bad["Result.Ok"] == bad["Params.Speed"] == "link"
    assert by_tag(updates)["Status.RecipeName"].quality is Quality.UNCERTAIN
    assert station.alive(False, NOW + 2 * S) == []
    assert values(station.alive(True, NOW + 3 * S))["Status.Online"] is True


def test_what_a_journal_tells_of_a_control_that_is_gone_is_not_of_now() -> None:
    station = Station(PARAMS)
    station.initial(NOW)
    station.alive(False, NOW)
    alarm = AlarmChanged(line="Line1", t_utc_ns=NOW, code="RECIPE", active=True, all_active=("RECIPE",))
    updates = [u for r in (UP, PROCESS, PASSED, alarm) for u in station.apply(r)]
    last = by_tag(updates)
    assert why(updates)["Params.Speed"] == why(updates)["Plc.Mode"] == "link" and station.holds("Speed") is None
    not_good = ("Result.Ok", "Result.CommitSeq", "Status.AlarmCount", "Status.Alarms", "Status.RecipeName")
    assert {last[tag].quality for tag in not_good} == {Quality.UNCERTAIN}
    again = by_tag(station.alive(True, NOW + S))
    assert again["Params.Speed"].quality is Quality.UNCERTAIN, "until control says it again"
    assert again["Status.AlarmCount"].quality is Quality.GOOD
    station.apply(PROCESS)
    assert station.holds("Speed") == (2.5, NOW)


def test_control_that_never_answered_is_offline_without_a_model() -> None:
    updates = Station().alive(False, NOW)
    assert STATES[values(updates)["Status.State"]] == "Offline"
    assert why(updates)["Status.RecipeName"] == "never"


# --- status ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "state", "code"),
    [
        ({}, "Ready", 0),
        ({"ready": False, "offline_reason": "STARTING"}, "Starting", 0),
        ({"ready": False, "link": "down", "detail": "no answer"}, "NotReady", 0),
        ({"ready": False, "link": "readonly"}, "Fault", ErrorCode.NOT_OWNER),
        ({"ready": False, "link": "refused", "detail": "InterfaceChecksum differs"}, "Fault", 99),
        ({"ready": False, "error": "CAMERA"}, "Fault", ErrorCode.CAMERA),
        ({"ready": False, "error": "SOMETHING_NEW"}, "Fault", 99),
    ],
)
def test_states_and_codes(changes: dict[str, Any], state: str, code: int) -> None:
    shown = values(Station().apply(replace(UP, **changes)))
    assert (STATES[shown["Status.State"]], shown["Status.ErrorCode"]) == (state, code)
    assert shown["Status.Fault"] is (code != 0)
    assert shown["Status.Online"] is shown["Plc.LinkUp"] is (changes.get("link", "up") == "up")
    assert shown["Status.ErrorText"] == changes.get("detail", changes.get("error", ""))


def test_the_recipe_in_force_has_a_name_of_its_own() -> None:
    shown = values(Station().apply(replace(UP, model_id="steel/surface/12", recipe="lids")))
    assert (shown["Status.RecipeName"], shown["Status.ModelVersion"]) == ("lids", "12")
    changing = Station().apply(replace(UP, ready=False, offline_reason="NO_MODEL"))
    assert why(changing)["Status.RecipeName"] == "model", "the last one judges no more"


def test_who_decides_is_told() -> None:
    shown = values(Station().apply(replace(UP, monitor_only=True, disagreements=4)))
    assert (shown["Status.MonitorOnly"], shown["Plc.Disagreements"]) == (True, 4)


def test_alarms_are_listed_and_stay_as_the_last_known_ones() -> None:
    station = running()
    came = AlarmChanged(line="Line1", t_utc_ns=NOW, code="CAMERA", active=True, all_active=("OVERLOAD", "CAMERA"))
    assert values(station.apply(came)) == {"Status.AlarmCount": 2, "Status.Alarms": "OVERLOAD, CAMERA"}
    gone = by_tag(station.alive(False, NOW))
    assert (gone["Status.Alarms"].value, gone["Status.Alarms"].why) == ("OVERLOAD, CAMERA", "held")
    went = AlarmChanged(line="Line1", t_utc_ns=NOW, code="CAMERA", active=False)
    assert values(station.apply(went)) == {"Status.AlarmCount": 0, "Status.Alarms": ""}


# --- pictures, resets, parameters -----------------------------------------------------------------------------------------


def test_a_picture_stands_between_its_numbers_and_goes_with_the_camera() -> None:
    station = running(PASSED)
    shown = station.thumb(b"jpeg", (1 << 32) + 7, NOW - S)
    assert [(u.tag, u.value, u.t_utc_ns) for u in shown] == [
        ("Image.Seq", 7, NOW - S),
        ("Image.Thumb", b"jpeg", NOW - S),
        ("Image.ThumbSeq", 7, NOW - S),
    ]
    lost = station.apply(replace(UP, camera_up=False, ready=False, error="CAMERA", offline_reason="NO_CAMERA"))
    assert [u.tag for u in lost if u.why == "link"][-3:] == ["Image.Seq", "Image.Thumb", "Image.ThumbSeq"]
    assert values(station.apply(UP))["Image.Thumb"] == b"jpeg"


def test_counters_that_are_reset_begin_at_0_and_the_others_do_not() -> None:
    station = running()
    for n in range(3):
        station.counters.count(replace(PASSED, seq=n))
    station.apply(PASSED)
    reset = station.counters_reset(Counters(**asdict(station.counters)), NOW + S)
    assert values(reset)["Counters.Total"] == 0
    assert values(reset)["Counters.ResetTime"] == datetime.fromtimestamp((NOW + S) / 1e9, UTC)
    assert why(reset) == {"Counters.YieldPct": "never"}
    station.counters.count(FAILED)
    shown = values(station.apply(FAILED))
    assert (shown["Counters.Total"], shown["Counters.NotOk"], shown["Counters.YieldPct"]) == (1, 1, 0.0)
    assert station.counters.total == 4, "what is counted goes on"
    again = Station((), station.counters, base=Counters(total=3, ok=3), reset_ns=NOW)
    assert values(again.initial(NOW))["Counters.Total"] == 1


def test_what_the_plc_holds_is_known_only_while_it_says_so() -> None:
    station = running(ProcessValues(line="Line1", t_utc_ns=NOW, values={"Oven.Temp": 180}))
    assert (station.holds("Oven.Temp"), station.holds("Speed"), station.holds("Nothing")) == ((180.0, NOW), None, None)
    station.apply(replace(UP, link="down", ready=False))
    assert station.holds("Oven.Temp") is None
    station.apply(UP)
    assert station.holds("Oven.Temp") is None, "known again when the link brings it again"
    station.apply(ProcessValues(line="Line1", t_utc_ns=NOW, values={"Oven.Temp": float("nan")}))
    assert station.holds("Oven.Temp") is None


def test_an_outcome_that_is_to_be_looked_at_says_so() -> None:
    shown = values(
        running(PASSED).apply(
            PartOutcome(line="Line1", t_utc_ns=NOW, part_id=41, outcome="BYPASSED", hold=True, disagrees_with="FAIL")
        )
    )
    assert (shown["Plc.Hold"], shown["Plc.Disagrees"]) == (True, True)


def test_the_recipe_is_the_models_name_and_version() -> None:
    shown = values(Station().apply(replace(UP, model_id="steel/surface/12")))
    assert (shown["Status.RecipeName"], shown["Status.ModelVersion"]) == ("steel/surface", "12")


def test_ready_needs_the_link() -> None:
    assert values(Station().apply(replace(UP, link="down")))["Status.Ready"] is False


# --- the PLC's side -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [o.name for o in Outcome] + ["UNKNOWN"])
def test_outcomes_have_a_text_each(outcome: str) -> None:
    shown = values(running(PASSED).apply(PartOutcome(line="Line1", t_utc_ns=NOW + S, part_id=41, outcome=outcome)))
    assert OUTCOMES[shown["Plc.RejectOutcome"]].upper() == outcome.replace("_", "")
    assert (shown["Plc.LastPartId"], shown["Plc.RejectLatencyMs"]) == (41, 1000.0)


def test_the_outcome_of_a_part_that_is_not_remembered_has_no_latency() -> None:
    assert why(running().apply(PartOutcome(line="Line1", t_utc_ns=NOW, part_id=3, outcome="PASSED"))) == {
        "Plc.RejectLatencyMs": "absent"
    }


@pytest.mark.parametrize("mode", [m.name for m in Mode])
def test_modes_have_a_text_each(mode: str) -> None:
    shown = values(running().apply(ProcessValues(line="Line1", t_utc_ns=NOW, values={}, mode=mode)))
    assert MODES[shown["Plc.Mode"]].upper() == mode.replace("_", "")


@pytest.mark.parametrize("value", [1e39, -1e39, float("inf"), float("nan")])
def test_a_value_that_no_32_bit_float_holds_is_out_of_range(value: float) -> None:
    updates = running().apply(ProcessValues(line="Line1", t_utc_ns=NOW, values={"Speed": value}))
    assert why(updates) == {"Params.Speed": "range"}


# --- counters and time ----------------------------------------------------------------------------------------------------


def test_counters_count_each_record_once_by_its_kind() -> None:
    counters = Counters()
    for record in (
        PASSED,
        replace(FAILED, token="late"),
        replace(UNSEEN, token="void"),
        replace(PASSED, token="unknown"),
        PartOutcome(line="Line1", t_utc_ns=NOW, part_id=1, outcome="BYPASSED"),
        PartOutcome(line="Line1", t_utc_ns=NOW, part_id=2, outcome="REJECT_NOT_CONFIRMED"),
        AlarmChanged(line="Line1", t_utc_ns=NOW, code="CAMERA", active=True),
        AlarmChanged(line="Line1", t_utc_ns=NOW, code="CAMERA", active=False),
        UP,
    ):
        counters.count(record)
    assert counters == Counters(
        total=4, ok=2, not_ok=1, not_inspected=1, missed=2, result_timeout=1, bypassed=1, reject_not_confirmed=1, alarms=1
    )


def test_only_counters_that_changed_are_written_again() -> None:
    station = running()
    station.counters.count(PASSED)
    station.apply(PASSED)
    station.counters.count(replace(PASSED, seq=8, part_id=42))
    updates = station.apply(replace(PASSED, seq=8, part_id=42))
    assert {u.tag for u in updates if u.tag.startswith("Counters.")} == {"Counters.Total", "Counters.Ok"}
    assert len([u for u in station.initial(NOW) if u.tag.startswith("Counters.")]) == 9, "a new server is told all of them"


def test_counts_so_far_are_shown_from_the_start() -> None:
    first = values(Station((), Counters(total=10, ok=8)).initial(NOW))
    assert (first["Counters.Total"], first["Counters.YieldPct"]) == (10, 80.0)


def test_the_heartbeat_counts_and_the_rate_falls_with_time() -> None:
    station = running(PASSED)
    assert values(station.tick(NOW + S // 2)) == {"Status.Heartbeat": 1, "Status.Busy": True, "Status.Fps": 0.1}
    assert values(station.tick(NOW + 2 * S)) == {"Status.Heartbeat": 2, "Status.Busy": False, "Status.Fps": 0.1}
    assert values(station.tick(NOW + 11 * S)) == {"Status.Heartbeat": 3, "Status.Busy": False, "Status.Fps": 0.0}


def test_health_is_uncertain_without_evidence_and_bad_when_not_known() -> None:
    station = Station()
    assert station.health(1, NOW)[0].quality is Quality.GOOD
    assert station.health(2, NOW, certain=False)[0].quality is Quality.UNCERTAIN
    assert why(station.health(None, NOW)) == {"Health.Imaging": "never"}


def test_a_record_of_another_kind_shows_nothing() -> None:
    from gateway.core.events import ParameterWritten

    assert running().apply(ParameterWritten(line="Line1", t_utc_ns=NOW, command_id="c", tag="Speed", requested=1.0)) == []
