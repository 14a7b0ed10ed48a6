"""Quality → OPC UA StatusCode, in this one place. It must not know where a value comes from."""

from __future__ import annotations

from typing import Literal

from asyncua.ua.status_codes import StatusCodes

from gateway.core.tags import Quality

Why = Literal["", "never", "link", "held", "model", "fault", "absent", "range", "unsupported"]
"""``never`` there was no value yet · ``link`` camera or PLC lost · ``held`` the last value, no longer fed · ``model`` none is
loaded · ``fault`` the inspection failed · ``absent`` this result has no such value · ``range`` the value does not fit the tag ·
``unsupported`` nothing feeds the tag."""

_CODES: dict[tuple[Quality, str], int] = {
    (Quality.GOOD, ""): StatusCodes.Good,
    (Quality.UNCERTAIN, ""): StatusCodes.Uncertain,
    (Quality.UNCERTAIN, "held"): StatusCodes.UncertainLastUsableValue,
    (Quality.BAD, ""): StatusCodes.Bad,
    (Quality.BAD, "never"): StatusCodes.BadWaitingForInitialData,
    (Quality.BAD, "link"): StatusCodes.BadNoCommunication,
    (Quality.BAD, "model"): StatusCodes.BadOutOfService,
    (Quality.BAD, "fault"): StatusCodes.BadDeviceFailure,
    (Quality.BAD, "absent"): StatusCodes.BadNoData,
    (Quality.BAD, "range"): StatusCodes.BadOutOfRange,
    (Quality.BAD, "unsupported"): StatusCodes.BadNotSupported,
}


def status_code(quality: Quality, why: Why = "") -> int:
    """Return the StatusCode of a value with ``quality`` for the reason ``why``; KeyError for a pair that makes no sense."""
    return int(_CODES[quality, why])
