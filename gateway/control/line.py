"""The story of one part: trigger → frames → inspection → verdict → token → outcome → record.

The link brings what the PLC says, capture brings frames, the tracker decides what belongs together, the eye looks, the
judge decides, the writer tells the PLC, the recorder remembers. No evidence is never a PASS: every way out of this file that is
not a fault-free inspection in time gives NOT_INSPECTED.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gateway.control.cameras import CameraWatch
from gateway.control.clock import Clock
from gateway.control.eye import Eye
from gateway.control.pending import Pending, voided
from gateway.control.records import ProcessSampler, line_state, part_record
from gateway.control.writer import Writer
from gateway.core.commands import AdjustParameter, Answer
from gateway.core.events import LineState, ParameterWritten, PartJudged, PartOutcome, Record, TokenFate
from gateway.core.frame import FrameStamp
from gateway.core.handshake import Control, Mode, OfflineReason, StopReason, mode_of
from gateway.core.inspection import Inspection
from gateway.core.lifecycle import Closed, Doubt, Effect, Inspect, Judge, Reject
from gateway.core.part import Part
from gateway.core.tags import Scalar
from gateway.core.tracker import Tracker
from gateway.core.verdict import Disposition, JudgeRule, Verdict, judge, not_inspected
from gateway.plc.link import Link
from gateway.plc.listener import LinkState, UpImage

TICK_S = 0.01
STOP_PATIENCE_S = 2.0
LATE_IN_A_ROW = 8
MAX_INSPECTING = 32
JUDGING_MODES = (Mode.AUTOMATIC, Mode.MONITOR_ONLY)


class Line:
    """One line's control logic, on one event loop; the link's listener."""

    def __init__(
        self,
        name: str,
        *,
        cameras: Sequence[str],
        tracker: Tracker,
        eye: Eye,
        rule: JudgeRule,
        writer: Writer,
        record: Callable[[Record], None],
        journal_trouble: Callable[[], str],
        on_admitted: Callable[[int], None],
        clock: Clock,
    ) -> None:
        """``record`` takes finished records; ``journal_trouble`` says why none can be kept now, or ''.

        ``on_admitted`` is told how many parts came, for cameras that wait for a software trigger.
        """
        self._name = name
        self._cameras = CameraWatch(cameras)
        self._tracker = tracker
        self._eye = eye
        self._rule = rule
        self._writer = writer
        self._record = record
        self._journal_trouble = journal_trouble
        self._on_admitted = on_admitted
        self._clock = clock
        self._pending = Pending(writer.ring, record)
        self._tasks: set[asyncio.Task[None]] = set()
        self._up: UpImage | None = None
        self._epoch = 0
        self._link: tuple[LinkState, str] = ("down", "not connected yet")
        self._state: LineState | None = None
        self._process = ProcessSampler()
        self._late_in_a_row = 0
        self._judged = 0
        self._stopping_since_ns: int | None = None
        self._crash: asyncio.Future[None] | None = None

    # -- a part arrives ---------------------------------------------------------------------------------------------------

    def on_baseline(self, up: UpImage) -> None:
        """Take the first read after a (re)connect: what passed up to it gets no token."""
        self._apply(self._tracker.baseline(up.part_id, up.t_mono_ns))
        self._up, self._epoch = up, self._writer.epoch

    def on_up(self, up: UpImage) -> None:
        """Take what the PLC says now: new triggers, outcomes, process values."""
        before, admitted = self._up, self._tracker.admitted
        since_ns = before.t_asked_mono_ns if before is not None else None
        effects = self._tracker.poll(up.part_id, up.triggers, up.t_mono_ns, since_ns=since_ns)
        self._up = up
        self._apply(effects)
        if came := self._tracker.admitted - admitted:
            self._on_admitted(came)
        self._apply(self._tracker.outcomes(up.outcomes))
        if (values := self._process.take(self._name, up, self._clock.utc_ns())) is not None:
            self._record(values)

    def on_frame(self, stamp: FrameStamp) -> None:
        """Take a frame that capture has put into the ring; the tracker finds the part it shows."""
        now_ns = self._clock.mono_ns()
        self._cameras.hear(stamp.camera, True, now_ns)
        self._apply(self._tracker.frame(stamp, now_ns))

    def on_camera(self, camera: str, up: bool) -> None:
        """Take a capture process's word on its camera: on every change, and once a second."""
        self._cameras.hear(camera, up, self._clock.mono_ns())

    # -- it is seen and judged ----------------------------------------------------------------------------------------------

    def _apply(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Inspect():
                    self._start_inspection(effect)
                case Judge():
                    self._late_in_a_row = 0
                    self._conclude(effect.part, effect.stamps, judge(effect.inspection, self._rule), effect.inspection)
                case Reject():
                    self._late_in_a_row += effect.late
                    self._conclude(effect.part, effect.stamps, effect.verdict, None, send=effect.send)
                case Doubt():
                    self._pending.doubt(effect.part_id, effect.reason)
                case Closed():
                    self._close(effect)

    def _start_inspection(self, effect: Inspect) -> None:
        trouble = self._why_no_pass(effect.part)
        if not trouble and len(self._tasks) >= MAX_INSPECTING:
            trouble = f"overload: {MAX_INSPECTING} parts wait for the engine"
        if trouble:
            self._apply(self._tracker.fault(effect.part.part_id, trouble))
            return
        task = asyncio.get_running_loop().create_task(self._inspect(effect))
        self._tasks.add(task)
        task.add_done_callback(self._inspection_ended)

    async def _inspect(self, effect: Inspect) -> None:
        inspection = await self._eye.inspect(effect.part, effect.stamps)
        self._apply(self._tracker.inspected(effect.part, inspection, self._clock.mono_ns()))

    def _inspection_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self.crash(bug)

    def _why_no_pass(self, part: Part) -> str:
        """Return why this part may not pass at the moment, or ''."""
        if self._stopping_since_ns is not None and part.trigger.t_mono_ns > self._stopping_since_ns:
            return "the gateway is stopping"
        control = self._up.control if self._up is not None else Control.SET_OFFLINE
        if control & Control.SET_OFFLINE:
            return "the PLC has set the gateway offline"
        if (mode := mode_of(control)) not in JUDGING_MODES:
            return f"the line is in mode {mode.name}"
        return self._journal_trouble()

    # -- the line is told -----------------------------------------------------------------------------------------------------

    def _conclude(
        self,
        part: Part,
        stamps: tuple[FrameStamp, ...],
        verdict: Verdict,
        inspection: Inspection | None,
        *,
        send: bool = True,
    ) -> None:
        if verdict.disposition is Disposition.PASS and (trouble := self._why_no_pass(part)):
            verdict = not_inspected(part.part_id, trouble)
        stop = self._late_in_a_row >= LATE_IN_A_ROW
        self._writer.status.stop_reason = StopReason.CONSECUTIVE_LATE if stop else StopReason.NONE
        now_utc_ns = self._clock.utc_ns()
        record = part_record(self._name, self._epoch, part, stamps, verdict, inspection, t_utc_ns=now_utc_ns)
        # A part is told about under the epoch that it was admitted under, or not at all.
        if send and self._epoch == self._writer.epoch and self._writer.give(verdict):
            self._pending.add(record, part.due_mono_ns, self._clock.mono_ns())
        else:
            self._record(voided(record, "no token could be given: the line is not owned, or a later part has its slot"))

    def tokens(self) -> Sequence[tuple[int, int, int]]:
        """Return the ring to write now, without any PASS that may not be written any more."""
        return self._pending.compose(self._clock.mono_ns(), self._journal_trouble())

    def on_tokens_acked(self, part_ids: frozenset[int], t_mono_ns: int) -> None:
        """Complete the records of the parts whose tokens the PLC has, and show the last of them."""
        for record in self._pending.acked(part_ids, t_mono_ns):
            self._show(record)

    def _show(self, record: PartJudged) -> None:
        status = self._writer.status
        self._judged += 1
        status.completed = not status.completed
        status.disposition = Disposition[record.disposition]
        status.late = record.token == TokenFate.LATE
        status.part_id = record.part_id
        status.inspection_id = self._judged % (1 << 32)
        status.encoder = record.encoder or 0
        status.result_code = self._rule.labels.index(record.defect) + 1 if record.defect in self._rule.labels else 0
        status.score = record.scores.get(record.label, 0.0)
        status.latency_ms = record.latency_ms or 0.0

    def status(self) -> Mapping[str, Scalar]:
        """Return the status section by role."""
        return self._writer.status.section()

    # -- and it leaves --------------------------------------------------------------------------------------------------------

    def _close(self, closed: Closed) -> None:
        outcome = closed.outcome.name if closed.outcome is not None else "UNKNOWN"
        self._record(PartOutcome(line=self._name, t_utc_ns=self._clock.utc_ns(), part_id=closed.part_id, outcome=outcome))

    def on_owner_lost(self, reason: str) -> None:
        """Let go of all parts in flight: their epoch is void, and nothing of it stays in the ring."""
        self._apply(self._tracker.void(reason))
        self._pending.abandon(reason)

    def on_state(self, state: LinkState, detail: str) -> None:
        """Take a change of the link's state."""
        self._link = (state, detail)
        self._update_state()

    # -- commands -------------------------------------------------------------------------------------------------------------

    async def adjust(self, command: AdjustParameter) -> Answer:
        """Carry out a parameter adjustment through the writer and record what came of it, once for each command."""
        repeated = self._writer.knows(command.id)
        answer = await self._writer.adjust(command, self._up)
        if repeated:
            return answer
        self._record(
            ParameterWritten(
                line=self._name,
                t_utc_ns=self._clock.utc_ns(),
                command_id=command.id,
                tag=command.tag,
                requested=command.value,
                old=answer.old,
                new=answer.new,
                result=answer.result,
            )
        )
        return answer

    # -- time -----------------------------------------------------------------------------------------------------------------

    async def run(self, link: Link) -> None:
        """Run until cancelled; any exception that is not a device's is a bug and ends the process in the safe state.

        However it ends, every part in flight is recorded.
        """
        self._crash = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(link.run())
                group.create_task(self._tick_forever())
                group.create_task(_until(self._crash))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.on_owner_lost("the gateway has stopped")

    def crash(self, bug: BaseException) -> None:
        """End :meth:`run` with ``bug``: it came up where nobody waits for a result."""
        if self._crash is None:
            raise bug
        if not self._crash.done():
            self._crash.set_exception(bug)

    async def stop(self, link: Link) -> None:
        """Stop in order: admit no more, let due parts end, tell the PLC; then the caller cancels :meth:`run`."""
        now_ns = self._stopping_since_ns = self._clock.mono_ns()
        self._update_state()
        for _ in range(int(STOP_PATIENCE_S / TICK_S)):
            if not self._tracker.open_before(now_ns) and not self._pending:
                break
            await asyncio.sleep(TICK_S)
        async with asyncio.timeout(1):
            await link.write_status_now()

    async def _tick_forever(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(TICK_S)

    def tick(self) -> None:
        """Let what is due become late, and see whether the line's state has changed."""
        now_ns = self._clock.mono_ns()
        self._apply(self._tracker.tick(now_ns))
        self._pending.expire(now_ns)
        self._update_state()

    def _update_state(self) -> None:
        link, detail = self._link
        state, reason, error = line_state(
            self._name,
            link,
            detail,
            stopping=self._stopping_since_ns is not None,
            control=self._up.control if self._up is not None else 0,
            cameras_down=self._cameras.down(self._clock.mono_ns()),
            journal_trouble=self._journal_trouble(),
            model_id=self._eye.model_id,
        )
        status = self._writer.status
        status.ready, status.offline_reason, status.error = state.ready, reason, error
        status.online = reason not in (OfflineReason.STOPPING, OfflineReason.PLC_REQUEST)
        if state != self._state:
            self._state = state
            self._record(replace(state, t_utc_ns=self._clock.utc_ns()))


async def _until(future: asyncio.Future[None]) -> None:
    await future
