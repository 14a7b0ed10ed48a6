"""One guarded adjustment: on a trend, one bounded step of one whitelisted parameter, or the reason why not.

It stands between the statistics and the machine, so every fact that it is not given counts against the step. Whether the PLC
then takes the step is decided by control's writer and by the PLC, each for itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_PART_AGE_NS = 10 * 10**9
MAX_VALUE_AGE_NS = 3 * 10**9
PAUSE_NS = 60 * 10**9
"""How long a request that was not carried out keeps its rule quiet."""
SAME = 1e-3
"""Differences below this share of a parameter's range are one value: PLCs hold Reals and scaled integers."""

Why = Literal["stale", "imaging", "line", "process", "mode", "permit", "foreign", "other", "escalated", "range", "pause"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Baseline(_Strict):
    """What was counted while the process was known to be in order."""

    parts: int = Field(ge=100)
    """Inspected parts."""
    defects: int = Field(ge=0)
    """Rejects among them, the model's false rejects included."""

    @model_validator(mode="after")
    def _plausible(self) -> Baseline:
        if self.defects > self.parts // 5:
            raise ValueError("more than a fifth of the baseline's parts are defective: that is no state to return to")
        return self


class AdjustRule(_Strict):
    """Answer a rising share of defects by a step of one parameter."""

    tag: str = Field(min_length=1)
    """A parameter (role: param) of the line's tag map."""
    step: float
    """Signed, in the parameter's unit. A wrong sign makes things worse until the attempts are used up: validate it by hand."""
    baseline: Baseline
    arl0: float = Field(default=100_000, ge=1000, le=1e9)
    """Parts per tolerated false alarm."""
    settle_parts: int = Field(default=30, ge=0, le=100_000)
    """Parts judged after the PLC's confirmation that were still made with the old value, and count for nothing."""
    verify_parts: int = Field(default=300, ge=50, le=1_000_000)
    """Parts without an alarm and with no more defects than usual, after which the step is taken to have helped."""
    attempts: int = Field(default=2, ge=1, le=10)
    """Steps without recovery before a person is needed."""
    timeout_s: float = Field(default=5, ge=0.5, le=60)
    """How long control may take to answer."""

    @field_validator("step")
    @classmethod
    def _moves(cls, step: float) -> float:
        if step == 0:
            raise ValueError("a step of 0 moves nothing")
        return step


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """The parameter as the tag map has it; without a range it cannot be adjusted."""

    name: str
    unit: str = ""
    range: tuple[float, float] | None = None

    def same(self, a: float, b: float) -> bool:
        """Return whether two readings are one value, as far as a PLC can hold it."""
        span = self.range[1] - self.range[0] if self.range else 0.0
        return abs(a - b) <= SAME * span


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that is known when an alarm is to be answered. What is unknown forbids: there are no defaults."""

    now_ns: int
    """UTC, as all times here."""
    part_ns: int
    """When the part that raised the alarm was judged."""
    imaging: str
    """Why the pictures cannot be trusted, in words; empty only if they are known to be in order."""
    line: str
    """Why the line cannot be relied on; empty only if control answers, the link is up and the line is ready."""
    value: float | None
    """The parameter's value as the PLC showed it last."""
    value_ns: int
    mode: str
    """Mode of the line by name; empty when not known."""
    permit: bool
    foreign: str
    """Who else moved the parameter; empty only if nobody did."""
    other: str
    """Which other adjustment of this line is still being tried; empty when none."""
    attempts: int
    """Steps so far without recovery."""
    pause_until_ns: int
    """Until when a refusal keeps the rule quiet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Move the parameter to ``value`` if it still holds ``expected_old``."""

    value: float
    expected_old: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Do nothing: ``why`` for programs, ``words`` for people."""

    why: Why
    words: str


def decide(rule: AdjustRule, parameter: Parameter, s: Situation) -> Step | Block:
    """Answer an alarm: the step, or the first reason against it."""
    part_age, value_age = s.now_ns - s.part_ns, s.now_ns - s.value_ns
    tag, unit = parameter.name, parameter.unit
    if abs(part_age) > MAX_PART_AGE_NS:
        return Block(why="stale", words=f"the alarm is {part_age / 1e9:.0f} s old, read late; waiting for what new parts say")
    if s.imaging:
        return Block(why="imaging", words=f"the measurement is suspect, not the process: {s.imaging}")
    if s.line:
        return Block(why="line", words=s.line)
    if s.value is None or not math.isfinite(s.value):
        return Block(why="process", words=f"the PLC's value of {tag} is not known")
    if abs(value_age) > MAX_VALUE_AGE_NS:
        return Block(why="process", words=f"the PLC's value of {tag} is {value_age / 1e9:.0f} s old")
    if s.mode != "AUTOMATIC":
        return Block(why="mode", words=f"the line is in mode {s.mode or 'unknown'}, not in AUTOMATIC")
    if not s.permit:
        return Block(why="permit", words="the PLC's AdjustPermit is off; an operator gives it at the machine")
    if s.foreign:
        words = f"the set-point was changed by somebody else: {s.foreign}; restart the gateway to take it over"
        return Block(why="foreign", words=words)
    if s.other:
        return Block(why="other", words=f"another adjustment of this line is being tried: {s.other}")
    if s.attempts >= rule.attempts:
        return Block(why="escalated", words=f"escalated: {s.attempts} steps of {tag} brought no recovery; a person must look")
    value = s.value + rule.step
    if parameter.range is None:
        return Block(why="range", words=f"{tag} has no range in the tag map, so it is not adjusted")
    low, high = parameter.range
    if not low <= value <= high:
        return Block(why="range", words=f"{tag} would leave its range: {value:g} is not in {low:g} to {high:g} {unit}".rstrip())
    if 0 < s.pause_until_ns - s.now_ns <= PAUSE_NS:
        return Block(why="pause", words="the last request was not carried out; pausing before the next one")
    return Step(value=value, expected_old=s.value)
