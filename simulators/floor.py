"""The floor around a simulated line: key switch, the reject station's contacts, other stations, the reader at the photo-eye.

It turns a scenario's plan into the PLC's inputs, part by part and scan by scan. It knows physical parts and their truth, as the
stations it stands for do; it knows neither the PLC's program nor its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulators.plant import AckInputs, Mode, StopReason, Trace
from simulators.process import Truth
from simulators.scenario import Scenario
from simulators.scenario_floor import Contact, KeyTurn
from simulators.world import Moment


class Floor:
    """One line's surroundings; the key stands at Automatic until the plan turns it."""

    def __init__(self, scenario: Scenario) -> None:
        """Take the plan."""
        self._station = scenario.station
        self._trace = scenario.trace
        self._again = scenario.again
        self._buffered = scenario.ack_buffered
        self._keys = sorted(scenario.keys, key=lambda k: k.at_part)
        self._commands = sorted(scenario.commands, key=lambda c: c.at_part)
        self._contacts: dict[str, float] = {}
        self._wishes: list[tuple[int, int]] = []
        self.mode = Mode.AUTOMATIC
        """Where the key stands."""

    def reached(self, n: int) -> list[KeyTurn]:
        """Do what is planned for the moment in which part ``n`` reaches the photo-eye; return how the key was turned."""
        turned = []
        while self._keys and self._keys[0].at_part <= n:
            turned.append(self._keys.pop(0))
            self.mode = Mode[turned[-1].mode.upper()]
        while self._commands and self._commands[0].at_part <= n:
            command = self._commands.pop(0)
            self._wishes.append((command.command, command.arg))
        return turned

    def fail(self, fault: Contact, at_ms: float) -> None:
        """Let a contact of the reject station go wrong for a while from ``at_ms`` on."""
        self._contacts[fault.kind] = at_ms + fault.for_ms

    def turn_back(self, reason: StopReason) -> bool:
        """Let the operator, who finds the line standing for ``reason``, turn the key back from Bypass; return whether so."""
        turns = reason is StopReason.BYPASS_LIMIT and self.mode is Mode.BYPASS
        if turns:
            self.mode = Mode.AUTOMATIC
        return turns

    def marks(self, n: int, truth: Truth) -> list[str]:
        """Return what the stations before the photo-eye say of a part."""
        said = {
            "challenge": n in self._station.challenge,
            "audit": n in self._station.audit,
            "external_reject": n in self._station.external or (self._station.existing_inspection and truth.defective),
        }
        return [name for name, holds in said.items() if holds]

    def inputs(self, due_ms: float, edges: Sequence[Moment]) -> dict[str, Any]:
        """Return the fields of :class:`PlcInputs` for the scan at ``due_ms``, which takes these photo-eye edges."""
        down = {kind for kind, until in self._contacts.items() if due_ms < until}
        fields: dict[str, Any] = {mark: True for edge in edges for mark in self.marks(edge.part.n, edge.part.truth)}
        if edges and self._trace is not None:
            fields["trace"] = self._texts(edges[-1].part.n)
        return fields | {
            "mode": self.mode,
            "recheck_fitted": self._station.recheck,
            "air_ok": "air_lost" not in down,
            "ejector_home": "ejector_away" not in down,
            "bin_full": "bin_full" in down,
            "bin_unlocked": "bin_unlocked" in down,
            "encoder_fault": "encoder_fault" in down,
            "ack": AckInputs(buffered=self._buffered, command=self._wishes.pop(0) if self._wishes else None),
        }

    def _texts(self, n: int) -> Trace:
        """Return what the reader says of a part; one that came before bears the serial that it had then."""
        assert self._trace is not None  # noqa: S101 - asked for with a reader alone
        first = self._again.get(n, n)
        return Trace(
            serial=f"{self._trace.prefix}{first:07}",
            lot=f"L{1 + (first - 1) // self._trace.lot_parts:04}",
            product=self._trace.product,
            carrier=f"C{n % self._trace.carriers:02}",
        )
