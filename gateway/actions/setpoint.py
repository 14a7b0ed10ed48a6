"""Who moved the parameter: follows its value and tells a foreign change from one of ours.

A person or the PLC may change a set-point at any time, for reasons of their own; from then on the gateway leaves it alone. The
first value after the start is taken as given, so a restart of services takes a foreign change over.
"""

from __future__ import annotations

import math

from gateway.actions.adjust import Parameter

SETTLE_NS = 3 * 10**9


class SetPoint:
    """One parameter's value as the PLC shows it."""

    def __init__(self, parameter: Parameter) -> None:
        """Nothing is known yet."""
        self.value: float | None = None
        """As last shown; None while not known."""
        self.t_utc_ns = 0
        """When it was last shown."""
        self.foreign = ""
        """The foreign change in words; it stays for the life of this object."""
        self._parameter = parameter
        self._known: float | None = None
        self._also: float | None = None
        self._also_until_ns: int | None = None
        self._open = False

    def see(self, value: float, t_utc_ns: int) -> None:
        """Take the value shown at ``t_utc_ns``."""
        if not math.isfinite(value):
            self.value, self.t_utc_ns = None, t_utc_ns
            return
        self.value, self.t_utc_ns = value, t_utc_ns
        if self._open:
            return
        same = self._parameter.same
        if self._known is None or same(value, self._known):
            self._known = value
            if self._also_until_ns is not None:
                self._also = None
            return
        if self._also is not None and same(value, self._also):
            if self._also_until_ns is None:
                self._known, self._also = value, None
                return
            if t_utc_ns <= self._also_until_ns:
                return
        if not self.foreign:
            unit = self._parameter.unit
            self.foreign = f"{self._parameter.name} went from {self._known:g} to {value:g} {unit}".rstrip()
        self._known, self._also = value, None

    def request_opened(self) -> None:
        """Judge no change until the request of ours that now goes out has ended."""
        self._open = True

    def request_ended(self, *, value: float, also: float | None = None, until_ns: int | None = None) -> None:
        """Judge changes again: the PLC should hold ``value``; ``also`` may be seen without anybody else's doing.

        With ``until_ns`` it is the old value, which records from before the answer still show until then; without, the ending
        is unknown and the PLC may come to hold ``also`` at any time.
        """
        self._open = False
        self._known, self._also, self._also_until_ns = value, also, until_ns
