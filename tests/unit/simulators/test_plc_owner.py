"""Ownership and watchdog: who may give verdicts, and for how long."""

from __future__ import annotations

import pytest

from simulators.plc_tracking import ShiftRegister, TrackedPart
from tests.unit.simulators.plc_rig import EPOCH, GATE, PASS, WINDOW, Rig

OTHER = 0x0BAD_CAFE


def beat_for(rig: Rig, scans: int, epoch: int = EPOCH) -> None:
    for _ in range(scans):
        rig.heartbeat(epoch)
        rig.scan()


def test_the_first_claim_is_granted_and_echoed() -> None:
    rig = Rig()
    rig.scan()
    assert rig.echo == 0
    rig.claim(EPOCH)
    rig.scan()
    assert rig.echo == EPOCH
    assert [(e.epoch, e.detail) for e in rig.of("owner")] == [(EPOCH, "granted")]


def test_a_nonce_of_0_is_no_claim() -> None:
    rig = Rig().owned()
    for _ in range(50):
        rig.scan()  # the owner dies
    rig.claim(0)
    rig.scan()
    assert rig.echo == EPOCH


@pytest.mark.parametrize(("silent_scans", "granted"), [(1, False), (30, False), (31, True), (100, True)])
def test_a_claim_waits_until_the_owner_was_silent_for_more_than_300_ms(silent_scans: int, granted: bool) -> None:
    """Scans are 10 ms apart; the last heartbeat was read by the scan before the silence."""
    rig = Rig().owned()
    rig.claim(OTHER)
    for _ in range(silent_scans):
        rig.scan()
    assert rig.echo == (OTHER if granted else EPOCH)


def test_a_claim_found_at_the_first_scan_is_not_granted_again() -> None:
    """A retentive block keeps claim, epoch, heartbeat and tokens of before the restart."""
    rig = Rig().owned()
    rig.plc.restart(keeps_down=True)
    beat_for(rig, 200)
    assert rig.echo == 0
    rig.claim(OTHER)
    rig.scan()
    assert rig.echo == OTHER


def test_a_living_owner_is_never_replaced() -> None:
    rig = Rig().owned()
    rig.claim(OTHER)
    beat_for(rig, 200)
    assert rig.echo == EPOCH


def test_a_heartbeat_beside_another_epoch_does_not_count() -> None:
    """A woken former owner goes on counting with its old epoch: the claim of the new one is granted all the same."""
    rig = Rig().owned()
    rig.claim(OTHER)
    beat_for(rig, 31, epoch=EPOCH ^ 1)
    assert rig.echo == OTHER


def test_the_epoch_alone_without_a_moving_heartbeat_does_not_count() -> None:
    rig = Rig().owned()
    rig.claim(OTHER)
    for _ in range(31):
        rig.plc.down[12:16] = EPOCH.to_bytes(4, "big")
        rig.scan()
    assert rig.echo == OTHER


def test_a_granted_owner_that_never_beats_is_replaced_after_300_ms() -> None:
    rig = Rig()
    rig.scan()
    rig.claim(EPOCH)
    rig.scan()
    rig.claim(OTHER)
    for _ in range(30):
        rig.scan()
    assert rig.echo == EPOCH
    rig.scan()
    assert rig.echo == OTHER


def test_the_same_nonce_is_not_granted_twice() -> None:
    rig = Rig().owned()
    for _ in range(100):
        rig.scan()
    assert [e.detail for e in rig.of("owner")] == ["granted", "lost"]


def test_the_heartbeat_wraps_without_a_trip() -> None:
    rig = Rig().owned()
    rig.beat = 0xFFFE
    beat_for(rig, 5)
    assert rig.beat & 0xFFFF == 3
    assert [e.detail for e in rig.of("owner")] == ["granted"]


def test_the_watchdog_trips_within_300_ms_and_keeps_what_is_latched() -> None:
    rig = Rig().cleared().owned()
    eye = rig.encoder
    rig.scan(eye)
    rig.token(1, PASS)
    rig.scan()
    rig.scan(eye + 100, move=100)
    for _ in range(31):
        rig.scan()
    assert [e.detail for e in rig.of("owner")] == ["granted", "lost"]
    rig.token(2, PASS)  # a process that still writes while its self-check withholds the heartbeat
    rig.scan(move=GATE - WINDOW - 100)
    assert rig.scan(move=1).gate_open  # part 1: latched before the trip
    for _ in range(12):
        rig.scan(move=WINDOW)
    assert [(e.part_id, e.passed) for e in rig.of("decided")] == [(1, True), (2, False)]


def test_an_owner_that_comes_back_goes_on() -> None:
    rig = Rig().cleared().owned()
    for _ in range(40):
        rig.scan()
    rig.scan(rig.encoder)
    rig.token(1, PASS)
    rig.heartbeat()
    rig.scan()
    assert [e.detail for e in rig.of("owner")] == ["granted", "lost", "resumed"]
    assert [e.part_id for e in rig.of("latched")] == [1]


def test_tokens_of_the_former_owner_do_not_count_for_the_new_one() -> None:
    rig = Rig().cleared().owned()
    for _ in range(40):
        rig.scan()
    rig.claim(OTHER)
    rig.scan()
    rig.scan(rig.encoder)
    rig.token(1, PASS, EPOCH)
    rig.heartbeat(OTHER)
    rig.scan()
    assert rig.of("latched") == []
    rig.token(1, PASS, OTHER)
    rig.scan()
    assert [e.epoch for e in rig.of("latched")] == [OTHER]


def test_nothing_is_latched_without_an_owner_even_with_a_check_under_epoch_0() -> None:
    rig = Rig().cleared()
    rig.scan(rig.encoder)
    rig.token(1, PASS, epoch=0)
    rig.scan()
    assert rig.of("latched") == []


def test_epoch_0_validates_nothing_in_the_shift_register_itself() -> None:
    rig = Rig()
    register = ShiftRegister(rig.plc._down, camera_to_gate=GATE, gate_window=WINDOW)
    register.admit(TrackedPart(part_id=1, encoder=0))
    rig.token(1, PASS, epoch=0)
    assert register.latch_tokens(0) == []
    rig.token(1, PASS, epoch=5)
    assert [part.verdict for part in register.latch_tokens(5)] == ["PASS"]


def test_a_new_owner_may_begin_with_the_very_count_at_which_the_former_one_died() -> None:
    rig = Rig().owned()
    for _ in range(40):
        rig.scan()
    rig.claim(OTHER)
    rig.scan()
    for _ in range(20):
        rig.scan()
    rig.beat -= 1
    rig.heartbeat(OTHER)
    for _ in range(20):
        rig.scan()
    assert [e.detail for e in rig.of("owner")] == ["granted", "lost", "granted"]
