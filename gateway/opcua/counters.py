"""What is counted of one line for the tags. It must not know the tags."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.events import AlarmChanged, PartJudged, PartOutcome, Record, TokenFate


@dataclass(slots=True, kw_only=True)
class Counters:
    """Counts of one line since its operations database was made."""

    total: int = 0
    ok: int = 0
    not_ok: int = 0
    not_inspected: int = 0
    missed: int = 0
    result_timeout: int = 0
    bypassed: int = 0
    reject_not_confirmed: int = 0
    alarms: int = 0
    """How often one came; no tag shows it yet."""

    def since(self, base: Counters) -> Counters:
        """Return what has been counted since ``base`` was taken."""
        # Not asdict, which takes ten times as long: this is done for every part.
        return Counters(**{name: getattr(self, name) - getattr(base, name) for name in self.__slots__})

    def count(self, record: Record) -> None:
        """Take one record into account; each must come exactly once."""
        match record:
            case PartJudged():
                self.total += 1
                self.ok += record.disposition == "PASS"
                self.not_ok += record.disposition == "FAIL"
                self.not_inspected += record.disposition == "NOT_INSPECTED"
                self.missed += record.token in (TokenFate.VOID, TokenFate.UNKNOWN)
                self.result_timeout += record.token == TokenFate.LATE
            case PartOutcome():
                self.bypassed += record.outcome == "BYPASSED"
                self.reject_not_confirmed += record.outcome == "REJECT_NOT_CONFIRMED"
            case AlarmChanged():
                self.alarms += record.active
            case _:
                pass
