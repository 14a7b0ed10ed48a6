"""How what control knows becomes a record: a judged part, the process values, the line's state.

Pure functions beside the story in ``line.py``. JSON knows no NaN, so what is no number is left out here: absent means unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from gateway.control.recipes import InForce
from gateway.core.commands import AdjustParameter, Answer
from gateway.core.events import LineState, ParameterWritten, PartJudged, ProcessValues
from gateway.core.frame import FrameStamp
from gateway.core.handshake import Control, ErrorCode, OfflineReason, mode_of
from gateway.core.inspection import Inspection
from gateway.core.part import Part
from gateway.core.tags import Scalar
from gateway.core.verdict import Verdict
from gateway.plc.listener import LinkState, UpImage

PROCESS_RECORD_NS = 100_000_000
PROCESS_REFRESH_NS = 1_000_000_000


def part_record(
    line: str,
    epoch: int,
    part: Part,
    stamps: Sequence[FrameStamp],
    verdict: Verdict,
    inspection: Inspection | None,
    *,
    t_utc_ns: int,
) -> PartJudged:
    """Return the record of a judged part whose token has no fate yet; the first view's frame stands for all."""
    first = stamps[0] if stamps else None
    stats = inspection.stats if inspection is not None else None
    return PartJudged(
        line=line,
        t_utc_ns=t_utc_ns,
        part_id=part.part_id,
        epoch=epoch,
        disposition=verdict.disposition.name,
        defect=verdict.defect,
        reasons=verdict.reasons,
        encoder=part.trigger.encoder,
        label=inspection.label if inspection else "",
        scores={k: v for k, v in inspection.scores.items() if math.isfinite(v)} if inspection else {},
        stats=asdict(stats) if stats else None,
        model_id=inspection.model_id if inspection else "",
        camera=first.camera if first else "",
        frame_counter=first.frame_counter if first else -1,
        frame_slot=first.slot if first else -1,
        frame_generation=first.generation if first else -1,
        frame_shape=(first.height, first.width, first.channels) if first else (0, 0, 0),
        t_exposed_mono_ns=first.t_exposed_ns if first else 0,
        t_trigger_mono_ns=part.trigger.t_mono_ns,
        t_frame_mono_ns=max((s.t_available_ns for s in stamps), default=0),
        infer_ms=inspection.infer_ms if inspection else 0.0,
    )


def parameter_record(command: AdjustParameter, answer: Answer, *, t_utc_ns: int) -> ParameterWritten:
    """Return the record of an adjustment and of what came of it."""
    return ParameterWritten(
        line=command.line,
        t_utc_ns=t_utc_ns,
        command_id=command.id,
        tag=command.tag,
        requested=command.value,
        old=answer.old,
        new=answer.new,
        result=answer.result,
    )


class ProcessSampler:
    """Says when the process values are worth a record: a change at most ten times a second, otherwise once a second."""

    def __init__(self) -> None:
        """Start with nothing recorded."""
        self._last: tuple[int, Mapping[str, Scalar], int] | None = None

    def take(self, line: str, up: UpImage, t_utc_ns: int) -> ProcessValues | None:
        """Return the record to be made of this image, or None."""
        values = {k: v for k, v in up.values.items() if not isinstance(v, str) and math.isfinite(v)}
        if self._last is not None:
            at, last, control = self._last
            changed = last != values or control != up.control
            if up.t_mono_ns - at < (PROCESS_RECORD_NS if changed else PROCESS_REFRESH_NS):
                return None
        self._last = (up.t_mono_ns, values, up.control)
        permit = bool(up.control & Control.ADJUST_PERMIT)
        return ProcessValues(line=line, t_utc_ns=t_utc_ns, values=values, permit=permit, mode=mode_of(up.control).name)


def line_state(
    line: str,
    link: LinkState,
    detail: str,
    *,
    stopping: bool,
    control: int,
    cameras_down: Sequence[str],
    journal_trouble: str,
    model_id: str,
    self_check: str = "",
    crowded: bool = False,
    config_rejected: str = "",
    force: InForce | None = None,
) -> tuple[LineState, OfflineReason, ErrorCode]:
    """Return the state (with time 0, so that equal states compare equal), and what the status section says of it."""
    reason = (
        OfflineReason.STOPPING
        if stopping
        else OfflineReason.CONFIG_REJECTED
        if config_rejected
        else OfflineReason.PLC_REQUEST
        if control & Control.SET_OFFLINE
        else OfflineReason.NO_CAMERA
        if cameras_down
        else OfflineReason.JOURNAL
        if journal_trouble
        else force.offline_reason
        if force is not None
        else OfflineReason.NONE
    )
    error = (
        ErrorCode.SELF_CHECK
        if self_check
        else ErrorCode.JOURNAL
        if journal_trouble
        else ErrorCode.CAMERA
        if cameras_down
        else ErrorCode.OVERLOAD
        if crowded
        else ErrorCode.CONFIG
        if config_rejected
        else ErrorCode.RECIPE
        if force is not None and force.trouble
        else ErrorCode.NONE
    )
    words = (
        f"no sign of life from {', '.join(cameras_down)}"
        if cameras_down
        else f"the self-check fails: {self_check}"
        if self_check
        else "parts come faster than they can be looked at"
        if crowded
        else f"the last good configuration runs until ClearError: {config_rejected}"
        if config_rejected
        else (force.busy or force.trouble)
        if force is not None
        else ""
    )
    state = LineState(
        line=line,
        t_utc_ns=0,
        link=link,
        ready=link == "up" and reason is OfflineReason.NONE and not self_check and not crowded,
        offline_reason=reason.name,
        error="" if error is ErrorCode.NONE else error.name,
        # Not the journal's own words: they hold figures, and a record for every change of a figure would be its end.
        detail=detail or words,
        camera_up=not cameras_down,
        model_id=model_id,
        recipe=force.serving.name if force is not None and force.serving is not None and force.number else "",
    )
    return state, reason, error
