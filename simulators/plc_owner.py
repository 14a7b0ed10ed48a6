"""Who may give verdicts: the claim of ownership and the watchdog over the owner's heartbeat, as the PLC sees them.

Stands apart from the program because it is the whole of the PLC's defence against two gateways and against a dead one. It
knows two memory blocks and the scan's time; it does not know parts.
"""

from __future__ import annotations

from typing import Literal

from simulators.plc_memory import BlockMemory

WATCHDOG_MS = 300

OwnerChange = Literal["", "granted", "lost", "resumed"]


class Ownership:
    """The granted epoch and whether its owner is alive."""

    def __init__(self, up: BlockMemory, down: BlockMemory) -> None:
        """Start without an owner."""
        self._echo = up.role("owner.echo")
        self._nonce = down.role("claim.nonce")
        self._heartbeat = down.role("gateway.heartbeat")
        self._beside = down.role("owner.epoch")
        self.epoch = 0
        """The granted nonce, 0 without an owner; the same as OwnerEpochEcho."""
        self.alive = False
        """Whether the owner's heartbeat moved within the last 300 ms, or the grant is no older than that."""
        self._last_beat: int | None = None
        self._last_beat_ms = 0.0
        self._found = self._nonce.integer()

    @property
    def speaks(self) -> bool:
        """Return whether the status in the block is that of the living owner, not what one before it has left there."""
        return self.alive and self._beside.integer() == self.epoch

    def reset(self) -> None:
        """Forget the owner, as at a first scan: an echo of 0 validates nothing.

        A claim that lies there already, because the block is retentive, comes from before: granting it would make the tokens
        beside it valid again, for other parts that have got the same PartIds.
        """
        self._found = self._nonce.integer()
        self.epoch = 0
        self.alive = False
        self._last_beat = None
        self._echo.set(0)

    def scan(self, now_ms: float) -> OwnerChange:
        """Judge heartbeat and claim; return what changed in this scan.

        A heartbeat counts only with the granted epoch beside it. A claim is granted if there is no owner, or if the owner's
        heartbeat has been frozen for more than 300 ms; otherwise it is left unanswered, as is one found at the first scan.
        """
        was_alive = self.alive
        if self.epoch and self._beside.integer() == self.epoch:
            beat = self._heartbeat.integer()
            if beat != self._last_beat:
                self._last_beat = beat
                self._last_beat_ms = now_ms
        self.alive = self.epoch != 0 and now_ms - self._last_beat_ms <= WATCHDOG_MS
        nonce = self._nonce.integer()
        if not self.alive and nonce not in (0, self.epoch, self._found):
            self.epoch = nonce
            self.alive = True
            self._last_beat = None
            self._last_beat_ms = now_ms
            self._echo.set(nonce)
            return "granted"
        if was_alive == self.alive:
            return ""
        return "resumed" if self.alive else "lost"
