"""Virtual time: jumps, order, frozen hosts, and nothing left behind unnoticed."""

from __future__ import annotations

import asyncio

import pytest

from simulators.storm.loop import Host, NothingCanHappenError, now_ns, run_virtual


def test_an_hour_passes_at_once_and_timers_of_one_moment_keep_their_order() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        loop = asyncio.get_running_loop()
        for name in "abc":
            loop.call_later(3600, seen.append, name)
        await asyncio.sleep(3600)
        seen.append(f"{now_ns() / 1e9:.0f}")
        return seen

    assert run_virtual(main()) == ["a", "b", "c", "3600"]


def test_a_wait_that_can_never_end_is_an_error_and_no_hang() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(NothingCanHappenError):
        run_virtual(main())


def test_cancelled_time_outs_in_great_number_leave_the_others_alone() -> None:
    async def main() -> float:
        for _ in range(2000):
            async with asyncio.timeout(60):
                await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(3.0)


def test_a_frozen_host_stands_still_and_catches_up_in_order_when_it_wakes() -> None:
    async def main() -> tuple[list[float], list[float]]:
        inside: list[float] = []
        outside: list[float] = []

        async def tick(seen: list[float]) -> None:
            for _ in range(4):
                await asyncio.sleep(1)
                seen.append(round(asyncio.get_running_loop().time(), 1))

        host = Host("frozen")
        tasks = [host.start(tick(inside)), asyncio.create_task(tick(outside))]
        await asyncio.sleep(1.5)
        host.freeze()
        await asyncio.sleep(2)
        host.wake()
        await asyncio.gather(*tasks)
        return inside, outside

    inside, outside = run_virtual(main())
    assert outside == [1.0, 2.0, 3.0, 4.0]
    assert inside == [1.0, 3.5, 4.5, 5.5]


def test_a_task_left_running_is_an_error() -> None:
    async def main() -> asyncio.Task[None]:
        return asyncio.create_task(asyncio.sleep(1000))

    with pytest.raises(RuntimeError, match="left running"):
        run_virtual(main())


def test_what_a_callback_raises_is_an_error_of_the_run() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon([].pop)
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="unhandled.*IndexError"):
        run_virtual(main())
