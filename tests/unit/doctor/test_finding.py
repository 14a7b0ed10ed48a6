"""The guard: whatever a check does, the doctor goes on, keeps what was found, and says which check it was."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.doctor.finding import Finding, error, guarded, ok, warning, worst


async def test_what_a_check_finds_is_what_comes_out() -> None:
    def plain() -> Iterator[Finding]:
        yield ok("a", "well")
        yield warning("b", "hm", "because", "do")

    async def waiting() -> AsyncIterator[Finding]:
        await asyncio.sleep(0)
        yield error("c", "bad", "because", "do", "Line1")

    assert [f.check for f in await guarded("x", plain)] == ["a", "b"]
    [found] = await guarded("x", waiting)
    assert (found.check, found.subject, found.severity) == ("c", "Line1", "error")


@pytest.mark.parametrize("bug", [ZeroDivisionError("oh"), OSError(5, "I/O error"), RecursionError("deep"), KeyError("k")])
async def test_a_check_that_raises_becomes_a_finding_and_keeps_what_it_had_found(bug: Exception) -> None:
    def plain() -> Iterator[Finding]:
        yield ok("a", "well")
        raise bug

    async def waiting() -> AsyncIterator[Finding]:
        yield ok("a", "well")
        raise bug

    for check in (plain, waiting):
        first, second = await guarded("clock", check, "Line1")
        assert first.check == "a"
        assert (second.check, second.subject, second.severity) == ("clock", "Line1", "error")
        assert f"the check itself failed: {type(bug).__name__}: " in second.what
        assert "test_finding.py:" in second.what


async def test_a_check_that_cannot_even_begin_becomes_one_too() -> None:
    def broken() -> Iterator[Finding]:
        raise ValueError("no")

    [found] = await guarded("x", broken)
    assert "ValueError: no" in found.what


async def test_a_check_that_hangs_is_left_behind() -> None:
    free = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield ok("a", "well")
        free.wait(20)

    async def waits() -> AsyncIterator[Finding]:
        yield ok("a", "well")
        await asyncio.sleep(1000)

    try:
        for check in (hangs, waits):
            first, second = await guarded("nfs", check, timeout_s=0.05)
            assert (first.check, second.check) == ("a", "nfs")
            assert "did not end within 0.05 s" in second.what
    finally:
        free.set()


async def test_the_doctors_own_end_is_no_finding() -> None:
    async def waits() -> AsyncIterator[Finding]:
        yield ok("a", "well")
        await asyncio.sleep(1000)

    task = asyncio.create_task(guarded("x", waits))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_worst_counts() -> None:
    assert worst([]) == "ok"
    assert worst([ok("a", ""), warning("b", "", "", "")]) == "warning"
    assert worst([error("c", "", "", ""), warning("b", "", "", "")]) == "error"
