"""Values that the gateway holds as text: characters, strings, dates and times of day, in the bytes that an S7 CPU uses.

Apart from the codec because each is a small format of its own; places, word orders and scaling are the codec's. Bytes that
stand for no value (a DTL of zeros, a string longer than its type) decode to '', for a guess would look like a reading.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")

_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?")
_DAY_0 = dt.date(1990, 1, 1)
_DAY_MS = 86_400_000
DTL_YEARS = (1970, 2262)
DT_YEARS = (1990, 2089)


def is_text(datatype: str) -> bool:
    """Return whether values of the type are ``str``."""
    return datatype in _FIXED or datatype.startswith(("String[", "WString["))


def decode_text(datatype: str, data: bytes) -> str:
    """Return the value of the big-endian bytes; '' when they stand for none."""
    if datatype.startswith("String["):
        most, length = len(data) - 2, data[1]
        return data[2 : 2 + length].decode("latin-1") if length <= most else ""
    if datatype.startswith("WString["):
        most, length = len(data) // 2 - 2, int.from_bytes(data[2:4], "big")
        return data[4 : 4 + 2 * length].decode("utf-16-be", "replace") if length <= most else ""
    return _FIXED[datatype][0](data)


def encode_text(datatype: str, size: int, value: str) -> bytes:
    """Return the ``size`` big-endian bytes of the value; ValueError says why the type cannot hold it."""
    if datatype.startswith("String["):
        data = _encoded(value, "latin-1")
        if len(data) > size - 2:
            raise ValueError(f"{len(data)} characters, {datatype} holds {size - 2}")
        return bytes([size - 2, len(data)]) + data.ljust(size - 2, b"\0")
    if datatype.startswith("WString["):
        data, most = _encoded(value, "utf-16-be"), size // 2 - 2
        if len(data) > 2 * most:
            raise ValueError(f"{len(data) // 2} characters, {datatype} holds {most}")
        return struct.pack(">HH", most, len(data) // 2) + data.ljust(2 * most, b"\0")
    return _FIXED[datatype][1](value)


def _encoded(value: str, encoding: str) -> bytes:
    try:
        return value.encode(encoding)
    except UnicodeEncodeError as error:
        raise ValueError(f"{value[error.start : error.end]!r} has no place in it") from None


def _one(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ValueError("it is one character")
    return data


def _char(data: bytes) -> str:
    return data.decode("latin-1")


def _wchar(data: bytes) -> str:
    return data.decode("utf-16-be", "replace")


def _date(data: bytes) -> str:
    return (_DAY_0 + dt.timedelta(days=int.from_bytes(data, "big"))).isoformat()


def _date_bytes(value: str) -> bytes:
    days = (_parsed(dt.date.fromisoformat, value, "2026-12-31") - _DAY_0).days
    if not 0 <= days <= 0xFFFF:
        raise ValueError("a Date lies between 1990-01-01 and 2169-06-06")
    return days.to_bytes(2, "big")


def _tod(data: bytes) -> str:
    ms = int.from_bytes(data, "big")
    if ms >= _DAY_MS:
        return ""
    return (dt.datetime.min + dt.timedelta(milliseconds=ms)).time().isoformat("milliseconds")


def _tod_bytes(value: str) -> bytes:
    time = _parsed(dt.time.fromisoformat, value, "13:59:59.250")
    if time.tzinfo is not None or time.microsecond % 1000:
        raise ValueError("a TOD is a local time of day in whole milliseconds")
    return (((time.hour * 60 + time.minute) * 60 + time.second) * 1000 + time.microsecond // 1000).to_bytes(4, "big")


def _dtl(data: bytes) -> str:
    year, month, day, _, hour, minute, second, ns = struct.unpack(">H6BI", data)
    return _instant(DTL_YEARS, year, month, day, hour, minute, second, ns, 9)


def _dtl_bytes(value: str) -> bytes:
    when, ns = _parsed(_moment, value, "2026-12-31T13:59:59.123456789")
    if not DTL_YEARS[0] <= when.year <= DTL_YEARS[1]:
        raise ValueError(f"a DTL lies in the years {DTL_YEARS[0]} to {DTL_YEARS[1]}")
    weekday = when.isoweekday() % 7 + 1
    return struct.pack(">H6BI", when.year, when.month, when.day, weekday, when.hour, when.minute, when.second, ns)


def _dt(data: bytes) -> str:
    digits = data.hex()
    if not digits[:15].isdecimal():
        return ""
    year, month, day, hour, minute, second = (int(digits[i : i + 2]) for i in range(0, 12, 2))
    ms = int(digits[12:15])
    return _instant(DT_YEARS, year + (1900 if year >= 90 else 2000), month, day, hour, minute, second, ms * 1_000_000, 3)


def _dt_bytes(value: str) -> bytes:
    when, ns = _parsed(_moment, value, "2026-12-31T13:59:59.250")
    if not DT_YEARS[0] <= when.year <= DT_YEARS[1] or ns % 1_000_000:
        raise ValueError(f"a DT lies in the years {DT_YEARS[0]} to {DT_YEARS[1]} and has whole milliseconds")
    weekday = when.isoweekday() % 7 + 1
    return bytes.fromhex(f"{when:%y%m%d%H%M%S}{ns // 1_000_000:03}{weekday}")


def _instant(
    years: tuple[int, int], year: int, month: int, day: int, hour: int, minute: int, second: int, ns: int, digits: int
) -> str:
    if not years[0] <= year <= years[1] or ns >= 1_000_000_000:
        return ""
    try:
        when = dt.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - a PLC's clock has no zone
    except ValueError:
        return ""
    return f"{when.isoformat()}.{ns:09}"[: 20 + digits]


def _moment(value: str) -> tuple[dt.datetime, int]:
    match = _ISO.fullmatch(value)
    if match is None:
        raise ValueError
    return dt.datetime.fromisoformat(f"{match[1]}T{match[2]}"), int((match[3] or "").ljust(9, "0"))


def _parsed(parse: Callable[[str], T], value: str, example: str) -> T:
    try:
        return parse(value)
    except ValueError:
        raise ValueError(f"it is written like {example}") from None


#: Type of a fixed size → decode, encode.
_FIXED: Mapping[str, tuple[Callable[[bytes], str], Callable[[str], bytes]]] = {
    "Char": (_char, lambda value: _one(_encoded(value, "latin-1"), 1)),
    "WChar": (_wchar, lambda value: _one(_encoded(value, "utf-16-be"), 2)),
    "Date": (_date, _date_bytes),
    "TOD": (_tod, _tod_bytes),
    "DT": (_dt, _dt_bytes),
    "DTL": (_dtl, _dtl_bytes),
}
