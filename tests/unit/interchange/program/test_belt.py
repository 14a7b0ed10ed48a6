"""A belt whose counter jumps, seen from outside: both PLCs do the same, and no part passes by another's verdict."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from gateway.plc.maps import LoadedMap
from simulators.plant import PlcInputs
from simulators.plc_counts import BeltCounts
from tests.unit.interchange.program.belt import Belt, EscapedError
from tests.unit.interchange.program.st_machine import Machine
from tests.unit.interchange.program.twin import FAIL, PASS, WINDOW, Twin, loaded_map, machine, sources

RIDES = 8
RULE = ("CountsLost := EncoderFault OR Counts / Steps > GateWindow;", "CountsLost := EncoderFault;")


def ride(seed: int, loaded: LoadedMap, program: Machine) -> tuple[int, int, int]:
    """Return how many parts were at an open gate, how often the counter jumped far, and how often nobody saw it."""
    dice = random.Random(seed)
    twin = Twin(loaded, program, encoder=dice.getrandbits(32)).owned()
    belt = Belt(dice, dice.choice([60, 100, 200]))
    jumps = unseen = 0
    for n in range(1000):
        move = dice.choice([4, 5, 6])
        jump = belt.jump(move) if dice.random() < 1 / 300 else 0
        part = belt.go(n, move, twin.encoder, jump, room=True, late=dice.choice([0] * 9 + [1, 4]))
        opened, held = twin.out.gate_open, PlcInputs(now_ms=0, encoder=0, reset=twin.out.stop_line)
        twin.heartbeat()
        twin.scan(held, move=move + jump, latch=part.latch if part else None)
        if part:
            part.part_id, verdict = twin.plc.part_id, dice.choice([PASS, FAIL])
            twin.token(part.part_id, verdict)
            if verdict == PASS:
                belt.passes.add(part.part_id)
        belt.check(move, opened=opened, by_key=False)
        if abs(jump) > 2 * WINDOW:
            belt.forget()
            jumps += 1
            unseen += not twin.out.rejecting or twin.out.stop_reason != 9
    return belt.checked, jumps, unseen


def test_no_part_passes_by_anothers_verdict(tmp_path: Path) -> None:
    loaded, program = loaded_map(tmp_path), machine(sources(tmp_path))
    passed, jumps, unseen = map(sum, zip(*(ride(seed, loaded, program) for seed in range(RIDES)), strict=True))
    assert passed > 3 * RIDES and jumps > RIDES and unseen == 0


def test_parts_would_pass_by_anothers_verdict_if_both_believed_every_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the test above would be worth nothing."""
    texts = sources(tmp_path)
    assert RULE[0] in texts["FB_VisionGate.st"]
    text = texts["FB_VisionGate.st"].replace(*RULE).replace("< -Window THEN", "< 0 AND FALSE THEN")
    program = machine(texts | {"FB_VisionGate.st": text})

    def lost(counts: BeltCounts, inputs: PlcInputs, parts: Iterable[int]) -> bool:
        return inputs.encoder_fault

    monkeypatch.setattr(BeltCounts, "lost", lost)
    with pytest.raises(EscapedError):
        for seed in range(RIDES):
            ride(seed, loaded_map(tmp_path), program)
