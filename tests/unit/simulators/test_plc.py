"""The program as a whole: first scan, restart, STOP, heartbeat, control word, process values."""

from __future__ import annotations

import struct

import pytest

from simulators.plant import PlcInputs
from simulators.plc import PlcLogic
from tests.unit.simulators.plc_rig import CHECKSUM, EPOCH, GATE, PASS, WINDOW, BenchMap, Rig, handshake_map


def test_layout_and_byte_order_are_readable_before_the_first_scan() -> None:
    rig = Rig()
    assert rig.plc.up[16:20] == bytes.fromhex("c0ffee42")
    assert rig.plc.up[20:24] == bytes.fromhex("42f6e979")  # 123.456
    assert rig.plc.up[24:28] == bytes.fromhex("12345678")
    assert rig.plc.up[28:32] == bytes(4)


@pytest.mark.parametrize(
    ("order", "word", "real", "dword"),
    [
        ("ABCD", "0001", "42f6e979", "12345678"),
        ("CDAB", "0001", "e97942f6", "56781234"),
        ("BADC", "0100", "f64279e9", "34127856"),
        ("DCBA", "0100", "79e9f642", "78563412"),
    ],
)
def test_the_maps_order_is_honoured_in_both_directions(order: str, word: str, real: str, dword: str) -> None:
    plc = PlcLogic(BenchMap(handshake_map(order)), camera_to_gate=GATE, gate_window=WINDOW)  # type: ignore[arg-type]
    plc.scan(PlcInputs(now_ms=0, encoder=0, permit=False))
    assert plc.up[0:2].hex() == word
    assert plc.up[20:24].hex() == real
    assert plc.up[24:28].hex() == dword
    plc.down[144:148] = bytes.fromhex(dword)
    plc.scan(PlcInputs(now_ms=10, encoder=0))
    assert plc.up[28:32].hex() == dword


def test_tokens_and_heartbeat_are_read_in_the_maps_order() -> None:
    """CDAB: the low word of PartId 1, OwnerEpoch and ClaimNonce 16#0001_0077 lies in the first register of each."""
    plc = PlcLogic(BenchMap(handshake_map("CDAB")), camera_to_gate=GATE, gate_window=WINDOW)
    plc.down[144:148] = plc.down[12:16] = bytes.fromhex("00770001")
    plc.scan(PlcInputs(now_ms=0, encoder=0))
    plc.down[4:6] = b"\x00\x01"
    plc.down[72:80] = bytes.fromhex("00010000" + "a55a" + "a52d")  # check = 0 ^ 1 ^ A55A ^ 0001 ^ 0077
    outputs = plc.scan(PlcInputs(now_ms=10, encoder=5, latches=(5,)))
    assert [(e.kind, e.part_id, e.verdict) for e in outputs.events] == [("assigned", 1, ""), ("latched", 1, "PASS")]
    assert plc.up[48:56].hex() == "00010000" + "00050000"


def test_the_heartbeat_counts_every_100_ms_whatever_the_scan_time() -> None:
    for scan_ms in (2, 10, 40, 250):
        rig = Rig(scan_ms=scan_ms)
        rig.scan()
        for _ in range(int(3000 / scan_ms)):
            rig.scan()
        assert rig.up("H", 2) == (30,)


def test_the_control_word_shows_trigger_enable_and_the_key_switch() -> None:
    rig = Rig()
    rig.scan(permit=True)
    assert rig.up("H", 0) == (0x0101,)
    rig.scan(permit=False)
    assert rig.up("H", 0) == (0x0001,)


def test_process_values_are_mirrored_in_raw_units() -> None:
    rig = Rig()
    values = {"Moisture": 12.5, "Speed": 60.0, "Guard": 1.0, "Count": -7.0, "NotInTheMap": 1.0, "Force": 999.0}
    outputs = rig.scan(process=values)
    assert rig.up("f", 174) == (12.5,)
    assert rig.up("h", 178) == (13824,)  # half of 0 … 27648
    assert rig.plc.up[180] == 0b1000
    assert rig.up("i", 182) == (-7,)
    assert outputs.params["Force"] == 100.0  # a parameter is no measurement
    rig.scan(process={"Speed": 1e9, "Guard": 0.0})
    assert rig.up("h", 178) == (32767,)
    assert rig.plc.up[180] == 0
    assert rig.up("f", 174) == (12.5,)


def test_nothing_passes_after_the_start_until_the_belt_has_moved_on_by_the_distance_to_the_gate() -> None:
    rig = Rig(encoder=7)
    rig.scan()
    rig.owned()
    rig.scan(rig.encoder - 1)  # an edge latched by hardware just before the first scan
    rig.token(1, PASS)
    rig.scan(move=GATE - WINDOW)
    assert not rig.scan(move=WINDOW - 1).gate_open
    rig.scan(move=2 * WINDOW)
    assert [(e.verdict, e.passed) for e in rig.of("decided")] == [("PASS", False)]


def test_a_restart_forgets_parts_owner_and_rings() -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder)
    rig.token(1, PASS)
    rig.scan()
    rig.plc.restart()
    assert rig.echo == 0
    assert rig.plc.up[40:168] == bytes(128)
    assert rig.plc.down == bytes(148)
    assert rig.up("I", 16) == (CHECKSUM,)
    outputs = rig.scan()
    assert [e.kind for e in outputs.events] == ["restarted"]
    for _ in range(4):
        assert not rig.scan(move=GATE // 2).gate_open
    assert rig.of("decided") == []


def test_a_token_of_before_the_restart_matches_no_part_of_after_it() -> None:
    """The counter begins again, so that the same PartId comes back; only the epoch tells the tokens apart."""
    rig = Rig().cleared().owned()
    rig.plc.restart()
    rig.owned(0x0000_0077)
    rig.scan(rig.encoder)
    assert rig.up("I", 8) == (1,)
    rig.token(1, PASS, EPOCH)
    rig.scan()
    assert rig.of("latched") == []


@pytest.mark.parametrize(("retentive", "expected"), [(True, 3), (False, 1)])
def test_the_part_counter_may_be_retentive(retentive: bool, expected: int) -> None:
    rig = Rig(retentive=retentive).cleared()
    rig.scan(1, 2)
    rig.plc.restart()
    assert rig.up("I", 8) == (expected - 1,)
    rig.scan(3)
    assert rig.of("assigned")[-1].part_id == expected


def test_a_restart_while_the_belt_coasts_rejects_what_lies_between_camera_and_gate() -> None:
    """Parts 1 … 9 with PASS lie on the belt; after the restart a new part gets its PASS at once, the old ones none."""
    rig = Rig().cleared().owned()
    for part_id in range(1, 10):
        rig.scan(rig.encoder)
        rig.token(part_id)
        rig.heartbeat()
        rig.scan(move=100)
    rig.plc.restart()
    restarted_at = rig.encoder
    rig.owned(0x77)
    rig.scan(rig.encoder)
    rig.token(1, PASS, 0x77)
    opened_at = []
    while (rig.encoder - restarted_at) < 2 * GATE:
        rig.heartbeat(0x77)
        if rig.scan(move=5).gate_open:
            opened_at.append(rig.encoder - restarted_at)
    # The new part stood at the photo-eye at the restart itself: it reaches the gate as the last of the old ones does.
    assert opened_at == []
    assert [(e.part_id, e.verdict, e.passed) for e in rig.of("decided")] == [(1, "PASS", False)]


def test_the_first_part_behind_the_cleared_distance_passes() -> None:
    rig = Rig().cleared().owned()
    rig.plc.restart()
    restarted_at = rig.encoder
    rig.owned(0x77)
    rig.scan(rig.encoder + 1, move=5)
    rig.token(1, PASS, 0x77)
    opened_at = []
    while (rig.encoder - restarted_at) < 2 * GATE:
        rig.heartbeat(0x77)
        if rig.scan(move=1).gate_open:
            opened_at.append(rig.encoder - restarted_at)
    assert opened_at == list(range(GATE, GATE + WINDOW + 2))
    assert [(e.part_id, e.passed) for e in rig.of("decided")] == [(1, True)]


def test_stop_freezes_the_program_and_run_is_a_restart() -> None:
    rig = Rig().cleared().owned()
    rig.scan(rig.encoder)
    rig.token(1)
    rig.scan(move=GATE - WINDOW)
    assert rig.scan(move=1).gate_open
    before = bytes(rig.plc.up)
    rig.plc.stop()
    for _ in range(50):
        outputs = rig.scan(rig.encoder, move=1, permit=False)
        assert not outputs.gate_open
        assert outputs.events == ()
    assert bytes(rig.plc.up) == before  # heartbeat and echo stand still
    rig.plc.run()
    outputs = rig.scan()
    assert [e.kind for e in outputs.events] == ["restarted"]
    assert rig.echo == 0


def test_run_in_run_changes_nothing() -> None:
    rig = Rig().owned()
    rig.plc.run()
    rig.scan()
    assert rig.echo == EPOCH


def test_the_memory_is_shared_and_never_replaced() -> None:
    rig = Rig()
    up, down = rig.plc.up, rig.plc.down
    rig.cleared().owned()
    rig.plc.restart()
    rig.scan()
    assert rig.plc.up is up
    assert rig.plc.down is down
    assert (len(up), len(down)) == (186, 148)


def test_every_part_is_decided_exactly_once_over_a_long_run() -> None:
    rig = Rig().cleared().owned()
    for part_id in range(1, 101):
        rig.scan(rig.encoder)
        if part_id % 3:
            rig.token(part_id)
        for _ in range(10):
            rig.heartbeat()
            rig.scan(move=5)
    for _ in range(300):
        rig.heartbeat()
        rig.scan(move=5)
    assert [e.part_id for e in rig.of("decided")] == list(range(1, 101))
    assert [e.passed for e in rig.of("decided")] == [bool(part_id % 3) for part_id in range(1, 101)]


@pytest.mark.parametrize("window", [0, -1, GATE + 1])
def test_an_impossible_window_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match="gate_window"):
        Rig(gate_window=window)


def test_the_trigger_ring_holds_the_last_eight() -> None:
    rig = Rig().cleared()
    for encoder in range(100, 1100, 100):  # parts 1 … 10
        rig.scan(encoder)
    expected = {1: 9, 2: 10} | {i % 8: i for i in range(3, 9)}
    for slot, part_id in expected.items():
        assert struct.unpack_from(">II", rig.plc.up, 40 + 8 * slot) == (part_id, part_id * 100)
