"""After a change of recipe the adjusted parameters go back to the recipe's nominal values, by the writer's guarded way alone.

Each move obeys the map's range, step and rate and the PLC's permit, as every adjustment does, and is recorded as one. What they
do not allow stays as it is, and it is said. It must not know the link.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Awaitable, Callable, Mapping

from gateway.control.config import Recipe
from gateway.control.writer import TOLERANCE
from gateway.core.commands import AdjustParameter, Answer
from gateway.core.tags import Tag


async def to_nominal(
    line: str,
    recipe: Recipe,
    *,
    params: Mapping[str, Tag],
    holds: Callable[[str], float | None],
    adjust: Callable[[AdjustParameter], Awaitable[Answer]],
) -> list[str]:
    """Move each parameter that the recipe names to its nominal value, in steps; return in words which of them are not there.

    ``holds`` says what the PLC holds now, None when that is not known; ``params`` are the map's, by name.
    """
    left = []
    for name, nominal in recipe.params.items():
        tag = params.get(name)
        if tag is None:
            left.append(f"{name}: no parameter of the tag map")
        elif why := await _move(line, recipe, tag, nominal, holds, adjust):
            left.append(f"{name} holds {_words(holds(name))}, the nominal of recipe {recipe.number} is {nominal:g}: {why}")
    return left


async def _move(
    line: str,
    recipe: Recipe,
    tag: Tag,
    nominal: float,
    holds: Callable[[str], float | None],
    adjust: Callable[[AdjustParameter], Awaitable[Answer]],
) -> str:
    """Return why the parameter could not be brought to ``nominal``, or ''."""
    low, high = tag.range or (0.0, 0.0)
    most = 1 if tag.step is None else math.ceil((high - low) / tag.step) + 1  # from one end to the other, and a last look
    for _ in range(most + 1):
        old = holds(tag.name)
        if old is None:
            return "what it holds is not known"
        way = nominal - old
        if abs(way) <= TOLERANCE * (high - low):
            return ""
        step = abs(way) if tag.step is None else min(tag.step, abs(way))
        command = AdjustParameter(
            id=f"recipe-{uuid.uuid4().hex}",
            line=line,
            tag=tag.name,
            value=nominal if step == abs(way) else old + math.copysign(step, way),
            expected_old=old,
            evidence=f"back to the nominal value of recipe {recipe.number} {recipe.name}",
        )
        answer = await adjust(command)
        if answer.result != "confirmed":
            return answer.result
    return "it does not stay where it was put"


def _words(value: float | None) -> str:
    return "no known value" if value is None else f"{value:g}"
