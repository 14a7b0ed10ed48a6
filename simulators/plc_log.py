"""What the PLC's program did, written into the ledger with the physical part that each event is about.

Stands between the two because a PartId means nothing outside the PLC and repeats when its program starts anew: here, where the
photo-eye's latches go in and the program's events come out, each one is tied to its part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulators.ledger import Chronicle
from simulators.plant import PlcEvent
from simulators.world import Moment


class PlcLog:
    """Follows the program through its lives; ``life`` counts its starts."""

    def __init__(self, ledger: Chronicle) -> None:
        """Start before the first scan."""
        self._ledger = ledger
        self._ids: dict[int, int] = {}
        self.life = 0
        self.owner_alive = False
        """Whether the line has an owner whose heart beats."""

    def take(self, events: Sequence[PlcEvent], latches: Sequence[Moment], t_ms: float, setpoint: float | None) -> None:
        """Write the events of one scan, which saw these latches at the time ``t_ms`` and left this set-point."""
        seen = iter(latches)
        for event in events:
            self._write(event, seen, t_ms, setpoint)

    def _write(self, event: PlcEvent, seen: Iterator[Moment], t_ms: float, setpoint: float | None) -> None:
        match event.kind:
            case "restarted":
                self.life += 1
                self.owner_alive = False
                self._ids.clear()
                self._ledger.write("restarted", t_ms, life=self.life)
            case "owner":
                self.owner_alive = event.detail in ("granted", "resumed")
                self._ledger.write("owner", t_ms, life=self.life, epoch=event.epoch, detail=event.detail)
            case "adjusted":
                self._ledger.write("adjusted", t_ms, detail=event.detail, setpoint=setpoint)
            case "assigned":
                n = next(seen).part.n
                self._ids[event.part_id] = n
                self._about(event, t_ms, n, owned=self.owner_alive)
            case "latched":
                self._about(event, t_ms, self._ids[event.part_id], verdict=event.verdict)
            case "unconfirmed" | "stopped" | "released":
                about = {"part_id": event.part_id} if event.part_id else {"detail": event.detail}
                self._ledger.write(event.kind, t_ms, life=self.life, **about)
            case "missed" | "exposed" | "result" | "refused" | "overrun" | "error" | "command":
                about = {"part_id": event.part_id} if event.part_id else {}
                verdict = {"verdict": event.verdict} if event.verdict else {}
                self._ledger.write(event.kind, t_ms, life=self.life, **about, **verdict, detail=event.detail)
            case "decided":
                n = self._ids.pop(event.part_id)
                self._about(event, t_ms, n, verdict=event.verdict, passed=event.passed, detail=event.detail)

    def _about(self, event: PlcEvent, t_ms: float, n: int, **more: object) -> None:
        self._ledger.write(event.kind, t_ms, life=self.life, part_id=event.part_id, epoch=event.epoch, n=n, **more)
