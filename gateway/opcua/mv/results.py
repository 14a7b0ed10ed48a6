"""A judged part as a result of OPC 40100-1. Pure, but for the wire's types.

The structure has no field for a verdict: it stands first in ``ResultContent``. A part that was not inspected is a failed
result, never a good one. It must not know a node, a session or a database.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any, TypeVar

from asyncua import ua

from gateway.core.events import PartJudged
from gateway.opcua.mv.structs import (
    ConfigurationIdDataType,
    JobIdDataType,
    MeasIdDataType,
    PartIdDataType,
    ProcessingTimesDataType,
    ProductIdDataType,
    RecipeIdExternalDataType,
    RecipeIdInternalDataType,
    ResultDataType,
    ResultIdDataType,
    ResultState,
)
from gateway.opcua.result import capture_time_ns
from gateway.opcua.result_id import job_id, result_id

EVALUATION = {"PASS": 1, "FAIL": 2}
"""ResultEvaluationEnum of OPC 40001-101; everything else is 3, not decidable."""
_T = TypeVar("_T")


def made(structure: type[_T], **fields: Any) -> _T:
    """Return the structure with these fields; they are named in its class, where the type checker does not see them."""
    maker: Any = structure
    filled: _T = maker(**fields)
    return filled


def utc(t_ns: int) -> ua.DateTime:
    """Return UTC ns as the wire's time."""
    return ua.DateTime.fromtimestamp(t_ns // 1000 / 1e6, UTC)


def id_of(value: Any) -> str:
    """Return the Id of an identifying structure, '' of one that was left out."""
    return str(value.Id or "").strip() if value is not None else ""


def recipe_id(number: int, model_id: str, name: str = "") -> RecipeIdInternalDataType:
    """Return how this gateway calls a recipe: its number (0 on a line without recipes), and its model as the version."""
    told = made(RecipeIdInternalDataType, Id=ua.String(str(number)), Version=ua.String(model_id) if model_id else None)
    if name:
        told.Description = ua.LocalizedText(name)
    return told


def external_recipe_id(name: str) -> RecipeIdExternalDataType | None:
    """Return how the plant calls a recipe, None for one without a name."""
    return made(RecipeIdExternalDataType, Id=ua.String(name.strip())) if name.strip() else None


def content_of(record: PartJudged) -> list[ua.Variant]:
    """Return the verdict and what it rests on, always in this order.

    Evaluation (Int32: 1 OK, 2 not OK, 3 not decidable), disposition, label, its score (null when not looked at), labels, their
    scores, reasons.
    """
    score = record.scores.get(record.label)
    return [
        ua.Variant(EVALUATION.get(record.disposition, 3), ua.VariantType.Int32),
        ua.Variant(record.disposition, ua.VariantType.String),
        ua.Variant(record.defect or record.label, ua.VariantType.String),
        ua.Variant(None, ua.VariantType.Null) if score is None else ua.Variant(score, ua.VariantType.Double),
        ua.Variant(list(record.scores), ua.VariantType.String, is_array=True),
        ua.Variant(list(record.scores.values()), ua.VariantType.Double, is_array=True),
        ua.Variant(list(record.reasons), ua.VariantType.String, is_array=True),
    ]


def result_of(record: PartJudged, configuration: ConfigurationIdDataType) -> ResultDataType:
    """Return the part's result; ``configuration`` is the one that was active then."""
    captured = capture_time_ns(record)
    result = made(
        ResultDataType,
        ResultId=made(ResultIdDataType, Id=ua.String(result_id(record))),
        HasTransferableDataOnFile=False,
        IsPartial=False,
        ResultState=ua.Int32(ResultState.COMPLETED if record.disposition in EVALUATION else ResultState.FAILED),
        PartId=made(PartIdDataType, Id=ua.String(str(record.part_id))),
        ExternalRecipeId=external_recipe_id(record.recipe),
        InternalRecipeId=recipe_id(record.recipe_number, record.model_id, record.recipe),
        InternalConfigurationId=configuration,
        JobId=made(JobIdDataType, Id=ua.String(job_id(record))),
        CreationTime=utc(record.t_utc_ns),
        ProcessingTimes=_times(record, captured),
        ResultContent=content_of(record),
    )
    if record.serial and result.PartId is not None:
        result.PartId.Description = ua.LocalizedText(record.serial)
    if record.frame_counter >= 0:
        result.MeasId = made(MeasIdDataType, Id=ua.String(f"{record.camera}-{record.frame_counter}"))
    if record.product:
        result.ProductId = made(ProductIdDataType, Id=ua.String(record.product.strip()))
    return result


def _times(record: PartJudged, captured_ns: int) -> ProcessingTimesDataType:
    times = made(ProcessingTimesDataType, StartTime=utc(captured_ns), EndTime=utc(record.t_utc_ns))
    if record.t_exposed_mono_ns and record.t_frame_mono_ns:
        times.AcquisitionDuration = ua.Double((record.t_frame_mono_ns - record.t_exposed_mono_ns) / 1e6)
    if record.infer_ms:
        times.ProcessingDuration = ua.Double(record.infer_ms)
    return times


def time_of(record: PartJudged) -> ua.DateTime:
    """Return when the picture was taken, the source time of everything that shows this result."""
    return utc(capture_time_ns(record))
