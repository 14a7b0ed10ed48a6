"""What the days on the line seldom bring, told to both PLCs on purpose: a key turned in the window, a counter that is reset."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.plant import PlcInputs
from tests.unit.interchange.program.twin import GATE, WINDOW, Twin, loaded_map, machine, sources

AUTOMATIC, MANUAL, MONITOR, BYPASS = 0, 1, 2, 3


@pytest.fixture(params=["ring", "ack"])
def twin(request: pytest.FixtureRequest, tmp_path: Path) -> Twin:
    handshake: str = request.param
    return Twin(loaded_map(tmp_path, handshake), machine(sources(tmp_path, handshake))).owned()


def held(**signals: object) -> PlcInputs:
    return PlcInputs(now_ms=0, encoder=0, **signals)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", [MONITOR, BYPASS])
@pytest.mark.parametrize("other", [AUTOMATIC, MANUAL, MONITOR, BYPASS])
def test_a_key_turned_with_a_part_in_the_window_turns_it_away(twin: Twin, mode: int, other: int) -> None:
    twin.scan(held(mode=mode), latch=twin.encoder)
    assert twin.scan(held(mode=mode), move=GATE - WINDOW).gate_open
    assert twin.scan(held(mode=mode)).gate_open, "the belt stands"
    assert twin.scan(held(mode=other)).gate_open == (other == mode)
    for _ in range(4):
        assert twin.scan(held(mode=other), move=WINDOW // 2).gate_open == (other == mode)
    outcome = 2 if other != mode else 6 if mode == BYPASS else 1
    assert {n: twin.seen[f"outcome {n}"] for n in (1, 2, 6)} == {n: int(n == outcome) for n in (1, 2, 6)}


@pytest.mark.parametrize("jump", [-GATE // 2, -(1 << 30), 1 << 30])
def test_a_counter_that_jumps_in_a_fault_leaves_no_part_behind(twin: Twin, jump: int) -> None:
    for part_id in range(1, 81):  # more than the register has places for: none of them is kept
        twin.scan(held(encoder_fault=part_id > 30), latch=twin.encoder, move=jump if part_id == 31 else 5)
        twin.token(part_id)
        twin.heartbeat()
    assert (twin.gate.Count, twin.out.stop_reason) == (0, 9)
    twin.scan(held(reset=True))
    for _ in range(40):
        twin.heartbeat()
        assert not twin.scan(move=100).gate_open
    assert not twin.out.rejecting and not twin.out.stop_line
    assert sum(twin.seen[f"outcome {n}"] for n in range(1, 7)) == 0
