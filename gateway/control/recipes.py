"""Recipes: which one is in force for which parts, how it is changed, and the test run on its golden pictures.

While a recipe is changed or tested nothing new is looked at: parts triggered meanwhile are NOT_INSPECTED, those before it end
under the recipe that they were triggered under. Whatever fails leaves no recipe in force until a good one is set. It must not
know the link, the engine or a file: what takes long is called in a thread, so that the line is served all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.control.config import Authority, Recipe
from gateway.control.eye import InferenceEngine
from gateway.core.errors import GatewayError, ModelError
from gateway.core.handshake import OfflineReason
from gateway.core.verdict import JudgeRule
from gateway.plc.listener import UpImage

DRAIN_LOOK_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What the golden pictures said: how many there were, and each that did not get its disposition, in words."""

    pictures: int
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in one line."""
        if not self.wrong:
            return f"{self.pictures} golden pictures got their dispositions"
        return f"{len(self.wrong)} of {self.pictures} golden pictures failed: {self.wrong[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A model that can judge, and the recipe that it stands for; ``number`` 0 and no name on a line without recipes."""

    model_id: str
    rule: JudgeRule
    version: int = 0
    engine: InferenceEngine | None = None
    number: int = 0
    name: str = ""
    test: Callable[[], Golden] | None = None
    """Judges the golden pictures; blocks, and needs the engine for itself. GatewayError when they cannot be judged. None where
    there are none: then no test run is possible."""


class InForce:
    """Which recipe is in force for the parts triggered at a time (monotonic ns); pure."""

    def __init__(self, serving: Serving | None, words: str = "") -> None:
        """Start with a recipe in force, or without one and why."""
        self.serving = serving
        self.trouble = "" if serving is not None else words
        """Why no part may pass until a good recipe is set, or ''."""
        self.busy = ""
        """What is being done that no part is looked at for, or ''."""
        self.left = serving is None
        """Whether the line has left the recipe that served last: what is looked at next needs another one, or it anew."""
        self._offline = OfflineReason.NONE
        self._since_ns = -1
        self._until_ns: int | None = None if serving is not None else -1
        self._beginning_ns: int | None = None

    @property
    def ready(self) -> bool:
        """Return whether parts that come now are looked at."""
        return self.serving is not None and self._until_ns is None and self._beginning_ns is None

    @property
    def beginning(self) -> bool:
        """Return whether a recipe waits for the read that it begins with."""
        return self._beginning_ns is not None

    @property
    def number(self) -> int:
        """Return the number of the recipe in force, 0 while there is none."""
        changing = self.busy and self._offline is OfflineReason.NO_MODEL
        return 0 if self.serving is None or self.trouble or changing else self.serving.number

    @property
    def offline_reason(self) -> OfflineReason:
        """Return what the PLC is told when no part is looked at for the recipe's sake."""
        if self.ready:
            return OfflineReason.NONE
        return OfflineReason.NO_MODEL if self.trouble and not self.busy else self._offline

    def begin(self, now_ns: int, busy: str, offline: OfflineReason) -> None:
        """Look at nothing that is triggered from now on; what was triggered before goes on."""
        self.busy, self._offline = busy, offline
        if self._until_ns is None:
            self._until_ns = now_ns

    def serve(self, serving: Serving, now_ns: int) -> None:
        """Put a recipe in force: what was triggered before is over by now, and with the next read it begins."""
        self.serving, self.trouble, self.busy, self.left = serving, "", "", False
        self._beginning_ns, self._until_ns = now_ns, None

    def fail(self, words: str, *, left: bool) -> None:
        """Leave no recipe in force for what is triggered from the beginning of it on."""
        self.busy, self.trouble, self.left = "", words, self.left or left

    def read(self, up: UpImage) -> None:
        """Take a read of the PLC; with the first that was asked for after it was put in force, a recipe begins behind it."""
        if self._beginning_ns is not None and up.t_asked_mono_ns >= self._beginning_ns:
            self._since_ns, self._beginning_ns = up.t_mono_ns, None

    def why_not(self, t_trigger_ns: int) -> str:
        """Return why a part triggered then is not to be judged, or ''."""
        if self._until_ns is not None and t_trigger_ns >= self._until_ns:
            return self.busy or self.trouble
        if self._beginning_ns is not None or t_trigger_ns <= self._since_ns:
            return "it was triggered before this recipe was in force"
        return ""

    def of(self, t_trigger_ns: int) -> Serving | None:
        """Return the recipe that a part was triggered under, None while there was none."""
        return None if self.why_not(t_trigger_ns) else self.serving


def _absent(recipe: Recipe) -> Serving:
    raise GatewayError(f"{recipe.model}: this line loads no packages")


class Recipes:
    """A line's recipes; at most one change or test at a time. The line sets the three callables."""

    def __init__(
        self,
        serving: Serving | None,
        *,
        table: Sequence[Recipe] = (),
        authority: Authority = "plc",
        load: Callable[[Recipe], Serving] = _absent,
        remember: Callable[[int], None] = lambda number: None,
        trouble: str = "",
        mono_ns: Callable[[], int],
    ) -> None:
        """Take what is in force at the start; without ``serving``, ``trouble`` says why.

        ``load`` and ``remember`` (which recipe a restart begins with, 0 for none) block, and raise GatewayError in words.
        """
        self.force = InForce(serving, trouble)
        self.is_drained: Callable[[int], bool] = lambda t_mono_ns: True
        """Whether every part triggered up to then has its verdict, and the engine is free."""
        self.on_serving: Callable[[Serving], None] = lambda serving: None
        self.nominal: Callable[[Recipe], Awaitable[None]] = _nothing
        """Brings the adjusted parameters back to the recipe's nominal values, or says that it could not."""
        self._table: Mapping[int, Recipe] = {r.number: r for r in table}
        self._authority = authority
        self._load = load
        self._remember = remember
        self._mono_ns = mono_ns
        self._labels: dict[str, tuple[str, ...]] = {}
        if serving is not None:
            self._labels[serving.model_id] = serving.rule.labels

    def labels(self, model_id: str) -> tuple[str, ...]:
        """Return the labels of a model that has been in force."""
        return self._labels.get(model_id, ())

    @property
    def can_test(self) -> bool:
        """Return whether a test run could begin now."""
        force = self.force
        return force.ready and force.serving is not None and force.serving.test is not None

    async def change(self, number: int, by: Authority, asked_ns: int | None = None) -> str:
        """Set a recipe: drain, load, golden pictures, nominal values; return '' when it is in force, otherwise why it is not.

        Asked by somebody without the authority, or while another change or test is under way, nothing is changed. Any other
        failure leaves no recipe in force. ``asked_ns`` is when it was asked for (monotonic): of parts triggered since then it
        is not certain which recipe they belong to.
        """
        if self.force.busy:
            return f"not now: {self.force.busy}"
        if not self._table:
            return "this line has no recipes; list them in gateway.yaml under `recipes`"
        if by != self._authority:
            return f"this line's recipes are set by {self._authority}, not by {by} (recipe_authority)"
        now_ns = self._mono_ns() if asked_ns is None else asked_ns
        self.force.begin(now_ns, f"recipe {number} is being set", OfflineReason.NO_MODEL)
        try:
            serving = await self._set(number, now_ns)
        except GatewayError as error:
            self.force.fail(f"recipe {number} could not be set: {error}", left=True)
            return str(error)
        gone = [self.force.serving]
        self._labels[serving.model_id] = serving.rule.labels
        self.on_serving(serving)
        self.force.serve(serving, self._mono_ns())
        await asyncio.to_thread(gone.clear)  # a compiled model takes 20 ms to let go of
        return ""

    async def _set(self, number: int, begun_ns: int) -> Serving:
        # First of all: a process that ends in the middle must not come back with the recipe that the line has left.
        await asyncio.to_thread(self._remember, 0)
        recipe = self._table.get(number)
        if recipe is None:
            known = ", ".join(f"{r.number} {r.name}" for r in self._table.values())
            raise GatewayError(f"there is no recipe {number}; gateway.yaml has: {known}")
        await self._drain(begun_ns)
        serving = await asyncio.to_thread(self._load, recipe)
        if serving.test is not None and (golden := await asyncio.to_thread(serving.test)).wrong:
            raise ModelError(str(golden))
        await self.nominal(recipe)
        await asyncio.to_thread(self._remember, number)
        return serving

    async def test_run(self) -> tuple[bool, str]:
        """Judge the golden pictures of the recipe in force; return whether each got its disposition, and what came of it.

        No part is looked at meanwhile. A failure leaves no recipe in force until one is set, or a test run has not failed.
        """
        if self.force.busy:
            return False, f"not now: {self.force.busy}"
        serving = self.force.serving
        if serving is None or self.force.left:
            return False, f"nothing to test: {self.force.trouble}"
        if serving.test is None:
            return False, "there are no golden pictures"
        now_ns = self._mono_ns()
        self.force.begin(now_ns, "a test run is under way", OfflineReason.PLC_REQUEST)
        await self._drain(now_ns)
        try:
            golden = await asyncio.to_thread(serving.test)
        except GatewayError as error:
            self.force.fail(f"the test run failed: {error}", left=False)
            return False, str(error)
        if golden.wrong:
            self.force.fail(f"the test run failed: {golden}", left=False)
        else:
            self.force.serve(serving, self._mono_ns())
        return not golden.wrong, str(golden)

    async def _drain(self, begun_ns: int) -> None:
        """Wait until what was triggered before is over: bounded by the parts' deadlines, and by the self-check if one hangs."""
        while not self.is_drained(begun_ns):  # noqa: ASYNC110 - time makes it so, and nobody who could set an event
            await asyncio.sleep(DRAIN_LOOK_S)


async def _nothing(recipe: Recipe) -> None:
    pass
