"""The self-check: no stage counts as working that has not lately proven it."""

from __future__ import annotations

import pytest

from gateway.control.selfcheck import BOUND_NS, HUNG_LOOKS, UNSERVED, SelfCheck
from gateway.core.errors import SelfCheckFailed

MS = 1_000_000


def test_nothing_is_proven_before_the_first_look() -> None:
    check = SelfCheck({"engine": lambda now_ns: True})
    assert check.failed(0) == f"{UNSERVED}, engine"
    check.look(10)
    assert check.failed(10) == ""


def test_a_stage_that_no_longer_works_fails_when_its_last_proof_is_150_ms_old_and_the_words_stay_the_same() -> None:
    works = True
    check = SelfCheck({"engine": lambda now_ns: works, "journal": lambda now_ns: True})
    check.look(0)
    works = False
    for now_ns in range(10 * MS, 160 * MS, 10 * MS):
        check.look(now_ns)
        assert (check.trouble, check.failed(now_ns)) == ("", "")
    for now_ns in range(160 * MS, 300 * MS, 10 * MS):
        check.look(now_ns)
        assert (check.trouble, check.failed(now_ns)) == ("engine", "engine")
    works = True
    check.look(300 * MS)
    assert (check.trouble, check.failed(300 * MS)) == ("", "")


def test_looks_that_no_longer_come_are_a_failure_of_everything() -> None:
    """Who was stopped for long must not speak on the strength of what it knew before."""
    check = SelfCheck({"engine": lambda now_ns: True})
    check.look(0)
    assert check.failed(BOUND_NS) == ""
    assert check.failed(BOUND_NS + 1) == f"{UNSERVED}, engine"


def test_a_stage_is_asked_about_the_time_of_the_look() -> None:
    asked: list[int] = []

    def works(now_ns: int) -> bool:
        asked.append(now_ns)
        return True

    SelfCheck({"engine": works}).look(7)
    assert asked == [7]


def test_a_stage_that_stays_failed_ends_the_process_but_a_long_sleep_does_not() -> None:
    works = True
    check = SelfCheck({"engine": lambda now_ns: works})
    check.look(0)
    works = False
    now_ns = 3600 * 1000 * MS
    for _ in range(HUNG_LOOKS):
        check.look(now_ns)
        now_ns += 10 * MS
    works = True
    check.look(now_ns)
    works = False
    now_ns += 200 * MS
    for _ in range(HUNG_LOOKS):
        check.look(now_ns)
        now_ns += 10 * MS
    with pytest.raises(SelfCheckFailed, match="engine"):
        check.look(now_ns)
