"""What a few bytes may not ask for: row 16 of the library's traps, as far as it needs no socket."""

from __future__ import annotations

import struct

import pytest
from asyncua import ua
from asyncua.common.utils import NotEnoughData
from asyncua.ua import ua_binary

from gateway.opcua.channel import is_local
from gateway.opcua.decode import Bounded

MANY = struct.pack("<i", 0x7FFF_FFFF)
ARRAY = 0x80


def test_an_array_of_nulls_takes_no_memory() -> None:
    with pytest.raises(NotEnoughData):
        ua_binary.variant_from_binary(Bounded(bytes([ARRAY]) + MANY))


@pytest.mark.parametrize("kind", [ua.VariantType.Int32, ua.VariantType.String, ua.VariantType.Variant, ua.VariantType.NodeId])
def test_an_array_ends_where_its_bytes_end(kind: ua.VariantType) -> None:
    with pytest.raises((NotEnoughData, TypeError, ua.UaError)):
        ua_binary.variant_from_binary(Bounded(bytes([ARRAY | kind.value]) + MANY + bytes(3)))


@pytest.mark.parametrize("kind", [ua.VariantType.String, ua.VariantType.ByteString])
def test_a_negative_length_does_not_read_the_same_bytes_again(kind: ua.VariantType) -> None:
    # Each element is its length, -4: read four bytes, go back four.
    with pytest.raises(NotEnoughData):
        ua_binary.variant_from_binary(Bounded(bytes([ARRAY | kind.value]) + MANY + struct.pack("<i", -4)))


def test_a_matrix_is_not_made_larger_than_its_bytes() -> None:
    shape = struct.pack("<iii", 2, 1000, 1000)
    with pytest.raises(ua.UaError):
        ua_binary.variant_from_binary(Bounded(bytes([ARRAY | 0x40 | ua.VariantType.Byte.value]) + struct.pack("<i", 0) + shape))


def test_a_copy_is_bounded_too() -> None:
    copy = Bounded(b"abcdef").copy(3)
    assert copy.read(2) == b"ab"
    with pytest.raises(NotEnoughData):
        copy.read(-1)
    with pytest.raises(NotEnoughData):
        copy.read(2)


def test_what_is_honest_is_read_as_before() -> None:
    for value in (ua.Variant([1, 2, 3], ua.VariantType.Int32), ua.Variant([], ua.VariantType.Int32), ua.Variant("x")):
        assert ua_binary.variant_from_binary(Bounded(ua_binary.variant_to_binary(value))) == value
    assert ua_binary.variant_to_binary(ua.Variant([], ua.VariantType.Null)) == bytes([ARRAY]) + bytes(4)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        ("fe80::1%eth0", False),
        ("0.0.0.0", False),
    ],
)
def test_only_loopback_is_local(host: str, local: bool) -> None:
    assert is_local(host) is local
