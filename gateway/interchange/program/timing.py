"""Timing diagrams of the handshake as text: the classic exchange walked through the gateway's transition tables, and the ring.

Stands here because it is documentation for whoever programs the PLC. It draws what the tables say and cannot say anything else:
a step that a table does not have is a KeyError. It knows no link and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from gateway.core.ack import SHOWN, TABLES, ErrorEvent, ExposureEvent, MissEvent, ResultEvent, TriggerEvent
from gateway.core.handshake import SLOTS, Control, Status1, make_token
from gateway.core.verdict import Disposition

Step = tuple[str, dict[Control, bool], Sequence[Enum]]
"""What happens in words; what the PLC's bits become; the events that the gateway's tables see."""

C = Control
GOOD_PART: tuple[Step, ...] = (
    ("the line is ready, the PLC arms", {C.TRIGGER_ENABLE: True}, [TriggerEvent.ARM]),
    ("PartId and EncoderAtTrigger stand; Trigger", {C.TRIGGER: True}, [TriggerEvent.RISE]),
    ("the part is found in the trigger ring", {}, [TriggerEvent.PART]),
    ("AcquisitionId is written, then TriggerAck", {}, [TriggerEvent.WRITTEN]),
    ("the PLC drops Trigger", {C.TRIGGER: False}, [TriggerEvent.FALL]),
    ("ready for the next one; frames are there", {}, [TriggerEvent.ARM, ExposureEvent.EXPOSED]),
    ("the PLC clears ExposureComplete", {C.CLEAR_EXPOSURE_COMPLETE: True}, [ExposureEvent.CLEAR]),
    ("and lets go", {C.CLEAR_EXPOSURE_COMPLETE: False}, [ExposureEvent.RELEASE]),
    ("the result's payload is written", {}, [ResultEvent.LOAD]),
    ("then ResultsValid", {}, [ResultEvent.WRITTEN]),
    ("the PLC has found the token and acknowledges", {C.INSPECTION_RESULTS_ACK: True}, [ResultEvent.ACK]),
    ("ResultsValid is taken away", {}, [ResultEvent.WRITTEN]),
    ("the PLC lets go", {C.INSPECTION_RESULTS_ACK: False}, []),
)
MISSED_TRIGGER: tuple[Step, ...] = (
    ("the PLC arms, the line is ready", {C.TRIGGER_ENABLE: True}, [TriggerEvent.ARM]),
    ("Trigger", {C.TRIGGER: True}, [TriggerEvent.RISE]),
    ("no part is there for it, or more than one", {}, [TriggerEvent.AMISS, MissEvent.MISS]),
    (
        "the PLC drops Trigger and TriggerEnable",
        {C.TRIGGER: False, C.TRIGGER_ENABLE: False},
        [TriggerEvent.FALL, MissEvent.DISABLE],
    ),
    ("and arms again", {C.TRIGGER_ENABLE: True}, [TriggerEvent.ARM]),
)
ERROR: tuple[Step, ...] = (
    ("the line has an error", {}, [ErrorEvent.FAULT]),
    ("a person presses ClearError", {C.CLEAR_ERROR: True}, [ErrorEvent.CLEAR]),
    ("and lets go", {C.CLEAR_ERROR: False}, []),
)

_HIGH, _LOW, _RISE, _FALL = "▔▔▔", "▁▁▁", "╱▔▔", "╲▁▁"


def ack_diagram(steps: Sequence[Step]) -> str:
    """Return the levels of every bit that moves in ``steps``, one column a step; KeyError if a table has no such transition."""
    states: dict[str, Enum] = {name: next(iter(type(next(iter(table.values()))))) for name, table in TABLES.items()}
    plc = {bit: False for bit in Control if any(bit in bits for _, bits, _ in steps)}
    levels: dict[str, list[bool]] = {}
    for n, (_, bits, events) in enumerate(steps):
        plc |= bits
        for event in events:
            name = next(name for name, table in TABLES.items() if any(type(event) is type(e) for _, e in table))
            states[name] = TABLES[name][states[name], event]
        shown = Status1(0)
        for state in states.values():
            shown |= SHOWN.get(state, Status1(0))
        row = {f"> {_words(b.name)}": level for b, level in plc.items()} | {f"< {_words(b.name)}": b in shown for b in Status1}
        for signal, level in row.items():
            levels.setdefault(signal, [False] * n).append(level)
    moving = {signal: line for signal, line in levels.items() if any(line)}
    lines = [(f"{'':<26}" + "".join(f"{n:<3}" for n in range(1, len(steps) + 1))).rstrip()]
    lines += [f"{signal:<26}{_wave(line)}" for signal, line in moving.items()]
    lines += ["", *(f"{n:>3}  {words}" for n, (words, _, _) in enumerate(steps, 1))]
    return "\n".join(lines) + "\n"


def ring_diagram(parts: int = 3, first_part_id: int = 7, epoch: int = 0x5EED0001) -> str:
    """Return what both sides write for some parts in a row: slots, tokens and outcomes, as the token's code computes them."""
    lines = [f"{'PLC writes':<48}gateway writes (OwnerEpoch 16#{epoch:08X})"]
    dispositions = (Disposition.PASS, Disposition.FAIL, Disposition.NOT_INSPECTED)
    ids = [first_part_id + n for n in range(parts)]
    for part_id in ids:
        lines.append(f"TriggerRing[{part_id % SLOTS}].Encoder, .PartId := {part_id}, PartId := {part_id}")
    for part_id, disposition in zip(ids, dispositions, strict=False):
        token = make_token(part_id, disposition, epoch)
        text = f"Tokens[{part_id % SLOTS}] := {part_id}, 16#{token.verdict:04X} {disposition.name}, Check 16#{token.check:04X}"
        lines.append(f"{'':<48}{text}")
        lines.append(f"latches the token of {part_id} for its own part {part_id}")
    for part_id, disposition in zip(ids, dispositions, strict=False):
        outcome = 1 if disposition is Disposition.PASS else 2
        lines.append(f"OutcomeRing[{part_id % SLOTS}].Outcome := {outcome}, .PartId := {part_id}")
    return "\n".join(lines) + "\n"


def timing_page() -> str:
    """Return the whole page of diagrams, as Markdown."""
    sections = (
        ("The ring, three parts in a row", ring_diagram()),
        ("The classic exchange: a good part, buffered", ack_diagram(GOOD_PART)),
        ("A missed trigger", ack_diagram(MISSED_TRIGGER)),
        ("An error", ack_diagram(ERROR)),
    )
    head = (
        "# Timing of the handshake\n"
        "\nDrawn from the gateway's transition tables by `python -m tests.golden.test_timing`; do not edit."
        "\n`>` is a bit of the PLC's Control, `<` one of the gateway's Status1.\n"
    )
    return head + "".join(f"\n## {title}\n\n```text\n{text}```\n" for title, text in sections)


def _words(name: str | None) -> str:
    return "".join(word.capitalize() for word in (name or "").split("_"))


def _wave(levels: Sequence[bool]) -> str:
    out, before = "", False
    for level in levels:
        out += (_HIGH if before else _RISE) if level else (_FALL if before else _LOW)
        before = level
    return out
