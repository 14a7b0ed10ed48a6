"""What capture tells control, one datagram each: a frame's stamp, or whether its camera is there.

JSON, so that people can read it. Both sides are ours, yet what does not fit is refused by name: a stamp half understood could
bind the wrong picture. Sockets are not known here.
"""

from __future__ import annotations

import json
from typing import Any

from gateway.core.frame import FrameStamp

_FIELDS = {
    "camera": str,
    "frame_counter": int,
    "t_exposed_ns": int,
    "t_available_ns": int,
    "encoder": int,
    "slot": int,
    "generation": int,
    "height": int,
    "width": int,
    "channels": int,
}


def stamp_to_json(stamp: FrameStamp) -> bytes:
    """Return the stamp as one JSON object."""
    return json.dumps({name: getattr(stamp, name) for name in _FIELDS}).encode()


def stamp_from_json(data: bytes) -> FrameStamp:
    """Return the stamp; ValueError names the field that is wrong."""
    raw = _object(data)
    if raw is None:
        raise ValueError("this is no stamp: a JSON object is needed")
    if wrong := raw.keys() ^ _FIELDS.keys():
        raise ValueError(f"{min(wrong)}: a field that is absent or unknown")
    for name, kind in _FIELDS.items():
        value = raw[name]
        if name == "encoder" and value is None:
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{name}: {value!r} is no {kind.__name__}")
    return FrameStamp(**raw)


def status_to_json(camera: str, up: bool) -> bytes:
    """Return the state of a camera as one JSON object."""
    return json.dumps({"camera": camera, "up": up}).encode()


def status_from_json(data: bytes) -> tuple[str, bool] | None:
    """Return (camera, up), or None when ``data`` is no status."""
    if b'"up"' not in data:
        return None
    raw = _object(data)
    if raw is None or raw.keys() != {"camera", "up"} or not isinstance(raw["camera"], str) or not isinstance(raw["up"], bool):
        return None
    return raw["camera"], raw["up"]


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        raw = json.loads(data)
    except ValueError:
        return None
    return raw if isinstance(raw, dict) else None
