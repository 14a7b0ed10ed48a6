"""The machine's checks against machines that are not as they should be."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.doctor import machine
from gateway.doctor.finding import Finding


def only(found: object) -> Finding:
    [one] = found  # type: ignore[misc]
    assert isinstance(one, Finding)
    if one.severity != "ok":
        assert one.why
        assert one.remedy
    return one


@pytest.mark.parametrize(
    ("version", "limits", "fits"),
    [
        ("3.16.1", ">=3.16.1,<3.17", True),
        ("3.17.0", ">=3.16.1,<3.17", False),
        ("3.16", ">=3.16.1,<3.17", False),
        ("2026.4.0", ">=2026.4", True),
        ("2026.3.9", ">=2026.4", False),
        ("45", ">=45", True),
        ("4.12.0.88", ">=4.12", True),
        ("2.5", "", True),
        ("2.5.3", "~=2.5", True),
        ("3.0", "~=2.5", False),
        ("2.5", "==2.5.0", True),
        ("2.5", "!=2.5", False),
        ("2.5rc1", ">=2.5", True),
        ("2.5", "===odd", False),
    ],
)
def test_versions_keep_to_their_limits(version: str, limits: str, fits: bool) -> None:
    assert machine.satisfies(version, limits) is fits


def test_packages_that_are_absent_or_too_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    have = {"one": "1.0", "two": "2.0"}

    def version(name: str) -> str:
        if name not in have:
            raise importlib.metadata.PackageNotFoundError(name)
        return have[name]

    requires = ["one>=1", "two<2; platform_system != 'Windows'", "three>=3", "torch>=2; extra == 'backbone'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requires)
    monkeypatch.setattr(importlib.metadata, "version", version)
    found = only(machine.packages())
    assert found.severity == "error"
    assert found.what == "two 2.0 is installed, two<2 is needed; three is not installed"
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requires[:1])
    assert only(machine.packages()).severity == "ok"


def test_a_checkout_without_its_own_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    assert only(machine.packages()).severity == "warning"


def test_an_old_python_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(machine.python()).severity == "ok"
    monkeypatch.setattr(machine.sys, "version_info", (3, 10, 9))
    assert only(machine.python()).severity == "error"


@pytest.mark.parametrize(
    ("code", "out", "err", "severity", "what"),
    [
        (0, '["CPU", "GPU"]', "", "ok", "devices: CPU, GPU"),
        (0, '["GPU"]', "", "error", "devices: GPU"),
        (0, "[]", "", "error", "devices: none"),
        (1, "", "Traceback\nImportError: libtbb.so.12", "error", "ImportError: libtbb.so.12"),
        (-11, "", "", "error", "ended with -11"),
    ],
)
def test_openvino(monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str, severity: str, what: str) -> None:
    done = SimpleNamespace(returncode=code, stdout=out, stderr=err)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    found = only(machine.openvino())
    assert (found.severity, found.what) == (severity, what)


def test_an_openvino_that_hangs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(*args: object, **kwargs: object) -> None:
        raise subprocess.TimeoutExpired("python", 25)

    monkeypatch.setattr(subprocess, "run", hangs)
    assert only(machine.openvino()).severity == "error"


def test_few_processors_and_little_memory_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    assert only(machine.processors(1)).severity == "ok"
    assert only(machine.processors(2)).severity == "warning"
    monkeypatch.setattr(Path, "read_text", lambda self: "MemTotal:  9 kB\nMemAvailable:   1048576 kB\n")
    assert only(machine.memory(1)).severity == "ok"
    assert only(machine.memory(2)).severity == "warning"


def test_the_folder_of_frames(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(machine, "ring_folder", lambda: tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(128 * machine.MIB))
    assert only(machine.shared_memory(2)).severity == "ok"
    assert only(machine.shared_memory(3)).severity == "warning"
    monkeypatch.setattr(machine, "ring_folder", lambda: tmp_path / "absent")
    assert only(machine.shared_memory(1)).severity == "error"


@pytest.mark.parametrize(("state", "severity"), [(0, "ok"), (1, "ok"), (machine.TIME_ERROR, "warning"), (-1, "warning")])
def test_the_clock(monkeypatch: pytest.MonkeyPatch, state: int, severity: str) -> None:
    monkeypatch.setattr(machine, "_adjtimex", lambda: state)
    monkeypatch.setattr(machine, "CLOCK_LOOK_S", 0.0)
    first, second = machine.clock()
    assert (first.severity, second.severity) == (severity, "ok")


def test_a_clock_that_is_set_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_adjtimex", lambda: 0)
    monkeypatch.setattr(machine, "CLOCK_LOOK_S", 0.0)
    now = iter([100.0, 103.0])
    monkeypatch.setattr(machine, "time", SimpleNamespace(time=lambda: next(now), monotonic=lambda: 5.0, sleep=time.sleep))
    _, jumped = machine.clock()
    assert jumped.severity == "warning"
    assert "+3.000 s" in jumped.what


def test_the_kernel_answers() -> None:
    assert machine._adjtimex() in range(-1, 6)
