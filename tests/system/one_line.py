"""One factory and one gateway as processes, for tests that disturb the machine beneath them, not the line."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from simulators.demo_files import DemoLine
from simulators.demo_score import NEVER, score_of
from simulators.ledger import Event, read_ledger
from simulators.stand import Stand, StandOptions

PATIENCE_S = 30.0
"""How long anything may take on a machine that does other things."""
LOOK_S = 0.1


async def eventually(condition: Callable[[], object], why: str) -> None:
    """Wait for a condition that takes files to look at, bounded."""
    for _ in range(int(PATIENCE_S / LOOK_S)):
        if condition():
            return
        await asyncio.sleep(LOOK_S)
    raise AssertionError(f"not within {PATIENCE_S:.0f} s: {why}")


class OneLine:
    """A running line, seen from outside."""

    def __init__(self, stand: Stand, line: DemoLine) -> None:
        self.stand, self.line = stand, line

    def pids(self) -> dict[str, int]:
        return dict(json.loads((self.stand.data / "pids.json").read_text()))

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return what the gateway's processes logged under this name."""
        lines = self.stand.log.read_text().splitlines() if self.stand.log.exists() else []
        return [entry for line in lines if line.startswith("{") and (entry := json.loads(line)).get("event") == event]

    def events(self, *kinds: str) -> list[Event]:
        return [e for e in read_ledger(self.stand.ledger(self.line.name)) if e["kind"] in kinds]

    def verdicts(self) -> dict[int, str]:
        """Return the verdict that the PLC latched, by physical part."""
        return {e["n"]: e["verdict"] for e in self.events("latched")}

    async def passes(self) -> None:
        """Wait until a part that has not even come yet has its PASS."""
        first = max((e["n"] for e in self.events("part")), default=0)
        await eventually(lambda: any(n > first and v == "PASS" for n, v in self.verdicts().items()), "a PASS")

    def check(self, *also: str) -> None:
        """Check what no fault excuses, and that these figures of the score are 0 as well."""
        score, zero = score_of(self.stand, self.line), (*NEVER, *also)
        assert {key: score[key] for key in zero} == dict.fromkeys(zero, 0)


@contextlib.asynccontextmanager
async def one_line(folder: Path, line: DemoLine, parts_per_s: float) -> AsyncIterator[OneLine]:
    """Run it until the block ends, then let the belt run empty and stop in order."""
    stand = Stand(StandOptions(folder=folder, scenario="steady", parts=0, parts_per_s=parts_per_s, seed=5, lines=[line]))
    try:
        await stand.start()
        yield OneLine(stand, line)
        await stand.clear(10)
    finally:
        await stand.stop()
