"""What passes between the world's physics and the PLC's program at every scan: the wires of the plant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

EventKind = Literal[
    "assigned",
    "latched",
    "decided",
    "unconfirmed",
    "stopped",
    "released",
    "restarted",
    "owner",
    "adjusted",
    "missed",
    "exposed",
    "result",
    "refused",
    "overrun",
    "error",
    "command",
]


class Mode(IntEnum):
    """The key switch; any other position is Manual."""

    AUTOMATIC = 0
    """The gateway's PASS opens the gate."""
    MANUAL = 1
    """Jog: nothing passes."""
    MONITOR_ONLY = 2
    """The existing inspection keeps the reject station; tokens decide nothing."""
    BYPASS = 3
    """Every part passes, for a limited time and number."""


class StopReason(IntEnum):
    """Why the PLC holds the line."""

    NONE = 0
    GATEWAY = 1
    NO_TOKENS = 2
    NOT_CONFIRMED = 3
    REJECTS = 4
    BIN_FULL = 5
    BIN_UNLOCKED = 6
    AIR_LOST = 7
    EJECTOR_NOT_HOME = 8
    ENCODER_FAULT = 9
    BYPASS_LIMIT = 10
    RING_TOO_SLOW = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What the plant knows of a part beside its number: texts of the map's TraceBlock."""

    serial: str = ""
    lot: str = ""
    product: str = ""
    carrier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Constants of the program beside its geometry."""

    max_consecutive_rejects: int = 0
    """So many rejects in a row stop the line; 0: never."""
    bypass_max_ms: float = 600_000
    """How long the line may run in Bypass before it is stopped."""
    bypass_max_parts: int = 500
    """How many parts may pass by Bypass; the next one is turned away and stops the line."""
    model_unverified: Literal["pass", "hold", "reject"] = "hold"
    """What becomes of a PASS of an unverified model; what is held goes to the recheck exit, or is rejected without one."""
    max_parts_per_s: float = 0.0
    """Highest part rate that the ring must bear; 0: not checked."""
    scan_ms: float = 10
    """Time from scan to scan; in it the belt moves by no more than the gate window, or its counts are taken for lost."""
    link_cycle_ms: float = 10
    """A gateway's cycle over the link."""

    @property
    def ring_too_slow(self) -> bool:
        """Return whether the ring of 8 tokens may be overwritten before it was read three times."""
        return self.max_parts_per_s > 0 and 8e3 / self.max_parts_per_s < 3 * (self.scan_ms + self.link_cycle_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class AckInputs:
    """The wishes of operator and sequence for the classic exchange; see :mod:`simulators.plc_ack`."""

    trigger_enable: bool = True
    buffered: bool = False
    """Results are queued by the gateway until each one is acknowledged."""
    set_offline: bool = False
    clear_error: bool = False
    command: tuple[int, int] | None = None
    """Command and CommandArg; taken once, when it comes or changes."""


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
    hmi: Mapping[str, float] = field(default_factory=dict)
    """Set-points that an HMI has written since the last scan, by tag name: anything at all, even what is no number."""
    permit: bool = True
    """The operator's key switch that permits parameter adjustments."""
    bin_edges: tuple[int, ...] | None = None
    """Encoder values at which something fell past the reject bin's sensor since the last scan; None = no sensor is fitted."""
    reset: bool = False
    """The button that ends a line stop."""
    stop_permit: bool = False
    """The key switch that permits the gateway to ask for a line stop."""
    mode: int = Mode.AUTOMATIC
    """The key switch for the mode."""
    simulation: bool = True
    """The PLC is a simulated one, which may take verdicts on simulated pictures."""
    challenge: bool = False
    """The part at the photo-eye is a known defective: it is turned away whatever its verdict."""
    audit: bool = False
    """The part at the photo-eye is a sample for the laboratory: it is turned away whatever its verdict."""
    external_reject: bool = False
    """Another station has rejected the part at the photo-eye."""
    ejector_home: bool = True
    air_ok: bool = True
    bin_full: bool = False
    bin_unlocked: bool = False
    encoder_fault: bool = False
    """The encoder's counts are not to be trusted."""
    recheck_fitted: bool = False
    """There is a third exit for parts that nobody has inspected."""
    trace: Trace | None = None
    """What a reader at the photo-eye says of the part there; None where none is fitted."""
    ack: AckInputs = AckInputs()
    """Used with a map of ``handshake: ack``; the commands, SetOffline and ClearError with every map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlcEvent:
    """Something that the PLC's program did in a scan; for the scorer's ledger alone.

    ``assigned``: a latch became a part · ``latched``: a valid token was taken into the shift register ·
    ``decided``: the gate was set for the part (``passed``) · ``unconfirmed``: a part turned away never fell into the bin ·
    ``stopped`` and ``released``: the line stop was latched or reset · ``restarted`` · ``owner``: the claim was granted or
    lost · ``adjusted``: a parameter request was answered · of the classic exchange: ``missed``: a part got no trigger through ·
    ``exposed``: ExposureComplete was taken and cleared · ``result`` and ``refused``: a result was taken, or thrown away ·
    ``overrun`` and ``error``: the gateway's bit rose · ``command``: a command ended.
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
    recheck_open: bool = False
    """A part that arrives goes to the recheck exit."""
    stop_line: bool = False
    """The belt must stand; latched until the reset input."""
    stop_reason: StopReason = StopReason.NONE
    owner_alive: bool = False
    rejecting: bool = True
    """Nothing passes yet, because the belt has not cleared since a start or since its counts were lost."""
    events: tuple[PlcEvent, ...] = ()
