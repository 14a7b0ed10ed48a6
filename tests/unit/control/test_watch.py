"""What the looks of the loop's watchdog mean: a stall, its end, or a pause of the whole process."""

from __future__ import annotations

from gateway.control.watch import STALLED_NS, Judgement, Pause, Stall

MS = 1_000_000
LOOK = 25 * MS


class Looks:
    """Looks every 25 ms; the loop beats at each of them unless it stalls."""

    def __init__(self) -> None:
        self.now_ns = self.beat_ns = self.cpu_ns = 0
        self.judgement = Judgement(0, 0)

    def look(self, *, beats: bool = True, after_ns: int = LOOK, cpu_ns: int = 0) -> Pause | Stall | None:
        self.now_ns += after_ns
        self.cpu_ns += cpu_ns
        if beats:
            self.beat_ns = self.now_ns
        return self.judgement.look(self.now_ns, self.beat_ns, self.cpu_ns)

    def until_said(self, *, beats: bool) -> Pause | Stall:
        for _ in range(100):
            if (said := self.look(beats=beats)) is not None:
                return said
        raise AssertionError("nothing was said")


def test_a_loop_that_turns_is_not_mentioned() -> None:
    looks = Looks()
    assert [looks.look() for _ in range(100)] == [None] * 100
    assert looks.judgement.stood_ns == 0


def test_a_stall_is_told_once_within_150_ms_and_its_end_with_its_length() -> None:
    looks = Looks()
    looks.look()
    begun_ns = looks.now_ns
    said = looks.until_said(beats=False)
    assert isinstance(said, Stall)
    assert not said.ended
    assert STALLED_NS < said.stalled_ns == looks.now_ns - begun_ns <= 150 * MS
    assert [looks.look(beats=False) for _ in range(10)] == [None] * 10
    assert looks.look() == Stall(stalled_ns=looks.now_ns - begun_ns, ended=True)
    assert looks.look() is None
    assert looks.judgement.stood_ns == 0
    assert isinstance(looks.until_said(beats=False), Stall), "and the next one is told again"


def test_a_pause_of_the_whole_process_is_no_stall() -> None:
    looks = Looks()
    looks.look()
    assert looks.look(beats=False, after_ns=800 * MS, cpu_ns=MS) == Pause(pause_ns=800 * MS, busy=False)
    assert looks.look() is None, "the loop goes on with the thread"


def test_a_call_that_held_the_interpreter_is_told_from_a_process_that_was_stopped() -> None:
    looks = Looks()
    assert looks.look(beats=False, after_ns=800 * MS, cpu_ns=790 * MS) == Pause(pause_ns=800 * MS, busy=True)


def test_a_loop_that_still_stands_after_a_pause_is_told() -> None:
    looks = Looks()
    looks.look()
    assert isinstance(looks.look(beats=False, after_ns=800 * MS), Pause)
    assert isinstance(looks.look(beats=False), Stall)


def test_how_long_it_has_stood_does_not_count_a_pause() -> None:
    looks = Looks()
    looks.until_said(beats=False)
    for _ in range(40):
        looks.look(beats=False)
    assert looks.judgement.stood_ns == 40 * LOOK
    looks.look(beats=False, after_ns=3600 * 1000 * MS)
    assert looks.judgement.stood_ns == 40 * LOOK + STALLED_NS
