"""The desk of one line: what OPC UA clients ask for is written down, put to control, and its ending written down.

Each order is checked against what is known here first: an order that cannot succeed never leaves, and its client is told at
once. Control decides all the same, by the rules that hold for the PLC and for the gateway's own adjustments. An order is on the
disk before it is sent and is sent once; one that a kill cuts off is unknown. It must not know a node or a picture.
"""

from __future__ import annotations

import math
import sqlite3
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

import structlog

from gateway.core.commands import (
    Acknowledge,
    AdjustParameter,
    Answer,
    ClearError,
    Command,
    RunTest,
    SetRecipe,
)
from gateway.opcua.counters import Counters
from gateway.opcua.desk import Done, LastCommand, Order, What
from gateway.opcua.flat import Param
from gateway.record.ops import OpsDatabase
from gateway.services.audit import Audit

ADJUST_S = 10.0
"""Longer than control takes in the worst case: a value that does not stay is asked back twice."""
ANSWER_S = 5.0
LOAD_S = 60.0
"""A recipe is drained, loaded and tested; so long may that take."""
TIMEOUTS = {What.ADJUST: ADJUST_S, What.RECIPE: LOAD_S, What.TEST_RUN: LOAD_S}
STEP_SLACK = 1e-4
"""Share of a parameter's range by which a move may exceed its step: the PLC holds a 32-bit Real."""
GONE = "the line's control process does not answer; nothing was sent"
BUSY = "the line's control process has too much to do just now; nothing was sent"

_log = structlog.get_logger("desk")


class Control(Protocol):
    """What is needed of control's socket."""

    @property
    def alive(self) -> bool:
        """Whether control answers."""

    async def ask_in_turn(self, command: Command, timeout_s: float, on_write: Callable[[], None]) -> Answer | None:
        """Send the command when it is its turn; None when no answer came in time. Without ``on_write`` nothing was sent."""


class LineDesk:
    """Takes the orders of one station."""

    def __init__(
        self,
        station: str,
        line: str,
        *,
        params: Sequence[Param],
        recipes: Mapping[int, str],
        ops: OpsDatabase,
        control: Control,
        holds: Callable[[str], tuple[float, int] | None],
        counters: Counters,
        keep_reset: Callable[[Counters, int], None],
        on_reset: Callable[[Counters, int], Awaitable[None]],
        acknowledge: Callable[[Order], Awaitable[str]],
        clock: Callable[[], int] = time.time_ns,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the line, and its recipes' names by number.

        ``holds`` returns what the PLC holds of a parameter and since when (UTC ns), None when not known.
        ``keep_reset`` writes into the database, inside its transaction, what ``on_reset`` is then told: from which counts on,
        and from which time (UTC ns), the counters are shown. ``acknowledge`` acknowledges an alarm's condition and returns ''
        or why it cannot be. ``clock`` returns UTC ns.
        """
        self._station, self._line = station, line
        self._params = {p.name: p for p in params}
        self._recipes = recipes
        self._ops = ops
        self._control = control
        self._holds = holds
        self._counters = counters
        self._keep_reset, self._on_reset = keep_reset, on_reset
        self._acknowledge = acknowledge
        self._clock, self._mono_s = clock, mono_s
        self.audit = Audit(station, ops, mono_s)
        self._confirmed: dict[str, tuple[float, int]] = {}
        """What control read back of a parameter and when: its records come a little later."""
        self._moves: dict[str, deque[float]] = {p.name: deque() for p in params}
        self._moving: dict[str, int] = {p.name: 0 for p in params}
        """Orders under way: each may become a move."""

    async def ask(self, order: Order) -> Done:
        """Carry the order out; see :class:`gateway.opcua.desk.Desk`."""
        refused = self._why_not(order)
        if refused is not None and not order.number:
            self.audit.refuse(order.user, order.what, order.name, f"{order.value:g} {order.comment}".rstrip(), refused.text)
            return refused
        try:
            n = self.audit.begin(order, refused)
        except sqlite3.OperationalError as error:
            return refused or Done(ok=False, text=f"it could not be written down, so it was not done: {error}; free the disk")
        if refused is None and order.what is What.COUNTER_RESET:
            done = await self._reset(n)
        else:
            seen = refused is None and order.what is What.ACKNOWLEDGE and not await self._acknowledge(order)
            done = refused or await self._send(order)
            if seen and done.why == "refused":
                done = Done(ok=True, text=f"acknowledged; {done.text}")  # it stands until its cause is over
            if refused is None:
                self.audit.end(n, done)
        say = _log.info if done.ok else _log.warning
        say("order", station=order.station, user=ascii(order.user), what=order.what.value, name=ascii(order.name),
            value=order.value, ok=done.ok, text=done.text)  # fmt: skip
        return done

    # -- what is not even sent ----------------------------------------------------------------------------------------------

    def _why_not(self, order: Order) -> Done | None:
        """Return why the order cannot succeed, None when control is to decide."""
        if order.what is What.COUNTER_RESET:
            return None
        if order.what is What.RECIPE and order.value not in self._recipes:
            # Control would leave the recipe in force before it found that there is no such one.
            known = ", ".join(f"{number} {name}" for number, name in self._recipes.items()) or "none"
            return Done(ok=False, text=f"there is no recipe {order.value:g}; gateway.yaml has: {known}", why="range")
        if order.what is What.ACKNOWLEDGE and not order.name:
            return Done(ok=False, text="which alarm? Status.Alarms has the codes")
        if order.what is What.ADJUST and (refused := self._why_no_move(order.name, order.value)) is not None:
            return refused
        return None if self._control.alive else Done(ok=False, text=GONE, why="unsent")

    def _why_no_move(self, name: str, value: float) -> Done | None:
        param = self._params.get(name)
        if param is None or param.range is None or param.step is None or param.rate_per_min is None:
            return Done(ok=False, text=f"{name} may not be moved: the tag map gives it no range, step and rate_per_min")
        low, high = param.range
        if not (math.isfinite(value) and low <= value <= high):
            return Done(ok=False, text=f"{value:g} is outside {low:g} … {high:g} {param.unit}".rstrip(), why="range")
        old = self._value(name)
        if old is None:
            return Done(ok=False, text=f"it is not known what the PLC holds of {name} now", why="unsent")
        if abs(value - old) > param.step + STEP_SLACK * (high - low):
            text = f"from {old:g} to {value:g} is more than a step of {param.step:g} {param.unit}".rstrip()
            return Done(ok=False, text=text, why="range")
        # Less than one a minute is one in a longer time.
        rate, moves = param.rate_per_min, self._moves[name]
        most, span_s = (int(rate), 60.0) if rate >= 1 else (1, 60.0 / rate)
        while moves and moves[0] <= self._mono_s() - span_s:
            moves.popleft()
        if (count := len(moves) + self._moving[name]) >= most:
            return Done(ok=False, text=f"{count} moves in the last {span_s:g} s, {most} allowed", why="soon")
        return None

    def _value(self, name: str) -> float | None:
        """Return what the PLC holds of a parameter by the last that is known, None when nothing is."""
        shown, confirmed = self._holds(name), self._confirmed.get(name)
        if shown is None:
            return None
        return confirmed[0] if confirmed is not None and confirmed[1] > shown[1] else shown[0]

    # -- what is ------------------------------------------------------------------------------------------------------------

    async def _send(self, order: Order) -> Done:
        sent_s: float | None = None
        limit_s = TIMEOUTS.get(order.what, ANSWER_S)

        def on_write() -> None:
            nonlocal sent_s
            sent_s = self._mono_s()

        adjusts, answer = order.what is What.ADJUST, None
        if adjusts:
            self._moving[order.name] += 1  # before the first await: who asks meanwhile counts it
        try:
            answer = await self._control.ask_in_turn(self._command(order), limit_s, on_write)
        finally:
            kind = answer.result.partition(":")[0] if answer is not None else ""
            if adjusts:
                self._moving[order.name] -= 1
                if sent_s is not None and kind != "blocked":  # then the PLC was not even asked
                    self._moves[order.name].append(sent_s)
        if answer is None:
            if sent_s is None:
                return Done(ok=False, text=BUSY if self._control.alive else GONE, why="unsent")
            return Done(ok=False, text=f"no answer within {limit_s:g} s; it may have been carried out", why="silent")
        if adjusts and answer.new is not None:
            self._confirmed[order.name] = (answer.new, self._clock())
        return Done(ok=kind == "confirmed", text=answer.result, why="silent" if kind == "unknown" else "refused")

    def _command(self, order: Order) -> Command:
        # Not the number in the database: control remembers answers longer than a database that was moved away.
        id, line = f"opcua-{uuid.uuid4().hex}", self._line
        match order.what:
            case What.ADJUST:
                old = self._value(order.name)
                assert old is not None  # noqa: S101 - _why_not has seen to it
                evidence = f"{order.user} asks for it over OPC UA"
                return AdjustParameter(id=id, line=line, tag=order.name, value=order.value, expected_old=old, evidence=evidence)
            case What.RECIPE:
                return SetRecipe(id=id, line=line, recipe=int(order.value), by="operator")
            case What.TEST_RUN:
                return RunTest(id=id, line=line, by="operator")
            case What.ERROR_RESET:
                return ClearError(id=id, line=line, by="operator")
            case What.ACKNOWLEDGE:
                return Acknowledge(id=id, line=line, code=order.name, by="operator")
            case What.COUNTER_RESET:
                raise ValueError("the counters are reset here")

    async def _reset(self, n: int) -> Done:
        base, now = Counters(**asdict(self._counters)), self._clock()
        try:
            with self._ops.transaction():
                self._ops.set_state(f"counters_base.{self._line}", {"counts": asdict(base), "t_utc_ns": now})
                self._keep_reset(base, now)
                self._ops.orders.end(n, "done", "confirmed")
        except sqlite3.OperationalError as error:
            done = Done(ok=False, text=f"it could not be written down, so it was not done: {error}; free the disk")
            self.audit.end(n, done)
            return done
        await self._on_reset(base, now)
        return Done(ok=True, text="confirmed")


class Desks:
    """The desks of all lines as one: what the OPC UA server is given. It may be asked before the lines are there."""

    def __init__(self) -> None:
        """Start without any."""
        self._desks: dict[str, LineDesk] = {}

    def add(self, station: str, desk: LineDesk) -> None:
        """Let ``desk`` take the orders of ``station``."""
        self._desks[station] = desk

    async def ask(self, order: Order) -> Done:
        """Pass the order on."""
        desk = self._desks.get(order.station)
        return await desk.ask(order) if desk is not None else Done(ok=False, text="the line is not started yet")

    def refused(self, station: str, user: str, node: str, value: str, status: str) -> None:
        """Pass it on."""
        if (desk := self._desks.get(station)) is not None:
            desk.audit.refuse(user, "write", node, value, status)

    def last_command(self, station: str) -> LastCommand | None:
        """Pass the question on."""
        desk = self._desks.get(station)
        return desk.audit.last_command() if desk is not None else None
