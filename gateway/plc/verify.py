"""Whether the PLC's block is the one that the map describes: byte order by two known numbers, layout by a checksum.

Pure, apart from the link, which asks after every (re)connect and refuses to run on anything else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from gateway.core.errors import DeviceRefused
from gateway.core.handshake import SENTINEL_DWORD, SENTINEL_REAL
from gateway.core.tags import Scalar, TagMap


def verify_interface(values: Mapping[str, Scalar], tag_map: TagMap, checksum: int) -> None:
    """Raise DeviceRefused, which names the tag, when the block's ``values`` show another byte order or layout than the map."""
    name = tag_map.name
    dword, real = values["SentinelDWord"], values["SentinelReal"]
    file = tag_map.file or "the map"
    if dword != SENTINEL_DWORD or not math.isclose(float(real), SENTINEL_REAL, rel_tol=1e-6):
        tag, want = ("SentinelDWord", SENTINEL_DWORD) if dword != SENTINEL_DWORD else ("SentinelReal", SENTINEL_REAL)
        why = (
            f"{tag} reads {values[tag]!r}, not {want}: the byte order ({tag_map.order}) or the block's address in {file} "
            "is wrong, or the PLC's program has not run its first scan"
        )
        raise DeviceRefused(name, "verify", why)
    found = int(values["InterfaceChecksum"])
    if found != checksum:
        why = (
            f"InterfaceChecksum in the PLC is 16#{found:08X}, that of {file} is 16#{checksum:08X}: block "
            f"{tag_map.up.name} or {tag_map.down.name} was changed on one side only; download the blocks that belong "
            "to the map, or correct the map"
        )
        raise DeviceRefused(name, "verify", why)
