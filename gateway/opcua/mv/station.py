"""One station as a vision system of OPC 40100-1: its nodes, its methods, and what its records change in both.

The station's node is the vision system; its flat tags stay below it. The state follows the line and commands nothing: methods
that would start, stop or halt a line are never executable, since the PLC alone does that and nobody else drives a reject. It
must not know where records come from, or how an order is carried out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_server import InternalServer
from asyncua.ua.status_codes import StatusCodes

from gateway.core.events import Record
from gateway.opcua.access import Role
from gateway.opcua.archive import Archive
from gateway.opcua.desk import Desk, Order, What
from gateway.opcua.methods import Caller, Handler, Method, Methods
from gateway.opcua.mv import ids
from gateway.opcua.mv.configuration import ConfigurationCalls
from gateway.opcua.mv.follower import Emit, Follower
from gateway.opcua.mv.instance import Instance, inputs_of, parts_of
from gateway.opcua.mv.outputs import NO_ERROR
from gateway.opcua.mv.recipe_calls import Recipe, RecipeCalls, carried_out
from gateway.opcua.mv.result_calls import ResultCalls
from gateway.opcua.mv.spec.facts import Fact, M

SYSTEM = "VisionSystemType"
RECIPE = "RecipeFolderType.<Recipe>"
LAST = "ResultManagement.Results.Last"
LAST_PARTS = ("PartId", "ProcessingTimes", "ResultContent")
"""Of the last result, beside what its type makes mandatory."""
MAX_COMMENT = 200

ROLES: Mapping[str, Role] = {
    "ActivateConfiguration": Role.ENGINEER,
    "PrepareRecipe": Role.ENGINEER,
    "Prepare": Role.ENGINEER,
    "Reset": Role.OPERATOR,
    "ConfirmAll": Role.OPERATOR,
    "SelectModeAutomatic": Role.OPERATOR,
}
"""What a user must be for a method; those that only read are for everybody."""

ConfirmAll = Callable[[str, str, str], Awaitable[int]]
"""Confirms every condition of (station) for (user) with (comment), and returns how many; raises ServiceError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionFacts:
    """What is known of a station before its line runs."""

    station: str
    """Its id, ``Line1.Cam1``."""
    recipes: tuple[Recipe, ...] = ()
    """The line's recipes; on a line without any, the one model that judges, as number 0."""

    @property
    def line(self) -> str:
        """Return its line."""
        return self.station.partition(".")[0]


class VisionStation:
    """One station; :meth:`build` once, then whatever its line tells."""

    def __init__(
        self,
        iserver: InternalServer,
        root: ua.NodeId,
        facts: VisionFacts,
        *,
        methods: Methods,
        desk: Desk,
        archive: Archive,
        emit: Emit,
        confirm_all: ConfirmAll,
    ) -> None:
        """Take the node that is the vision system, and whom its methods ask."""
        self._facts = facts
        self._nodes = Instance(iserver, root)
        self._methods = methods
        self._desk = desk
        self._confirm_all = confirm_all
        self._showing = asyncio.Lock()
        self._results = ResultCalls(facts.line, archive)
        self._configuration = ConfigurationCalls(facts.line, archive)
        self._follower = Follower(facts.recipes, self._nodes, self._results.result, emit)
        self._recipes = RecipeCalls(facts.station, facts.recipes, lambda: self._follower.recipe_in_force, desk)
        self._handlers: dict[str, Handler] = {
            **self._results.handlers,
            **self._configuration.handlers,
            **self._recipes.handlers,
            "Reset": self._reset,
            "ConfirmAll": self._confirm,
            "SelectModeAutomatic": self._select,
        }

    async def build(self, now_ns: int) -> None:
        """Add the nodes and register the methods. Nothing of now is known yet: control has not answered."""
        for path, fact in parts_of(ids.FACTS[SYSTEM]):
            await self._add(path, fact, declared=f"{SYSTEM}.{path}")
        kind = ids.FACTS["ResultType"]
        last = replace(kind, name="2:Last", node_class="Variable", by="HasComponent", type=kind.name)
        await self._add(LAST, last)
        for part in kind.children:
            if part.rule == M or part.name in LAST_PARTS:
                await self._add(f"{LAST}.{part.name}", part)
        for recipe in sorted(self._facts.recipes, key=lambda r: r.number):
            await self._add_recipe(recipe)
        await self._follower.begin(self._configuration.active(), now_ns)

    def close(self) -> None:
        """Wait for nothing any more."""
        self._recipes.close()

    async def take(self, records: Sequence[Record]) -> None:
        """Show what records change, and tell its events."""
        async with self._showing:
            await self._follower.take(records)

    async def tick(self, alive: bool, now_ns: int) -> None:
        """Take note of the time (UTC ns), and whether the line's control process answers."""
        async with self._showing:  # an older state must not be written over a newer one
            await self._follower.tick(alive, now_ns)

    # --- nodes -----------------------------------------------------------------------------------------------------------

    async def _add_recipe(self, recipe: Recipe) -> None:
        at = f"RecipeManagement.Recipes.{recipe.node_name}"
        fact = ids.FACTS[RECIPE]
        await self._add(at, replace(fact, name=f"2:{recipe.name or recipe.model_id or 'Model'}"))
        parts = [*parts_of(fact), *((c.name, c) for c in fact.children if c.name == "ExternalId" and recipe.name)]
        for path, part in parts:
            handler = self._recipes.prepare_one(recipe) if part.name == "Prepare" else None
            await self._add(f"{at}.{path}", part, handler=handler, declared=f"{RECIPE}.{path}")

    async def _add(self, path: str, fact: Fact, *, handler: Handler | None = None, declared: str = "") -> None:
        """Add a node; ``declared`` is the path of its declaration in the type."""
        if fact.node_class != "Method":
            await self._nodes.add(path, fact)
            return
        handler = handler or self._handlers.get(fact.name)
        await self._nodes.add(path, fact, executable=handler is not None)
        method = Method(inputs=inputs_of(fact), role=ROLES.get(fact.name, Role.OBSERVER), handler=handler)
        owner_type = ids.FACTS[declared.rpartition(".")[0]].type
        known = [self._nodes.node(path), ids.of(declared), ids.of(f"{owner_type}.{fact.name}")]
        self._methods.add(method, ids=known, objects=[self._nodes.node(path.rpartition(".")[0])])

    # --- methods ---------------------------------------------------------------------------------------------------------

    async def _reset(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        comment = str(args[1] or "")[:MAX_COMMENT]
        order = Order(station=self._facts.station, user=caller.user_name, what=What.ERROR_RESET, comment=comment)
        carried_out(await self._desk.ask(order))
        return [NO_ERROR]

    async def _confirm(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        await self._confirm_all(self._facts.station, caller.user_name, str(args[0].Text or "")[:MAX_COMMENT])
        return []

    async def _select(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        # The automatic mode is the only one; the line gets there by itself, or does not.
        if not self._follower.operational:
            raise ServiceError(StatusCodes.BadInvalidState)
        return [NO_ERROR]
