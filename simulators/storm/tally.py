"""Many episodes: run on several cores, kept in a file so that a long run can go on where it stopped, and added up.

The file holds one JSON object an episode, and first of all which code it is about: results of other code are not mixed in. It
knows nothing of what happens within an episode.
"""

from __future__ import annotations

import json
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from simulators.storm.broken import broken
from simulators.storm.episode import EPISODE_PARTS, NEVER, Protocol, Result, run_episode

_ROOT = Path(__file__).resolve().parents[2]
_COUNTED = ("parts", "defective", "good", *NEVER, "good_lost")


class StateError(Exception):
    """The file of results cannot be gone on with; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One episode to run."""

    protocol: Protocol
    seed: int
    parts: int
    every_parts: float
    kinds: tuple[str, ...] = ()
    broken: str = ""

    def command(self) -> str:
        """Return the line that replays it."""
        words = f"--protocol {self.protocol} --seed {self.seed} --parts {self.parts} --every {self.every_parts:g}"
        words += f" --only {','.join(self.kinds)}" if self.kinds else ""
        return f"python -m simulators.storm {words}" + (f" --broken {self.broken}" if self.broken else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one episode: a result, or the traceback of a bug."""

    task: Task
    result: Result | None
    bug: str = ""

    @property
    def failed(self) -> bool:
        """Return whether it must be looked at."""
        return self.result is None or self.result.failed


def plan(
    protocols: Sequence[Protocol],
    seed: int,
    parts: int,
    *,
    every_parts: float,
    kinds: tuple[str, ...] = (),
    broken: str = "",
) -> list[Task]:
    """Return the episodes of ``parts`` parts in all, shared out among the protocols; seeds count up from ``seed``."""
    share = -(-parts // len(protocols))
    tasks = []
    for i in range(-(-share // EPISODE_PARTS)):
        here = min(EPISODE_PARTS, share - i * EPISODE_PARTS)
        for protocol in protocols:
            tasks.append(
                Task(protocol=protocol, seed=seed + i, parts=here, every_parts=every_parts, kinds=kinds, broken=broken)
            )
    return tasks


def run_task(task: Task) -> Outcome:
    """Run one episode; whatever it raises is a bug of the gateway or of the storm, and is kept with its traceback."""
    try:
        with broken(task.broken):
            result = run_episode(task.protocol, task.seed, task.parts, every_parts=task.every_parts, kinds=task.kinds)
    except Exception:  # noqa: BLE001 - nothing is hidden: it fails the run, and its traceback is printed
        return Outcome(task=task, result=None, bug=traceback.format_exc())
    return Outcome(task=task, result=result)


def run_tasks(tasks: Sequence[Task], jobs: int) -> Iterator[Outcome]:
    """Run all of them on ``jobs`` processes, in order."""
    if jobs == 1 or len(tasks) == 1:
        yield from map(run_task, tasks)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run_task, tasks, chunksize=1)


class State:
    """The file of a long run."""

    def __init__(self, path: Path) -> None:
        """Open or create it; StateError when it is about other code or damaged."""
        self._path = path
        self._done: dict[str, Result] = {}
        about = {"code": code_hash()}
        if not path.exists():
            path.write_text(json.dumps(about) + "\n")
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            try:
                entry = json.loads(line)
            except ValueError:
                raise StateError(f"{path}:{number}: no JSON; remove the line, its episode will run again") from None
            if number == 1 and entry != about:
                raise StateError(f"{path}: these results are about other code; name another file, or remove this one")
            if number > 1:
                name = entry.pop("task")
                self._done[name] = Result(**entry)

    def done(self, task: Task) -> Result | None:
        """Return the result of a task that was run before."""
        return self._done.get(task.command())

    def keep(self, outcome: Outcome) -> None:
        """Write one result down at once."""
        if outcome.result is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"task": outcome.task.command(), **asdict(outcome.result)}) + "\n")


def code_hash() -> str:
    """Return a hash of the code under test, gateway and simulators."""
    found = sha256()
    for package in ("gateway", "simulators"):
        for path in sorted((_ROOT / package).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def add_up(results: Iterable[Result]) -> dict[str, Any]:
    """Return the tally; ``good_lost_share`` is a share of the good parts, ``recovery_ms`` p50, p99 and greatest."""
    faults: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    recovery: list[float] = []
    trace = sha256()
    for result in results:
        faults.update(result.faults)
        counts.update({name: getattr(result, name) for name in _COUNTED})
        recovery += result.recovery_ms
        trace.update(f"{result.protocol}/{result.seed}/{result.trace_hash}\n".encode())
    tally: dict[str, Any] = {name: counts[name] for name in _COUNTED}
    tally["good_lost_share"] = round(counts["good_lost"] / counts["good"], 5) if counts["good"] else None
    tally["faults"] = dict(sorted(faults.items()))
    tally["recovery_ms"] = _percentiles(recovery)
    tally["trace_hash"] = trace.hexdigest()
    return tally


def _percentiles(values: list[float]) -> dict[str, float | int | None]:
    if not values:
        return {"count": 0, "p50": None, "p99": None, "max": None}
    p50, p99 = np.percentile(values, (50, 99))
    return {"count": len(values), "p50": round(float(p50), 1), "p99": round(float(p99), 1), "max": max(values)}
