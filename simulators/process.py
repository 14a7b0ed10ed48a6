"""The manufacturing process: how the set-point of a parameter and the tool's wear decide which parts come out defective.

Pure and seeded: what part n is depends on the seed, on n and on the set-point as part n is made, on nothing else. It knows
no belt, no picture and no PLC.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from gateway.core.tags import TagMap
from simulators.scenario import ProcessSpec, ramp_share

GOOD = "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The adjustable parameter that the process depends on."""

    name: str
    nominal: float
    """Set-point at which a new tool makes the fewest defects, in engineering units."""
    step: float
    """One step of adjustment, in engineering units."""


def setting_of(tag_map: TagMap, name: str = "") -> Setting | None:
    """Return the parameter of that name, or the first one; None if the map has no parameter. KeyError for an unknown name."""
    params = {tag.name: tag for tag in tag_map.params()}
    if name and name not in params:
        raise KeyError(name)
    tag = params[name] if name else next(iter(params.values()), None)
    if tag is None or tag.range is None:
        return None
    low, high = tag.range
    return Setting(name=tag.name, nominal=(low + high) / 2, step=tag.step or (high - low) / 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a part really is; never told to the gateway."""

    label: str
    defective: bool


class Process:
    """Makes parts. ``setpoint`` is what the PLC holds at present; the caller keeps it up to date."""

    def __init__(
        self,
        spec: ProcessSpec,
        setting: Setting | None,
        *,
        passes: frozenset[str],
        seed: int,
        challenges: Collection[int] = (),
        again: Mapping[int, int] | None = None,
    ) -> None:
        """Set up with a new tool; ``passes`` are the labels that may pass, every other one is defective.

        ``challenges`` are parts that are made defective on purpose, ``again`` names the part that another one was before.
        """
        self._spec = spec
        self._setting = setting
        self._passes = passes
        self._seed = seed
        self._challenges = frozenset(challenges)
        self._again = dict(again or {})
        self._kept: dict[int, Truth] = {}
        self._kinds = [kind for kind, weight in spec.mix.items() if weight > 0]
        weights = np.array([spec.mix[kind] for kind in spec.mix if spec.mix[kind] > 0])
        self._limits = np.cumsum(weights / weights.sum())
        self.setpoint: float | None = None
        """In engineering units; None = nominal."""

    def wear(self, n: int) -> float:
        """Return the tool's wear as part ``n`` is made: 0 … 1."""
        return min(1.0, n / self._spec.wear.life_parts)

    def optimum(self, n: int) -> float:
        """Return the best set-point for part ``n``, in engineering units; 0 without a parameter."""
        if self._setting is None:
            return 0.0
        steps = self._spec.wear.shift_steps * self.wear(n)
        steps += sum(e.shift_steps * ramp_share(n, e.at_part, e.over_parts) for e in self._spec.events)
        return self._setting.nominal + steps * self._setting.step

    def defect_probability(self, n: int) -> float:
        """Return how likely part ``n`` is defective if it is made at the present set-point."""
        deviation = 0.0
        if self._setting is not None:
            setpoint = self._setting.nominal if self.setpoint is None else self.setpoint
            deviation = (setpoint - self.optimum(n)) / self._setting.step
        return min(self._spec.base + self._spec.per_step2 * deviation**2, max(self._spec.cap, self._spec.base))

    def make(self, n: int) -> Truth:
        """Make part ``n`` at the present set-point."""
        truth = self._kept[self._again[n]] if n in self._again else self._draw(n)
        if n in self._again.values():
            self._kept[n] = truth
        return truth

    def _draw(self, n: int) -> Truth:
        chance, kind = np.random.default_rng([self._seed, n, 1]).random(2)
        label = GOOD
        if n in self._challenges or chance < self.defect_probability(n):
            label = self._kinds[min(int(np.searchsorted(self._limits, kind, side="right")), len(self._kinds) - 1)]
        return Truth(label=label, defective=label not in self._passes)
