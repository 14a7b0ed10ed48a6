"""What every child process of the gateway can be told by a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from tests.integration.plc_stand import REPO

CHILD = """
import asyncio, threading
from gateway.process import log_to_stderr, stop_requested

async def run():
    stop = stop_requested()
    print("ready", flush=True)
    idle = [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
    await stop.wait()

log_to_stderr(process="child", line="Press")
asyncio.run(run())
"""


def test_a_process_says_what_it_holds_and_goes_on() -> None:
    pipe = subprocess.PIPE
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=REPO)
    assert child.stdout is not None and child.stderr is not None
    assert child.stdout.readline() == "ready\n"
    said = []
    for _ in range(2):
        os.kill(child.pid, signal.SIGUSR1)
        said.append(json.loads(child.stderr.readline()))
    child.communicate(timeout=30)
    assert child.returncode == 0
    for stock in said:
        assert (stock["event"], stock["process"], stock["line"]) == ("stock", "child", "Press")
        assert stock["pid"] == child.pid
        assert (stock["tasks"], stock["threads"]) == (4, 1)
        assert stock["objects"] > 0
