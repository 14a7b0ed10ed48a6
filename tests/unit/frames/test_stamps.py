"""Stamps and states survive their way; whatever is not exactly one of them is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.frame import FrameStamp
from gateway.frames.stamps import stamp_from_json, stamp_to_json, status_from_json, status_to_json

COUNT = st.integers(0, 2**53)
STAMPS = st.builds(
    FrameStamp,
    camera=st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,31}", fullmatch=True) | st.just("up"),
    frame_counter=st.integers(0, 2**32 - 1),
    t_exposed_ns=COUNT,
    t_available_ns=COUNT,
    encoder=st.none() | st.integers(0, 2**32 - 1),
    slot=st.integers(0, 31),
    generation=COUNT,
    height=st.integers(1, 65535),
    width=st.integers(1, 65535),
    channels=st.sampled_from([1, 3]),
)
STAMP = FrameStamp(
    camera="top",
    frame_counter=7,
    t_exposed_ns=10,
    t_available_ns=20,
    encoder=None,
    slot=3,
    generation=88,
    height=4,
    width=5,
    channels=1,
)


@settings(deadline=None)
@given(STAMPS)
def test_a_stamp_survives(stamp: FrameStamp) -> None:
    data = stamp_to_json(stamp)
    assert stamp_from_json(data) == stamp
    assert status_from_json(data) is None
    assert len(data) < 4096, "control reads at most so much of a datagram"


@pytest.mark.parametrize("up", [True, False])
def test_a_state_survives(up: bool) -> None:
    data = status_to_json("top", up)
    assert status_from_json(data) == ("top", up)
    with pytest.raises(ValueError, match="up|channels|encoder"):
        stamp_from_json(data)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slot": 1.0}, "slot"),
        ({"slot": True}, "slot"),
        ({"generation": "88"}, "generation"),
        ({"camera": None}, "camera"),
        ({"encoder": "x"}, "encoder"),
        ({"part_id": 4}, "part_id"),
    ],
)
def test_a_stamp_with_a_wrong_field_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    raw = json.loads(stamp_to_json(STAMP)) | change
    with pytest.raises(ValueError, match=field):
        stamp_from_json(json.dumps(raw).encode())


@pytest.mark.parametrize("field", list(json.loads(stamp_to_json(STAMP))))
def test_a_stamp_without_a_field_is_refused_by_name(field: str) -> None:
    raw = json.loads(stamp_to_json(STAMP))
    del raw[field]
    with pytest.raises(ValueError, match=field):
        stamp_from_json(json.dumps(raw).encode())


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b'"up"', b'["up"]', b'{"up": 1, "camera": "a"}', b'{"up": true}', b'{"camera": 1, "up": true}']
)
def test_rubbish_is_neither(data: bytes) -> None:
    assert status_from_json(data) is None
    with pytest.raises(ValueError, match=r"stamp|field"):
        stamp_from_json(data)
