"""Commissioning of a live PLC's program: what a person would try with two gateways and a stopwatch, step by step.

It speaks through the same link and drivers as control, so that what passes here is what will run; two links play the owner and
a rival. It must not know the terminal: it is given ``say`` and ``ask``. A part that comes meanwhile gets no token, or
NOT_INSPECTED: nothing is ever passed from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.errors import DeviceError
from gateway.core.handshake import HEARTBEAT_MS, WATCHDOG_MS, AdjustResult, Control, Mode, Outcome, mode_of
from gateway.core.tags import Span
from gateway.doctor.owner import Owner
from gateway.doctor.probe import probe
from gateway.doctor.wire import reading
from gateway.plc.exchange import Exchange
from gateway.plc.maps import LoadedMap

LISTEN_S = 3 * WATCHDOG_MS / 1e3
"""How long to listen for another gateway's heartbeat before anything is written."""
CLAIM_PATIENCE_S = 5.0
RIVAL_S = 1.0
"""How long a rival must be kept waiting while the owner's heart beats."""
TAKEOVER_MS = 1500
"""Watchdog, the claim's repetition and a few scans."""
MEASURE_S = 1.0
PART_PATIENCE_S = 120.0
OUTCOME_PATIENCE_S = 60.0
WORD = "REJECT"

Result = Literal["passed", "failed", "left out"]
TURNED_AWAY = (Outcome.REJECTED, Outcome.CHALLENGE_RECOVERED, Outcome.AUDIT_DIVERTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step has shown."""

    name: str
    result: Result
    words: str
    figures: dict[str, float] = field(default_factory=dict)
    """Measured values by name with their unit (``read_median_ms``)."""


class StopHereError(Exception):
    """A step has failed on which all others rest."""


class Commission:
    """One commissioning of one PLC; :attr:`steps` grows as it goes."""

    def __init__(self, loaded: LoadedMap, say: Callable[[Step], None], ask: Callable[[str], Awaitable[str | None]]) -> None:
        """``say`` is told each step when it is done; ``ask`` puts a question to the person and returns the answer."""
        self._loaded = loaded
        self._say = say
        self._ask = ask
        self.steps: list[Step] = []

    async def run(self) -> list[Step]:
        """Take every step; those that rest on one that failed are left out."""
        with contextlib.suppress(StopHereError):
            await self._look()
            await self._live()
        return self.steps

    @property
    def passed(self) -> bool:
        """Return whether no step has failed and at least the claim was granted."""
        return all(s.result != "failed" for s in self.steps) and any(s.name == "claim" for s in self.steps)

    def _done(self, name: str, result: Result, words: str, **figures: float) -> None:
        step = Step(name=name, result=result, words=words, figures={k: round(v, 2) for k, v in figures.items()})
        self.steps.append(step)
        self._say(step)

    def _judge(self, name: str, good: bool, right: str, wrong: str, *, vital: bool = False, **figures: float) -> None:
        self._done(name, "passed" if good else "failed", right if good else wrong, **figures)
        if vital and not good:
            raise StopHereError

    # -- before anything is written ---------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """See that the blocks are those of the map, that the PLC runs, and that nobody else lives there."""
        exchange, loaded = Exchange(self._loaded.map), self._loaded
        try:
            async with reading(loaded) as reader:
                found = await probe(loaded, reader)
                order = f"SentinelReal and SentinelDWord are right in order {loaded.map.order}"
                self._judge("byte order", not found.sentinels, order, found.sentinels, vital=True)
                same = f"16#{loaded.checksum:08X} on both sides"
                self._judge("interface checksum", not found.checksum, same, found.checksum, vital=True)
                status = Span(block=loaded.map.down, offset=0, length=8)
                beats, lives = [], set()
                until = time.monotonic() + LISTEN_S
                while time.monotonic() < until:
                    beats.append(exchange.values(await reader.read(exchange.up))["PlcHeartbeat"])
                    lives.add(await reader.read(status))
                    await asyncio.sleep(HEARTBEAT_MS / 1e3 / 5)
        except DeviceError as error:
            self._judge("connection", False, "", str(error), vital=True)
        changes = sum(a != b for a, b in zip(beats, beats[1:], strict=False))
        rate = changes / LISTEN_S
        right = f"PlcHeartbeat changes {rate:.1f} times a second"
        wrong = f"{right}; {1e3 / HEARTBEAT_MS:g} are due: is the function block called in every scan, with NowMs in ms?"
        if not changes:
            wrong = "PlcHeartbeat stands still: the PLC is in STOP, or the function block is not called"
        self._judge("PLC heartbeat", rate > 1e3 / WATCHDOG_MS, right, wrong, vital=True, per_s=rate)
        words = "a gateway's heartbeat moves in the gw->plc block: stop that gateway first, then commission again"
        self._judge("nobody else", len(lives) == 1, "no other gateway writes", words, vital=True)

    # -- as owner and as rival --------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        async with self._owner() as first:
            await self._claim(first)
            await self._round_trip(first)
            async with self._owner() as second:
                taken = await self._rival(first, second)
                if taken:
                    await first.leave()
                await self._as_owner(second if taken else first)

    @contextlib.asynccontextmanager
    async def _owner(self) -> AsyncIterator[Owner]:
        owner = Owner(self._loaded)
        try:
            yield owner
        finally:
            await owner.leave()

    async def _claim(self, owner: Owner) -> None:
        begun = time.monotonic()
        owner.start()
        up = await owner.wait(lambda: owner.state == "up", CLAIM_PATIENCE_S)
        took = (time.monotonic() - begun) * 1e3
        wrong = f"no grant within {CLAIM_PATIENCE_S:g} s: {owner.detail or 'OwnerEpochEcho does not take the ClaimNonce'}"
        right = f"epoch 16#{owner.epoch:08X} granted and read back"
        self._judge("claim", up, right, wrong, vital=True, took_ms=took)

    async def _round_trip(self, owner: Owner) -> None:
        owner.read_ms.clear()
        await asyncio.sleep(MEASURE_S)
        trips = sorted(owner.read_ms)
        if owner.state != "up" or len(trips) < 2:
            self._judge("round trip", False, "", f"the link was lost: {owner.detail}", vital=True)
        typical, most, cycle = statistics.median(trips), trips[-1], MEASURE_S * 1e3 / len(trips)
        words = f"a read takes {typical:.1f} ms, {most:.1f} ms at most; a cycle {cycle:.1f} ms"
        self._done("round trip", "passed", words, read_median_ms=typical, read_most_ms=most, cycle_ms=cycle)

    async def _rival(self, first: Owner, second: Owner) -> bool:
        """See the rival wait while the owner's heart beats, and take over when it stops; return whether it did."""
        second.start()
        if not await second.wait(lambda: second.state in ("readonly", "up"), CLAIM_PATIENCE_S):
            words = f"the PLC takes no second connection ({second.detail}): the watchdog could not be tried"
            self._done("rival", "left out", words)
            await second.leave()
            return False
        granted = await second.wait(lambda: second.state == "up", RIVAL_S)
        right = f"a second claim is left unanswered for {RIVAL_S:g} s while the owner's heart beats"
        wrong = "a second claim was granted while the owner's heart beats: two gateways would give verdicts at once"
        self._judge("rival", not granted, right, wrong, vital=True)
        first.beats = False
        stopped = time.monotonic()
        granted = await second.wait(lambda: second.state == "up", TAKEOVER_MS / 1e3)
        took = (time.monotonic() - stopped) * 1e3
        right = f"{took:.0f} ms after the last heartbeat the second claim is granted"
        wrong = f"the owner's heart has stopped and no second claim is granted within {TAKEOVER_MS} ms: is the watchdog there?"
        self._judge("watchdog", granted, right, wrong, vital=True, took_ms=took)
        lost = await first.wait(lambda: bool(first.lost), CLAIM_PATIENCE_S)
        self._judge("owner lost", lost, f"the first one has noticed: {first.lost}", "the first one still thinks that it owns")
        return True

    async def _as_owner(self, owner: Owner) -> None:
        await self._adjust(owner)
        await self._reject(owner)

    async def _adjust(self, owner: Owner) -> None:
        """Ask the PLC for the value that a parameter has anyway."""
        params, up = self._loaded.map.params(), owner.up
        if not params or up is None:
            self._done("adjustment", "left out", "the map has no parameter")
            return
        if not up.control & Control.ADJUST_PERMIT:
            self._done("adjustment", "left out", "AdjustPermit is low: turn the key switch and commission again to try it")
            return
        name = params[0].name
        value = float(up.values[name])
        begun = time.monotonic()
        try:
            result, echoed = await owner.link.adjust(0, value, value)
        except DeviceError as error:
            self._done("adjustment", "failed", f"{name}: {error}")
            return
        took = (time.monotonic() - begun) * 1e3
        good = result is AdjustResult.ACCEPTED and abs(echoed - value) <= 1e-5 * max(1.0, abs(value))
        right = f"{name} was asked to stay at {value:g}: Seq, Result and Value came back"
        wrong = f"{name} was asked to stay at {value:g}: the PLC answers {result.name} with {echoed:g}"
        self._judge("adjustment", good, right, wrong, took_ms=took)

    async def _reject(self, owner: Owner) -> None:
        """Give the next part a NOT_INSPECTED and read back what became of it; only after a person has said so."""
        if owner.up is not None and (mode := mode_of(owner.up.control)) is not Mode.AUTOMATIC:
            self._done(
                "reject", "left out", f"the key switch is in {mode.name}; turn it to Automatic to try the reject station"
            )
            return
        question = (
            "The reject station will be tried: TriggerReady rises, and every part that comes is turned away. Hands off.\n"
            f"Type {WORD} to go on, anything else to leave it out: "
        )
        if (await self._ask(question) or "").strip() != WORD:
            self._done("reject", "left out", "nobody has confirmed it")
            return
        if owner.state != "up":
            self._done("reject", "failed", f"the link was lost meanwhile: {owner.detail}")
            return
        owner.admit()
        try:
            if not await owner.wait(lambda: bool(owner.parts), PART_PATIENCE_S):
                self._done("reject", "failed", f"no part came within {PART_PATIENCE_S:g} s: PartId does not change")
                return
            part = owner.parts[0]
            acked = await owner.wait(lambda: part in owner.acked_ms, CLAIM_PATIENCE_S)
            if not acked:
                self._done("reject", "failed", f"part {part}: the PLC did not take the token: {owner.detail}")
                return
            owner.ready = False
            begun = time.monotonic()
            if not await owner.wait(lambda: part in owner.outcomes, OUTCOME_PATIENCE_S):
                words = f"part {part} had its NOT_INSPECTED, but no outcome came within {OUTCOME_PATIENCE_S:g} s"
                self._done("reject", "failed", words)
                return
        finally:
            owner.ready = False
        outcome = owner.outcomes[part]
        token_ms, outcome_s = owner.acked_ms[part], time.monotonic() - begun
        right = f"part {part} had NOT_INSPECTED {token_ms:.0f} ms after its trigger was read; outcome {outcome.name}"
        wrong = f"part {part} had NOT_INSPECTED and its outcome is {outcome.name}: the reject station does not work"
        self._judge("reject", outcome in TURNED_AWAY, right, wrong, token_ms=token_ms, outcome_s=outcome_s)
