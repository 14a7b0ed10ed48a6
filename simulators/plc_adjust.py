"""Set-points and the request by which a gateway asks for another value, as the PLC answers it.

Stands apart because a process parameter is the one thing a gateway can change on the machine. It knows the map's parameters
and their ranges and the key switch; it does not know why a change is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from gateway.core.tags import Tag, TagMap
from simulators.plc_memory import Analog, BlockMemory

ACCEPTED = 1
CLAMPED = 2
NO_PERMIT = 3
STALE_EXPECTED_OLD = 4
UNKNOWN_INDEX = 5
OUT_OF_RANGE = 6

_NAMES = {
    ACCEPTED: "accepted",
    CLAMPED: "clamped",
    NO_PERMIT: "no permit",
    STALE_EXPECTED_OLD: "stale expected-old",
    UNKNOWN_INDEX: "unknown index",
    OUT_OF_RANGE: "out of range",
}


class AdjustService:
    """The current set-points, mirrored into the up block, and the answer to each new AdjustSeq."""

    def __init__(self, tag_map: TagMap, up: BlockMemory, down: BlockMemory, params: Mapping[str, float]) -> None:
        """Start from ``params`` by tag name; a parameter that is not given starts in the middle of its range."""
        self._tags = tag_map.params()
        self._mirrors = [Analog(up.cell(tag.name), tag.scale) for tag in self._tags]
        self._values = [float(params.get(tag.name, _middle(tag))) for tag in self._tags]
        self._seq = down.role("adjust.seq")
        self._index = down.role("adjust.index")
        self._value = down.role("adjust.value")
        self._expected = down.role("adjust.expected")
        self._echo_seq = up.role("adjust.echo.seq")
        self._echo_result = up.role("adjust.echo.result")
        self._echo_value = up.role("adjust.echo.value")
        self._last_seq = 0

    def values(self) -> dict[str, float]:
        """Return the set-points by tag name, in engineering units."""
        return {tag.name: value for tag, value in zip(self._tags, self._values, strict=True)}

    def reset(self) -> None:
        """Begin anew after the memory was cleared: set-points are retained, requests are not."""
        self.baseline()
        self._mirror()

    def baseline(self) -> None:
        """Take the AdjustSeq that stands in the block as seen: it is no request.

        It is echoed without a result, so that a gateway which counts on from the echo never repeats it.
        """
        self._last_seq = self._seq.integer()
        if self._echo_seq.integer() != self._last_seq:
            self._echo_result.set(0)
            self._echo_value.set(0.0)
            self._echo_seq.set(self._last_seq)

    def scan(self, *, permit: bool, hmi: Mapping[str, float] | None = None) -> str:
        """Answer a new request, its AdjustSeqEcho last; return the answer in words, or "" if there was none.

        ``hmi``: set-points written by an HMI meanwhile, which are brought into their range first.
        """
        if hmi:
            self._take(hmi)
        seq = self._seq.integer()
        if seq == self._last_seq:
            return ""
        self._last_seq = seq
        if seq == 0:
            return ""
        index = self._index.integer()
        result = self._answer(index, permit=permit)
        self._mirror()
        known = index < len(self._tags)
        current = self._values[index] if known else 0.0
        self._echo_result.set(result)
        self._echo_value.set(current)
        self._echo_seq.set(seq)
        return f"{self._tags[index].name if known else index}: {_NAMES[result]}, {current:g}"

    def _take(self, hmi: Mapping[str, float]) -> None:
        for i, tag in enumerate(self._tags):
            if (value := hmi.get(tag.name)) is not None:
                low, high = tag.range or (0.0, 0.0)
                # What is no number goes to the low edge, as the comparisons of the PLC's program take it.
                self._values[i] = low if math.isnan(value) else min(max(value, low), high)
        self._mirror()

    def _answer(self, index: int, *, permit: bool) -> int:
        """Judge one request and, if it is granted, change the set-point. A value beyond the range is brought to its edge."""
        if not permit:
            return NO_PERMIT
        if index >= len(self._tags):
            return UNKNOWN_INDEX
        current = self._values[index]
        value = float(self._value.get())
        low, high = self._tags[index].range or (-math.inf, math.inf)
        span = high - low if math.isfinite(high - low) else max(1.0, abs(current))
        if not abs(float(self._expected.get()) - current) <= 1e-3 * span:
            return STALE_EXPECTED_OLD
        if not math.isfinite(value):
            return OUT_OF_RANGE
        self._values[index] = min(max(value, low), high)
        return ACCEPTED if low <= value <= high else CLAMPED

    def _mirror(self) -> None:
        for mirror, value in zip(self._mirrors, self._values, strict=True):
            mirror.set(value)


def _middle(tag: Tag) -> float:
    return (tag.range[0] + tag.range[1]) / 2 if tag.range else 0.0
