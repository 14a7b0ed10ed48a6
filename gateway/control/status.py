"""The status section as control fills it: what the gateway says of itself and of the last part, by meaning.

Apart from the writer because it is words and bits and no decision. It must not know the link; heartbeat and epoch are the
link's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.core.events import PartJudged, TokenFate
from gateway.core.handshake import ErrorCode, OfflineReason, Status1, Status2, StopReason
from gateway.core.tags import Scalar
from gateway.core.verdict import Disposition


@dataclass(slots=True)
class Status:
    """The status section's changing part, by meaning."""

    ready: bool = False
    online: bool = False
    offline_reason: OfflineReason = OfflineReason.STARTING
    error: ErrorCode = ErrorCode.NONE
    stop_reason: StopReason = StopReason.NONE
    stop_permitted: bool = False
    """The PLC's StopRequestPermit: without it no stop is asked for, whatever the reason."""
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
    alarm: bool = False
    busy: bool = False
    overrun: bool = False
    """Parts were refused for overload; until ClearError, or the first result in time once there is room again."""
    buffers: int = 0
    """How many more parts may wait for the engine."""
    command: Status1 = Status1(0)
    """How the PLC's command stands, at most one bit."""
    test_ready: bool = False
    """A test run on golden pictures could begin."""
    recipe: int = 0
    """The recipe in force, 0 while there is none."""
    recipe_judged: int = 0
    """The recipe that the part shown was triggered under."""
    simulated: bool = False
    """Pictures come from files or a simulation: the PLC must reject unless it is simulated itself."""

    def show(self, record: PartJudged, labels: Sequence[str]) -> None:
        """Show a judged part whose token the PLC has; its defect's code is its place in the model's ``labels``, from 1."""
        self.completed = not self.completed
        self.disposition = Disposition[record.disposition]
        self.late = record.token == TokenFate.LATE
        self.part_id = record.part_id
        self.inspection_id = (self.inspection_id + 1) % (1 << 32)
        self.encoder = record.encoder or 0
        self.result_code = labels.index(record.defect) + 1 if record.defect in labels else 0
        self.score = record.scores.get(record.label, 0.0)
        self.latency_ms = record.latency_ms or 0.0
        self.recipe_judged = record.recipe_number

    def section(self) -> Mapping[str, Scalar]:
        """Return the section's values by role."""
        one = Status1.TRIGGER_READY if self.ready else Status1(0)
        if self.online:
            one |= Status1.ONLINE
        if self.busy:
            one |= Status1.BUSY
        if self.overrun:
            one |= Status1.BUFFER_OVERRUN
        if self.completed:
            one |= Status1.INSPECTION_COMPLETED
        if self.error:
            one |= Status1.ERROR
        one |= self.command
        two = {
            Disposition.PASS: Status2.PASS,
            Disposition.FAIL: Status2.FAIL,
            Disposition.NOT_INSPECTED: Status2.NOT_INSPECTED,
            None: Status2(0),
        }[self.disposition]
        if self.late:
            two |= Status2.RESULT_TIMEOUT
        stop = self.stop_reason if self.stop_permitted else StopReason.NONE
        if stop:
            two |= Status2.STOP_REQUEST
        if self.simulated:
            two |= Status2.SIMULATED
        if self.test_ready:
            two |= Status2.TEST_RUN_READY
        if self.alarm:
            two |= Status2.ALARM_ACTIVE
        return {
            "status1": int(one) | (int(self.offline_reason) << 4),
            "status2": int(two),
            "error.code": int(self.error),
            "stop.reason": int(stop),
            "result.code": self.result_code,
            "inspection.id": self.inspection_id,
            "acquisition.id": self.inspection_id,
            "result.part.id": self.part_id,
            "encoder.echo": self.encoder,
            "score": self.score,
            "latency": self.latency_ms,
            "buffers.remaining": self.buffers,
            "recipe.current": self.recipe,
            "recipe.judgment": self.recipe_judged,
            "model.version": self.model_version,
            "config.checksum": self.config_checksum,
        }
