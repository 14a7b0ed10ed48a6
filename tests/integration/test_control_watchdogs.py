"""The watchdogs of a real control process: a loop that stands still, a process that was stopped, a camera that freezes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from typing import Any

from gateway.core.handshake import Status1
from tests.integration.plc_stand import until
from tests.integration.test_control_process import Control, control

STALLING = """
import sys, time
from pathlib import Path
from gateway.control import main
from gateway.control.line import Line

folder, tick = Path(sys.argv[1]), Line.tick

def compute_something_long(self):
    tick(self)
    if (folder / "stall").exists():
        for _ in range(1500):
            if (folder / "enough").exists():
                break
            time.sleep(0.01)

Line.tick = compute_something_long
sys.exit(main.main())
"""


def logged(c: Control, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in c.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def owner(c: Control) -> str:
    return c.plc.seen("owner")[-1].detail


async def test_a_loop_that_stands_still_is_named_and_the_plc_s_watchdog_trips() -> None:
    async with control("s7", STALLING) as c:
        await c.ready()
        part = await c.part()
        await until(lambda: part in c.latched(), "a token", 10)
        (c.folder / "stall").touch()
        await until(lambda: owner(c) == "lost", "the heartbeat freezes", 30)
        await until(lambda: logged(c, "the event loop does not turn"), "the stall is logged", 30)
        assert not logged(c, "the event loop turns again")
        (c.folder / "stall").unlink()
        (c.folder / "enough").touch()
        await until(lambda: owner(c) == "resumed", "the heartbeat goes on under the same epoch", 30)
        await until(lambda: logged(c, "the event loop turns again"), "its end is logged", 30)
        stalls = logged(c, "the event loop does not turn")
        told = [line for line in stalls if any("compute_something_long" in frame for frame in line["stack"])]
        assert len(told) == 1, "once a stall"
        assert (told[0]["process"], told[0]["line"]) == ("control", "press")
        assert any(line.endswith("Line._tick_forever") for line in told[0]["stack"])
        await c.ready()
        after = await c.part()
        await until(lambda: after in c.latched(), "a token", 10)
        assert {e.epoch for e in c.plc.seen("latched")} == {c.plc.seen("latched")[0].epoch}
        assert await c.stop() == 0


async def test_a_process_that_was_stopped_says_so_and_is_read_only_when_it_was_replaced() -> None:
    async with control("s7") as c:
        await c.ready()
        assert c.process is not None
        c.process.send_signal(signal.SIGSTOP)
        try:
            await until(lambda: owner(c) == "lost", "the heartbeat freezes", 30)
            c.plc.logic._down.role("claim.nonce").set(0x1234_5678)
            await until(lambda: owner(c) == "granted", "another owner", 10)
        finally:
            c.process.send_signal(signal.SIGCONT)
        await until(lambda: logged(c, "the process was stopped, or got no processor"), "the pause is logged", 30)
        await until(lambda: "readonly" in [line["link"] for line in logged(c, "line state")], "it is read-only", 30)


async def test_a_camera_that_repeats_itself_is_opened_anew_after_three_pictures() -> None:
    async with control("s7") as c:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as capture:
            capture.bind(str(c.folder / "capture"))
            capture.setblocking(False)
            await c.ready()
            parts = [await c.part(frozen=True) for _ in range(4)]
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(20):
                assert await loop.sock_recv(capture, 64) == b"reopen"
            await until(lambda: set(parts) <= set(c.latched()), "tokens", 10)
            assert "PASS" not in {c.latched()[p] for p in parts}
            [told] = logged(c, "camera is to be opened anew")
            assert (told["camera"], told["asked"], told["count"]) == ("top", True, 1)
            assert c.status1() & Status1.ONLINE
