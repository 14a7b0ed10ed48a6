"""The only door to a PLC write: verdict tokens, the status section, and guarded parameter adjustments.

Every write that leaves the gateway is decided here; the link only carries it.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.core.commands import AdjustParameter, Answer
from gateway.core.errors import DeviceError
from gateway.core.handshake import (
    SLOTS,
    AdjustResult,
    Control,
    ErrorCode,
    Mode,
    OfflineReason,
    Status1,
    Status2,
    StopReason,
    VerdictRing,
    mode_of,
)
from gateway.core.tags import Scalar, Tag, TagMap
from gateway.core.verdict import Disposition, Verdict
from gateway.plc.link import Link
from gateway.plc.listener import UpImage

REMEMBERED_COMMANDS = 256
READ_BACK_NS = 1_000_000_000
"""How long after its acceptance a value may take to show in the PLC's block."""
#: Differences below this share of a parameter's span are one value: the PLC holds it as a 32-bit Real.
TOLERANCE = 1e-4


@dataclass(slots=True)
class Status:
    """The status section's changing part, by meaning."""

    ready: bool = False
    online: bool = False
    offline_reason: OfflineReason = OfflineReason.STARTING
    error: ErrorCode = ErrorCode.NONE
    stop_reason: StopReason = StopReason.NONE
    completed: bool = False
    disposition: Disposition | None = None
    late: bool = False
    result_code: int = 0
    part_id: int = 0
    inspection_id: int = 0
    encoder: int = 0
    score: float = 0.0
    latency_ms: float = 0.0
    model_version: int = 0
    config_checksum: int = 0
    simulated: bool = False
    """Pictures come from files or a simulation: the PLC must reject unless it is simulated itself."""

    def section(self) -> Mapping[str, Scalar]:
        """Return the section's values by role."""
        one = Status1.TRIGGER_READY if self.ready else Status1(0)
        if self.online:
            one |= Status1.ONLINE
        if self.completed:
            one |= Status1.INSPECTION_COMPLETED
        if self.error:
            one |= Status1.ERROR
        two = {
            Disposition.PASS: Status2.PASS,
            Disposition.FAIL: Status2.FAIL,
            Disposition.NOT_INSPECTED: Status2.NOT_INSPECTED,
            None: Status2(0),
        }[self.disposition]
        if self.late:
            two |= Status2.RESULT_TIMEOUT
        if self.stop_reason:
            two |= Status2.STOP_REQUEST
        if self.simulated:
            two |= Status2.SIMULATED
        return {
            "status1": int(one) | (int(self.offline_reason) << 4),
            "status2": int(two),
            "error.code": int(self.error),
            "stop.reason": int(self.stop_reason),
            "result.code": self.result_code,
            "inspection.id": self.inspection_id,
            "acquisition.id": self.inspection_id,
            "result.part.id": self.part_id,
            "encoder.echo": self.encoder,
            "score": self.score,
            "latency": self.latency_ms,
            "buffers.remaining": SLOTS,
            "model.version": self.model_version,
            "config.checksum": self.config_checksum,
        }


class Writer:
    """Holds the token ring and the parameter whitelist (the map's ``role: param`` tags)."""

    def __init__(self, tag_map: TagMap, *, mono_ns: Callable[[], int]) -> None:
        """Start with an empty ring; :attr:`link` is set once the link exists."""
        self.ring = VerdictRing()
        self.status = Status()
        self.link: Link | None = None
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

        False when this gateway owns no epoch now, or the part (or a later one in its slot) has a token.
        """
        if self.link is None or not self.epoch or not self.ring.put(verdict.part_id, verdict.disposition, self.epoch):
            return False
        self.link.tokens_changed()
        return True

    # -- parameters -------------------------------------------------------------------------------------------------------

    def knows(self, command_id: str) -> bool:
        """Return whether this command was answered before or is under way."""
        return command_id in self._answers or (self._open is not None and self._open[0] == command_id)

    async def adjust(self, command: AdjustParameter, up: UpImage | None) -> Answer:
        """Carry out one adjustment, or say why not; the same id gets the same answer again, also while it is under way.

        ``up`` is the newest image of the PLC. The answer's ``result`` is ``confirmed`` only after the PLC accepted the request
        and the parameter was read back with the new value; ``blocked:`` means that nothing was sent, ``refused:`` that the PLC
        said no or did not apply it, ``unknown:`` that no answer came.
        """
        if (known := self._answers.get(command.id)) is not None:
            return known
        if self._open is not None and self._open[0] == command.id:
            return await asyncio.shield(self._open[1])
        blocked = self._why_not(command, up)
        old = self._current(command.tag, up)
        if blocked:
            return Answer(id=command.id, result=f"blocked: {blocked}", old=old)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open = (command.id, future)
        try:
            result, new = await self._request(command)
            answer = Answer(id=command.id, result=result, old=old, new=new)
            future.set_result(answer)
        finally:
            self._open = None
            future.cancel()
        self._answers[command.id] = answer
        while len(self._answers) > REMEMBERED_COMMANDS:
            self._answers.popitem(last=False)
        return answer

    async def _request(self, command: AdjustParameter) -> tuple[str, float | None]:
        """Send the request and read the parameter back; return the result and what the PLC holds, None if that is unknown."""
        assert self.link is not None  # noqa: S101 - _why_not has seen to it
        index, tag = self._params[command.tag]
        self._moves[command.tag].append(self._mono_ns())
        try:
            verdict, echoed = await self.link.adjust(index, command.value, command.expected_old)
            if verdict is not AdjustResult.ACCEPTED:
                return f"refused: {verdict.name}", echoed if math.isfinite(echoed) else None
            until_ns = self._mono_ns() + READ_BACK_NS
            while True:
                holds = self._current(command.tag, await self.link.next_image())
                if holds is not None and self._same(tag, holds, command.value):
                    return "confirmed", holds
                if self._mono_ns() > until_ns:
                    return f"refused: accepted, but the PLC holds {holds}", holds
        except DeviceError as error:
            return f"unknown: {error}", None

    def _why_not(self, command: AdjustParameter, up: UpImage | None) -> str:
        if command.tag not in self._params:
            return f"{command.tag} is not on the whitelist (role: param in the tag map)"
        if self._open is not None:
            return "another adjustment is under way"
        if self.link is None or self.link.state != "up" or up is None:
            return "the PLC link is not up"
        if not up.control & Control.ADJUST_PERMIT:
            return "the PLC's AdjustPermit is off"
        if mode_of(up.control) is not Mode.AUTOMATIC:
            return f"the line is in mode {mode_of(up.control).name}"
        _, tag = self._params[command.tag]
        low, high = tag.range or (math.inf, -math.inf)
        if not (math.isfinite(command.value) and low <= command.value <= high):
            return f"{command.value:g} is outside {low:g} … {high:g} {tag.unit}"
        old = self._current(command.tag, up)
        if old is None or not self._same(tag, old, command.expected_old):
            return f"the PLC holds {old}, expected was {command.expected_old:g}"
        span = high - low
        if tag.step is None or abs(command.value - old) > tag.step + TOLERANCE * span:
            return f"a move of {command.value - old:+g} exceeds the step limit of {tag.step} {tag.unit}"
        if tag.rate_per_min is None:
            return f"{command.tag} has no rate_per_min"
        # Less than one a minute is one in a longer time.
        most, span_s = (int(tag.rate_per_min), 60.0) if tag.rate_per_min >= 1 else (1, 60.0 / tag.rate_per_min)
        moves = self._moves[command.tag]
        while moves and moves[0] <= self._mono_ns() - span_s * 1e9:
            moves.popleft()
        if len(moves) >= most:
            return f"{len(moves)} moves in the last {span_s:g} s, {most} allowed"
        return ""

    def _current(self, name: str, up: UpImage | None) -> float | None:
        value = None if up is None else up.values.get(name)
        return float(value) if value is not None and math.isfinite(value) else None

    @staticmethod
    def _same(tag: Tag, a: float, b: float) -> bool:
        low, high = tag.range or (0.0, 0.0)
        return abs(a - b) <= TOLERANCE * (high - low)
