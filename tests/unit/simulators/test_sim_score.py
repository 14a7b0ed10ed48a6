"""The scorer against runs written by hand: each kind of mistake must show in its own figure and in no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from simulators.score import percentiles, score_line

EPOCH = 0xABCD0001
EXACT = (
    "protocol",
    "parts",
    "passed",
    "rejected",
    "defective",
    "escapes",
    "escapes_by_fault",
    "false_rejects",
    "mis_tracked",
    "not_inspected",
    "good_lost",
    "accuracy",
    "latency_ms",
)


@dataclass
class Run:
    """A hand-made ledger and journal: physical part n comes every 50 ms and is frame 1000 + n."""

    events: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    life: int = 1
    epoch: int = EPOCH
    n: int = 0
    part_id: int = 0

    def __post_init__(self) -> None:
        self.start(EPOCH)

    def start(self, epoch: int) -> None:
        """The PLC starts and grants its ownership."""
        self.epoch = epoch
        self.events.append({"kind": "restarted", "t_ms": self.now, "life": self.life})
        granted = {"kind": "owner", "t_ms": self.now, "life": self.life, "epoch": epoch, "detail": "granted"}
        self.events.append(granted)

    def restart(self, epoch: int) -> None:
        self.life += 1
        self.part_id = 0
        self.start(epoch)

    @property
    def now(self) -> float:
        return 100_000 + 50.0 * self.n

    def about(self, kind: str, after_ms: float, **values: object) -> None:
        common = {"life": self.life, "part_id": self.part_id, "epoch": self.epoch, "n": self.n}
        self.events.append({"kind": kind, "t_ms": self.now + after_ms, **common, **values})

    def part(
        self,
        truth: str = "good",
        verdict: str = "PASS",
        *,
        shows: int | None = None,
        latched: str | None = None,
        decided: bool = True,
        passed: bool | None = None,
        stuck: bool = False,
        record: bool = True,
        label: str = "",
        mode: str = "",
        marks: str = "",
        detail: str = "",
        recheck: bool = False,
        **more: object,
    ) -> int:
        """Let one part come, be judged as ``verdict`` and reach the gate; return its number."""
        self.n += 1
        self.part_id += 1
        defective = truth != "good"
        said = {k: v for k, v in {"mode": mode, "marks": marks}.items() if v}
        self.events.append({"kind": "part", "t_ms": self.now, "n": self.n, "truth": truth, "defective": defective} | said)
        self.about("assigned", 5, owned=True)
        n_shown = self.n if shows is None else shows
        frame = {"kind": "frame", "t_ms": self.now + 10, "frame_counter": 1000 + self.n, "n": n_shown, "in_view": self.n}
        self.events.append(frame)
        if record:
            self.records.append(self.record(verdict, label, **more))
        held = verdict if latched is None else latched
        if held:
            self.about("latched", 30, verdict=held)
        opens = held == "PASS" if passed is None else passed
        gate = {"kind": "gate", "t_ms": self.now + 310, "n": self.n, "passed": opens or stuck}
        self.events.append(gate | ({"stuck": True} if stuck else {}) | ({"exit": "recheck"} if recheck else {}))
        if decided:
            self.about("decided", 315, verdict=held, passed=opens, detail=detail)
        return self.n

    def record(self, verdict: str, label: str = "", **more: object) -> dict[str, Any]:
        ns = round(self.now * 1e6)
        return {
            "kind": "part",
            "part_id": self.part_id,
            "epoch": self.epoch,
            "disposition": verdict,
            "token": "acked",
            "label": label or ("good" if verdict == "PASS" else "dent" if verdict == "FAIL" else ""),
            "frame_counter": 1000 + self.n,
            "t_trigger_mono_ns": ns + 8_000_000,
            "t_frame_mono_ns": ns + 22_000_000,
            "t_acked_mono_ns": ns + 26_000_000,
            **more,
        }

    def score(self) -> dict[str, Any]:
        return score_line("s7", self.events, self.records)


def differing(score: dict[str, Any], **expected: object) -> None:
    """Every figure of the score that should be 0 is 0, but for those given."""
    zero = {
        "escapes": 0,
        "escapes_by_fault": 0,
        "escapes_by_machine": 0,
        "false_rejects": 0,
        "mis_tracked": 0,
        "not_inspected": 0,
        "good_lost": 0,
        "late": 0,
        "passed_without_token": 0,
        "passed_without_record": 0,
        "contradicted": 0,
        "pass_turned_away": 0,
        "without_disposition": 0,
        "double_disposition": 0,
        "wrong_outcomes": 0,
        "orphan_records": 0,
    }
    assert {k: score[k] for k in zero} == zero | expected


def sound() -> Run:
    run = Run()
    for _ in range(6):
        run.part()
    run.part("dent", "FAIL")
    run.part("crack", "FAIL", label="crack")
    return run


def test_a_sound_run() -> None:
    score = sound().score()
    assert set(EXACT) <= set(score)
    assert (score["protocol"], score["parts"], score["passed"], score["rejected"], score["defective"]) == ("s7", 8, 6, 2, 2)
    assert (score["accuracy"], score["label_accuracy"], score["fed"], score["inspected"]) == (1.0, 1.0, 8, 8)
    assert score["latency_ms"] == {"p50": 4.0, "p95": 4.0, "p99": 4.0, "max": 4.0}, "frame available to acknowledged"
    assert score["reaction_ms"]["max"] == 30
    differing(score)


def test_an_off_by_one_frame_is_mis_tracked_even_when_the_verdict_was_right() -> None:
    run = sound()
    run.part(shows=run.n)
    differing(run.score(), mis_tracked=1)


def test_a_defective_part_that_passes_by_its_neighbours_picture_is_an_escape_by_fault() -> None:
    run = sound()
    run.part("scratch", "PASS", shows=run.n)
    score = run.score()
    differing(score, escapes=1, escapes_by_fault=1, mis_tracked=1)
    assert score["accuracy"] == pytest.approx(8 / 9, abs=1e-6)


def test_a_frame_of_nothing_that_led_to_a_verdict_is_mis_tracked() -> None:
    run = sound()
    run.part(shows=0)
    differing(run.score(), mis_tracked=1)


def test_a_frame_that_the_camera_never_took_is_mis_tracked() -> None:
    run = sound()
    run.part(frame_counter=77)
    differing(run.score(), mis_tracked=1)


def test_a_frame_of_another_part_that_led_to_no_verdict_is_not() -> None:
    run = sound()
    run.part(verdict="NOT_INSPECTED", shows=run.n)
    differing(run.score(), not_inspected=1, good_lost=1)


def test_the_models_own_mistakes_are_no_faults() -> None:
    run = sound()
    run.part("dent", "PASS")
    run.part("good", "FAIL")
    score = run.score()
    differing(score, escapes=1, false_rejects=1)
    assert score["accuracy"] == 0.8
    assert score["label_accuracy"] == 0.8


def test_a_gate_that_opens_without_a_token() -> None:
    run = sound()
    run.part("dent", "FAIL", latched="", passed=True)
    run.part("good", "FAIL", latched="", passed=True)
    differing(run.score(), escapes=1, escapes_by_fault=1, passed_without_token=2)


def test_a_gate_that_opens_against_a_fail_token() -> None:
    run = sound()
    run.part("dent", "FAIL", passed=True)
    differing(run.score(), escapes=1, escapes_by_fault=1, passed_without_token=1)


def test_a_part_that_slips_through_a_stuck_gate_is_the_machines_escape_and_not_the_gateways() -> None:
    run = sound()
    run.part("dent", "FAIL", stuck=True)
    run.part("dent", "NOT_INSPECTED", stuck=True)
    run.part("crack", "NOT_INSPECTED", latched="", record=False, stuck=True)
    score = run.score()
    differing(score, escapes=3, escapes_by_machine=3, without_disposition=1)
    assert (score["passed"], score["rejected"]) == (9, 2)
    assert score["accuracy"] == 1.0, "the verdict was right"


def test_a_stuck_gate_excuses_no_wrong_picture() -> None:
    run = sound()
    run.part("dent", "FAIL", stuck=True, shows=run.n)
    differing(run.score(), escapes=1, escapes_by_machine=1, mis_tracked=1)


def test_an_outcome_that_believes_a_stuck_gate_is_the_machines_mistake() -> None:
    run = sound()
    run.part("dent", "FAIL", stuck=True)
    run.records.append({"kind": "outcome", "part_id": run.part_id, "epoch": run.epoch, "outcome": "REJECTED"})
    differing(run.score(), escapes=1, escapes_by_machine=1)


def test_a_good_part_that_slips_is_no_escape() -> None:
    run = sound()
    run.part("good", "NOT_INSPECTED", stuck=True)
    differing(run.score())


def test_a_part_that_passed_by_its_token_just_before_the_plc_stopped_is_no_fault() -> None:
    run = sound()
    run.part("dent", "PASS", decided=False, passed=True)
    differing(run.score(), escapes=1)


def test_a_token_turned_away_by_a_plc_in_stop_decided_nothing() -> None:
    run = sound()
    run.part("good", "PASS", decided=False, passed=False)
    differing(run.score(), not_inspected=1, good_lost=1)


def test_a_gate_left_open_over_a_restart() -> None:
    run = sound()
    run.part("dent", "PASS", decided=False, passed=True)
    gate = run.events.pop()
    run.restart(0xABCD0002)
    run.events.append(gate)
    differing(run.score(), escapes=1, escapes_by_fault=1, passed_without_token=1)


def test_a_register_that_claims_a_token_it_never_latched() -> None:
    run = sound()
    run.part("dent", "PASS")
    run.events = [e for e in run.events if not (e["kind"] == "latched" and e["n"] == run.n)]
    differing(run.score(), escapes=1, escapes_by_fault=1, passed_without_token=1)


def test_a_defective_part_that_passes_on_a_token_without_a_record_is_an_escape_by_fault() -> None:
    run = sound()
    run.part("dent", "PASS", record=False)
    differing(run.score(), escapes=1, escapes_by_fault=1, passed_without_record=1, without_disposition=1)


def test_a_token_that_says_other_than_the_record_is_a_contradiction_and_an_escape_by_it_a_fault() -> None:
    run = sound()
    run.part("dent", "FAIL", latched="PASS")
    run.part("good", "PASS", latched="FAIL", label="good")
    differing(run.score(), escapes=1, escapes_by_fault=1, contradicted=2, false_rejects=1)


def test_an_escape_with_two_records_is_no_judgement_of_the_model() -> None:
    run = sound()
    run.part("dent", "PASS")
    run.records.append(run.records[-1] | {"disposition": "FAIL"})
    differing(run.score(), escapes=1, escapes_by_fault=1, contradicted=1, double_disposition=1)


def test_a_frame_counter_that_comes_twice_proves_nothing() -> None:
    run = sound()
    run.part()
    run.events.append(next(e for e in run.events if e["kind"] == "frame" and e["n"] == run.n))
    differing(run.score(), mis_tracked=1)


def test_a_part_that_has_not_reached_the_gate_is_not_missed_yet() -> None:
    run = sound()
    run.part(record=False, latched="", verdict="NOT_INSPECTED")
    run.events = [e for e in run.events if not (e["kind"] in ("gate", "decided") and e["n"] == run.n)]
    differing(run.score())


def test_not_inspected_parts_are_rejects_but_no_false_rejects() -> None:
    run = sound()
    run.part("good", "NOT_INSPECTED")
    run.part("dent", "NOT_INSPECTED")
    run.part("good", "PASS", latched="", token="late")
    score = run.score()
    differing(score, not_inspected=3, good_lost=2, late=1)
    assert (score["rejected"], score["inspected"], score["accuracy"]) == (5, 8, 1.0)


def test_a_pass_that_the_plc_turned_away_is_a_false_reject_of_its_own() -> None:
    run = sound()
    run.part(passed=False)
    differing(run.score(), false_rejects=1, pass_turned_away=1)


def test_the_first_five_seconds_are_told_apart() -> None:
    run = Run()
    for i in range(1, 121):
        run.part(verdict="NOT_INSPECTED" if i in (3, 110) else "PASS")
    score = run.score()
    assert (score["not_inspected"], score["not_inspected_after_5s"], score["parts_after_5s"]) == (2, 1, 19)


def test_dispositions_are_one_each() -> None:
    run = sound()
    run.part(record=False, verdict="NOT_INSPECTED", latched="")
    run.part()
    run.records.append(dict(run.records[-1]))
    run.records.append(run.record("PASS") | {"part_id": 999})
    score = run.score()
    differing(score, without_disposition=1, double_disposition=1, orphan_records=1, not_inspected=1, good_lost=1)
    assert score["without_disposition_unowned"] == 0


def test_part_ids_that_repeat_after_a_restart_are_told_apart_by_the_epoch() -> None:
    run = Run()
    run.part("good", "PASS")
    run.part("dent", "FAIL")
    run.restart(0xABCD0002)
    run.part("dent", "FAIL")
    run.part("good", "PASS")
    score = run.score()
    differing(score)
    assert score["accuracy"] == 1.0


def test_a_record_without_an_epoch_is_placed_by_its_time() -> None:
    run = Run()
    run.part(verdict="NOT_INSPECTED", latched="", epoch=0, token="void", t_acked_mono_ns=0)
    run.restart(0xABCD0002)
    run.part()
    differing(run.score(), not_inspected=1, good_lost=1)


def test_a_verdict_of_the_life_before_shows_as_mis_tracked_when_it_is_booked_on_the_new_part() -> None:
    run = Run()
    old = run.part()
    run.restart(0xABCD0002)
    run.part(frame_counter=1000 + old)
    differing(run.score(), mis_tracked=1)


def test_parts_on_the_belt_when_the_plc_restarts_are_lost_and_no_escape() -> None:
    run = sound()
    run.part(decided=False, passed=False)
    run.restart(0xABCD0002)
    run.part()
    differing(run.score(), not_inspected=1, good_lost=1)


def test_nothing_at_all() -> None:
    score = score_line("modbus", [], [])
    differing(score)
    assert (score["parts"], score["accuracy"], score["latency_ms"]["p50"]) == (0, None, None)


def test_other_records_and_a_restarted_tail_of_the_ledger_are_ignored() -> None:
    run = sound()
    run.records.insert(0, {"kind": "line", "link": "up"})
    run.records.insert(1, {"kind": "alarm", "code": "CAMERA", "active": True, "synchronised": False})
    run.events.append({"kind": "meta", "t_ms": 0.0})
    run.events.append({"kind": "process", "t_ms": 0.0, "p": 0.1})
    run.events.append({"kind": "fault", "t_ms": 0.0, "n": 3, "fault": "link_cut"})
    score = run.score()
    differing(score)
    assert score["faults"] == {"link_cut": 1}


def test_percentiles() -> None:
    assert percentiles([float(v) for v in range(101)]) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


def test_an_outcome_on_record_that_the_gate_denies_is_counted() -> None:
    run = sound()
    told = [("PASSED", 1), ("REJECTED", 2), ("REJECTED", 7), ("UNKNOWN", 3), ("REJECT_NOT_CONFIRMED", 4)]
    run.records += [{"kind": "outcome", "part_id": id, "epoch": run.epoch, "outcome": outcome} for outcome, id in told]
    run.records.append({"kind": "outcome", "part_id": 1, "epoch": run.epoch + 1, "outcome": "REJECTED"})  # of no known life
    differing(run.score(), wrong_outcomes=1)
