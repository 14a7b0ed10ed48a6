"""The machine without any configuration: Python, packages, OpenVINO, processors, memory, shared memory, clock."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.doctor.finding import Finding, error, ok, warning
from gateway.frames import ring_folder

MIB = 1 << 20
LEAST_PYTHON = (3, 11)
MEMORY_MIB = (512, 512)
"""Of the gateway as a whole, and of each line besides (control, capture, frames): measured with the demo's model."""
SHM_MIB = 64
TIME_ERROR = 5
"""What adjtimex(2) returns when the clock is not synchronised."""
CLOCK_LOOK_S = 1.0
CLOCK_JUMP_S = 0.02


def python() -> Iterator[Finding]:
    """Look at the version of Python."""
    said = platform.python_version()
    if sys.version_info[:2] < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        yield error("python", said, f"the gateway needs Python {least} or newer", f"install Python {least} or newer")
    else:
        yield ok("python", said)


def packages() -> Iterator[Finding]:
    """Look at every package that the gateway requires."""
    try:
        requires = importlib.metadata.requires("vision-gateway") or []
    except importlib.metadata.PackageNotFoundError:
        why = "what it requires cannot be compared with what is there"
        yield warning("packages", "vision-gateway is not installed as a package", why, "pip install .")
        return
    wrong, count = [], 0
    for text in requires:
        requirement, _, marker = (part.strip() for part in text.partition(";"))
        if "extra" in marker or "platform_system" in marker and platform.system() == "Windows":
            continue
        count += 1
        name = re.match(r"[\w.-]+", requirement)
        assert name is not None  # noqa: S101 - every requirement begins with a name
        try:
            there = importlib.metadata.version(name[0])
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{name[0]} is not installed")
            continue
        if not satisfies(there, requirement[name.end() :]):
            wrong.append(f"{name[0]} {there} is installed, {requirement} is needed")
    if wrong:
        yield error(
            "packages", "; ".join(wrong), "other versions behave otherwise than tested", "pip install -r requirements.txt"
        )
    else:
        yield ok("packages", f"{count} required packages, each in a version that fits")


def satisfies(version: str, limits: str) -> bool:
    """Return whether ``version`` keeps to ``>=3.11,<4``; only numbers count, as in our own requirements."""
    have = _numbers(version)
    for limit in filter(None, (part.strip() for part in limits.split(","))):
        match = re.fullmatch(r"(>=|<=|==|<|>|~=|!=)\s*([\d.]+)\S*", limit)
        if match is None:
            return False
        sign, want = match[1], _numbers(match[2])
        width = max(len(have), len(want))
        a, b = have + (0,) * (width - len(have)), want + (0,) * (width - len(want))
        fits = {
            ">=": a >= b,
            "<=": a <= b,
            "==": a == b,
            "<": a < b,
            ">": a > b,
            "!=": a != b,
            "~=": a >= b and a[: len(want) - 1] == b[: len(want) - 1],
        }[sign]
        if not fits:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(n) for n in match[0].split(".")) if match else ()


def openvino() -> Iterator[Finding]:
    """Look at the devices that OpenVINO finds, in a process of its own: a broken driver takes the process with it."""
    program = "import json, openvino; print(json.dumps(openvino.Core().available_devices))"
    remedy = "pip install -r requirements.txt; on a GPU look at its driver"
    try:
        done = subprocess.run(  # noqa: S603 - this Python and this text
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=25, check=False
        )
    except subprocess.TimeoutExpired:
        yield error("openvino", "does not answer within 25 s", "no part can be inspected", remedy)
        return
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        yield error("openvino", last, "no part can be inspected", remedy)
        return
    devices = json.loads(done.stdout)
    if "CPU" not in devices:
        yield error("openvino", f"devices: {', '.join(devices) or 'none'}", "the gateway infers on the CPU", remedy)
    else:
        yield ok("openvino", f"devices: {', '.join(devices)}")


def processors(lines: int) -> Iterator[Finding]:
    """Look at the processors this process may use."""
    have = len(os.sched_getaffinity(0))
    if have < lines + 1:
        why = f"{lines} line(s) infer at once, and the PLC's answer must not wait for them"
        remedy = "use fewer lines, a machine with more cores, or lower part rates"
        yield warning("processors", f"{have} usable", why, remedy)
    else:
        yield ok("processors", f"{have} usable")


def memory(lines: int) -> Iterator[Finding]:
    """Look at the memory that is free for the gateway."""
    info = dict(re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE))
    have, need = int(info["MemAvailable"]) // 1024, MEMORY_MIB[0] + MEMORY_MIB[1] * lines
    if have < need:
        why = f"{lines} line(s) want some {need} MiB; a process that gets none is killed, and its line rejects"
        yield warning("memory", f"{have} MiB available", why, "end other programs, or add memory")
    else:
        yield ok("memory", f"{have} MiB available")


def shared_memory(cameras: int) -> Iterator[Finding]:
    """Look at the folder of frames and sockets."""
    folder = ring_folder()
    need = SHM_MIB * max(1, cameras)
    if not os.access(folder, os.W_OK | os.X_OK):
        yield error("frames", f"{folder} cannot be written", "frames and sockets live there", "mount a tmpfs on /dev/shm")
        return
    have = shutil.disk_usage(folder).free // MIB
    if have < need:
        why = (
            f"the frames of {cameras} camera(s) want some {need} MiB there; without room a frame is lost and its part rejected"
        )
        yield warning("frames", f"{have} MiB free in {folder}", why, "enlarge it (docker: --shm-size)")
    else:
        yield ok("frames", f"{have} MiB free in {folder}")


def clock() -> Iterator[Finding]:
    """Look whether a time service keeps the clock, and whether somebody sets it right now."""
    state = _adjtimex()
    why = "records of several machines cannot be compared, and OPC UA clients refuse timestamps and certificates"
    if state == TIME_ERROR:
        yield warning("clock", "the kernel says that nothing synchronises it", why, "run chrony or systemd-timesyncd")
    elif state < 0:
        yield warning("clock", "the kernel does not say whether it is synchronised", why, "see that chrony or the host does it")
    else:
        yield ok("clock", "synchronised by a time service")
    before = time.time() - time.monotonic()
    time.sleep(CLOCK_LOOK_S)
    moved = time.time() - time.monotonic() - before
    if abs(moved) > CLOCK_JUMP_S:
        what = f"it was moved by {moved:+.3f} s within {CLOCK_LOOK_S:g} s"
        yield warning("clock.jump", what, "records are marked until it has run evenly for a minute", "see who sets it")
    else:
        yield ok("clock.jump", f"ran evenly for {CLOCK_LOOK_S:g} s")


def _adjtimex() -> int:
    """Return the kernel's state of the clock (TIME_ERROR: not synchronised), reading only; -1 when it does not say."""
    libc = ctypes.CDLL(None, use_errno=True)
    # struct timex with modes = 0 in its first word: nothing is set. 256 bytes hold it on every platform.
    return int(libc.adjtimex(ctypes.create_string_buffer(256)))
