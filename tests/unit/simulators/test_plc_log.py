"""What the PLC's program did, as it stands in the ledger: tied to the physical part, and the classic exchange beside it."""

from __future__ import annotations

from typing import Any

from simulators.plant import EventKind, PlcEvent
from simulators.plc_log import PlcLog
from simulators.process import Truth
from simulators.world import Moment, Part


class Kept:
    """A chronicle in memory."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def write(self, kind: str, t_ms: float, **values: object) -> None:
        self.events.append({"kind": kind, "t_ms": t_ms, **values})


def event(kind: EventKind, **values: Any) -> PlcEvent:
    return PlcEvent(kind=kind, now_ms=0, **values)


def test_a_decision_is_tied_to_its_part_and_says_what_beside_the_verdict_made_it() -> None:
    kept = Kept()
    part = Part(n=7, truth=Truth(label="good", defective=False), at=0)
    PlcLog(kept).take(
        [event("restarted"), event("assigned", part_id=1), event("decided", part_id=1, passed=True, detail="bypass")],
        [Moment(part=part, t_ms=0, encoder=0)],
        5,
        None,
    )
    decided = kept.events[-1]
    assert (decided["n"], decided["part_id"], decided["passed"], decided["detail"]) == (7, 1, True, "bypass")


def test_the_classic_exchange_stands_in_it_by_part_where_there_is_one() -> None:
    kept = Kept()
    events = [
        event("missed", part_id=3, detail="no gateway"),
        event("result", part_id=4, verdict="PASS", detail="code 0, score 1"),
        event("command", detail="3 12: completed"),
        event("overrun"),
    ]
    PlcLog(kept).take(events, [], 5, None)
    assert [{k: v for k, v in e.items() if k not in ("t_ms", "life")} for e in kept.events] == [
        {"kind": "missed", "part_id": 3, "detail": "no gateway"},
        {"kind": "result", "part_id": 4, "verdict": "PASS", "detail": "code 0, score 1"},
        {"kind": "command", "detail": "3 12: completed"},
        {"kind": "overrun", "detail": ""},
    ]
