"""The classic exchange from the PLC's side, scan by scan against a gateway that follows a script; every bit by its number."""

from __future__ import annotations

import struct

import pytest

from simulators.plant import AckInputs, PlcOutputs
from tests.unit.simulators.plc_rig import EPOCH, FAIL, GATE, NOT_INSPECTED, PASS, WINDOW, Rig

ENABLE, TRIGGER, CLEAR_EXPOSURE, BUFFERED, RESULTS_ACK, EXECUTE, CLEAR_ERROR, OFFLINE = (1 << bit for bit in range(8))
TRIGGER_ACK, EXPOSED, ACQUISITION_ERROR = 1 << 1, 1 << 2, 1 << 3
OVERRUN, RESULTS_VALID, EXECUTING, COMPLETED, FAILED, ERROR = (1 << bit for bit in range(10, 16))
SHOWN = {PASS: 1, FAIL: 2, NOT_INSPECTED: 4}


class Bench(Rig):
    """An owned PLC with the classic exchange, and the gateway's half of it."""

    def __init__(self, *, handshake: str = "ack", **wishes: object) -> None:
        super().__init__(handshake=handshake)  # type: ignore[arg-type]
        self.wishes = wishes
        self.cleared().owned()

    def step(self, *latches: int, move: int = 0, **wishes: object) -> PlcOutputs:
        return self.scan(*latches, move=move, ack=AckInputs(**(self.wishes | wishes)))  # type: ignore[arg-type]

    def status1(self, bits: int) -> None:
        struct.pack_into(">H", self.plc.down, 0, bits)

    def result(self, part_id: int, verdict: int, *, token: int | None = None, shown: int | None = None) -> None:
        """Write token and status as the gateway does: the ring, then the section with ResultsValid."""
        if token != 0:
            self.token(part_id, token or verdict)
        self.heartbeat()
        struct.pack_into(">H", self.plc.down, 2, SHOWN[verdict] if shown is None else shown)
        struct.pack_into(">HHI", self.plc.down, 8, 0, 7, EPOCH)
        struct.pack_into(">I", self.plc.down, 24, part_id)
        struct.pack_into(">f", self.plc.down, 32, 0.75)
        self.status1(RESULTS_VALID)

    @property
    def control(self) -> int:
        """The control word without the permits and the mode."""
        return int(self.up("H", 0)[0]) & 0xFF

    def told(self, kind: str) -> list[tuple[int, str, str]]:
        return [(e.part_id, e.verdict, e.detail) for e in self.of(kind)]


def test_a_trigger_is_held_until_its_ack_and_comes_with_its_part() -> None:
    bench = Bench()
    assert bench.control == ENABLE
    bench.step(bench.encoder)
    assert (bench.control, bench.up("II", 8)) == (ENABLE | TRIGGER, (1, bench.encoder))
    for _ in range(20):
        bench.step()
        assert bench.control == ENABLE | TRIGGER
    bench.status1(TRIGGER_ACK)
    bench.step()
    assert bench.control == ENABLE
    bench.status1(0)
    bench.step(bench.encoder)
    assert bench.control == ENABLE | TRIGGER
    assert bench.told("missed") == []


@pytest.mark.parametrize("bits", [0, TRIGGER_ACK], ids=["trigger up", "ack still up"])
def test_a_part_that_comes_before_the_trigger_is_done_with_gets_none(bits: int) -> None:
    bench = Bench()
    bench.step(bench.encoder)
    bench.status1(bits)
    bench.step()
    bench.step(bench.encoder + 5, move=5)
    assert bench.told("missed") == [(2, "", "the trigger before it is not done with")]
    assert bench.control == ENABLE | (0 if bits else TRIGGER)
    assert bench.up("II", 40 + 16) == (2, bench.encoder), "the ring holds it all the same"


def test_an_acquisition_error_takes_trigger_and_enable_away_until_it_is_gone() -> None:
    bench = Bench()
    bench.step(bench.encoder)
    bench.status1(ACQUISITION_ERROR)
    bench.step()
    assert bench.control == 0
    assert bench.told("missed") == [(1, "", "the gateway missed a trigger")]
    bench.step(bench.encoder)
    assert bench.control == 0
    assert bench.told("missed")[1:] == [(2, "", "triggers are not enabled")]
    bench.status1(0)
    bench.step()
    assert bench.control == ENABLE
    bench.step(bench.encoder)
    assert bench.control == ENABLE | TRIGGER


def test_without_the_wish_nothing_is_triggered() -> None:
    bench = Bench(trigger_enable=False)
    bench.step()
    bench.step(bench.encoder)
    assert bench.control == 0
    assert bench.told("missed") == [(1, "", "triggers are not enabled")]


def test_exposure_complete_is_cleared_and_the_clear_taken_back() -> None:
    bench = Bench()
    for bits, control in ((0, ENABLE), (EXPOSED, ENABLE | CLEAR_EXPOSURE), (EXPOSED, ENABLE | CLEAR_EXPOSURE), (0, ENABLE)):
        bench.status1(bits)
        bench.step()
        assert bench.control == control
    assert len(bench.of("exposed")) == 1


@pytest.mark.parametrize(("verdict", "opens"), [(PASS, True), (FAIL, False), (NOT_INSPECTED, False)])
def test_a_result_with_its_token_decides_about_the_part(verdict: int, opens: bool) -> None:
    bench = Bench()
    bench.step(bench.encoder)
    bench.result(1, verdict)
    bench.step()
    name = {PASS: "PASS", FAIL: "FAIL", NOT_INSPECTED: "NOT_INSPECTED"}[verdict]
    assert bench.told("result") == [(1, name, "code 7, score 0.75")]
    assert [(e.part_id, e.verdict) for e in bench.of("latched")] == [(1, name)]
    bench.step()
    assert len(bench.of("result")) == 1, "the same result is none anew"
    assert bench.step(move=GATE - WINDOW).gate_open == opens


def test_a_token_without_a_result_opens_nothing() -> None:
    bench = Bench()
    bench.step(bench.encoder)
    bench.token(1, PASS)
    bench.step()
    assert not bench.step(move=GATE - WINDOW).gate_open
    assert bench.of("latched") == []


def test_a_result_without_a_token_opens_nothing_and_waits_for_it() -> None:
    bench = Bench()
    bench.step(bench.encoder)
    bench.result(1, PASS, token=0)
    bench.step()
    assert bench.of("latched") == bench.of("result") == bench.of("refused") == []
    bench.token(2, PASS, slot=1)
    bench.step()
    assert bench.of("latched") == [], "another part's token is none"
    bench.token(1, PASS, epoch=EPOCH + 1)
    bench.step()
    assert bench.of("latched") == [], "another owner's token is none"
    bench.token(1, PASS)
    bench.step()
    assert bench.told("result") == [(1, "PASS", "code 7, score 0.75")]


@pytest.mark.parametrize(
    ("token", "shown", "said"),
    [(FAIL, 1, "the token says FAIL, the result PASS"), (PASS, 2, "the token says PASS, the result FAIL")]
    + [(PASS, bits, "the token says PASS, the result none or several") for bits in (0, 3, 7)],
)
def test_a_result_that_says_another_thing_than_the_token_is_refused(token: int, shown: int, said: str) -> None:
    bench = Bench()
    bench.step(bench.encoder)
    bench.result(1, PASS, token=token, shown=shown)
    bench.step()
    assert bench.told("refused") == [(1, "", said)]
    assert bench.of("latched") == []
    assert not bench.step(move=GATE - WINDOW).gate_open


@pytest.mark.parametrize("part_id", [0, 2, 77])
def test_a_result_for_no_part_under_way_is_refused(part_id: int) -> None:
    bench = Bench(buffered=True)
    bench.step(bench.encoder)
    bench.result(part_id, PASS)
    bench.step()
    if part_id:
        assert bench.told("refused") == [(part_id, "", "no part waits for it")]
        assert bench.control & RESULTS_ACK, "or it would block the queue"
    assert bench.of("latched") == []


def test_a_result_whose_token_never_comes_is_refused_once_its_part_is_at_the_gate() -> None:
    bench = Bench(buffered=True)
    bench.step(bench.encoder)
    bench.result(1, PASS, token=0)
    bench.step()
    assert not bench.control & RESULTS_ACK
    bench.step(move=GATE - WINDOW)
    bench.token(1, PASS)
    bench.step()
    assert bench.told("refused") == [(1, "", "no part waits for it")]
    assert not bench.step(move=WINDOW).gate_open


def test_buffered_results_are_acknowledged_one_by_one() -> None:
    bench = Bench(buffered=True)
    bench.step(bench.encoder)
    bench.step(bench.encoder + 100, move=100)
    assert bench.control & BUFFERED
    for part_id, verdict in ((1, PASS), (2, FAIL)):
        bench.result(part_id, verdict)
        bench.step()
        assert bench.control & RESULTS_ACK
        bench.step()
        assert bench.control & RESULTS_ACK, "held while the result stands"
        bench.status1(0)
        bench.step()
        assert not bench.control & RESULTS_ACK
    assert [(p, v) for p, v, _ in bench.told("result")] == [(1, "PASS"), (2, "FAIL")]


def test_unbuffered_results_are_not_acknowledged_and_follow_each_other() -> None:
    bench = Bench()
    bench.step(bench.encoder)
    bench.step(bench.encoder + 100, move=100)
    for part_id in (1, 2):
        bench.result(part_id, PASS)
        bench.step()
        assert not bench.control & (RESULTS_ACK | BUFFERED)
    assert [p for p, _, _ in bench.told("result")] == [1, 2]


def test_a_gateway_that_is_lost_or_new_finds_no_trigger_and_is_believed_nothing() -> None:
    bench = Bench()
    bench.step(bench.encoder)
    for _ in range(31):
        bench.step()
    assert [e.detail for e in bench.of("owner")] == ["granted", "lost"]
    assert bench.control == ENABLE
    bench.step(bench.encoder)
    assert bench.told("missed") == [(2, "", "no gateway")]
    bench.status1(EXPOSED | RESULTS_VALID | COMPLETED | ERROR)
    bench.claim(EPOCH + 1)
    bench.step(command=(1, 2))
    assert [e.detail for e in bench.of("owner")] == ["granted", "lost", "granted"]
    assert bench.control == ENABLE, "what the owner before it has left is not believed"
    assert bench.of("exposed") == bench.of("error") == bench.of("command") == bench.of("result") == []


def test_an_overrun_is_told_once_a_time() -> None:
    bench = Bench()
    for bits in (OVERRUN, OVERRUN, 0, OVERRUN):
        bench.status1(bits)
        bench.step()
    assert len(bench.of("overrun")) == 2


@pytest.mark.parametrize("handshake", ["ring", "ack"])
@pytest.mark.parametrize(("end", "told"), [(COMPLETED, "completed"), (FAILED, "failed")])
def test_a_command_is_held_until_it_ends_and_the_next_one_waits(handshake: str, end: int, told: str) -> None:
    bench = Bench(handshake=handshake)
    bench.step(command=(3, 12))
    assert (bench.control, bench.up("HH", 4)) == (ENABLE | EXECUTE, (3, 12))
    bench.step(command=(3, 13))
    bench.status1(EXECUTING)
    bench.step(command=(3, 13))
    assert (bench.control, bench.up("HH", 4)) == (ENABLE | EXECUTE, (3, 12))
    bench.status1(end)
    bench.step()
    assert bench.control == ENABLE
    bench.step()
    assert bench.control == ENABLE, "the gateway has not dropped its answer yet"
    bench.status1(0)
    bench.step()
    assert (bench.control, bench.up("HH", 4)) == (ENABLE | EXECUTE, (3, 13))
    assert bench.told("command") == [(0, "", f"3 12: {told}")]


def test_a_wish_that_stands_is_one_command_and_comes_anew_when_it_was_taken_back() -> None:
    bench = Bench()
    for _ in range(2):
        bench.step(command=(1, 0))
        bench.status1(COMPLETED)
        bench.step(command=(1, 0))
        bench.status1(0)
        for _ in range(3):
            bench.step(command=(1, 0))
            assert bench.control == ENABLE
        bench.step()
    assert len(bench.of("command")) == 2


def test_a_command_ends_with_its_gateway() -> None:
    bench = Bench()
    bench.step(command=(2, 0))
    for _ in range(31):
        bench.step(command=(2, 0))
    assert bench.control == ENABLE
    assert bench.told("command") == [(0, "", "2 0: abandoned, for its gateway is gone")]


def test_clear_error_and_set_offline_are_levels_and_an_error_is_told() -> None:
    bench = Bench()
    bench.step(clear_error=True, set_offline=True)
    assert bench.control == ENABLE | CLEAR_ERROR | OFFLINE
    bench.step()
    assert bench.control == ENABLE
    bench.status1(ERROR)
    struct.pack_into(">H", bench.plc.down, 6, 42)
    bench.step()
    bench.step()
    assert bench.told("error") == [(0, "", "error 42")]


def test_a_restart_forgets_trigger_command_and_result() -> None:
    bench = Bench(buffered=True)
    bench.step(bench.encoder, command=(1, 1))
    bench.result(1, PASS)
    bench.step(command=(1, 1))
    bench.plc.restart()
    bench.step()
    assert bench.control == ENABLE | BUFFERED
    assert bench.up("HHI", 4) == (0, 0, 0)
