"""Values that methods give back, in their wire types. It must not know what they mean."""

from __future__ import annotations

from typing import Any

from asyncua import ua

NO_ERROR = ua.Variant(0, ua.VariantType.Int32)
"""The output Error: what went wrong is told by the call's status, so whatever comes back is without error."""


def boolean(value: bool) -> ua.Variant:
    """Return a Boolean."""
    return ua.Variant(value, ua.VariantType.Boolean)


def number(value: int) -> ua.Variant:
    """Return a UInt32."""
    return ua.Variant(value, ua.VariantType.UInt32)


def structure(value: Any) -> ua.Variant:
    """Return a structure, or an array of them."""
    return ua.Variant(value, ua.VariantType.ExtensionObject, is_array=isinstance(value, list))
