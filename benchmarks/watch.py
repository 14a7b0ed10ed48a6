"""Processes of a gateway looked at from outside, again and again: what they hold, and whether it grows."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scipy.stats import theilslopes

from simulators.program import StandError, reasons
from simulators.stand import Stand

QUANTITIES = ("rss", "uss", "fds", "threads", "tasks", "objects")
"""MiB for the memory, numbers for the rest; the last two are said by the process itself."""


@dataclass(slots=True)
class Series:
    """One process under one name; what was seen of an earlier one of that name is dropped, and said."""

    pid: int
    since_s: float
    lives: int = 1
    seen: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {name: [] for name in QUANTITIES})

    def take(self, t_s: float, values: dict[str, float]) -> None:
        """Add one look."""
        for name, value in values.items():
            self.seen[name].append((t_s, value))


def given_up(stand: Stand) -> StandError | None:
    """Return why a run tells nothing any more, if the gateway has given one of its processes up."""
    down = [key.rpartition(":")[0] for key in stand.gateway.said if key.endswith(":stays down")]
    return StandError(f"{', '.join(down)}: fell too often and stays down:\n{reasons(stand.log)}") if down else None


def look(pid: int) -> dict[str, float] | None:
    """Return what a process holds, MiB and numbers; None when it is gone or not yet itself."""
    try:
        rollup = _fields(Path(f"/proc/{pid}/smaps_rollup").read_text())
        status = _fields(Path(f"/proc/{pid}/status").read_text())
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    if "Rss" not in rollup:
        return None
    own = rollup["Private_Clean"] + rollup["Private_Dirty"]
    return {"rss": rollup["Rss"] / 1024, "uss": own / 1024, "fds": descriptors, "threads": status["Threads"]}


def _fields(text: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        number = value.split()
        if number and number[0].isdigit():
            found[name] = float(number[0])
    return found


def hears(pid: int, sig: signal.Signals) -> bool:
    """Return whether a process has a handler for a signal: one that is only starting would be ended by it."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (sig - 1) & 1)
    return False


class Watch:
    """Looks at the processes named in pids.json, and reads what they say of themselves in the log."""

    def __init__(self, stand: Stand) -> None:
        """Start with nothing seen."""
        self._pids = stand.data / "pids.json"
        self._log = stand.log
        self._read = 0
        self._data = stand.data
        self.begun = time.monotonic()
        self.series: dict[str, Series] = {}
        self.data_mb: list[tuple[float, float]] = []

    def once(self) -> None:
        """Look once."""
        now = time.monotonic() - self.begun
        for name, pid in json.loads(self._pids.read_text()).items():
            known = self.series.get(name)
            if known is None or known.pid != pid:
                self.series[name] = Series(pid=pid, since_s=now, lives=known.lives + 1 if known else 1)
            if (values := look(pid)) is not None:
                self.series[name].take(now, values)

    def ask(self) -> None:
        """Ask every process for its stock, the answers come by the log; and look at the data folder."""
        self.data_mb.append((time.monotonic() - self.begun, _size_mb(self._data)))
        for name, series in self.series.items():
            if name != "supervisor" and hears(series.pid, signal.SIGUSR1):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(series.pid, signal.SIGUSR1)

    def answers(self) -> None:
        """Take the answers that have come since the last time."""
        now = time.monotonic() - self.begun
        with self._log.open("rb") as log:
            log.seek(self._read)
            for raw in log:
                if not raw.endswith(b"\n"):
                    break
                self._read += len(raw)
                if b'"stock"' not in raw:
                    continue
                with contextlib.suppress(ValueError):
                    said = json.loads(raw)
                    for series in self.series.values():
                        if series.pid == said["pid"]:
                            series.take(now, {"tasks": said["tasks"], "objects": said["objects"]})


def _size_mb(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # the picture store forgets pictures meanwhile
            total += path.stat().st_size
    return total / 1e6


def grown(series: Series, seconds: float) -> dict[str, Any]:
    """Return the medians of the second and the last quarter of the run, and the slope over all three, of every quantity."""
    result: dict[str, Any] = {"lives": series.lives, "since_s": round(series.since_s)}
    for name, seen in series.seen.items():
        second = [v for t, v in seen if seconds / 4 <= t < seconds / 2]
        last = [v for t, v in seen if t >= 3 * seconds / 4]
        if not second or not last:
            continue
        before, after = statistics.median(second), statistics.median(last)
        result[name] = {
            "before": round(before, 3),
            "after": round(after, 3),
            "growth": round(after - before, 3),
            "growth_pct": round(100 * (after - before) / before, 3) if before else 0.0,
            "flat": after <= max(second),
            "per_hour": round(slope_per_hour([(t, v) for t, v in seen if t >= seconds / 4]), 3),
            "max": round(max(v for _, v in seen), 3),
        }
    return result


def slope_per_hour(seen: Sequence[tuple[float, float]]) -> float:
    """Return Theil-Sen's slope of (seconds, value), per hour; 0 for fewer than three values."""
    if len(seen) < 3:
        return 0.0
    times, values = zip(*seen, strict=True)
    return float(theilslopes(values, times)[0]) * 3600
