"""The inspections under way: bounded, counted, and crowded with a hysteresis."""

from __future__ import annotations

import asyncio

import pytest

from gateway.control.load import CROWDED, MAX_INSPECTING, OVERDUE_NS, RELIEVED, Load


class Stand:
    def __init__(self) -> None:
        self.bugs: list[BaseException] = []
        self.load = Load(self.bugs.append)
        self.ends: list[asyncio.Future[None]] = []

    def start(self, due_ns: int = 0) -> None:
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends.append(end)

        async def inspect() -> None:
            await end

        self.load.start(inspect(), due_ns)

    async def end(self, count: int = 1) -> None:
        for _ in range(count):
            self.ends.pop(0).set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.fixture
def stand() -> Stand:
    return Stand()


async def test_a_full_engine_refuses_and_counts(stand: Stand) -> None:
    for n in range(MAX_INSPECTING):
        assert (stand.load.free, stand.load.refuse()) == (MAX_INSPECTING - n, "")
        stand.start()
    assert "overload" in stand.load.refuse()
    assert "overload" in stand.load.refuse()
    assert (stand.load.free, stand.load.refused) == (0, 2)
    await stand.end()
    assert stand.load.refuse() == ""
    await stand.load.cancel()


async def test_crowded_comes_late_and_goes_late(stand: Stand) -> None:
    for n in range(CROWDED):
        assert not stand.load.crowded, n
        stand.start()
    assert stand.load.crowded
    for left in range(CROWDED - 1, RELIEVED, -1):
        await stand.end()
        assert stand.load.crowded, left
    await stand.end()
    assert not stand.load.crowded
    stand.start()
    assert not stand.load.crowded, "it does not flutter"
    await stand.load.cancel()


async def test_busy_is_fine_and_a_second_beyond_the_deadline_is_not(stand: Stand) -> None:
    assert not stand.load.hangs(1 << 60)
    for due_ns in (500, 100, 900):
        stand.start(due_ns)
    assert not stand.load.hangs(100 + OVERDUE_NS)
    assert stand.load.hangs(101 + OVERDUE_NS)
    await stand.load.cancel()
    assert len(stand.load) == 0
    assert not stand.load.hangs(1 << 60)


async def test_a_bug_is_told_and_a_cancellation_is_none(stand: Stand) -> None:
    stand.start()
    stand.start()
    stand.ends[0].set_exception(bug := ZeroDivisionError())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert stand.bugs == [bug]
    await stand.load.cancel()
    assert stand.bugs == [bug]
