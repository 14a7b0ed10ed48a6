"""The tags that the OPC UA server serves, as a CSV table for whoever plans a SCADA system."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from gateway.interchange.cells import cell_text, number_text
from gateway.opcua.served_tags import ServedTag

HEADER = (
    "NodeId",
    "BrowsePath",
    "DataType",
    "ValueRank",
    "ArrayLength",
    "Access",
    "Unit",
    "Low",
    "High",
    "Values",
    "Description",
)


def tag_list(tags: Iterable[ServedTag]) -> str:
    """Return the table: a row a tag; Access is R or RW, Values the texts of 0, 1, … A text that a sheet would run is quoted."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(HEADER)
    for tag in tags:
        low, high = (number_text(v) for v in tag.range) if tag.range is not None else ("", "")
        rank, length = (-1, "") if tag.length is None else (1, str(tag.length))
        values = "; ".join(f"{i} {text}" for i, text in enumerate(tag.texts))
        texts = (_text(t) for t in (values, tag.about))
        access = "RW" if tag.writable else "R"
        writer.writerow([tag.id, "/".join(tag.path), tag.data_type, rank, length, access, _text(tag.unit), low, high, *texts])
    return out.getvalue()


def _text(text: str) -> str:
    return cell_text(text) if text else ""
