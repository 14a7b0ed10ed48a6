"""Whether the PLC's block is the one that the map describes: byte order by two known numbers, layout by a checksum.

Pure, apart from the link, which asks after every (re)connect and refuses to run on anything else.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

from gateway.core.codec import reorder
from gateway.core.errors import DeviceRefused
from gateway.core.handshake import SENTINEL_DWORD, SENTINEL_REAL
from gateway.core.tags import ModbusAddress, Scalar, TagMap, WordOrder, interface_checksum

MOST_TRIED = 64
"""Tags of a block that are tried one by one; each try is a checksum over the whole map."""


def verify_interface(values: Mapping[str, Scalar], tag_map: TagMap, checksum: int) -> None:
    """Raise DeviceRefused, which names the tag, when the block's ``values`` show another byte order or layout than the map."""
    name = tag_map.name
    dword, real = values["SentinelDWord"], values["SentinelReal"]
    file = tag_map.file or "the map"
    if dword != SENTINEL_DWORD or not math.isclose(float(real), SENTINEL_REAL, rel_tol=1e-6):
        tag, want = ("SentinelDWord", SENTINEL_DWORD) if dword != SENTINEL_DWORD else ("SentinelReal", SENTINEL_REAL)
        reads = f"{tag} reads {_shown(values[tag])}, not {_shown(want)}"
        why = f"{reads}: the block's address in {file} is wrong, or the PLC's program has not run its first scan"
        if order := _right_order(int(dword), float(real), tag_map):
            why = f"{reads}; both sentinels are right with plc.order: {order}: correct it in {file} (it says {tag_map.order})"
        raise DeviceRefused(name, "verify", why)
    found = int(values["InterfaceChecksum"])
    if found != checksum:
        why = (
            f"InterfaceChecksum in the PLC is 16#{found:08X}, that of {file} is 16#{checksum:08X}: "
            f"{_difference(tag_map, found)}; download the blocks that belong to the map, or correct the map"
        )
        raise DeviceRefused(name, "verify", why)


def _shown(value: Scalar) -> str:
    return f"{value:.7g}" if isinstance(value, float) else f"16#{value:08X}" if isinstance(value, int) else value


def _right_order(dword: int, real: float, tag_map: TagMap) -> WordOrder | None:
    """Return the word order that puts both known numbers right, None when none does; S7 knows no other than its own."""
    if not isinstance(tag_map.up.base, ModbusAddress):
        return None
    raw = [reorder(data, tag_map.order) for data in (struct.pack(">I", dword), struct.pack(">f", real))]
    for order in get_args(WordOrder):
        data = [reorder(r, order) for r in raw]
        if struct.unpack(">I", data[0])[0] == SENTINEL_DWORD and math.isclose(
            struct.unpack(">f", data[1])[0], SENTINEL_REAL, rel_tol=1e-6
        ):
            found: WordOrder = order
            return found
    return None


def _difference(tag_map: TagMap, found: int) -> str:
    """Return what the PLC's checksum says: which single tag or block of the map its program does not know, if it is one.

    A checksum cannot be read backwards; but the map without one tag, or with fewer blocks, has a checksum that can be tried.
    """
    if not found:
        return "the PLC's constant is 0, it was never set"
    if tag_map.extra and interface_checksum(tag_map.up, tag_map.down) == found:
        return f"the PLC's program knows none of the further blocks ({', '.join(b.name for b in tag_map.extra)})"
    for gone in tag_map.extra:
        if interface_checksum(*(b for b in tag_map.blocks if b is not gone)) == found:
            return f"the PLC's program does not know block {gone.name}"
    for block in tag_map.blocks:
        for tag in block.tags[:MOST_TRIED]:
            less = replace(block, tags=tuple(t for t in block.tags if t is not tag))
            if interface_checksum(*(less if b is block else b for b in tag_map.blocks)) == found:
                return f"the PLC's program does not know {tag.name} of block {block.name}"
    names = " or ".join(b.name for b in tag_map.blocks)
    return f"block {names} was changed on one side only"
