"""The clock that control is given: monotonic for decisions, UTC for records. Simulations give another."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Two readings in ns: ``mono_ns`` never jumps, ``utc_ns`` is what people read."""

    mono_ns: Callable[[], int] = time.monotonic_ns
    utc_ns: Callable[[], int] = time.time_ns
