"""What a station's records change in its nodes, and which events they are: the state, the recipe in force, the last result.

While control does not answer, nothing of now is known: state and recipe are bad, the last result too. The machine itself then
stays where it was, so that the next state that is known is reached by transitions as any other. It must not know a method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from gateway.core.events import LineState, PartJudged, Record
from gateway.opcua.mv import ids
from gateway.opcua.mv.instance import WAITING, Instance
from gateway.opcua.mv.recipe_calls import Recipe
from gateway.opcua.mv.results import external_recipe_id, made, time_of, utc
from gateway.opcua.mv.state import AUTO, AUTOMATIC, ERROR, OPERATIONAL, STATES, VISION, WORKING_NS, Machine, Step, place_of
from gateway.opcua.mv.structs import ConfigurationDataType, JobIdDataType, ResultDataType
from gateway.opcua.result_id import job_id

MACHINES = {VISION: "VisionStateMachine", AUTOMATIC: "VisionStateMachine.AutomaticModeStateMachine"}
RECIPES, LAST = "RecipeManagement.Recipes", "ResultManagement.Results.Last"
ACTIVE = "ConfigurationManagement.ActiveConfiguration"
LOST = int(StatusCodes.BadNoCommunication)
INACTIVE = int(StatusCodes.BadStateNotActive)
CALM, SERIOUS = 100, 700
"""Severities of events: of what is as it should be, and of an error."""


class Emit(Protocol):
    """Tells an event of this station."""

    def __call__(
        self, event_type: ua.NodeId, *, source: str, severity: int, message: str, fields: Mapping[str, ua.Variant], time_ns: int
    ) -> object:
        """``source`` is the dot path below the station, ``time_ns`` UTC."""


class Follower:
    """Follows one station's line."""

    def __init__(
        self, recipes: Sequence[Recipe], nodes: Instance, result: Callable[[PartJudged], ResultDataType], emit: Emit
    ) -> None:
        """Take the line's recipes, where to show, how a part becomes a result, and who tells events."""
        self._recipes = recipes
        self._nodes = nodes
        self._result = result
        self._emit = emit
        self._machine = Machine()
        self._alive = False
        self._line: LineState | None = None
        self._part: PartJudged | None = None
        self._shown: ResultDataType | None = None
        self._prepared: tuple[str, str] | None = None

    @property
    def operational(self) -> bool:
        """Return whether the automatic mode is known to be active."""
        return self._known and self._machine.place.system == OPERATIONAL

    @property
    def recipe_in_force(self) -> int | None:
        """Return the number of the recipe that parts are judged by, None when there is none, or it is not known."""
        line = self._line
        if not self._known or line is None or not line.model_id:
            return None
        return next(
            (r.number for r in self._recipes if r.name == line.recipe and (r.name or r.model_id == line.model_id)), None
        )

    @property
    def _known(self) -> bool:
        return self._alive and self._line is not None

    async def begin(self, active: ConfigurationDataType | None, now_ns: int) -> None:
        """Show what does not change."""
        now = utc(now_ns)
        if active is not None:
            await self._nodes.show(ACTIVE, active, now)
        for machine, path in MACHINES.items():
            states = [ids.of(f"{machine}.{state}") for state in STATES[machine]]
            transitions = [ids.of(f"{machine}.{t.name}") for t in AUTO[machine].values()]
            await self._nodes.show(f"{path}.AvailableStates", states, now)
            await self._nodes.show(f"{path}.AvailableTransitions", transitions, now)
        for recipe in self._recipes:
            path = f"{RECIPES}.{recipe.node_name}"
            await self._nodes.show(f"{path}.InternalId", recipe.internal_id, now)
            if (external := external_recipe_id(recipe.name)) is not None:
                await self._nodes.show(f"{path}.ExternalId", external, now)
            await self._nodes.show(f"{path}.LastModified", None, now, code=int(StatusCodes.BadNotSupported))

    async def take(self, records: Sequence[Record]) -> None:
        """Show what records change, and tell their events in order; of several results the last one is shown."""
        newest: PartJudged | None = None
        for record in records:
            match record:
                case LineState():
                    self._line = record
                    await self._settle(record.t_utc_ns)
                case PartJudged():
                    newest = self._part = record
                    if record.t_frame_mono_ns:
                        self._tell("AcquisitionDoneEventType", record.t_utc_ns, "A picture was taken", JobId=self._job())
                    await self._settle(record.t_utc_ns)
                    self._shown = self._result(record)
                    self._result_ready(self._shown, record.t_utc_ns)
                case _:
                    pass
        if newest is not None:
            await self._show_last()

    async def tick(self, alive: bool, now_ns: int) -> None:
        """Take note of the time, and whether control answers."""
        changed = alive != self._alive
        self._alive = alive
        await self._settle(now_ns)
        if changed:
            await self._show_last()

    # --- the state -------------------------------------------------------------------------------------------------------

    async def _settle(self, t_ns: int) -> None:
        line = self._line
        if not self._alive or line is None:
            await self._show_state(t_ns)
            return
        working = self._part is not None and t_ns - self._part.t_utc_ns < WORKING_NS
        manual = self._part is not None and self._part.mode == "MANUAL"
        for step in self._machine.go(place_of(line, working=working, manual=manual)):
            await self._step(step, line, t_ns)
        await self._show_state(t_ns)
        self._recipe_prepared(line, t_ns)

    async def _step(self, step: Step, line: LineState, t_ns: int) -> None:
        if step.transition is None:
            return
        path, transition, now = MACHINES[step.machine], step.transition, utc(t_ns)
        named = ua.LocalizedText(transition.name)
        known = ids.of(f"{step.machine}.{transition.name}")
        last = f"{path}.LastTransition"
        await self._nodes.show(last, named, now)
        await self._nodes.show(f"{last}.Id", known, now)
        await self._nodes.show(f"{last}.Number", transition.number, now)
        await self._nodes.show(f"{last}.TransitionTime", now, now)
        change: dict[str, ua.Variant] = {
            "Transition": ua.Variant(named, ua.VariantType.LocalizedText),
            "Transition/Id": ua.Variant(known, ua.VariantType.NodeId),
        }
        for name, state in (("FromState", transition.start), ("ToState", transition.end)):
            change[name] = ua.Variant(ua.LocalizedText(state), ua.VariantType.LocalizedText)
            change[f"{name}/Id"] = ua.Variant(ids.of(f"{step.machine}.{state}"), ua.VariantType.NodeId)
        severity = SERIOUS if transition.end == ERROR else CALM
        words = f"{transition.start} to {transition.end}"
        if transition.end == ERROR:
            words = f"{words}: {line.detail or line.error or line.link}"
        for event in transition.effects:
            # An event of a job says which one; every other effect is the change of state itself.
            fields = {"JobId": self._job()} if event in ("JobStartedEventType", "ReadyEventType") else change
            self._emit(ids.of(event), source=path, severity=severity, message=words, fields=fields, time_ns=t_ns)

    async def _show_state(self, t_ns: int) -> None:
        place, now = self._machine.place, utc(t_ns)
        unknown = 0 if self._known else WAITING if self._alive else LOST
        for machine, state in ((VISION, place.system), (AUTOMATIC, place.mode)):
            path = f"{MACHINES[machine]}.CurrentState"
            code = unknown or (0 if state else INACTIVE)
            told = STATES[machine].get(state)
            await self._nodes.show(path, ua.LocalizedText(state), now, code=code)
            await self._nodes.show(f"{path}.Id", ids.of(f"{machine}.{state}") if told else None, now, code=code)
            await self._nodes.show(f"{path}.Number", told.number if told else None, now, code=code)
        in_force = self.recipe_in_force
        for recipe in self._recipes:
            path = f"{RECIPES}.{recipe.node_name}.IsPrepared"
            await self._nodes.show(path, recipe.number == in_force, now, code=unknown)

    # --- events and the last result ----------------------------------------------------------------------------------------

    def _recipe_prepared(self, line: LineState, t_ns: int) -> None:
        """Tell that a recipe is in force, once for each change of it."""
        number = self.recipe_in_force
        recipe = next((r for r in self._recipes if r.number == number), None)
        if recipe is None or not line.ready or self._prepared == (line.recipe, line.model_id):
            return
        self._prepared = (line.recipe, line.model_id)
        fields = {"InternalId": _structure(recipe.internal_id)}
        if (external := external_recipe_id(recipe.name)) is not None:
            fields["ExternalId"] = _structure(external)
        self._tell("RecipePreparedEventType", t_ns, f"Recipe in force: {recipe.name or recipe.model_id}", **fields)

    def _result_ready(self, result: ResultDataType, t_ns: int) -> None:
        fields: dict[str, ua.Variant] = {
            "IsPartial": ua.Variant(False, ua.VariantType.Boolean),
            "ResultState": ua.Variant(result.ResultState, ua.VariantType.Int32),
            "CreationTime": ua.Variant(result.CreationTime, ua.VariantType.DateTime),
            "ResultContent": ua.Variant(result.ResultContent, ua.VariantType.Variant, is_array=True),
        }
        for name in _IDS:
            if (value := getattr(result, name)) is not None:
                fields[name] = _structure(value)
        self._tell("ResultReadyEventType", t_ns, f"Result {result.ResultId.Id}", **fields)

    def _tell(self, event: str, t_ns: int, message: str, **fields: ua.Variant) -> None:
        self._emit(ids.of(event), source="", severity=CALM, message=message, fields=fields, time_ns=t_ns)

    def _job(self) -> ua.Variant:
        return _structure(made(JobIdDataType, Id=ua.String(job_id(self._part)) if self._part is not None else ua.String("")))

    async def _show_last(self) -> None:
        result, part = self._shown, self._part
        if result is None or part is None:
            return
        t, code = time_of(part), 0 if self._alive else LOST
        await self._nodes.show(LAST, result, t, code=code, again=True)
        for name in ("ResultId", *(n for n in _PARTS if f"{LAST}.{n}" in self._nodes)):
            value: Any = getattr(result, name)
            await self._nodes.show(f"{LAST}.{name}", value, t, code=code, again=True)


_IDS = (
    "ResultId",
    "MeasId",
    "PartId",
    "ExternalRecipeId",
    "InternalRecipeId",
    "ProductId",
    "InternalConfigurationId",
    "JobId",
    "ProcessingTimes",
)
_PARTS = (
    "IsPartial",
    "ResultState",
    "PartId",
    "InternalRecipeId",
    "InternalConfigurationId",
    "JobId",
    "CreationTime",
    "ProcessingTimes",
    "ResultContent",
)


def _structure(value: Any) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.ExtensionObject)
