"""The only door to a PLC write: verdict tokens, the status section (``status.py``), and guarded parameter adjustments.

Every write that leaves the gateway is decided here; the link only carries it.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Callable

from gateway.control.status import Status
from gateway.core.commands import AdjustParameter, Answer
from gateway.core.errors import DeviceError
from gateway.core.handshake import AdjustResult, Control, Mode, VerdictRing, mode_of
from gateway.core.tags import Tag, TagMap
from gateway.core.verdict import Verdict
from gateway.plc.link import Link
from gateway.plc.listener import UpImage

REMEMBERED_COMMANDS = 256
READ_BACK_NS = 1_000_000_000
"""How long after its acceptance a value may take to show in the PLC's block."""
WAYS_BACK = 2
"""How often the last good value is asked for when a new one was accepted and not applied: once, and one retry."""
#: Differences below this share of a parameter's span are one value: the PLC holds it as a 32-bit Real.
TOLERANCE = 1e-4


class Writer:
    """Holds the token ring and the parameter whitelist (the map's ``role: param`` tags)."""

    def __init__(self, tag_map: TagMap, *, mono_ns: Callable[[], int], monitor_only: bool = False) -> None:
        """Start with an empty ring; :attr:`link` is set once the link exists. ``monitor_only``: nothing may be written."""
        self.monitor_only = monitor_only
        self.ring = VerdictRing()
        self.status = Status()
        self.link: Link | None = None
        self.on_not_applied: Callable[[str], None] = lambda words: None
        """Told, in words, of a value that the PLC accepted and did not apply; set by the line."""
        self._mono_ns = mono_ns
        self._params: dict[str, tuple[int, Tag]] = {t.name: (i, t) for i, t in enumerate(tag_map.params())}
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._open: tuple[str, asyncio.Future[Answer]] | None = None
        self._moves: dict[str, deque[int]] = {name: deque() for name in self._params}

    # -- tokens -----------------------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Return the OwnerEpoch that tokens are given under; 0 when this gateway owns nothing."""
        return self.link.epoch if self.link is not None else 0

    def give(self, verdict: Verdict) -> bool:
        """Put the verdict's token into the ring and have it written.

        False when this gateway only watches or owns no epoch now, or the part (or a later one in its slot) has a token.
        """
        if self.monitor_only or self.link is None or not self.epoch:
            return False
        if not self.ring.put(verdict.part_id, verdict.disposition, self.epoch):
            return False
        self.link.tokens_changed()
        return True

    def status_changed(self) -> None:
        """Have the status section written at once."""
        if self.link is not None:
            self.link.status_changed()

    # -- parameters -------------------------------------------------------------------------------------------------------

    @property
    def params(self) -> dict[str, Tag]:
        """Return the parameters that may be moved, by name."""
        return {name: tag for name, (_, tag) in self._params.items()}

    def holds(self, name: str, up: UpImage | None) -> float | None:
        """Return what the PLC holds of a parameter in this image, None when that is not known."""
        return self._current(name, up)

    def knows(self, command_id: str) -> bool:
        """Return whether this command was answered before or is under way."""
        return command_id in self._answers or (self._open is not None and self._open[0] == command_id)

    async def adjust(self, command: AdjustParameter, up: UpImage | None) -> Answer:
        """Carry out one adjustment, or say why not; the same id gets the same answer again, also while it is under way.

        ``up`` is the newest image of the PLC. The answer's ``result`` is ``confirmed`` only after the PLC accepted the request
        and the parameter was read back with the new value; ``blocked:`` means that nothing was sent, ``refused:`` that the PLC
        said no or did not apply it, ``unknown:`` that no answer came. A value that was accepted and not applied is followed by
        a request for the one before it, and ``new`` is what stands after that.
        """
        if (known := self._answers.get(command.id)) is not None:
            return known
        if self._open is not None and self._open[0] == command.id:
            return await asyncio.shield(self._open[1])
        blocked = self._why_not(command, up)
        old = self._current(command.tag, up)
        if blocked:
            return Answer(id=command.id, result=f"blocked: {blocked}", old=old)
        assert old is not None  # noqa: S101 - _why_not has seen to it
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open = (command.id, future)
        try:
            result, new = await self._request(command, old)
            answer = Answer(id=command.id, result=result, old=old, new=new)
            future.set_result(answer)
        finally:
            self._open = None
            future.cancel()
        self._answers[command.id] = answer
        while len(self._answers) > REMEMBERED_COMMANDS:
            self._answers.popitem(last=False)
        return answer

    async def _request(self, command: AdjustParameter, old: float) -> tuple[str, float | None]:
        """Send the request and read the parameter back; return the result and what the PLC holds, None if that is unknown."""
        assert self.link is not None  # noqa: S101 - _why_not has seen to it
        epoch = self.epoch
        trouble = ""
        try:
            verdict, echoed = await self._send(command.tag, command.value, command.expected_old)
            if verdict is not AdjustResult.ACCEPTED:
                return f"refused: {verdict.name}", echoed if math.isfinite(echoed) else None
            applied, up = await self._read_back(command.tag, command.value)
            if applied:
                return "confirmed", self._current(command.tag, up)
            holds = self._current(command.tag, up)
            trouble = f"accepted, but the PLC holds {'no value' if holds is None else f'{holds:g}'}; "
            self.on_not_applied(f"{command.tag} {old:g} → {command.value:g}: {trouble}going back")
            why, holds = await self._go_back(command.tag, old, up, epoch)
            return f"refused: {trouble}{why}", holds
        except DeviceError as error:
            return f"unknown: {trouble}{error}", None

    async def _go_back(self, name: str, good: float, up: UpImage, epoch: int) -> tuple[str, float | None]:
        """Ask for the last good value again; return in words what came of it, and what the PLC holds.

        The rate limit does not hold up the way back, but every other gate does: a value more than a step away from the last
        good one is somebody else's doing, and another owner, another mode or a permit withdrawn end it. DeviceError when the
        answer is lost: the request may have been carried out.
        """
        assert self.link is not None  # noqa: S101 - _why_not has seen to it
        expected = self._current(name, up)
        for _ in range(WAYS_BACK):
            holds = self._current(name, up)
            if expected is None:
                return "no way back: it is not known what to go back from", holds
            if why_not := self._why_no_write(up, epoch) or self._why_no_move(name, expected, good):
                return f"no way back: {why_not}", holds
            verdict, echoed = await self._send(name, good, expected)
            if verdict is AdjustResult.ACCEPTED:
                back, up = await self._read_back(name, good)
                expected = self._current(name, up)
                if back:
                    return f"went back to {good:g}", expected
            elif verdict is AdjustResult.STALE_EXPECTED_OLD:
                # The refusal tells what the PLC holds, which its block did not show.
                expected = echoed if math.isfinite(echoed) else None
                up = await self.link.next_image()
            else:
                return f"no way back: {verdict.name}", echoed if math.isfinite(echoed) else None
        return f"no way back in {WAYS_BACK} requests", self._current(name, up)

    async def _send(self, name: str, value: float, expected_old: float) -> tuple[AdjustResult, float]:
        assert self.link is not None  # noqa: S101 - _why_not has seen to it
        self._moves[name].append(self._mono_ns())
        return await self.link.adjust(self._params[name][0], value, expected_old)

    async def _read_back(self, name: str, value: float) -> tuple[bool, UpImage]:
        """Return whether the PLC shows the value within the time, and the image that tells."""
        assert self.link is not None  # noqa: S101 - _why_not has seen to it
        _, tag = self._params[name]
        until_ns = self._mono_ns() + READ_BACK_NS
        while True:
            up = await self.link.next_image()
            holds = self._current(name, up)
            if holds is not None and self._same(tag, holds, value):
                return True, up
            if self._mono_ns() > until_ns:
                return False, up

    def _why_not(self, command: AdjustParameter, up: UpImage | None) -> str:
        if command.tag not in self._params:
            return f"{command.tag} is not on the whitelist (role: param in the tag map)"
        if self._open is not None:
            return "another adjustment is under way"
        if why_not := self._why_no_write(up, self.epoch):
            return why_not
        _, tag = self._params[command.tag]
        old = self._current(command.tag, up)
        if old is None or not self._same(tag, old, command.expected_old):
            return f"the PLC holds {old}, expected was {command.expected_old:g}"
        return self._why_no_move(command.tag, old, command.value) or self._why_not_yet(command.tag)

    def _why_no_write(self, up: UpImage | None, epoch: int) -> str:
        """Return why no parameter may be written now at all, or as the owner of that epoch, or ''."""
        if self.monitor_only:
            return "this gateway only watches (--monitor-only)"
        if self.link is None or self.link.state != "up" or up is None:
            return "the PLC link is not up"
        if self.epoch != epoch:
            return "the line has had another owner since"
        if not up.control & Control.ADJUST_PERMIT:
            return "the PLC's AdjustPermit is off"
        if mode_of(up.control) is not Mode.AUTOMATIC:
            return f"the line is in mode {mode_of(up.control).name}"
        return ""

    def _why_no_move(self, name: str, old: float, value: float) -> str:
        """Return why the parameter may not be brought from ``old`` to ``value``, or ''."""
        _, tag = self._params[name]
        low, high = tag.range or (math.inf, -math.inf)
        if not (math.isfinite(value) and low <= value <= high):
            return f"{value:g} is outside {low:g} … {high:g} {tag.unit}"
        if tag.step is None or abs(value - old) > tag.step + TOLERANCE * (high - low):
            return f"a move of {value - old:+g} exceeds the step limit of {tag.step} {tag.unit}"
        return ""

    def _why_not_yet(self, name: str) -> str:
        """Return why the parameter has been moved too often lately, or ''."""
        _, tag = self._params[name]
        if tag.rate_per_min is None:
            return f"{name} has no rate_per_min"
        # Less than one a minute is one in a longer time.
        most, span_s = (int(tag.rate_per_min), 60.0) if tag.rate_per_min >= 1 else (1, 60.0 / tag.rate_per_min)
        moves = self._moves[name]
        while moves and moves[0] <= self._mono_ns() - span_s * 1e9:
            moves.popleft()
        if len(moves) >= most:
            return f"{len(moves)} moves in the last {span_s:g} s, {most} allowed"
        return ""

    def _current(self, name: str, up: UpImage | None) -> float | None:
        value = None if up is None else up.values.get(name)
        return float(value) if value is not None and math.isfinite(float(value)) else None

    @staticmethod
    def _same(tag: Tag, a: float, b: float) -> bool:
        low, high = tag.range or (0.0, 0.0)
        return abs(a - b) <= TOLERANCE * (high - low)
