"""The stand's programs and the leash: real processes that announce, refuse, fall, and end with whoever started them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.program import Program, StandError, WrongInputError, reasons
from tests.integration.plc_stand import REPO, until

LEASH = [sys.executable, "-m", "simulators.leash"]
#: Says its pid, sleeps, and answers SIGINT with the status 7.
SLEEPER = """
import os, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
print('{"event": "ready", "pid": %d}' % os.getpid(), flush=True)
time.sleep(60)
"""


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


async def test_a_program_on_a_leash_is_interrupted_when_its_stdin_ends(tmp_path: Path) -> None:
    program = Program("sleeper")
    await program.start([*LEASH, *python(SLEEPER)], tmp_path / "log")
    said = await program.expect(":ready", 20)
    assert not program.ended
    await program.stop()
    assert program.process is not None
    assert program.process.returncode == 7
    assert not running(said["pid"])


async def test_a_leash_ends_with_its_program_and_hands_on_how_it_ended() -> None:
    for text, status in (("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)):
        leash = await asyncio.create_subprocess_exec(*LEASH, *python(text), stdin=subprocess.PIPE, cwd=REPO)
        async with asyncio.timeout(20):
            assert await leash.wait() == status


async def test_a_program_on_a_leash_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    starter = f"""
import subprocess, sys, time
subprocess.Popen({[*LEASH, *python(SLEEPER)]!r}, stdin=subprocess.PIPE)
time.sleep(60)
"""
    process = await asyncio.create_subprocess_exec(*python(starter), stdout=subprocess.PIPE, cwd=REPO)
    assert process.stdout is not None
    pid = json.loads(await process.stdout.readline())["pid"]
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(lambda: not running(pid), "the program on the leash ends", 10)
    await process.stdout.read()


async def test_what_a_killed_leash_leaves_behind_ends_with_the_program(tmp_path: Path) -> None:
    program = Program("sleeper")
    await program.start([*LEASH, *python(SLEEPER)], tmp_path / "log")
    said = await program.expect(":ready", 20)
    assert program.process is not None
    program.process.kill()
    await program.process.wait()
    assert running(said["pid"])
    await program.stop()
    await until(lambda: not running(said["pid"]), "the program that lost its leash ends", 10)


async def test_what_a_program_says_before_it_ends_is_the_error(tmp_path: Path) -> None:
    for status, error in ((2, WrongInputError), (1, StandError)):
        program = Program("factory")
        text = f"import sys; print('no such map; name another', file=sys.stderr); sys.exit({status})"
        await program.start(python(text), tmp_path / f"log{status}")
        with pytest.raises(StandError, match=r"factory ended before it was ready(?s:.*)no such map; name another") as caught:
            await program.expect(":ready", 20)
        assert type(caught.value) is error
        await program.stop()


async def test_a_process_that_is_given_up_is_not_waited_for(tmp_path: Path) -> None:
    program = Program("gateway")
    said = {"process": "services", "event": "stays down"}
    await program.start(python(f"import time; print({json.dumps(said)!r}, flush=True); time.sleep(60)"), tmp_path / "log")
    with pytest.raises(StandError, match="fell too often and stays down"):
        await program.expect("services:ready", 20)
    assert program.process is not None
    program.process.kill()
    await program.stop()


async def test_announcements_are_counted(tmp_path: Path) -> None:
    program = Program("gateway")
    said = {"process": "control:Press", "event": "ready"}
    await program.start(python(f"print('no JSON'); [print({json.dumps(said)!r}) for _ in range(2)]"), tmp_path / "log")
    await program.stop()
    assert program.times["control:Press:ready"] == 2
    assert program.ended


def test_reasons_are_the_errors_of_a_log_each_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert "nothing there" in reasons(log)
    taken = {"event": "configuration", "level": "error", "process": "services", "error": "port 4840 is taken"}
    info = {"event": "line state", "level": "info", "process": "control"}
    log.write_text("\n".join(map(json.dumps, (taken, info, taken, info))) + "\n")
    assert reasons(log) == 'services: configuration {"error": "port 4840 is taken"}'
    log.write_text(json.dumps(info) + "\nTraceback: plain text\n")
    assert reasons(log).endswith("Traceback: plain text")
