"""The vision ↔ PLC protocol as data and pure functions: status bits, tokens, rings, claim rules.

The layout stands in plc_maps/handshake.yaml; here are the meanings. Nothing here knows a socket, a clock or a driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from gateway.core.part import PART_ID_MODULUS, part_id_distance
from gateway.core.verdict import Disposition

SLOTS = 8
HEARTBEAT_MS = 100
LINK_TIMEOUT_MS = 150
WATCHDOG_MS = 300
SENTINEL_REAL = 123.456
SENTINEL_DWORD = 0x12345678


class Control(IntFlag):
    """PLC → gateway control word; bits 9–10 hold the :class:`Mode`."""

    TRIGGER_ENABLE = 1 << 0
    TRIGGER = 1 << 1
    CLEAR_EXPOSURE_COMPLETE = 1 << 2
    BUFFER_RESULTS_ENABLE = 1 << 3
    INSPECTION_RESULTS_ACK = 1 << 4
    EXECUTE_COMMAND = 1 << 5
    CLEAR_ERROR = 1 << 6
    SET_OFFLINE = 1 << 7
    ADJUST_PERMIT = 1 << 8
    STOP_REQUEST_PERMIT = 1 << 11


class Mode(IntEnum):
    """Operating mode, set by the PLC alone."""

    AUTOMATIC = 0
    MANUAL = 1
    MONITOR_ONLY = 2
    BYPASS = 3


def mode_of(control: int) -> Mode:
    """Return the mode held in bits 9–10 of the control word."""
    return Mode((control >> 9) & 0b11)


class Status1(IntFlag):
    """Gateway → PLC, first status word; bits 4–6 hold the offline reason."""

    TRIGGER_READY = 1 << 0
    TRIGGER_ACK = 1 << 1
    EXPOSURE_COMPLETE = 1 << 2
    ACQUISITION_ERROR = 1 << 3
    ONLINE = 1 << 7
    BUSY = 1 << 8
    INSPECTION_COMPLETED = 1 << 9
    BUFFER_OVERRUN = 1 << 10
    RESULTS_VALID = 1 << 11
    COMMAND_EXECUTING = 1 << 12
    COMMAND_COMPLETED = 1 << 13
    COMMAND_FAILED = 1 << 14
    ERROR = 1 << 15


class OfflineReason(IntEnum):
    """Why the gateway is not ready, in bits 4–6 of Status1."""

    NONE = 0
    STARTING = 1
    NO_CAMERA = 2
    NO_MODEL = 3
    JOURNAL = 4
    PLC_REQUEST = 5
    CONFIG_REJECTED = 6
    STOPPING = 7


class Status2(IntFlag):
    """Gateway → PLC, second status word."""

    PASS = 1 << 0
    FAIL = 1 << 1
    NOT_INSPECTED = 1 << 2
    RESULT_TIMEOUT = 1 << 3
    IMAGING_WARNING = 1 << 4
    DRIFT_WARNING = 1 << 5
    MODEL_UNVERIFIED = 1 << 6
    SIMULATED = 1 << 7
    TEST_RUN_READY = 1 << 8
    STOP_REQUEST = 1 << 9
    INFEED_HOLD_REQUEST = 1 << 10
    ALARM_ACTIVE = 1 << 11


class StopReason(IntEnum):
    """Why the gateway asks for a stop."""

    NONE = 0
    CONSECUTIVE_LATE = 1


class ErrorCode(IntEnum):
    """What the Error bit stands for."""

    NONE = 0
    NOT_OWNER = 1
    INTERFACE_CHECKSUM = 2
    BYTE_ORDER = 3
    CAMERA = 4
    JOURNAL = 5
    SELF_CHECK = 6
    OVERLOAD = 7
    CONFIG = 8
    RECIPE = 9


class Outcome(IntEnum):
    """What the reject station did with a part, as the PLC's outcome ring tells it; 0 = none yet."""

    NONE = 0
    PASSED = 1
    REJECTED = 2
    REJECT_NOT_CONFIRMED = 3
    CHALLENGE_RECOVERED = 4
    AUDIT_DIVERTED = 5
    BYPASSED = 6


class AdjustResult(IntEnum):
    """The PLC's answer to an adjustment request."""

    NONE = 0
    ACCEPTED = 1
    CLAMPED = 2
    NO_PERMIT = 3
    STALE_EXPECTED_OLD = 4
    UNKNOWN_INDEX = 5
    OUT_OF_RANGE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One slot of the verdict ring: four 16-bit quantities on the wire (PartId hi and lo, Verdict, Check)."""

    part_id: int
    verdict: int
    check: int


EMPTY = Token(part_id=0, verdict=0, check=0)


def epoch_fold(epoch: int) -> int:
    """Return the ⊕ of an epoch's two words, which is all that a token's Check holds of it.

    Tokens of two epochs that fold alike cannot be told apart: an owner draws a nonce that folds unlike the last ones.
    """
    return (epoch >> 16) ^ (epoch & 0xFFFF)


def check_word(part_id: int, verdict: int, epoch: int) -> int:
    """Return the ⊕ of the 16-bit words of PartId, Verdict and OwnerEpoch: against faults, not against forgery."""
    return (part_id >> 16) ^ (part_id & 0xFFFF) ^ verdict ^ epoch_fold(epoch)


def make_token(part_id: int, disposition: Disposition, epoch: int) -> Token:
    """Return the token that gives ``disposition`` to ``part_id`` under the granted ``epoch`` (never 0)."""
    if not 0 < part_id < 1 << 32 or not 0 < epoch < 1 << 32:
        raise ValueError(f"part id {part_id} and epoch {epoch} must be 32 bit and not 0")
    return Token(part_id=part_id, verdict=disposition.value, check=check_word(part_id, disposition.value, epoch))


def read_token(token: Token, part_id: int, epoch: int) -> Disposition | None:
    """Return what ``token`` says of exactly ``part_id`` under ``epoch``, or None: absent, stale, torn or another owner's."""
    if part_id == 0 or epoch == 0 or token.part_id != part_id:
        return None
    if token.verdict not in _WORDS or token.check != check_word(part_id, token.verdict, epoch):
        return None
    return Disposition(token.verdict)


_WORDS = frozenset(d.value for d in Disposition)


class VerdictRing:
    """The gateway's side of the token ring: 8 slots, slot = PartId mod 8; the first verdict of a part stands."""

    def __init__(self) -> None:
        """Start empty; an empty ring validates nothing."""
        self._slots: list[Token] = [EMPTY] * SLOTS

    def put(self, part_id: int, disposition: Disposition, epoch: int) -> bool:
        """Place the token; return False (and change nothing) if this part, or a later one of the slot, has its token there.

        A verdict so late that a later part of its slot has a token goes without: the PLC rejects a part without one.
        """
        slot = part_id % SLOTS
        holder = self._slots[slot].part_id
        if holder and part_id_distance(part_id, holder) < PART_ID_MODULUS >> 1:
            return False
        self._slots[slot] = make_token(part_id, disposition, epoch)
        return True

    def holds(self, part_id: int) -> bool:
        """Return whether this part's token stands in the ring."""
        return self._slots[part_id % SLOTS].part_id == part_id

    def drop(self, part_id: int) -> None:
        """Take back this part's token if it still stands: its deadline has passed and nobody is known to have read it."""
        if self.holds(part_id):
            self._slots[part_id % SLOTS] = EMPTY

    def clear(self) -> None:
        """Empty every slot: after a claim, so that nothing of an older epoch is on the wire."""
        self._slots = [EMPTY] * SLOTS

    def words(self) -> list[tuple[int, int, int]]:
        """Return the slots as (PartId, Verdict, Check), slot 0 first."""
        return [(t.part_id, t.verdict, t.check) for t in self._slots]
