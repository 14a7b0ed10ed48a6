"""What a process must never hold is not even imported in it: each entry module is imported in a Python of its own.

import-linter checks what our files say; here is what the libraries drag in as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WEB = ("fastapi", "starlette", "uvicorn", "nicegui", "flask", "django", "aiohttp", "tornado", "sanic", "quart")
SIMULATORS = ("simulators",)
MUST_NOT_HOLD = {
    "gateway.control.main": (
        "asyncua",
        "apscheduler",
        "sklearn",
        "gateway.opcua",
        "gateway.monitoring",
        "gateway.actions",
        "gateway.services",
        "gateway.learning",
        *WEB,
        *SIMULATORS,
    ),
    "gateway.services.main": (
        "snap7",
        "pymodbus",
        "openvino",
        "gateway.plc",
        "gateway.vision",
        "gateway.control",
        "gateway.learning",
        *SIMULATORS,
    ),
    "gateway.vision.capture": (
        "snap7",
        "pymodbus",
        "asyncua",
        "openvino",
        "sklearn",
        "gateway.plc",
        "gateway.control",
        "gateway.services",
        "gateway.record",
        "gateway.opcua",
        *WEB,
        *SIMULATORS,
    ),
    "gateway.app": ("snap7", "pymodbus", "asyncua", "openvino", "sklearn", "gateway.vision.capture", *WEB, *SIMULATORS),
    "gateway.core": ("asyncio", "socket", "logging", "structlog", "pydantic", "cv2", "openvino", "gateway.plc"),
}


def modules_after(entry: str) -> set[str]:
    """Return the names of all modules in a fresh Python after ``entry`` and, for a package, its modules were imported."""
    code = (
        "import importlib, json, pkgutil, sys\n"
        f"m = importlib.import_module({entry!r})\n"
        "for found in pkgutil.iter_modules(getattr(m, '__path__', [])):\n"
        f"    importlib.import_module({entry + '.'!r} + found.name)\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("entry", MUST_NOT_HOLD)
def test_a_process_does_not_hold_what_it_must_not(entry: str) -> None:
    loaded = modules_after(entry)
    held = [name for name in MUST_NOT_HOLD[entry] if any(m == name or m.startswith(name + ".") for m in loaded)]
    assert not held, f"{entry} imports {held}"


def test_the_check_sees_what_is_there() -> None:
    """A list of forbidden names proves nothing unless the names are those that would be found."""
    assert {"snap7", "pymodbus"} <= {m.split(".")[0] for m in modules_after("gateway.plc")}
    assert "asyncua" in modules_after("gateway.opcua.server")


def test_nobody_imports_the_storm() -> None:
    """It joins the gateway and the simulated line, and is the one place that may know both."""
    repo = Path(__file__).resolve().parents[2]
    files = [f for package in ("gateway", "simulators") for f in (repo / package).rglob("*.py")]
    others = [f for f in files if repo / "simulators" / "storm" not in f.parents]
    assert len(others) > 100
    assert [f.name for f in others if "simulators.storm" in f.read_text(encoding="utf-8")] == []
