"""The truth ledger: what really happened on a line, one JSON object a line, written as it goes, so that a kill loses nothing.

Only the scorer reads it, after or beside the run. Times are ms of CLOCK_MONOTONIC, the clock of the gateway's records on the
same machine. It must not know what an event means.

kinds: ``meta`` · ``key`` (was turned) · ``part`` (at the photo-eye; ``mode`` of the key unless automatic, ``marks`` of other
stations, if any) · ``frame`` (which part it shows) · ``owner`` · ``restarted`` · ``assigned`` · ``latched`` · ``decided`` ·
``gate`` (``stuck``: it was driven closed and stood open; ``exit``, if it was the recheck exit) · ``unconfirmed`` ·
``stopped`` · ``released`` · ``adjusted`` · of the classic exchange ``missed``, ``exposed``, ``result``, ``refused``,
``overrun``, ``error``, ``command`` · ``fault`` · ``link_back`` (the PLC's port accepts again) · ``process``
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

Event = dict[str, Any]


class Chronicle(Protocol):
    """Whoever keeps events."""

    def write(self, kind: str, t_ms: float, **values: object) -> None:
        """Keep one event."""


class Ledger:
    """Appends events to a file; OSError when the disk refuses."""

    def __init__(self, path: Path) -> None:
        """Create the file, and its folder; an older ledger at this place is replaced."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8", buffering=1)

    def write(self, kind: str, t_ms: float, **values: object) -> None:
        """Append one event and hand it to the operating system."""
        self._file.write(json.dumps({"kind": kind, "t_ms": round(t_ms, 3), **values}, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_ledger(path: Path) -> Iterator[Event]:
    """Yield the events of a ledger; a last line that is still being written is left out."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)
