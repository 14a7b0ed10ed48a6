"""World and PLC program together: with any scan that the belt allows, each part's token alone decides what the gate does."""

from __future__ import annotations

import struct

import pytest

from simulators.plant import PlcInputs
from simulators.plc import PlcLogic
from simulators.process import Truth
from simulators.scenario import Belt
from simulators.world import World
from tests.unit.simulators.plc_rig import EPOCH, FAIL, PASS, BenchMap, handshake_map

SCAN_MS = 10.0


class Good:
    def make(self, n: int) -> Truth:
        return Truth(label="good", defective=False)


def verdict_of(n: int) -> int:
    """Neighbours that agree and neighbours that differ; 0 = no token at all."""
    return (PASS, PASS, FAIL, PASS, 0, PASS, FAIL, FAIL, 0)[n * n % 9 if n % 5 else n % 9]


def check_of(part_id: int, verdict: int) -> int:
    check = verdict
    for value in (part_id, EPOCH):
        check ^= value >> 16 ^ value & 0xFFFF
    return check


@pytest.mark.parametrize("counts_per_scan", [20, 133, 200, 300, 390])
@pytest.mark.parametrize("gate_spacings", [1, 6, 45])
def test_the_gate_does_what_the_token_says(counts_per_scan: float, gate_spacings: float) -> None:
    belt = Belt(spacing=1000, jitter=0.15, camera_offset=700, gate_spacings=gate_spacings)
    plc = PlcLogic(BenchMap(handshake_map()), camera_to_gate=belt.eye_to_gate, gate_window=belt.gate_window(counts_per_scan))
    world = World(belt, Good(), parts_per_s=1e3 * counts_per_scan / SCAN_MS / belt.spacing, start_ms=0, seed=11)
    struct.pack_into(">I", plc.down, 144, EPOCH)
    struct.pack_into(">I", plc.down, 12, EPOCH)
    gate_open, beat, now, passed, numbers = False, 0, 0.0, {}, []
    while not (world.fed_at_all and world.idle):
        now += SCAN_MS
        happened = world.advance(now, gate_open=gate_open)
        passed |= {m.part.n: happened.passed for m in happened.arrivals}
        latches = tuple(m.encoder for m in happened.edges)
        beat += 1
        struct.pack_into(">H", plc.down, 4, beat & 0xFFFF)
        outputs = plc.scan(PlcInputs(now_ms=now, encoder=world.encoder(now), latches=latches))
        gate_open = outputs.gate_open
        for event in outputs.events:
            if event.kind == "assigned":
                numbers.append(event.part_id)
                if verdict := verdict_of(event.part_id):
                    at = 64 + 8 * (event.part_id % 8)
                    struct.pack_into(">IHH", plc.down, at, event.part_id, verdict, check_of(event.part_id, verdict))
        if not world.fed_at_all and world.travel(now) > belt.eye_to_gate:
            world.feed(150)
    assert numbers == list(range(1, 151))
    assert passed == {n: verdict_of(n) == PASS for n in range(1, 151)}
