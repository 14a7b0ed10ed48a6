"""What makes a run of the demo unsound: each figure alone, and what excuses it."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.demo_score import NEVER, failures

SOUND = {
    "parts": 1000,
    "inspected": 1000,
    "parts_after_5s": 900,
    "not_inspected_after_5s": 0,
    "passed_without_record": 0,
    "without_disposition": 0,
    "without_disposition_unowned": 0,
    "control_restarts": 0,
} | dict.fromkeys(NEVER, 0)


def found(*, disturbed: bool = False, **figures: int) -> list[str]:
    result: dict[str, Any] = {"lines": {"Press": SOUND, "Molding": SOUND | figures}}
    return failures(result, disturbed=disturbed)


def test_a_sound_run_has_none() -> None:
    assert found() == []
    assert found(disturbed=True) == []


@pytest.mark.parametrize("key", NEVER)
def test_what_nothing_excuses(key: str) -> None:
    assert found(**{key: 1}) == found(disturbed=True, control_restarts=1, **{key: 1}) == [f"Molding: {key} is 1, it must be 0"]


def test_one_part_in_a_thousand_may_end_without_an_inspection() -> None:
    assert found(parts_after_5s=1000, not_inspected_after_5s=1) == []
    assert found(parts_after_5s=1000, not_inspected_after_5s=2) == [
        "Molding: 2 of 1000 parts were not inspected after the first 5 s"
    ]
    assert found(parts_after_5s=1000, not_inspected_after_5s=2, disturbed=True) == []


def test_a_short_run_without_any_inspection_is_not_sound() -> None:
    short = {"parts": 50, "inspected": 0, "parts_after_5s": 0}
    assert found(**short) == ["Molding: none of 50 parts was inspected"]
    assert found(disturbed=True, **short) == []
    assert found(parts=0, inspected=0, parts_after_5s=0) == [], "stopped before the first part"


def test_a_part_that_passes_is_in_the_journal_unless_its_control_process_was_killed() -> None:
    said = ["Molding: 1 parts passed that are not in the journal"]
    assert found(passed_without_record=1) == found(passed_without_record=1, disturbed=True) == said
    assert found(passed_without_record=1, control_restarts=1) == []


def test_every_part_has_a_disposition_unless_nobody_owned_the_line() -> None:
    assert found(without_disposition=3, without_disposition_unowned=2) == [
        "Molding: 1 parts have no disposition in the journal"
    ]
    assert found(without_disposition=2, without_disposition_unowned=2) == []
    assert found(without_disposition=3, control_restarts=1) == []
    assert found(without_disposition=3, disturbed=True) == []
