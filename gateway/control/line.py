"""The story of one part: trigger → frames → inspection → verdict → token → outcome → record.

The link brings what the PLC says, capture brings frames, the tracker decides what belongs together, the eye looks, the
judge decides, the writer tells the PLC, the recorder remembers. No evidence is never a PASS: every way out of this file that is
not a fault-free inspection in time gives NOT_INSPECTED.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from gateway.control.clock import Clock
from gateway.control.eye import Eye
from gateway.control.writer import Writer
from gateway.core.commands import AdjustParameter, Answer
from gateway.core.events import LineState, ParameterWritten, PartJudged, PartOutcome, ProcessValues, Record
from gateway.core.frame import FrameStamp
from gateway.core.handshake import Control, ErrorCode, Mode, OfflineReason, StopReason, mode_of
from gateway.core.inspection import Inspection
from gateway.core.part import Part
from gateway.core.tags import Scalar
from gateway.core.tracker import Closed, Effect, Inspect, Judge, Reject, Tracker
from gateway.core.verdict import Disposition, JudgeRule, Verdict, judge, not_inspected
from gateway.plc.link import Link, LinkState, UpImage

TICK_S = 0.01
PROCESS_RECORD_NS = 100_000_000
PROCESS_REFRESH_NS = 1_000_000_000
LATE_IN_A_ROW = 8
MAX_INSPECTING = 32


@dataclass(slots=True)
class _Draft:
    """A record that waits for the fate of its token."""

    record: PartJudged
    due_ns: int
    sent: bool = False


class Line:
    """One line's control logic, on one event loop. ``record`` takes finished records; ``journal_ok`` says why not, or ''."""

    def __init__(
        self,
        name: str,
        *,
        tracker: Tracker,
        eye: Eye,
        rule: JudgeRule,
        writer: Writer,
        record: Callable[[Record], None],
        journal_trouble: Callable[[], str],
        on_admitted: Callable[[int], None],
        clock: Clock,
    ) -> None:
        """``on_admitted`` is told how many parts came, for cameras that wait for a software trigger."""
        self._name = name
        self._tracker = tracker
        self._eye = eye
        self._rule = rule
        self._writer = writer
        self._record = record
        self._journal_trouble = journal_trouble
        self._on_admitted = on_admitted
        self._clock = clock
        self._drafts: dict[int, _Draft] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._cameras_up: dict[str, bool] = {}
        self._up: UpImage | None = None
        self._link: tuple[LinkState, str] = ("down", "not connected yet")
        self._state: LineState | None = None
        self._process: tuple[int, Mapping[str, Scalar], int] = (0, {}, -1)
        self._late_in_a_row = 0
        self._judged = 0
        self._stopping = False
        self._crash: asyncio.Future[None] | None = None

    # -- a part arrives ---------------------------------------------------------------------------------------------------

    def on_up(self, up: UpImage) -> None:
        """Take what the PLC says now: new triggers, outcomes, process values."""
        self._up = up
        before = self._tracker.open_parts
        self._apply(self._tracker.poll(up.part_id, up.triggers, up.t_mono_ns))
        if (admitted := self._tracker.open_parts - before) > 0:
            self._on_admitted(admitted)
        self._apply(self._tracker.outcomes(up.outcomes))
        self._note_process(up)

    def on_frame(self, stamp: FrameStamp) -> None:
        """Take a frame that capture has put into the ring; the tracker finds the part it shows."""
        self._cameras_up[stamp.camera] = True
        self._apply(self._tracker.frame(stamp, self._clock.mono_ns()))

    def on_camera(self, camera: str, up: bool) -> None:
        """Take note that a camera came or went."""
        self._cameras_up[camera] = up

    # -- it is seen and judged ----------------------------------------------------------------------------------------------

    def _apply(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Inspect():
                    self._start_inspection(effect)
                case Judge():
                    self._conclude(effect.part, effect.stamps, judge(effect.inspection, self._rule), effect.inspection)
                case Reject():
                    self._conclude(effect.part, effect.stamps, effect.verdict, None, send=effect.send, late=effect.late)
                case Closed():
                    self._close(effect)

    def _start_inspection(self, effect: Inspect) -> None:
        trouble = self._why_not_now()
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
        self._apply(self._tracker.inspected(inspection, self._clock.mono_ns()))

    def _inspection_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (bug := task.exception()) is None:
            return
        if self._crash is None or self._crash.done():
            raise bug
        self._crash.set_exception(bug)

    def _why_not_now(self) -> str:
        """Return why no part may pass at the moment, or ''."""
        if self._stopping:
            return "the gateway is stopping"
        mode = mode_of(self._up.control) if self._up is not None else Mode.MANUAL
        if mode is not Mode.AUTOMATIC:
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
        late: bool = False,
    ) -> None:
        if verdict.disposition is Disposition.PASS and (trouble := self._journal_trouble()):
            verdict = not_inspected(part.part_id, trouble)
        self._count_late(late)
        draft = _Draft(record=self._draft(part, stamps, verdict, inspection), due_ns=part.due_mono_ns)
        if not send or not self._writer.give(verdict):
            self._record(draft.record)
            return
        self._drafts[part.part_id] = draft

    def _draft(self, part: Part, stamps: tuple[FrameStamp, ...], verdict: Verdict, inspection: Inspection | None) -> PartJudged:
        first = stamps[0] if stamps else None
        stats = inspection.stats if inspection is not None else None
        return PartJudged(
            line=self._name,
            t_utc_ns=self._clock.utc_ns(),
            part_id=part.part_id,
            epoch=self._writer.link.epoch if self._writer.link else 0,
            disposition=verdict.disposition.name,
            defect=verdict.defect,
            reasons=verdict.reasons,
            encoder=part.trigger.encoder,
            label=inspection.label if inspection else "",
            scores=dict(inspection.scores) if inspection else {},
            stats=asdict(stats) if stats else None,
            model_id=inspection.model_id if inspection else "",
            camera=first.camera if first else "",
            frame_counter=first.frame_counter if first else -1,
            frame_slot=first.slot if first else -1,
            frame_generation=first.generation if first else -1,
            t_exposed_mono_ns=first.t_exposed_ns if first else 0,
            t_trigger_mono_ns=part.trigger.t_mono_ns,
            t_frame_mono_ns=max((s.t_available_ns for s in stamps), default=0),
            infer_ms=inspection.infer_ms if inspection else 0.0,
        )

    def tokens(self) -> Sequence[tuple[int, int, int]]:
        """Return the ring to write now; a PASS whose deadline is over and that nobody acknowledged is taken back."""
        now = self._clock.mono_ns()
        for part_id, draft in list(self._drafts.items()):
            if draft.record.disposition == Disposition.PASS.name and now > draft.due_ns:
                self._writer.ring.drop(part_id)
                del self._drafts[part_id]
                self._record(replace(draft.record, token="unknown" if draft.sent else "void"))
            draft.sent = True
        return self._writer.ring.words()

    def on_tokens_acked(self, part_ids: frozenset[int], t_mono_ns: int) -> None:
        """The PLC has the tokens: the part's record is complete."""
        for part_id in [p for p in self._drafts if p in part_ids]:
            draft = self._drafts.pop(part_id)
            late = t_mono_ns > draft.due_ns
            record = replace(draft.record, token="late" if late else "acked", t_acked_mono_ns=t_mono_ns)
            self._show(record)
            self._record(record)
        for part_id in [p for p, draft in self._drafts.items() if draft.sent]:
            # Sent once, and gone from the ring: a later part took its slot before the PLC acknowledged it.
            self._record(replace(self._drafts.pop(part_id).record, token="unknown"))

    def _show(self, record: PartJudged) -> None:
        status = self._writer.status
        self._judged += 1
        status.completed = not status.completed
        status.disposition = Disposition[record.disposition]
        status.late = record.token == "late"  # noqa: S105 - no password
        status.part_id = record.part_id
        status.inspection_id = self._judged % (1 << 32)
        status.encoder = record.encoder or 0
        status.result_code = self._rule.labels.index(record.defect) + 1 if record.defect in self._rule.labels else 0
        status.score = record.scores.get(record.label, 0.0)
        status.latency_ms = record.latency_ms or 0.0

    def _count_late(self, late: bool) -> None:
        self._late_in_a_row = self._late_in_a_row + 1 if late else 0
        stop = self._late_in_a_row >= LATE_IN_A_ROW
        self._writer.status.stop_reason = StopReason.CONSECUTIVE_LATE if stop else StopReason.NONE

    # -- and it leaves --------------------------------------------------------------------------------------------------------

    def _close(self, closed: Closed) -> None:
        outcome = closed.outcome.name if closed.outcome is not None else "UNKNOWN"
        self._record(PartOutcome(line=self._name, t_utc_ns=self._clock.utc_ns(), part_id=closed.part_id, outcome=outcome))

    # -- the link -------------------------------------------------------------------------------------------------------------

    def on_state(self, state: LinkState, detail: str) -> None:
        """Take a change of the link's state."""
        self._link = (state, detail)
        self._update_state()

    def on_owner_lost(self, reason: str) -> None:
        """All parts in flight are void; nothing of the old epoch stays in the ring."""
        self._apply(self._tracker.void(reason))
        self._writer.ring.clear()
        for draft in self._drafts.values():
            self._record(replace(draft.record, token="unknown" if draft.sent else "void"))
        self._drafts.clear()

    def on_baseline(self, up: UpImage) -> None:
        """Take the first read after a (re)connect."""
        self._up = up
        self._apply(self._tracker.baseline(up.part_id, up.t_mono_ns))

    def status(self) -> Mapping[str, Scalar]:
        """Return the status section by role."""
        return self._writer.status.section()

    # -- commands -------------------------------------------------------------------------------------------------------------

    async def adjust(self, command: AdjustParameter) -> Answer:
        """Carry out a parameter adjustment through the writer and record what came of it."""
        answer = await self._writer.adjust(command, self._up)
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
        """Run until cancelled; any exception that is not a device's is a bug and ends the process in the safe state."""
        self._crash = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            group.create_task(link.run())
            group.create_task(self._tick_forever())
            group.create_task(_until(self._crash))

    async def stop(self, link: Link) -> None:
        """Stop in order: admit no more, let due parts end, tell the PLC, then the caller cancels :meth:`run`."""
        self._stopping = True
        for _ in range(200):
            if not self._tracker.open_parts and not self._drafts:
                break
            await asyncio.sleep(TICK_S)
        self._update_state()
        async with asyncio.timeout(1):
            await link.write_status_now()

    async def _tick_forever(self) -> None:
        while True:
            self._apply(self._tracker.tick(self._clock.mono_ns()))
            self._update_state()
            await asyncio.sleep(TICK_S)

    def _update_state(self) -> None:
        link, detail = self._link
        camera_up = bool(self._cameras_up) and all(self._cameras_up.values())
        journal = self._journal_trouble()
        reason = (
            OfflineReason.STOPPING
            if self._stopping
            else OfflineReason.NO_CAMERA
            if not camera_up
            else OfflineReason.JOURNAL
            if journal
            else OfflineReason.NONE
        )
        ready = link == "up" and reason is OfflineReason.NONE
        error = ErrorCode.JOURNAL if journal else ErrorCode.CAMERA if not camera_up else ErrorCode.NONE
        status = self._writer.status
        status.ready, status.online, status.offline_reason, status.error = ready, not self._stopping, reason, error
        state = LineState(
            line=self._name,
            t_utc_ns=0,
            link=link,
            ready=ready,
            offline_reason=reason.name,
            error="" if error is ErrorCode.NONE else error.name,
            detail=detail or journal,
            camera_up=camera_up,
            model_id=self._eye.model_id,
        )
        if state != self._state:
            self._state = state
            self._record(replace(state, t_utc_ns=self._clock.utc_ns()))

    def _note_process(self, up: UpImage) -> None:
        at, values, control = self._process
        age = up.t_mono_ns - at
        changed = values != up.values or control != up.control
        if (changed and age >= PROCESS_RECORD_NS) or age >= PROCESS_REFRESH_NS:
            self._process = (up.t_mono_ns, dict(up.values), up.control)
            self._record(
                ProcessValues(
                    line=self._name,
                    t_utc_ns=self._clock.utc_ns(),
                    values=dict(up.values),
                    permit=bool(up.control & Control.ADJUST_PERMIT),
                    mode=mode_of(up.control).name,
                )
            )


async def _until(future: asyncio.Future[None]) -> None:
    await future
