"""What is done about the records of one line: trend and imaging are watched, and a rule may ask control for one step.

Everything that is decided is written to the operations database in the transaction that moves the cursor, and nothing is sent
before that. So a kill at any moment leaves a request unsent, or known and to be cleared up; never forgotten, never done twice.
The decisions themselves stand in :mod:`gateway.actions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from gateway.actions.adjust import AdjustRule, Block, Parameter, Situation
from gateway.actions.course import Course, Ending, Request
from gateway.actions.setpoint import SETTLE_NS, SetPoint
from gateway.core.commands import AdjustParameter, Answer
from gateway.core.events import LineState, ParameterWritten, PartJudged, ProcessValues, Record
from gateway.monitoring.imaging import Imaging, ImagingCheck, ImagingHealth
from gateway.monitoring.trend import TrendDetector, upper_limit
from gateway.record.ops import IntentState, OpsDatabase
from gateway.services.config import LineServices
from gateway.services.evidence import sentence

_log = structlog.get_logger("act")


class Control(Protocol):
    """What is needed of control's socket."""

    @property
    def alive(self) -> bool:
        """Whether control answers."""

    async def ask(self, command: AdjustParameter, timeout_s: float, on_write: Callable[[], None]) -> Answer | None:
        """Send the command; None when no answer came in time."""


@dataclass(slots=True, kw_only=True)
class _Watch:
    """One rule with everything that follows it."""

    rule: AdjustRule
    detector: TrendDetector
    course: Course
    setpoint: SetPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A decision that is to be written down: a request, or with ``blocked`` why there is none."""

    id: str
    payload: dict[str, Any]
    evidence: str
    blocked: str = ""


class LineActions:
    """The rules of one line. Records go in by :meth:`take`; the caller's commit calls :meth:`save`, then :meth:`saved`."""

    def __init__(
        self, line: LineServices, ops: OpsDatabase, control: Control, commit: Callable[[], bool], clock: Callable[[], int]
    ) -> None:
        """``commit`` commits what is decided with the cursor and tells whether it did; ``clock`` returns UTC ns."""
        self._name = line.name
        self._ops = ops
        self._control = control
        self._commit = commit
        self._clock = clock
        self._imaging = ImagingCheck(line.imaging_baseline, line.model_id, line.recipe_baselines)
        self._watches: dict[str, _Watch] = {}
        for rule in line.adjust:
            p0 = upper_limit(rule.baseline.defects, rule.baseline.parts)
            (param,) = [p for p in line.params if p.name == rule.tag]
            parameter = Parameter(name=param.name, unit=param.unit, range=param.range)
            self._watches[rule.tag] = _Watch(
                rule=rule,
                detector=TrendDetector(p0=p0, arl0=rule.arl0),
                course=Course(rule, parameter, p0),
                setpoint=SetPoint(parameter),
            )
        self._line: LineState | None = None
        self._process: ProcessValues | None = None
        self._found: list[_Found] = []
        self._moves: list[tuple[str, IntentState, str]] = []
        self._known: set[str] = set()
        self._to_send: asyncio.Queue[_Watch] = asyncio.Queue()

    def restore(self) -> None:
        """Go on where the last process stopped: clear up what it left open."""
        now = self._clock()
        for tag, watch in self._watches.items():
            state = self._ops.state(self._key(tag))
            if state is None:
                continue
            same_rule = state["rule"] == watch.rule.model_dump()
            if same_rule:
                watch.detector.restore(state["detector"])
            if same_rule or state["course"]["request"]:
                watch.course.restore(state["course"])
        open_ids = {intent.id: intent.state for intent in self._ops.open_intents(self._name) if intent.kind == "adjust"}
        for watch in self._watches.values():
            request = watch.course.request
            state_of = open_ids.pop(request.id, None) if request is not None else None
            if request is None:
                continue
            watch.setpoint.request_opened()
            if state_of != "sent":
                self._ended(watch, watch.course.drop("services restarted before it was sent"))
            else:
                watch.course.resume(now)
        for id, state_of in open_ids.items():
            left: tuple[IntentState, str] = ("expired", "not sent") if state_of == "intent" else ("unknown", "unknown")
            self._moves.append((id, left[0], f"{left[1]}: services restarted without the rule that asked for it"))

    # -- records in ---------------------------------------------------------------------------------------------------------

    @property
    def health(self) -> ImagingHealth:
        """Return the imaging health now."""
        return self._imaging.health(self._clock())

    def take(self, record: Record, journal: str) -> None:
        """Take one record of the line, in order; ``journal`` is the identity of the journal that numbered it."""
        match record:
            case PartJudged():
                self._part(record, journal)
            case ProcessValues():
                self._process = record
                for tag, watch in self._watches.items():
                    value = record.values.get(tag)
                    shown = None if value is None else float(value)
                    if shown is not None:
                        watch.setpoint.see(shown, record.t_utc_ns)
                    self._ended(watch, watch.course.shown(shown, record.t_utc_ns))
            case LineState():
                self._line = record
            case ParameterWritten():
                answer = Answer(id=record.command_id, result=record.result, old=record.old, new=record.new)
                for watch in self._watches.values():
                    self._ended(watch, watch.course.answered(answer, record.t_utc_ns))
            case _:
                pass

    def _part(self, record: PartJudged, journal: str) -> None:
        self._imaging.part(record)
        # A step of one rule shows in the whole stream, so its parts in flight are no evidence for any rule.
        in_flight = [watch.course.in_flight(record.t_utc_ns) for watch in self._watches.values()]
        if any(in_flight) or record.disposition not in ("PASS", "FAIL"):
            return
        defect = (record.defect or "defective") if record.disposition == "FAIL" else None
        for watch in self._watches.values():
            alarm = watch.detector.update(part_id=record.part_id, t_utc_ns=record.t_utc_ns, defect=defect)
            block = self._answer_alarm(watch, record, journal) if alarm else None
            if alarm and block is None:
                for each in self._watches.values():
                    each.detector.arm()
                return
            event = watch.course.counted(alarm=alarm, defect=defect is not None, block=block)
            if event == "rearm":
                watch.detector.arm(keep_history=True)
            elif event == "recovered":
                _log.info("the adjustment has helped", line=self._name, tag=watch.rule.tag)

    def _answer_alarm(self, watch: _Watch, record: PartJudged, journal: str) -> Block | None:
        """Decide and keep the decision for the commit; return the block, None when a step was decided."""
        decision, noteworthy = watch.course.answer_alarm(self._situation(watch, record))
        if not noteworthy and isinstance(decision, Block):
            return decision
        tag = watch.rule.tag
        evidence = sentence(watch.detector.onset(), watch.rule.baseline)
        id = f"{self._name}-{tag}-{journal}-{record.seq}"
        payload: dict[str, Any] = {"tag": tag, "step": watch.rule.step}
        if isinstance(decision, Block):
            _log.warning("trend, but no adjustment", line=self._name, tag=tag, why=decision.why, reason=decision.words)
            id, payload["why"] = f"{id}-{decision.why}", decision.why
            self._found.append(_Found(id=id, payload=payload, evidence=evidence, blocked=f"blocked: {decision.words}"))
            return decision
        watch.course.ask(id, decision)
        watch.setpoint.request_opened()
        payload.update(value=decision.value, expected_old=decision.expected_old, attempt=watch.course.attempts + 1)
        self._found.append(_Found(id=id, payload=payload, evidence=evidence))
        return None

    def _situation(self, watch: _Watch, record: PartJudged) -> Situation:
        health = self.health
        others = [tag for tag, each in self._watches.items() if each is not watch and each.course.trying]
        return Situation(
            now_ns=self._clock(),
            part_ns=record.t_utc_ns,
            imaging="" if health.status is Imaging.NORMAL else health.words,
            line=self._line_trouble(),
            value=watch.setpoint.value,
            value_ns=watch.setpoint.t_utc_ns,
            mode=self._process.mode if self._process else "",
            permit=self._process.permit if self._process else False,
            foreign=watch.setpoint.foreign,
            other=", ".join(others),
            attempts=watch.course.attempts,
            pause_until_ns=watch.course.pause_until_ns,
        )

    def _line_trouble(self) -> str:
        state = self._line
        if not self._control.alive:
            return "the line's control process does not answer"
        if state is None:
            return "the line's state is not known"
        if state.link != "up":
            return f"the link to the PLC is {state.link}: {state.detail}".rstrip(": ")
        return "" if state.ready else f"the line is not ready: {state.detail or state.offline_reason}"

    # -- decisions out ------------------------------------------------------------------------------------------------------

    @property
    def urgent(self) -> bool:
        """Return whether something is about to be acted upon, so that the commit must be on the disk."""
        return bool(self._found or self._moves)

    def save(self) -> None:
        """Write everything decided since the last commit, and where each rule stands; inside the caller's transaction."""
        for found in self._found:
            new = self._ops.add_intent(
                id=found.id, line=self._name, kind="adjust", payload=found.payload, evidence=found.evidence
            )
            if not new:
                self._known.add(found.id)
            elif found.blocked:
                self._ops.set_intent(found.id, "blocked", found.blocked)
        for id, state, result in self._moves:
            self._ops.set_intent(id, state, result)
        for tag, watch in self._watches.items():
            state_of = {
                "rule": watch.rule.model_dump(),
                "detector": watch.detector.state(),
                "course": watch.course.state(),
            }
            self._ops.set_state(self._key(tag), state_of)

    def saved(self) -> None:
        """Take note that the transaction is committed: what was decided may now be carried out."""
        for watch in self._newly_asked():
            if watch.course.request is not None and watch.course.request.id in self._known:
                self._give_up(watch, "it was asked for before")
            else:
                self._to_send.put_nowait(watch)
        self._found.clear()
        self._moves.clear()
        self._known.clear()

    def not_saved(self) -> None:
        """Take note that the transaction failed: a step that could not be written down is given up."""
        for watch in self._newly_asked():
            self._give_up(watch, "it could not be written down")
        self._found.clear()
        self._known.clear()

    def _newly_asked(self) -> list[_Watch]:
        ids = {found.id for found in self._found}
        return [w for w in self._watches.values() if w.course.request is not None and w.course.request.id in ids]

    def _give_up(self, watch: _Watch, why: str) -> None:
        """Forget a request that stands in no database and was not sent."""
        if (ending := watch.course.drop(why)) is not None:
            watch.setpoint.request_ended(value=ending.holds)
            _log.error("an adjustment was given up", line=self._name, tag=watch.rule.tag, reason=why)

    def tick(self) -> None:
        """Let what waits for too long end; the caller commits if :attr:`urgent`."""
        for watch in self._watches.values():
            self._ended(watch, watch.course.tick(self._clock()))

    async def run(self) -> None:
        """Carry out what is decided, one request after the other; never ends."""
        while True:
            watch = await self._to_send.get()
            request = watch.course.request
            if request is not None and self._mark_sent(watch, request):
                await self._ask(watch, request)

    def _mark_sent(self, watch: _Watch, request: Request) -> bool:
        """Write down that the request is about to be sent; return False, and give it up, when that cannot be done."""
        watch.course.sent(self._clock())
        mark: tuple[str, IntentState, str] = (request.id, "sent", "")
        self._moves.append(mark)
        if self._commit():
            return True
        self._moves.remove(mark)
        request.sent_ns = 0
        self._ended(watch, watch.course.drop("it could not be written down"))
        return False

    async def _ask(self, watch: _Watch, request: Request) -> None:
        (intent,) = [intent for intent in self._ops.open_intents(self._name) if intent.id == request.id]
        command = AdjustParameter(
            id=request.id,
            line=self._name,
            tag=watch.rule.tag,
            value=request.target,
            expected_old=request.old,
            evidence=intent.evidence,
        )
        answer = await self._control.ask(command, watch.rule.timeout_s, watch.course.written)
        if watch.course.request is not request:
            return  # control's record of it came first
        now = self._clock()
        self._ended(watch, watch.course.silent(now) if answer is None else watch.course.answered(answer, now))
        self._commit()

    def _ended(self, watch: _Watch, ending: Ending | None) -> None:
        if ending is None:
            return
        self._moves.append((ending.id, ending.state, ending.result))
        until = None if ending.state == "unknown" else self._clock() + SETTLE_NS
        watch.setpoint.request_ended(value=ending.holds, also=ending.also, until_ns=until)
        _log.info("adjustment ended", line=self._name, tag=watch.rule.tag, id=ending.id, result=ending.result)

    def _key(self, tag: str) -> str:
        return f"adjust.{self._name}.{tag}"
