"""How far a long command is: one line that is overwritten, on a terminal only."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self


class ProgressLine:
    """Use as a context; plain lines go through it so that they do not mix with the progress."""

    def __init__(self) -> None:
        """Look whether stderr is a terminal."""
        self._shown = sys.stderr.isatty()
        self._last = ""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Clear the line."""
        self._clear()

    def show(self, what: str, done: int, count: int) -> None:
        """Show how many of how many are done."""
        line = f"{what}: {100 * done // max(1, count)} %"
        if self._shown and line != self._last:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
            self._last = line

    def say(self, line: str) -> None:
        """Print a line to stdout."""
        self._clear()
        print(line, flush=True)

    def say_aside(self, line: str) -> None:
        """Print a line to stderr."""
        self._clear()
        print(line, file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._last:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._last = ""
