"""The only door to a PLC write: verdict tokens, the status section, and guarded parameter adjustments.

Every write that leaves the gateway is decided here; the link only carries it.
"""

from __future__ import annotations

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
from gateway.plc.link import Link, UpImage

REMEMBERED_COMMANDS = 256
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
        self._moves: dict[str, deque[int]] = {name: deque(maxlen=64) for name in self._params}

    # -- tokens -----------------------------------------------------------------------------------------------------------

    def give(self, verdict: Verdict) -> bool:
        """Put the verdict's token into the ring and have it written; False when this gateway owns no epoch now."""
        if self.link is None or not self.link.epoch:
            return False
        if not self.ring.put(verdict.part_id, verdict.disposition, self.link.epoch):
            return False
        self.link.tokens_changed()
        return True

    # -- parameters -------------------------------------------------------------------------------------------------------

    async def adjust(self, command: AdjustParameter, up: UpImage | None) -> Answer:
        """Carry out one adjustment, or say why not; the same id gets the same answer again.

        ``up`` is the newest image of the PLC. The answer's ``result`` is ``confirmed`` only after the PLC accepted the request and
        echoed the value; ``blocked:`` means that nothing was sent, ``refused:`` that the PLC said no, ``unknown:`` that no answer
        came and the value must be read back.
        """
        known = self._answers.get(command.id)
        if known is not None:
            return known
        blocked = self._why_not(command, up)
        if blocked:
            return Answer(id=command.id, result=f"blocked: {blocked}", old=self._current(command.tag, up))
        index, tag = self._params[command.tag]
        old = self._current(command.tag, up)
        self._moves[command.tag].append(self._mono_ns())
        try:
            assert self.link is not None  # noqa: S101 - _why_not has seen to it
            result, value = await self.link.adjust(index, command.value, command.expected_old)
        except DeviceError as error:
            answer = Answer(id=command.id, result=f"unknown: {error}", old=old)
        else:
            if result is AdjustResult.ACCEPTED and self._same(tag, value, command.value):
                answer = Answer(id=command.id, result="confirmed", old=old, new=value)
            elif result is AdjustResult.ACCEPTED:
                answer = Answer(id=command.id, result=f"refused: accepted, but the PLC holds {value:g}", old=old, new=value)
            else:
                answer = Answer(id=command.id, result=f"refused: {result.name}", old=old, new=value)
        self._answers[command.id] = answer
        while len(self._answers) > REMEMBERED_COMMANDS:
            self._answers.popitem(last=False)
        return answer

    def _why_not(self, command: AdjustParameter, up: UpImage | None) -> str:
        if command.tag not in self._params:
            return f"{command.tag} is not on the whitelist (role: param in the tag map)"
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
        minute_ago = self._mono_ns() - 60_000_000_000
        recent = sum(1 for t in self._moves[command.tag] if t > minute_ago)
        if tag.rate_per_min is None or recent + 1 > tag.rate_per_min:
            return f"{recent} moves in the last minute, {tag.rate_per_min} are allowed"
        return ""

    def _current(self, name: str, up: UpImage | None) -> float | None:
        value = None if up is None else up.values.get(name)
        return None if value is None else float(value)

    @staticmethod
    def _same(tag: Tag, a: float, b: float) -> bool:
        low, high = tag.range or (0.0, 0.0)
        return abs(a - b) <= TOLERANCE * (high - low)
