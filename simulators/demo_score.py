"""The demo's score: the truth of the ledgers against the records of the journals; what counts as a failure."""

from __future__ import annotations

from typing import Any

from simulators.demo_files import DemoLine
from simulators.ledger import Event, read_ledger
from simulators.records import read_actions, read_journal
from simulators.scenario import Scenario, load_scenario
from simulators.score import score_line
from simulators.stand import Stand

MOST_NOT_INSPECTED = 0.001
"""Share of the parts, after the first 5 s, that may end without an inspection when no fault was injected."""
NEVER = (
    "escapes_by_fault",
    "mis_tracked",
    "double_disposition",
    "contradicted",
    "passed_without_token",
    "orphan_records",
    "challenges_passed",
)
"""Figures that nothing excuses."""


def score_of(stand: Stand, line: DemoLine) -> dict[str, Any]:
    """Return the score of one line; see :func:`simulators.score.score_line`."""
    events = list(read_ledger(stand.ledger(line.name))) if stand.ledger(line.name).exists() else []
    return score_line(line.protocol, events, read_journal(stand.journal(line.name)))


def final_score(stand: Stand) -> dict[str, Any]:
    """Return the last line of the demo: every line's score, every action of the gateway, the seed."""
    scenario = load_scenario(stand.options.scenario)
    lines = {}
    for line in stand.options.lines:
        score = score_of(stand, line)
        score.pop("reactions_ms", None)
        score["control_restarts"] = stand.restarts(line.name)
        if stand.ledger(line.name).exists():
            score["phases"] = phases(list(read_ledger(stand.ledger(line.name))), scenario, stand.options.parts_per_s)
        lines[line.name] = score
    return {"lines": lines, "actions": read_actions(stand.ops), "seed": stand.options.seed}


def failures(result: dict[str, Any], *, disturbed: bool) -> list[str]:
    """Return why the run does not count as sound; empty when all is well.

    ``disturbed``: the scenario injected faults, or a program ended by itself; then parts may be lost, but nothing else.
    """
    found = []
    for name, line in result["lines"].items():
        found += [f"{name}: {key} is {line[key]}, it must be 0" for key in NEVER if line[key]]
        # A control process that is killed may take its last records with it, and sees nothing while it is away.
        if line["passed_without_record"] and not line["control_restarts"]:
            found.append(f"{name}: {line['passed_without_record']} parts passed that are not in the journal")
        if disturbed:
            continue
        late, parts = line["not_inspected_after_5s"], line["parts_after_5s"]
        if late > MOST_NOT_INSPECTED * parts:
            found.append(f"{name}: {late} of {parts} parts were not inspected after the first 5 s")
        if line["parts"] and not line["inspected"]:
            found.append(f"{name}: none of {line['parts']} parts was inspected")
        silent = line["without_disposition"] - line["without_disposition_unowned"]
        if silent and not line["control_restarts"]:
            found.append(f"{name}: {silent} parts have no disposition in the journal")
    return found


def phases(events: list[Event], scenario: Scenario, parts_per_s: float) -> list[dict[str, Any]]:
    """Return how the true defect rate went: before the process went off, until the first adjustment, after the last one.

    Parts that were already made when the set-point changed are left out of the last phase. Empty without a process event.
    """
    if not scenario.process.events:
        return []
    off = min(e.at_part for e in scenario.process.events)
    moves = [e["t_ms"] for e in events if e["kind"] == "adjusted" and "accepted" in e["detail"]]
    in_flight_ms = 1e3 * (scenario.belt.press_spacings + 1) / parts_per_s
    parts = [e for e in events if e["kind"] == "part"]
    split = {
        "before the process goes off": [p for p in parts if p["n"] < off],
        "off, until a step took effect": [
            p for p in parts if p["n"] >= off and (not moves or p["t_ms"] < moves[0] + in_flight_ms)
        ],
        "after the last step": [p for p in parts if moves and p["t_ms"] > moves[-1] + in_flight_ms],
    }
    return [
        {"name": name, "parts": len(some), "defect_rate": sum(p["defective"] for p in some) / len(some) if some else 0.0}
        for name, some in split.items()
    ]
