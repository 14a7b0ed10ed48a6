"""RecipeManagement: the line's recipes, which one is in force, and the order to set another one.

Control decides about the order as about one of the PLC: it needs the authority over recipes, and takes a recipe only when its
golden pictures pass. There is no order to have none in force, so nothing here takes one away. It must not know a node or a
record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.desk import Desk, Done, Order, What, Why
from gateway.opcua.methods import ArgumentError, Caller, Handler
from gateway.opcua.mv.outputs import NO_ERROR, boolean, number, structure
from gateway.opcua.mv.results import id_of, recipe_id
from gateway.opcua.mv.structs import RecipeIdInternalDataType, TriStateBoolean

PREPARE_S = 2.0
"""So long a client waits for the line's answer; after that the order goes on, and an event tells that it is done."""

REFUSALS: dict[Why, int] = {
    "refused": StatusCodes.BadInvalidState,
    "range": StatusCodes.BadOutOfRange,
    "soon": StatusCodes.BadTooManyOperations,
    "silent": StatusCodes.BadTimeout,
}
"""The status of a call whose order was not carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A recipe of the line; the one of a line without recipes has number 0 and no name."""

    number: int
    name: str
    model_id: str

    @property
    def node_name(self) -> str:
        """Return the last part of its NodeId."""
        return f"R{self.number}"

    @property
    def internal_id(self) -> RecipeIdInternalDataType:
        """Return how this gateway calls it."""
        return recipe_id(self.number, self.model_id, self.name)


def carried_out(done: Done) -> None:
    """Raise ServiceError with the status for how an order ended, unless it was carried out."""
    if not done.ok:
        raise ServiceError(REFUSALS.get(done.why, StatusCodes.BadInvalidState))


class RecipeCalls:
    """The recipe methods of one station."""

    def __init__(self, station: str, recipes: Sequence[Recipe], in_force: Callable[[], int | None], desk: Desk) -> None:
        """Take the line's recipes (one at least); ``in_force`` returns the number of the one in force, None without one."""
        self._station = station
        self._recipes = recipes
        self._in_force = in_force
        self._desk = desk
        self._orders: set[asyncio.Task[Done]] = set()
        self.handlers: dict[str, Handler] = {
            "GetRecipeListFiltered": self._listed,
            "PrepareRecipe": self._prepare,
            "ReleaseRecipeHandle": self._release,
        }

    def close(self) -> None:
        """Wait for no order any more."""
        for task in self._orders:
            task.cancel()

    def prepare_one(self, recipe: Recipe) -> Handler:
        """Return what carries out the method Prepare of a recipe's node."""

        async def prepare(caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
            return [boolean(await self._set(caller, recipe)), NO_ERROR]

        return prepare

    async def _listed(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        external, product, prepared, most, start, timeout = args
        if prepared not in tuple(TriStateBoolean):
            raise ArgumentError(2)
        in_force, name = self._in_force(), id_of(external)
        found = [
            r
            for r in self._recipes
            if (not name or name == r.name)
            and not id_of(product)  # no recipe is linked to a product
            and (prepared == TriStateBoolean.DONTCARE_2 or bool(prepared) == (r.number == in_force))
        ]
        listed = [r.internal_id for r in found[start : start + most if most else None]]
        handle = caller.handles.give(owner, timeout)
        complete = start + len(listed) >= len(found)
        return [boolean(complete), number(len(listed)), handle, structure(listed), NO_ERROR]

    async def _prepare(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        external, internal = args
        name, id = id_of(external), id_of(internal)
        model_id = str(internal.Version or "") if internal is not None else ""
        if not name and not id:
            raise ArgumentError(0, StatusCodes.BadInvalidArgument)
        found = [
            r for r in self._recipes if name in ("", r.name) and id in ("", str(r.number)) and model_id in ("", r.model_id)
        ]
        if not found:
            raise ServiceError(StatusCodes.BadNotFound)
        done = await self._set(caller, found[0])
        return [structure(found[0].internal_id), boolean(done), NO_ERROR]

    async def _set(self, caller: Caller, recipe: Recipe) -> bool:
        """Have the recipe set; False when the line is still at it. ServiceError when it is refused."""
        if self._in_force() == recipe.number:
            return True
        if not recipe.number:
            raise ServiceError(StatusCodes.BadInvalidState)  # its model is loaded at the start, or not at all
        order = Order(station=self._station, user=caller.user_name, what=What.RECIPE, value=recipe.number)
        task = asyncio.get_running_loop().create_task(self._desk.ask(order))
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)
        await asyncio.wait({task}, timeout=PREPARE_S)
        if not task.done():
            return False
        carried_out(task.result())
        return True

    async def _release(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        caller.handles.release(owner, args[0])
        return [NO_ERROR]
