"""The physics of one line: belt and encoder, press, photo-eye, camera, gate and reject bin, and the parts on their way.

Pure and seeded: time and the gate's state come in, what happened comes out. It keeps the truth about every part and knows
no PLC program, no protocol and no picture.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simulators.process import Truth
from simulators.scenario import Belt

#: Added to a predicted time, so that the belt has surely moved that far by then; far below a count.
_AFTER_MS = 1e-3


class Maker(Protocol):
    """Who decides what a part is, at the moment when it is made."""

    def make(self, n: int) -> Truth:
        """Make physical part ``n``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A physical part and its truth; ``n`` counts from 1."""

    n: int
    truth: Truth
    at: int
    """Belt travel in counts at which it passes the photo-eye."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A part at a place: when, and the encoder as hardware latches it there."""

    part: Part
    t_ms: float
    encoder: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """What happened since the last call, each kind in order."""

    made: tuple[Part, ...]
    edges: tuple[Moment, ...]
    """Parts that passed the photo-eye."""
    exposures: tuple[Moment, ...]
    """Parts that were exposed."""
    arrivals: tuple[Moment, ...]
    """Parts that reached the gate; ``passed`` and ``slipped`` say what became of them."""
    passed: bool
    """How the gate was driven: whatever arrived has passed or was turned away, but for those in ``slipped``."""
    slipped: frozenset[int] = frozenset()
    """Numbers of the parts that passed although the gate was driven closed: its ejector was stuck."""
    rechecked: bool = False
    """What arrived and has not passed went to the recheck exit, not into the bin."""
    fallen: tuple[Moment, ...] = ()
    """Parts that fell past the sensor of the reject bin."""


class World:
    """The belt runs from the beginning; parts come once :meth:`feed` was called."""

    def __init__(self, belt: Belt, maker: Maker, *, parts_per_s: float, start_ms: float, seed: int) -> None:
        """``start_ms`` is the caller's time now; all times are on that scale."""
        self._belt = belt
        self._maker = maker
        self._start_ms = start_ms
        self._counts_per_ms = parts_per_s * belt.spacing / 1e3
        self._press = round(belt.press_spacings * belt.spacing)
        self._rng = np.random.default_rng([seed, 2])
        self._now_ms = start_ms
        self._to_feed: float = 0
        self._next_at = 0
        self._to_eye: deque[Part] = deque()
        self._to_camera: deque[Part] = deque()
        self._to_gate: deque[Part] = deque()
        self._to_bin: deque[Part] = deque()
        self._stuck_for: set[int] = set()
        self._stands_since_ms: float | None = None
        self.made = 0
        """Parts made so far."""

    @property
    def counts_per_ms(self) -> float:
        """Return the belt's speed."""
        return self._counts_per_ms

    @property
    def idle(self) -> bool:
        """Return whether every part that was to be fed has left the gate."""
        return self._to_feed == 0 and not self._to_eye and not self._to_gate

    @property
    def fed_at_all(self) -> bool:
        """Return whether :meth:`feed` was called."""
        return self._next_at > 0

    def travel(self, t_ms: float) -> float:
        """Return how far the belt has moved since the start, in counts."""
        moved_until = t_ms if self._stands_since_ms is None else self._stands_since_ms
        return (moved_until - self._start_ms) * self._counts_per_ms

    def encoder(self, t_ms: float) -> int:
        """Return the encoder's 32-bit counter."""
        return self._encoder_at(math.floor(self.travel(t_ms)))

    def feed(self, count: float) -> None:
        """Let the press make ``count`` parts from now on; infinity = without end."""
        if not self.fed_at_all:
            self._next_at = math.floor(self.travel(self._now_ms)) + self._press + self._belt.spacing
        self._to_feed += count

    def halt(self) -> None:
        """Let the press make no more parts; those made go on."""
        self._to_feed = 0

    @property
    def stands(self) -> bool:
        """Return whether the belt was stopped."""
        return self._stands_since_ms is not None

    def stop(self) -> None:
        """Stop the belt at the time reached; no part moves before :meth:`go_on`."""
        if self._stands_since_ms is None:
            self._stands_since_ms = self._now_ms

    def go_on(self) -> None:
        """Let the belt run on from the time reached."""
        if self._stands_since_ms is not None:
            self._start_ms += self._now_ms - self._stands_since_ms
            self._stands_since_ms = None

    def jam(self, first: int, count: int) -> None:
        """Let the ejector be stuck with the gate open for ``count`` physical parts from number ``first``."""
        self._stuck_for.update(range(first, first + count))

    def next_exposure_ms(self) -> float:
        """Return when the next part will be exposed; infinity when none is on its way yet, or the belt stands."""
        upcoming = self._to_camera or self._to_eye
        if not upcoming or self.stands:
            return math.inf
        return self._when(upcoming[0].at + self._belt.camera_offset) + _AFTER_MS

    def advance(self, to_ms: float, *, gate_open: bool, recheck_open: bool = False) -> Happened:
        """Let time pass to ``to_ms``, which never goes back; the gates were driven as given all the while."""
        self._now_ms = max(self._now_ms, to_ms)
        travel = self.travel(self._now_ms)
        made = self._make(travel)
        edges = self._reached(self._to_eye, 0, travel)
        self._to_camera.extend(m.part for m in edges)
        self._to_gate.extend(m.part for m in edges)
        exposures = self._reached(self._to_camera, self._belt.camera_offset, travel)
        arrivals = self._reached(self._to_gate, self._belt.eye_to_gate, travel)
        slipped: frozenset[int] = frozenset()
        if not gate_open and not recheck_open:
            slipped = frozenset(m.part.n for m in arrivals if m.part.n in self._stuck_for)
            self._to_bin.extend(m.part for m in arrivals if m.part.n not in slipped)
        return Happened(
            made=tuple(made),
            edges=edges,
            exposures=exposures,
            arrivals=arrivals,
            passed=gate_open,
            slipped=slipped,
            rechecked=recheck_open,
            fallen=self._reached(self._to_bin, self._belt.eye_to_gate + self._belt.gate_to_bin, travel),
        )

    def _make(self, travel: float) -> list[Part]:
        made = []
        least, most = self._belt.least_spacing, math.floor(self._belt.spacing * (1 + self._belt.jitter))
        while self._to_feed and travel >= self._next_at - self._press:
            self.made += 1
            part = Part(n=self.made, truth=self._maker.make(self.made), at=self._next_at)
            made.append(part)
            self._to_eye.append(part)
            self._to_feed -= 1
            self._next_at += int(self._rng.integers(least, most + 1))
        return made

    def _reached(self, queue: deque[Part], place: int, travel: float) -> tuple[Moment, ...]:
        """Take from ``queue`` the parts that have come to ``place`` (counts behind the photo-eye)."""
        reached = []
        while queue and travel >= queue[0].at + place:
            part = queue.popleft()
            reached.append(Moment(part=part, t_ms=self._when(part.at + place), encoder=self._encoder_at(part.at + place)))
        return tuple(reached)

    def _when(self, travel: float) -> float:
        return self._start_ms + travel / self._counts_per_ms

    def _encoder_at(self, travel: int) -> int:
        return (self._belt.encoder_start + travel) & 0xFFFFFFFF
