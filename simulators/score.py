"""The score of one line: what the gateway recorded against what really happened.

A pure function of the ledger's events and of the journal's records as plain dictionaries. It shares no code with the gateway,
so that no mistake is made twice, and it believes the world alone about what passed the gate. What the journal says counts as
evidence for a part, never the lack of it: a defective part that passed and of which no sound PASS is on record was let through
by a fault. A part that the key switch let through, and one that the plant turned away for reasons of its own, say nothing
about the gateway: they are counted on their own, and only where key and PLC's program agree on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simulators.ledger import Event

_SETTLING_MS = 5000
_INSPECTED = ("PASS", "FAIL")
_BY_KEY = {"bypass": "bypass", "monitor_only": "monitor only"}
"""Positions of the key that let parts pass without a verdict, and how the PLC's program tells it."""
_PASSED = {"PASSED": True, "BYPASSED": True, "REJECTED": False, "CHALLENGE_RECOVERED": False, "AUDIT_DIVERTED": False}
"""Outcomes on record that say whether the part passed."""


@dataclass(slots=True)
class _Part:
    """All that is known of one physical part."""

    defective: bool = False
    truth: str = ""
    t_eye_ms: float = 0.0
    passed: bool | None = None
    """None until it has reached the gate."""
    latched: tuple[str, int] = ("", 0)
    """The verdict that the PLC latched for it, and in which of the PLC's lives."""
    token: str = ""
    """The verdict that the PLC held as the part reached the gate; a restart of the PLC forgets it."""
    slipped: bool = False
    """It passed a gate that the PLC drove closed, for the ejector was stuck: the machine's escape, whatever its verdict."""
    decided: bool = False
    """The PLC reported what it did with the part; one in STOP turns everything away and reports nothing."""
    dispositions: list[dict[str, Any]] = field(default_factory=list)
    mis_tracked: bool = False
    mode: str = ""
    """Where the key stood as it came to the photo-eye; empty for automatic."""
    marks: tuple[str, ...] = ()
    """What other stations said of it."""
    why: str = ""
    """What the PLC's program decided by, beside the verdict."""
    rechecked: bool = False

    @property
    def by_key(self) -> str:
        """Return the key's position by which it was let through, empty if it was not."""
        return self.mode if self.passed and _BY_KEY.get(self.mode, "-") == self.why else ""

    @property
    def diverted(self) -> bool:
        """Return whether it was turned away, and the plant had its own reason for that."""
        return not self.passed and bool(self.marks or self.mode)

    @property
    def inspected(self) -> bool:
        """Return whether a verdict from an inspection decided about it."""
        return self.token in _INSPECTED and (self.decided or bool(self.passed))

    @property
    def judged_to_pass(self) -> bool:
        """Return whether it held a PASS, and the one record of it says PASS on a frame that shows this part."""
        on_record = [r["disposition"] for r in self.dispositions]
        return self.token == "PASS" and on_record == ["PASS"] and not self.mis_tracked  # noqa: S105 - the verdict, no password

    @property
    def contradicted(self) -> bool:
        """Return whether the PLC latched another verdict than a record gives."""
        verdict, _ = self.latched
        return bool(verdict) and any(r["disposition"] != verdict for r in self.dispositions)


class _Truth:
    """The ledger, by physical part, and the way from a PartId of the gateway to a physical part."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.parts: dict[int, _Part] = {}
        self.shows: dict[int, int] = {}
        self.reactions_ms: list[float] = []
        self.assigned: list[Event] = []
        self.pass_turned_away = 0
        self.faults: Counter[str] = Counter()
        self._life = 0
        self._part_ids: dict[int, list[Event]] = {}
        self._lives: dict[int, int] = {}
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        part = self.parts.setdefault(event["n"], _Part()) if "n" in event and event["n"] else None
        match event["kind"], part:
            case "part", _Part():
                part.defective, part.truth, part.t_eye_ms = event["defective"], event["truth"], event["t_ms"]
                part.mode, part.marks = event.get("mode", ""), tuple(event.get("marks", "").split())
            case "frame", _:
                counter = event["frame_counter"]
                self.shows[counter] = 0 if counter in self.shows else event["n"]  # one that came twice proves nothing
            case "assigned", _:
                self.assigned.append(event)
                self._part_ids.setdefault(event["part_id"], []).append(event)
            case "latched", _Part():
                part.latched = (event["verdict"], event["life"])
                self.reactions_ms.append(event["t_ms"] - part.t_eye_ms)
            case "decided", _Part():
                part.decided = True
                part.why = event["detail"]
                plants = bool(part.marks or part.mode)
                self.pass_turned_away += event["verdict"] == "PASS" and not event["passed"] and not plants
            case "gate", _Part():
                part.passed, part.slipped = event["passed"], event.get("stuck", False)
                part.rechecked = event.get("exit") == "recheck"
                verdict, life = part.latched
                part.token = verdict if life == self._life else ""
            case "restarted", _:
                self._life = event["life"]
            case "fault", _:
                self.faults[event["fault"]] += 1
        if event.get("epoch") and "life" in event:
            self._lives[event["epoch"]] = event["life"]

    def find(self, record: dict[str, Any]) -> int | None:
        """Return the physical part that a record is about, None when the PLC never gave out that PartId.

        PartIds repeat when the PLC starts anew. The record's epoch tells which life of the PLC is meant; without one, it is
        the last part of that id at the time when the gateway saw the trigger.
        """
        candidates = self._part_ids.get(record["part_id"], [])
        life = self._lives.get(record["epoch"])
        if life is not None:
            return next((e["n"] for e in candidates if e["life"] == life), None)
        seen_ms = record["t_trigger_mono_ns"] / 1e6
        return next((e["n"] for e in reversed(candidates) if e["t_ms"] <= seen_ms), None)

    def denies(self, record: dict[str, Any]) -> bool:
        """Return whether the record of an outcome says another thing than what the part did at the gate."""
        told = _PASSED.get(record["outcome"])
        n = self.find(record) if told is not None and record.get("epoch") in self._lives else None
        return n is not None and not self.parts[n].slipped and self.parts[n].passed not in (None, told)

    def doubled(self, part: _Part) -> bool:
        """Return whether one PartId of this part got two dispositions; a photo-eye that bounces gives a part two PartIds."""
        given = [(r["part_id"], self._lives.get(r["epoch"], 0)) for r in part.dispositions]
        return len(set(given)) < len(given)


def score_line(protocol: str, events: Iterable[Event], records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the score of one line.

    ``parts`` are those that reached the gate. Inspected is a part whose PASS or FAIL token decided about it at the gate;
    ``not_inspected`` counts the other rejected ones, ``good_lost`` the good ones of these. ``escapes`` are defective parts
    that passed, ``escapes_by_fault`` those of them that passed mis-tracked, without a PASS token, or without exactly one record
    of that PASS; ``escapes_by_machine`` those that the PLC turned away in vain, for the ejector was stuck: they are in no other
    figure of faults. ``mis_tracked`` are parts judged by a frame that shows another part or none. ``wrong_outcomes`` are
    recorded outcomes that are not what the part did at the gate, but for a stuck ejector's. ``accuracy`` compares verdict and
    truth of the inspected parts. ``bypassed`` and ``monitored`` are parts that the key let through, ``…_defective`` those of
    them that are defective: no escapes, for no verdict let them pass. ``diverted`` are parts that the plant turned away for a
    reason of its own (a challenge, an audit, another station, the key): neither lost nor falsely rejected, ``rechecked`` those
    at the recheck exit. ``challenges_missed`` are known defectives with a PASS, ``challenges_passed`` such as got through.
    """
    truth = _Truth(events)
    latencies: list[float] = []
    fates: Counter[str] = Counter()
    orphans = wrong_outcomes = 0
    for record in records:
        if record["kind"] == "outcome":
            wrong_outcomes += truth.denies(record)
        if record["kind"] != "part":
            continue
        fates[record["token"]] += 1
        if record["t_frame_mono_ns"] and record["t_acked_mono_ns"]:
            begin_ns = max(record["t_trigger_mono_ns"], record["t_frame_mono_ns"])
            latencies.append((record["t_acked_mono_ns"] - begin_ns) / 1e6)
        n = truth.find(record)
        if n is None:
            orphans += 1
            continue
        part = truth.parts[n]
        part.dispositions.append(record)
        if record["disposition"] in _INSPECTED and truth.shows.get(record["frame_counter"]) != n:
            part.mis_tracked = True
    score = {"protocol": protocol} | _gate(list(truth.parts.values()))
    score["latency_ms"] = percentiles(latencies)
    score["late"] = fates["late"]
    score["tokens"] = dict(sorted(fates.items()))
    score["reaction_ms"] = percentiles(truth.reactions_ms)
    score["reactions_ms"] = truth.reactions_ms
    score["pass_turned_away"] = truth.pass_turned_away
    at_gate = [e for e in truth.assigned if truth.parts[e["n"]].passed is not None]
    silent = [e for e in at_gate if not truth.parts[e["n"]].dispositions]
    score["without_disposition"] = len(silent)
    score["without_disposition_unowned"] = sum(not e["owned"] for e in silent)
    score["double_disposition"] = sum(truth.doubled(p) for p in truth.parts.values())
    score["contradicted"] = sum(p.contradicted for p in truth.parts.values())
    score["wrong_outcomes"] = wrong_outcomes
    score["orphan_records"] = orphans
    score["faults"] = dict(sorted(truth.faults.items()))
    return score


def _gate(everyone: Sequence[_Part]) -> dict[str, Any]:
    """Count what happened at the gate."""
    parts = [p for p in everyone if p.passed is not None]
    passed = [p for p in parts if p.passed]
    rejected = [p for p in parts if not p.passed]
    escapes = [p for p in passed if p.defective and not p.by_key]
    lost = [p for p in rejected if not p.inspected and not p.diverted]
    keyed = {key: [p for p in passed if p.by_key == key] for key in _BY_KEY}
    challenges = [p for p in parts if "challenge" in p.marks]
    inspected = [p for p in parts if p.inspected]
    right = sum((p.token == "PASS") != p.defective for p in inspected)  # noqa: S105 - the verdict, no password
    named = [p for p in inspected if p.dispositions and p.dispositions[-1]["label"]]
    begin_ms = min((p.t_eye_ms for p in everyone if p.t_eye_ms), default=0.0)
    return {
        "parts": len(parts),
        "passed": len(passed),
        "rejected": len(rejected),
        "defective": sum(p.defective for p in parts),
        "escapes": len(escapes),
        "escapes_by_fault": sum(not p.judged_to_pass and not p.slipped for p in escapes),
        "escapes_by_machine": sum(p.slipped for p in escapes),
        "false_rejects": sum(p.inspected and not p.defective and not p.diverted for p in rejected),
        "mis_tracked": sum(p.mis_tracked for p in everyone),
        "not_inspected": len(lost),
        "good_lost": sum(not p.defective for p in lost),
        "accuracy": round(right / len(inspected), 6) if inspected else None,
        "fed": sum(p.t_eye_ms > 0 for p in everyone),
        "inspected": len(inspected),
        "label_accuracy": round(sum(p.dispositions[-1]["label"] == p.truth for p in named) / len(named), 6) if named else None,
        "bypassed": len(keyed["bypass"]),
        "bypassed_defective": sum(p.defective for p in keyed["bypass"]),
        "monitored": len(keyed["monitor_only"]),
        "monitored_defective": sum(p.defective for p in keyed["monitor_only"]),
        "diverted": sum(p.diverted for p in rejected),
        "rechecked": sum(p.rechecked for p in rejected),
        "challenges": len(challenges),
        "challenges_missed": sum(p.token == "PASS" for p in challenges),  # noqa: S105
        "challenges_passed": sum(bool(p.passed) and not p.slipped for p in challenges),
        "passed_without_token": sum(p.token != "PASS" and not p.slipped and not p.by_key for p in passed),  # noqa: S105
        "passed_without_record": sum(not p.dispositions and not p.slipped for p in passed),
        "not_inspected_after_5s": sum(p.t_eye_ms > begin_ms + _SETTLING_MS for p in lost),
        "parts_after_5s": sum(p.t_eye_ms > begin_ms + _SETTLING_MS for p in parts),
    }


def percentiles(values_ms: Sequence[float]) -> dict[str, float | None]:
    """Return p50, p95, p99 and max in ms; None for each when there is no value."""
    names = ("p50", "p95", "p99", "max")
    if not values_ms:
        return dict.fromkeys(names)
    found = np.percentile(np.asarray(values_ms), (50, 95, 99, 100))
    return {name: round(float(value), 3) for name, value in zip(names, found, strict=True)}
