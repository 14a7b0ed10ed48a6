"""What is installed, what is never used, and how the processes are set up: facts of packages that no call can show.

Versions below which a library breaks a promise of ours, names that must not occur in our code because what they do is a trap,
and the two settings of the control path that only measurements show to matter.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import tomllib
from functools import cache
from pathlib import Path

import cv2
import pytest

REPO = Path(__file__).resolve().parents[2]
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")

FLOORS = {
    "pymodbus": (3, 16, 1),  # a cancellation became ModbusIOException
    "python-snap7": (3, 3),  # AsyncClient
    "asyncua": (2, 1),
    "openvino": (2026, 4),
    # Not used yet; a first use begins no lower.
    "starlette": (1, 3, 1),
    "python-multipart": (0, 0, 27),
    "h11": (0, 16),
    "nicegui": (3, 10),
    "aiomqtt": (2, 5),
    "paho-mqtt": (2,),
}
CEILINGS = {"pymodbus": (3, 17), "python-snap7": (3, 4), "asyncua": (2, 2)}
"""Libraries whose insides we rely on: the next minor version is looked at before it is taken."""
ABSENT = {
    "opencv-python": "needs libGL and glib to be imported; the headless build of the same version does not",
    "opencv-contrib-python": "as opencv-python",
    "torch": "only to train the backbone again, an extra",
    "pysparkplug": "conflicts with aiomqtt",
    "mqtt-spb-wrapper": "conflicts with aiomqtt",
    "nodeset": "the types are built in code",
}


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


@cache
def pinned(file: str) -> dict[str, list[tuple[int, ...]]]:
    """Return every version that a requirements file pins, by package."""
    found: dict[str, list[tuple[int, ...]]] = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==([^\s;]+)", (REPO / file).read_text(), re.MULTILINE):
        found.setdefault(name, []).append(numbers(version))
    return found


@pytest.mark.parametrize("file", REQUIREMENTS)
def test_no_pinned_version_is_below_its_floor_or_at_its_ceiling(file: str) -> None:
    pins = pinned(file)
    assert {"pymodbus", "python-snap7", "asyncua", "openvino"} <= set(pins)
    low = {name: v for name, floor in FLOORS.items() for v in pins.get(name, []) if v < floor}
    high = {name: v for name, ceiling in CEILINGS.items() for v in pins[name] if v >= ceiling}
    assert not low and not high


@pytest.mark.parametrize("package", CEILINGS)
def test_the_installed_version_is_within_them(package: str) -> None:
    assert FLOORS[package] <= numbers(importlib.metadata.version(package)) < CEILINGS[package]


def test_the_project_asks_for_no_less_and_no_more() -> None:
    asked = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["dependencies"]
    for package, ceiling in CEILINGS.items():
        (line,) = [d for d in asked if re.match(rf"{package}\b", d)]
        floor, below = re.search(r">=([\d.]+),<([\d.]+)$", line).groups()  # type: ignore[union-attr]
        assert numbers(floor) >= FLOORS[package]
        assert numbers(below) <= ceiling


@pytest.mark.parametrize("file", REQUIREMENTS)
def test_what_must_not_be_installed_is_not(file: str) -> None:
    assert not set(ABSENT) & set(pinned(file))
    assert "opencv-python-headless" in pinned(file)


def test_opencv_is_the_build_without_windows() -> None:
    gui = re.search(r"GUI:\s*(\S+)", cv2.getBuildInformation())
    assert gui is not None and gui.group(1) == "NONE"


# -- what is never used ---------------------------------------------------------------------------------------------------

TRAPS = {
    "phaseCorrelate": "with a window, OpenCV 5.0.0 overwrites its inputs at some sizes",
    "HistorySQLite": "asyncua's: 12 to 58 ms a value, no string NodeIds",
    "enable_history_data_change": "as HistorySQLite",
    "subscribe_server_callback": "asyncua's listeners of one priority replace each other",
    "db_write_bool": "snap7's bit writes read, change and write the byte: a race with the PLC",
    "write_tag": "as db_write_bool",
    "force_bit": "as db_write_bool",
    "read_multi_vars": "snap7's: one request an item, not atomic",
    "write_multi_vars": "as read_multi_vars",
    "ModbusServerContext": "goes away in pymodbus 4",
    "ModbusSequentialDataBlock": "as ModbusServerContext",
    "ModbusSparseDataBlock": "as ModbusServerContext",
    "ModbusDeviceContext": "as ModbusServerContext",
    "convert_from_registers": "pymodbus knows no byte order; our codec does",
    "convert_to_registers": "as convert_from_registers",
    "FiniteStateMachine": "asyncua's install fails",
    "pickle": "runs what is in a file",
    "joblib": "as pickle",
    "torch": "only in models/backbone",
}
FORBIDDEN_FROM = {"snap7": {"Client"}, "snap7.client": {"*"}, "pymodbus.datastore": {"*"}, "asyncua.server.history_sql": {"*"}}
"""By module, what is not imported from it: the sync S7 client re-sends a write when it reconnects."""


@cache
def sources() -> dict[str, ast.Module]:
    files = [f for top in ("gateway", "simulators") for f in sorted((REPO / top).rglob("*.py"))]
    return {str(f.relative_to(REPO)): ast.parse(f.read_text()) for f in files}


def names(tree: ast.Module) -> set[str]:
    """Return every name that the code uses: imported, called or looked up; comments and texts do not count."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                found.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                found |= {part for alias in aliases for part in alias.name.split(".")}
                found |= set((getattr(node, "module", "") or "").split("."))
    return found


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_not_stepped_into(trap: str) -> None:
    assert not [file for file, tree in sources().items() if trap in names(tree)], TRAPS[trap]


def test_traps_would_be_seen() -> None:
    assert {"AsyncClient", "db_read", "cv2", "BoundedServer"} <= set().union(*map(names, sources().values()))
    for code in ("import pickle", "from a.pickle import b", "import a.pickle as c", "x = y.pickle(1)"):
        assert "pickle" in names(ast.parse(code))


def test_nothing_is_imported_from_where_it_should_not_be() -> None:
    bad = []
    for file, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (forbidden := FORBIDDEN_FROM.get(node.module or "")):
                bad += [f"{file}: {node.module}.{a.name}" for a in node.names if "*" in forbidden or a.name in forbidden]
            if isinstance(node, ast.Import):
                bad += [f"{file}: {a.name}" for a in node.names if a.name in FORBIDDEN_FROM and "*" in FORBIDDEN_FROM[a.name]]
    assert not bad


# -- how the processes are set up -----------------------------------------------------------------------------------------


def calls(file: str) -> list[str]:
    """Return the calls ``module.function`` of a file in the order of their lines."""
    found = []
    for node in ast.walk(sources()[file]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            found.append((node.lineno, f"{node.func.value.id}.{node.func.attr}"))
    return [call for _, call in sorted(found)]


@pytest.mark.parametrize("entry", ["gateway/control/main.py", "gateway/services/main.py"])
def test_a_process_freezes_what_it_has_built_and_runs_on_uvloop(entry: str) -> None:
    """A collection of the oldest objects takes 150 ms with an address space in memory; asyncio's own timers round to 1 ms."""
    made = calls(entry)
    assert made.index("gc.freeze") == made.index("gc.collect") + 1
    assert "uvloop.run" in made
