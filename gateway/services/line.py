"""What one record sets off: it is counted, watched, acted upon, and only then shown and pictured.

Cursor, counts and decisions stand in one transaction, so each record has its effects exactly once, whenever the process dies.
It is committed twice a second, and at once when something is to be acted upon: what a kill takes along is read again. What is
shown is telemetry: when services is behind, only the newest value of a tag is written.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict

import structlog

from gateway.core.errors import GatewayError
from gateway.core.events import AlarmChanged, LineState, PartJudged, Record, from_json, to_json
from gateway.monitoring.imaging import Imaging
from gateway.opcua.desk import Order
from gateway.opcua.flat import HEALTH, Param
from gateway.opcua.mv.recipe_calls import Recipe
from gateway.opcua.server import OpcUaServer, StationNodes
from gateway.opcua.station import Counters, Station, Update, capture_time_ns
from gateway.opcua.update import held
from gateway.record.images import PictureStore
from gateway.record.ops import OpsDatabase
from gateway.services.act import LineActions
from gateway.services.conditions import KeptConditions
from gateway.services.config import LineServices
from gateway.services.control import ControlSocket
from gateway.services.desk import LineDesk
from gateway.services.marks import HistoryMarks
from gateway.services.parts import PartIndex
from gateway.services.pixels import Pictures, Thumbs
from gateway.services.serials import Serials
from gateway.services.stream import RecordStream

TICK_S = 0.5
JOURNAL_RETRY_S = 2.0
THUMB_S = 0.5
"""At most one small picture in this time."""
SHOWN_ONE_BY_ONE = 8
"""Batches up to this many records are written tag by tag; of larger ones only the newest value of each tag."""

_HEALTH = {Imaging.NORMAL: "Normal", Imaging.OFF_SPEC: "OffSpec", Imaging.UNKNOWN: "CheckFunction"}

_log = structlog.get_logger("line")


def params_of(line: LineServices) -> tuple[Param, ...]:
    """Return the line's parameters as the tag tree has them."""
    return tuple(Param(name=p.name, unit=p.unit, range=p.range, step=p.step, rate_per_min=p.rate_per_min) for p in line.params)


def nodes_of(line: LineServices) -> StationNodes:
    """Return the line's station: it is named after the first camera, whose picture a part's record names."""
    recipes = [Recipe(number=r.number, name=r.name, model_id=r.model_id) for r in line.recipes]
    only = Recipe(number=0, name="", model_id=line.model_id)
    return StationNodes(id=f"{line.name}.{line.cameras[0]}", params=params_of(line), recipes=tuple(recipes or [only]))


def newest(updates: Sequence[Update]) -> list[Update]:
    """Return the last update of each tag, in the order of these last ones, so that a commit number still comes last."""
    last: dict[str, Update] = {}
    for update in updates:
        last.pop(update.tag, None)
        last[update.tag] = update
    return list(last.values())


class LineFeed:
    """One line: its record stream and everything that hangs on it."""

    def __init__(
        self,
        line: LineServices,
        *,
        ops: OpsDatabase,
        server: OpcUaServer,
        store: PictureStore,
        clock: Callable[[], int],
    ) -> None:
        """Take up where ``ops`` says that the last process stopped; ``clock`` returns UTC ns."""
        self._name = line.name
        self._ops = ops
        self._server = server
        self._clock = clock
        self._journal, self._cursor = ops.cursor(line.name)
        self._counters = Counters(**(ops.state(f"counters.{line.name}") or {}))
        self.station_id = nodes_of(line).id
        base = ops.state(f"counters_base.{line.name}") or {"counts": {}, "t_utc_ns": 0}
        self._station = Station(params_of(line), self._counters, base=Counters(**base["counts"]), reset_ns=base["t_utc_ns"])
        self._pictures = Pictures(line.rings, store)
        self._thumbs = Thumbs(line.rings)
        self._newest: PartJudged | None = None
        """Whose picture has not been shown yet."""
        self._pictured = asyncio.Event()
        self._control = ControlSocket(line.name, line.commands_socket)
        self.desk = LineDesk(
            self.station_id,
            line.name,
            params=params_of(line),
            recipes={r.number: r.name for r in line.recipes},
            ops=ops,
            control=self._control,
            holds=self._station.holds,
            counters=self._counters,
            keep_reset=self._keep_reset,
            on_reset=self._counters_reset,
            acknowledge=self._acknowledge,
            clock=clock,
        )
        """Takes what OPC UA clients ask of this line."""
        self._actions = LineActions(line, ops, self._control, self._commit, clock)
        self._conditions = KeptConditions(line.name, self.station_id, ops, self.desk.audit, self._commit, clock)
        self._line_state = ops.state(f"line.{line.name}")
        self._alarms: list[str] | None = ops.state(f"alarms.{line.name}")
        self._health = ""
        self._failed = ""
        self._uncommitted = False
        self._serials = Serials(line.name, ops)
        self._parts = PartIndex(line.name, ops)
        state = from_json(self._line_state) if self._line_state is not None else None
        self._marks = HistoryMarks(line.name, ops, state_seq=0 if state is None else state.seq)
        self._writing = asyncio.Lock()
        self.stream = RecordStream(line.name, line.records_socket, line.journal, self._cursor, self._journal)
        """To be entered before :meth:`run`."""

    async def start(self) -> None:
        """Show what is known at the start: nothing of now, until control has answered."""
        now = self._clock()
        self._actions.restore()
        updates = [*self._station.initial(now), *self._station.alive(False, now), *self._station.health(None, now)]
        self._marks.imaging(None, False, now)
        if self._line_state is not None:
            # Control records changes only: the last one stands until the next.
            state = from_json(self._line_state)
            self._actions.take(state, self._journal)
            updates += self._station.apply(state)
            await self._server.vision[self.station_id].take([state])
        if self._alarms is not None:
            updates += [held(u) for u in self._station.active_alarms(self._alarms, now)]
        await self._server.write(self.station_id, updates)
        await self._server.conditions.attach(self.station_id, self._conditions)
        self.desk.audit.restore()
        await self._server.open_commands(self.station_id)

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._records())
            group.create_task(self._ticks())
            group.create_task(self._control.watch())
            group.create_task(self._actions.run())
            group.create_task(self._show_pictures())

    def close(self) -> None:
        """Commit what is not yet committed, and let go of the frame rings."""
        if self._uncommitted:
            self._commit()
        self._pictures.close()
        self._thumbs.close()

    # -- records ------------------------------------------------------------------------------------------------------------

    async def _records(self) -> None:
        while True:
            try:
                records = await self.stream.batch()
            except GatewayError as error:
                self._complain(str(error))
                await asyncio.sleep(JOURNAL_RETRY_S)
                continue
            updates = self._take(records)
            if self._actions.urgent or self._conditions.urgent:
                self._commit()
            await self._server.conditions.show(self.station_id)
            for record in records:
                if isinstance(record, PartJudged) and record.seq:
                    self._pictures.keep(record)
                    if record.frame_slot >= 0:
                        self._newest = record
                        self._pictured.set()
            await self._show(updates if len(records) <= SHOWN_ONE_BY_ONE else newest(updates))
            await self._server.vision[self.station_id].take(records)

    def _take(self, records: Sequence[Record]) -> list[Update]:
        """Take records without a pause in between, so that cursor and effects agree whenever something is committed."""
        self._uncommitted = True
        updates = []
        for record in records:
            if isinstance(record, LineState):
                self._line_state = to_json(record)
            elif isinstance(record, AlarmChanged):
                self._alarms = list(record.all_active)
            # What has no number is in no journal: it is shown, but would not be counted exactly once.
            if record.seq:
                self._marks.take(record, self.stream.journal, self._counters)
                self._counters.count(record)
                self._journal, self._cursor = self.stream.journal, record.seq
                self._serials.take(record)
                self._parts.take(record)
            self._conditions.take(record)
            if record.seq or not isinstance(record, PartJudged):
                self._actions.take(record, self._journal)
            updates += self._station.apply(record)
        return updates

    def _commit(self) -> bool:
        """Commit cursor, counts and decisions together; False when the disk refuses: the next commit holds all of it."""
        try:
            with self._ops.transaction():
                self._ops.set_cursor(self._name, self._journal, self._cursor)
                self._ops.set_state(f"counters.{self._name}", asdict(self._counters))
                self._ops.set_state(f"line.{self._name}", self._line_state)
                self._ops.set_state(f"alarms.{self._name}", self._alarms)
                self._serials.save()
                self._parts.save()
                self._marks.save()
                self._actions.save()
                self._conditions.save()
        except sqlite3.OperationalError as error:
            self._actions.not_saved()
            self._complain(f"operations database {self._ops.path}: {error}; free the disk, nothing is adjusted until then")
            return False
        self._actions.saved()
        self._serials.saved()
        self._parts.saved()
        self._marks.saved()
        self._conditions.saved()
        self._uncommitted = False
        if self._failed:
            _log.info("records are processed again", line=self._name)
            self._failed = ""
        return True

    def _complain(self, error: str) -> None:
        if error != self._failed:
            _log.error("records cannot be processed", line=self._name, error=error)
        self._failed = error

    # -- time ---------------------------------------------------------------------------------------------------------------

    async def _ticks(self) -> None:
        while True:
            now = self._clock()
            self._actions.tick()
            self._conditions.conditions.alive(self._control.alive, now)
            if self._uncommitted or self._actions.urgent or self._conditions.urgent:
                self._commit()
            await self._server.conditions.show(self.station_id)
            self.desk.audit.flush()
            updates = [*self._station.tick(now), *self._station.alive(self._control.alive, now), *self._imaging(now)]
            await self._show(updates)
            await self._server.vision[self.station_id].tick(self._control.alive, now)
            await asyncio.sleep(TICK_S)

    def _imaging(self, now: int) -> list[Update]:
        """Return the imaging health if it changed, in words to the log."""
        health = self._actions.health
        if health.status.name == self._health:
            return []
        _log.info("imaging", line=self._name, health=health.status.value, words=health.words)
        self._health = health.status.name
        index, certain = HEALTH.index(_HEALTH[health.status]), health.status is not Imaging.UNKNOWN
        self._marks.imaging(index, certain, now)
        self._uncommitted = True
        return self._station.health(index, now, certain=certain)

    async def _show_pictures(self) -> None:
        """Show a small picture of the newest part whose frame still stands, now and then; made in a thread."""
        while True:
            await self._pictured.wait()
            self._pictured.clear()
            record, self._newest = self._newest, None
            if record is not None and (jpeg := await asyncio.to_thread(self._thumbs.make, record)) is not None:
                await self._show(self._station.thumb(jpeg, record.seq, capture_time_ns(record)))
            await asyncio.sleep(THUMB_S)

    async def _acknowledge(self, order: Order) -> str:
        """Acknowledge the alarm's condition, as its OPC UA method does; the desk has written down who asked."""
        return await self._server.conditions.acknowledge(order.station, order.name, order.user, order.comment, audit=False)

    def _keep_reset(self, base: Counters, now: int) -> None:
        self._marks.reset(base, now, self._journal, self._cursor)

    async def _counters_reset(self, base: Counters, now: int) -> None:
        await self._show(self._station.counters_reset(base, now))

    async def _show(self, updates: list[Update]) -> None:
        async with self._writing:  # a result's tags must not mix with a change of their quality
            await self._server.write(self.station_id, updates)
