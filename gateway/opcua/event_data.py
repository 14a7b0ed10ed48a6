"""One event as it goes to filters and subscriptions: its fields by path, encoded once.

It must not know who wants it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from asyncua import ua
from asyncua.ua import ua_binary
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError

from gateway.opcua.conversions import NULL
from gateway.opcua.event_types import Path

LOCALE = "en"
MAX_MESSAGE = 1000

_UNFIT = ua_binary.variant_to_binary(ua.Variant(ua.StatusCode(ua.UInt32(StatusCodes.BadEncodingError))))
_log = structlog.get_logger("opcua")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventData:
    """One event as filters see it; each field is encoded once, however many subscriptions it goes to."""

    type_id: ua.NodeId
    notifiers: tuple[ua.NodeId, ...]
    """The objects whose events it is one of, in the order in which it is told."""
    condition_id: ua.NodeId | None = None
    """The condition whose state it tells; None for an event that is about none."""
    values: Mapping[Path, ua.Variant]
    _wires: dict[Path, bytes] = field(default_factory=dict)

    def value(self, path: Path) -> ua.Variant:
        """Return a field, null when the event has no such one; the empty path is the id of the condition."""
        if path:
            return self.values.get(path, NULL)
        return NULL if self.condition_id is None else ua.Variant(self.condition_id, ua.VariantType.NodeId)

    def wire(self, path: Path) -> bytes:
        """Return a field as it travels; one whose value does not fit its type says so in its place."""
        if path not in self._wires:
            try:
                self._wires[path] = ua_binary.variant_to_binary(self.value(path))
            except UaError:
                _log.exception("an event's field does not fit its type", field=path)
                self._wires[path] = _UNFIT
        return self._wires[path]


def localized(words: str) -> ua.Variant:
    """Return English words as a field."""
    return ua.Variant(ua.LocalizedText(words, LOCALE), ua.VariantType.LocalizedText)


def utc(time_ns: int) -> ua.Variant:
    """Return a UTC time (ns since 1970) as a field, to the microsecond."""
    seconds, rest = divmod(time_ns, 10**9)
    # Not from a float, which would change the last digits.
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    return ua.Variant(moment, ua.VariantType.DateTime)


def base_values(
    type_id: ua.NodeId,
    source: ua.NodeId,
    source_name: str,
    *,
    severity: int,
    message: str,
    time_ns: int | None = None,
    event_id: bytes = b"",
) -> dict[Path, ua.Variant]:
    """Return the fields that every event has; ``time_ns`` is now when not given, ``event_id`` a new one."""
    now = ua.Variant(datetime.now(UTC), ua.VariantType.DateTime)
    values = {
        "EventId": ua.Variant(event_id or new_event_id(), ua.VariantType.ByteString),
        "EventType": ua.Variant(type_id, ua.VariantType.NodeId),
        "SourceNode": ua.Variant(source, ua.VariantType.NodeId),
        "SourceName": ua.Variant(source_name, ua.VariantType.String),
        "Time": now if time_ns is None else utc(time_ns),
        "ReceiveTime": now,
        "Message": localized(message[:MAX_MESSAGE]),
        "Severity": ua.Variant(severity, ua.VariantType.UInt16),
    }
    return {((0, name),): value for name, value in values.items()}


def new_event_id() -> bytes:
    """Return an id that no other event has: 16 random bytes."""
    return secrets.token_bytes(16)


def text(words: str) -> ua.Variant:
    """Return a text as a field."""
    return ua.Variant(words, ua.VariantType.String)
