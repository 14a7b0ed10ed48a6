"""Which exit a part is to take: the key switch for the modes, the reject station's inputs, reactions to the gateway's bits.

Stands apart because everything that can open the gate beside a token is here, and nothing else can. It knows inputs, settings
and Status2; it does not know where parts are, nor how the line is stopped. Its rules:

- A part goes by the mode of its photo-eye edge, and by nothing better than the present one: where the two differ it is Manual
  if either is, and else it needs a PASS as in Automatic. A switch beyond its positions is Manual.
- A challenge part and an audit sample are turned away in every mode. Bypass lets everything else pass; ExternalReject turns
  away in every other mode; MonitorOnly lets pass what ExternalReject does not turn away.
- What the gateway said of itself (Simulated, ModelUnverified) is remembered with the verdict: a simulated gateway's PASS is
  worth nothing when a real one has taken over.
- What Bypass or MonitorOnly alone lets through is turned away as soon as the key leaves that mode, even in the gate's window.
- The limits of Bypass count on over a restart, until the key is turned back; a part beyond the number is turned away at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from simulators.plant import Mode, PlcInputs, Settings, StopReason
from simulators.plc_memory import BlockMemory
from simulators.plc_tracking import Decision, TrackedPart

MODEL_UNVERIFIED = 0x0040
SIMULATED = 0x0080


class ExitRule:
    """The inputs of one scan, and what follows from them for the parts."""

    def __init__(self, down: BlockMemory, settings: Settings) -> None:
        """Take the gateway's Status2 and the constants."""
        self._status2 = down.role("status2")
        self._settings = settings
        self._recheck = Decision.CLOSED
        self._last_ms: float | None = None
        self._bypass_ms = 0.0
        self._bypass_parts = 0
        self._simulation = False
        self._simulated = False
        self._unverified = False
        self.mode = Mode.MANUAL
        """What the key switch says now."""
        self.shut = True
        """Nothing may pass in this scan, whatever its exit."""
        self.causes: tuple[StopReason, ...] = ()
        """What holds the line at this moment, by its level."""

    def clear(self) -> None:
        """Begin anew, as at a first scan; what Bypass has used up stays."""
        self._last_ms = None

    def look(self, inputs: PlcInputs, *, counts_lost: bool) -> None:
        """Take the inputs of this scan; ``counts_lost``: no part can be followed by its encoder."""
        self.mode = Mode(inputs.mode) if inputs.mode in tuple(Mode) else Mode.MANUAL
        bits = self._status2.integer()
        self._simulation = inputs.simulation
        self._simulated = bool(bits & SIMULATED) and not inputs.simulation
        self._unverified = bool(bits & MODEL_UNVERIFIED)
        self._recheck = Decision.RECHECK if inputs.recheck_fitted else Decision.CLOSED
        self.shut = self.mode is Mode.MANUAL or self._simulated
        self._count_bypass(inputs.now_ms)
        levels = {
            StopReason.BIN_FULL: inputs.bin_full,
            StopReason.BIN_UNLOCKED: inputs.bin_unlocked,
            StopReason.AIR_LOST: not inputs.air_ok,
            StopReason.EJECTOR_NOT_HOME: not inputs.ejector_home,
            StopReason.ENCODER_FAULT: counts_lost,
            StopReason.BYPASS_LIMIT: self._bypass_ms > self._settings.bypass_max_ms
            or self._bypass_parts > self._settings.bypass_max_parts,
            StopReason.RING_TOO_SLOW: self._settings.ring_too_slow,
        }
        self.causes = tuple(reason for reason, there in levels.items() if there)

    def admit(self, part_id: int, encoder: int, inputs: PlcInputs) -> TrackedPart:
        """Return the part of a photo-eye edge, with what this scan's inputs say of it."""
        return TrackedPart(
            part_id=part_id,
            encoder=encoder,
            mode=self.mode,
            challenge=inputs.challenge,
            audit=inputs.audit,
            external_reject=inputs.external_reject,
        )

    def latched(self, part: TrackedPart, *, spoken: bool) -> None:
        """Remember with a part's verdict what the gateway says of itself; one that has not ``spoken`` yet may be simulated."""
        part.simulated = self._simulated or (not spoken and not self._simulation)
        part.unverified = self._unverified

    def mode_of(self, part: TrackedPart) -> Mode:
        """Return the mode by which a part goes now."""
        if part.mode is self.mode:
            return self.mode
        return Mode.MANUAL if Mode.MANUAL in (part.mode, self.mode) else Mode.AUTOMATIC

    def exit_of(self, part: TrackedPart) -> Decision:
        """Return the exit for a part whose gate is set now; asked once for each part."""
        mode = self.mode_of(part)
        if part.challenge or part.audit:
            part.why = "challenge part" if part.challenge else "audit sample"
            return Decision.CLOSED
        if mode is Mode.BYPASS:
            return self._bypass(part)
        if part.external_reject:
            part.why = "external reject"
            return Decision.CLOSED
        if mode is Mode.MONITOR_ONLY:
            part.why = "monitor only"
            part.let_by = Mode.MONITOR_ONLY
            return Decision.OPEN
        if part.verdict in ("", "NOT_INSPECTED"):
            return self._to_recheck(part, "not inspected") if self._recheck is Decision.RECHECK else Decision.CLOSED
        if mode is Mode.MANUAL:
            part.why = "manual"
            return Decision.CLOSED
        return self._by_verdict(part)

    def withdraw(self, parts: Iterable[TrackedPart]) -> None:
        """Turn away what only a mode of the key lets through that is no longer the present one; looked at in every scan."""
        for part in parts:
            if part.exit is Decision.OPEN and part.let_by not in (Mode.AUTOMATIC, self.mode):
                part.exit = Decision.CLOSED
                part.why = "the key was turned"

    def _by_verdict(self, part: TrackedPart) -> Decision:
        if part.verdict != "PASS":
            return Decision.CLOSED
        if part.simulated or self._simulated:
            part.why = "simulated pictures"
            return Decision.CLOSED
        if part.unverified or self._unverified:
            reaction = self._settings.model_unverified
            if reaction == "hold":
                return self._to_recheck(part, "model not verified")
            if reaction == "reject":
                part.why = "model not verified"
                return Decision.CLOSED
        return Decision.OPEN

    def _to_recheck(self, part: TrackedPart, why: str) -> Decision:
        part.why = f"{why}, to the recheck exit" if self._recheck is Decision.RECHECK else why
        return self._recheck

    def _bypass(self, part: TrackedPart) -> Decision:
        self._bypass_parts += 1
        if self._bypass_parts > self._settings.bypass_max_parts:
            part.why = "beyond the limit of bypass"
            return Decision.CLOSED
        part.why = "bypass"
        part.let_by = Mode.BYPASS
        return Decision.OPEN

    def _count_bypass(self, now_ms: float) -> None:
        """Add up the time in Bypass from scan to scan, so that neither a restart nor a wrap of the clock renews it."""
        if self.mode is Mode.BYPASS:
            self._bypass_ms += 0.0 if self._last_ms is None else now_ms - self._last_ms
        else:
            self._bypass_ms, self._bypass_parts = 0.0, 0
        self._last_ms = now_ms
