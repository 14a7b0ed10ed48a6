"""Commissioning mode: for some minutes clients may read without security, so that a line can be brought up before any
certificate was exchanged.

Asked for by a file in the folder of keys (``gateway opcua commissioning``), which only this program's user may write, and taken
up by the server that runs. It ends by itself, measured by a clock that nobody sets, and with the server: a restart never goes
on with it. What it opens is reading, without a user and hence without a password on the wire. It must not know a session.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from gateway.opcua.security import write_private

MAX_MINUTES = 240.0
ASKED, RUNNING = "commissioning-asked.json", "commissioning.json"

_log = structlog.get_logger("opcua")


class Commissioning:
    """The mode in the server that runs."""

    def __init__(self, pki: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin switched off, whatever an earlier server had been asked for. ``clock`` counts monotonic seconds."""
        self._asked, self._running = pki / ASKED, pki / RUNNING
        self._clock = clock
        self._end = 0.0
        self.listeners: list[Callable[[bool], None]] = []
        """Told True when it begins and False when it ends."""
        pki.mkdir(parents=True, exist_ok=True)
        for left in (self._asked, self._running):
            left.unlink(missing_ok=True)

    @property
    def active(self) -> bool:
        """Return whether the mode is on now."""
        return self._clock() < self._end

    def look(self) -> None:
        """Begin when it was asked for, and end when its time is over or the file that says so was taken away."""
        was_on = self._end > 0
        if was_on and (not self.active or not self._running.exists()):
            self.end()
        minutes = self._take()
        if minutes > 0:
            until = datetime.now(UTC) + timedelta(minutes=minutes)
            try:
                write_private(self._running, json.dumps({"until": until.isoformat(timespec="seconds")}).encode())
            except OSError as e:
                # Without the file nobody could see the mode, nor switch it off.
                _log.error("OPC UA commissioning stays off", why=f"{self._running}: {e.strerror}")
                return
            self._end = self._clock() + minutes * 60
            _log.warning("OPC UA commissioning: anybody may read without security", minutes=minutes)
            self._tell(on=True)

    def end(self) -> None:
        """Switch it off."""
        if self._end:
            self._end = 0.0
            with suppress(OSError):  # it says too much then, but the mode is off
                self._running.unlink(missing_ok=True)
            _log.warning("OPC UA commissioning is over")
            self._tell(on=False)

    def _take(self) -> float:
        """Return for how many minutes it was asked for, 0 when it was not; a request counts once."""
        try:
            mode, owner = (s := self._asked.stat()).st_mode, s.st_uid
            body = self._asked.read_bytes()
            self._asked.unlink()
        except OSError:
            return 0.0
        with suppress(ValueError, KeyError, TypeError, OverflowError):
            minutes = float(json.loads(body)["minutes"])
            if mode & 0o077 == 0 and owner in (0, os.getuid()) and 0 < minutes <= MAX_MINUTES:
                return minutes
        _log.warning("OPC UA commissioning: a request that is damaged or anybody's was passed over", file=str(self._asked))
        return 0.0

    def _tell(self, *, on: bool) -> None:
        for listener in self.listeners:
            listener(on)


def ask(pki: Path, minutes: float) -> None:
    """Ask the server that runs for the mode."""
    write_private(pki / ASKED, json.dumps({"minutes": minutes}).encode())


def waiting(pki: Path) -> bool:
    """Return whether the request was not yet taken up."""
    return (pki / ASKED).exists()


def taken_back(pki: Path) -> bool:
    """Take a request back; False when it was taken up meanwhile."""
    try:
        (pki / ASKED).unlink()
    except FileNotFoundError:
        return False
    return True


def running_until(pki: Path) -> str:
    """Return the time (UTC) at which the mode ends, '' when it is off."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((pki / RUNNING).read_bytes())["until"])
    return ""


def switch_off(pki: Path) -> bool:
    """Have the mode ended within a second; False when it was off."""
    asked = taken_back(pki)
    try:
        (pki / RUNNING).unlink()
    except FileNotFoundError:
        return asked
    return True
