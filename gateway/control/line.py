"""The story of one part: trigger → frames → inspection → verdict → token → outcome → record.

The link brings what the PLC says, capture brings frames, the tracker decides what belongs together, the eye looks, the
judge decides, the writer tells the PLC, the recorder remembers. No evidence is never a PASS: every way out of this file that is
not a fault-free inspection in time gives NOT_INSPECTED.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gateway.control.ack import RingResults
from gateway.control.alarms import Alarms, conditions
from gateway.control.cameras import CameraWatch
from gateway.control.clock import Clock
from gateway.control.config import Recipe
from gateway.control.eye import Eye
from gateway.control.load import Load
from gateway.control.modes import Modes, why_not_in
from gateway.control.nominal import to_nominal
from gateway.control.pending import Pending, voided
from gateway.control.pictures import PictureWatch
from gateway.control.plc_commands import PlcCommands
from gateway.control.recipes import Recipes, Serving
from gateway.control.records import ProcessSampler, line_state, parameter_record, part_record
from gateway.control.selfcheck import SelfCheck
from gateway.control.settled import Settled, Twice
from gateway.control.trace import Trace
from gateway.control.walltime import WallTime
from gateway.control.writer import Writer
from gateway.core.ack_exchange import NO_TRIGGER
from gateway.core.commands import Acknowledge, AdjustParameter, Answer, ClearError, Command, RunTest, SetRecipe
from gateway.core.events import Alarm, AlarmChanged, CommandEnded, LineState, PartJudged, PartOutcome, Record, TokenFate
from gateway.core.frame import FrameStamp
from gateway.core.handshake import SLOTS, Control, OfflineReason, Outcome, StopReason, mode_of
from gateway.core.inspection import Inspection
from gateway.core.lifecycle import Closed, Doubt, Effect, Inspect, Judge, Reject
from gateway.core.part import Part
from gateway.core.tags import Scalar
from gateway.core.tracker import Tracker
from gateway.core.verdict import Disposition, JudgeRule, Verdict, judge, not_inspected
from gateway.plc.link import Link
from gateway.plc.listener import LinkState, TraceImage, UpImage

TICK_S = 0.01
STOP_PATIENCE_S = 2.0
LATE_IN_A_ROW = 8
STATUS_TICKS = 10
"""How often the load is shown: a write for each part would stand in the way of its token."""


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
        journal_alive: Callable[[], bool] = lambda: True,
        pictures: PictureWatch | None = None,
        outcome_settle_ns: int = 0,
        traced: bool = False,
        config_rejected: str = "",
        recipes: Recipes | None = None,
        offline: bool = False,
        remember_offline: Callable[[bool], None] = lambda offline: None,
        results: RingResults | None = None,
    ) -> None:
        """``record`` takes finished records; ``journal_trouble`` says why none can be kept now, or ''.

        ``on_admitted`` is told how many parts came, for cameras that wait for a software trigger. ``journal_alive`` says
        whether the journal's writer still runs; ``pictures`` can have a camera opened anew;
        ``outcome_settle_ns`` is how long an outcome must stand before it is believed (the PLC's scan); ``traced`` says that the
        map has a trace block, whose texts go into the parts' records. ``config_rejected``
        is what is wrong with gateway.yaml when the last good one runs in its stead; no part passes until that is acknowledged.
        ``recipes`` are the line's; without them ``rule`` and the eye's model are in force from the first part to the last.
        ``results`` says how results are shown beside the token ring.
        """
        self._name = name
        self._cameras = CameraWatch(cameras)
        self._tracker = tracker
        self._eye = eye
        self._rule = rule
        self._writer = writer
        self._recorder = record
        self._journal_trouble = journal_trouble
        self._on_admitted = on_admitted
        self._clock = clock
        self._wall = WallTime()
        self._alarms = Alarms(name, self._on_alarm)
        writer.on_not_applied = lambda words: self._alarms.happened(Alarm.NOT_APPLIED, words)
        self._trace = Trace(self._record, settle_ns=outcome_settle_ns)
        self._traced = traced
        self._results = results or RingResults(writer.status)
        self._modes = Modes(monitor_only=writer.monitor_only)
        self._pending = Pending(writer.ring, self._record_part)
        self._load = Load(self.crash)
        self._pictures = pictures or PictureWatch(lambda camera, why: None, mono_ns=clock.mono_ns)
        works = {
            "the engine does not answer": lambda now_ns: not self._load.hangs(now_ns),
            "the journal's writer has ended": lambda now_ns: journal_alive(),
        }
        self._check = SelfCheck(works)
        self._recipes = recipes or Recipes(Serving(model_id=eye.model_id, rule=rule), mono_ns=clock.mono_ns)
        self._recipes.is_drained, self._recipes.on_serving = self._is_drained, self._serve
        if not writer.monitor_only:
            self._recipes.nominal = self._to_nominal
        self._commands = PlcCommands(
            self._recipes,
            self._on_command,
            self.crash,
            offline=offline,
            remember_offline=remember_offline,
        )
        self._ticks = 0
        self._up: UpImage | None = None
        self._epoch = 0
        self._link: tuple[LinkState, str] = ("down", "not connected yet")
        self._config_rejected = self._unacknowledged = config_rejected
        self._state: LineState | None = None
        self._process = ProcessSampler()
        self._outcomes = Settled(outcome_settle_ns)
        self._triggers = Twice()
        self._unsure: list[Inspect] = []
        """Parts whose frames are there while their trigger has been read only once."""
        self._late_in_a_row = 0
        self._stopping_since_ns: int | None = None
        self._crash: asyncio.Future[None] | None = None

    # -- a part arrives ---------------------------------------------------------------------------------------------------

    def on_baseline(self, up: UpImage) -> None:
        """Take the first read after a (re)connect: what passed up to it gets no token."""
        ring_id, encoder = up.triggers[up.part_id % SLOTS]
        known = encoder if up.part_id and ring_id == up.part_id else None  # 0 is no part, and an empty slot no place
        self._apply(self._tracker.baseline(up.part_id, up.t_mono_ns, encoder=known))
        self._triggers.take(up.triggers)
        self._commands.on_baseline(up)
        self._lose(self._results.baseline(up))
        self._writer.status.stop_permitted = bool(up.control & Control.STOP_REQUEST_PERMIT)
        self._up, self._epoch = up, self._writer.epoch

    def on_up(self, up: UpImage) -> None:
        """Take what the PLC says now: new triggers, outcomes, process values."""
        before, admitted, missed = self._up, self._tracker.admitted, self._tracker.missed_triggers
        since_ns = before.t_asked_mono_ns if before is not None else None
        effects = self._tracker.poll(up.part_id, up.triggers, up.t_mono_ns, since_ns=since_ns)
        self._up = up
        self._commands.on_up(up)
        self._writer.status.stop_permitted = bool(up.control & Control.STOP_REQUEST_PERMIT)
        lost = self._results.read(before, up) if before is not None else ()
        self._triggers.take(up.triggers)
        unsure, self._unsure = self._unsure, []
        for inspect in unsure:
            if up.t_mono_ns <= inspect.part.due_mono_ns:
                self._start_inspection(inspect)
        if before is not None and up.control & ~before.control & Control.CLEAR_ERROR:
            self._clear_error("ClearError")
        if gap := self._tracker.missed_triggers - missed:
            words = f"{gap} of the parts up to {up.part_id}: their triggers were overwritten before they were read"
            self._alarms.happened(Alarm.MISSED_TRIGGER, words, gap)
        if self._traced and before is not None:
            self._trace.admitted(before.part_id, up.part_id, up.t_mono_ns)
        self._apply(effects)
        self._lose(lost)
        if came := self._tracker.admitted - admitted:
            self._on_admitted(came)
        self._apply(self._tracker.outcomes(self._outcomes.take(up.outcomes, up.t_asked_mono_ns, up.t_mono_ns)))
        if (values := self._process.take(self._name, up, self._clock.utc_ns())) is not None:
            self._record(values)

    def _lose(self, part_ids: Sequence[int]) -> None:
        """Reject parts whose Trigger was missed (``handshake: ack``)."""
        for part_id in part_ids:
            self._alarms.happened(Alarm.MISSED_TRIGGER, f"part {part_id}: {NO_TRIGGER}")
            self._apply(self._tracker.fault(part_id, NO_TRIGGER))

    def trace_wanted(self) -> bool:
        """Return whether a part lacks the texts that the PLC's trace block may hold."""
        return self._trace.wanted(self._clock.mono_ns())

    def on_trace(self, image: TraceImage) -> None:
        """Take what the PLC's trace block says."""
        self._trace.take(image)

    def on_frame(self, stamp: FrameStamp) -> None:
        """Take a frame that capture has put into the ring; the tracker finds the part it shows."""
        now_ns = self._clock.mono_ns()
        self._cameras.hear(stamp.camera, True, now_ns)
        self._pictures.came(stamp)
        self._apply(self._tracker.frame(stamp, now_ns))

    def on_camera(self, camera: str, up: bool) -> None:
        """Take a capture process's word on its camera: on every change, and once a second."""
        self._cameras.hear(camera, up, self._clock.mono_ns())
        if not up:
            self._pictures.gone(camera)

    # -- it is seen and judged ----------------------------------------------------------------------------------------------

    def _apply(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Inspect():
                    self._results.exposed(effect.part.part_id)
                    self._start_inspection(effect)
                case Judge():
                    self._late_in_a_row = 0
                    self._writer.status.overrun = self._writer.status.overrun and self._load.crowded
                    self._conclude(effect.part, effect.stamps, judge(effect.inspection, self._rule), effect.inspection)
                case Reject():
                    self._late_in_a_row += effect.late
                    self._conclude(effect.part, effect.stamps, effect.verdict, None, send=effect.send)
                case Doubt():
                    self._pending.doubt(effect.part_id, effect.reason)
                case Closed():
                    self._close(effect)

    def _start_inspection(self, effect: Inspect) -> None:
        part = effect.part
        untriggered = self._results.trouble(part.part_id)
        trouble = self._why_no_pass(part.trigger.t_mono_ns) or untriggered or self._doubt(effect.stamps)
        encoder = self._triggers.get(part.part_id)
        if not trouble and (untriggered is None or (encoder is None and self._triggers.may_come(part.part_id))):
            self._unsure.append(effect)
            return
        if not trouble and encoder != part.trigger.encoder:
            trouble = "its trigger was not read alike twice"
        if not trouble and (trouble := self._load.refuse()):
            self._writer.status.overrun = True
            self._alarms.happened(Alarm.OVERLOAD, trouble)
        if trouble:
            self._apply(self._tracker.fault(part.part_id, trouble))
            return
        self._load.start(self._inspect(effect), part.due_mono_ns)

    def _doubt(self, stamps: Sequence[FrameStamp]) -> str:
        for stamp in stamps:
            if doubt := self._pictures.doubt(stamp):
                self._pictures.saw(stamp, doubt)
                return doubt
        return ""

    async def _inspect(self, effect: Inspect) -> None:
        inspection = await self._eye.inspect(effect.part, effect.stamps)
        self._apply(self._tracker.inspected(effect.part, inspection, self._clock.mono_ns()))

    def _why_no_pass(self, t_trigger_ns: int) -> str:
        """Return why a part triggered then may not pass at the moment, or ''."""
        if self._stopping_since_ns is not None and t_trigger_ns > self._stopping_since_ns:
            return "the gateway is stopping"
        control = self._commands.effective(self._up.control if self._up is not None else Control.SET_OFFLINE)
        if control & Control.SET_OFFLINE:
            return "the PLC has set the gateway offline"
        if why_not := self._commands.why_not(t_trigger_ns) or self._recipes.force.why_not(t_trigger_ns):
            return why_not
        if self._unacknowledged:
            return "gateway.yaml was rejected, and nobody has acknowledged that the last good one runs"
        return why_not_in(mode_of(control)) or self._journal_trouble()

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
        if verdict.disposition is Disposition.PASS and (trouble := self._why_no_pass(part.trigger.t_mono_ns)):
            verdict = not_inspected(part.part_id, trouble)
        elif verdict.disposition is Disposition.FAIL and (why_not := self._recipes.force.why_not(part.trigger.t_mono_ns)):
            verdict = not_inspected(part.part_id, why_not)  # a defect of which kind of part?
        stop = self._late_in_a_row >= LATE_IN_A_ROW
        self._writer.status.stop_reason = StopReason.CONSECUTIVE_LATE if stop else StopReason.NONE
        if stop:
            self._alarms.happened(Alarm.CONSECUTIVE_LATE, f"{self._late_in_a_row} inspections in a row came too late")
        now_utc_ns = self._clock.utc_ns()
        record = part_record(self._name, self._epoch, part, stamps, verdict, inspection, t_utc_ns=now_utc_ns)
        if not self._triggers.bears_out(part.part_id, part.trigger.encoder):
            record = replace(record, encoder=None)
        if (recipe := self._recipes.force.of(part.trigger.t_mono_ns)) is not None and recipe.number:
            record = replace(record, recipe=recipe.name, recipe_number=recipe.number)
        record = self._modes.judged(record, self._up)
        if self._writer.monitor_only:
            self._record_part(replace(record, token=TokenFate.WITHHELD))
            return
        if send and (full := self._results.no_room(part.part_id)):
            self._alarms.happened(Alarm.OVERLOAD, f"part {part.part_id}: {full}")
            self._record_part(voided(record, full))
            return
        # A part is told about under the epoch that it was admitted under, or not at all.
        if send and self._epoch == self._writer.epoch and self._writer.give(verdict):
            self._pending.add(record, part.due_mono_ns, self._clock.mono_ns())
        else:
            self._record_part(voided(record, "no token could be given: the line is not owned, or a later part has its slot"))

    def tokens(self) -> Sequence[tuple[int, int, int]]:
        """Return the ring to write now, without any PASS that may not be written any more."""
        now_ns = self._clock.mono_ns()
        failed = self._check.failed(now_ns)
        return self._pending.compose(now_ns, lambda record: failed or self._why_no_pass(record.t_trigger_mono_ns))

    def on_tokens_acked(self, part_ids: frozenset[int], t_mono_ns: int) -> None:
        """Complete the records of the parts whose tokens the PLC has, and show the last of them."""
        for record in self._pending.acked(part_ids, t_mono_ns):
            self._results.show(record, self._recipes.labels(record.model_id))

    def alive(self) -> bool:
        """Return whether the way from picture to token works, as far as it lies behind the link."""
        return not self._check.failed(self._clock.mono_ns())

    def status(self) -> Mapping[str, Scalar]:
        """Return the status section by role."""
        return self._results.section()

    def on_status_written(self) -> None:
        """Take note that the PLC has what :meth:`status` returned last."""
        self._results.written()

    # -- and it leaves --------------------------------------------------------------------------------------------------------

    def _close(self, closed: Closed) -> None:
        outcome = closed.outcome.name if closed.outcome is not None else "UNKNOWN"
        now_utc_ns = self._clock.utc_ns()
        self._trace.leaves(closed.part_id)
        left = PartOutcome(line=self._name, t_utc_ns=now_utc_ns, part_id=closed.part_id, epoch=self._epoch, outcome=outcome)
        self._record(self._modes.leaves(left, self._up))
        if closed.outcome is Outcome.REJECT_NOT_CONFIRMED:
            self._alarms.happened(Alarm.REJECT_NOT_CONFIRMED, f"part {closed.part_id} may not have left the line")

    def on_owner_lost(self, reason: str) -> None:
        """Let go of all parts in flight: their epoch is void, and nothing of it stays in the ring."""
        self._alarms.happened(Alarm.OWNER_LOST, reason)
        self._commands.on_owner_lost()
        self._abandon(reason)

    def _end_stop_request(self) -> None:
        """Count late inspections anew: somebody has acknowledged them, or they belong to an epoch that is over."""
        self._late_in_a_row = 0
        self._writer.status.stop_reason = StopReason.NONE

    def _abandon(self, reason: str) -> None:
        self._apply(self._tracker.void(reason))
        self._unsure.clear()
        self._triggers.clear()
        self._outcomes.clear()
        self._pending.abandon(reason)
        self._results.lost()
        self._trace.abandon()
        self._end_stop_request()

    def on_state(self, state: LinkState, detail: str) -> None:
        """Take a change of the link's state."""
        self._link = (state, detail)
        self._update_state()

    # -- commands -------------------------------------------------------------------------------------------------------------

    async def adjust(self, command: AdjustParameter) -> Answer:
        """Carry out a parameter adjustment through the writer and record what came of it, once for each command."""
        repeated = self._writer.knows(command.id)
        answer = await self._writer.adjust(command, self._up)
        if not repeated:
            self._record(parameter_record(command, answer, t_utc_ns=self._clock.utc_ns()))
        return answer

    async def set_recipe(self, command: SetRecipe) -> Answer:
        """Set a recipe for the MES or an operator, if it is theirs to set."""
        why = await self._commands.set_recipe(command.recipe, command.by)
        return Answer(id=command.id, result=f"refused: {why}" if why else "confirmed")

    async def command(self, command: Command) -> Answer:
        """Carry out a command of services by the rules that hold for the PLC's own; say how it ended."""
        match command:
            case AdjustParameter():
                return await self.adjust(command)
            case SetRecipe():
                return await self.set_recipe(command)
            case RunTest():
                done, detail = await self._commands.test_run(command.by)
                return Answer(id=command.id, result=f"{'confirmed' if done else 'refused'}: {detail}")
            case ClearError():
                self._clear_error(command.by)
                self._on_command(_ended("CLEAR_ERROR", command.by))
                return Answer(id=command.id, result="confirmed")
            case Acknowledge():
                why = self._alarms.acknowledge_one(command.code, command.by)
                self._on_command(_ended("ACKNOWLEDGE", command.by, why, about=command.code))
                return Answer(id=command.id, result=f"refused: {why}" if why else "confirmed")

    def _clear_error(self, by: str) -> None:
        self._alarms.acknowledge(by)
        self._writer.status.overrun = False
        self._unacknowledged = ""
        self._end_stop_request()

    def _is_drained(self, t_mono_ns: int) -> bool:
        return not (self._tracker.open_before(t_mono_ns) or len(self._load))

    def _serve(self, serving: Serving) -> None:
        assert serving.engine is not None  # noqa: S101 - what is loaded has one
        self._rule = serving.rule
        self._eye.serve(serving.engine, serving.model_id, serving.rule.passes)
        self._writer.status.model_version = serving.version

    async def _to_nominal(self, recipe: Recipe) -> None:
        def holds(name: str) -> float | None:
            return self._writer.holds(name, self._up)

        left = await to_nominal(self._name, recipe, params=self._writer.params, holds=holds, adjust=self.adjust)
        if left:
            self._alarms.happened(Alarm.NOT_NOMINAL, "; ".join(left), len(left))

    def _on_command(self, ended: CommandEnded) -> None:
        self._record(replace(ended, line=self._name, t_utc_ns=self._clock.utc_ns()))

    # -- what is remembered ---------------------------------------------------------------------------------------------------

    def _record(self, record: Record) -> None:
        # Before each record, not at each tick alone: none that was made after a step may go out unmarked.
        self._wall.look(self._clock.mono_ns(), self._clock.utc_ns())
        self._recorder(replace(record, synchronised=False) if self._wall.step else record)

    def _record_part(self, record: PartJudged) -> None:
        self._results.over(record.part_id)
        self._modes.settled(record)
        self._trace.judged(record, self._clock.mono_ns())

    def _on_alarm(self, changed: AlarmChanged) -> None:
        self._writer.status.alarm = bool(changed.all_active)
        self._record(replace(changed, t_utc_ns=self._clock.utc_ns()))

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
            await self._commands.cancel()
            await self._load.cancel()
            self._abandon("the gateway has stopped")

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
        self._trace.expire(now_ns)
        self._check.look(now_ns)
        if self._ticks % STATUS_TICKS == 0:
            self._writer.status.busy, self._writer.status.buffers = len(self._load) > 0, self._load.free
        self._ticks += 1
        self._update_state()

    def _update_state(self) -> None:
        link, detail = self._link
        control = self._up.control if self._up is not None else 0
        cameras_down = self._cameras.down(self._clock.mono_ns())
        journal_trouble = self._journal_trouble()
        self._wall.look(self._clock.mono_ns(), self._clock.utc_ns())
        self._alarms.stand(
            conditions(
                link,
                detail,
                control=control,
                cameras_down=cameras_down,
                journal_trouble=journal_trouble,
                self_check=self._check.trouble,
                clock_step=self._wall.step,
                config_rejected=self._config_rejected,
                recipe=self._recipes.force.trouble,
            )
        )
        state, reason, error = line_state(
            self._name,
            link,
            detail,
            stopping=self._stopping_since_ns is not None,
            control=self._commands.effective(control),
            cameras_down=cameras_down,
            journal_trouble=journal_trouble,
            model_id=self._eye.model_id,
            self_check=self._check.trouble,
            crowded=self._load.crowded,
            config_rejected=self._unacknowledged,
            force=self._recipes.force,
        )
        status = self._writer.status
        status.command, status.test_ready = self._commands.shown, self._commands.test_ready
        status.recipe = self._recipes.force.number
        status.ready, status.offline_reason, status.error = state.ready, reason, error
        status.online = reason not in (OfflineReason.STOPPING, OfflineReason.PLC_REQUEST)
        disagreements = self._modes.disagreements(self._clock.mono_ns())
        state = replace(state, monitor_only=self._writer.monitor_only, disagreements=disagreements)
        if state != self._state:
            self._state = state
            self._record(replace(state, t_utc_ns=self._clock.utc_ns()))


def _ended(command: str, by: str, why: str = "", *, about: str = "") -> CommandEnded:
    return CommandEnded(line="", t_utc_ns=0, command=command, by=by, done=not why, detail=why or about)


async def _until(future: asyncio.Future[None]) -> None:
    await future
