"""The id of a result, the same on both faces: ``<Line>-<OwnerEpoch>-<PartId>``. It must not know a server or a journal."""

from __future__ import annotations

import re

from gateway.core.events import PartJudged

_FORM = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,31})-([0-9A-F]{8})-(0|[1-9][0-9]{0,9})", re.ASCII)


def result_id(record: PartJudged) -> str:
    """Return the id of a part's result."""
    return f"{job_id(record)}-{record.part_id}"


def job_id(record: PartJudged) -> str:
    """Return the id of the job that it belongs to: everything between two claims of the line is one."""
    return f"{record.line}-{record.epoch:08X}"


def parse(text: str) -> tuple[str, int, int] | None:
    """Return (line, epoch, part id) of a result's id, None when it is none."""
    found = _FORM.fullmatch(text)
    return (found[1], int(found[2], 16), int(found[3])) if found else None


def parse_job(text: str) -> tuple[str, int] | None:
    """Return (line, epoch) of a job's id, None when it is none."""
    found = parse(f"{text}-0")
    return found[:2] if found else None
