"""The classic exchange against a PLC's memory, in every order that hypothesis can think of.

The memory is what the writes leave; a PLC may read it while a write is being stored, and see bits of one write beside the
payload of the other. A PLC that goes by ResultsValid alone must nevertheless never see a result twice, miss one without
BufferOverrun, or take one part's for another's.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.core.ack_exchange import AckExchange
from gateway.core.events import PartJudged
from gateway.core.handshake import Control, ErrorCode, Status1

MS = 1_000_000
SCAN_NS = 10 * MS


@dataclass(frozen=True)
class Written:
    """One write of the status section."""

    bits: Status1 = Status1(0)
    part_id: int = 0
    score: float = 0.0
    acquisition_id: int = 0


class AckMachine(RuleBasedStateMachine):
    """The gateway's exchange, the wire and a PLC that follows the contract; ``buffered`` stands for a whole run."""

    buffered = True

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.control = Control.TRIGGER_ENABLE | (Control.BUFFER_RESULTS_ENABLE if self.buffered else Control(0))
        self.exchange = AckExchange(scan_ns=SCAN_NS)
        self.exchange.baseline(self.control)
        self.memory = self.before = Written()
        self.head = 0
        self.new: list[tuple[int, int]] = []
        self.outstanding = 0
        """The part that Trigger is up for."""
        self.acked_with = 0
        self.triggered: list[int] = []
        self.lost: set[int] = set()
        self.offered: list[int] = []
        self.refused: set[int] = set()
        self.taken: list[int] = []
        self.holding = 0
        """The result that the PLC has seen as valid and not yet seen to go."""

    # -- the gateway ----------------------------------------------------------------------------------------------------

    @rule(ms=st.sampled_from([1, 4, 25]))
    def read(self, ms: int) -> None:
        """The gateway reads the PLC."""
        self.now_ns += ms * MS
        new, self.new = self.new, []
        lost = self.exchange.read(self.control, new, ready=True, error=ErrorCode.NONE, now_ns=self.now_ns)
        assert not self.lost & set(lost)
        self.lost |= set(lost)

    @rule(stored=st.booleans())
    def write(self, stored: bool) -> None:
        """The gateway writes; the acknowledgement may be lost, and then so may the write."""
        result = self.exchange.result
        shown = Written(
            bits=self.exchange.bits,
            part_id=result.part_id if result else 0,
            score=result.scores["good"] if result else 0.0,
            acquisition_id=self.exchange.acquisition_id,
        )
        self.before, self.memory = self.memory, shown
        if stored:
            self.exchange.written(self.exchange.changes, self.now_ns)
        self.see()

    @rule()
    def reconnect(self) -> None:
        """The link breaks and comes back."""
        self.new.clear()  # the tracker has closed them
        self.lost |= set(self.exchange.baseline(self.control))

    @precondition(lambda self: [p for p in self.triggered if p not in self.offered])
    @rule(data=st.data())
    def result(self, data: st.DataObject) -> None:
        """The PLC has the token of a part, in whatever order."""
        part_id = data.draw(st.sampled_from([p for p in self.triggered if p not in self.offered]))
        full = self.exchange.remaining == 0
        self.offered.append(part_id)
        if full:
            self.refused.add(part_id)
        record = PartJudged(line="x", t_utc_ns=1, part_id=part_id, epoch=1, disposition="PASS", scores={"good": part_id / 1000})
        self.exchange.show(record, self.now_ns)
        assert not full or self.exchange.overrun, "a result was lost and nobody is told"

    # -- the PLC ----------------------------------------------------------------------------------------------------------

    @rule(shown=st.booleans())
    def part(self, shown: bool) -> None:
        """A part comes; its Trigger goes up if no other is under way."""
        self.head += 1
        self.new.append((self.head, self.head * 1000))
        if shown and not self.control & Control.TRIGGER and not self.memory.bits & Status1.TRIGGER_ACK:
            self.outstanding, self.acked_with = self.head, self.memory.acquisition_id
            self.control |= Control.TRIGGER

    @rule()
    def drop_trigger(self) -> None:
        """The PLC sees TriggerAck, or AcquisitionError, and drops Trigger."""
        if self.control & Control.TRIGGER and self.memory.bits & Status1.TRIGGER_ACK:
            assert self.memory.acquisition_id != self.acked_with, "TriggerAck before the AcquisitionId"
            self.triggered.append(self.outstanding)
            self.control &= ~Control.TRIGGER
        elif self.memory.bits & Status1.ACQUISITION_ERROR:
            self.control &= ~Control.TRIGGER

    @rule()
    def acknowledge(self) -> None:
        """The PLC's sequence takes a result that it has seen, or lets go of the acknowledgement."""
        if self.memory.bits & Status1.RESULTS_VALID and self.holding:
            self.control |= Control.INSPECTION_RESULTS_ACK
        else:
            self.control &= ~Control.INSPECTION_RESULTS_ACK

    def see(self) -> None:
        """The PLC scans after each write: what is valid now and was not is a result."""
        if not self.memory.bits & Status1.RESULTS_VALID:
            self.holding = 0
        elif not self.holding:
            self.holding = self.memory.part_id
            self.taken.append(self.memory.part_id)

    # -- what must hold -----------------------------------------------------------------------------------------------------

    @invariant()
    def the_payload_never_changes_beside_results_valid(self) -> None:
        if (self.before.bits | self.memory.bits) & Status1.RESULTS_VALID:
            assert (self.before.part_id, self.before.score) == (self.memory.part_id, self.memory.score)

    @invariant()
    def no_result_is_another_part_s(self) -> None:
        assert self.memory.score == self.memory.part_id / 1000

    @invariant()
    def each_is_shown_once_in_the_order_in_which_they_came_and_none_is_left_out(self) -> None:
        kept = [p for p in self.offered if p not in self.refused]
        assert self.taken == kept[: len(self.taken)]

    @invariant()
    def the_part_that_a_trigger_was_taken_for_is_the_one_that_the_plc_meant(self) -> None:
        for part_id in self.triggered:
            assert self.exchange.triggered(part_id) or part_id in self.offered
            assert part_id not in self.lost

    def teardown(self) -> None:
        """With a PLC that goes on, every result is shown at last."""
        for _ in range(8 * 12):
            self.read(25)
            self.write(True)
            self.acknowledge()
        assert self.taken == [p for p in self.offered if p not in self.refused]


class UnbufferedAckMachine(AckMachine):
    """The same with a PLC that does not acknowledge."""

    buffered = False


TestBuffered = AckMachine.TestCase
TestUnbuffered = UnbufferedAckMachine.TestCase
TestBuffered.settings = TestUnbuffered.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
