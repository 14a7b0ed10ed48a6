"""Parts of arrays and texts."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.ranges import part

INT, TEXT, BYTES = ua.VariantType.Int32, ua.VariantType.String, ua.VariantType.ByteString


def value(of: Any, kind: ua.VariantType = INT) -> ua.DataValue:
    time = ua.DateTime(2026, 5, 4)
    return ua.DataValue(ua.Variant(of, kind), SourceTimestamp=time, ServerTimestamp=time)


@pytest.mark.parametrize(
    ("of", "kind", "wanted", "expected"),
    [
        ([1, 2, 3, 4], INT, "1:2", [2, 3]),
        ([1, 2, 3, 4], INT, "0", [1]),
        ([1, 2, 3, 4], INT, "2:9", [3, 4]),
        ("scratch", TEXT, "0:2", "scr"),
        (b"\x01\x02\x03", BYTES, "1:2", b"\x02\x03"),
        (["ab", "cd"], TEXT, "1", ["cd"]),
    ],
)
def test_a_part_with_the_value_s_type_and_time(of: Any, kind: ua.VariantType, wanted: str, expected: Any) -> None:
    whole = value(of, kind)
    got = part(whole, wanted)
    assert got.Value is not None
    assert (got.Value.Value, got.Value.VariantType, got.Value.is_array) == (expected, kind, isinstance(of, list))
    assert (got.SourceTimestamp, got.ServerTimestamp) == (whole.SourceTimestamp, whole.ServerTimestamp)
    assert whole.Value is not None and whole.Value.Value == of


@pytest.mark.parametrize("wanted", ["", "x", "-1", "2:1", "1:1", "1:", ":1", "0,1", "0:1,0:1", " 1", "1:2:3", "9" * 30, "٣"])
def test_what_is_no_range_is_refused(wanted: str) -> None:
    assert part(value([1, 2, 3]), wanted).StatusCode.value == StatusCodes.BadIndexRangeInvalid


def test_what_has_no_parts_is_refused_and_nothing_in_range_is_said() -> None:
    assert part(value(5), "0").StatusCode.value == StatusCodes.BadIndexRangeInvalid
    assert part(value([1, 2]), "2:3").StatusCode.value == StatusCodes.BadIndexRangeNoData
    assert part(value("", TEXT), "0").StatusCode.value == StatusCodes.BadIndexRangeNoData


def test_a_value_that_is_not_there_keeps_its_own_reason() -> None:
    bad = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(StatusCodes.BadNoCommunication)))
    assert part(bad, "0:1") is bad
