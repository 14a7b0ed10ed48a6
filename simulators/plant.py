"""What passes between the world's physics and the PLC's program at every scan: the wires of the plant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

EventKind = Literal["assigned", "latched", "decided", "unconfirmed", "stopped", "released", "restarted", "owner", "adjusted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlcInputs:
    """The PLC's process image of inputs at the start of a scan."""

    now_ms: float
    """Time since the start of the simulation."""
    encoder: int
    """The belt's encoder counter, 32 bit, wraps."""
    latches: tuple[int, ...] = ()
    """Encoder values latched by hardware at each photo-eye edge since the last scan, in order."""
    process: Mapping[str, float] = field(default_factory=dict)
    """Measured process values by tag name (tags of the up block with role ``process``)."""
    permit: bool = True
    """The operator's key switch that permits parameter adjustments."""
    bin_edges: tuple[int, ...] | None = None
    """Encoder values at which something fell past the reject bin's sensor since the last scan; None = no sensor is fitted."""
    reset: bool = False
    """The button that ends a line stop."""
    stop_permit: bool = False
    """The key switch that permits the gateway to ask for a line stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlcEvent:
    """Something that the PLC's program did in a scan; for the scorer's ledger alone.

    ``assigned``: a latch became a part · ``latched``: a valid token was taken into the shift register ·
    ``decided``: the gate was set for the part (``passed``) · ``unconfirmed``: a part turned away never fell into the bin ·
    ``stopped`` and ``released``: the line stop was latched or reset · ``restarted`` · ``owner``: the claim was granted or
    lost · ``adjusted``: a parameter request was answered.
    """

    kind: EventKind
    now_ms: float
    part_id: int = 0
    encoder: int = 0
    """Encoder at the photo-eye (assigned, latched, decided)."""
    epoch: int = 0
    """OwnerEpochEcho at that moment."""
    verdict: str = ""
    """PASS, FAIL or NOT_INSPECTED as latched; empty when there was no valid token."""
    passed: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlcOutputs:
    """The PLC's outputs at the end of a scan."""

    gate_open: bool
    """The gate stands in its reject position by itself; only while this is true a part that arrives passes."""
    params: Mapping[str, float] = field(default_factory=dict)
    """Set-points of the adjustable parameters, by tag name, in engineering units."""
    stop_line: bool = False
    """The belt must stand; latched until the reset input."""
    events: tuple[PlcEvent, ...] = ()
